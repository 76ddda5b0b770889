// SPDX-License-Identifier: Apache-2.0
// Classic histograms to native ones with custom buckets, as load_with_nhcb (and scraping with that option) does.
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <map>

#include "promql/parser_internal.h"
#include "promql/testfile_internal.h"

namespace tocayo::promql::testing::detail {
namespace {

struct Classic {
  std::map<double, double> buckets;  // upper bound, cumulative count; the first of equal bounds counts
  std::optional<double> count;
  double sum = 0;
};

std::unexpected<Error> bad(std::string message) { return fail(ErrorKind::bad_input, std::move(message)); }

bool is_whole(double value) { return std::isfinite(value) && value == std::round(value); }

Result<metrics::HistogramPtr> convert(Classic classic) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (!classic.count) classic.count = classic.buckets.empty() ? 0 : classic.buckets.rbegin()->second;
  classic.buckets.try_emplace(kInfinity, *classic.count);
  metrics::FloatHistogram result;
  result.schema = metrics::kCustomBucketsSchema;
  result.count = *classic.count;
  result.sum = classic.sum;
  bool whole = is_whole(*classic.count);
  double before = 0;
  for (auto [bound, cumulative] : classic.buckets) {
    if (cumulative < 0)
      return bad(fmt::format("bucket count must be non-negative: le={}, count={}", bound, cumulative));
    if (cumulative < before) return bad(fmt::format("count is not cumulative: {} < {}", cumulative, before));
    whole = whole && is_whole(cumulative);
    result.positive_buckets.push_back(cumulative - before);
    if (bound != kInfinity) result.custom_values.push_back(bound);
    before = cumulative;
  }
  if (before != *classic.count)
    return bad(fmt::format("count mismatch: count={} != le=+Inf count={}", *classic.count, before));
  result.positive_spans = {{0, static_cast<std::uint32_t>(result.positive_buckets.size())}};
  result.compact(whole ? 2 : 0);
  return std::make_shared<const metrics::FloatHistogram>(std::move(result));
}

enum class Part { bucket, count, sum };

std::optional<std::pair<Part, std::string_view>> split_name(std::string_view name) {
  for (auto [suffix, part] :
       {std::pair<std::string_view, Part>{"_bucket", Part::bucket}, {"_sum", Part::sum}, {"_count", Part::count}}) {
    if (name.ends_with(suffix)) return std::pair(part, name.substr(0, name.size() - suffix.size()));
  }
  return std::nullopt;
}

}  // namespace

Result<> append_custom_bucket_histograms(std::vector<TestSeries>& series) {
  std::map<Labels, std::map<TimestampMs, Classic>> histograms;
  for (const TestSeries& one : series) {
    auto split = split_name(one.labels.get(kMetricName));
    if (!split) continue;
    double bound = 0;
    if (split->first == Part::bucket) {
      auto parsed = promql::detail::parse_number_text(one.labels.get("le"));
      if (!parsed || std::isnan(*parsed)) continue;
      bound = *parsed;
    }
    Labels base = one.labels;
    base.set(kMetricName, split->second);
    base.erase("le");
    auto& by_time = histograms[base];
    for (const TestPoint& point : one.points) {
      if (point.histogram) continue;
      Classic& classic = by_time[point.time];
      if (split->first == Part::bucket)
        classic.buckets.try_emplace(bound, point.value);
      else if (split->first == Part::count)
        classic.count = point.value;
      else
        classic.sum = point.value;
    }
  }
  for (auto& [labels, by_time] : histograms) {
    TestSeries converted{labels, {}};
    for (auto& [time, classic] : by_time) {
      auto histogram = convert(std::move(classic));
      if (!histogram) return bad(labels.to_string() + ": " + histogram.error().message);
      converted.points.push_back({.time = time, .histogram = std::move(*histogram)});
    }
    if (!converted.points.empty()) series.push_back(std::move(converted));
  }
  return {};
}

}  // namespace tocayo::promql::testing::detail
