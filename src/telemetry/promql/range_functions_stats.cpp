// SPDX-License-Identifier: Apache-2.0
// Functions that need every value of a window: spread, order statistics, regression, smoothing.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "promql/range_functions.h"

namespace tocayo::promql::eval {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Calls f(step, values, times) for windows with at least `least` floats; says so when histograms stood between them.
template <typename F>
Outcome<> each_float_window(const RangeInput& in, std::size_t least, F&& f) {
  OncePerSeries ignored;
  WorkMeter meter;
  for (std::size_t i = 0; i < in.grid.steps; ++i) {
    const auto values = in.floats(i);
    if (values.empty()) continue;
    if (in.histogram_count(i) > 0) {
      ignored.raise(in, [&] { return annotation::histogram_ignored_in_mixed_range(in.name(), in.position); });
    }
    TRY_VOID(meter.done(in, values.size()));
    if (values.size() >= least) f(i, values, in.float_times(i));
  }
  return {};
}

bool nan_first(double a, double b) { return std::isnan(a) ? !std::isnan(b) : a < b; }

// Between which of n sorted values a quantile lies.
struct Rank {
  std::size_t lower, upper;
  double weight;
  Rank(double q, std::size_t n) {
    const double rank = q * static_cast<double>(n - 1);
    lower = static_cast<std::size_t>(std::max(0.0, std::floor(rank)));
    upper = std::min(n - 1, lower + 1);
    weight = rank - std::floor(rank);
  }
};

// The values of a sliding window, kept sorted.
class SortedWindow {
 public:
  SortedWindow(std::span<const double> values, std::vector<double>& storage) : values_(values), sorted_(storage) {
    sorted_.clear();
  }
  void move_to(std::size_t begin, std::size_t end) {
    if (begin >= end_ || (begin - begin_) + (end - end_) > (end - begin) / 4) {
      sorted_.assign(values_.begin() + static_cast<std::ptrdiff_t>(begin),
                     values_.begin() + static_cast<std::ptrdiff_t>(end));
      std::sort(sorted_.begin(), sorted_.end(), nan_first);
    } else {
      for (std::size_t i = begin_; i < begin; ++i)
        sorted_.erase(std::lower_bound(sorted_.begin(), sorted_.end(), values_[i], nan_first));
      for (std::size_t i = end_; i < end; ++i) {
        sorted_.insert(std::upper_bound(sorted_.begin(), sorted_.end(), values_[i], nan_first), values_[i]);
      }
    }
    begin_ = begin;
    end_ = end;
  }
  double quantile(double q) const {
    if (std::isnan(q)) return kNaN;
    if (q < 0) return -kInfinity;
    if (q > 1) return kInfinity;
    const Rank rank(q, sorted_.size());
    return sorted_[rank.lower] * (1 - rank.weight) + sorted_[rank.upper] * rank.weight;
  }

 private:
  std::span<const double> values_;
  std::vector<double>& sorted_;
  std::size_t begin_ = 0, end_ = 0;
};

double variance(std::span<const double> values) {
  double count = 0, mean = 0, mean_error = 0, squares = 0, squares_error = 0;
  for (double value : values) {
    count += 1;
    const double delta = value - (mean + mean_error);
    metrics::compensated_add(delta / count, mean, mean_error);
    metrics::compensated_add(delta * (value - (mean + mean_error)), squares, squares_error);
  }
  return (squares + squares_error) / count;
}

struct Line {
  double slope, intercept;
};

// Least squares; x in seconds from `origin`.
Line regression(std::span<const double> values, std::span<const TimestampMs> times, TimestampMs origin) {
  double n = 0, x_sum = 0, x_error = 0, y_sum = 0, y_error = 0, xy_sum = 0, xy_error = 0, xx_sum = 0, xx_error = 0;
  bool constant = true;
  for (std::size_t i = 0; i < values.size(); ++i) {
    constant = constant && (i == 0 || values[i] == values[0]);
    n += 1;
    const double x = static_cast<double>(times[i] - origin) / 1e3;
    metrics::compensated_add(x, x_sum, x_error);
    metrics::compensated_add(values[i], y_sum, y_error);
    metrics::compensated_add(x * values[i], xy_sum, xy_error);
    metrics::compensated_add(x * x, xx_sum, xx_error);
  }
  if (constant) {
    if (std::isinf(values[0])) return {kNaN, kNaN};
    return {0, values[0]};
  }
  x_sum += x_error;
  y_sum += y_error;
  xy_sum += xy_error;
  xx_sum += xx_error;
  const double slope = (xy_sum - x_sum * y_sum / n) / (xx_sum - x_sum * x_sum / n);
  return {slope, y_sum / n - slope * x_sum / n};
}

}  // namespace

