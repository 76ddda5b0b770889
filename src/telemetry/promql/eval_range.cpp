// SPDX-License-Identifier: Apache-2.0
// Range vectors: selectors with a range and subqueries, and calling functions over them.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "promql/eval.h"
#include "promql/eval_samples.h"
#include "promql/function_signatures.h"
#include "promql/range_functions.h"

namespace tocayo::promql::eval {

namespace {

using metrics::ResetHint;
using metrics::SampleColumns;

// Where the samples of a range vector come from.
class RangeSource {
 public:
  virtual ~RangeSource() = default;
  virtual std::size_t size() const = 0;
  virtual const Labels& labels(std::size_t index) const = 0;
  virtual bool drop_name(std::size_t index) const = 0;
  virtual Outcome<> read(std::size_t index, Worker& worker) const = 0;  // without stale markers
  virtual bool stored() const = 0;  // samples come from the store (and count as read here)

  std::optional<TimestampMs> at;
  std::int64_t offset = 0, range = 0;
  bool anchored = false, smoothed = false;
};

class SelectorSource final : public RangeSource {
 public:
  SelectorSource(Evaluator& evaluator, std::shared_ptr<metrics::SeriesSet> set, bool stats_only)
      : evaluator_(evaluator), set_(std::move(set)), stats_only_(stats_only) {}
  std::size_t size() const override { return set_->size(); }
  const Labels& labels(std::size_t index) const override { return set_->labels(index); }
  bool drop_name(std::size_t) const override { return false; }
  Outcome<> read(std::size_t index, Worker& worker) const override {
    TRY_VOID(read_series(evaluator_, *set_, index, stats_only_, worker));
    drop_stale(worker.samples);
    return {};
  }
  bool stored() const override { return true; }

 private:
  Evaluator& evaluator_;
  std::shared_ptr<metrics::SeriesSet> set_;
  bool stats_only_;
};

// Results of a subquery, only the steps that have something: a fine resolution over sparse data stays small.
class SubquerySource final : public RangeSource {
 public:
  SubquerySource(Evaluator& evaluator, const Grid& grid)
      : evaluator_(evaluator), grid_(grid), charge_(evaluator.budget()) {}

  Outcome<> add(EvalSeries&& series) {
    Stored stored{series.own ? evaluator_.keep(*series.own) : series.labels, series.drop_name, {}};
    SampleColumns& samples = stored.samples;
    const Column& column = series.column;
    const std::size_t floats = column.float_count();
    samples.times.reserve(floats);
    samples.values.reserve(floats);
    for_each_bit(column.words(), column.word_count(), [&](std::size_t i) {
      samples.times.push_back(grid_.time(i));
      samples.values.push_back(column.value(i));
    });
    for (std::size_t i = 0; column.any_histograms() && i < grid_.steps; ++i) {
      if (!column.has_histogram(i)) continue;
      metrics::HistogramPtr histogram = column.histogram(i);
      // The subquery may have skipped samples or returned one twice: its hints say nothing about neighbours any more.
      if (histogram->hint == ResetHint::reset || histogram->hint == ResetHint::not_reset) {
        auto copy = std::make_shared<metrics::FloatHistogram>(*histogram);
        copy->hint = ResetHint::unknown;
        histogram = std::move(copy);
      }
      samples.histogram_times.push_back(grid_.time(i));
      samples.histograms.push_back(std::move(histogram));
    }
    stored_.push_back(std::move(stored));
    const std::size_t histograms = stored_.back().samples.histograms.size();
    return charge_.take(column.weight(), 16 * (floats + 2 * histograms) + sizeof(Stored));
  }

  std::size_t size() const override { return stored_.size(); }
  const Labels& labels(std::size_t index) const override { return *stored_[index].labels; }
  bool drop_name(std::size_t index) const override { return stored_[index].drop_name; }
  Outcome<> read(std::size_t index, Worker& worker) const override {
    worker.samples = stored_[index].samples;
    return {};
  }
  bool stored() const override { return false; }

