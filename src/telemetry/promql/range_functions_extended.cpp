// SPDX-License-Identifier: Apache-2.0
// Anchored and smoothed ranges: values at the exact ends of a range instead of extrapolation. Anchored takes the sample
// at or before the start, smoothed interpolates between the samples around each end.
#include <algorithm>

#include "promql/range_functions.h"

namespace tocayo::promql::eval {

namespace {

using metrics::FloatHistogram;
using metrics::ResetHint;
using HistogramResult = std::shared_ptr<FloatHistogram>;

// Value at `time` on the line between two samples; a counter that fell started from 0 in between.
double interpolate(TimestampMs t1, double v1, TimestampMs t2, double v2, TimestampMs time, bool counter) {
  if (counter && v2 < v1) v1 = 0;
  return v1 + (v2 - v1) * static_cast<double>(time - t1) / static_cast<double>(t2 - t1);
}

struct Notes {
  Annotations& annotations;
  std::string_view name;
  PositionRange position;
  void mixed_schemas() { annotations.add(annotation::mixed_exponential_custom_histograms(name, position)); }
  void reconciled(HistogramOperation operation) {
    annotations.add(annotation::mismatched_custom_buckets(position, operation));
  }
};

// The same for histograms; null (with an annotation) when they cannot be combined.
HistogramResult interpolate(TimestampMs t1, const FloatHistogram& h1, TimestampMs t2, const FloatHistogram& h2,
                            TimestampMs time, bool counter, Notes& notes) {
  if (time == t1) return std::make_shared<FloatHistogram>(h1);
  auto result = std::make_shared<FloatHistogram>(h2);
  if (time == t2) return result;
  const double fraction = static_cast<double>(time - t1) / static_cast<double>(t2 - t1);
  if (counter && h2.detect_reset(h1)) {
    result->multiply(fraction);
    return result;
  }
  const auto difference = result->subtract(h1);
  if (difference.incompatible) {
    notes.mixed_schemas();
    return nullptr;
  }
  if (difference.bounds_reconciled) notes.reconciled(HistogramOperation::subtraction);
  result->multiply(fraction);
  if (result->add(h1).bounds_reconciled) notes.reconciled(HistogramOperation::addition);
  return result;
}

// Which samples stand for the ends of the range: indices into the window.
struct Ends {
  std::size_t first, last;
};

std::optional<Ends> find_ends(std::span<const TimestampMs> times, TimestampMs start, TimestampMs end, bool smoothed) {
  if (times.empty()) return std::nullopt;
  Ends ends{0, times.size() - 1};
  const auto body = times.first(times.size() - 1);
  const auto after_start = static_cast<std::size_t>(std::ranges::upper_bound(body, start) - body.begin());
  ends.first = after_start == 0 ? 0 : after_start - 1;
  if (smoothed) ends.last = static_cast<std::size_t>(std::ranges::lower_bound(body, end) - body.begin());
  if (times[ends.last] <= start || (smoothed && times[ends.first] > end)) return std::nullopt;
  return ends;
}

struct EndValues {
  double left, right;
};

EndValues end_values(std::span<const TimestampMs> times, std::span<const double> values, Ends ends, TimestampMs start,
                     TimestampMs end, bool smoothed, bool counter) {
  EndValues out{values[ends.first], values[ends.last]};
  if (smoothed && times[ends.first] < start) {
    out.left = interpolate(times[ends.first], values[ends.first], times[ends.first + 1], values[ends.first + 1], start,
                           counter);
  }
  if (smoothed && ends.last > 0 && times[ends.last] > end) {
    out.right =
        interpolate(times[ends.last - 1], values[ends.last - 1], times[ends.last], values[ends.last], end, counter);
  }
  return out;
}

void float_increase(const RangeInput& in, std::size_t step, bool counter, bool per_second, Column& out) {
  const auto times = in.float_times(step);
  const auto values = in.floats(step);
  const TimestampMs start = in.range_start(step), end = in.range_end(step);
  const auto found = find_ends(times, start, end, in.smoothed);
  if (!found) return;
  const EndValues ends = end_values(times, values, *found, start, end, in.smoothed, counter);
  double increase = ends.right - ends.left;
  if (counter) {
    // Resets at the ends are part of the interpolation; only samples inside the range are left to look at.
    std::size_t begin = found->first, past = found->last + 1;
    if (times[begin] <= start) ++begin;
    if (times[past - 1] >= end) --past;
    double previous = ends.left;
    for (std::size_t i = begin; i < past; ++i) {
      if (values[i] < previous) increase += previous;
      previous = values[i];
    }
    if (ends.right < previous) increase += previous;
  }
  out.set(step, per_second ? increase / (static_cast<double>(in.range) / 1000) : increase);
}

// What counter resets between the ends took away; `failed` when histograms could not be added.
struct Correction {
  HistogramResult histogram;
  bool failed = false;
};

Correction reset_correction(const RangeInput& in, std::span<const metrics::HistogramPtr> points,
                            std::span<const TimestampMs> times, Ends ends, const FloatHistogram& left,
                            const FloatHistogram& right, TimestampMs start) {
  std::size_t next = ends.first + 1;  // `left` stands for the first
  const FloatHistogram* previous = &left;
  if (in.smoothed && times[ends.first] < start && points[ends.first + 1]->detect_reset(*points[ends.first])) {
    previous = points[ends.first + 1].get();  // that reset is in the interpolation already
    ++next;
  }
  // The last one is excluded: `right` is made of it and carries its hint.
  if (next > ends.last) return {};
  Correction correction;
  const auto lost = [&](const FloatHistogram& h) {
    if (!correction.histogram) {
      correction.histogram = std::make_shared<FloatHistogram>(h);
    } else if (!add_annotated(*correction.histogram, h, in)) {
      correction.failed = true;
    }
    return !correction.failed;
  };
  for (std::size_t i = next; i < ends.last; ++i) {
    if (points[i]->detect_reset(*previous) && !lost(*previous)) return correction;
    previous = points[i].get();
  }
  if (right.detect_reset(*previous)) lost(*previous);
  return correction;
}

void histogram_increase_extended(const RangeInput& in, std::size_t step, bool counter, bool per_second, Column& out) {
  const auto points = in.histograms(step);
  const auto times = in.histogram_times(step);
  const TimestampMs start = in.range_start(step), end = in.range_end(step);
  const auto ends = find_ends(times, start, end, in.smoothed);
  if (!ends) return;
  Notes notes{*in.annotations, in.name(), in.position};
  for (std::size_t i = ends->first; i <= ends->last; ++i) {
    if (points[i]->uses_custom_buckets() != points[ends->first]->uses_custom_buckets()) {
      notes.mixed_schemas();
      return;
    }
    if (counter && points[i]->hint == ResetHint::gauge) {
      in.annotations->add(annotation::native_histogram_not_counter(in.name(), in.position));
    }
  }
  HistogramResult left = std::make_shared<FloatHistogram>(*points[ends->first]);
  if (in.smoothed && times[ends->first] < start) {
    left = interpolate(times[ends->first], *points[ends->first], times[ends->first + 1], *points[ends->first + 1],
                       start, counter, notes);
  }
  HistogramResult right = std::make_shared<FloatHistogram>(*points[ends->last]);
  if (in.smoothed && ends->last > 0 && times[ends->last] > end) {
    right = interpolate(times[ends->last - 1], *points[ends->last - 1], times[ends->last], *points[ends->last], end,
                        counter, notes);
  }
  if (!left || !right) return;
  if (!counter && (left->hint != ResetHint::gauge || right->hint != ResetHint::gauge)) {
    in.annotations->add(annotation::native_histogram_not_gauge(in.name(), in.position));
  }
  auto increase = std::make_shared<FloatHistogram>(*right);
  const auto outcome = increase->subtract(*left);
  if (outcome.incompatible) {
    notes.mixed_schemas();
    return;
  }
  if (outcome.bounds_reconciled) notes.reconciled(HistogramOperation::subtraction);
  if (counter) {
    const Correction correction = reset_correction(in, points, times, *ends, *left, *right, start);
    if (correction.failed) return;
    if (correction.histogram && !add_annotated(*increase, *correction.histogram, in)) return;
  }
  if (per_second) increase->divide(static_cast<double>(in.range) / 1000);
  increase->hint = ResetHint::gauge;
  increase->compact();
  out.set_histogram(step, std::move(increase));
}

}  // namespace

void extended_increase(const RangeInput& in, std::size_t step, bool counter, bool per_second, Column& out) {
  if (in.histogram_count(step) > 0) {
    histogram_increase_extended(in, step, counter, per_second, out);
  } else {
    float_increase(in, step, counter, per_second, out);
  }
}

std::vector<FloatPoint> extend_floats(std::span<const TimestampMs> times, std::span<const double> values,
                                      TimestampMs start, TimestampMs end, bool smoothed) {
  std::vector<FloatPoint> out;
  if (times.empty()) return out;
  Ends ends{0, times.size() - 1};
  const auto body = times.first(times.size() - 1);
  const auto after_start = static_cast<std::size_t>(std::ranges::upper_bound(body, start) - body.begin());
  ends.first = after_start == 0 ? 0 : after_start - 1;
  if (smoothed) ends.last = static_cast<std::size_t>(std::ranges::lower_bound(body, end) - body.begin());
  if (times[ends.last] <= start) return out;
  const EndValues at_ends = end_values(times, values, ends, start, end, smoothed, false);
  out.push_back({start, at_ends.left});
  for (std::size_t i = ends.first; i <= ends.last; ++i) {
    if ((i == ends.first && times[i] <= start) || (i == ends.last && times[i] >= end)) continue;
    out.push_back({times[i], values[i]});
  }
  out.push_back({end, at_ends.right});
  return out;
}

void smooth_series(const metrics::SampleColumns& samples, const Grid& grid, const VectorSelector& selector,
                   std::int64_t lookback, const Labels& labels, Annotations& annotations, Column& out) {
  const PositionRange position = position_of(selector);
  Notes notes{annotations, metric_name(labels), position};
  const auto window = [&](const std::vector<TimestampMs>& times, TimestampMs after, TimestampMs up_to) {
    const auto begin = std::ranges::upper_bound(times, after);
    return std::pair(static_cast<std::size_t>(begin - times.begin()),
                     static_cast<std::size_t>(std::ranges::upper_bound(begin, times.end(), up_to) - times.begin()));
  };
  for (std::size_t i = 0; i < grid.steps; ++i) {
    const TimestampMs time =
        saturating_sub(selector.timestamp.value_or(grid.time(i)), selector.original_offset.count());
    const auto [f_begin, f_end] = window(samples.times, saturating_sub(time, lookback), saturating_add(time, lookback));
    const auto [h_begin, h_end] =
        window(samples.histogram_times, saturating_sub(time, lookback), saturating_add(time, lookback));
    if (f_begin < f_end && h_begin < h_end) {
      annotations.add(annotation::mixed_floats_histograms(notes.name, position));
      continue;
    }
    const bool histograms = h_begin < h_end;
    const auto& times = histograms ? samples.histogram_times : samples.times;
    const std::size_t begin = histograms ? h_begin : f_begin, end = histograms ? h_end : f_end;
    if (begin == end) continue;
    const auto at = static_cast<std::size_t>(std::lower_bound(times.begin() + static_cast<std::ptrdiff_t>(begin),
                                                              times.begin() + static_cast<std::ptrdiff_t>(end), time) -
                                             times.begin());
    const bool exact = at < end && times[at] == time;
    if (!exact && at == begin) continue;  // nothing yet
    if (!histograms) {
      double value = exact ? samples.values[at] : samples.values[at - 1];
      if (!exact && at < end)
        value = interpolate(times[at - 1], samples.values[at - 1], times[at], samples.values[at], time, false);
      out.set(i, value);
      continue;
    }
    if (exact) {
      out.set_histogram(i, samples.histograms[at]);
    } else if (at == end) {
      auto carried = std::make_shared<FloatHistogram>(*samples.histograms[at - 1]);
      carried->hint = ResetHint::unknown;  // the hint told of the sample, not of its value
      out.set_histogram(i, std::move(carried));
    } else {
      const FloatHistogram &before = *samples.histograms[at - 1], &after = *samples.histograms[at];
      if (before.uses_custom_buckets() != after.uses_custom_buckets()) {
        notes.mixed_schemas();
        continue;
      }
      const bool counter = before.hint != ResetHint::gauge || after.hint != ResetHint::gauge;
      if (auto value = interpolate(times[at - 1], before, times[at], after, time, counter, notes))
        out.set_histogram(i, std::move(value));
    }
  }
}

}  // namespace tocayo::promql::eval
