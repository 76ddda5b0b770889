// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "core/log.h"
#include "logql/syntax/parser.h"
#include "logql/syntax/printer.h"
#include "logs/api/handlers.h"
#include "logs/api/multi_tenant.h"
#include "logs/api/query_limits.h"

namespace tocayo::logs::api {

namespace {

using Steady = std::chrono::steady_clock;

constexpr std::string_view kCategorize = "categorize-labels";
constexpr std::size_t kExportPage = 20'000;  // lines
constexpr auto kSlow = std::chrono::seconds(10);

// A query that may be run, without the request it came with: others may wait for its answer.
struct Prepared {
  std::string tenant;
  std::string text;
  std::string tags;
  logql::Expr expr;
  logql::QueryParams params;
  std::shared_ptr<const LogLimits> limits;
  bool categorize = false;
  bool nothing_left = false;  // of the range, by max_query_lookback
};

// The deprecated parameter `regexp` is one more line filter.
std::string query_text(const http::Params& form) {
  std::string query(form.get_or("query", ""));
  if (const auto regexp = form.get_or("regexp", ""); !regexp.empty()) query += " |~ " + go_quote(regexp);
  return query;
}

logql::QueryOptions options_of(const ApiCore& core, const LogLimits& limits) {
  logql::QueryOptions options;
  options.timeout = limits.query_timeout;
  options.max_series = static_cast<std::size_t>(limits.max_query_series);
  options.max_entries = static_cast<std::size_t>(limits.max_entries_limit_per_query);
  options.pool = core.deps.queries;
  return options;
}

Result<std::optional<logql::Cursor>> cursor_of(const http::Params& form) {
  const auto text = form.get_or("cursor", "");
  if (text.empty()) return std::optional<logql::Cursor>();
  return std::optional(TRY(parse_cursor(text)));
}

Result<logql::QueryParams> instant_params(const ApiCore& core, const http::Params& form) {
  logql::QueryParams params;
  params.instant = true;
  params.end = core.now();
  if (const auto time = form.get_or("time", ""); !time.empty()) params.end = TRY(parse_api_time(time));
  params.start = params.end;
  params.limit = TRY(limit_of(form, "limit", 100));
  params.direction = TRY(logql::parse_direction(form.get_or("direction", "")));
  return params;
}

Result<logql::QueryParams> range_params(const ApiCore& core, const http::Params& form) {
  const auto bounds = TRY(bounds_of(form, core.now(), kHourNs));
  logql::QueryParams params;
  params.start = bounds.start;
  params.end = bounds.end;
  if (bounds.end < bounds.start)  // Loki refuses no less than its message says it does
    return fail(ErrorKind::bad_input, "end timestamp must not be before or equal to start time");
  params.limit = TRY(limit_of(form, "limit", 100));
  params.direction = TRY(logql::parse_direction(form.get_or("direction", "")));
  params.step_ns = TRY(step_of(form, bounds));
  TRY(check_steps(bounds, params.step_ns));
  params.interval_ns = TRY(interval_of(form));
  params.cursor = TRY(cursor_of(form));
  return params;
}

Result<Prepared> prepare(const ApiCore& core, const http::Request& request, const http::Params& form,
                         Result<logql::QueryParams> params) {
  if (!params) return std::unexpected(std::move(params.error()));
  Prepared query{.tenant = request.identity.tenant,
                 .text = query_text(form),
                 .tags = std::string(request.headers.get("X-Query-Tags")),
                 .params = std::move(*params),
                 .limits = core.limits(request)};
  query.expr = TRY(logql::parse(query.text));
  query.categorize = request.headers.get("X-Loki-Response-Encoding-Flags").find(kCategorize) != std::string_view::npos;
  auto& asked = query.params;
  query.nothing_left = !clamp_to_lookback(asked.start, asked.end, *query.limits, core.now());
  if (asked.instant) asked.start = asked.end;
  TRY(check_query({query.expr, query.text, query.tags}, query.params, *query.limits));
  return query;
}

// In hours that are read, at least a second's: what a tenant's turns are weighed by.
double cost_of(const logql::QueryParams& params) {
  const auto covered = static_cast<double>(params.end) - static_cast<double>(params.start);
  return std::max(covered, static_cast<double>(kSecondNs)) / static_cast<double>(kHourNs);
}

std::string key_of(const Prepared& query) {
  const auto& params = query.params;
  const auto cursor = params.cursor.value_or(logql::Cursor{});
  return fmt::format("{}\n{}\n{} {} {} {} {} {} {} {} {} {} {}", query.tenant, query.text, params.instant, params.start,
                     params.end, params.step_ns, params.limit, static_cast<int>(params.direction), params.interval_ns,
                     params.cursor.has_value(), cursor.time, cursor.skip, query.categorize);
}

void write_to_log(const Prepared& query, const Result<logql::QueryResult>& result, Steady::duration queued,
                  Steady::duration took) {
  const auto seconds = [](Steady::duration value) { return std::chrono::duration<double>(value).count(); };
  const auto level = took >= kSlow ? log::Level::info : log::Level::debug;
  const auto scan = result ? result->stats.scan : ScanStats{};
  log::write(level, "logs", "query",
             {{"tenant", query.tenant},
              {"query", query.text},
              {"tags", query.tags},
              {"seconds", seconds(took)},
              {"queued_seconds", seconds(queued)},
              {"bytes_covered", scan.bytes},
              {"bytes_read", scan.bytes_read},
              {"rows", scan.rows},
              {"error", result ? std::string() : result.error().message}});
}

// On a thread for queries.
Result<http::Response> answer(ApiCore& core, const Prepared& query, const Context& context, Steady::duration queued) {
  const auto began = Steady::now();
  const auto querier = TRY(querier_of(*core.deps.store, query.tenant));
  TRY(check_bytes_read(query.expr, query.params, *query.limits, *querier, context));
  const auto result =
      core.deps.engine->query(*querier, query.expr, query.params, options_of(core, *query.limits), context);
  write_to_log(query, result, queued, Steady::now() - began);
  if (!result) return std::unexpected(result.error());
  ResultFormat format;
  format.categorize = query.categorize;
  format.queue_seconds = std::chrono::duration<double>(queued).count();
  return http::Response::json(200, query_body(*result, format));
}

// A range of which the lookback leaves nothing: the answer of an empty store.
Result<http::Response> empty_answer(const Prepared& query) {
  logql::QueryResult result;
  if (query.expr.is_log()) {
    result.value = logql::LogValue{};
  } else if (query.params.instant) {
    result.value = logql::VectorValue{};
  } else {
    result.value = logql::MatrixValue{};
  }
  return http::Response::json(200, query_body(result, {.categorize = query.categorize}));
}

Task<http::Response> execute(ApiCore& core, std::shared_ptr<const Prepared> query,
                             std::shared_ptr<QueryShare::Flight> flight) {
  const auto asked = Steady::now();
  auto permit = co_await core.gate.acquire(query->tenant, flight->context(), cost_of(query->params));
  if (!permit) {
    if (permit.error().kind != ErrorKind::limit) co_return error_text(permit.error());
    core.refused.add();
    co_return too_many_requests();
  }
  co_await core.deps.queries->schedule();
  const auto queued = Steady::now() - asked;
  core.queue_seconds.observe(std::chrono::duration<double>(queued).count());
  flight->begin();
  auto response = answer(core, *query, flight->context(), queued);
  co_return response ? std::move(*response) : error_text(response.error());
}

Handled run(ApiCore& core, http::Request& request, Result<Prepared> prepared) {
  if (!prepared) co_return error_text(prepared.error());
  if (prepared->nothing_left) {
    const auto response = empty_answer(*prepared);
    co_return http::Response::json(200, response->body);
  }
  auto query = std::make_shared<const Prepared>(std::move(*prepared));  // shared by the work, which may outlive this
  co_return co_await core.share.run(
      key_of(*query), core.version(query->tenant), request.context, query->limits->query_timeout,
      [&core, query](std::shared_ptr<QueryShare::Flight> flight) { return execute(core, query, std::move(flight)); });
}

// One line as NDJSON, with the cursor to go on behind it.
void append_exported(std::string& out, const logql::LogLine& line, const logql::Cursor& cursor) {
  out += fmt::format(R"({{"ts":"{}","line":)", line.time);
  append_json_text(out, line.line);
  out += R"(,"labels":)";
  append_json_labels(out, line.labels->all);
  out += fmt::format(R"(,"cursor":"{}"}})", cursor_text(cursor));
  out.push_back('\n');
}

// Pages of the query, one after another, as fast as the client takes them.
Task<Result<>> export_lines(ApiCore& core, std::shared_ptr<const Prepared> query, Context context,
                            http::BodySink& sink) {
  auto params = query->params;
  params.limit = kExportPage;
  auto options = options_of(core, *query->limits);
  options.unlimited_entries = true;
  while (true) {
    std::string chunk;
    {
      CO_TRY(auto permit, co_await core.gate.acquire(query->tenant, context, cost_of(params)));
      co_await core.deps.queries->schedule();
      CO_TRY(const auto querier, querier_of(*core.deps.store, query->tenant));
      CO_TRY(const auto result, core.deps.engine->query(*querier, query->expr, params, options, context));
      const auto& page = std::get<logql::LogValue>(result.value);
      logql::Cursor at = params.cursor.value_or(logql::Cursor{});
      for (const auto& line : page.lines) {
        if (line.time != at.time) at = {.time = line.time, .skip = 0};
        ++at.skip;
        append_exported(chunk, line, at);
      }
      params.cursor = page.next;
    }
    // The permit is back: a slow client holds memory, not a turn.
    if (!chunk.empty()) CO_TRY_VOID(co_await sink.write(std::move(chunk)));
    if (!params.cursor) co_return Result<>{};
  }
}

}  // namespace

Handled handle_export(ApiCore& core, http::Request& request) {
  co_await core.deps.compute->schedule();
  const auto form = request.form();
  auto params = range_params(core, form);
  if (params && form.get_or("direction", "").empty()) params->direction = Direction::forward;
  auto prepared = prepare(core, request, form, std::move(params));
  if (prepared && !prepared->expr.is_log()) prepared = fail(ErrorKind::bad_input, "only log queries can be exported");
  if (!prepared) co_return error_text(prepared.error());
  http::Response response;
  response.headers.set("Content-Type", "application/x-ndjson");
  if (prepared->nothing_left) co_return response;
  auto query = std::make_shared<const Prepared>(std::move(*prepared));  // lives as long as the stream
  response.stream = [&core, query, context = request.context](http::BodySink& sink) {
    return export_lines(core, query, context, sink);
  };
  co_return response;
}

Handled handle_query(ApiCore& core, http::Request& request) {
  co_await core.deps.compute->schedule();
  const auto form = request.form();
  co_return co_await run(core, request, prepare(core, request, form, instant_params(core, form)));
}

Handled handle_query_range(ApiCore& core, http::Request& request) {
  co_await core.deps.compute->schedule();
  const auto form = request.form();
  co_return co_await run(core, request, prepare(core, request, form, range_params(core, form)));
}

Handled handle_format_query(ApiCore& core, http::Request& request) {
  return on_compute(core, [&request]() -> Result<http::Response> {
    const auto form = request.form();
    const auto query = form.get_or("query", "");
    const auto expr = logql::parse(query);
    std::string body;
    if (!expr) {
      body = R"({"status":"invalid-query","error":)";
      append_json_text(body, expr.error().message);
      return http::Response::json(400, body + "}");
    }
    body = R"({"status":"success","data":)";
    append_json_text(body, logql::format(*expr));
    return http::Response::json(200, body + "}");
  });
}

}  // namespace tocayo::logs::api
