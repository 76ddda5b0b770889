// SPDX-License-Identifier: Apache-2.0
#include "core/registry.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <iterator>

#include "core/log.h"

namespace tocayo {

std::string format_prometheus_value(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char buffer[32];
  auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  return std::string(buffer, end);
}

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(bounds.begin(), bounds.end()), buckets_(new std::atomic<std::uint64_t>[bounds.size() + 1]()) {}

void Histogram::observe(double value) {
  auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  buckets_[static_cast<std::size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

std::vector<std::uint64_t> Histogram::cumulative() const {
  std::vector<std::uint64_t> counts(bounds_.size() + 1);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = total += buckets_[i].load(std::memory_order_relaxed);
  return counts;
}

std::span<const double> default_seconds_bounds() {
  static constexpr double kBounds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                       0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};
  return kBounds;
}

Registry& Registry::global() {
  static auto* registry = new Registry;  // never destroyed: threads may count until the very end
  return *registry;
}

Registry::Child& Registry::child(std::string_view name, std::string_view help, MetricType type, Labels labels) {
  auto it = entries_.find(name);
  if (it == entries_.end()) {
    it = entries_.emplace(std::string(name), Entry{std::string(help), type, {}}).first;
  } else if (it->second.type != type) {
    log::error("core", "a metric was registered with two types", {{"metric", name}});
    std::abort();
  }
  Child& made = it->second.children[labels];
  made.labels = std::move(labels);
  return made;
}

Counter& Registry::counter(std::string_view name, std::string_view help, Labels labels) {
  std::lock_guard lock(mutex_);
  Child& found = child(name, help, MetricType::counter, std::move(labels));
  if (!found.counter) found.counter = std::make_unique<Counter>();
  return *found.counter;
}

Gauge& Registry::gauge(std::string_view name, std::string_view help, Labels labels) {
  std::lock_guard lock(mutex_);
  Child& found = child(name, help, MetricType::gauge, std::move(labels));
  if (!found.gauge) found.gauge = std::make_unique<Gauge>();
  return *found.gauge;
}

Histogram& Registry::histogram(std::string_view name, std::string_view help, Labels labels,
                               std::span<const double> bounds) {
  std::lock_guard lock(mutex_);
  Child& found = child(name, help, MetricType::histogram, std::move(labels));
  if (!found.histogram) found.histogram = std::make_unique<Histogram>(bounds);
  return *found.histogram;
}

void Registry::add_collector(const void* owner, Collector collector) {
  std::lock_guard lock(collectors_mutex_);
  collectors_.emplace_back(owner, std::move(collector));
}

void Registry::remove_collectors(const void* owner) {
  std::lock_guard lock(collectors_mutex_);
  std::erase_if(collectors_, [&](const auto& entry) { return entry.first == owner; });
}

std::vector<Registry::Family> Registry::collect() const {
  // Not under mutex_: a collector takes locks of its owner, who may make a metric while he holds them.
  std::vector<Family> collected;
  std::lock_guard collecting(collectors_mutex_);
  for (const auto& [owner, collector] : collectors_) collector(collected);
  std::vector<Family> families;
  std::lock_guard lock(mutex_);
  for (const auto& [name, entry] : entries_) {
    Family& family = families.emplace_back(Family{name, entry.help, entry.type, {}});
    for (const auto& [labels, child] : entry.children) {
      if (child.counter) family.samples.push_back({"", labels, child.counter->value()});
      if (child.gauge) family.samples.push_back({"", labels, child.gauge->value()});
      if (child.histogram) {
        auto counts = child.histogram->cumulative();
        auto bounds = child.histogram->bounds();
        for (std::size_t i = 0; i < counts.size(); ++i) {
          Labels with_bound = labels;
          with_bound.set("le", i < bounds.size() ? format_prometheus_value(bounds[i]) : "+Inf");
          family.samples.push_back({"_bucket", std::move(with_bound), static_cast<double>(counts[i])});
        }
        family.samples.push_back({"_sum", labels, child.histogram->sum()});
        family.samples.push_back({"_count", labels, static_cast<double>(counts.back())});
      }
    }
  }
  std::ranges::move(collected, std::back_inserter(families));
  std::stable_sort(families.begin(), families.end(), [](const Family& a, const Family& b) { return a.name < b.name; });
  return families;
}

std::string Registry::to_text() const {
  static constexpr std::string_view kTypes[] = {"counter", "gauge", "histogram", "untyped"};
  auto escape = [](std::string& out, std::string_view text, bool quotes) {
    for (char c : text) {
      if (c == '\\')
        out += "\\\\";
      else if (c == '\n')
        out += "\\n";
      else if (c == '"' && quotes)
        out += "\\\"";
      else
        out += c;
    }
  };
  std::string out;
  std::string previous;
  for (const Family& family : collect()) {
    if (family.name != previous) {
      out += "# HELP " + family.name + ' ';
      escape(out, family.help, false);
      out += "\n# TYPE " + family.name + ' ';
      out += kTypes[static_cast<int>(family.type)];
      out += '\n';
      previous = family.name;
    }
    for (const Sample& sample : family.samples) {
      out += family.name;
      out += sample.suffix;
      char separator = '{';
      for (const Label& label : sample.labels) {
        out += separator;
        separator = ',';
        out += label.name + "=\"";
        escape(out, label.value, true);
        out += '"';
      }
      if (separator == ',') out += '}';
      out += ' ' + format_prometheus_value(sample.value) + '\n';
    }
  }
  return out;
}

}  // namespace tocayo
