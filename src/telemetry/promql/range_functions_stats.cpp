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
void each_float_window(const RangeInput& in, std::size_t least, F&& f) {
  OncePerSeries ignored;
  for (std::size_t i = 0; i < in.grid.steps; ++i) {
    const auto values = in.floats(i);
    if (values.empty()) continue;
    if (in.histogram_count(i) > 0) {
      ignored.raise(in, [&] { return annotation::histogram_ignored_in_mixed_range(in.name(), in.position); });
    }
    if (values.size() >= least) f(i, values, in.float_times(i));
  }
}

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
  const auto last_nan = std::partition(values.begin(), values.end(), [](double value) { return std::isnan(value); });
  std::sort(last_nan, values.end());
  const double n = static_cast<double>(values.size());
  const double rank = q * (n - 1);
  const double lower = std::max(0.0, std::floor(rank));
  const double upper = std::min(n - 1, lower + 1);
  const double weight = rank - std::floor(rank);
  return values[static_cast<std::size_t>(lower)] * (1 - weight) + values[static_cast<std::size_t>(upper)] * weight;
}

Outcome<> kernel_stdvar(const RangeInput& in, Column& out) {
  each_float_window(in, 1, [&](std::size_t i, auto values, auto) { out.set(i, variance(values)); });
  return {};
}

Outcome<> kernel_stddev(const RangeInput& in, Column& out) {
  each_float_window(in, 1, [&](std::size_t i, auto values, auto) { out.set(i, std::sqrt(variance(values))); });
  return {};
}

Outcome<> kernel_quantile(const RangeInput& in, Column& out) {
  each_float_window(in, 1, [&](std::size_t i, auto values, auto) {
    const double q = in.scalars[0][i];
    if (std::isnan(q) || q < 0 || q > 1) in.annotations->add(annotation::invalid_quantile(q, in.position));
    in.scratch->assign(values.begin(), values.end());
    out.set(i, quantile_of(q, *in.scratch));
  });
  return {};
}

Outcome<> kernel_mad(const RangeInput& in, Column& out) {
  each_float_window(in, 1, [&](std::size_t i, auto values, auto) {
    if (std::ranges::any_of(values, [](double value) { return std::isnan(value); })) {
      out.set(i, kNaN);
      return;
    }
    in.scratch->assign(values.begin(), values.end());
    const double median = quantile_of(0.5, *in.scratch);
    for (double& value : *in.scratch) value = std::fabs(value - median);
    out.set(i, quantile_of(0.5, *in.scratch));
  });
  return {};
}

Outcome<> kernel_deriv(const RangeInput& in, Column& out) {
  each_float_window(in, 2, [&](std::size_t i, auto values, auto times) { out.set(i, regression(values, times, times[0]).slope); });
  return {};
}

Outcome<> kernel_predict_linear(const RangeInput& in, Column& out) {
  each_float_window(in, 2, [&](std::size_t i, auto values, auto times) {
    const Line line = regression(values, times, in.grid.time(i));
    out.set(i, line.slope * in.scalars[0][i] + line.intercept);
  });
  return {};
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
  each_float_window(in, 2, [&](std::size_t i, auto values, auto) {
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
  return {};
}

}  // namespace tocayo::promql::eval
