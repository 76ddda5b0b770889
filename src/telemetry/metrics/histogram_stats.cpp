// SPDX-License-Identifier: Apache-2.0
// What is estimated from the buckets of one native histogram. Formulas: Prometheus' histogram_quantile,
// histogram_fraction, histogram_stdvar and the trim operators.
#include <algorithm>
#include <cmath>
#include <limits>

#include "metrics/histogram.h"

namespace tocayo::metrics {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// A zero bucket between buckets of one sign only holds observations of that sign.
void narrow_zero_bucket(const FloatHistogram& h, Bucket& bucket) {
  if (h.negative_buckets.empty() && !h.positive_buckets.empty()) {
    bucket.lower = 0;
  } else if (h.positive_buckets.empty() && !h.negative_buckets.empty()) {
    bucket.upper = 0;
  }
}

double without_infinity(double value) { return std::isinf(value) ? 0 : value; }

// Where the observations between two bounds lie on average.
double midpoint(double lower, double upper, bool positive, bool linear) {
  if (std::isinf(lower)) {
    if (std::isinf(upper)) return 0;
    return upper > 0 ? upper / 2 : upper;
  }
  if (std::isinf(upper)) return lower;
  if (linear) return (lower + upper) / 2;
  const double mean = std::sqrt(std::fabs(lower * upper));
  return positive ? mean : -mean;
}

// What is left of a bucket, and where on average.
struct Kept {
  double count;
  double position;
};

Kept trim_unbounded(const Bucket& b, double bound, bool upper) {
  if (b.lower == -kInfinity) {
    const bool finite_positive = b.upper > 0 && b.upper != kInfinity;
    if (upper) {
      if (bound >= b.upper) return {b.count, 0};
      // Only custom buckets have it: taken to begin at 0, linear.
      if (bound > 0 && finite_positive) return {b.count * bound / b.upper, bound / 2};
      if (b.upper <= 0) return {b.count, bound};
      return {0, without_infinity(b.upper)};
    }
    if (bound <= b.lower) return {b.count, 0};
    if (bound >= 0 && b.upper > bound && b.upper != kInfinity)
      return {b.count * (1 - bound / b.upper), (bound + b.upper) / 2};
    return {0, without_infinity(b.upper)};
  }
  // Up to +Inf: nobody knows where in it the observations lie, so it is kept whole or not at all.
  if (!upper && bound >= b.lower) return {b.count, bound};
  return {0, without_infinity(b.lower)};
}

Kept trim_bucket(const Bucket& b, double bound, bool upper, bool positive, bool linear) {
  if (b.lower == -kInfinity || b.upper == kInfinity) return trim_unbounded(b, bound, upper);
  double below = 0;
  if (bound >= b.upper) {
    below = b.count;
  } else if (bound > b.lower) {
    below = b.count * b.fraction_below(bound, linear);
  }
  if (upper) return {below, midpoint(b.lower, bound, positive, linear)};
  return {b.count - below, midpoint(bound, b.upper, positive, linear)};
}

Kept trim_zero_bucket(double threshold, double count, double bound, bool has_negative, bool has_positive, bool upper) {
  const double low = has_positive && !has_negative ? 0 : -threshold;
  const double high = has_negative && !has_positive ? 0 : threshold;
  const bool all = upper ? bound >= high && bound > low : bound <= low;
  const bool none = upper ? bound <= low : bound >= high && !all;
  if (none) return {0, 0};
  if (all) return {count, (low + high) / 2};
  if (upper) return {count * (bound - low) / (high - low), (low + bound) / 2};
  return {count * (high - bound) / (high - low), (bound + high) / 2};
}

}  // namespace

QuantileEstimate histogram_quantile(double q, const FloatHistogram& h) {
  if (q < 0) return {-kInfinity};
  if (q > 1) return {kInfinity};
  if (h.count == 0 || std::isnan(q)) return {kNaN};

  // From the nearer end, for accuracy; NaN observations (the sum is NaN) sort above all, so then only from below.
  const bool nan_sum = std::isnan(h.sum);
  const bool from_below = nan_sum || q < 0.5;
  BucketCursor cursor(h, from_below ? BucketCursor::Order::ascending : BucketCursor::Order::descending);
  double rank = from_below ? q * h.count : (1 - q) * h.count;
  double count = 0;
  Bucket bucket;
  while (cursor.next()) {
    bucket = cursor.bucket();
    if (bucket.count == 0) continue;
    count += bucket.count;
    if (count >= rank) break;
  }
  if (!h.uses_custom_buckets() && bucket.lower < 0 && bucket.upper > 0) {
    narrow_zero_bucket(h, bucket);
  } else if (h.uses_custom_buckets()) {
    if (bucket.lower == -kInfinity) {
      if (bucket.upper <= 0) return {bucket.upper};
      bucket.lower = 0;
    } else if (bucket.upper == kInfinity) {
      return {bucket.lower};
    }
  }
  // Buckets may hold slightly more than the count says: rounding.
  count = count > h.count ? h.count : count;
  if (count < rank) {
    if (nan_sum) return {.value = kNaN, .nan_result = true};
    return {bucket.upper};
  }
  rank = from_below ? rank - (count - bucket.count) : count - rank;
  QuantileEstimate estimate;
  if (nan_sum) {
    double total = count;
    while (cursor.next()) total += cursor.bucket().count;
    estimate.nan_skew = total < h.count;
  }
  const double fraction = rank / bucket.count;
  if (h.uses_custom_buckets() || (bucket.lower <= 0 && bucket.upper >= 0)) {
    estimate.value = bucket.lower + (bucket.upper - bucket.lower) * fraction;
    return estimate;
  }
  const double log_lower = std::log2(std::fabs(bucket.lower));
  const double log_upper = std::log2(std::fabs(bucket.upper));
  estimate.value = bucket.lower > 0 ? std::exp2(log_lower + (log_upper - log_lower) * fraction)
                                    : -std::exp2(log_upper + (log_lower - log_upper) * (1 - fraction));
  return estimate;
}

