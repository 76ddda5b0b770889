// SPDX-License-Identifier: Apache-2.0
// rate, increase, delta, irate, idelta.
#include <algorithm>
#include <cmath>

#include "promql/range_functions.h"

namespace tocayo::promql::eval {

namespace {

using metrics::FloatHistogram;
using metrics::ResetHint;

// What to scale the increase between first and last sample by, to stand for the whole range.
struct Extrapolation {
  double factor = 0;       // 0: no result
  bool from_zero = false;  // the first sample's start time lies inside the range: the counter began at 0 there
};

struct Edges {
  TimestampMs range_start, range_end, first, last;
  std::size_t count;
  TimestampMs first_start_time;  // 0 = unknown
};

// `first_value` and `increase` are of floats, or the counts of histograms; only looked at for counters.
Extrapolation extrapolate(const Edges& e, bool counter, double first_value, double increase) {
  const auto seconds = [](TimestampMs from, TimestampMs to) { return static_cast<double>(to - from) / 1000; };
  double to_start = seconds(e.range_start, e.first);
  double to_end = seconds(e.last, e.range_end);
  double sampled = seconds(e.first, e.last);
  const double spacing = e.count > 1 ? sampled / static_cast<double>(e.count - 1) : 0;
  const double threshold = spacing * 1.1;
  Extrapolation result;
  if (counter && e.first_start_time != 0 && e.first_start_time > e.range_start && e.first_start_time < e.first) {
    result.from_zero = true;
    to_start = 0;
    sampled = seconds(e.first_start_time, e.last);
  } else if (e.count < 2) {
    return result;
  } else {
    // A gap of more than 1.1 spacings to the edge of the range means that the series began (or ended) inside it.
    if (to_start >= threshold) to_start = spacing / 2;
    if (counter && increase > 0 && first_value >= 0) {
      to_start = std::min(to_start, sampled * (first_value / increase));  // a counter does not come from below zero
    }
  }
  if (to_end >= threshold) to_end = spacing / 2;
  result.factor = sampled != 0 ? (sampled + to_start + to_end) / sampled : 1;
  return result;
}

// Positions i of floats that come after a counter reset, and of those whose start time overlaps the sample before.
struct CounterFacts {
  std::vector<std::uint32_t> resets, overlaps;
};

CounterFacts counter_facts(const RangeInput& in) {
  CounterFacts facts;
  const auto& values = in.samples->values;
  const auto& times = in.samples->times;
  const bool starts = in.use_start_times && !in.samples->start_times.empty();
  for (std::size_t i = 1; i < values.size(); ++i) {
    bool reset = values[i] < values[i - 1];
    if (starts) {
      const TimestampMs previous = in.float_start(i - 1), start = in.float_start(i);
      reset = reset || is_start_time_reset(previous, times[i - 1], start, times[i]);
      if (start_time_overlaps(previous, times[i - 1], start)) facts.overlaps.push_back(static_cast<std::uint32_t>(i));
    }
    if (reset) facts.resets.push_back(static_cast<std::uint32_t>(i));
  }
  return facts;
}

class FloatIncrease {
 public:
  FloatIncrease(const RangeInput& in, bool counter) : in_(in), counter_(counter) {
    if (counter) facts_ = counter_facts(in);
  }
  void at(std::size_t step, bool per_second, Column& out) {
    const auto& values = in_.samples->values;
    const std::size_t begin = in_.float_begin[step], end = in_.float_end[step];
    double increase = values[end - 1] - values[begin];
    if (counter_) {
      while (reset_ < facts_.resets.size() && facts_.resets[reset_] <= begin) ++reset_;
      for (std::size_t r = reset_; r < facts_.resets.size() && facts_.resets[r] < end; ++r)
        increase += values[facts_.resets[r] - 1];
      while (overlap_ < facts_.overlaps.size() && facts_.overlaps[overlap_] <= begin) ++overlap_;
      if (overlap_ < facts_.overlaps.size() && facts_.overlaps[overlap_] < end) {
        in_.annotations->add(annotation::start_time_overlap(in_.name(), in_.position));
      }
    }
    const Edges edges{in_.range_start(step),       in_.range_end(step), in_.samples->times[begin],
                      in_.samples->times[end - 1], end - begin,         in_.float_start(begin)};
    const Extrapolation e = extrapolate(edges, counter_, values[begin], increase);
    if (e.factor == 0 && !e.from_zero) return;
    double factor = e.factor;
    if (per_second) factor /= static_cast<double>(in_.range) / 1000;
    out.set(step, (e.from_zero ? increase + values[begin] : increase) * factor);
  }

