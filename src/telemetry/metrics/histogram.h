// SPDX-License-Identifier: Apache-2.0
// Native histograms as the engine computes with them: float counts, spans of buckets. Shapes and rules: Prometheus'
// native histogram specification. histogram.cpp has bounds, iteration, validation and text; histogram_algebra.cpp
// adding, subtracting, resolution and reset detection; histogram_stats.cpp quantile, fraction, variance and trimming.
//
// Value types and free functions: nothing here synchronises, all of it may be used from any thread on distinct objects.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"

namespace tocayo::metrics {

// Bits of the NaN that marks a series as gone; never equal to a NaN that a computation yields.
inline constexpr std::uint64_t kStaleNaNBits = 0x7ff0000000000002ULL;
inline constexpr double kStaleNaN = std::bit_cast<double>(kStaleNaNBits);
inline bool is_stale(double value) { return std::bit_cast<std::uint64_t>(value) == kStaleNaNBits; }

inline constexpr std::int32_t kCustomBucketsSchema = -53;
inline constexpr std::int32_t kMinExponentialSchema = -4;
inline constexpr std::int32_t kMaxExponentialSchema = 8;

enum class ResetHint : unsigned char { unknown, reset, not_reset, gauge };

struct Span {
  std::int32_t offset = 0;  // gap to the previous span (first: index of the first bucket)
  std::uint32_t length = 0;
  bool operator==(const Span&) const = default;
};

// What an addition or subtraction had to do.
struct CombineOutcome {
  bool incompatible = false;             // exponential with custom buckets: nothing was changed
  bool counter_reset_collision = false;  // one side hinted reset, the other not_reset
  bool bounds_reconciled = false;        // custom bounds differed: both were mapped to the common ones
};

struct FloatHistogram {
  ResetHint hint = ResetHint::unknown;
  std::int32_t schema = 0;  // -4..8, or kCustomBucketsSchema
  double zero_threshold = 0;
  double zero_count = 0;
  double count = 0;
  double sum = 0;
  std::vector<Span> positive_spans, negative_spans;
  std::vector<double> positive_buckets, negative_buckets;  // absolute counts, not deltas
  std::vector<double> custom_values;                       // upper bounds for kCustomBucketsSchema, without +Inf

  bool uses_custom_buckets() const { return schema == kCustomBucketsSchema; }

  // Scales all counts and the sum. A negative factor makes it a gauge. Dividing by zero removes the buckets.
  void multiply(double factor);
  void divide(double divisor);

  // Adds / subtracts counts, sum and buckets of `other`; brings schema, zero bucket and custom bounds of both to what
  // they have in common. Buckets may come out empty: compact() when that matters. The hint becomes what is known of the
  // result. O(buckets of both).
  CombineOutcome add(const FloatHistogram& other);
  CombineOutcome subtract(const FloatHistogram& other);

  // Removes empty buckets; gaps of at most `max_empty` buckets between populated ones are kept as explicit zeros.
  void compact(std::size_t max_empty = 0);

  // Merges buckets down to a lower exponential schema. bad_input when `target` is not lower or custom buckets are
  // involved.
  Result<> reduce_resolution(std::int32_t target);

  // Whether a counter reset lies between `previous` and this one: by the hint if it says so, else by any count that
  // shrank, a populated bucket that vanished, a smaller zero threshold or a higher resolution.
  bool detect_reset(const FloatHistogram& previous) const;
  // The same by the counts alone, whatever the hint says.
  bool shrank_since(const FloatHistogram& previous) const;

  // Same bits in all counts and the same populated layout (zero-length spans do not matter). The hint is not compared.
  bool equals(const FloatHistogram& other) const;

  // Some count or the sum is infinite.
  bool has_overflow() const;

  // Keeps observations below (upper = true) or above `bound`, interpolating inside the bucket that contains it; count
  // and sum are then estimated from the buckets left.
  void trim(double bound, bool upper);

  // bad_input with Prometheus' words when spans, buckets, counts or bounds do not fit together.
  Result<> validate() const;

