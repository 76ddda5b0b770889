// SPDX-License-Identifier: Apache-2.0
// The *_over_time family, changes and resets.
#include "promql/range_functions.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tocayo::promql::eval {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// --- sum, avg
// ---------------------------------------------------------------------------------------------------------------

struct Sum {
  double value = 0, error = 0;
  void add(double x) { metrics::compensated_add(x, value, error); }
};

Sum direct_sum(std::span<const double> values) {
  Sum sum;
  for (double value : values) sum.add(value);
  return sum;
}

// Compensated sums of sliding windows without ever subtracting: sums of suffixes up to a middle, and a running sum
// behind it.
class SlidingSum {
 public:
  SlidingSum(std::span<const double> values, std::vector<double>& scratch) : values_(values) {
    scratch.resize(2 * values.size());
    suffix_ = std::span(scratch).first(values.size());
    suffix_error_ = std::span(scratch).last(values.size());
  }
  Sum of(std::size_t begin, std::size_t end) {
    for (; end_ < end; ++end_) back_.add(values_[end_]);
    if (begin >= middle_) {
      Sum sum;
      for (std::size_t i = end; i > begin; --i) {
        sum.add(values_[i - 1]);
        suffix_[i - 1] = sum.value;
        suffix_error_[i - 1] = sum.error;
      }
      middle_ = end_;
      back_ = {};
      return sum;
    }
    Sum sum{suffix_[begin], suffix_error_[begin]};
    const double error = back_.error;
    sum.add(back_.value);
    sum.error += error;
    return sum;
  }

 private:
  std::span<const double> values_;
  std::span<double> suffix_, suffix_error_;
  Sum back_;
  std::size_t middle_ = 0, end_ = 0;
};

// Mean that survives an overflowing sum.
double incremental_mean(std::span<const double> values) {
  double sum = values[0], error = 0, mean = 0, count = 1;
  bool incremental = false;
  for (double value : values.subspan(1)) {
    count += 1;
    if (!incremental) {
      double next = sum, next_error = error;
      metrics::compensated_add(value, next, next_error);
      if (!std::isinf(next)) {
        sum = next;
        error = next_error;
        continue;
      }
      incremental = true;
      mean = sum / (count - 1);
      error /= count - 1;
    }
    const double share = (count - 1) / count;
    mean *= share;
    error *= share;
    metrics::compensated_add(value / count, mean, error);
  }
  return incremental ? mean + error : sum / count + error / count;
}

// Whether windows overlap so much that sliding pays.
bool worth_sliding(const RangeInput& in) {
  std::size_t total = 0;
  for (std::size_t i = 0; i < in.grid.steps; ++i) total += in.float_count(i);
  return total > 4 * in.samples->values.size();
}

template <typename OfFloats, typename OfHistograms>
Outcome<> sum_like(const RangeInput& in, Column& out, OfFloats&& of_floats, OfHistograms&& of_histograms) {
  const bool slide = worth_sliding(in);
  std::optional<SlidingSum> sliding;
  if (slide) sliding.emplace(in.samples->values, *in.scratch);
  OncePerSeries mixed;
  WorkMeter meter;
  for (std::size_t i = 0; i < in.grid.steps; ++i) {
    const std::size_t floats = in.float_count(i), histograms = in.histogram_count(i);
    TRY_VOID(meter.done(in, 100 * histograms));
    if (floats > 0 && histograms > 0) {
      mixed.raise(in, [&] { return annotation::mixed_floats_histograms(in.name(), in.position); });
    } else if (floats > 0) {
      const Sum sum = slide ? sliding->of(in.float_begin[i], in.float_end[i]) : direct_sum(in.floats(i));
      out.set(i, of_floats(sum, in.floats(i)));
    } else if (histograms > 0) {
      if (auto result = of_histograms(in, i)) out.set_histogram(i, std::move(result));
    }
  }
  return {};
}

Outcome<> kernel_sum(const RangeInput& in, Column& out) {
  return sum_like(
      in, out, [](Sum sum, auto) { return std::isinf(sum.value) ? sum.value : sum.value + sum.error; },
      sum_of_histograms);
}

Outcome<> kernel_avg(const RangeInput& in, Column& out) {
  return sum_like(
      in, out,
      [](Sum sum, std::span<const double> values) {
        const double count = static_cast<double>(values.size());
        if (!std::isfinite(sum.value)) return incremental_mean(values);
        return sum.value / count + sum.error / count;
      },
      average_of_histograms);
}

// --- counting and picking
// ---------------------------------------------------------------------------------------------------

