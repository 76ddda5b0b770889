// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <chrono>
#include <tuple>

#include "metrics/api/handlers.h"
#include "metrics/api/params.h"
#include "metrics/api/respond.h"
#include "metrics/api/result_writer.h"
#include "promql/parser.h"
#include "promql/printer.h"

namespace tocayo::metrics::api {

namespace {

constexpr std::int64_t kMaxPoints = 11'000;

// What query and query_range have in common.
struct QueryParameters {
  std::string query;
  std::string stats;
  std::size_t limit = 0;
  promql::QueryOptions options;
  bool range = false;
  TimestampMs start = 0, end = 0;
  std::chrono::milliseconds step{0};
};

Result<> read_common(const http::Params& form, const ApiCore& core, const QueryLimits& limits, QueryParameters& out) {
  out.query = form.get_or("query", "");
  out.stats = form.get_or("stats", "");
  if (form.has("timeout") && !form.get_or("timeout", "").empty()) {
    out.options.timeout = TRY(duration_param(form, "timeout"));
    // A timeout that is over before it began.
    if (out.options.timeout <= std::chrono::milliseconds(0)) out.options.timeout = std::chrono::milliseconds(1);
  }
  if (const std::string_view lookback = form.get_or("lookback_delta", ""); !lookback.empty()) {
    auto parsed = parse_prometheus_duration(lookback);
    if (!parsed) return fail(ErrorKind::bad_input, "error parsing lookback delta duration: " + parsed.error().message);
    out.options.lookback = *parsed;
  }
  out.options.per_step_stats = out.stats == "all";
  out.options.pool = core.deps.queries;
  out.options.parallelism = limits.max_query_parallelism;
  return {};
}

// The largest multiple of `step` that is not after `time`.
TimestampMs floor_to(TimestampMs time, std::int64_t step) {
  const TimestampMs down = time / step * step;
  return down > time && down >= INT64_MIN + step ? down - step : down;
}

Result<QueryParameters> read_instant(const http::Params& form, const ApiCore& core, const QueryLimits& limits) {
  QueryParameters out;
  out.limit = TRY(limit_param(form));
  out.start = out.end = TRY(time_param(form, "time", core.deps.clock->now_ms()));
  if (auto read = read_common(form, core, limits, out); !read) return std::unexpected(std::move(read.error()));
  return out;
}

Result<QueryParameters> read_range(const http::Params& form, const ApiCore& core, const QueryLimits& limits) {
  QueryParameters out;
  out.range = true;
  out.limit = TRY(limit_param(form));
  out.start = TRY(required_time_param(form, "start"));
  out.end = TRY(required_time_param(form, "end"));
  if (out.end < out.start)
    return std::unexpected(invalid_parameter("end", "end timestamp must not be before start time"));
  out.step = TRY(duration_param(form, "step"));
  if (out.step <= std::chrono::milliseconds(0)) {
    return std::unexpected(invalid_parameter(
        "step", "zero or negative query resolution step widths are not accepted. Try a positive integer"));
  }
  // The span of two sentinels does not fit a signed integer.
  const std::uint64_t span = static_cast<std::uint64_t>(out.end) - static_cast<std::uint64_t>(out.start);
  if (span / static_cast<std::uint64_t>(out.step.count()) > kMaxPoints) {
    return fail(
        ErrorKind::bad_input,
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)");
  }
  if (auto read = read_common(form, core, limits, out); !read) return std::unexpected(std::move(read.error()));
  const auto length = limits.max_total_query_length;
  if (length.count() > 0 && span > static_cast<std::uint64_t>(length.count())) {
    return fail(ErrorKind::bad_input,
                with_error_id(fmt::format("the total query time range exceeds the limit (query length: {}, limit: {})",
                                          format_duration(std::chrono::milliseconds(span)), format_duration(length)),
                              "max-total-query-length", "max_total_query_length"));
  }
  if (limits.align_queries_with_step) {
    out.start = floor_to(out.start, out.step.count());
    out.end = floor_to(out.end, out.step.count());
  }
  return out;
}

ErrorType type_of(promql::QueryError::Type type) {
  switch (type) {
    case promql::QueryError::Type::bad_data: return ErrorType::bad_data;
    case promql::QueryError::Type::execution: return ErrorType::execution;
    case promql::QueryError::Type::canceled: return ErrorType::canceled;
    case promql::QueryError::Type::timeout: return ErrorType::timeout;
    case promql::QueryError::Type::unavailable: return ErrorType::unavailable;
    case promql::QueryError::Type::too_many_requests: return ErrorType::too_many_requests;
    case promql::QueryError::Type::internal: return ErrorType::internal;
  }
  return ErrorType::internal;
}

bool truncate(promql::Value& value, std::size_t limit) {
  if (limit == 0) return false;
  if (auto* vector = std::get_if<promql::VectorValue>(&value); vector && vector->samples.size() > limit) {
    vector->samples.resize(limit);
    return true;
  }
  if (auto* matrix = std::get_if<promql::MatrixValue>(&value); matrix && matrix->series.size() > limit) {
    matrix->series.resize(limit);
    return true;
  }
  return false;
}

http::Response render(ApiCore& core, const QueryParameters& parameters, promql::QueryResult result, double waited,
                      std::shared_ptr<MemoryGuard::Query> query) {
  result.stats.timings.exec_queue += waited;
  result.stats.timings.exec_total += waited;
  core.durations.observe(QueryDurations::queue_time, waited);
  core.durations.observe(QueryDurations::prepare_time, result.stats.timings.query_preparation);
  core.durations.observe(QueryDurations::inner_eval, result.stats.timings.inner_eval);
  core.durations.observe(QueryDurations::result_sort, result.stats.timings.result_sort);
  core.samples_read.add(static_cast<double>(result.stats.total_queryable_samples));
  core.queue_seconds.observe(waited);
  core.queried_series.observe(static_cast<double>(query->meter().series()));
  core.queried_samples.observe(static_cast<double>(result.stats.samples_read));
  core.retries.observe(0);

  if (truncate(result.value, parameters.limit))
    result.annotations.add(promql::annotation::plain_warning(std::string(kTruncated)));
  if (!parameters.stats.empty() && parameters.stats != "true" && parameters.stats != "all") {
    result.annotations.add(
        promql::annotation::plain_warning(fmt::format("value {} for parameter \"stats\" is deprecated and will be "
                                                      "rejected in the next major release, use \"true\" or "
                                                      "\"all\"",
                                                      go_quote(parameters.stats))));
  }
  auto texts = result.annotations.texts(parameters.query, promql::kApiAnnotationLimit, promql::kApiAnnotationLimit);
  ResultWriter writer(std::move(result), !parameters.stats.empty(), std::move(texts.warnings), std::move(texts.infos));
  return stream_json(
      // The query lives in the producer: what it holds counts until the last byte is sent.
      [query = std::move(query), writer = std::move(writer)](JsonWriter& out) mutable -> Result<bool> {
        if (auto stopped = query->meter().stopped()) return std::unexpected(std::move(*stopped));
        return writer.advance(out);
      },
      *core.deps.queries);
}

// Whether this tenant may ask this, and the expression when it had to be parsed to know.
Result<promql::ExprPtr> check_expression(ApiCore& core, const http::Request& request, const QueryLimits& limits,
                                         QueryParameters& parameters) {
  if (auto small = limits.check_query(parameters.query, ""); !small) return std::unexpected(std::move(small.error()));
  if (auto rare = core.frequency.admit(request.identity.tenant, parameters.query, limits); !rare)
    return std::unexpected(std::move(rare.error()));
  const promql::Features& engine = core.deps.engine->options().features;
  const bool more_functions = limits.any_experimental() && !engine.experimental_functions;
  if (limits.blocked_queries.empty() && !more_functions) return promql::ExprPtr();
  promql::Features features = engine;
  features.experimental_functions |= more_functions;
  auto expr = promql::parse_expr(parameters.query, features.parser_options());
  if (!expr) return std::unexpected(invalid_parameter("query", expr.error().message));
  if (auto open = limits.check_query(parameters.query, promql::print(**expr)); !open)
    return std::unexpected(std::move(open.error()));
  if (more_functions) {
    parameters.options.features = features;
    if (auto enabled = limits.check_functions(**expr); !enabled)
      return std::unexpected(invalid_parameter("query", enabled.error().message));
  }
  return expr;
}

promql::QueryOutcome evaluate(const promql::Engine& engine, const Reading& reading, const promql::Expr* expr,
                              const QueryParameters& parameters) {
  const Querier& querier = *reading.querier;
  const Context& context = reading.query->context();
  const auto& [query, options] = std::tie(parameters.query, parameters.options);
  if (parameters.range) {
    return expr ? engine.range(querier, *expr, parameters.start, parameters.end, parameters.step, options, context)
                : engine.range(querier, query, parameters.start, parameters.end, parameters.step, options, context);
  }
  return expr ? engine.instant(querier, *expr, parameters.start, options, context)
              : engine.instant(querier, query, parameters.start, options, context);
}

Handled run_query(ApiCore& core, http::Request& request, QueryParameters parameters) {
  core.api_queries.add();
  auto expr = check_expression(core, request, *core.limits(request), parameters);
  if (!expr) {
    if (expr.error().kind != ErrorKind::limit) co_return error_response(expr.error());
    co_return error_response(ErrorType::too_many_requests, expr.error().message);
  }
  Context context = request.context;
  if (parameters.options.timeout.count() > 0) context = context.with_timeout(parameters.options.timeout);
  const auto asked = std::chrono::steady_clock::now();
  auto permit = co_await core.gate.acquire(request.identity.tenant, context);
  if (!permit) {
    const ErrorKind kind = permit.error().kind;
    if (kind == ErrorKind::limit) co_return error_response(ErrorType::too_many_requests, permit.error().message);
    co_return error_response(
        tocayo::metrics::api::type_of(kind, ErrorType::execution),
        kind == ErrorKind::timeout ? "query timed out in query queue" : "query was canceled in query queue");
  }
  co_await core.deps.queries->schedule();
  const double waited = std::chrono::duration<double>(std::chrono::steady_clock::now() - asked).count();
  auto reading = core.begin(request, context);
  if (!reading) co_return error_response(reading.error());
  QueryMeter& meter = reading->query->meter();
  parameters.options.meter = &meter;
  promql::QueryOutcome outcome = evaluate(*core.deps.engine, *reading, expr->get(), parameters);
  meter.release_selections();
  if (!outcome) {
    if (auto stopped = meter.stopped()) co_return error_response(*stopped);
    const promql::QueryError& error = outcome.error();
    if (error.type == promql::QueryError::Type::bad_data)
      co_return error_response(invalid_parameter("query", error.message()));
    co_return error_response(type_of(error.type), error.message());
  }
  reading->querier.reset();  // it counts into the query, which goes with the answer
  co_return render(core, parameters, std::move(*outcome), waited, std::move(reading->query));
}

}  // namespace

Handled handle_query(ApiCore& core, http::Request& request) {
  auto parameters = read_instant(request.form(), core, *core.limits(request));
  if (!parameters) co_return error_response(parameters.error());
  co_return co_await run_query(core, request, std::move(*parameters));
}

Handled handle_query_range(ApiCore& core, http::Request& request) {
  auto parameters = read_range(request.form(), core, *core.limits(request));
  if (!parameters) co_return error_response(parameters.error());
  co_return co_await run_query(core, request, std::move(*parameters));
}

TimestampMs clamp_start(const ApiCore& core, const QueryLimits& limits, TimestampMs start) {
  if (limits.max_query_lookback.count() <= 0) return start;
  return std::max(start, core.deps.clock->now_ms() - limits.max_query_lookback.count());
}

}  // namespace tocayo::metrics::api
