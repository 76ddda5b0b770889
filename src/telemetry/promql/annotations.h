// SPDX-License-Identifier: Apache-2.0
// Warnings and infos of a query, in Prometheus' words. Deduplicated by text (before the position is known); the
// position suffix " (line:col)" and the details of merged ones come only when texts are taken out with the query.
//
// Value type; not synchronised: each worker collects its own and the results are merge()d in a fixed order.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "promql/ast.h"

namespace tocayo::promql {

enum class HistogramOperation : unsigned char { addition, subtraction, aggregation };

struct Annotation {
  enum class Level : unsigned char { warning, info };
  enum class Detail : unsigned char { none, forced_monotonicity, start_time_overlap };

  Level level = Level::warning;
  std::string text;        // with its "PromQL warning: " or "PromQL info: "; the key of deduplication
  PositionRange position;  // where it was raised (last, when it was raised in several places)
  Detail detail = Detail::none;
  std::int64_t count = 1;  // how many were merged into this one (only counted for a detail)
  // forced_monotonicity only
  TimestampMs min_time = 0, max_time = 0;
  double min_bucket = 0, max_bucket = 0, max_difference = 0;

  // text + details + " (line:col)".
  std::string to_string(std::string_view query) const;
};

// One function per kind; `metric_name` may be empty where the message then does without.
namespace annotation {
// warnings
Annotation invalid_quantile(double quantile, PositionRange position);
Annotation invalid_ratio(double ratio, double capped_to, PositionRange position);
Annotation bad_bucket_label(std::string_view metric_name, std::string_view label_value, PositionRange position);
Annotation mixed_floats_histograms(std::string_view metric_name, PositionRange position);
Annotation mixed_floats_histograms_aggregation(PositionRange position);
Annotation mixed_classic_native_histograms(std::string_view metric_name, PositionRange position);
Annotation native_histogram_not_counter(std::string_view metric_name, PositionRange position);
Annotation native_histogram_not_gauge(std::string_view metric_name, PositionRange position);
Annotation mixed_exponential_custom_histograms(std::string_view metric_name, PositionRange position);
Annotation incompatible_bucket_layout_in_binop(std::string_view op, PositionRange position);
Annotation sort_in_range_query(PositionRange position);
Annotation counter_reset_collision(PositionRange position, HistogramOperation operation);
Annotation start_time_overlap(std::string_view metric_name, PositionRange position);
// infos
Annotation possible_non_counter(std::string_view metric_name, PositionRange position);
Annotation possible_non_counter_label(std::string_view metric_name, std::string_view type_label,
                                      PositionRange position);
Annotation forced_monotonicity(std::string_view metric_name, PositionRange position, TimestampMs time,
                               double min_bucket, double max_bucket, double max_difference);
Annotation incompatible_types_in_binop(std::string_view lhs_type, std::string_view op, std::string_view rhs_type,
                                       PositionRange position);
Annotation histogram_ignored_in_aggregation(std::string_view aggregation, PositionRange position);
Annotation histogram_ignored_in_mixed_range(std::string_view metric_name, PositionRange position);
Annotation quantile_nan_result(std::string_view metric_name, PositionRange position);
Annotation quantile_nan_skew(std::string_view metric_name, PositionRange position);
Annotation fraction_nans(std::string_view metric_name, PositionRange position);
Annotation mismatched_custom_buckets(PositionRange position, HistogramOperation operation);
// Anything else, e.g. a store's warning: no "PromQL …: " prefix, no position.
Annotation plain_warning(std::string text);
}  // namespace annotation

class Annotations {
 public:
  // A second one with the same text keeps the newer position and merges the details.
  void add(Annotation annotation);
  void merge(const Annotations& other);
  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }
  void clear() { entries_.clear(); }

  struct Texts {
    std::vector<std::string> warnings;
    std::vector<std::string> infos;
  };
  // With positions, sorted by text. At most max_warnings / max_infos each (0 = no limit), then one line
  // "N more warning annotations omitted" / "N more info annotations omitted".
  Texts texts(std::string_view query, std::size_t max_warnings = 0, std::size_t max_infos = 0) const;

  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

 private:
  std::map<std::string, Annotation, std::less<>> entries_;  // by text: the order of output is stable
};

// What the HTTP API shows at most of each kind.
inline constexpr std::size_t kApiAnnotationLimit = 10;

}  // namespace tocayo::promql
