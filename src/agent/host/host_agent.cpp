// SPDX-License-Identifier: Apache-2.0
#include "agent/host/host_agent.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "agent/host/collector.h"
#include "core/log.h"
#include "metrics/histogram.h"

namespace tocayo::agent {
namespace {

using Steady = std::chrono::steady_clock;
constexpr std::chrono::seconds kStopPatience{5};

std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') return "localhost";
  return name;
}

std::string_view metadata_type(FamilyType type) { return type == FamilyType::untyped ? "unknown" : to_string(type); }

FamilyType family_type(MetricType type) {
  switch (type) {
    case MetricType::counter: return FamilyType::counter;
    case MetricType::gauge: return FamilyType::gauge;
    case MetricType::histogram: return FamilyType::histogram;
    case MetricType::untyped: break;
  }
  return FamilyType::untyped;
}

// Everything that an append borrows, and where its answer goes. Shared with the append, which may outlive the agent.
struct Flight {
  std::vector<std::shared_ptr<Series>> owners;
  std::vector<metrics::FloatRow> rows;
  std::vector<metrics::SeriesRows> series;
  std::vector<metrics::MetadataRow> metadata;
  std::mutex mutex;
  std::condition_variable done;
  std::optional<Result<metrics::AppendResult>> result;

  void clear() {
    owners.clear();
    rows.clear();
    series.clear();
    metadata.clear();
    result.reset();
  }
};

// The series that one source wrote last time; what it no longer has is stale.
struct Group {
  std::vector<std::shared_ptr<Series>> live;
};

class Agent final : public HostAgent {
 public:
  Agent(HostAgentOptions options, std::unique_ptr<HostCollectors> collectors, metrics::Appender& appender,
        Registry& registry, Clock& clock)
      : options_(std::move(options)),
        collectors_(std::move(collectors)),
        appender_(appender),
        registry_(registry),
        clock_(clock),
        node_meta_(Labels{{"job", options_.job}, {"instance", options_.instance}}),
        self_meta_(Labels{{"job", options_.self_job}, {"instance", options_.instance}}),
        self_fast_(Labels{{"job", options_.self_job}, {"instance", options_.instance}}),
        self_rest_(Labels{{"job", options_.self_job}, {"instance", options_.instance}}),
        fast_names_(options_.self_fast_names.begin(), options_.self_fast_names.end()),
        groups_(kFirstCollector + collector_specs().size()) {
    for (const std::string& name : options_.fast_collectors) {
      int index = collector_index(name);
      if (index >= 0 && collectors_->enabled().test(static_cast<std::size_t>(index)))
        fast_.set(static_cast<std::size_t>(index));
    }
    auto skipped = [&](std::string reason) {
      return &registry.counter("tocayo_agent_skipped_collections_total", "Host collections that were left out.",
                               {{"reason", reason}});
    };
    skipped_append_ = skipped("append_under_way");
    skipped_late_ = skipped("late");
    failures_ =
        &registry.counter("tocayo_agent_append_failures_total", "Appends of host metrics that the store refused.");
    samples_ = &registry.counter("tocayo_agent_host_samples_total", "Samples handed to the store.");
    duration_ = &registry.histogram("tocayo_agent_host_collection_duration_seconds", "Time of one host collection.");
  }

  ~Agent() override { stop(); }

  HostCollectors& collectors() override { return *collectors_; }

  void start() override {
    thread_ = std::jthread([this](std::stop_token stop) { run(stop); });
  }

  void stop() override {
    if (thread_.joinable()) {
      thread_.request_stop();
      wake_.notify_all();
      thread_.join();
    }
    if (stopped_) return;
    stopped_ = true;
    auto limit = Steady::now() + kStopPatience;
    if (!settle(limit)) return;
    if (last_time_ == 0) return;
    begin_flight();
    TimestampMs time = std::max(clock_.now_ms(), last_time_ + 1);
    for (Group& group : groups_) {
      for (auto& series : group.live) add_stale(series, time);
      group.live.clear();
    }
    for (auto& series : unmarked_) add_row(series, time, metrics::kStaleNaN);
    send();
    settle(limit);
  }

  bool collect_once(TimestampMs time, bool full) override {
    if (!settle(Steady::time_point::min())) {
      skipped_append_->add();
      return false;
    }
    begin_flight();
    last_time_ = time;
    ++mark_;
    collect_host(time, full);
    collect_self(time, full);
    for (auto& series : unmarked_) {
      if (series->consumer_mark == 0) add_row(series, time, metrics::kStaleNaN);
    }
    unmarked_.clear();
    samples_->add(static_cast<double>(flight_->rows.size()));
    send();
    return true;
  }

 private:
  static constexpr std::size_t kNodeMeta = 0, kSelfMeta = 1, kSelfFast = 2, kSelfRest = 3, kFirstCollector = 4;

