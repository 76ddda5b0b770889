// SPDX-License-Identifier: Apache-2.0
// What range aggregations remember of the samples of an interval. Each state can be merged with that of another
// interval or another thread; the result does not depend on the order (sums carry a compensation that makes the
// rounding of the order vanish).
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <tuple>

#include "core/time.h"

namespace tocayo::logql::detail {

struct RangeSample {
  TimestampNs time = 0;
  std::uint32_t rank = 0;   // of the stream, in the order of labels
  std::uint64_t order = 0;  // arrival within the stream
  double value = 0;
};

// Sum in twice the precision of a double.
class PreciseSum {
 public:
  void add(double value) {
    if (!std::isfinite(value) || !std::isfinite(high_)) {
      high_ += value;
      low_ = 0;
      return;
    }
    const double sum = high_ + value;
    const double part = sum - high_;
    low_ += (high_ - (sum - part)) + (value - part);
    high_ = sum;
    if (!std::isfinite(high_)) low_ = 0;
  }
  void merge(const PreciseSum& other) {
    add(other.high_);
    if (std::isfinite(high_)) add(other.low_);
  }
  double value() const { return high_ + low_; }

 private:
  double high_ = 0;
  double low_ = 0;
};

struct CountState {
  std::uint64_t count = 0;
  void add(const RangeSample&) { ++count; }
  void merge(const CountState& other) { count += other.count; }
  double result() const { return static_cast<double>(count); }
};

struct SumState {
  PreciseSum sum;
  void add(const RangeSample& sample) { sum.add(sample.value); }
  void merge(const SumState& other) { sum.merge(other.sum); }
  double result() const { return sum.value(); }
};

struct AverageState {
  PreciseSum sum;
  std::uint64_t count = 0;
  void add(const RangeSample& sample) {
    sum.add(sample.value);
    ++count;
  }
  void merge(const AverageState& other) {
    sum.merge(other.sum);
    count += other.count;
  }
  double result() const { return sum.value() / static_cast<double>(count); }
};

// NaN only when every sample is NaN.
struct MinState {
  double value = std::numeric_limits<double>::quiet_NaN();
  void add(const RangeSample& sample) {
    if (sample.value < value || std::isnan(value)) value = sample.value;
  }
  void merge(const MinState& other) { add({.value = other.value}); }
  double result() const { return value; }
};
struct MaxState {
  double value = std::numeric_limits<double>::quiet_NaN();
  void add(const RangeSample& sample) {
    if (sample.value > value || std::isnan(value)) value = sample.value;
  }
  void merge(const MaxState& other) { add({.value = other.value}); }
  double result() const { return value; }
};

// Welford's running mean and squared distance, merged by Chan's formula.
struct VarianceState {
  double count = 0;
  double mean = 0;
  double squares = 0;
  void add(const RangeSample& sample) {
    count += 1;
    const double delta = sample.value - mean;
    mean += delta / count;
    squares += delta * (sample.value - mean);
  }
  void merge(const VarianceState& other) {
    if (other.count == 0) return;
    const double total = count + other.count;
    const double delta = other.mean - mean;
    mean += delta * other.count / total;
    squares += other.squares + delta * delta * count * other.count / total;
    count = total;
  }
  double result() const { return squares / count; }
};
struct DeviationState : VarianceState {
  double result() const { return std::sqrt(VarianceState::result()); }
};

// The earliest or latest sample; of one time the one that sorts first or last by stream and arrival.
template <bool kLatest>
struct EdgeState {
  RangeSample sample;
  bool any = false;
  void add(const RangeSample& other) {
    const auto key = [](const RangeSample& s) { return std::tuple(s.time, s.rank, s.order); };
    if (!any || (kLatest ? key(other) > key(sample) : key(other) < key(sample))) sample = other;
    any = true;
  }
  void merge(const EdgeState& other) {
    if (other.any) add(other.sample);
  }
  double result() const { return sample.value; }
};
using FirstState = EdgeState<false>;
using LastState = EdgeState<true>;

}  // namespace tocayo::logql::detail
