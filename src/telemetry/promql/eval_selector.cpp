// SPDX-License-Identifier: Apache-2.0
// Instant selectors: at each step the newest sample within the lookback.
#include <algorithm>

#include "promql/eval.h"
#include "promql/eval_samples.h"
#include "promql/range_functions.h"

namespace tocayo::promql::eval {

namespace {

double as_value(SelectorValue what, double value, TimestampMs time, TimestampMs start_time) {
  switch (what) {
    case SelectorValue::sample: return value;
    case SelectorValue::time: return static_cast<double>(time) / 1000;
    case SelectorValue::start_time: return static_cast<double>(start_time) / 1000;
    case SelectorValue::raw_time: return static_cast<double>(time);
  }
  return value;
}

// Puts the newest sample in (reference - lookback, reference] of every step into `out`, stale ones ending the series.
void pick_samples(const metrics::SampleColumns& samples, const Grid& grid, std::optional<TimestampMs> at,
                  std::int64_t offset, std::int64_t lookback, SelectorValue what, StepStats& stats, Column& out) {
  std::size_t floats = 0, histograms = 0;  // how many are not after the reference time
  for (std::size_t i = 0; i < grid.steps; ++i) {
    const TimestampMs reference = saturating_sub(at.value_or(grid.time(i)), offset);
    while (floats < samples.times.size() && samples.times[floats] <= reference) ++floats;
    while (histograms < samples.histogram_times.size() && samples.histogram_times[histograms] <= reference)
      ++histograms;
    const bool is_histogram =
        histograms > 0 && (floats == 0 || samples.histogram_times[histograms - 1] > samples.times[floats - 1]);
    if (!is_histogram && floats == 0) continue;
    const TimestampMs time = is_histogram ? samples.histogram_times[histograms - 1] : samples.times[floats - 1];
    if (time <= saturating_sub(reference, lookback)) continue;
    const auto& starts = is_histogram ? samples.histogram_start_times : samples.start_times;
    const std::size_t index = (is_histogram ? histograms : floats) - 1;
    const TimestampMs start_time = index < starts.size() ? starts[index] : 0;
    if (is_histogram) {
      const auto& histogram = samples.histograms[index];
      if (metrics::is_stale(histogram->sum)) continue;
      if (what == SelectorValue::sample || what == SelectorValue::raw_time) {  // info() refuses histograms later
        const auto weight = static_cast<std::int64_t>(histogram->weight());
        stats.count(i, weight, weight);
        out.set_histogram(i, histogram);
        continue;
      }
      stats.count(i, 1, 1);
      out.set(i, as_value(what, 0, time, start_time));
      continue;
    }
    if (metrics::is_stale(samples.values[index])) continue;
    stats.count(i, 1, 1);
    out.set(i, as_value(what, samples.values[index], time, start_time));
  }
}

struct Window {
  TimestampMs first_reference, last_reference;
};

Window references(const VectorSelector& selector, const Grid& grid) {
  const std::int64_t offset = selector.original_offset.count();
  return {saturating_sub(selector.timestamp.value_or(grid.start), offset),
          saturating_sub(selector.timestamp.value_or(grid.end()), offset)};
}

}  // namespace

Outcome<> read_series(Evaluator& evaluator, const metrics::SeriesSet& set, std::size_t index, bool stats_only,
                      Worker& worker) {
  metrics::SampleColumns& samples = worker.samples;
  samples.clear();
  if (auto read = set.read(index, samples); !read) return std::unexpected(QueryError(std::move(read.error())));
  const std::size_t held = samples.times.size() + samples.histogram_times.size();
  worker.largest_read = std::max(worker.largest_read, held);
  worker.most_asked = std::max(worker.most_asked, evaluator.budget().live() + held);
  if (!evaluator.budget().fits(held)) return evaluator.budget_error();
  if (stats_only) keep_only_stats(samples);
  return {};
}

void keep_only_stats(metrics::SampleColumns& samples) {
  const metrics::FloatHistogram* previous = nullptr;
  metrics::HistogramPtr keep_previous;
  for (auto& pointer : samples.histograms) {
    const metrics::HistogramPtr full = std::move(pointer);
    auto slim = std::make_shared<metrics::FloatHistogram>();
    slim->schema = full->schema;
    slim->count = full->count;
    slim->sum = full->sum;
    slim->hint = full->hint;
    if (!metrics::is_stale(full->sum)) {
      // The buckets are still here to find a reset by; later nobody could.
      if (full->hint == metrics::ResetHint::unknown && previous != nullptr) {
        slim->hint = full->detect_reset(*previous) ? metrics::ResetHint::reset : metrics::ResetHint::not_reset;
      }
      keep_previous = full;
      previous = keep_previous.get();
    }
    pointer = std::move(slim);
  }
}

Outcome<> stream_series_set(Evaluator& evaluator, const metrics::SeriesSet& set, const Grid& grid,
                            std::optional<TimestampMs> at, std::int64_t offset, SelectorValue what, bool stats_only,
                            const Sink& sink) {
  const std::int64_t lookback = evaluator.settings().lookback;
  return evaluator.for_each_series(
      set.size(), grid,
      [&](std::size_t index, Worker& worker) -> Outcome<std::optional<EvalSeries>> {
        TRY_VOID(read_series(evaluator, set, index, stats_only, worker));
        if (worker.samples.times.empty() && worker.samples.histogram_times.empty()) return std::nullopt;
        EvalSeries series{&set.labels(index), false, Column(grid.steps)};
        pick_samples(worker.samples, grid, at, offset, lookback, what, worker.stats, series.column);
        return series;
      },
      sink);
}

Outcome<> stream_selector(Evaluator& evaluator, const VectorSelector& selector, const Grid& grid, SelectorValue what,
                          std::string_view function, const Sink& sink) {
  const Window window = references(selector, grid);
  const auto set = TRY_EVAL(evaluator.select(selector.matchers,
                                             saturating_sub(window.first_reference, evaluator.settings().lookback - 1),
                                             window.last_reference, grid.steps > 1 ? grid.step : 0, 0, function));
  return stream_series_set(evaluator, *set, grid, selector.timestamp, selector.original_offset.count(), what,
                           selector.skip_histogram_buckets, sink);
}

Outcome<> stream_smoothed(Evaluator& evaluator, const VectorSelector& selector, const Grid& grid, const Sink& sink) {
  const std::int64_t lookback = evaluator.settings().lookback;
  const Window window = references(selector, grid);
  const auto set = TRY_EVAL(evaluator.select(selector.matchers, saturating_sub(window.first_reference, lookback - 1),
                                             saturating_add(window.last_reference, lookback),
                                             grid.steps > 1 ? grid.step : 0, 0, ""));
  return evaluator.for_each_series(
      set->size(), grid,
      [&](std::size_t index, Worker& worker) -> Outcome<std::optional<EvalSeries>> {
        TRY_VOID(read_series(evaluator, *set, index, selector.skip_histogram_buckets, worker));
        drop_stale(worker.samples);
        EvalSeries series{&set->labels(index), false, Column(grid.steps)};
        smooth_series(worker.samples, grid, selector, lookback, *series.labels, worker.annotations, series.column);
        return series;
      },
      sink);
}

}  // namespace tocayo::promql::eval
