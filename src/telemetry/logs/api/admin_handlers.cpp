// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "core/yaml.h"
#include "logql/syntax/parser.h"
#include "logs/api/handlers.h"

namespace tocayo::logs::api {

namespace {

// Unix seconds or RFC 3339, as the delete API wants them.
Result<TimestampNs> delete_time(std::string_view text, std::string_view which) {
  const auto time = parse_time(text);
  if (!time)
    return fail(ErrorKind::bad_input, fmt::format("invalid {} time: require unix seconds or RFC3339 format", which));
  return *time * 1'000'000;
}

std::string state_text(const DeleteRequest& request) {
  switch (request.state) {
    case DeleteRequest::State::received: return "received";
    case DeleteRequest::State::processing: return fmt::format("{}% Complete", request.percent);
    case DeleteRequest::State::processed: return "processed";
  }
  return "received";
}

}  // namespace

Handled handle_add_delete(ApiCore& core, http::Request& request) {
  return on_compute(core, [&core, &request]() -> Result<http::Response> {
    const auto form = request.form();
    if (!core.limits(request)->allow_deletes)
      return fail(ErrorKind::forbidden, "deletion is not available for this tenant");
    const auto query = form.get_or("query", "");
    if (query.empty()) return fail(ErrorKind::bad_input, "query not set");
    const auto start_text = form.get_or("start", "");
    if (start_text.empty()) return fail(ErrorKind::bad_input, "start time not set");
    const auto start = TRY(delete_time(start_text, "start"));
    auto end = core.now();
    if (const auto end_text = form.get_or("end", ""); !end_text.empty()) {
      end = TRY(delete_time(end_text, "end"));
      if (end > core.now()) return fail(ErrorKind::bad_input, "deletes in the future are not allowed");
    }
    if (start >= end) return fail(ErrorKind::bad_input, "start time can't be greater than or equal to end time");
    const auto id = TRY(core.deps.store->add_delete(request.identity.tenant, query, start, end));
    auto response = http::Response::empty(204);
    response.headers.set("X-Delete-Request-ID", id);
    return response;
  });
}

Handled handle_list_deletes(ApiCore& core, http::Request& request) {
  return on_compute(core, [&core, &request]() -> Result<http::Response> {
    std::string body = "[";
    for (const auto& item : TRY(core.deps.store->deletes(request.identity.tenant))) {
      if (body.size() > 1) body += ",";
      body += R"({"request_id":)";
      append_json_text(body, item.id);
      body += fmt::format(R"(,"start_time":{},"end_time":{},"query":)", item.start / kSecondNs, item.end / kSecondNs);
      append_json_text(body, item.query);
      body += R"(,"status":)";
      append_json_text(body, state_text(item));
      body += fmt::format(R"(,"created_at":{}}})", item.created / 1000);
    }
    return http::Response::json(200, body + "]");
  });
}

Handled handle_cancel_delete(ApiCore& core, http::Request& request) {
  return on_compute(core, [&core, &request]() -> Result<http::Response> {
    const auto form = request.form();
    const auto id = form.get_or("request_id", "");
    auto done = core.deps.store->cancel_delete(request.identity.tenant, id, form.get_or("force", "") == "true");
    if (!done && done.error().kind == ErrorKind::not_found)
      return fail(ErrorKind::not_found, "could not find delete request with given id");
    if (!done && done.error().kind == ErrorKind::conflict) return fail(ErrorKind::bad_input, done.error().message);
    TRY(std::move(done));
    return http::Response::empty(204);
  });
}

Handled handle_buildinfo(ApiCore& core, http::Request&) {
  std::string body = R"({"version":)";
  append_json_text(body, core.deps.version);
  body += R"(,"revision":)";
  append_json_text(body, fmt::format("tocayo {} {}", core.deps.tocayo_version, core.deps.revision));
  body += R"(,"branch":"HEAD","buildUser":"","buildDate":)";
  append_json_text(body, core.deps.build_date);
  co_return http::Response::json(200, body + R"(,"goVersion":""})");
}

Handled handle_limits_yaml(ApiCore& core, http::Request& request) {
  co_return http::Response::text(200, limits_yaml(*core.limits(request)), "application/yaml");
}

Handled handle_drilldown_limits(ApiCore& core, http::Request& request) {
  co_return http::Response::json(200, fmt::format(R"({{"limits":{},"pattern_ingester_enabled":true,"version":"{}"}})",
                                                  limits_json(*core.limits(request)), core.deps.version));
}

// Labels that got many values today, with who sends them and whether they are spilled.
Handled handle_label_growth(ApiCore& core, http::Request& request) {
  return on_compute(core, [&core, &request]() -> Result<http::Response> {
    const std::size_t limit = core.limits(request)->store.max_label_values_per_day;
    std::string body = fmt::format(R"({{"status":"success","limit":{},"data":[)", limit);
    bool first = true;
    for (const auto& growth : core.deps.store->label_growth(request.identity.tenant, limit / 2 + 1)) {
      if (!first) body += ",";
      first = false;
      body += R"({"label":)";
      append_json_text(body, growth.label);
      body += fmt::format(R"(,"values_today":{},"spilled":{},"sender":)", growth.values, growth.spilled != 0);
      append_json_text(body, growth.sender);
      if (growth.spilled != 0) body += fmt::format(R"(,"spilled_since":"{}")", format_rfc3339(growth.spilled));
      body += "}";
    }
    return http::Response::json(200, body + "]}");
  });
}

Handled handle_flush(ApiCore& core, http::Request& request) {
  const bool own = request.path.ends_with("/tenant");
  return on_compute(core, [&core, &request, own]() -> Result<http::Response> {
    TRY(core.deps.store->flush(own ? std::string_view(request.identity.tenant) : std::string_view()));
    return http::Response::empty(204);
  });
}

}  // namespace tocayo::logs::api
