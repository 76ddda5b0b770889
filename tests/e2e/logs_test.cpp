// SPDX-License-Identifier: Apache-2.0
// Logs as a sender, Grafana and an on-call person use them, through the real binary.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <set>

#include "tests/support/server_process.h"
#include "tests/support/web_socket_client.h"

namespace tocayo::testing {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

struct Sent {
  std::int64_t time;
  std::string line;
};

HttpReply push(Server& server, const json::object& stream, const std::vector<Sent>& lines,
               const json::object& metadata = {}, const HttpHeaders& headers = {}) {
  json::array values;
  for (const auto& line : lines) {
    json::array value{std::to_string(line.time), line.line};
    if (!metadata.empty()) value.push_back(metadata);
    values.push_back(value);
  }
  HttpHeaders all = headers;
  all.emplace_back("Content-Type", "application/json");
  return http_request("POST", server.url("/loki/api/v1/push"),
                      json::serialize(json::object{{"streams", {{{"stream", stream}, {"values", values}}}}}), all);
}

json::value get(Server& server, const std::string& path, const HttpHeaders& headers = {}) {
  const auto reply = http_get(server.url(path), headers);
  EXPECT_EQ(reply.status, 200) << path << ": " << reply.body;
  return reply.status == 200 ? json::parse(reply.body) : json::value();
}

// All lines of an answer, newest first as given.
std::vector<std::string> lines_of(const json::value& answer) {
  std::vector<std::string> lines;
  for (const auto& stream : answer.at("data").at("result").as_array()) {
    for (const auto& value : stream.at("values").as_array()) lines.emplace_back(value.as_array()[1].as_string());
  }
  return lines;
}

TEST(Logs, PushThenReadAtOnceAndAfterKill) {
  Server server;
  ASSERT_TRUE(server.start());
  const auto base = now_ns();
  std::vector<Sent> lines;
  for (int i = 0; i < 500; ++i)
    lines.push_back(
        {base - i * 1'000'000, "GET /api/users/" + std::to_string(i) + " status=" + (i % 50 == 7 ? "500" : "200")});
  ASSERT_EQ(push(server, {{"app", "shop"}, {"host", "h1"}}, lines).status, 204);
  const std::string needle =
      "/loki/api/v1/query_range?limit=1000&query=" + url_encode("{app=\"shop\"} |= \"/users/77 \"");
  EXPECT_EQ(lines_of(get(server, needle)), std::vector<std::string>{"GET /api/users/77 status=200"});
  const std::string count =
      "/loki/api/v1/query?query=" + url_encode("sum(count_over_time({app=\"shop\"} | logfmt | status=\"500\" [1h]))");
  EXPECT_EQ(get(server, count).at("data").at("result").as_array()[0].at("value").as_array()[1].as_string(), "10");
  // What the door adds.
  const auto labels = get(server, "/loki/api/v1/labels").at("data").as_array();
  EXPECT_EQ(json::serialize(labels), R"(["app","host","service_name"])");
  const auto series = get(server, "/loki/api/v1/series?match[]=" + url_encode("{app=\"shop\"}"));
  EXPECT_EQ(series.at("data").as_array()[0].at("service_name").as_string(), "shop");

  server.kill9();
  ASSERT_TRUE(server.start());
  EXPECT_EQ(lines_of(get(server, needle)).size(), 1U);
  // A repeated batch counts once.
  ASSERT_EQ(push(server, {{"app", "shop"}, {"host", "h1"}}, lines).status, 204);
  EXPECT_EQ(
      get(server, "/loki/api/v1/index/stats?query=" + url_encode("{app=\"shop\"}")).at("entries").to_number<int>(),
      500);
  EXPECT_EQ(server.stop(), 0);
  ASSERT_TRUE(server.start());
  EXPECT_EQ(lines_of(get(server, needle)).size(), 1U);
  EXPECT_EQ(
      get(server, "/loki/api/v1/index/stats?query=" + url_encode("{app=\"shop\"}")).at("entries").to_number<int>(),
      500);
}

TEST(Logs, WhatGrafanaAsks) {
  Server server;
  ASSERT_TRUE(server.start());
  const auto base = now_ns();
  std::vector<Sent> lines;
  for (int i = 0; i < 200; ++i)
    lines.push_back(
        {base - i * 1'000'000'000LL, R"({"level":"info","msg":"user logged in","ms":)" + std::to_string(i) + "}"});
  ASSERT_EQ(push(server, {{"job", "web"}}, lines, {{"trace_id", "abc"}}).status, 204);
  const auto volume = get(server, "/loki/api/v1/index/volume?query=" + url_encode("{job=\"web\"}"));
  EXPECT_EQ(volume.at("data").at("resultType").as_string(), "vector");
  EXPECT_EQ(volume.at("data").at("result").as_array()[0].at("metric").at("job").as_string(), "web");
  EXPECT_FALSE(get(server, "/loki/api/v1/index/volume_range?step=60&query=" + url_encode("{job=\"web\"}"))
                   .at("data")
                   .at("result")
                   .as_array()
                   .empty());
  const auto patterns = get(server, "/loki/api/v1/patterns?query=" + url_encode("{job=\"web\"}")).at("data").as_array();
  ASSERT_FALSE(patterns.empty());
  EXPECT_NE(std::string(patterns[0].at("pattern").as_string()).find("<_>"), std::string::npos);
  std::set<std::string> fields;
  for (const auto& field :
       get(server, "/loki/api/v1/detected_fields?query=" + url_encode("{job=\"web\"}")).at("fields").as_array()) {
    fields.insert(std::string(field.at("label").as_string()) + ":" + std::string(field.at("type").as_string()));
  }
  EXPECT_TRUE(fields.contains("ms:int")) << json::serialize(json::value_from(fields));
  EXPECT_TRUE(fields.contains("trace_id:string"));
  EXPECT_FALSE(get(server, "/loki/api/v1/detected_labels").at("detectedLabels").as_array().empty());
  EXPECT_EQ(get(server, "/loki/api/v1/detected_field/level/values?query=" + url_encode("{job=\"web\"}"))
                .at("values")
                .as_array()[0]
                .as_string(),
            "info");
  // With the flag of Grafana each line says where its labels come from.
  const auto categorized = get(server, "/loki/api/v1/query_range?limit=1&query=" + url_encode("{job=\"web\"} | json"),
                               {{"X-Loki-Response-Encoding-Flags", "categorize-labels"}});
  EXPECT_EQ(categorized.at("data").at("encodingFlags").as_array()[0].as_string(), "categorize-labels");
  const auto& third = categorized.at("data").at("result").as_array()[0].at("values").as_array()[0].as_array()[2];
  EXPECT_EQ(third.at("structuredMetadata").at("trace_id").as_string(), "abc");
  EXPECT_EQ(third.at("parsed").at("ms").as_string(), "0");
  EXPECT_NE(std::string(get(server, "/loki/api/v1/status/buildinfo").at("revision").as_string()).find("tocayo"),
            std::string::npos);
  EXPECT_TRUE(get(server, "/loki/api/v1/drilldown-limits").at("limits").as_object().contains("max_line_size"));
}

TEST(Logs, TailWithBacklogAndWithoutASeam) {
  Server server;
  ASSERT_TRUE(server.start());
  const auto base = now_ns();
  ASSERT_EQ(push(server, {{"app", "tail"}}, {{base - 2, "before 1"}, {base - 1, "before 2 error"}}).status, 204);
  WebSocketClient socket(server.address(),
                         "/loki/api/v1/tail?limit=10&query=" + url_encode("{app=\"tail\"} |= \"error\""));
  ASSERT_EQ(socket.status(), 101);
  std::vector<std::string> got;
  auto collect = [&] {
    if (auto text = socket.receive(200ms)) {
      for (const auto& stream : json::parse(*text).at("streams").as_array()) {
        for (const auto& value : stream.at("values").as_array()) got.emplace_back(value.as_array()[1].as_string());
      }
    }
  };
  ASSERT_TRUE(eventually([&] {
    collect();
    return got.size() == 1;
  }));
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(push(server, {{"app", "tail"}}, {{now_ns(), "line " + std::to_string(i) + (i % 2 == 0 ? " error" : "")}})
                  .status,
              204);
  }
  ASSERT_TRUE(eventually([&] {
    collect();
    return got.size() == 11;
  })) << got.size();
  EXPECT_EQ(got[0], "before 2 error");
  EXPECT_EQ(got[10], "line 18 error");
  WebSocketClient wrong(server.address(), "/loki/api/v1/tail?query=" + url_encode("rate({app=\"tail\"}[1m])"));
  EXPECT_FALSE(wrong.receive());
  EXPECT_EQ(wrong.close_code(), 1011);
  EXPECT_FALSE(wrong.close_reason().empty());
}

TEST(Logs, RefusalsTellWhat) {
  Server::Options options;
  options.sets = {
      "logs.limits={max_label_names_per_series: 3, max_line_size: 20, max_line_size_truncate: false, "
      "discover_service_name: []}"};
  Server server(std::move(options));
  ASSERT_TRUE(server.start());
  const auto base = now_ns();
  auto reply = push(server, {{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}}, {{base, "x"}});
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.body.find("has 4 label names; limit 3"), std::string::npos) << reply.body;
  reply = push(server, {{"a", "1"}}, {{base, "short"}, {base + 1, std::string(30, 'x')}});
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.body.find("total ignored: 1 out of 2"), std::string::npos) << reply.body;
  EXPECT_EQ(lines_of(get(server, "/loki/api/v1/query_range?query=" + url_encode("{a=\"1\"}"))),
            std::vector<std::string>{"short"});
  reply = push(server, {{"a", "1"}}, {{base + 3'600'000'000'000LL, "future"}});
  EXPECT_NE(reply.body.find("too new"), std::string::npos) << reply.body;
  EXPECT_EQ(
      http_request("POST", server.url("/loki/api/v1/push"), "not snappy", {{"Content-Type", "application/x-protobuf"}})
          .status,
      400);
  EXPECT_EQ(http_get(server.url("/loki/api/v1/query_range?query=" + url_encode("{a="))).status, 400);
  EXPECT_EQ(http_get(server.url("/loki/api/v1/query?query=" + url_encode("{a=\"1\"}"))).status, 400);
}

