// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "logql/syntax/parser.h"
#include "logql/syntax/printer.h"
#include "logs/api/handlers.h"

namespace tocayo::logs::api {

namespace {

constexpr std::string_view kCategorize = "categorize-labels";

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
  options.pool = core.deps.compute;
  return options;
}

Result<http::Response> run(ApiCore& core, http::Request& request, const std::string& query,
                           const logql::QueryParams& params) {
  const auto limits = core.limits(request);
  const auto expr = TRY(logql::parse(query));
  const auto querier = TRY(core.querier(request));
  const auto result = TRY(core.deps.engine->query(*querier, expr, params, options_of(core, *limits), request.context));
  ResultFormat format;
  format.categorize = request.headers.get("X-Loki-Response-Encoding-Flags").find(kCategorize) != std::string_view::npos;
  return http::Response::json(200, query_body(result, format));
}

}  // namespace

Handled handle_query(ApiCore& core, http::Request& request) {
  return on_compute(core, [&core, &request]() -> Result<http::Response> {
    const auto form = request.form();
    logql::QueryParams params;
    params.instant = true;
    params.end = core.now();
    if (const auto time = form.get_or("time", ""); !time.empty()) params.end = TRY(parse_api_time(time));
    params.start = params.end;
    params.limit = TRY(limit_of(form, "limit", 100));
    params.direction = TRY(logql::parse_direction(form.get_or("direction", "")));
    return run(core, request, query_text(form), params);
  });
}

Handled handle_query_range(ApiCore& core, http::Request& request) {
  return on_compute(core, [&core, &request]() -> Result<http::Response> {
    const auto form = request.form();
    const auto bounds = TRY(bounds_of(form, core.now(), kHourNs));
    logql::QueryParams params;
    params.start = bounds.start;
    params.end = bounds.end;
    if (bounds.end <= bounds.start)
      return fail(ErrorKind::bad_input, "end timestamp must not be before or equal to start time");
    params.limit = TRY(limit_of(form, "limit", 100));
    params.direction = TRY(logql::parse_direction(form.get_or("direction", "")));
    params.step_ns = TRY(step_of(form, bounds));
    if (params.step_ns <= 0) {
      return fail(ErrorKind::bad_input,
                  "zero or negative query resolution step widths are not accepted. Try a positive integer");
    }
    if ((bounds.end - bounds.start) / params.step_ns > 11'000) {
      return fail(ErrorKind::bad_input,
                  "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step "
                  "parameter");
    }
    params.interval_ns = TRY(interval_of(form));
    const auto limits = core.limits(request);
    if (limits->max_query_length.count() > 0 &&
        (bounds.end - bounds.start) / 1'000'000 > limits->max_query_length.count()) {
      return fail(ErrorKind::bad_input,
                  fmt::format("the query time range exceeds the limit (query length: {}, limit: {})",
                              format_duration(std::chrono::milliseconds((bounds.end - bounds.start) / 1'000'000)),
                              format_duration(limits->max_query_length)));
    }
    return run(core, request, query_text(form), params);
  });
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
