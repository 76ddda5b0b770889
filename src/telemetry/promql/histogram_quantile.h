// SPDX-License-Identifier: Apache-2.0
// Quantiles and fractions of classic histograms: cumulative counts by upper bound. Private to the room.
#pragma once

#include <vector>

namespace tocayo::promql::eval {

struct ClassicBucket {
  double upper_bound;
  double count;  // cumulative
};

struct ClassicQuantile {
  double value;
  // Counts fell by more than rounding explains and were repaired.
  bool forced_monotonic = false;
  double min_bucket = 0, max_bucket = 0, max_difference = 0;
};

// `buckets` ascend by bound, equal bounds allowed; they are changed. Not empty.
ClassicQuantile classic_quantile(double q, std::vector<ClassicBucket>& buckets);
double classic_fraction(double lower, double upper, std::vector<ClassicBucket>& buckets);

}  // namespace tocayo::promql::eval
