// SPDX-License-Identifier: Apache-2.0
#include "metrics/api/quantiles.h"

#include <algorithm>
#include <limits>

namespace tocayo::metrics::api {

void QueryDurations::observe(Slice slice, double seconds) {
  std::lock_guard lock(mutex_);
  Window& window = windows_[slice];
  if (window.ring.size() < kWindow) {
    window.ring.push_back(seconds);
  } else {
    window.ring[window.next] = seconds;
    window.next = (window.next + 1) % kWindow;
  }
  window.sum += seconds;
  ++window.count;
}

void QueryDurations::collect(std::vector<Registry::Family>& families) const {
  Registry::Family family{"prometheus_engine_query_duration_seconds", "Query timings.", MetricType::untyped, {}};
  std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < windows_.size(); ++i) {
    const Window& window = windows_[i];
    const std::string slice(kNames[i]);
    std::vector<double> sorted = window.ring;
    std::sort(sorted.begin(), sorted.end());
    for (const auto& [quantile, text] : {std::pair{0.5, "0.5"}, std::pair{0.9, "0.9"}, std::pair{0.99, "0.99"}}) {
      const double value = sorted.empty()
                               ? std::numeric_limits<double>::quiet_NaN()
                               : sorted[static_cast<std::size_t>(quantile * static_cast<double>(sorted.size() - 1))];
      family.samples.push_back({"", {{"quantile", text}, {"slice", slice}}, value});
    }
    family.samples.push_back({"_sum", {{"slice", slice}}, window.sum});
    family.samples.push_back({"_count", {{"slice", slice}}, static_cast<double>(window.count)});
  }
  families.push_back(std::move(family));
}

}  // namespace tocayo::metrics::api
