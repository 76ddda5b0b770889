// SPDX-License-Identifier: Apache-2.0
#include "events/api.h"

#include <charconv>

#include "core/time.h"
#include "tenancy/detail/json.h"

namespace tocayo::events {

namespace {

namespace json = tenancy::json;
using boost::json::array;
using boost::json::object;
using http::Request;
using http::Response;

object to_json(const Event& event) {
  object labels;
  for (auto& [name, value] : event.labels) labels[name] = value;
  return {{"id", event.id},
          {"timeMs", event.time_ms},
          {"recordedMs", event.recorded_ms},
          {"kind", event.kind},
          {"source", event.source},
          {"actor", event.actor},
          {"title", event.title},
          {"detail", event.detail},
          {"url", event.url},
          {"labels", std::move(labels)}};
}

Result<std::optional<TimestampMs>> time_param(const Request& request, std::string_view name) {
  auto text = request.query.get(name);
  if (!text || text->empty()) return std::optional<TimestampMs>();
  auto time = parse_time(*text);
  if (!time) return std::unexpected(std::move(time.error()).with_context(name));
  return std::optional<TimestampMs>(*time);
}

Result<EventFilter> parse_filter(const Request& request) {
  EventFilter filter;
  for (auto kind : request.query.all("kind")) filter.kinds.emplace_back(kind);
  if (filter.kinds.size() > 50) return fail(ErrorKind::bad_input, "kind: at most 50");
  filter.source = request.query.get_or("source", "");
  filter.text = request.query.get_or("q", "");
  for (auto label : request.query.all("label")) {
    std::size_t equals = label.find('=');
    if (equals == std::string_view::npos || equals == 0)
      return fail(ErrorKind::bad_input, "label: write label=name=value");
    filter.labels[std::string(label.substr(0, equals))] = label.substr(equals + 1);
  }
  if (filter.labels.size() > 16) return fail(ErrorKind::bad_input, "label: at most 16");
  filter.from_ms = TRY(time_param(request, "from"));
  filter.to_ms = TRY(time_param(request, "to"));
  return filter;
}

Result<std::int64_t> parse_limit(const Request& request) {
  std::string_view text = request.query.get_or("limit", "100");
  std::int64_t limit = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size())
    return fail(ErrorKind::bad_input, "limit must be a number");
  return limit;
}

Result<Event> parse_event(const Request& request) {
  json::Body body = TRY(json::Body::parse(request.body));
  Event event;
  event.tenant = request.identity.tenant;
  event.actor = request.identity.login;
  event.kind = "deploy";
  event.source = "api";
  TRY(body.read("kind", event.kind));
  TRY(body.read("title", event.title));
  TRY(body.read("detail", event.detail));
  TRY(body.read("url", event.url));
  TRY(body.read("source", event.source));
  TRY(body.read("key", event.dedup_key));
  TRY(body.read("timeMs", event.time_ms));
  if (body.has("timeMs") && event.time_ms <= 0) return body.wrong("timeMs", "milliseconds since 1970");
  if (const auto* labels = body.object().if_contains("labels"); labels && !labels->is_null()) {
    if (!labels->is_object()) return body.wrong("labels", "an object of strings");
    for (auto& [name, value] : labels->as_object()) {
      if (!value.is_string()) return body.wrong("labels", "an object of strings");
      event.labels[std::string(name)] = std::string(value.as_string());
    }
  }
  for (const char* name : {"service", "version", "environment"}) {
    std::string value;
    TRY(body.read(name, value));
    if (!value.empty()) event.labels[name] = std::move(value);
  }
  if (event.title.empty() && event.labels.contains("service")) {
    event.title = event.kind + " of " + event.labels["service"] +
                  (event.labels.contains("version") ? " " + event.labels["version"] : "");
  }
  return event;
}

Task<Response> list(Service& service, Request& request) {
  auto filter = parse_filter(request);
  if (!filter) co_return json::refusal(filter.error());
  auto limit = parse_limit(request);
  if (!limit) co_return json::refusal(limit.error());
  auto page = co_await service.list(request.identity.tenant, std::move(*filter),
                                    std::string(request.query.get_or("cursor", "")), *limit);
  if (!page) co_return json::refusal(page.error());
  array events;
  for (const Event& event : page->events) events.emplace_back(to_json(event));
  co_return json::answer(
      200, object{{"events", std::move(events)},
                  {"next", page->next.empty() ? boost::json::value(nullptr) : boost::json::value(page->next)}});
}

Task<Response> report(Service& service, Request& request) {
  auto event = parse_event(request);
  if (!event) co_return json::refusal(event.error());
  bool existed = false;
  auto recorded = co_await service.record_now(std::move(*event), &existed);
  if (!recorded) co_return json::refusal(recorded.error());
  co_return json::answer(existed ? 200 : 201, to_json(*recorded));
}

}  // namespace

std::vector<tenancy::Route> routes(Service& service) {
  constexpr std::string_view kPath = "/events/api/v1/events";
  std::vector<tenancy::Route> out;
  out.push_back({"GET",
                 std::string(kPath),
                 [&service](Request& request) { return list(service, request); },
                 {.access = http::Access::read}});
  out.push_back({"POST",
                 std::string(kPath),
                 [&service](Request& request) { return report(service, request); },
                 {.access = http::Access::write, .max_body = 64 << 10}});
  return out;
}

void add_routes(http::Router& router, Service& service) {
  for (tenancy::Route& route : routes(service))
    router.add(route.method, route.pattern, std::move(route.handler), std::move(route.options));
}

}  // namespace tocayo::events
