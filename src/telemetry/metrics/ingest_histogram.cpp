// SPDX-License-Identifier: Apache-2.0
#include "metrics/ingest_histogram.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace tocayo::metrics {

namespace {

constexpr std::int32_t kMinSchema = kMinExponentialSchema;
constexpr std::int32_t kMaxSchema = kMaxExponentialSchema;
constexpr std::int32_t kMaxReservedSchema = 52;

using Problem = HistogramProblem;

Problem count_mismatch(std::string text) {
  return {"native_histogram_count_mismatch", "native-histogram-count-mismatch", std::move(text)};
}
Problem negative_bucket(std::string text) {
  return {"native_histogram_negative_bucket_count", "native-histogram-negative-bucket-count", std::move(text)};
}
Problem negative_offset(std::size_t span, std::int32_t offset) {
  return {
      "native_histogram_span_negative_offset", "native-histogram-span-negative-offset",
      fmt::format("span number {} with offset {}: histogram has a span whose offset is negative", span + 1, offset)};
}
Problem spans_mismatch(std::string text) {
  return {"native_histogram_spans_buckets_mismatch", "native-histogram-spans-buckets-mismatch", std::move(text)};
}
Problem custom_mismatch(std::string text) {
  return {"native_histogram_custom_buckets_mismatch", "native-histogram-custom-buckets-mismatch", std::move(text)};
}
Problem custom_invalid(std::string text) {
  return {"native_histogram_custom_buckets_invalid", "native-histogram-custom-buckets-invalid", std::move(text)};
}

// Spans against the number of buckets. Offsets after the first must not be negative; indexes must stay within 32 bits.
std::optional<Problem> check_spans(std::string_view side, const std::vector<Span>& spans, std::size_t buckets) {
  std::uint64_t needed = 0;
  std::int64_t index = 0;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (i > 0 && spans[i].offset < 0) return negative_offset(i, spans[i].offset);
    needed += spans[i].length;
    index += spans[i].offset;
    index += spans[i].length;
    if (index > std::numeric_limits<std::int32_t>::max() / 2 || index < std::numeric_limits<std::int32_t>::min() / 2) {
      return spans_mismatch(fmt::format("{} side: bucket index {} is out of range", side, index));
    }
  }
  if (needed != buckets) {
    return spans_mismatch(fmt::format("{} side: spans need {} buckets, have {} buckets", side, needed, buckets));
  }
  return {};
}

std::optional<Problem> check_custom(const HistogramParts& parts, std::size_t buckets) {
  double previous = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < parts.custom_values.size(); ++i) {
    const double bound = parts.custom_values[i];
    if (std::isnan(bound)) return custom_invalid("custom buckets: histogram custom bounds must not be NaN");
    if (i > 0 && bound <= previous) {
      return custom_invalid(
          fmt::format("custom buckets: previous bound is {} and current is {}: histogram custom bounds must be in "
                      "strictly increasing order",
                      previous, bound));
    }
    previous = bound;
  }
  if (previous == std::numeric_limits<double>::infinity()) {
    return Problem{
        "native_histogram_custom_buckets_infinite", "native-histogram-custom-buckets-infinite",
        "custom buckets: last +Inf bound must not be explicitly defined: histogram custom bounds must be finite"};
  }
  std::uint64_t needed = 0;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < parts.positive_spans.size(); ++i) {
    const Span& span = parts.positive_spans[i];
    if (span.offset < 0) return negative_offset(i, span.offset);
    needed += span.length;
    total += static_cast<std::uint64_t>(span.offset) + span.length;
  }
  if (needed != buckets) {
    return spans_mismatch(fmt::format("custom buckets: spans need {} buckets, have {} buckets", needed, buckets));
  }
  if (parts.custom_values.size() + 1 < total) {
    return custom_mismatch(
        fmt::format("custom buckets: only {} custom bounds defined which is insufficient to cover total span "
                    "length of {}",
                    parts.custom_values.size(), total));
  }
  const double zero_count = parts.is_float ? parts.zero_count_float : static_cast<double>(parts.zero_count_int);
  if (zero_count != 0) return custom_invalid("custom buckets: must have zero count of 0");
  if (parts.zero_threshold != 0) return custom_invalid("custom buckets: must have zero threshold of 0");
  if (!parts.negative_spans.empty() || !parts.negative_deltas.empty() || !parts.negative_counts.empty()) {
    return custom_invalid("custom buckets: must not have negative spans or buckets");
  }
  return {};
}

