// SPDX-License-Identifier: Apache-2.0
#include "logs/api/elastic.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>

#include "core/text.h"
#include "logs/api/bulk_decode.h"

namespace tocayo::logs::api {

namespace {

namespace json = boost::json;

// Of the Elasticsearch whose API this is: clients choose their dialect by it.
constexpr std::string_view kVersion = "8.19.0";
constexpr std::string_view kPrefixes[] = {"", "/as/elasticsearch"};

http::Response answer(int status, std::string body) {
  auto response = http::Response::json(status, std::move(body));
  response.headers.set("X-Elastic-Product", "Elasticsearch");  // the official clients refuse to go on without it
  return response;
}

http::Response failure(int status, std::string_view type, std::string_view reason) {
  const json::object cause{{"type", type}, {"reason", reason}};
  json::object error = cause;
  error["root_cause"] = json::array{cause};
  auto response = answer(status, json::serialize(json::object{{"error", error}, {"status", status}}));
  if (status == 429 || status == 503) response.headers.set("Retry-After", "5");
  return response;
}

http::Response failure_of(const Error& error) {
  switch (error.kind) {
    case ErrorKind::limit: return failure(429, "es_rejected_execution_exception", error.message);
    case ErrorKind::too_large: return failure(413, "content_too_long_exception", error.message);
    case ErrorKind::canceled: return failure(499, "task_cancelled_exception", error.message);
    case ErrorKind::timeout:
    case ErrorKind::unavailable: return failure(503, "unavailable_shards_exception", error.message);
    case ErrorKind::internal: return failure(500, "exception", error.message);
    default: return failure(400, "illegal_argument_exception", error.message);
  }
}

std::vector<std::string> list_of(std::string_view text) {
  std::vector<std::string> out;
  for (const auto part : split(text, ',')) {
    if (!trim(part).empty()) out.emplace_back(trim(part));
  }
  return out;
}

// By parameter or header, under VictoriaLogs' names for both.
BulkFields fields_of(const http::Request& request) {
  const auto chosen = [&](std::string_view parameter, std::string_view header) {
    return list_of(request.query.get_or(parameter, request.headers.get(header)));
  };
  BulkFields fields;
  fields.stream = chosen("_stream_fields", "VL-Stream-Fields");
  fields.only_stream = !fields.stream.empty();
  if (!fields.only_stream) fields.stream = default_bulk_stream_fields();
  if (auto time = chosen("_time_field", "VL-Time-Field"); !time.empty()) fields.time = std::move(time);
  if (auto message = chosen("_msg_field", "VL-Msg-Field"); !message.empty()) fields.message = std::move(message);
  return fields;
}

// What became of each item, by its place in what the store refused.
void mark_refused(const AppendResult& result, std::vector<BulkItem>& items) {
  std::vector<std::vector<BulkItem*>> streams;
  for (auto& item : items) {
    if (!item.error_type.empty()) continue;
    if (streams.size() <= item.stream) streams.resize(item.stream + 1);
    streams[item.stream].push_back(&item);  // items are in the order of the entries
  }
  for (std::size_t p = 0; p < result.places.size(); ++p) {
    const auto& place = result.places[p];
    const bool retry = place.reason == "rate_limited" || place.reason == "per_stream_rate_limit" ||
                       place.reason == "stream_limit" || place.reason == "blocked_ingestion";
    const auto mark = [&](BulkItem& item) {
      if (!item.error_type.empty()) return;
      item.status = retry ? 429 : 400;
      item.error_type = retry ? "es_rejected_execution_exception" : "illegal_argument_exception";
      item.error = p < result.messages.size() ? result.messages[p] : std::string(place.reason);
    };
    const bool all = place.stream == AppendResult::kAll;
    for (std::size_t s = all ? 0 : place.stream; s < (all ? streams.size() : place.stream + std::size_t{1}); ++s) {
      if (place.entry == AppendResult::kAll) {
        for (auto* item : streams[s]) mark(*item);
      } else if (place.entry < streams[s].size()) {
        mark(*streams[s][place.entry]);
      }
    }
  }
}

std::string bulk_answer(const std::vector<BulkItem>& items, std::int64_t milliseconds) {
  const bool errors =
      std::any_of(items.begin(), items.end(), [](const auto& item) { return !item.error_type.empty(); });
  auto out = fmt::format(R"({{"took":{},"errors":{},"items":[)", milliseconds, errors);
  for (const auto& item : items) {
    if (&item != items.data()) out += ',';
    out += fmt::format(R"({{"{}":{{"_index":{},"_id":{},)", item.action, json::serialize(json::string(item.index)),
                       json::serialize(json::string(item.id)));
    if (item.error_type.empty()) {
      out +=
          R"("_version":1,"result":"created","_shards":{"total":1,"successful":1,"failed":0},"_seq_no":0,"_primary_term":1,)";
      out += R"("status":201}})";
    } else {
      out += fmt::format(R"("status":{},"error":{{"type":"{}","reason":{}}}}}}})", item.status, item.error_type,
                         json::serialize(json::string(item.error)));
    }
  }
  out += "]}";
  return out;
}

Task<http::Response> handle_bulk(PushHandler& push, const Clock& clock, http::Request& request) {
  const auto began = std::chrono::steady_clock::now();
  const auto fields = fields_of(request);
  std::vector<BulkItem> items;
  auto stored = co_await push.store(
      request.identity.tenant, request.body.size(), [&](PushRows& rows, const LogLimits&) -> Result<> {
        items = TRY(decode_bulk(request.body, request.param("index"), fields, clock.now_ms() * 1'000'000, rows));
        return {};
      });
  if (!stored) co_return failure_of(stored.error());
  mark_refused(stored->result, items);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
  co_return answer(200, bulk_answer(items, took.count()));
}

std::string info_text() {
  return json::serialize(json::object{
      {"name", "tocayo"},
      {"cluster_name", "tocayo"},
      {"cluster_uuid", "dG9jYXlvLWxvZ3MtYnVsaw"},
      {"version", json::object{{"number", kVersion},
                               {"build_flavor", "default"},
                               {"build_type", "tar"},
                               {"build_hash", "0000000000000000000000000000000000000000"},
                               {"build_date", "2025-07-23T22:10:12.477114977Z"},
                               {"build_snapshot", false},
                               {"lucene_version", "9.12.2"},
                               {"minimum_wire_compatibility_version", "7.17.0"},
                               {"minimum_index_compatibility_version", "7.0.0"}}},
      {"tagline", "You Know, for Search"},
  });
}

using Fixed = http::Response (*)(const http::Request&);

http::Response info(const http::Request&) { return answer(200, info_text()); }
http::Response exists(const http::Request&) { return answer(200, "{}"); }
http::Response acknowledged(const http::Request&) { return answer(200, R"({"acknowledged":true})"); }
http::Response license(const http::Request&) {
  return answer(200, R"({"license":{"status":"active","uid":"00000000-0000-0000-0000-000000000000","type":"basic",)"
                     R"("issue_date":"2025-01-01T00:00:00.000Z","issue_date_in_millis":1735689600000,)"
                     R"("max_nodes":1000,"issued_to":"tocayo","issuer":"elasticsearch","start_date_in_millis":-1}})");
}
http::Response xpack(const http::Request&) {
  return answer(
      200, R"({"license":{"type":"basic","mode":"basic","status":"active"},)"
           R"("features":{"ilm":{"available":true,"enabled":true},"security":{"available":true,"enabled":false}}})");
}
http::Response health(const http::Request&) {
  return answer(200, R"({"cluster_name":"tocayo","status":"green","timed_out":false,"number_of_nodes":1,)"
                     R"("number_of_data_nodes":1,"active_primary_shards":1,"active_shards":1,"relocating_shards":0,)"
                     R"("initializing_shards":0,"unassigned_shards":0})");
}
http::Response cat_health(const http::Request&) {
  auto response = http::Response::text(200, "tocayo green 1 1 1 1 0 0 0 0 - 100.0%\n");
  response.headers.set("X-Elastic-Product", "Elasticsearch");
  return response;
}
// As if the template was there: shippers then make none.
http::Response index_template(const http::Request& request) {
  const std::string name(request.param("name"));
  return answer(
      200, json::serialize(json::object{
               {"index_templates",
                json::array{json::object{{"name", name},
                                         {"index_template", json::object{{"index_patterns", json::array{name + "*"}},
                                                                         {"composed_of", json::array{}},
                                                                         {"data_stream", json::object{}}}}}}}}));
}
http::Response old_template(const http::Request& request) {
  const std::string name(request.param("name"));
  return answer(200, json::serialize(json::object{{name, json::object{{"index_patterns", json::array{name + "*"}},
                                                                      {"settings", json::object{}},
                                                                      {"mappings", json::object{}}}}}));
}

struct Probe {
  std::string_view method;
  std::string_view path;
  Fixed function;
};

constexpr Probe kProbes[] = {
    {"GET", "/_license", license},
    {"GET", "/_xpack", xpack},
    {"GET", "/_cluster/health", health},
    {"GET", "/_cat/health", cat_health},
    {"GET", "/_index_template/{name}", index_template},
    {"PUT", "/_index_template/{name}", acknowledged},
    {"GET", "/_template/{name}", old_template},
    {"PUT", "/_template/{name}", acknowledged},
    {"GET", "/_component_template/{name}", exists},
    {"PUT", "/_component_template/{name}", acknowledged},
    {"GET", "/_ilm/policy/{name}", exists},
    {"PUT", "/_ilm/policy/{name}", acknowledged},
    {"GET", "/_data_stream/{name}", exists},
    {"PUT", "/_data_stream/{name}", acknowledged},
    {"GET", "/_ingest/pipeline/{name}", exists},
    {"PUT", "/_ingest/pipeline/{name}", acknowledged},
    {"GET", "/_alias/{name}", exists},
};

void add_fixed(http::Router& router, std::string_view method, const std::string& pattern, Fixed function) {
  http::RouteOptions options;
  // What they tell is the same for everybody; what asks for a change changes nothing, but is for who may write.
  options.access = method == "PUT" ? http::Access::write : http::Access::open;
  options.csrf_exempt = true;
  options.metric_name = "elasticsearch";
  router.add(
      method, pattern, [function](http::Request& request) -> Task<http::Response> { co_return function(request); },
      options);
}

}  // namespace

void mount_elastic(http::Router& router, PushHandler& push, const Clock& clock, std::size_t max_body) {
  http::RouteOptions write;
  write.access = http::Access::write;
  write.csrf_exempt = true;
  write.max_body = max_body;
  for (const std::string_view at : kPrefixes) {
    const std::string prefix(at);
    for (const std::string_view path : {"/_bulk", "/{index}/_bulk"}) {
      for (const std::string_view method : {"POST", "PUT"}) {
        router.add(
            method, prefix + std::string(path),
            [&push, &clock](http::Request& request) { return handle_bulk(push, clock, request); }, write);
      }
    }
    for (const auto& probe : kProbes) add_fixed(router, probe.method, prefix + std::string(probe.path), probe.function);
  }
  // At the root these are paths of the page: see elastic_at_page().
  const std::string own(kPrefixes[1]);
  add_fixed(router, "GET", own, info);
  add_fixed(router, "GET", own + "/", info);
  add_fixed(router, "GET", own + "/{index}", exists);
  add_fixed(router, "PUT", own + "/{index}", acknowledged);
}

std::optional<http::Response> elastic_at_page(const http::Request& request) {
  const bool head = request.method == "HEAD";
  if (!head && request.method != "GET") return std::nullopt;
  if (request.headers.get("Accept").find("text/html") != std::string_view::npos) return std::nullopt;
  if (request.path == "/") return info(request);
  const bool one = request.path.find('/', 1) == std::string::npos;
  if (head && one) return exists(request);
  return std::nullopt;
}

}  // namespace tocayo::logs::api
