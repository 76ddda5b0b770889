// SPDX-License-Identifier: Apache-2.0
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "metrics/api/handlers.h"
#include "metrics/api/params.h"
#include "metrics/api/respond.h"
#include "promql/ast_json.h"
#include "promql/parser.h"
#include "promql/printer.h"

namespace tocayo::metrics::api {

namespace {

// The `query` parameter as a tree, in the language the engine speaks with this tenant.
Result<promql::ExprPtr> parse_query_param(const ApiCore& core, const http::Request& request, std::string_view query) {
  const auto limits = core.limits(request);
  auto features = core.deps.engine->options().features;
  const bool all =
      std::exchange(features.experimental_functions, features.experimental_functions || limits->any_experimental());
  auto expr = promql::parse_expr(query, features.parser_options());
  if (expr && !all) {
    if (auto enabled = limits->check_functions(**expr); !enabled) return std::unexpected(std::move(enabled.error()));
  }
  return expr;
}

}  // namespace

Handled handle_format_query(ApiCore& core, http::Request& request) {
  co_await core.deps.compute->schedule();
  const http::Params form = request.form();
  auto expr = parse_query_param(core, request, form.get_or("query", ""));
  if (!expr) co_return error_response(invalid_parameter("query", expr.error().message));
  JsonWriter writer;
  writer.string(promql::pretty(**expr));
  co_return data_response(writer.take());
}

Handled handle_parse_query(ApiCore& core, http::Request& request) {
  co_await core.deps.compute->schedule();
  const http::Params form = request.form();
  auto expr = parse_query_param(core, request, form.get_or("query", ""));
  if (!expr) co_return error_response(invalid_parameter("query", expr.error().message));
  co_return data_response(boost::json::serialize(promql::ast_to_json(**expr)));
}

Handled handle_query_exemplars(ApiCore& core, http::Request& request) {
  const http::Params form = request.form();
  auto start = time_param(form, "start", kMinTime);
  if (!start) co_return error_response(start.error());
  auto end = time_param(form, "end", kMaxTime);
  if (!end) co_return error_response(end.error());
  if (*end < *start) co_return error_response(ErrorType::bad_data, "end timestamp must not be before start timestamp");

  co_await core.deps.compute->schedule();
  auto expr = parse_query_param(core, request, form.get_or("query", ""));
  if (!expr) co_return error_response(expr.error());
  std::vector<std::vector<Matcher>> sets;
  promql::walk(static_cast<const promql::Expr&>(**expr),
               [&](const promql::Expr& node, const std::vector<const promql::Expr*>&) {
                 if (const auto* selector = node.as<promql::VectorSelector>()) sets.push_back(selector->matchers);
               });
  if (sets.empty()) co_return http::Response::empty(204);

  std::vector<ExemplarSeries> found;
  if (core.deps.exemplars) {
    auto read = core.deps.exemplars(request.identity.tenant, sets, clamp_start(core, *core.limits(request), *start),
                                    *end, request.context);
    if (!read) co_return error_response(read.error());
    found = std::move(*read);
  }
  std::size_t count = 0;
  for (const ExemplarSeries& series : found) count += series.exemplars.size();
  core.queried_exemplars.observe(static_cast<double>(count));
  JsonWriter writer;
  writer.raw(kEnvelopeStart);
  writer.raw('[');
  Separator comma;
  for (const ExemplarSeries& series : found) {
    comma(writer);
    writer.raw(R"({"seriesLabels":)");
    writer.labels(series.labels);
    writer.raw(R"(,"exemplars":[)");
    Separator inner;
    for (const ExemplarRow& exemplar : series.exemplars) {
      inner(writer);
      writer.raw(R"({"labels":)");
      writer.labels(exemplar.labels);
      writer.raw(R"(,"value":)");
      writer.value(exemplar.value);
      writer.raw(R"(,"timestamp":)");
      writer.timestamp(exemplar.time);
      writer.raw('}');
    }
    writer.raw("]}");
  }
  writer.raw(']');
  end_envelope(writer, {}, {});
  co_return json_body(std::move(writer));
}

}  // namespace tocayo::metrics::api