 private:
  struct Stored {
    const Labels* labels;
    bool drop_name;
    SampleColumns samples;
  };
  Evaluator& evaluator_;
  Grid grid_;
  Charge charge_;
  std::vector<Stored> stored_;
};

// First and last reference time of a range vector on a grid.
std::pair<TimestampMs, TimestampMs> references(const Grid& grid, std::optional<TimestampMs> at, std::int64_t offset) {
  return {saturating_sub(at.value_or(grid.start), offset), saturating_sub(at.value_or(grid.end()), offset)};
}

// The steps of a subquery: multiples of its resolution in (first - range, last].
Outcome<Grid> subquery_grid(const Evaluator& evaluator, const SubqueryExpr& expr, const Grid& outer) {
  const auto [first, last] = references(outer, expr.timestamp, expr.original_offset.count());
  Grid grid;
  grid.step = (expr.step.count() != 0 ? expr.step : evaluator.settings().subquery_step(expr.range)).count();
  if (grid.step <= 0) return execution_error("the default resolution of subqueries must be positive");
  const TimestampMs after = saturating_sub(first, expr.range.count());
  grid.start = grid.step * (after / grid.step);
  if (grid.start <= after) grid.start = saturating_add(grid.start, grid.step);
  grid.steps = last < grid.start ? 0 : static_cast<std::size_t>(saturating_sub(last, grid.start) / grid.step) + 1;
  return grid;
}

// Books what a subquery read at the outer steps that use it.
void book_subquery(const StepStats& inner, const Grid& inner_grid, const Grid& outer, std::int64_t offset,
                   std::int64_t range, StepStats& into) {
  if (outer.steps <= 1) {
    into.count(0, 0, inner.read);
    return;
  }
  for (std::size_t k = 0; k < inner.read_per_step.size(); ++k) {
    const std::int64_t count = inner.read_per_step[k];
    if (count == 0) continue;
    const TimestampMs time = saturating_add(inner_grid.time(k), offset);
    std::size_t step =
        time > outer.start ? static_cast<std::size_t>((time - outer.start + outer.step - 1) / outer.step) : 0;
    step = std::min(step, outer.steps - 1);
    if (range > 0 && time <= outer.time(step) - range) continue;  // falls between two windows
    into.count(step, 0, count);
  }
}

Outcome<std::unique_ptr<RangeSource>> make_source(Evaluator& evaluator, const Expr& arg, const Grid& grid,
                                                  std::string_view function) {
  if (const auto* matrix = arg.as<MatrixSelector>()) {
    const VectorSelector& selector = *matrix->selector;
    const std::int64_t lookback = evaluator.settings().lookback;
    const auto [first, last] = references(grid, selector.timestamp, selector.original_offset.count());
    TimestampMs start = saturating_add(saturating_sub(first, matrix->range.count()), 1), end = last;
    if (selector.anchored || selector.smoothed) start = saturating_sub(start, lookback);
    if (selector.smoothed) end = saturating_add(end, lookback);
    auto set = TRY_EVAL(evaluator.select(selector.matchers, start, end, grid.steps > 1 ? grid.step : 0,
                                         matrix->range.count(), function));
    auto source = std::make_unique<SelectorSource>(evaluator, std::move(set), selector.skip_histogram_buckets);
    source->at = selector.timestamp;
    source->offset = selector.original_offset.count();
    source->range = matrix->range.count();
    source->anchored = selector.anchored;
    source->smoothed = selector.smoothed;
    return source;
  }
  const auto& subquery = *arg.as<SubqueryExpr>();
  const Grid inner = TRY_EVAL(subquery_grid(evaluator, subquery, grid));
  if (inner.steps > evaluator.settings().max_samples) return evaluator.budget_error();
  auto source = std::make_unique<SubquerySource>(evaluator, inner);
  StepStats outer_stats = evaluator.exchange_stats(StepStats(inner, grid.steps > 1));
  auto done =
      evaluator.stream(*subquery.expr, inner, [&](EvalSeries&& series) { return source->add(std::move(series)); });
  const StepStats inner_stats = evaluator.exchange_stats(std::move(outer_stats));
  TRY_VOID(std::move(done));
  book_subquery(inner_stats, inner, grid, subquery.original_offset.count(), subquery.range.count(), evaluator.stats());
  source->at = subquery.timestamp;
  source->offset = subquery.original_offset.count();
  source->range = subquery.range.count();
  return source;
}

// Index ranges of (start, end] for all steps; ends ascend, so one pass does.
template <typename Limits>
void find_bounds(const std::vector<TimestampMs>& times, const Grid& grid, const Limits& limits,
                 std::vector<std::uint32_t>& begins, std::vector<std::uint32_t>& ends) {
  begins.resize(grid.steps);
  ends.resize(grid.steps);
  std::size_t begin = 0, end = 0;
  for (std::size_t i = 0; i < grid.steps; ++i) {
    const auto [after, up_to] = limits(i);
    while (end < times.size() && times[end] <= up_to) ++end;
    while (begin < end && times[begin] <= after) ++begin;
    begins[i] = static_cast<std::uint32_t>(begin);
    ends[i] = static_cast<std::uint32_t>(end);
  }
}

void find_windows(const RangeSource& source, std::int64_t lookback, Worker& worker, RangeInput& in) {
  const auto limits = [&](std::size_t i) {
    TimestampMs after = in.range_start(i), up_to = in.range_end(i);
    if (source.anchored || source.smoothed) after = saturating_sub(after, lookback);
    if (source.smoothed) up_to = saturating_add(up_to, lookback);
    return std::pair(after, up_to);
  };
  find_bounds(worker.samples.times, in.grid, limits, worker.bounds[0], worker.bounds[1]);
  find_bounds(worker.samples.histogram_times, in.grid, limits, worker.bounds[2], worker.bounds[3]);
  in.float_begin = worker.bounds[0].data();
  in.float_end = worker.bounds[1].data();
  in.histogram_begin = worker.bounds[2].data();
  in.histogram_end = worker.bounds[3].data();
}

std::int64_t weight_of(const SampleColumns& samples, std::size_t begin, std::size_t end) {
  std::size_t weight = 0;
  for (std::size_t i = begin; i < end; ++i) weight += samples.histograms[i]->weight();
  return static_cast<std::int64_t>(weight);
}

void count_windows(const RangeInput& in, bool stored, StepStats& stats) {
  std::uint32_t seen_floats = 0, seen_histograms = 0;
  for (std::size_t i = 0; i < in.grid.steps; ++i) {
    if (in.empty(i)) continue;
    const bool fresh = stored && (i == 0 || !in.at);
    std::int64_t total = static_cast<std::int64_t>(in.float_count(i)), read = 0;
    if (fresh) read = in.float_end[i] - std::max(in.float_begin[i], std::min(seen_floats, in.float_end[i]));
    if (in.histogram_count(i) > 0) {
      total += weight_of(*in.samples, in.histogram_begin[i], in.histogram_end[i]);
      if (fresh) {
        read += weight_of(*in.samples, std::max(in.histogram_begin[i], std::min(seen_histograms, in.histogram_end[i])),
                          in.histogram_end[i]);
      }
    }
    seen_floats = in.float_end[i];
    seen_histograms = in.histogram_end[i];
    stats.count(i, total, read);
  }
}

constexpr std::string_view kAnchoredFunctions[] = {"changes", "delta", "increase", "rate", "resets"};
constexpr std::string_view kSmoothedFunctions[] = {"delta", "increase", "rate"};

Outcome<> check_modifiers(const Expr& arg, std::string_view function) {
  const auto* matrix = arg.as<MatrixSelector>();
  if (matrix == nullptr) return {};
  if (matrix->selector->anchored && std::ranges::find(kAnchoredFunctions, function) == std::end(kAnchoredFunctions)) {
    return execution_error(fmt::format("anchored modifier can only be used with: {} - not with {}",
                                       fmt::join(kAnchoredFunctions, ", "), function));
  }
  if (matrix->selector->smoothed && std::ranges::find(kSmoothedFunctions, function) == std::end(kSmoothedFunctions)) {
    return execution_error(fmt::format("smoothed modifier can only be used with: {} - not with {}",
                                       fmt::join(kSmoothedFunctions, ", "), function));
  }
  return {};
}

// rate() of something that does not look like a counter.
void note_possible_non_counter(const Evaluator& evaluator, const Labels& labels, PositionRange position,
                               Annotations& annotations) {
  const std::string_view name = metric_name(labels);
  if (name.empty()) return;
  if (evaluator.features().type_and_unit_labels) {
    const std::string_view type = labels.get("__type__");
    if (type != "counter" && type != "histogram")
      annotations.add(annotation::possible_non_counter_label(name, type, position));
    return;
  }
  for (std::string_view suffix : {"_total", "_sum", "_count", "_bucket"}) {
    if (name.ends_with(suffix)) return;
  }
  annotations.add(annotation::possible_non_counter(name, position));
}

// One series of 1 at the steps at which no series has anything.
Outcome<> push_absence(Evaluator& evaluator, const StepSet& present, const Expr& arg, const Grid& grid,
                       const Sink& sink) {
  EvalSeries absent{evaluator.keep(labels_of_absent(arg)), true, Column(grid.steps)};
  for (std::size_t i = 0; i < grid.steps; ++i) {
    if (!present.test(i)) absent.column.set(i, 1);
  }
  if (absent.column.empty()) return {};
  return sink(std::move(absent));
}

// Refuses labels that came before.
class UniqueLabels {
 public:
  Outcome<> check(const Labels& labels) {
    if (!seen_.insert(labels.hash()).second)
      return execution_error("vector cannot contain metrics with the same labelset");
    return {};
  }

