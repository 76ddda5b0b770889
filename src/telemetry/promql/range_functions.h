// SPDX-License-Identifier: Apache-2.0
// Functions over range vectors: one series with its samples in, one column out. The windows of all steps are known
// beforehand as index ranges into the samples, so that a function can slide over them instead of looking at every
// window anew. Private to the room.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "promql/eval.h"

namespace tocayo::promql::eval {

struct RangeInput {
  const metrics::SampleColumns* samples = nullptr;  // without stale markers
  // Per step [begin, end) into the floats and histograms; begins and ends never go down from step to step.
  const std::uint32_t* float_begin = nullptr;
  const std::uint32_t* float_end = nullptr;
  const std::uint32_t* histogram_begin = nullptr;
  const std::uint32_t* histogram_end = nullptr;
  Grid grid;
  std::optional<TimestampMs> at;                     // fixed by @
  std::int64_t offset = 0, range = 0, lookback = 0;  // ms
  bool anchored = false, smoothed = false;
  bool use_start_times = false;
  std::vector<std::span<const double>> scalars;  // the other arguments, per step
  const Labels* labels = nullptr;
  PositionRange position;       // of the first argument
  PositionRange args_position;  // of all arguments
  const Evaluator* evaluator = nullptr;
  Annotations* annotations = nullptr;
  std::vector<double>* scratch = nullptr;

  TimestampMs range_end(std::size_t step) const { return saturating_sub(at.value_or(grid.time(step)), offset); }
  TimestampMs range_start(std::size_t step) const { return saturating_sub(range_end(step), range); }
  std::string_view name() const { return metric_name(*labels); }
  std::size_t float_count(std::size_t step) const { return float_end[step] - float_begin[step]; }
  std::size_t histogram_count(std::size_t step) const { return histogram_end[step] - histogram_begin[step]; }
  bool empty(std::size_t step) const { return float_count(step) + histogram_count(step) == 0; }
  std::span<const double> floats(std::size_t step) const {
    return std::span(samples->values).subspan(float_begin[step], float_count(step));
  }
  std::span<const TimestampMs> float_times(std::size_t step) const {
    return std::span(samples->times).subspan(float_begin[step], float_count(step));
  }
  std::span<const metrics::HistogramPtr> histograms(std::size_t step) const {
    return std::span(samples->histograms).subspan(histogram_begin[step], histogram_count(step));
  }
  std::span<const TimestampMs> histogram_times(std::size_t step) const {
    return std::span(samples->histogram_times).subspan(histogram_begin[step], histogram_count(step));
  }
  // Start time of sample `index` of the series; 0 when unknown or not to be used.
  TimestampMs float_start(std::size_t index) const {
    return use_start_times && index < samples->start_times.size() ? samples->start_times[index] : 0;
  }
  TimestampMs histogram_start(std::size_t index) const {
    return use_start_times && index < samples->histogram_start_times.size() ? samples->histogram_start_times[index] : 0;
  }
};

// Fills in the steps that have a result. An error is the user's (a parameter out of range).
using RangeKernel = Outcome<> (*)(const RangeInput& in, Column& out);
// Null when there is none of this name.
RangeKernel find_range_kernel(std::string_view function);

// Looks from time to time whether anybody still waits for the result, in functions that work on whole windows.
class WorkMeter {
 public:
  Outcome<> done(const RangeInput& in, std::size_t samples) {
    work_ += samples;
    if (work_ < 10'000) return {};
    work_ = 0;
    return in.evaluator->check();
  }

 private:
  std::size_t work_ = 0;
};

// An annotation that a series raises at most once, however many steps meet it.
class OncePerSeries {
 public:
  template <typename Make>
  void raise(const RangeInput& in, Make&& make) {
    if (!raised_) in.annotations->add(make());
    raised_ = true;
  }

 private:
  bool raised_ = false;
};

// Whether the counter restarted between two samples, by their start times.
bool is_start_time_reset(TimestampMs previous_start, TimestampMs previous, TimestampMs start, TimestampMs time);
// Whether a start time lies before the previous sample without being the same start.
inline bool start_time_overlaps(TimestampMs previous_start, TimestampMs previous, TimestampMs start) {
  return start != 0 && start < previous && start != previous_start;
}

// range_functions_rate.cpp
Outcome<> kernel_rate(const RangeInput& in, Column& out);
Outcome<> kernel_increase(const RangeInput& in, Column& out);
Outcome<> kernel_delta(const RangeInput& in, Column& out);
Outcome<> kernel_irate(const RangeInput& in, Column& out);
Outcome<> kernel_idelta(const RangeInput& in, Column& out);
// range_functions_histogram.cpp: increase of histograms over a window of at least two; null when it has none.
std::shared_ptr<metrics::FloatHistogram> histogram_increase(const RangeInput& in, std::size_t step, bool counter);
// Adds in place with the annotations that go with it; false when the schemas cannot be combined.
bool add_annotated(metrics::FloatHistogram& into, const metrics::FloatHistogram& other, const RangeInput& in);
metrics::HistogramPtr sum_of_histograms(const RangeInput& in, std::size_t step);
metrics::HistogramPtr average_of_histograms(const RangeInput& in, std::size_t step);
// range_functions_extended.cpp: anchored and smoothed windows.
void extended_increase(const RangeInput& in, std::size_t step, bool counter, bool per_second, Column& out);
void smooth_series(const metrics::SampleColumns& samples, const Grid& grid, const VectorSelector& selector,
                   std::int64_t lookback, const Labels& labels, Annotations& annotations, Column& out);
// The float samples of one window with a point put on each of its ends; empty when there are none.
std::vector<FloatPoint> extend_floats(std::span<const TimestampMs> times, std::span<const double> values,
                                      TimestampMs start, TimestampMs end, bool smoothed);
// range_functions_stats.cpp
Outcome<> kernel_stddev(const RangeInput& in, Column& out);
Outcome<> kernel_stdvar(const RangeInput& in, Column& out);
Outcome<> kernel_quantile(const RangeInput& in, Column& out);
Outcome<> kernel_mad(const RangeInput& in, Column& out);
Outcome<> kernel_deriv(const RangeInput& in, Column& out);
Outcome<> kernel_predict_linear(const RangeInput& in, Column& out);
Outcome<> kernel_double_exponential(const RangeInput& in, Column& out);

// φ-quantile of values, which are sorted in place with NaN lowest: linear between ranks, ±Inf outside 0..1, NaN for NaN
// or none.
double quantile_of(double q, std::span<double> values);

}  // namespace tocayo::promql::eval
