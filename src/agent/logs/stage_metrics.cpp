// SPDX-License-Identifier: Apache-2.0
// metrics: counters, gauges and histograms made of lines, shown at /metrics.
#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "agent/logs/stage.h"
#include "core/text.h"

namespace tocayo::agent {
namespace {

struct MetricSettings {
  enum class Action : unsigned char { inc, dec, set, add, sub, observe } action = Action::inc;
  MetricType type = MetricType::counter;
  std::string name, help, source;
  std::optional<std::string> value;  // only lines whose source is this
  bool match_all = false, count_bytes = false;
  std::vector<double> buckets;
  std::int64_t idle_ns = 300'000'000'000;
};

// The series of one metric: one a label set. Thread-safe: lines come on the collector's thread, /metrics on others.
class MetricSeries {
 public:
  explicit MetricSeries(MetricSettings settings) : settings_(std::move(settings)) {}
  const MetricSettings& settings() const { return settings_; }

  void record(const Labels& labels, double value, Steady::time_point now) {
    std::scoped_lock lock(mutex_);
    Series& series = series_[labels];
    series.at = now;
    using Action = MetricSettings::Action;
    switch (settings_.action) {
      case Action::inc: series.value += 1; break;
      case Action::dec: series.value -= 1; break;
      case Action::set: series.value = value; break;
      case Action::add: series.value += value; break;
      case Action::sub: series.value -= value; break;
      case Action::observe: {
        series.counts.resize(settings_.buckets.size() + 1);
        const auto at = std::ranges::lower_bound(settings_.buckets, value) - settings_.buckets.begin();
        ++series.counts[static_cast<std::size_t>(at)];
        series.value += value;
        break;
      }
    }
  }

  void collect(std::vector<Registry::Family>& families, Steady::time_point now) {
    std::scoped_lock lock(mutex_);
    std::erase_if(series_, [&](const auto& entry) {
      return now - entry.second.at > std::chrono::nanoseconds(settings_.idle_ns);
    });
    if (series_.empty()) return;
    auto family = std::ranges::find(families, settings_.name, &Registry::Family::name);
    if (family == families.end())
      family = families.insert(families.end(), {settings_.name, settings_.help, settings_.type, {}});
    for (const auto& [labels, series] : series_) {
      if (settings_.type != MetricType::histogram) {
        family->samples.push_back({"", labels, series.value});
        continue;
      }
      double count = 0;
      for (std::size_t i = 0; i < series.counts.size(); ++i) {
        count += static_cast<double>(series.counts[i]);
        Labels with = labels;
        with.set("le", i < settings_.buckets.size() ? format_prometheus_value(settings_.buckets[i]) : "+Inf");
        family->samples.push_back({"_bucket", std::move(with), count});
      }
      family->samples.push_back({"_sum", labels, series.value});
      family->samples.push_back({"_count", labels, count});
    }
  }

 private:
  struct Series {
    double value = 0;  // of a histogram the sum
    std::vector<std::uint64_t> counts;
    Steady::time_point at{};
  };
  const MetricSettings settings_;
  std::mutex mutex_;
  std::map<Labels, Series> series_;
};

class MetricsStage final : public PlainStage {
 public:
  MetricsStage(const std::vector<MetricSettings>& settings, const StageContext& context) : context_(context) {
    for (const auto& one : settings) metrics_.push_back(std::make_unique<MetricSeries>(one));
    context.registry.add_collector(this, [this](std::vector<Registry::Family>& families) {
      for (auto& metric : metrics_) metric->collect(families, context_.steady());
    });
  }
  ~MetricsStage() override { context_.registry.remove_collectors(this); }

 protected:
  bool work(LogLine& line) override {
    std::string scratch;
    for (auto& metric : metrics_) {
      const MetricSettings& settings = metric->settings();
      if (settings.match_all) {
        metric->record(labels_of(line), settings.count_bytes ? static_cast<double>(line.text.size()) : 1,
                       context_.steady());
        continue;
      }
      if (!line.fields.has(settings.source)) continue;
      if (settings.value && line.fields.text(settings.source, scratch) != settings.value) continue;
      using Action = MetricSettings::Action;
      if (settings.action == Action::inc || settings.action == Action::dec) {
        metric->record(labels_of(line), 1, context_.steady());
        continue;
      }
      const auto number = line.fields.number(settings.source);
      // A counter cannot go down.
      if (!number || (settings.type == MetricType::counter && !(*number >= 0))) continue;
      metric->record(labels_of(line), *number, context_.steady());
    }
    return true;
  }

 private:
  static Labels labels_of(const LogLine& line) {
    std::vector<Label> labels;
    std::ranges::copy_if(*line.labels, std::back_inserter(labels),
                         [](const Label& label) { return !label.name.starts_with("__"); });
    return Labels::from_sorted(std::move(labels));
  }

