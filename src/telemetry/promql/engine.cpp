// SPDX-License-Identifier: Apache-2.0
#include "promql/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/registry.h"
#include "promql/eval_branch.h"
#include "promql/parser_preprocess.h"

namespace tocayo::promql {

namespace {

using Clock = std::chrono::steady_clock;
using eval::Evaluator;
using eval::Grid;
using eval::has_metadata;
using eval::Outcome;
using eval::without_metadata;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Counters {
  Gauge& running = Registry::global().gauge("tocayo_promql_queries", "Queries being evaluated.");
  Counter& samples = Registry::global().counter("tocayo_promql_query_samples_total",
                                                "Samples looked at by queries, each step counting its whole window.");
  Counter& samples_read = Registry::global().counter("tocayo_promql_query_samples_read_total",
                                                     "Samples read by queries, each step counting only what is new.");
  tocayo::Histogram& seconds =
      Registry::global().histogram("tocayo_promql_query_duration_seconds", "Duration of query evaluation.");
  std::array<Counter*, 7> errors;  // by QueryError::Type
  Counters() {
    for (std::size_t i = 0; i < errors.size(); ++i) {
      errors[i] =
          &Registry::global().counter("tocayo_promql_query_errors_total", "Failed queries by type of error.",
                                      Labels{{"type", std::string(to_string(static_cast<QueryError::Type>(i)))}});
    }
  }
  static Counters& get() {
    static Counters counters;
    return counters;
  }
};

QueryError bad_data(std::string message) {
  return {QueryError::Type::bad_data, Error{ErrorKind::bad_input, std::move(message)}};
}

// Counts what goes into the result. An empty meter counts nothing.
Outcome<> count_result(metrics::QueryMeter* meter, std::uint64_t bytes) {
  if (meter == nullptr) return {};
  if (auto taken = meter->take(bytes); !taken) return std::unexpected(QueryError(std::move(taken.error())));
  return {};
}

Outcome<VectorValue> to_vector(std::vector<eval::EvalSeries>&& series, TimestampMs time, metrics::QueryMeter* meter) {
  VectorValue vector{.time = time};
  vector.samples.reserve(series.size());
  for (auto& one : series) {
    TRY_VOID(count_result(meter, sizeof(Sample) + metrics::memory_bytes(*one.labels)));
    if (one.column.has_histogram(0)) {
      vector.samples.push_back({*one.labels, 0, one.column.histogram(0)});
    } else {
      vector.samples.push_back({*one.labels, one.column.value(0), nullptr});
    }
  }
  return vector;
}

Outcome<MatrixValue> to_matrix(std::vector<eval::EvalSeries>&& series, const Grid& grid, metrics::QueryMeter* meter) {
  MatrixValue matrix;
  matrix.series.reserve(series.size());
  for (auto& one : series) {
    const eval::Column& column = one.column;
    const std::size_t floats = column.float_count();
    TRY_VOID(count_result(meter, sizeof(Series) + metrics::memory_bytes(*one.labels) + floats * sizeof(FloatPoint)));
    Series out{*one.labels, {}, {}};
    out.floats.reserve(floats);
    eval::for_each_bit(column.words(), column.word_count(),
                       [&](std::size_t i) { out.floats.push_back({grid.time(i), column.value(i)}); });
    if (column.any_histograms()) {
      for (std::size_t i = 0; i < grid.steps; ++i) {
        if (column.has_histogram(i)) out.histograms.push_back({grid.time(i), column.histogram(i)});
      }
    }
    one.column = {};  // its memory is free from here on
    matrix.series.push_back(std::move(out));
  }
  return matrix;
}

// The series of the whole expression, names dropped where that was put off.
Outcome<std::vector<eval::EvalSeries>> final_series(Evaluator& evaluator, eval::Batch& batch, const Grid& grid) {
  for (auto& one : batch.series) {
    if (one.drop_name && has_metadata(*one.labels)) one.set_labels(without_metadata(*one.labels));
  }
  std::vector<eval::EvalSeries> series;
  series.reserve(batch.series.size());
  TRY_VOID(evaluator.push_merged(std::move(batch.series), grid, true, [&](eval::EvalSeries&& one) -> Outcome<> {
    series.push_back(std::move(one));
    return {};
  }));
  return series;
}

MatrixValue scalar_matrix(const std::vector<double>& values, const Grid& grid) {
  Series series;
  for (std::size_t i = 0; i < grid.steps; ++i) series.floats.push_back({grid.time(i), values[i]});
  MatrixValue matrix;
  matrix.series.push_back(std::move(series));
  return matrix;
}

void sort_by_labels(MatrixValue& matrix) {
  const auto before = [](const Series& a, const Series& b) { return a.labels < b.labels; };
  if (!std::ranges::is_sorted(matrix.series, before))
    std::ranges::sort(matrix.series, before);  // selectors come sorted
}

Outcome<Value> evaluate(Evaluator& evaluator, const Expr& expr, const Grid& grid, bool instant, QueryTimings& timings) {
  switch (type_of(expr)) {
    case ValueType::string: return StringValue{grid.start, unwrap(expr).as<StringLiteral>()->value};
    case ValueType::scalar: {
      auto values = TRY_EVAL(evaluator.scalar(expr, grid));
      if (instant) return ScalarValue{grid.start, values.front()};
      TRY_VOID(evaluator.budget().touch(values.size()));
      return scalar_matrix(values, grid);
    }
    case ValueType::matrix: {
      MatrixValue matrix{TRY_EVAL(eval::matrix_result(evaluator, unwrap(expr), grid.start))};
      const auto started = Clock::now();
      sort_by_labels(matrix);
      timings.result_sort = seconds_since(started);
      return matrix;
    }
    default: break;
  }
  auto batch = TRY_EVAL(evaluator.collect(expr, grid));
  auto series = TRY_EVAL(final_series(evaluator, batch, grid));
  metrics::QueryMeter* meter = evaluator.settings().meter;
  if (instant) return TRY_EVAL(to_vector(std::move(series), grid.start, meter));
  MatrixValue matrix = TRY_EVAL(to_matrix(std::move(series), grid, meter));
  const auto started = Clock::now();
  sort_by_labels(matrix);
  timings.result_sort = seconds_since(started);
  return matrix;
}

}  // namespace

ParserOptions Features::parser_options() const {
  ParserOptions options;
  options.experimental_functions = experimental_functions;
  options.duration_expressions = duration_expressions;
  options.extended_ranges = extended_ranges;
  options.fill_modifiers = fill_modifiers;
  return options;
}

Features Features::all() { return {true, true, true, true, true, true, true, true}; }

QueryError::QueryError(Error e) : type(Type::internal), error(std::move(e)) {
  switch (error.kind) {
    case ErrorKind::canceled:
      type = Type::canceled;
      error.message = "query was canceled in expression evaluation";
      break;
    case ErrorKind::timeout:
      type = Type::timeout;
      error.message = "query timed out in expression evaluation";
      break;
    case ErrorKind::unavailable: type = Type::unavailable; break;
    case ErrorKind::bad_input:
    case ErrorKind::limit:
    case ErrorKind::too_large: type = Type::execution; break;
    default: break;
  }
}

std::string_view to_string(QueryError::Type type) {
  switch (type) {
    case QueryError::Type::bad_data: return "bad_data";
    case QueryError::Type::execution: return "execution";
    case QueryError::Type::canceled: return "canceled";
    case QueryError::Type::timeout: return "timeout";
    case QueryError::Type::unavailable: return "unavailable";
    case QueryError::Type::too_many_requests: return "too_many_requests";
    case QueryError::Type::internal: return "internal";
  }
  return "internal";
}

Engine::Engine(EngineOptions options)
    : options_(std::move(options)), history_(std::make_shared<eval::SelectorHistory>()) {
  if (!options_.default_subquery_step)
    options_.default_subquery_step = [](Duration) { return Duration(std::chrono::minutes(1)); };
  if (options_.lookback <= Duration(0)) options_.lookback = std::chrono::minutes(5);
}

std::expected<ExprPtr, QueryError> Engine::parse(std::string_view expr, const QueryOptions& options) const {
  auto parsed = parse_expr(expr, options.features.value_or(options_.features).parser_options());
  if (!parsed) return std::unexpected(QueryError(QueryError::Type::bad_data, std::move(parsed.error())));
  return std::move(*parsed);
}

QueryOutcome Engine::instant(const metrics::Querier& querier, std::string_view expr, TimestampMs time,
                             const QueryOptions& options, const Context& context) const {
  return run(querier, TRY_EVAL(parse(expr, options)), time, time, Duration(0), true, options, context);
}

QueryOutcome Engine::instant(const metrics::Querier& querier, const Expr& expr, TimestampMs time,
                             const QueryOptions& options, const Context& context) const {
  return run(querier, clone(expr), time, time, Duration(0), true, options, context);
}

QueryOutcome Engine::range(const metrics::Querier& querier, std::string_view expr, TimestampMs start, TimestampMs end,
                           Duration step, const QueryOptions& options, const Context& context) const {
  return run(querier, TRY_EVAL(parse(expr, options)), start, end, step, false, options, context);
}

QueryOutcome Engine::range(const metrics::Querier& querier, const Expr& expr, TimestampMs start, TimestampMs end,
                           Duration step, const QueryOptions& options, const Context& context) const {
  return run(querier, clone(expr), start, end, step, false, options, context);
}

QueryOutcome Engine::run(const metrics::Querier& querier, ExprPtr expr, TimestampMs start, TimestampMs end,
                         Duration step, bool instant, const QueryOptions& options, const Context& context) const {
  const auto started = Clock::now();
  Counters& counters = Counters::get();
  counters.running.add(1);
  struct Finish {
    Counters& counters;
    Clock::time_point started;
    ~Finish() {
      counters.running.add(-1);
      counters.seconds.observe(seconds_since(started));
    }
  } finish{counters, started};
  const auto failed = [&counters](QueryError error) {
    counters.errors[static_cast<std::size_t>(error.type)]->add();
    return std::unexpected(std::move(error));
  };

  if (!instant) {
    if (step <= Duration(0))
      return failed(bad_data("zero or negative query resolution step widths are not accepted. Try a positive integer"));
    if (end < start) return failed(bad_data("end timestamp must not be before start time"));
    const ValueType type = type_of(*expr);
    if (type != ValueType::vector && type != ValueType::scalar) {
      return failed(bad_data(fmt::format(
          "invalid expression type \"{}\" for range query, must be Scalar or instant Vector", documented_type(type))));
    }
  }
  auto prepared = preprocess(std::move(expr), start, end, instant ? Duration(0) : step);
  if (!prepared) return failed(QueryError(QueryError::Type::bad_data, std::move(prepared.error())));

  Grid grid{start, 1, 1};
  if (!instant) {
    grid.step = step.count();
    grid.steps = static_cast<std::size_t>(eval::saturating_sub(end, start) / grid.step) + 1;
  }
  const std::size_t max_samples = options.max_samples != 0 ? options.max_samples : options_.max_samples;
  if (grid.steps > max_samples) {
    return failed(
        {QueryError::Type::execution,
         Error{ErrorKind::limit, "query processing would load too many samples into memory in query execution"}});
  }
  const Features features = options.features.value_or(options_.features);
  const Duration timeout =
      options.timeout > Duration(0) ? std::min(options.timeout, options_.timeout) : options_.timeout;
  Evaluator evaluator(
      {
          .querier = &querier,
          .features = features,
          .lookback = (options.lookback > Duration(0) ? options.lookback : options_.lookback).count(),
          .subquery_step = options_.default_subquery_step,
          .pool = options.pool,
          .context = timeout > Duration(0) ? context.with_timeout(timeout) : context,
          .max_samples = max_samples,
          .max_bytes = options.memory_limit,
          .meter = options.meter,
          .parallelism = options.parallelism,
          .per_step_stats = features.per_step_stats && options.per_step_stats,
          .history = history_.get(),
          .inline_nanoseconds = std::chrono::duration<double, std::nano>(options_.inline_below).count(),
      },
      grid);
  evaluator.plan(**prepared, grid);
  QueryStats stats;
  stats.timings.query_preparation = seconds_since(started);
  const auto evaluation = Clock::now();
  auto value = evaluate(evaluator, **prepared, grid, instant, stats.timings);
  stats.timings.inner_eval = seconds_since(evaluation) - stats.timings.result_sort;
  if (!value) return failed(std::move(value.error()));

  const eval::StepStats& counted = evaluator.stats();
  stats.total_queryable_samples = counted.total;
  stats.samples_read = counted.read;
  stats.peak_samples = static_cast<std::int64_t>(evaluator.budget().peak());
  for (std::size_t i = 0; i < counted.total_per_step.size(); ++i) {
    stats.total_queryable_samples_per_step.emplace_back(grid.time(i), counted.total_per_step[i]);
    stats.samples_read_per_step.emplace_back(grid.time(i), counted.read_per_step[i]);
  }
  counters.samples.add(static_cast<double>(counted.total));
  counters.samples_read.add(static_cast<double>(counted.read));
  stats.timings.eval_total = stats.timings.exec_total = seconds_since(started);
  return QueryResult{std::move(*value), std::move(evaluator.annotations()), std::move(stats)};
}

}  // namespace tocayo::promql
