// SPDX-License-Identifier: Apache-2.0
// Expected against got.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "promql/printer.h"
#include "promql/testfile_internal.h"

namespace tocayo::promql::testing {
namespace {

using metrics::FloatHistogram;

constexpr double kEpsilon = 0.000001;

// Populated buckets by index.
std::map<std::int64_t, double> populated(const std::vector<metrics::Span>& spans, const std::vector<double>& counts) {
  std::map<std::int64_t, double> result;
  std::int64_t index = 0;
  std::size_t at = 0;
  for (const metrics::Span& span : spans) {
    index += span.offset;
    for (std::uint32_t i = 0; i < span.length && at < counts.size(); ++i, ++index, ++at) {
      if (counts[at] != 0) result[index] = counts[at];
    }
  }
  return result;
}

bool buckets_match(const std::map<std::int64_t, double>& a, const std::map<std::int64_t, double>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && almost_equal(x.second, y.second);
  });
}

// What the HTTP API shows of a histogram: bounds and counts of the populated buckets in ascending order.
struct ApiBucket {
  double lower, upper, count;
};
std::vector<ApiBucket> api_buckets(const FloatHistogram& histogram) {
  std::vector<ApiBucket> result;
  if (histogram.schema == kApiBucketsSchema) {
    for (std::size_t i = 0; i < histogram.positive_buckets.size() && 2 * i + 1 < histogram.custom_values.size(); ++i) {
      if (histogram.positive_buckets[i] == 0) continue;
      result.push_back(
          {histogram.custom_values[2 * i], histogram.custom_values[2 * i + 1], histogram.positive_buckets[i]});
    }
    return result;
  }
  metrics::BucketCursor cursor(histogram, metrics::BucketCursor::Order::ascending);
  while (cursor.next()) {
    if (cursor.bucket().count != 0)
      result.push_back({cursor.bucket().lower, cursor.bucket().upper, cursor.bucket().count});
  }
  return result;
}

bool api_histograms_match(const FloatHistogram& expected, const FloatHistogram& actual) {
  auto a = api_buckets(expected), b = api_buckets(actual);
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const ApiBucket& x, const ApiBucket& y) {
    return almost_equal(x.lower, y.lower) && almost_equal(x.upper, y.upper) && almost_equal(x.count, y.count);
  });
}

std::string shown(const metrics::HistogramPtr& histogram) {
  if (histogram->schema != kApiBucketsSchema) return histogram->to_test_expression();
  std::string buckets;
  for (const ApiBucket& bucket : api_buckets(*histogram)) {
    buckets += fmt::format(" {}..{}:{}", format_general(bucket.lower), format_general(bucket.upper),
                           format_general(bucket.count));
  }
  return fmt::format("{{count:{} sum:{}{}}}", format_general(histogram->count), format_general(histogram->sum),
                     buckets);
}

std::string shown(const Series& series) {
  std::string out;
  for (const FloatPoint& point : series.floats)
    out += fmt::format(" {} @[{}]", format_general(point.value), point.time);
  for (const HistogramPoint& point : series.histograms)
    out += fmt::format(" {} @[{}]", shown(point.histogram), point.time);
  return fmt::format("{} float points and {} histogram points:{}", series.floats.size(), series.histograms.size(), out);
}

std::string shown(const Sample& sample) {
  return sample.histogram ? shown(sample.histogram) : format_general(sample.value);
}

std::string shown(const SequenceValue& value) {
  return value.omitted ? "_" : value.histogram ? shown(value.histogram) : format_general(value.value);
}

const ExpectedSeries* find(const EvalCommand& command, const Labels& labels) {
  auto it = std::find_if(command.series.begin(), command.series.end(),
                         [&](const ExpectedSeries& s) { return s.labels == labels; });
  return it == command.series.end() ? nullptr : &*it;
}

// The first expected label set that `has` does not know.
template <typename F>
std::optional<std::string> missing(const EvalCommand& command, F&& has) {
  for (const ExpectedSeries& expected : command.series) {
    if (has(expected.labels)) continue;
    return fmt::format("expected metric {} with {} not found", expected.labels.to_string(),
                       expected.values.empty() ? "no value" : shown(expected.values[0]));
  }
  return std::nullopt;
}