  void run(std::stop_token stop) {
    ::pthread_setname_np(::pthread_self(), "host-agent");
    const TimestampMs step = options_.fast_interval.count(), full_step = options_.interval.count();
    TimestampMs time = clock_.now_ms();
    collect_once(time, true);
    TimestampMs next = time - time % step + step;
    if (next - time < step / 2) next += step;  // two collections close together would say nothing new
    while (!stop.stop_requested()) {
      TimestampMs now = clock_.now_ms();
      if (next - now > 2 * step) next = now - now % step + step;  // the clock went back
      if (now < next) {
        std::unique_lock lock(mutex_);
        wake_.wait_for(lock, stop, std::chrono::milliseconds(next - now), [] { return false; });
        continue;
      }
      if (TimestampMs missed = (now - next) / step; missed > 0) {
        skipped_late_->add(static_cast<double>(missed));
        // A full collection must not fall through the gap.
        full_due_ = full_due_ || (next + missed * step) / full_step != (next - 1) / full_step;
        next += missed * step;
      }
      bool full = full_due_ || next % full_step == 0;
      bool made = collect_once(next, full);
      full_due_ = full && !made;
      next += step;
    }
  }

  // --- what is written ---

  void collect_host(TimestampMs time, bool full) {
    collectors_->collect(full ? collectors_->enabled() : fast_, std::chrono::milliseconds(0), collection_);
    duration_->observe(std::chrono::duration<double>(collection_.duration).count());
    added_ = 0;
    for (const Collection::Part& part : collection_.parts) {
      add_group(groups_[kFirstCollector + part.collector], collection_.of(part), time);
    }
    if (full) add_meta(node_meta_, groups_[kNodeMeta], time, collection_.duration, collection_.samples.size());
  }

  void collect_self(TimestampMs time, bool full) {
    if (!full && fast_names_.empty()) return;
    auto begin = Steady::now();
    auto seconds = std::chrono::duration_cast<std::chrono::seconds>(begin.time_since_epoch()).count();
    self_fast_.begin(seconds);
    if (full) self_rest_.begin(seconds);
    std::vector<Registry::Family> families = registry_.collect();
    for (const Registry::Family& family : families) {
      bool fast = fast_names_.contains(family.name);
      if (!fast && !full) continue;
      Writer& writer = fast ? self_fast_ : self_rest_;
      const Family*& known = self_families_[family.name];
      if (known == nullptr) known = &writer.family(family.name, family_type(family.type), family.help);
      for (const Registry::Sample& sample : family.samples) {
        std::span<const Label> labels;
        if (!sample.labels.empty()) labels = std::span(&sample.labels[0], sample.labels.size());
        if (sample.suffix.empty()) {
          writer.put_labels(*known, family.name, labels, sample.value);
        } else {
          writer.put_labels(*known, family.name + std::string(sample.suffix), labels, sample.value);
        }
      }
    }
    added_ = 0;
    add_group(groups_[kSelfFast], self_fast_.samples(), time);
    if (!full) return;
    add_group(groups_[kSelfRest], self_rest_.samples(), time);
    add_meta(self_meta_, groups_[kSelfMeta], time, Steady::now() - begin,
             self_fast_.samples().size() + self_rest_.samples().size());
  }

  // As Prometheus writes for each target it scrapes.
  void add_meta(Writer& writer, Group& group, TimestampMs time, std::chrono::nanoseconds duration,
                std::size_t samples) {
    writer.begin(std::chrono::duration_cast<std::chrono::seconds>(Steady::now().time_since_epoch()).count());
    auto put = [&](std::string_view name, double value) { writer.put(writer.gauge(name), value); };
    put("up", 1);
    put("scrape_duration_seconds", std::chrono::duration<double>(duration).count());
    put("scrape_samples_scraped", static_cast<double>(samples));
    put("scrape_samples_post_metric_relabeling", static_cast<double>(samples));
    put("scrape_series_added", static_cast<double>(added_));
    add_group(group, writer.samples(), time);
  }

  void add_group(Group& group, std::span<const Sample> samples, TimestampMs time) {
    bool same = group.live.size() == samples.size();
    for (std::size_t i = 0; i < samples.size(); ++i) {
      Series& series = *samples[i].series;
      if (series.consumer_mark == 0) ++added_;
      series.consumer_mark = mark_;
      announce(*series.family);
      add_row(samples[i].series, time, samples[i].value);
      same = same && group.live[i] == samples[i].series;
    }
    if (same) return;
    for (auto& series : group.live) {
      if (series->consumer_mark != mark_) add_stale(series, time);
    }
    group.live.clear();
    for (const Sample& sample : samples) group.live.push_back(sample.series);
  }