// Deltas to absolute counts. Wraps like the sender's 64-bit integers would; a negative count is an error.
std::optional<Problem> absolute_counts(std::string_view side, const std::vector<std::int64_t>& deltas,
                                       std::vector<double>& out, std::uint64_t& sum) {
  std::uint64_t running = 0;
  out.reserve(deltas.size());
  for (std::size_t i = 0; i < deltas.size(); ++i) {
    running += static_cast<std::uint64_t>(deltas[i]);
    if (static_cast<std::int64_t>(running) < 0) {
      return negative_bucket(
          fmt::format("{} side: bucket number {} has observation count of {}: histogram has a bucket whose "
                      "observation count is negative",
                      side, i + 1, static_cast<std::int64_t>(running)));
    }
    sum += running;
    out.push_back(static_cast<double>(running));
  }
  return {};
}

std::optional<Problem> check_counts(std::string_view side, const std::vector<double>& counts) {
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (std::isnan(counts[i])) {
      return count_mismatch(
          fmt::format("{} side: bucket number {} has an observation count that is not a number", side, i + 1));
    }
    if (counts[i] < 0) {
      return negative_bucket(
          fmt::format("{} side: bucket number {} has observation count of {}: histogram has a bucket whose "
                      "observation count is negative",
                      side, i + 1, counts[i]));
    }
  }
  return {};
}

std::optional<Problem> fill_integer(const HistogramParts& parts, FloatHistogram& out) {
  std::uint64_t sum = 0;
  if (auto problem = absolute_counts("negative", parts.negative_deltas, out.negative_buckets, sum)) return problem;
  if (auto problem = absolute_counts("positive", parts.positive_deltas, out.positive_buckets, sum)) return problem;
  sum += parts.zero_count_int;
  if (std::isnan(parts.sum)) {
    if (sum > parts.count_int) {
      return Problem{
          "native_histogram_count_not_big_enough", "native-histogram-count-not-big-enough",
          fmt::format(
              "{} observations found in buckets, but the Count field is {}: histogram's observation count should "
              "be at least the number of observations found in the buckets",
              sum, parts.count_int)};
    }
  } else if (sum != parts.count_int) {
    return count_mismatch(
        fmt::format("{} observations found in buckets, but the Count field is {}: histogram's observation count "
                    "should equal the number of observations found in the buckets (in absence of NaN)",
                    sum, parts.count_int));
  }
  out.count = static_cast<double>(parts.count_int);
  out.zero_count = static_cast<double>(parts.zero_count_int);
  return {};
}

std::optional<Problem> fill_float(const HistogramParts& parts, FloatHistogram& out) {
  if (auto problem = check_counts("negative", parts.negative_counts)) return problem;
  if (std::isnan(parts.zero_count_float)) return count_mismatch("the zero bucket's observation count is not a number");
  if (parts.zero_count_float < 0) {
    return negative_bucket(
        fmt::format("zero bucket has observation count of {}: histogram has a bucket whose observation count is "
                    "negative",
                    parts.zero_count_float));
  }
  if (std::isnan(parts.count_float)) return count_mismatch("the observation count is not a number");
  if (parts.count_float < 0) {
    return negative_bucket(
        fmt::format("observation count is {}: histogram's observation count is negative", parts.count_float));
  }
  if (auto problem = check_counts("positive", parts.positive_counts)) return problem;
  out.count = parts.count_float;
  out.zero_count = parts.zero_count_float;
  out.positive_buckets = parts.positive_counts;
  out.negative_buckets = parts.negative_counts;
  return {};
}

std::size_t bucket_count(const FloatHistogram& h) { return h.positive_buckets.size() + h.negative_buckets.size(); }