std::optional<std::string> compare_sample(const EvalCommand& command, const Sample& sample, int position) {
  std::string name = sample.labels.to_string();
  const ExpectedSeries* expected = find(command, sample.labels);
  if (!expected) return fmt::format("unexpected metric {} in result, has value {}", name, shown(sample));
  if (command.ordered && expected->position != position) {
    return fmt::format("expected metric {} at position {} but was at {}", name, expected->position, position);
  }
  if (expected->values.empty()) return fmt::format("no value is expected for {}", name);
  const SequenceValue& value = expected->values[0];
  bool same = static_cast<bool>(value.histogram) == static_cast<bool>(sample.histogram);
  if (same && value.histogram)
    same = histograms_match(*value.histogram, *sample.histogram, value.hint_set);
  else if (same)
    same = almost_equal(value.value, sample.value);
  if (same) return std::nullopt;
  return fmt::format("expected {} for {} but got {}", shown(value), name, shown(sample));
}

std::optional<std::string> compare_vector(const EvalCommand& command, const VectorValue& vector) {
  if (command.scalar)
    return fmt::format("expected scalar result, but got a vector of {} elements", vector.samples.size());
  int position = 0;
  for (const Sample& sample : vector.samples) {
    if (auto problem = compare_sample(command, sample, ++position)) return problem;
  }
  for (std::size_t i = 0; i < vector.samples.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (vector.samples[i].labels == vector.samples[j].labels)
        return "label set twice in the result: " + vector.samples[i].labels.to_string();
    }
  }
  return missing(command, [&](const Labels& labels) {
    return std::any_of(vector.samples.begin(), vector.samples.end(),
                       [&](const Sample& s) { return s.labels == labels; });
  });
}

std::optional<std::string> compare_series(const EvalCommand& command, const Series& series) {
  std::string name = series.labels.to_string();
  const ExpectedSeries* expected = find(command, series.labels);
  if (!expected) return fmt::format("unexpected metric {} in result, has {}", name, shown(series));
  std::size_t floats = 0, histograms = 0;
  TimestampMs time = command.start;
  for (const SequenceValue& value : expected->values) {
    if (time > command.end) {
      return fmt::format("expected {} points for {}, but query time range cannot return this many points",
                         expected->values.size(), name);
    }
    if (value.histogram) {
      std::size_t at = histograms++;
      if (at < series.histograms.size()) {
        const HistogramPoint& actual = series.histograms[at];
        if (actual.time != time || !histograms_match(*value.histogram, *actual.histogram, value.hint_set)) {
          return fmt::format("expected histogram value at index {} (t={}) for {} to be {}, but got {}", at, time, name,
                             shown(value), shown(series));
        }
      }
    } else if (!value.omitted) {
      std::size_t at = floats++;
      if (at < series.floats.size() &&
          (series.floats[at].time != time || !almost_equal(series.floats[at].value, value.value))) {
        return fmt::format("expected float value at index {} (t={}) for {} to be {}, but got {}", at, time, name,
                           shown(value), shown(series));
      }
    }
    time += command.step.count();
  }
  if (floats == series.floats.size() && histograms == series.histograms.size()) return std::nullopt;
  return fmt::format("expected {} float points and {} histogram points for {}, but got {}", floats, histograms, name,
                     shown(series));
}

std::optional<std::string> compare_matrix(const EvalCommand& command, const MatrixValue& matrix) {
  if (command.ordered) return "expected ordered result, but query returned a matrix";
  if (command.scalar) return fmt::format("expected scalar result, but got a matrix of {} series", matrix.series.size());
  if (auto problem = detail::check_sorted(matrix)) return problem;
  for (const Series& series : matrix.series) {
    if (auto problem = compare_series(command, series)) return problem;
  }
  return missing(command, [&](const Labels& labels) {
    return std::any_of(matrix.series.begin(), matrix.series.end(), [&](const Series& s) { return s.labels == labels; });
  });
}