 private:
  std::unordered_set<std::uint64_t> seen_;
};

}  // namespace

void drop_stale(SampleColumns& samples) {
  std::size_t kept = 0;
  const bool starts = !samples.start_times.empty();
  for (std::size_t i = 0; i < samples.times.size(); ++i) {
    if (metrics::is_stale(samples.values[i])) continue;
    if (kept != i) {
      samples.times[kept] = samples.times[i];
      samples.values[kept] = samples.values[i];
      if (starts) samples.start_times[kept] = samples.start_times[i];
    }
    ++kept;
  }
  samples.times.resize(kept);
  samples.values.resize(kept);
  if (starts) samples.start_times.resize(kept);
  kept = 0;
  const bool histogram_starts = !samples.histogram_start_times.empty();
  for (std::size_t i = 0; i < samples.histograms.size(); ++i) {
    if (metrics::is_stale(samples.histograms[i]->sum)) continue;
    if (kept != i) {
      samples.histogram_times[kept] = samples.histogram_times[i];
      samples.histograms[kept] = std::move(samples.histograms[i]);
      if (histogram_starts) samples.histogram_start_times[kept] = samples.histogram_start_times[i];
    }
    ++kept;
  }
  samples.histogram_times.resize(kept);
  samples.histograms.resize(kept);
  if (histogram_starts) samples.histogram_start_times.resize(kept);
}

bool is_range_argument(const Expr& arg) {
  const Kind kind = unwrap(arg).kind;
  return kind == Kind::matrix_selector || kind == Kind::subquery;
}

Outcome<> stream_range_call(Evaluator& evaluator, const Call& call, std::size_t matrix_arg, const Grid& grid,
                            const Sink& sink) {
  const std::string_view function = call.function->name;
  const RangeKernel kernel = find_range_kernel(function);
  if (kernel == nullptr)
    return execution_error(fmt::format("function {} is not implemented over range vectors", function));
  const Expr& arg = unwrap(*call.args[matrix_arg]);
  TRY_VOID(check_modifiers(arg, function));
  const auto source = TRY_EVAL(make_source(evaluator, arg, grid, function));
  std::vector<std::vector<double>> scalars;
  for (std::size_t i = 0; i < call.args.size(); ++i) {
    if (i != matrix_arg) scalars.push_back(TRY_EVAL(evaluator.scalar(*call.args[i], grid)));
  }

  RangeInput common;
  common.grid = grid;
  common.at = source->at;
  common.offset = source->offset;
  common.range = source->range;
  common.lookback = evaluator.settings().lookback;
  common.anchored = source->anchored;
  common.smoothed = source->smoothed;
  common.use_start_times =
      evaluator.features().use_start_timestamps &&
      (function == "rate" || function == "irate" || function == "increase" || function == "resets");
  for (const auto& values : scalars) common.scalars.emplace_back(values);
  common.position = position_of(*call.args.front());
  common.args_position = {common.position.start, position_of(*call.args.back()).end};
  const bool keeps_name = function == "last_over_time" || function == "first_over_time";
  const bool counter_function = function == "rate" || function == "increase";

  const auto make = [&](std::size_t index, Worker& worker) -> Outcome<std::optional<EvalSeries>> {
    TRY_VOID(source->read(index, worker));
    if (worker.samples.times.empty() && worker.samples.histogram_times.empty()) return std::nullopt;
    RangeInput in = common;
    in.samples = &worker.samples;
    in.labels = &source->labels(index);
    in.evaluator = &evaluator;
    in.annotations = &worker.annotations;
    in.scratch = &worker.scratch;
    find_windows(*source, common.lookback, worker, in);
    count_windows(in, source->stored(), worker.stats);
    EvalSeries series{in.labels, source->drop_name(index), Column(grid.steps)};
    TRY_VOID(kernel(in, series.column));
    if (counter_function && series.column.float_count() > 0) {
      note_possible_non_counter(evaluator, *in.labels, common.position, worker.annotations);
    }
    if (!keeps_name || series.drop_name) evaluator.drop_name(series);
    return series;
  };

  if (function == "absent_over_time") {
    StepSet present(grid.steps);
    TRY_VOID(evaluator.for_each_series(source->size(), grid, make, [&](EvalSeries&& series) -> Outcome<> {
      series.column.add_presence(present);
      return {};
    }));
    return push_absence(evaluator, present, arg, grid, sink);
  }
  const bool may_collide = !evaluator.delayed() && !keeps_name && !has_one_name(arg, evaluator.features());
  UniqueLabels unique;
  return evaluator.for_each_series(source->size(), grid, make, [&](EvalSeries&& series) -> Outcome<> {
    if (may_collide) TRY_VOID(unique.check(*series.labels));
    return sink(std::move(series));
  });
}

Outcome<std::vector<Series>> matrix_result(Evaluator& evaluator, const Expr& expr, TimestampMs time) {
  const Grid grid{time, 1, 1};
  const auto source = TRY_EVAL(make_source(evaluator, expr, grid, ""));
  std::vector<Series> result;
  Worker worker;
  RangeInput in;
  in.grid = grid;
  in.at = source->at;
  in.offset = source->offset;
  in.range = source->range;
  std::size_t total = 0;
  for (std::size_t s = 0; s < source->size(); ++s) {
    TRY_VOID(evaluator.check());
    TRY_VOID(source->read(s, worker));
    in.samples = &worker.samples;
    find_windows(*source, evaluator.settings().lookback, worker, in);
    if (in.empty(0)) continue;
    count_windows(in, source->stored(), evaluator.stats());
    const Labels& labels = source->labels(s);
    Series series{source->drop_name(s) && evaluator.delayed() ? without_metadata(labels) : labels, {}, {}};
    if (source->anchored || source->smoothed) {
      if (in.histogram_count(0) > 0) {
        return execution_error(
            fmt::format("{} modifier is not supported with histograms", source->anchored ? "anchored" : "smoothed"));
      }
      series.floats =
          extend_floats(in.float_times(0), in.floats(0), in.range_start(0), in.range_end(0), source->smoothed);
      if (series.floats.empty()) continue;
    } else {
      for (std::size_t i = 0; i < in.float_count(0); ++i)
        series.floats.push_back({in.float_times(0)[i], in.floats(0)[i]});
      for (std::size_t i = 0; i < in.histogram_count(0); ++i) {
        series.histograms.push_back({in.histogram_times(0)[i], in.histograms(0)[i]});
      }
    }
    total += series.floats.size();
    for (const auto& point : series.histograms) total += point.histogram->weight();
    TRY_VOID(evaluator.budget().touch(total));
    if (metrics::QueryMeter* meter = evaluator.settings().meter) {
      const std::uint64_t bytes = sizeof(Series) + memory_bytes(series.labels) +
                                  series.floats.size() * sizeof(FloatPoint) +
                                  series.histograms.size() * sizeof(HistogramPoint);
      if (auto taken = meter->take(bytes); !taken) return std::unexpected(QueryError(std::move(taken.error())));
    }
    result.push_back(std::move(series));
  }
  return result;
}

}  // namespace tocayo::promql::eval
