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