std::optional<std::string> compare_texts(const std::vector<TextExpectation>& expected,
                                         const std::vector<std::string>& actual, std::string_view kind) {
  if (expected.empty()) return std::nullopt;
  if (actual.empty()) return fmt::format("expected {} annotations but none were found", kind);
  for (const TextExpectation& one : expected) {
    if (std::none_of(actual.begin(), actual.end(), [&](const std::string& text) { return one.matches(text); })) {
      return fmt::format("expected {} annotation matching {} but found only: {}", kind, one.describe(),
                         fmt::join(actual, "; "));
    }
  }
  for (const std::string& text : actual) {
    if (std::none_of(expected.begin(), expected.end(), [&](const TextExpectation& one) { return one.matches(text); })) {
      return fmt::format("unexpected {} annotation {}", kind, go_quote(text));
    }
  }
  return std::nullopt;
}

}  // namespace

bool almost_equal(double a, double b) {
  if (metrics::is_stale(a) || metrics::is_stale(b)) return metrics::is_stale(a) && metrics::is_stale(b);
  if (std::isnan(a) && std::isnan(b)) return true;
  if (a == b) return true;
  constexpr double kSmallestNormal = std::numeric_limits<double>::min();
  double sum = std::abs(a) + std::abs(b), difference = std::abs(a - b);
  if (a == 0 || b == 0 || sum < kSmallestNormal) return difference < kEpsilon * kSmallestNormal;
  return difference / std::min(sum, std::numeric_limits<double>::max()) < kEpsilon;
}

bool histograms_match(const FloatHistogram& expected, const FloatHistogram& actual, bool check_hint) {
  if (!almost_equal(expected.count, actual.count) || !almost_equal(expected.sum, actual.sum)) return false;
  if (actual.schema == kApiBucketsSchema) return api_histograms_match(expected, actual);
  if (expected.schema != actual.schema) return false;
  if (expected.uses_custom_buckets() && expected.custom_values != actual.custom_values) return false;
  if (expected.zero_threshold != actual.zero_threshold || !almost_equal(expected.zero_count, actual.zero_count))
    return false;
  if (check_hint && expected.hint != actual.hint) return false;
  return buckets_match(populated(expected.positive_spans, expected.positive_buckets),
                       populated(actual.positive_spans, actual.positive_buckets)) &&
         buckets_match(populated(expected.negative_spans, expected.negative_buckets),
                       populated(actual.negative_spans, actual.negative_buckets));
}

namespace detail {

std::optional<std::string> check_sorted(const MatrixValue& matrix) {
  for (std::size_t i = 1; i < matrix.series.size(); ++i) {
    const Labels& before = matrix.series[i - 1].labels;
    const Labels& after = matrix.series[i].labels;
    if (before > after)
      return fmt::format("matrix is not sorted by labels: {} stands before {}", before.to_string(), after.to_string());
    if (before == after) return "label set twice in the matrix: " + before.to_string();
  }
  return std::nullopt;
}

std::optional<std::string> compare_value(const EvalCommand& command, const Value& value) {
  if (const auto* matrix = std::get_if<MatrixValue>(&value)) return compare_matrix(command, *matrix);
  if (const auto* vector = std::get_if<VectorValue>(&value)) return compare_vector(command, *vector);
  if (const auto* scalar = std::get_if<ScalarValue>(&value)) {
    if (!command.scalar) return "expected vector or matrix result, but got scalar " + format_general(scalar->value);
    if (almost_equal(*command.scalar, scalar->value)) return std::nullopt;
    return fmt::format("expected scalar {} but got {}", format_general(*command.scalar), format_general(scalar->value));
  }
  const std::string& text = std::get<StringValue>(value).text;
  if (command.string.value_or("") == text) return std::nullopt;
  return fmt::format("expected string {} but got {}", go_quote(command.string.value_or("")), go_quote(text));
}

std::optional<std::string> compare_annotations(const EvalCommand& command, const TestOutcome& outcome) {
  if (command.any_warning && outcome.warnings.empty()) return "expected warnings but got none";
  if (command.any_info && outcome.infos.empty()) return "expected info annotations but got none";
  if (auto problem = compare_texts(command.warnings, outcome.warnings, "warn")) return problem;
  if (auto problem = compare_texts(command.infos, outcome.infos, "info")) return problem;
  if (command.no_warning && !outcome.warnings.empty())
    return fmt::format("unexpected warning annotations: {}", fmt::join(outcome.warnings, "; "));
  if (command.no_info && !outcome.infos.empty())
    return fmt::format("unexpected info annotations: {}", fmt::join(outcome.infos, "; "));
  return std::nullopt;
}

}  // namespace detail
}  // namespace tocayo::promql::testing
