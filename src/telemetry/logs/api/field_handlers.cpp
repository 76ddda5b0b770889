// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "logql/engine/fields.h"
#include "logql/syntax/parser.h"
#include "logs/api/handlers.h"
#include "logs/api/query_limits.h"

namespace tocayo::logs::api {

namespace {

Result<logql::FieldQuery> field_query(const ApiCore& core, const http::Request& request) {
  const auto form = request.form();
  auto bounds = TRY(bounds_of(form, core.now(), kHourNs));
  TRY(clamp_bounds(bounds, *core.limits(request), core.now()));
  logql::FieldQuery query;
  query.query = form.get_or("query", "");
  query.start = bounds.start;
  query.end = bounds.end;
  query.line_limit = TRY(limit_of(form, "line_limit", 100));
  query.limit = TRY(limit_of(form, form.get_or("limit", "").empty() ? "field_limit" : "limit", 1000));
  return query;
}

logql::QueryOptions options_of(const ApiCore& core) {
  logql::QueryOptions options;
  options.pool = core.deps.queries;
  return options;
}

}  // namespace

Handled handle_detected_fields(ApiCore& core, http::Request& request) {
  return in_turn(core, request, 0.1, [&core, &request]() -> Result<http::Response> {
    const auto query = TRY(field_query(core, request));
    const auto querier = TRY(core.querier(request));
    const auto fields =
        TRY(logql::detect_fields(*core.deps.engine, *querier, query, options_of(core), request.context));
    std::string body = R"({"fields":[)";
    for (std::size_t i = 0; i < fields.size(); ++i) {
      const auto& field = fields[i];
      body += i == 0 ? R"({"label":)" : R"(,{"label":)";
      append_json_text(body, field.label);
      body += R"(,"type":)";
      append_json_text(body, field.type);
      body += fmt::format(R"(,"cardinality":{},"parsers":)", field.cardinality);
      auto list = [&](const std::vector<std::string>& items) {
        body += "[";
        for (std::size_t k = 0; k < items.size(); ++k) {
          if (k != 0) body += ",";
          append_json_text(body, items[k]);
        }
        body += "]";
      };
      if (field.parsers.empty()) {
        body += "null";
      } else {
        list(field.parsers);
      }
      if (!field.json_path.empty()) {
        body += R"(,"jsonPath":)";
        list(field.json_path);
      }
      body += "}";
    }
    return http::Response::json(200, body + fmt::format(R"(],"limit":{}}})", query.limit));
  });
}

Handled handle_detected_field_values(ApiCore& core, http::Request& request) {
  return in_turn(core, request, 0.1, [&core, &request]() -> Result<http::Response> {
    const auto query = TRY(field_query(core, request));
    const auto querier = TRY(core.querier(request));
    const auto values = TRY(logql::detect_field_values(
        *core.deps.engine, *querier, query, std::string(request.param("name")), options_of(core), request.context));
    std::string body = R"({"values":[)";
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i != 0) body += ",";
      append_json_text(body, values[i]);
    }
    return http::Response::json(200, body + fmt::format(R"(],"limit":{}}})", query.limit));
  });
}

Handled handle_detected_labels(ApiCore& core, http::Request& request) {
  return on_compute(core, [&core, &request]() -> Result<http::Response> {
    const auto form = request.form();
    auto bounds = TRY(bounds_of(form, core.now(), 6 * kHourNs));
    TRY(clamp_bounds(bounds, *core.limits(request), core.now()));
    std::vector<Matcher> matchers;
    if (const auto text = form.get_or("query", ""); !text.empty() && text != "{}")
      matchers = TRY(logql::parse_log(text)).matchers;
    const auto querier = TRY(core.querier(request));
    const auto labels = TRY(logql::detect_labels(*querier, matchers, bounds.start, bounds.end, request.context));
    std::string body = R"({"detectedLabels":[)";
    for (std::size_t i = 0; i < labels.size(); ++i) {
      body += i == 0 ? R"({"label":)" : R"(,{"label":)";
      append_json_text(body, labels[i].label);
      body += fmt::format(R"(,"cardinality":{}}})", labels[i].cardinality);
    }
    return http::Response::json(200, body + "]}");
  });
}

}  // namespace tocayo::logs::api