std::optional<Problem> fit_buckets(FloatHistogram& histogram, const IngestLimits& limits) {
  const std::size_t limit = limits.max_native_histogram_buckets;
  if (limit == 0 || bucket_count(histogram) <= limit) return {};
  const std::size_t before = bucket_count(histogram);
  if (!limits.reduce_native_histogram_over_max_buckets) {
    return Problem{"max_native_histogram_buckets", "max-native-histogram-buckets",
                   fmt::format("the histogram has too many buckets (actual: {}, limit: {})", before, limit)};
  }
  if (histogram.schema != kCustomBucketsSchema) {
    while (bucket_count(histogram) > limit && histogram.schema > kMinSchema) {
      if (!histogram.reduce_resolution(histogram.schema - 1)) break;
    }
  }
  if (bucket_count(histogram) <= limit) return {};
  return Problem{"not_reducible_native_histogram", "not-reducible-native-histogram",
                 fmt::format("the histogram has {} buckets and cannot be reduced to the limit of {}", before, limit)};
}

}  // namespace

void HistogramParts::clear() {
  is_float = false;
  count_int = zero_count_int = 0;
  count_float = zero_count_float = sum = zero_threshold = 0;
  schema = 0;
  positive_spans.clear();
  negative_spans.clear();
  positive_deltas.clear();
  negative_deltas.clear();
  positive_counts.clear();
  negative_counts.clear();
  custom_values.clear();
  hint = ResetHint::unknown;
}

std::expected<std::shared_ptr<const FloatHistogram>, HistogramProblem> check_histogram(const HistogramParts& parts,
                                                                                       const IngestLimits& limits) {
  auto out = std::make_shared<FloatHistogram>();
  out->sum = parts.sum;
  if (is_stale(parts.sum)) return out;  // nothing of a marker's other fields has a meaning

  const bool custom = parts.schema == kCustomBucketsSchema;
  if (!custom && (parts.schema < kMinSchema || parts.schema > kMaxReservedSchema)) {
    return std::unexpected(
        Problem{"invalid_native_histogram_schema", "invalid-native-histogram-schema",
                fmt::format("histogram has an invalid schema, which must be between {} and {} for exponential "
                            "buckets, or {} for custom buckets, got schema {}",
                            kMinSchema, kMaxReservedSchema, kCustomBucketsSchema, parts.schema)});
  }
  const std::size_t positive = parts.is_float ? parts.positive_counts.size() : parts.positive_deltas.size();
  const std::size_t negative = parts.is_float ? parts.negative_counts.size() : parts.negative_deltas.size();
  if (custom) {
    if (auto problem = check_custom(parts, positive)) return std::unexpected(std::move(*problem));
  } else {
    if (auto problem = check_spans("positive", parts.positive_spans, positive))
      return std::unexpected(std::move(*problem));
    if (auto problem = check_spans("negative", parts.negative_spans, negative))
      return std::unexpected(std::move(*problem));
    if (!parts.custom_values.empty()) {
      return std::unexpected(custom_invalid("histogram with exponential schema must not have custom bounds"));
    }
    if (!(parts.zero_threshold >= 0)) {
      return std::unexpected(
          count_mismatch(fmt::format("the zero threshold {} is not a positive number", parts.zero_threshold)));
    }
  }
  out->hint = parts.hint;
  out->schema = parts.schema;
  out->zero_threshold = parts.zero_threshold;
  out->positive_spans = parts.positive_spans;
  out->negative_spans = parts.negative_spans;
  out->custom_values = parts.custom_values;
  auto problem = parts.is_float ? fill_float(parts, *out) : fill_integer(parts, *out);
  if (problem) return std::unexpected(std::move(*problem));
  if (out->schema > kMaxSchema) {
    if (auto reduced = out->reduce_resolution(kMaxSchema); !reduced) {
      return std::unexpected(spans_mismatch(std::move(reduced.error().message)));
    }
  }
  if (auto over = fit_buckets(*out, limits)) return std::unexpected(std::move(*over));
  return out;
}

}  // namespace tocayo::metrics
