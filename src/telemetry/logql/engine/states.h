// SPDX-License-Identifier: Apache-2.0
// What range aggregations remember of the samples of an interval. Each state can be merged with that of another
// interval or another thread; the result does not depend on the order (sums carry a compensation that makes the
// rounding of the order vanish).
#pragma once

#include <algorithm>
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
  double high() const { return high_; }
  double low() const { return low_; }

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

// Sums of the values and of their squares, both exact enough that the difference which the variance is keeps its
// digits, and that no order of adding and merging changes them (a running mean would).
struct VarianceState {
  PreciseSum sum;
  PreciseSum squares;
  double smallest = std::numeric_limits<double>::infinity();
  double largest = -std::numeric_limits<double>::infinity();
  std::uint64_t count = 0;
  void add(const RangeSample& sample) {
    const double square = sample.value * sample.value;
    sum.add(sample.value);
    squares.add(square);
    if (std::isfinite(square)) squares.add(std::fma(sample.value, sample.value, -square));
    smallest = std::min(smallest, sample.value);
    largest = std::max(largest, sample.value);
    ++count;
  }
  void merge(const VarianceState& other) {
    sum.merge(other.sum);
    squares.merge(other.squares);
    smallest = std::min(smallest, other.smallest);
    largest = std::max(largest, other.largest);
    count += other.count;
  }
  // (squares - sum * mean) / count, every product and quotient with what its rounding left.
  double result() const {
    if (smallest == largest && std::isfinite(sum.value())) return 0;
    const auto n = static_cast<double>(count);
    const double mean = sum.value() / n;
    const double mean_rest = (std::fma(-mean, n, sum.high()) + sum.low()) / n;
    const double product = sum.high() * mean;
    const double product_rest =
        std::fma(sum.high(), mean, -product) + (sum.high() * mean_rest + sum.low() * (mean + mean_rest));
    PreciseSum difference;
    for (const double part : {squares.high(), -product, squares.low(), -product_rest}) difference.add(part);
    const double distance = difference.value();
    return distance < 0 ? 0 : distance / n;  // less than nothing is rounding
  }
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