  void add_stale(const std::shared_ptr<Series>& series, TimestampMs time) {
    series->consumer_mark = 0;
    add_row(series, time, metrics::kStaleNaN);
  }

  void add_row(const std::shared_ptr<Series>& series, TimestampMs time, double value) {
    flight_->owners.push_back(series);
    flight_->rows.push_back({time, value});
  }

  void announce(const Family& family) {
    if (!announced_.insert(&family).second) return;
    flight_->metadata.push_back({family.name, std::string(metadata_type(family.type)), family.help, {}});
  }

  // --- handing over ---

  void begin_flight() {
    if (flight_ == nullptr) flight_ = std::make_shared<Flight>();
    flight_->clear();
  }

  void send() {
    Flight& flight = *flight_;
    flight.series.resize(flight.rows.size());
    for (std::size_t i = 0; i < flight.rows.size(); ++i) {
      flight.series[i] = {};
      flight.series[i].ref = flight.owners[i]->consumer_ref;
      flight.series[i].labels = &flight.owners[i]->labels;
      flight.series[i].floats = std::span(&flight.rows[i], 1);
    }
    if (flight.rows.empty()) return;
    under_way_ = true;
    spawn<Result<metrics::AppendResult>>(appender_.append(options_.tenant, {flight.series, flight.metadata}),
                                         [flight = flight_](Result<metrics::AppendResult> result) {
                                           std::lock_guard lock(flight->mutex);
                                           flight->result.emplace(std::move(result));
                                           flight->done.notify_all();
                                         });
  }

  // Takes the answer of the append under way, if there is one. False when it has not come until `limit`.
  bool settle(Steady::time_point limit) {
    if (!under_way_) return true;
    Flight& flight = *flight_;
    {
      std::unique_lock lock(flight.mutex);
      if (!flight.result && (limit == Steady::time_point::min() ||
                             !flight.done.wait_until(lock, limit, [&] { return flight.result.has_value(); }))) {
        return false;
      }
    }
    under_way_ = false;
    if (!*flight.result) {
      failures_->add();
      if (!failing_) log::warn("agent", "host metrics cannot be stored", {{"error", flight.result->error()}});
      failing_ = true;
      announced_.clear();
      for (std::size_t i = 0; i < flight.rows.size(); ++i) {
        if (metrics::is_stale(flight.rows[i].value)) unmarked_.push_back(flight.owners[i]);
      }
      return true;
    }
    failing_ = false;
    for (std::size_t i = 0; i < flight.series.size(); ++i) flight.owners[i]->consumer_ref = flight.series[i].ref;
    for (const auto& rejected : (*flight.result)->rejected) {
      registry_
          .counter("tocayo_agent_rejected_samples_total", "Host samples that the store rejected.",
                   {{"reason", std::string(rejected.reason)}})
          .add(static_cast<double>(rejected.count));
    }
    return true;
  }

  HostAgentOptions options_;
  std::unique_ptr<HostCollectors> collectors_;
  metrics::Appender& appender_;
  Registry& registry_;
  Clock& clock_;

  Selection fast_;
  Writer node_meta_, self_meta_, self_fast_, self_rest_;
  std::unordered_set<std::string> fast_names_;
  std::unordered_map<std::string, const Family*> self_families_;
  std::vector<Group> groups_;
  Collection collection_;
  std::unordered_set<const Family*> announced_;
  std::vector<std::shared_ptr<Series>> unmarked_;  // gone, but their stale marker could not be written
  std::uint64_t mark_ = 0;
  std::size_t added_ = 0;

  std::shared_ptr<Flight> flight_;  // shared with the append under way
  bool under_way_ = false;
  bool failing_ = false;
  bool full_due_ = false;
  bool stopped_ = false;
  TimestampMs last_time_ = 0;

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;

  Counter *skipped_append_, *skipped_late_, *failures_, *samples_;
  Histogram* duration_;
};

}  // namespace

Result<std::unique_ptr<HostAgent>> HostAgent::create(HostAgentOptions options, metrics::Appender& appender,
                                                     Registry& registry, Clock& clock) {
  if (options.fast_interval.count() < 100 || options.interval < options.fast_interval ||
      options.interval.count() % options.fast_interval.count() != 0) {
    return fail(ErrorKind::bad_input,
                "host collection interval must be a multiple of the fast interval, which is at least 100ms");
  }
  for (const std::string& name : options.fast_collectors) {
    if (collector_index(name) < 0) return fail(ErrorKind::bad_input, "unknown host collector \"" + name + "\"");
  }
  if (options.instance.empty()) options.instance = host_name();
  options.host.constant_labels = Labels{{"job", options.job}, {"instance", options.instance}};
  auto collectors = TRY(HostCollectors::create(options.host));
  return std::make_unique<Agent>(std::move(options), std::move(collectors), appender, registry, clock);
}

}  // namespace tocayo::agent