 private:
  const RangeInput& in_;
  bool counter_;
  CounterFacts facts_;
  std::size_t reset_ = 0, overlap_ = 0;
};

void histogram_rate(const RangeInput& in, std::size_t step, bool counter, bool per_second, Column& out) {
  const std::size_t begin = in.histogram_begin[step], end = in.histogram_end[step];
  const FloatHistogram& first = *in.samples->histograms[begin];
  std::shared_ptr<FloatHistogram> increase;
  if (end - begin > 1) {
    increase = histogram_increase(in, step, counter);
    if (!increase) return;
  }
  const Edges edges{in.range_start(step),
                    in.range_end(step),
                    in.samples->histogram_times[begin],
                    in.samples->histogram_times[end - 1],
                    end - begin,
                    in.histogram_start(begin)};
  const Extrapolation e = extrapolate(edges, counter, first.count, increase ? increase->count : 0);
  if (e.factor == 0 && !e.from_zero) return;
  if (e.from_zero) {
    if (!increase) {
      increase = std::make_shared<FloatHistogram>(first);
    } else if (!add_annotated(*increase, first, in)) {
      return;
    }
  }
  double factor = e.factor;
  if (per_second) factor /= static_cast<double>(in.range) / 1000;
  increase->multiply(factor);
  out.set_histogram(step, std::move(increase));
}

void increase_like(const RangeInput& in, bool counter, bool per_second, Column& out) {
  std::optional<FloatIncrease> floats;
  OncePerSeries mixed;
  for (std::size_t i = 0; i < in.grid.steps; ++i) {
    const bool has_floats = in.float_count(i) > 0, has_histograms = in.histogram_count(i) > 0;
    if (has_floats && has_histograms) {
      mixed.raise(in, [&] { return annotation::mixed_floats_histograms(in.name(), in.position); });
    } else if (!has_floats && !has_histograms) {
      continue;
    } else if (in.anchored || in.smoothed) {
      extended_increase(in, i, counter, per_second, out);
    } else if (has_floats) {
      if (!floats) floats.emplace(in, counter);
      floats->at(i, per_second, out);
    } else {
      histogram_rate(in, i, counter, per_second, out);
    }
  }
}

// The two newest samples of a window, whatever their type.
struct Newest {
  bool is_histogram;
  std::size_t index;
  TimestampMs time, start_time;
};

void instant_like(const RangeInput& in, bool rate, Column& out) {
  const auto& s = *in.samples;
  for (std::size_t i = 0; i < in.grid.steps; ++i) {
    if (in.float_count(i) + in.histogram_count(i) < 2) continue;
    std::size_t f = in.float_end[i], h = in.histogram_end[i];
    Newest pair[2];  // newest first
    for (Newest& one : pair) {
      const bool take_float =
          h == in.histogram_begin[i] || (f > in.float_begin[i] && s.times[f - 1] > s.histogram_times[h - 1]);
      if (take_float) {
        --f;
        one = {false, f, s.times[f], in.float_start(f)};
      } else {
        --h;
        one = {true, h, s.histogram_times[h], in.histogram_start(h)};
      }
    }
    const Newest &last = pair[0], &previous = pair[1];
    if (last.time == previous.time) continue;
    const double seconds = static_cast<double>(last.time - previous.time) / 1000;
    const bool start_reset = is_start_time_reset(previous.start_time, previous.time, last.start_time, last.time);
    if (last.is_histogram != previous.is_histogram) {
      in.annotations->add(annotation::mixed_floats_histograms(in.name(), in.args_position));
      continue;
    }
    if (!last.is_histogram) {
      const double now = s.values[last.index], before = s.values[previous.index];
      const double change = rate && (now < before || start_reset) ? now : now - before;
      out.set(i, rate ? change / seconds : change);
      continue;
    }
    const FloatHistogram &now = *s.histograms[last.index], &before = *s.histograms[previous.index];
    const bool any_gauge = now.hint == ResetHint::gauge || before.hint == ResetHint::gauge;
    const bool both_gauges = now.hint == ResetHint::gauge && before.hint == ResetHint::gauge;
    if (rate && any_gauge) in.annotations->add(annotation::native_histogram_not_counter(in.name(), in.args_position));
    if (!rate && !both_gauges) in.annotations->add(annotation::native_histogram_not_gauge(in.name(), in.args_position));
    auto change = std::make_shared<FloatHistogram>(now);
    if (!rate || (!start_reset && !now.detect_reset(before))) {
      const auto outcome = change->subtract(before);
      if (outcome.incompatible) {
        in.annotations->add(annotation::mixed_exponential_custom_histograms(in.name(), in.args_position));
        continue;
      }
      if (outcome.bounds_reconciled) {
        in.annotations->add(annotation::mismatched_custom_buckets(in.args_position, HistogramOperation::subtraction));
      }
    }
    change->hint = ResetHint::gauge;
    change->compact();
    if (rate) change->divide(seconds);
    out.set_histogram(i, std::move(change));
  }
}

}  // namespace

Outcome<> kernel_rate(const RangeInput& in, Column& out) {
  increase_like(in, true, true, out);
  return {};
}
Outcome<> kernel_increase(const RangeInput& in, Column& out) {
  increase_like(in, true, false, out);
  return {};
}
Outcome<> kernel_delta(const RangeInput& in, Column& out) {
  increase_like(in, false, false, out);
  return {};
}
Outcome<> kernel_irate(const RangeInput& in, Column& out) {
  instant_like(in, true, out);
  return {};
}
Outcome<> kernel_idelta(const RangeInput& in, Column& out) {
  instant_like(in, false, out);
  return {};
}

}  // namespace tocayo::promql::eval