  const StageContext& context_;
  std::vector<std::unique_ptr<MetricSeries>> metrics_;
};

Result<> read_action(const YAML::Node& at, const YAML::Node& config, const std::string& file, MetricSettings& out) {
  using Action = MetricSettings::Action;
  if (out.type == MetricType::histogram) {
    out.action = Action::observe;
    yaml::Fields fields(config, file);
    TRY(fields.open());
    if (fields.has("value")) {
      out.value.emplace();
      TRY(fields.read("value", *out.value));
    }
    if (const YAML::Node buckets = fields.get("buckets"); buckets.IsDefined() && !buckets.IsNull()) {
      if (!buckets.IsSequence()) return stage_error(buckets, file, "buckets: a list of numbers is expected");
      for (const auto& item : buckets) {
        double bound = 0;
        if (!item.IsScalar() || !YAML::convert<double>::decode(item, bound))
          return stage_error(item, file, "buckets: a number is expected");
        if (!out.buckets.empty() && !(bound > out.buckets.back()))
          return stage_error(item, file, "buckets: must ascend");
        out.buckets.push_back(bound);
      }
    }
    if (out.buckets.empty()) out.buckets = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};
    return fields.finish();
  }
  yaml::Fields fields(config, file);
  TRY(fields.open());
  std::string action;
  TRY(fields.read("action", action));
  action = to_lower(action);
  TRY(fields.read("match_all", out.match_all));
  TRY(fields.read("count_entry_bytes", out.count_bytes));
  if (fields.has("value")) {
    out.value.emplace();
    TRY(fields.read("value", *out.value));
  }
  TRY(fields.finish());
  static const std::map<std::string, Action, std::less<>> kActions = {
      {"inc", Action::inc}, {"dec", Action::dec}, {"set", Action::set}, {"add", Action::add}, {"sub", Action::sub}};
  const auto found = kActions.find(action);
  const bool counter = out.type == MetricType::counter;
  if (found == kActions.end() || (counter && found->second != Action::inc && found->second != Action::add)) {
    const std::string wanted = counter ? "inc or add is expected" : "set, inc, dec, add or sub is expected";
    return action.empty() ? stage_error(at, file, "action: " + wanted)
                          : std::unexpected(fields.error("action", wanted));
  }
  out.action = found->second;
  if (!counter && (out.match_all || out.count_bytes))
    return stage_error(at, file, "match_all and count_entry_bytes are for counters");
  if (out.match_all && out.value)
    return std::unexpected(fields.error("match_all", "match_all and value exclude each other"));
  if (out.count_bytes && (!out.match_all || out.action != Action::add))
    return std::unexpected(fields.error("count_entry_bytes", "needs match_all: true and action: add"));
  return {};
}

Result<StageFactory> parse_metrics(const YAML::Node& name, const YAML::Node& config, const std::string& file) {
  if (!config.IsMap() || config.size() == 0)
    return stage_error(name, file, "metrics: a mapping of metrics is expected");
  std::vector<MetricSettings> metrics;
  for (const auto& entry : config) {
    MetricSettings metric;
    if (!entry.first.IsScalar()) return stage_error(entry.first, file, "metrics: a name is expected");
    yaml::Fields fields(entry.second, file);
    TRY(fields.open());
    std::string type, prefix = "promtail_custom_";
    metric.source = entry.first.Scalar();
    TRY(fields.read("type", type));
    TRY(fields.read("description", metric.help));
    TRY(fields.read("source", metric.source));
    std::string given;
    TRY(fields.read("prefix", given));
    if (!given.empty()) prefix = given;
    if (const auto idle = TRY(read_go_duration(fields, "max_idle_duration"))) {
      if (*idle < 1'000'000'000) return std::unexpected(fields.error("max_idle_duration", "must be at least 1s"));
      metric.idle_ns = *idle;
    }
    const YAML::Node settings = fields.get("config");
    TRY(fields.finish());
    type = to_lower(type);
    if (type == "counter")
      metric.type = MetricType::counter;
    else if (type == "gauge")
      metric.type = MetricType::gauge;
    else if (type == "histogram")
      metric.type = MetricType::histogram;
    else
      return std::unexpected(fields.error("type", "counter, gauge or histogram is expected"));
    metric.name = prefix + entry.first.Scalar();
    if (!is_classic_metric_name(metric.name))
      return stage_error(entry.first, file, fmt::format("metrics: \"{}\" is no name of a metric", metric.name));
    TRY(read_action(entry.first, settings, file, metric));
    metrics.push_back(std::move(metric));
  }
  return [metrics](const StageContext& context) -> std::unique_ptr<Stage> {
    return std::make_unique<MetricsStage>(metrics, context);
  };
}

}  // namespace

const std::map<std::string, StageParser, std::less<>>& metric_stages() {
  static const std::map<std::string, StageParser, std::less<>> table = {{"metrics", parse_metrics}};
  return table;
}

}  // namespace tocayo::agent