FractionEstimate histogram_fraction(double lower, double upper, const FloatHistogram& h) {
  if (h.count == 0 || std::isnan(lower) || std::isnan(upper)) return {kNaN};
  if (lower >= upper) return {0};

  double count = 0, rank = 0;
  double lower_rank = 0, upper_rank = 0;
  bool lower_set = false, upper_set = false;
  BucketCursor cursor(h, BucketCursor::Order::ascending);
  while (cursor.next()) {
    Bucket b = cursor.bucket();
    count += b.count;
    bool linear = h.uses_custom_buckets();
    if (b.lower <= 0 && b.upper >= 0) {
      linear = true;
      narrow_zero_bucket(h, b);
    }
    const auto place = [&](double bound, double& bound_rank, bool& set) {
      if (set) return;
      if (b.lower >= bound) {
        bound_rank = rank;
        set = true;
      } else if (b.upper > bound) {
        bound_rank = linear && b.lower == -kInfinity ? b.count : rank + b.count * b.fraction_below(bound, linear);
        set = true;
      }
    };
    place(lower, lower_rank, lower_set);
    place(upper, upper_rank, upper_set);
    if (lower_set && upper_set) break;
    rank += b.count;
  }
  FractionEstimate estimate;
  if (std::isnan(h.sum)) {
    while (cursor.next()) count += cursor.bucket().count;
    estimate.nan_observations = count < h.count;
  } else {
    count = h.count;
  }
  if (!lower_set || lower_rank > count) lower_rank = count;
  if (!upper_set || upper_rank > count) upper_rank = count;
  estimate.value = (upper_rank - lower_rank) / h.count;
  return estimate;
}

double histogram_variance(const FloatHistogram& h) {
  const double mean = h.sum / h.count;
  double total = 0, error = 0;
  BucketCursor cursor(h, BucketCursor::Order::ascending);
  while (cursor.next()) {
    const Bucket& b = cursor.bucket();
    if (b.count == 0) continue;
    double value = 0;
    if (h.uses_custom_buckets()) {
      value = (b.upper + b.lower) / 2.0;
    } else if (!(b.lower <= 0 && b.upper >= 0)) {
      value = std::sqrt(b.upper * b.lower);
      if (b.upper < 0) value = -value;
    }
    const double delta = value - mean;
    compensated_add(b.count * delta * delta, total, error);
  }
  return (total + error) / h.count;
}

void FloatHistogram::trim(double bound, bool upper) {
  double kept_count = 0, kept_sum = 0;
  bool trimmed = false;
  bool has_positive = false, has_negative = false;
  const bool linear = uses_custom_buckets();
  for (bool positive : {true, false}) {
    auto& buckets = positive ? positive_buckets : negative_buckets;
    BucketCursor cursor(*this, positive ? BucketCursor::Order::positive : BucketCursor::Order::negative);
    for (std::size_t i = 0; cursor.next(); ++i) {
      const Bucket b = cursor.bucket();
      if (b.count == 0) continue;
      (positive ? has_positive : has_negative) = true;
      const bool whole = upper ? b.upper <= bound : b.lower >= bound;
      const bool part = upper ? b.lower < bound : b.upper > bound;
      Kept kept{0, 0};
      if (whole) {
        kept = {b.count, midpoint(b.lower, b.upper, positive, linear)};
      } else if (part) {
        kept = trim_bucket(b, bound, upper, positive, linear);
      }
      kept_count += kept.count;
      kept_sum += kept.position * kept.count;
      if (kept.count != b.count) {
        buckets[i] = kept.count;
        trimmed = true;
      }
    }
  }
  if (zero_count > 0) {
    const Kept kept = trim_zero_bucket(zero_threshold, zero_count, bound, has_negative, has_positive, upper);
    trimmed = trimmed || kept.count != zero_count;
    zero_count = kept.count;
    kept_count += kept.count;
    kept_sum += kept.position * kept.count;
  }
  if (trimmed) {
    count = kept_count;
    sum = kept_sum;
    compact();
  }
}

}  // namespace tocayo::metrics