Outcome<> kernel_count(const RangeInput& in, Column& out) {
  for (std::size_t i = 0; i < in.grid.steps; ++i) {
    if (!in.empty(i)) out.set(i, static_cast<double>(in.float_count(i) + in.histogram_count(i)));
  }
  return {};
}

Outcome<> kernel_present(const RangeInput& in, Column& out) {
  for (std::size_t i = 0; i < in.grid.steps; ++i) {
    if (!in.empty(i)) out.set(i, 1);
  }
  return {};
}

// The first or last sample of each window, floats and histograms together.
template <bool kLast, bool kTime>
Outcome<> kernel_pick(const RangeInput& in, Column& out) {
  for (std::size_t i = 0; i < in.grid.steps; ++i) {
    if (in.empty(i)) continue;
    const std::size_t f = kLast ? in.float_end[i] - 1 : in.float_begin[i];
    const std::size_t h = kLast ? in.histogram_end[i] - 1 : in.histogram_begin[i];
    bool take_float = in.float_count(i) > 0;
    if (take_float && in.histogram_count(i) > 0) {
      take_float = kLast ? in.samples->histogram_times[h] < in.samples->times[f]
                         : in.samples->times[f] < in.samples->histogram_times[h];
    }
    if constexpr (kTime) {
      out.set(i, static_cast<double>(take_float ? in.samples->times[f] : in.samples->histogram_times[h]) / 1000);
    } else if (take_float) {
      out.set(i, in.samples->values[f]);
    } else {
      out.set_histogram(i, in.samples->histograms[h]);
    }
  }
  return {};
}

// --- min, max
// ----------------------------------------------------------------------------------------------------------------

void note_ignored_histograms(const RangeInput& in, std::size_t step, OncePerSeries& once) {
  if (in.histogram_count(step) > 0) {
    once.raise(in, [&] { return annotation::histogram_ignored_in_mixed_range(in.name(), in.position); });
  }
}

// Positions of the candidates for the extremum of a sliding window, best first. NaNs lose against everything.
template <bool kMax>
Outcome<> kernel_extremum(const RangeInput& in, Column& out) {
  const auto& values = in.samples->values;
  std::vector<std::uint32_t> queue(values.size());
  std::size_t head = 0, tail = 0, seen = 0;
  OncePerSeries ignored;
  for (std::size_t i = 0; i < in.grid.steps; ++i) {
    if (in.float_count(i) == 0) continue;
    note_ignored_histograms(in, i, ignored);
    seen = std::max<std::size_t>(seen, in.float_begin[i]);
    for (; seen < in.float_end[i]; ++seen) {
      const double value = values[seen];
      if (std::isnan(value)) continue;
      while (tail > head && (kMax ? values[queue[tail - 1]] < value : values[queue[tail - 1]] > value)) --tail;
      queue[tail++] = static_cast<std::uint32_t>(seen);
    }
    while (head < tail && queue[head] < in.float_begin[i]) ++head;
    out.set(i, head < tail ? values[queue[head]] : kNaN);
  }
  return {};
}

// Time of the last sample that has the extremum.
template <bool kMax>
Outcome<> kernel_time_of_extremum(const RangeInput& in, Column& out) {
  OncePerSeries ignored;
  WorkMeter meter;
  for (std::size_t i = 0; i < in.grid.steps; ++i) {
    const auto values = in.floats(i);
    if (values.empty()) continue;
    TRY_VOID(meter.done(in, values.size()));
    note_ignored_histograms(in, i, ignored);
    std::size_t best = 0;
    for (std::size_t k = 1; k < values.size(); ++k) {
      if (std::isnan(values[best]) || (kMax ? values[k] >= values[best] : values[k] <= values[best])) best = k;
    }
    out.set(i, static_cast<double>(in.float_times(i)[best]) / 1000);
  }
  return {};
}

// --- changes, resets
// -----------------------------------------------------------------------------------------------------------

