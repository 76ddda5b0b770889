// SPDX-License-Identifier: Apache-2.0
// What a tenant has beside its series: exemplars and metadata. Both thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "metrics/store.h"

namespace tocayo::metrics {

// A ring over all series of a tenant: the oldest exemplar goes when the limit is reached.
class ExemplarStore {
 public:
  enum class Outcome : unsigned char { added, duplicate, out_of_order, disabled };
  Outcome add(const Labels& series, const ExemplarRow& row, std::size_t limit);
  std::vector<ExemplarSeries> select(std::span<const std::vector<Matcher>> sets, TimestampMs start,
                                     TimestampMs end) const;
  std::size_t memory_bytes() const;
  // Everything, in order of arrival per series.
  std::vector<ExemplarSeries> all() const;

 private:
  using Series = std::unordered_map<Labels, std::deque<ExemplarRow>, LabelsHash>;
  mutable std::mutex mutex_;
  Series series_;
  std::deque<const Series::value_type*> order_;  // whose front is the oldest
  std::size_t bytes_ = 0;
};

// Metric name → what writers say about it, latest first, at most kMaxPerMetric.
class MetadataStore {
 public:
  static constexpr std::size_t kMaxPerMetric = 10;
  enum class Outcome : unsigned char { known, added, too_many_metrics, too_many_for_metric };
  bool knows(const MetadataRow& row) const;  // already the latest of its metric
  Outcome add(const MetadataRow& row, std::size_t max_metrics, std::size_t max_per_metric);
  std::vector<MetadataRow> rows(std::string_view metric, std::size_t limit, std::size_t limit_per_metric) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<MetadataRow>, std::less<>> metrics_;
};

}  // namespace tocayo::metrics