double quantile_of(double q, std::span<double> values) {
  if (values.empty() || std::isnan(q)) return kNaN;
  if (q < 0) return -kInfinity;
  if (q > 1) return kInfinity;
  const Rank rank(q, values.size());
  const auto lower = values.begin() + static_cast<std::ptrdiff_t>(rank.lower);
  std::nth_element(values.begin(), lower, values.end(), nan_first);
  const double upper = rank.upper == rank.lower ? *lower : *std::min_element(lower + 1, values.end(), nan_first);
  return *lower * (1 - rank.weight) + upper * rank.weight;
}

Outcome<> kernel_stdvar(const RangeInput& in, Column& out) {
  return each_float_window(in, 1, [&](std::size_t i, auto values, auto) { out.set(i, variance(values)); });
}

Outcome<> kernel_stddev(const RangeInput& in, Column& out) {
  return each_float_window(in, 1, [&](std::size_t i, auto values, auto) { out.set(i, std::sqrt(variance(values))); });
}

Outcome<> kernel_quantile(const RangeInput& in, Column& out) {
  SortedWindow window(in.samples->values, *in.scratch);
  return each_float_window(in, 1, [&](std::size_t i, auto, auto) {
    const double q = in.scalars[0][i];
    if (std::isnan(q) || q < 0 || q > 1) in.annotations->add(annotation::invalid_quantile(q, in.position));
    window.move_to(in.float_begin[i], in.float_end[i]);
    out.set(i, window.quantile(q));
  });
}

Outcome<> kernel_mad(const RangeInput& in, Column& out) {
  return each_float_window(in, 1, [&](std::size_t i, auto values, auto) {
    if (std::ranges::any_of(values, [](double value) { return std::isnan(value); })) {
      out.set(i, kNaN);
      return;
    }
    in.scratch->assign(values.begin(), values.end());
    const double median = quantile_of(0.5, *in.scratch);
    for (double& value : *in.scratch) value = std::fabs(value - median);
    out.set(i, quantile_of(0.5, *in.scratch));
  });
}

Outcome<> kernel_deriv(const RangeInput& in, Column& out) {
  return each_float_window(
      in, 2, [&](std::size_t i, auto values, auto times) { out.set(i, regression(values, times, times[0]).slope); });
}

Outcome<> kernel_predict_linear(const RangeInput& in, Column& out) {
  return each_float_window(in, 2, [&](std::size_t i, auto values, auto times) {
    const Line line = regression(values, times, in.grid.time(i));
    out.set(i, line.slope * in.scalars[0][i] + line.intercept);
  });
}

Outcome<> kernel_double_exponential(const RangeInput& in, Column& out) {
  for (std::size_t i = 0; i < in.grid.steps; ++i) {
    if (in.empty(i)) continue;
    const double smoothing = in.scalars[0][i], trend = in.scalars[1][i];
    if (smoothing <= 0 || smoothing >= 1) {
      return execution_error(fmt::format("invalid smoothing factor. Expected: 0 < sf < 1, got: {:f}", smoothing));
    }
    if (trend <= 0 || trend >= 1) {
      return execution_error(fmt::format("invalid trend factor. Expected: 0 < tf < 1, got: {:f}", trend));
    }
  }
  return each_float_window(in, 2, [&](std::size_t i, auto values, auto) {
    const double smoothing = in.scalars[0][i], trend = in.scalars[1][i];
    double level_before = 0, level = values[0];
    double slope = values[1] - values[0];
    for (std::size_t k = 1; k < values.size(); ++k) {
      if (k > 1) slope = trend * (level - level_before) + (1 - trend) * slope;
      const double next = smoothing * values[k] + (1 - smoothing) * (level + slope);
      level_before = level;
      level = next;
    }
    out.set(i, level);
  });
}

}  // namespace tocayo::promql::eval
