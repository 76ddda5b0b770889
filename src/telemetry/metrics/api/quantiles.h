// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "core/registry.h"

namespace tocayo::metrics::api {

// prometheus_engine_query_duration_seconds as Prometheus' own dashboards read it: per slice of a query's life the
// quantiles of the last 1024 queries, with sum and count. Thread-safe.
class QueryDurations {
 public:
  enum Slice : unsigned char { queue_time, prepare_time, inner_eval, result_sort };
  static constexpr std::array<std::string_view, 4> kNames = {"queue_time", "prepare_time", "inner_eval", "result_sort"};
  static constexpr std::size_t kWindow = 1024;

  void observe(Slice slice, double seconds);
  void collect(std::vector<Registry::Family>& families) const;

 private:
  struct Window {
    std::vector<double> ring;
    std::size_t next = 0;
    double sum = 0;
    std::uint64_t count = 0;
  };
  mutable std::mutex mutex_;
  std::array<Window, 4> windows_;
};

}  // namespace tocayo::metrics::api
