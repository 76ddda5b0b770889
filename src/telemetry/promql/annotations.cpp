// SPDX-License-Identifier: Apache-2.0
#include "promql/annotations.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "promql/printer.h"

namespace tocayo::promql {
namespace {

Annotation make(Annotation::Level level, std::string text, PositionRange position) {
  Annotation result;
  result.level = level;
  result.text = (level == Annotation::Level::warning ? "PromQL warning: " : "PromQL info: ") + std::move(text);
  result.position = position;
  return result;
}
Annotation warning(std::string text, PositionRange position) {
  return make(Annotation::Level::warning, std::move(text), position);
}
Annotation info(std::string text, PositionRange position) {
  return make(Annotation::Level::info, std::move(text), position);
}

std::string for_metric(std::string text, std::string_view metric_name) {
  if (!metric_name.empty()) text += " for metric name " + go_quote(metric_name);
  return text;
}

std::string_view name(HistogramOperation operation) {
  static constexpr std::string_view kNames[] = {"addition", "subtraction", "aggregation"};
  return kNames[static_cast<int>(operation)];
}

// Go's %.2g.
std::string two_digits(double value) {
  if (!std::isfinite(value)) return format_general(value);
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.2g", value);
  return buffer;
}

std::string whole_seconds(TimestampMs time) {
  std::string text = format_rfc3339(time / 1000 * 1000);  // "2026-11-24T10:00:00.000Z"
  if (auto dot = text.find('.'); dot != std::string::npos)
    text.erase(dot, text.find_first_not_of("0123456789", dot + 1) - dot);
  return text;
}

// `older` is already there, `newer` has the same text.
void merge_into(Annotation& older, Annotation newer) {
  switch (newer.detail) {
    case Annotation::Detail::none: older = std::move(newer); return;
    case Annotation::Detail::start_time_overlap: older.count += newer.count; return;
    case Annotation::Detail::forced_monotonicity:
      older.min_time = std::min(older.min_time, newer.min_time);
      older.max_time = std::max(older.max_time, newer.max_time);
      older.min_bucket = std::min(older.min_bucket, newer.min_bucket);
      older.max_bucket = std::max(older.max_bucket, newer.max_bucket);
      older.max_difference = std::max(older.max_difference, newer.max_difference);
      older.count += newer.count;
      return;
  }
}

}  // namespace

std::string Annotation::to_string(std::string_view query) const {
  std::string out = text;
  switch (detail) {
    case Detail::none: break;
    case Detail::forced_monotonicity:
      out += fmt::format(", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
                         format_general(min_bucket), format_general(max_bucket), two_digits(max_difference), count,
                         whole_seconds(min_time), whole_seconds(max_time));
      break;
    case Detail::start_time_overlap:
      if (count > 1) out += fmt::format(" ({} occurrences)", count);
      break;
  }
  if (position.start >= 0) out += fmt::format(" ({})", position_text(query, position));
  return out;
}

namespace annotation {

Annotation invalid_quantile(double quantile, PositionRange position) {
  return warning("quantile value should be between 0 and 1, got " + format_general(quantile), position);
}
Annotation invalid_ratio(double ratio, double capped_to, PositionRange position) {
  return warning(fmt::format("ratio value should be between -1 and 1, got {}, capping to {}", format_general(ratio),
                             format_general(capped_to)),
                 position);
}
Annotation bad_bucket_label(std::string_view metric_name, std::string_view label_value, PositionRange position) {
  return warning(
      for_metric("bucket label \"le\" is missing or has a malformed value of " + go_quote(label_value), metric_name),
      position);
}
Annotation mixed_floats_histograms(std::string_view metric_name, PositionRange position) {
  return warning("encountered a mix of histograms and floats for metric name " + go_quote(metric_name), position);
}
Annotation mixed_floats_histograms_aggregation(PositionRange position) {
  return warning("encountered a mix of histograms and floats for aggregation", position);
}
Annotation mixed_classic_native_histograms(std::string_view metric_name, PositionRange position) {
  return warning(for_metric("vector contains a mix of classic and native histograms", metric_name), position);
}
Annotation native_histogram_not_counter(std::string_view metric_name, PositionRange position) {
  return warning("this native histogram metric is not a counter: " + go_quote(metric_name), position);
}
Annotation native_histogram_not_gauge(std::string_view metric_name, PositionRange position) {
  return warning("this native histogram metric is not a gauge: " + go_quote(metric_name), position);
}
Annotation mixed_exponential_custom_histograms(std::string_view metric_name, PositionRange position) {
  return warning("vector contains a mix of histograms with exponential and custom buckets schemas for metric name " +
                     go_quote(metric_name),
                 position);
}
Annotation incompatible_bucket_layout_in_binop(std::string_view op, PositionRange position) {
  return warning(fmt::format("incompatible bucket layout encountered for binary operator {}", op), position);
}
Annotation sort_in_range_query(PositionRange position) {
  return warning("sort is ineffective for range queries since results are always ordered by labels", position);
}
Annotation counter_reset_collision(PositionRange position, HistogramOperation operation) {
  return warning(fmt::format("conflicting counter resets during histogram {}", name(operation)), position);
}
Annotation start_time_overlap(std::string_view metric_name, PositionRange position) {
  Annotation result =
      warning("sample has start time that overlaps with previous sample timestamp for metric " + go_quote(metric_name),
              position);
  result.detail = Annotation::Detail::start_time_overlap;
  return result;
}
Annotation possible_non_counter(std::string_view metric_name, PositionRange position) {
  return info(
      "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: " + go_quote(metric_name),
      position);
}
Annotation possible_non_counter_label(std::string_view metric_name, std::string_view type_label,
                                      PositionRange position) {
  return info(
      fmt::format(
          "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {}: {}",
          go_quote(type_label), go_quote(metric_name)),
      position);
}
Annotation forced_monotonicity(std::string_view metric_name, PositionRange position, TimestampMs time,
                               double min_bucket, double max_bucket, double max_difference) {
  Annotation result =
      info(for_metric("input to histogram_quantile needed to be fixed for monotonicity (see "
                      "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)",
                      metric_name),
           position);
  result.detail = Annotation::Detail::forced_monotonicity;
  result.min_time = result.max_time = time;
  result.min_bucket = min_bucket;
  result.max_bucket = max_bucket;
  result.max_difference = max_difference;
  return result;
}
Annotation incompatible_types_in_binop(std::string_view lhs_type, std::string_view op, std::string_view rhs_type,
                                       PositionRange position) {
  return info(fmt::format("incompatible sample types encountered for binary operator {}: {} {} {}", go_quote(op),
                          lhs_type, op, rhs_type),
              position);
}
Annotation histogram_ignored_in_aggregation(std::string_view aggregation, PositionRange position) {
  return info(fmt::format("ignored histogram in {} aggregation", aggregation), position);
}
Annotation histogram_ignored_in_mixed_range(std::string_view metric_name, PositionRange position) {
  return info(
      "ignored histograms in a range containing both floats and histograms for metric name " + go_quote(metric_name),
      position);
}
Annotation quantile_nan_result(std::string_view metric_name, PositionRange position) {
  return info(for_metric("input to histogram_quantile has NaN observations, result is NaN", metric_name), position);
}
Annotation quantile_nan_skew(std::string_view metric_name, PositionRange position) {
  return info(for_metric("input to histogram_quantile has NaN observations, result is skewed higher", metric_name),
              position);
}
Annotation fraction_nans(std::string_view metric_name, PositionRange position) {
  return info(for_metric("input to histogram_fraction has NaN observations, which are excluded from all fractions",
                         metric_name),
              position);
}
Annotation mismatched_custom_buckets(PositionRange position, HistogramOperation operation) {
  return info(fmt::format("mismatched custom buckets were reconciled during {}", name(operation)), position);
}
Annotation plain_warning(std::string text) {
  Annotation result;
  result.text = std::move(text);
  result.position = {-1, -1};
  return result;
}

}  // namespace annotation

void Annotations::add(Annotation annotation) {
  auto [it, added] = entries_.try_emplace(annotation.text, annotation);
  if (!added) merge_into(it->second, std::move(annotation));
}

void Annotations::merge(const Annotations& other) {
  for (const auto& [text, annotation] : other.entries_) add(annotation);
}

Annotations::Texts Annotations::texts(std::string_view query, std::size_t max_warnings, std::size_t max_infos) const {
  Texts result;
  std::size_t more_warnings = 0, more_infos = 0;
  for (const auto& [text, annotation] : entries_) {
    bool is_info = annotation.level == Annotation::Level::info;
    auto& list = is_info ? result.infos : result.warnings;
    std::size_t most = is_info ? max_infos : max_warnings;
    if (most == 0 || list.size() < most)
      list.push_back(annotation.to_string(query));
    else
      ++(is_info ? more_infos : more_warnings);
  }
  if (more_warnings > 0) result.warnings.push_back(fmt::format("{} more warning annotations omitted", more_warnings));
  if (more_infos > 0) result.infos.push_back(fmt::format("{} more info annotations omitted", more_infos));
  return result;
}

}  // namespace tocayo::promql