// How many events lie between neighbouring samples, floats and histograms in the order of time: counted once for the
// series, a window then is a difference of two counts.
template <typename OfFloats, typename OfHistograms>
Outcome<> count_events(const RangeInput& in, Column& out, OfFloats&& of_floats, OfHistograms&& of_histograms) {
  const auto& s = *in.samples;
  const std::size_t floats = s.times.size(), histograms = s.histogram_times.size();
  std::vector<std::uint32_t> events(floats + histograms);
  std::size_t f = 0, h = 0;
  bool previous_is_float = false;
  for (std::size_t k = 0; k < events.size(); ++k) {
    const bool is_float = h == histograms || (f < floats && s.times[f] < s.histogram_times[h]);
    if (k > 0) {
      bool event = true;  // a change of type
      if (is_float && previous_is_float) event = of_floats(f);
      if (!is_float && !previous_is_float) event = of_histograms(h);
      events[k] = events[k - 1] + (event ? 1 : 0);
    }
    previous_is_float = is_float;
    ++(is_float ? f : h);
  }
  for (std::size_t i = 0; i < in.grid.steps; ++i) {
    if (in.empty(i)) continue;
    std::size_t begin = in.float_begin[i] + in.histogram_begin[i];
    const std::size_t end = in.float_end[i] + in.histogram_end[i];
    if (in.anchored) {
      // The newest sample at or before the start of the range is the baseline.
      const TimestampMs start = in.range_start(i);
      const auto up_to = [start](const std::vector<TimestampMs>& times) {
        return static_cast<std::size_t>(std::ranges::upper_bound(times, start) - times.begin());
      };
      const std::size_t before = up_to(s.times) + up_to(s.histogram_times);
      if (before >= end) continue;
      begin = std::max(begin, before == 0 ? 0 : before - 1);
    }
    out.set(i, events[end - 1] - events[begin]);
  }
  return {};
}

Outcome<> kernel_changes(const RangeInput& in, Column& out) {
  const auto& s = *in.samples;
  return count_events(
      in, out,
      [&](std::size_t f) {
        return s.values[f] != s.values[f - 1] && !(std::isnan(s.values[f]) && std::isnan(s.values[f - 1]));
      },
      [&](std::size_t h) { return !s.histograms[h]->equals(*s.histograms[h - 1]); });
}

Outcome<> kernel_resets(const RangeInput& in, Column& out) {
  const auto& s = *in.samples;
  // Start times of the sample before count only when that one is of the same type, as it is here.
  return count_events(
      in, out,
      [&](std::size_t f) {
        return s.values[f] < s.values[f - 1] ||
               is_start_time_reset(in.float_start(f - 1), s.times[f - 1], in.float_start(f), s.times[f]);
      },
      [&](std::size_t h) {
        return is_start_time_reset(in.histogram_start(h - 1), s.histogram_times[h - 1], in.histogram_start(h),
                                   s.histogram_times[h]) ||
               s.histograms[h]->detect_reset(*s.histograms[h - 1]);
      });
}

struct Entry {
  std::string_view name;
  RangeKernel kernel;
};
constexpr Entry kKernels[] = {
    {"absent_over_time", kernel_present},
    {"avg_over_time", kernel_avg},
    {"changes", kernel_changes},
    {"count_over_time", kernel_count},
    {"delta", kernel_delta},
    {"deriv", kernel_deriv},
    {"double_exponential_smoothing", kernel_double_exponential},
    {"first_over_time", kernel_pick<false, false>},
    {"idelta", kernel_idelta},
    {"increase", kernel_increase},
    {"irate", kernel_irate},
    {"last_over_time", kernel_pick<true, false>},
    {"mad_over_time", kernel_mad},
    {"max_over_time", kernel_extremum<true>},
    {"min_over_time", kernel_extremum<false>},
    {"predict_linear", kernel_predict_linear},
    {"present_over_time", kernel_present},
    {"quantile_over_time", kernel_quantile},
    {"rate", kernel_rate},
    {"resets", kernel_resets},
    {"stddev_over_time", kernel_stddev},
    {"stdvar_over_time", kernel_stdvar},
    {"sum_over_time", kernel_sum},
    {"ts_of_first_over_time", kernel_pick<false, true>},
    {"ts_of_last_over_time", kernel_pick<true, true>},
    {"ts_of_max_over_time", kernel_time_of_extremum<true>},
    {"ts_of_min_over_time", kernel_time_of_extremum<false>},
};

}  // namespace

RangeKernel find_range_kernel(std::string_view function) {
  const auto* entry = std::ranges::lower_bound(kKernels, function, {}, &Entry::name);
  return entry != std::end(kKernels) && entry->name == function ? entry->kernel : nullptr;
}

bool is_start_time_reset(TimestampMs previous_start, TimestampMs previous, TimestampMs start, TimestampMs time) {
  // Unknown (0), invalid (after the sample) or "unknown" in OpenTelemetry's way (at the sample).
  if (start == 0 || start >= time) return false;
  if (start != previous) return start > previous;
  // It began exactly at the previous sample: a delta series (reset), or a cumulative one whose first sample had no
  // known start.
  if (previous_start > previous) return false;
  return previous_start != 0 && previous_start != previous;
}

}  // namespace tocayo::promql::eval