TEST(Logs, SeveralTenantsAreReadAsOne) {
  Server server;
  ASSERT_TRUE(server.start());
  const auto base = now_ns();
  const auto as = [](const char* tenant) { return HttpHeaders{{"X-Scope-OrgID", tenant}}; };
  ASSERT_EQ(push(server, {{"app", "x"}, {"only", "a"}}, {{base, "of a"}}, {}, as("team-a")).status, 204);
  ASSERT_EQ(push(server, {{"app", "x"}}, {{base + 1, "of b"}}, {}, as("team-b")).status, 204);
  ASSERT_EQ(push(server, {{"app", "x"}, {"__tenant_id__", "own"}}, {{base + 2, "of c"}}, {}, as("team-c")).status, 204);
  const auto query = [](const std::string& text) { return "/loki/api/v1/query_range?query=" + url_encode(text); };
  const auto both = get(server, query("{app=\"x\"}"), as("team-b|team-a|team-b"));
  EXPECT_EQ(lines_of(both).size(), 2U);
  std::set<std::string> tenants;
  for (const auto& stream : both.at("data").at("result").as_array())
    tenants.insert(std::string(stream.at("stream").at("__tenant_id__").as_string()));
  EXPECT_EQ(tenants, (std::set<std::string>{"team-a", "team-b"}));
  // A matcher of the label chooses tenants; one tenant alone has no such label.
  EXPECT_EQ(lines_of(get(server, query("{app=\"x\", __tenant_id__=\"team-b\"}"), as("team-a|team-b"))),
            std::vector<std::string>{"of b"});
  EXPECT_EQ(lines_of(get(server, query("{app=\"x\", __tenant_id__!~\"team-[ab]\"}"), as("team-a|team-b|team-c"))),
            std::vector<std::string>{"of c"});
  const auto one = get(server, query("{app=\"x\"}"), as("team-a|team-a"));
  EXPECT_FALSE(one.at("data").at("result").as_array().at(0).at("stream").as_object().contains("__tenant_id__"));
  // A stored label of that name is kept under another.
  const auto kept = get(server, query("{app=\"x\", original___tenant_id__=\"own\"}"), as("team-a|team-c"));
  ASSERT_EQ(lines_of(kept), std::vector<std::string>{"of c"});
  EXPECT_EQ(kept.at("data").at("result").as_array().at(0).at("stream").at("__tenant_id__").as_string(), "team-c");
  // Numbers, labels, series, volume, fields, patterns.
  const auto counts =
      get(server, "/loki/api/v1/query?query=" + url_encode("sum by (__tenant_id__) (count_over_time({app=\"x\"}[1h]))"),
          as("team-a|team-b"));
  EXPECT_EQ(counts.at("data").at("result").as_array().size(), 2U);
  EXPECT_EQ(json::serialize(get(server, "/loki/api/v1/labels", as("team-a|team-b")).at("data")),
            R"(["__tenant_id__","app","only","service_name"])");
  EXPECT_EQ(json::serialize(get(server, "/loki/api/v1/label/__tenant_id__/values", as("team-b|team-a")).at("data")),
            R"(["team-a","team-b"])");
  EXPECT_EQ(get(server, "/loki/api/v1/series?match[]=" + url_encode("{app=\"x\"}"), as("team-a|team-b"))
                .at("data")
                .as_array()
                .size(),
            2U);
  EXPECT_EQ(get(server, "/loki/api/v1/index/stats?query=" + url_encode("{app=\"x\"}"), as("team-a|team-b"))
                .at("entries")
                .to_number<int>(),
            2);
  for (const char* path : {"index/volume", "patterns", "detected_fields", "detected_labels"}) {
    get(server, "/loki/api/v1/" + std::string(path) + "?query=" + url_encode("{app=\"x\"}"), as("team-a|team-b"));
  }
  // Everything else wants one tenant.
  const auto refused = [](const HttpReply& reply) {
    EXPECT_EQ(reply.status, 400) << reply.body;
    EXPECT_NE(reply.body.find("multiple org IDs present"), std::string::npos) << reply.body;
  };
  refused(push(server, {{"app", "x"}}, {{base, "z"}}, {}, as("team-a|team-b")));
  refused(http_get(server.url("/api/v1/query?query=up"), as("team-a|team-b")));
  refused(http_request("POST", server.url("/api/v1/push"), "x", as("team-a|team-b")));
  refused(http_get(server.url("/loki/api/v1/delete"), as("team-a|team-b")));
  refused(http_get(server.url("/tenancy/api/v1/tenants"), as("team-a|team-b")));
  // A tail watches all of them: what is there and what comes.
  WebSocketClient tail(server.address(), "/loki/api/v1/tail?query=" + url_encode("{app=\"x\"}"), as("team-a|team-b"));
  ASSERT_EQ(tail.status(), 101);
  ASSERT_EQ(push(server, {{"app", "x"}}, {{base + 3, "later of b"}}, {}, as("team-b")).status, 204);
  ASSERT_EQ(push(server, {{"app", "x"}}, {{base + 4, "of nobody here"}}, {}, as("team-c")).status, 204);
  ASSERT_EQ(push(server, {{"app", "x"}}, {{base + 5, "later of a"}}, {}, as("team-a")).status, 204);
  std::set<std::string> seen;
  while (seen.size() < 4) {
    const auto message = tail.receive();
    ASSERT_TRUE(message) << "seen " << seen.size();
    for (const auto& stream : json::parse(*message).at("streams").as_array()) {
      for (const auto& value : stream.at("values").as_array())
        seen.insert(std::string(stream.at("stream").at("__tenant_id__").as_string()) + ": " +
                    std::string(value.at(1).as_string()));
    }
  }
  EXPECT_EQ(seen, (std::set<std::string>{"team-a: of a", "team-a: later of a", "team-b: of b", "team-b: later of b"}));
  const std::vector<std::string> malformed = {"team-a|", "|", "team-a|..", "team-a|b/c",
                                              "team-a|" + std::string(151, 'x')};
  for (const auto& bad : malformed) {
    EXPECT_EQ(http_get(server.url(query("{app=\"x\"}")), {{"X-Scope-OrgID", bad}}).status, 400) << bad;
  }
}