  // "{count:3, sum:4.5, [-2,-1):1, …}": as count_values labels it. Populated buckets only.
  std::string to_string() const;
  // "{{schema:1 count:3 … buckets:[1 2]}}": the notation of promqltest files.
  std::string to_test_expression() const;

  // Bytes this value occupies in Prometheus' accounting; (size + 8) / 16 is its weight in samples.
  std::size_t accounted_size() const;
  std::size_t weight() const { return (accounted_size() + 8) / 16; }
  // Bytes really held, for memory budgets.
  std::size_t memory_bytes() const;
};

using HistogramPtr = std::shared_ptr<const FloatHistogram>;

// Upper bound of bucket `index`; indices outside the custom bounds give ±Inf.
double bucket_bound(std::int64_t index, std::int32_t schema, std::span<const double> custom_values = {});

struct Bucket {
  double lower = 0, upper = 0;
  bool lower_inclusive = false, upper_inclusive = false;
  double count = 0;
  std::int64_t index = 0;
  // Share of the bucket at or below `value` (strictly inside finite bounds), linear or on a logarithmic scale.
  double fraction_below(double value, bool linear) const;
};

// Walks the buckets of one histogram without allocating. The histogram must outlive it.
class BucketCursor {
 public:
  enum class Order : unsigned char {
    ascending,   // negative, zero (when populated), positive
    descending,  // the reverse
    positive,    // positive only, away from zero
    negative,    // negative only, away from zero
  };
  BucketCursor(const FloatHistogram& histogram, Order order);
  // Whether there is a further bucket; it is then in `bucket()`. Explicit empty buckets are visited too.
  bool next();
  const Bucket& bucket() const { return bucket_; }

 private:
  enum class Stage : unsigned char { towards_zero, zero, away, done };
  bool next_on_side();
  void enter(bool positive, bool reverse);

  const FloatHistogram* histogram_;
  Order order_;
  Stage stage_;
  bool positive_ = false, reverse_ = false;
  std::span<const Span> spans_;
  std::span<const double> buckets_;
  std::size_t span_ = 0;
  std::uint32_t in_span_ = 0;
  std::size_t bucket_index_ = 0;
  std::int64_t index_ = 0;
  Bucket bucket_;
};

// Running sum of histograms with Neumaier compensation in every bucket.
class HistogramSum {
 public:
  explicit HistogramSum(FloatHistogram first);
  // Adds one. After `incompatible` the sum is as before.
  CombineOutcome add(const FloatHistogram& other);
  void multiply(double factor);
  void divide(double divisor);
  bool has_overflow() const { return value_.has_overflow(); }
  // The sum with the compensation applied, not compacted.
  FloatHistogram result() const;

 private:
  FloatHistogram value_;
  double count_error_ = 0, sum_error_ = 0, zero_error_ = 0;
  std::vector<double> positive_errors_, negative_errors_;  // parallel to the buckets of value_
};

// Estimates. `nan_*` say what an annotation should tell about NaN observations.
struct QuantileEstimate {
  double value = 0;
  bool nan_result = false;
  bool nan_skew = false;
};
QuantileEstimate histogram_quantile(double q, const FloatHistogram& histogram);
struct FractionEstimate {
  double value = 0;
  bool nan_observations = false;
};
FractionEstimate histogram_fraction(double lower, double upper, const FloatHistogram& histogram);
double histogram_variance(const FloatHistogram& histogram);

// One step of Neumaier's compensated summation: sum += value, the rounding error goes to `error`.
inline void compensated_add(double value, double& sum, double& error) {
  const double total = sum + value;
  if (total - total != 0) {  // infinite (or NaN): no error to speak of
    if (total == total) {
      error = 0;
    } else {
      error += total;
    }
  } else if ((sum < 0 ? -sum : sum) >= (value < 0 ? -value : value)) {
    error += (sum - total) + value;
  } else {
    error += (value - total) + sum;
  }
  sum = total;
}

// Go's %g with the shortest digits: what both texts above and many messages use.
std::string format_shortest(double value);

}  // namespace tocayo::metrics
