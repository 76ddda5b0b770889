// SPDX-License-Identifier: Apache-2.0
#include "promql/histogram_quantile.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tocayo::promql::eval {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kRounding = 1e-12;  // relative differences below it are noise

bool almost_equal(double a, double b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return true;
  constexpr double kMinNormal = std::numeric_limits<double>::min();
  const double sum = std::fabs(a) + std::fabs(b), difference = std::fabs(a - b);
  if (a == 0 || b == 0 || sum < kMinNormal) return difference < kRounding * kMinNormal;
  return difference / std::min(sum, std::numeric_limits<double>::max()) < kRounding;
}

void merge_equal_bounds(std::vector<ClassicBucket>& buckets) {
  std::size_t kept = 0;
  for (std::size_t i = 1; i < buckets.size(); ++i) {
    if (buckets[i].upper_bound == buckets[kept].upper_bound) {
      buckets[kept].count += buckets[i].count;
    } else {
      buckets[++kept] = buckets[i];
    }
  }
  buckets.resize(kept + 1);
}

void repair_monotonicity(std::vector<ClassicBucket>& buckets, ClassicQuantile& result) {
  result.min_bucket = kInfinity;
  result.max_bucket = -kInfinity;
  double previous = buckets[0].count;
  for (ClassicBucket& bucket : buckets) {
    if (bucket.count == previous) continue;
    if (almost_equal(previous, bucket.count)) {
      bucket.count = previous;
    } else if (bucket.count < previous) {
      result.forced_monotonic = true;
      result.min_bucket = std::min(result.min_bucket, bucket.upper_bound);
      result.max_bucket = std::max(result.max_bucket, bucket.upper_bound);
      result.max_difference = std::max(result.max_difference, previous - bucket.count);
      bucket.count = previous;
    } else {
      previous = bucket.count;
    }
  }
}

}  // namespace

ClassicQuantile classic_quantile(double q, std::vector<ClassicBucket>& buckets) {
  if (std::isnan(q)) return {kNaN};
  if (q < 0) return {-kInfinity};
  if (q > 1) return {kInfinity};
  if (buckets.back().upper_bound != kInfinity) return {kNaN};
  merge_equal_bounds(buckets);
  ClassicQuantile result{kNaN};
  repair_monotonicity(buckets, result);
  if (buckets.size() < 2) return result;
  const double total = buckets.back().count;
  if (total == 0) return result;
  double rank = q * total;
  std::size_t b = 0;
  while (b < buckets.size() - 1 && !(buckets[b].count >= rank)) ++b;
  if (b == buckets.size() - 1) {
    result.value = buckets[b - 1].upper_bound;  // nobody knows how far above
  } else if (b == 0 && buckets[0].upper_bound <= 0) {
    result.value = buckets[0].upper_bound;
  } else {
    double start = 0, count = buckets[b].count;
    if (b > 0) {
      start = buckets[b - 1].upper_bound;
      count -= buckets[b - 1].count;
      rank -= buckets[b - 1].count;
    }
    result.value = start + (buckets[b].upper_bound - start) * (rank / count);
  }
  return result;
}

double classic_fraction(double lower, double upper, std::vector<ClassicBucket>& buckets) {
  if (buckets.back().upper_bound != kInfinity) return kNaN;
  merge_equal_bounds(buckets);
  const double count = buckets.back().count;
  if (count == 0 || std::isnan(lower) || std::isnan(upper)) return kNaN;
  if (lower >= upper) return 0;
  double rank = 0, lower_rank = 0, upper_rank = 0;
  bool lower_set = false, upper_set = false;
  double from = buckets[0].upper_bound <= 0 ? -kInfinity : 0;
  for (const ClassicBucket& bucket : buckets) {
    const auto place = [&](double bound, double& bound_rank, bool& set) {
      if (set) return;
      if (from >= bound) {
        bound_rank = rank;
        set = true;
      } else if (bucket.upper_bound > bound) {
        bound_rank = from == -kInfinity ? bucket.count
                                        : rank + (bucket.count - rank) * (bound - from) / (bucket.upper_bound - from);
        set = true;
      }
    };
    place(lower, lower_rank, lower_set);
    place(upper, upper_rank, upper_set);
    if (lower_set && upper_set) break;
    rank = bucket.count;
    from = bucket.upper_bound;
  }
  if (!lower_set || lower_rank > count) lower_rank = count;
  if (!upper_set || upper_rank > count) upper_rank = count;
  return (upper_rank - lower_rank) / count;
}

}  // namespace tocayo::promql::eval
