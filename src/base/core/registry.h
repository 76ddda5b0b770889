// SPDX-License-Identifier: Apache-2.0
// The program's own metrics. Every room declares its counters here; /metrics prints them and the embedded agent stores
// them. Handles are references that live as long as the registry; updating one is lock-free and allocation-free.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/labels.h"

namespace tocayo {

class Counter {
 public:
  void add(double amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// Classic histogram with fixed upper bounds (ascending, without +Inf).
class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds);
  void observe(double value);
  std::span<const double> bounds() const { return bounds_; }
  // Cumulative counts per bound, then the total; `sum` may be newer than the counts by a few observations.
  std::vector<std::uint64_t> cumulative() const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  std::vector<double> bounds_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> buckets_;
  std::atomic<double> sum_{0};
};

// Shortest round-trip decimal; "NaN", "+Inf", "-Inf" as the text format writes them.
std::string format_prometheus_value(double value);

// 100 µs … 60 s, for anything timed in seconds.
std::span<const double> default_seconds_bounds();

enum class MetricType : unsigned char { counter, gauge, histogram, untyped };

class Registry {
 public:
  struct Sample {             // one line of the text format
    std::string_view suffix;  // "", or "_bucket", "_sum", "_count"; the line's name is family.name + suffix
    Labels labels;            // without __name__
    double value;
  };
  struct Family {
    std::string name;
    std::string help;
    MetricType type;
    std::vector<Sample> samples;
  };

  static Registry& global();

  // Find or create. The same name must keep its type; help of the first call wins. Thread-safe; O(log n): keep the
  // reference.
  Counter& counter(std::string_view name, std::string_view help, Labels labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, Labels labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, Labels labels = {},
                       std::span<const double> bounds = default_seconds_bounds());

  // Called at each collection, to fill families that are cheaper read than kept (sizes, /proc). `owner` groups
  // callbacks for removal, which waits for those that run. A collector may take locks under which its owner makes
  // metrics, but none under which he adds or removes collectors.
  using Collector = std::function<void(std::vector<Family>&)>;
  void add_collector(const void* owner, Collector collector);
  void remove_collectors(const void* owner);

  // Snapshot of everything, sorted by family name. Thread-safe.
  std::vector<Family> collect() const;
  // Text exposition 0.0.4.
  std::string to_text() const;

 private:
  struct Child {
    Labels labels;
    std::unique_ptr<Counter> counter;
    std::unique_ptr<Gauge> gauge;
    std::unique_ptr<Histogram> histogram;
  };
  struct Entry {
    std::string help;
    MetricType type;
    std::map<Labels, Child> children;
  };
  Child& child(std::string_view name, std::string_view help, MetricType type, Labels labels);

  mutable std::mutex mutex_;  // of entries_
  std::map<std::string, Entry, std::less<>> entries_;
  mutable std::mutex collectors_mutex_;  // held while they run; taken before mutex_
  std::vector<std::pair<const void*, Collector>> collectors_;
};

}  // namespace tocayo
