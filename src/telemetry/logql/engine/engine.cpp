// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/registry.h"
#include "core/text.h"
#include "logql/engine/log_eval.h"
#include "logql/engine/metric_eval.h"
#include "logql/engine/partial_cache.h"
#include "logql/engine/run.h"
#include "logql/engine/spill.h"
#include "logql/syntax/parser.h"

namespace tocayo::logql {

namespace {

using detail::EvalSeries;
using detail::MetricEval;
using detail::Run;
using detail::Steps;
using Clock = std::chrono::steady_clock;

// Times beyond (years 1824 to 2115) would overflow when ranges are added.
constexpr TimestampNs kFarthest = 4'600'000'000'000'000'000;

struct Counters {
  Gauge& running = Registry::global().gauge("tocayo_logql_queries", "Queries being evaluated.");
  Counter& rows = Registry::global().counter("tocayo_logql_rows_total", "Rows covered by queries.");
  Counter& bytes = Registry::global().counter("tocayo_logql_bytes_total", "Bytes of lines covered by queries.");
  Histogram& seconds =
      Registry::global().histogram("tocayo_logql_query_duration_seconds", "Duration of query evaluation.");
  Counter& spilled = Registry::global().counter("tocayo_logql_spilled_bytes_total",
                                                "Bytes of states that did not fit into memory and went to disk.");
  Counter& failed = Registry::global().counter("tocayo_logql_query_errors_total", "Queries that ended in an error.");
  static Counters& get() {
    static Counters counters;
    return counters;
  }
};

std::unexpected<Error> bad(std::string message) { return fail(ErrorKind::bad_input, std::move(message)); }

bool mentions_sort(const Expr& expr) {
  struct Visitor {
    bool operator()(const VectorAggregation& a) const {
      return a.op == VectorOp::sort || a.op == VectorOp::sort_desc || mentions_sort(*a.operand);
    }
    bool operator()(const Binary& b) const { return mentions_sort(*b.left) || mentions_sort(*b.right); }
    bool operator()(const LabelReplace& r) const { return mentions_sort(*r.operand); }
    bool operator()(const LogExpr&) const { return false; }
    bool operator()(const RangeAggregation&) const { return false; }
    bool operator()(const Number&) const { return false; }
    bool operator()(const VectorNumber&) const { return false; }
  };
  return std::visit(Visitor{}, expr.node);
}

std::unexpected<Error> too_many_series(std::size_t limit) {
  return fail(ErrorKind::limit,
              fmt::format("maximum number of series ({}) reached for a single query; consider reducing query "
                          "cardinality by adding more specific stream selectors, reducing the time range, or "
                          "aggregating results with functions like sum(), count() or topk()",
                          limit));
}

Result<Steps> make_steps(const QueryParams& params, std::size_t max_points) {
  if (params.instant) return Steps{params.end, 1, 1};
  if (params.step_ns <= 0) {
    return bad("zero or negative query resolution step widths are not accepted. Try a positive integer");
  }
  if (params.end < params.start) return bad("end timestamp must not be before or equal to start time");
  const std::int64_t steps = (params.end - params.start) / params.step_ns;
  if (max_points != 0 && steps > static_cast<std::int64_t>(max_points)) {
    return bad(
        "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter");
  }
  if (steps > 100'000'000) return bad("too many steps");
  return Steps{params.start, params.step_ns, static_cast<std::uint32_t>(steps + 1)};
}

Result<Value> metric_value(Run& run, const Expr& expr, const QueryParams& params, std::size_t max_points) {
  const Steps steps = TRY(make_steps(params, max_points));
  if (const auto* number = std::get_if<Number>(&expr.node); number != nullptr && params.instant) {
    return ScalarValue{params.end, number->value};
  }
  MetricEval eval{run, steps, params.instant};
  std::vector<EvalSeries> series = TRY(eval.evaluate(expr));
  const std::size_t limit = run.options().max_series;
  if (limit != 0 && series.size() > limit) return too_many_series(limit);
  if (!params.instant || !mentions_sort(expr)) std::ranges::sort(series, {}, &EvalSeries::labels);
  if (params.instant) {
    VectorValue vector;
    vector.samples.reserve(series.size());
    for (EvalSeries& one : series) vector.samples.push_back({std::move(one.labels), params.end, one.column.value(0)});
    return vector;
  }
  MatrixValue matrix;
  matrix.series.reserve(series.size());
  for (EvalSeries& one : series) {
    MatrixSeries out{std::move(one.labels), {}};
    for (std::size_t step = 0; step < steps.count; ++step) {
      if (one.column.has(step)) out.points.push_back({steps.time(step), one.column.value(step)});
    }
    matrix.series.push_back(std::move(out));
  }
  return matrix;
}

Result<Value> log_value(Run& run, const LogExpr& log, const QueryParams& params, const QueryOptions& options,
                        std::size_t max_entries) {
  if (params.instant) {
    return bad(
        "log queries are not supported as an instant query type, please change your query to a range query type");
  }
  if (params.limit == 0) return bad("limit must be a positive value");
  if (params.end < params.start) return bad("end timestamp must not be before or equal to start time");
  if (!options.unlimited_entries && max_entries != 0 && params.limit > max_entries) {
    return fail(ErrorKind::limit,
                fmt::format("max entries limit per query exceeded, limit > max_entries_limit_per_query ({} > {})",
                            params.limit, max_entries));
  }
  return TRY(detail::evaluate_log(run, log, params));
}

std::uint64_t entry_count(const Value& value) {
  if (const auto* log = std::get_if<LogValue>(&value)) return log->lines.size();
  if (const auto* vector = std::get_if<VectorValue>(&value)) return vector->samples.size();
  std::uint64_t points = 0;
  if (const auto* matrix = std::get_if<MatrixValue>(&value)) {
    for (const MatrixSeries& series : matrix->series) points += series.points.size();
  }
  return points;
}

template <typename T>
T or_default(T value, T fallback) {
  return value == T{} ? fallback : value;
}

}  // namespace

Engine::Engine(EngineOptions options)
    : options_(options), memory_(std::make_shared<detail::QueryMemory>(options.memory_budget)) {
  if (!options.spill_directory.empty() && options.spill_bytes != 0) {
    spill_ = std::make_shared<detail::SpillSpace>(options.spill_directory, options.spill_bytes);
  }
  if (options.partial_cache != 0) partials_ = std::make_shared<detail::PartialCache>(options.partial_cache);
}

Result<QueryResult> Engine::query(const logs::Querier& querier, std::string_view query, const QueryParams& params,
                                  const QueryOptions& options, const Context& context) const {
  const Expr expr = TRY(parse(query));
  return this->query(querier, expr, params, options, context);
}

Result<QueryResult> Engine::query(const logs::Querier& querier, const Expr& expr, const QueryParams& params,
                                  const QueryOptions& options, const Context& context) const {
  const auto started = Clock::now();
  if (std::max({params.start, params.end}) > kFarthest || std::min({params.start, params.end}) < -kFarthest) {
    return bad("start and end must be between the years 1824 and 2115");
  }
  auto& counters = Counters::get();
  counters.running.add(1);
  const Context limited = context.with_timeout(or_default(options.timeout, options_.timeout));
  Run run(querier,
          {.max_series = or_default(options.max_series, options_.max_series),
           .memory_limit = or_default(options.memory_limit, options_.memory_limit),
           .shared = memory_.get(),
           .partials = partials_.get(),
           .spill = spill_.get(),
           .spill_states_at = options_.spill_states_at,
           .pool = options.pool,
           .parallelism = options.parallelism},
          limited);
  const auto* log = std::get_if<LogExpr>(&expr.node);
  auto value = log != nullptr
                   ? log_value(run, *log, params, options, or_default(options.max_entries, options_.max_entries))
                   : metric_value(run, expr, params, options_.max_points);
  counters.running.add(-1);
  const double seconds = std::chrono::duration<double>(Clock::now() - started).count();
  counters.seconds.observe(seconds);
  QueryStats stats = run.stats();
  counters.rows.add(static_cast<double>(stats.scan.rows));
  counters.bytes.add(static_cast<double>(stats.scan.bytes));
  counters.spilled.add(static_cast<double>(stats.spilled_bytes));
  if (!value) {
    counters.failed.add();
    if (value.error().kind == ErrorKind::timeout) {
      value.error().message =
          "request timed out, decrease the duration of the request or add more label matchers (prefer exact match over "
          "regex match) to reduce the amount of data processed";
    }
    return std::unexpected(std::move(value.error()));
  }
  stats.exec_seconds = seconds;
  stats.entries_returned = entry_count(*value);
  return QueryResult{std::move(*value), stats, run.warnings()};
}

Result<logs::Direction> parse_direction(std::string_view text) {
  const std::string lower = to_lower(text);
  if (lower.empty() || lower == "backward") return logs::Direction::backward;
  if (lower == "forward") return logs::Direction::forward;
  return bad("invalid direction '" + std::string(text) + "'");
}

}  // namespace tocayo::logql