TEST(Logs, LimitsOfReads) {
  Server::Options options;
  options.sets = {
      "logs.limits={max_query_length: 2h, max_entries_limit_per_query: 10, max_query_series: 2, required_labels: "
      "[app], "
      "max_query_bytes_read: 1KB, max_query_lookback: 24h, discover_service_name: [], "
      "blocked_queries: [{pattern: 'secret', regex: true}]}"};
  Server server(std::move(options));
  ASSERT_TRUE(server.start());
  const auto base = now_ns();
  std::vector<Sent> lines;
  for (int i = 0; i < 3; ++i) lines.push_back({base - i, "line " + std::to_string(i)});
  for (const char* host : {"h1", "h2", "h3"})
    ASSERT_EQ(push(server, {{"app", "x"}, {"host", host}}, lines).status, 204);
  const auto ask = [&](const std::string& rest, const std::string& query) {
    return http_get(server.url("/loki/api/v1/query_range?" + rest + "&query=" + url_encode(query)));
  };
  const auto refusal = [&](const std::string& rest, const std::string& query, const std::string& message) {
    const auto reply = ask(rest, query);
    EXPECT_EQ(reply.status, 400) << reply.body;
    EXPECT_EQ(reply.body.find(message), 0U) << reply.body;
  };
  EXPECT_EQ(ask("limit=10", "{app=\"x\"}").status, 200);
  refusal("", "{app=\"x\"}", "max entries limit per query exceeded, limit > max_entries_limit_per_query (100 > 10)");
  refusal("since=3h", "{app=\"x\"}", "the query time range exceeds the limit (query length: 3h0m0s, limit: 2h)");
  refusal("limit=11", "{app=\"x\"}",
          "max entries limit per query exceeded, limit > max_entries_limit_per_query (11 > 10)");
  refusal("", "{host=\"h1\"}",
          "stream selector is missing required matchers [app], labels present in the query were [host]");
  refusal("", "{app=\"x\"} |= `secret`", "query blocked by policy");
  const auto near =
      "step=1&start=" + std::to_string(base / 1'000'000'000 - 10) + "&end=" + std::to_string(base / 1'000'000'000 + 10);
  refusal(near, "count_over_time({app=\"x\"}[1m])", "maximum number of series (2) reached for a single query");
  // An end equal to the start asks for one point; one before it is a mistake.
  const auto at = std::to_string(base + 1);
  const auto point = ask("limit=10&step=1&start=" + at + "&end=" + at, "sum(count_over_time({app=\"x\"}[1m]))");
  ASSERT_EQ(point.status, 200) << point.body;
  const auto values = json::parse(point.body).at("data").at("result").at(0).at("values").as_array();
  ASSERT_EQ(values.size(), 1U);
  EXPECT_EQ(values[0].at(1).as_string(), "9");
  refusal("limit=10&start=" + at + "&end=" + std::to_string(base), "{app=\"x\"}",
          "end timestamp must not be before or equal to start time");
  // Before the lookback there is nothing.
  const auto old = std::to_string(base / 1'000'000'000 - 200'000);
  const auto older = std::to_string(base / 1'000'000'000 - 203'000);
  const auto empty = ask("limit=10&start=" + older + "&end=" + old, "{app=\"x\"}");
  EXPECT_EQ(empty.status, 200);
  EXPECT_TRUE(json::parse(empty.body).at("data").at("result").as_array().empty());
  EXPECT_EQ(http_get(server.url("/loki/api/v1/labels?start=" + older + "&end=" + old)).status, 400);
  ASSERT_EQ(push(server, {{"app", "x"}}, {{base, std::string(2'000, 'y')}}).status, 204);
  refusal("limit=10", "{app=\"x\"}", "the query would read too many bytes (query: 2.0 KiB, limit: ");
}

TEST(Logs, PagesAndExportsContinueExactly) {
  Server server;
  ASSERT_TRUE(server.start());
  const auto base = now_ns() - 60'000'000'000;
  std::vector<Sent> lines;
  // Many of one nanosecond, so that times alone cannot say where a page ended.
  for (int i = 0; i < 700; ++i) lines.push_back({base + i / 100, "line " + std::to_string(i)});
  ASSERT_EQ(push(server, {{"app", "pages"}}, lines).status, 204);
  const std::string query = "query=" + url_encode("{app=\"pages\"}");
  std::vector<std::string> got;
  std::string cursor;
  for (int page = 0; page < 20; ++page) {
    const auto answer = get(server, "/loki/api/v1/query_range?direction=forward&limit=90&" + query +
                                        (cursor.empty() ? "" : "&cursor=" + cursor));
    for (auto& line : lines_of(answer)) got.push_back(std::move(line));
    const auto* ours = answer.at("data").as_object().if_contains("tocayo");
    if (ours == nullptr) break;
    cursor = std::string(ours->at("cursor").as_string());
  }
  ASSERT_EQ(got.size(), 700U);
  for (int i = 0; i < 700; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], "line " + std::to_string(i));
  EXPECT_EQ(http_get(server.url("/loki/api/v1/query_range?cursor=nonsense&" + query)).status, 400);

  const auto exported = [&](const std::string& more) {
    const auto reply = http_get(server.url("/logs/api/v1/export?" + query + more));
    EXPECT_EQ(reply.status, 200) << reply.body;
    std::vector<json::value> rows;
    for (std::size_t at = 0; at < reply.body.size();) {
      const auto end = reply.body.find('\n', at);
      rows.push_back(json::parse(reply.body.substr(at, end - at)));
      at = end + 1;
    }
    return rows;
  };
  const auto all = exported("");
  ASSERT_EQ(all.size(), 700U);
  EXPECT_EQ(all[0].at("line").as_string(), "line 0");
  EXPECT_EQ(all[0].at("labels").at("app").as_string(), "pages");
  // Torn off in the middle of a nanosecond, and taken up again.
  const auto rest = exported("&cursor=" + std::string(all[249].at("cursor").as_string()));
  ASSERT_EQ(rest.size(), 450U);
  EXPECT_EQ(rest[0].at("line").as_string(), "line 250");
  EXPECT_EQ(rest[449].at("line").as_string(), "line 699");
  EXPECT_EQ(exported("&direction=backward")[0].at("line").as_string(), "line 699");
  EXPECT_EQ(http_get(server.url("/logs/api/v1/export?query=" + url_encode("rate({app=\"pages\"}[1m])"))).status, 400);
}

TEST(Logs, TenantsAndDeletes) {
  Server server;
  ASSERT_TRUE(server.start());
  const auto base = now_ns();
  ASSERT_EQ(push(server, {{"app", "x"}}, {{base, "of one"}}, {}, {{"X-Scope-OrgID", "one"}}).status, 204);
  ASSERT_EQ(
      push(server, {{"app", "x"}}, {{base, "of two secret"}, {base + 1, "of two"}}, {}, {{"X-Scope-OrgID", "two"}})
          .status,
      204);
  const std::string all = "/loki/api/v1/query_range?query=" + url_encode("{app=\"x\"}");
  EXPECT_EQ(lines_of(get(server, all, {{"X-Scope-OrgID", "one"}})), std::vector<std::string>{"of one"});
  EXPECT_EQ(lines_of(get(server, all, {{"X-Scope-OrgID", "two"}})).size(), 2U);
  const auto start = std::to_string(base / 1'000'000'000 - 3600);
  const auto path = "/loki/api/v1/delete?start=" + start + "&query=" + url_encode("{app=\"x\"} |= \"secret\"");
  ASSERT_EQ(http_request("POST", server.url(path), "", {{"X-Scope-OrgID", "two"}, {"X-Tocayo-Csrf", "1"}}).status, 204);
  EXPECT_TRUE(eventually(
      [&] { return lines_of(get(server, all, {{"X-Scope-OrgID", "two"}})) == std::vector<std::string>{"of two"}; }));
  const auto list = get(server, "/loki/api/v1/delete", {{"X-Scope-OrgID", "two"}}).as_array();
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(http_request("POST", server.url("/loki/api/v1/delete?query=x"), "", {{"X-Tocayo-Csrf", "1"}}).body,
            "start time not set\n");
}

}  // namespace
}  // namespace tocayo::testing
