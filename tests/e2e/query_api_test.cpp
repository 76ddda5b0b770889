// SPDX-License-Identifier: Apache-2.0
// What a user of the Prometheus API sees, through the real binary.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <fstream>

#include "tests/support/remote_write_body.h"
#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

namespace json = boost::json;

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

HttpReply query(Server& server, const std::string& expr, const std::string& more = {}) {
  return http_get(server.url("/api/v1/query?query=" + url_encode(expr) + more));
}

json::value data(const HttpReply& reply) {
  auto root = json::parse(reply.body);
  EXPECT_EQ(root.at("status").as_string(), "success") << reply.body.substr(0, 300);
  return root.at("data");
}

TEST(QueryApi, RemoteWriteBothVersionsThenQuery) {
  Server server;
  ASSERT_TRUE(server.start());
  std::int64_t now = now_ms();
  for (int version : {1, 2}) {
    std::vector<PushSeries> series{
        {{{"__name__", "pushed"}, {"version", std::to_string(version)}}, {{now - 15'000, 1.5}, {now, 2.5}}}};
    auto reply =
        http_request("POST", server.url("/api/v1/push"), version == 2 ? remote_write_2(series) : remote_write_1(series),
                     remote_write_headers(version));
    EXPECT_EQ(reply.status, 204) << reply.body;
    EXPECT_EQ(reply.headers["x-prometheus-remote-write-samples-written"], "2");
  }
  auto result = data(query(server, "sum by (version) (pushed)"));
  ASSERT_EQ(result.at("result").as_array().size(), 2U);
  EXPECT_EQ(result.at("result").at(0).at("value").at(1).as_string(), "2.5");
  auto labels = data(http_get(server.url("/api/v1/labels")));
  EXPECT_EQ(json::serialize(labels), "[\"__name__\",\"version\"]");
  auto values = data(http_get(server.url("/prometheus/api/v1/label/version/values")));
  EXPECT_EQ(json::serialize(values), "[\"1\",\"2\"]");
  EXPECT_EQ(server.stop(), 0);
  ASSERT_TRUE(server.start());  // a clean stop keeps everything
  EXPECT_EQ(data(query(server, "sum(pushed)")).at("result").at(0).at("value").at(1).as_string(), "5");
}

TEST(QueryApi, TenantsDoNotSeeEachOther) {
  Server server;
  ASSERT_TRUE(server.start());
  std::vector<PushSeries> series{{{{"__name__", "secret"}}, {{now_ms(), 1}}}};
  auto headers = remote_write_headers(1);
  headers.emplace_back("X-Scope-OrgID", "team-a");
  ASSERT_EQ(http_request("POST", server.url("/api/v1/push"), remote_write_1(series), headers).status, 204);
  EXPECT_EQ(data(query(server, "secret")).at("result").as_array().size(), 0U);
  auto own = http_get(server.url("/api/v1/query?query=secret"), {{"X-Scope-OrgID", "team-a"}});
  EXPECT_EQ(data(own).at("result").as_array().size(), 1U);
  EXPECT_EQ(http_get(server.url("/api/v1/query?query=secret"), {{"X-Scope-OrgID", "../etc"}}).status / 100, 4);
}

TEST(QueryApi, BadInputGetsAClearAnswerAndHarmsNothing) {
  Server server;
  ASSERT_TRUE(server.start());
  auto push = [&](const std::string& body, HttpHeaders headers) {
    return http_request("POST", server.url("/api/v1/push"), body, headers);
  };
  EXPECT_EQ(push("not snappy", remote_write_headers(1)).status, 400);
  EXPECT_EQ(push(remote_write_1({}), {{"Content-Type", "text/plain"}, {"Content-Encoding", "snappy"}}).status, 415);
  EXPECT_EQ(
      push(remote_write_1({}), {{"Content-Type", "application/x-protobuf"}, {"Content-Encoding", "gzip"}}).status / 100,
      4);
  // A snappy header that promises 2 GiB is refused before memory is taken.
  EXPECT_EQ(push(std::string("\xff\xff\xff\xff\x07", 5) + "x", remote_write_headers(1)).status, 413);
  std::vector<PushSeries> nameless{{{{"job", "x"}}, {{now_ms(), 1}}}};
  auto reply = push(remote_write_1(nameless), remote_write_headers(1));
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.body.find("err-mimir-missing-metric-name"), std::string::npos) << reply.body;
  auto parse = query(server, "rate(up[5m)");
  EXPECT_EQ(parse.status, 400);
  EXPECT_NE(parse.body.find("1:"), std::string::npos) << parse.body;
  EXPECT_NE(parse.body.find("parse error"), std::string::npos) << parse.body;
  EXPECT_EQ(http_get(server.url("/api/v1/query_range?query=up&start=0&end=1000000&step=1")).status, 400);
  EXPECT_EQ(http_get(server.url("/api/v1/nothing")).status, 404);
  EXPECT_EQ(http_request("DELETE", server.url("/api/v1/query"), "", {{"X-Tocayo-Csrf", "1"}}).status, 405);
  std::vector<PushSeries> good{{{{"__name__", "still_alive"}}, {{now_ms(), 1}}}};
  EXPECT_EQ(push(remote_write_1(good), remote_write_headers(1)).status, 204);
}

TEST(QueryApi, RefusesForeignHostsAndOrigins) {
  Server server;
  ASSERT_TRUE(server.start());
  EXPECT_EQ(http_get(server.url("/api/v1/query?query=1")).status, 200);
  EXPECT_EQ(http_get(server.url("/api/v1/query?query=1"), {{"Host", "evil.example"}}).status, 403);
  EXPECT_EQ(http_get(server.url("/api/v1/query?query=1"), {{"Origin", "https://evil.example"}}).status, 403);
}

TEST(QueryApi, PromtoolWorksAgainstIt) {
  auto promtool = find_program("promtool");
  if (!promtool) {
    ASSERT_FALSE(in_ci()) << "promtool is missing";
    GTEST_SKIP() << "promtool is not installed";
  }
  Server server;
  ASSERT_TRUE(server.start());
  std::int64_t now = now_ms();
  std::vector<PushSeries> series{
      {{{"__name__", "tool"}, {"job", "x"}}, {{now - 30'000, 1}, {now - 15'000, 2}, {now, 3}}}};
  ASSERT_EQ(http_request("POST", server.url("/api/v1/push"), remote_write_1(series), remote_write_headers(1)).status,
            204);
  TempDir place;
  int index = 0;
  auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {*promtool, "query"});
    Process process(arguments, place.path() / std::to_string(index++));
    EXPECT_EQ(process.wait(), 0) << process.log();
    return process.log();
  };
  std::string base = server.url("");
  EXPECT_NE(run({"instant", base, "tool"}).find("tool{job=\"x\"} => 3"), std::string::npos);
  std::string range = run({"range", "--start=" + std::to_string(now / 1000 - 30), "--end=" + std::to_string(now / 1000),
                           "--step=15s", base, "tool"});
  EXPECT_NE(range.find("tool{job=\"x\"} =>"), std::string::npos) << range;
  EXPECT_NE(run({"series", "--match=tool", base}).find("{__name__=\"tool\", job=\"x\"}"), std::string::npos);
  EXPECT_NE(run({"labels", base, "job"}).find("x"), std::string::npos);
}

TEST(QueryApi, DebianPrometheusWritesToIt) {
  auto prometheus = find_program("prometheus");
  if (!prometheus) {
    ASSERT_FALSE(in_ci()) << "prometheus is missing";
    GTEST_SKIP() << "prometheus is not installed";
  }
  Server server;
  ASSERT_TRUE(server.start());
  TempDir place;
  std::string listen = "127.0.0.1:" + std::to_string(free_port());
  std::ofstream(place.path() / "p.yml") << "global: {scrape_interval: 1s, external_labels: {via: remote}}\n"
                                        << "scrape_configs: [{job_name: self, static_configs: [{targets: ['" << listen
                                        << "']}]}]\n"
                                        << "remote_write: [{url: '" << server.url("/api/v1/push")
                                        << "', metadata_config: {send_interval: 1s}}]\n";
  Process process(
      {*prometheus, "--config.file=" + (place.path() / "p.yml").string(),
       "--storage.tsdb.path=" + (place.path() / "d").string(), "--web.listen-address=" + listen, "--log.level=warn"},
      place.path() / "log");
  EXPECT_TRUE(eventually(
      [&] {
        auto reply = query(server, "count_over_time(up{job=\"self\",via=\"remote\"}[1m]) >= 3");
        return reply.body.find("\"value\"") != std::string::npos;
      },
      std::chrono::seconds(40)))
      << process.log();
  EXPECT_TRUE(eventually([&] {
    return http_get(server.url("/api/v1/metadata?metric=prometheus_build_info")).body.find("gauge") !=
           std::string::npos;
  })) << "pushed metadata is served";
  // A Prometheus reads it back by remote read.
  EXPECT_NE(query(server, "sum(rate(prometheus_http_requests_total[30s]))").body.find("\"success\""),
            std::string::npos);
}

TEST(QueryApi, ScrapesLikePrometheus) {
  Server other;
  ASSERT_TRUE(other.start());
  TempDir place;
  std::ofstream(place.path() / "scrape.yml") << "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
                                             << "scrape_configs:\n- job_name: other\n  static_configs:\n  - targets: ['"
                                             << other.address() << "', '127.0.0.1:1']\n    labels: {team: x}\n";
  Server server({.sets = {"agent.config=" + (place.path() / "scrape.yml").string()}, .agent = true});
  ASSERT_TRUE(server.start());
  EXPECT_TRUE(eventually([&] {
    auto reply = query(server, "up{job=\"other\",team=\"x\"}");
    return reply.body.find("\"1\"") != std::string::npos && reply.body.find("\"0\"") != std::string::npos;
  }));
  EXPECT_TRUE(eventually([&] {
    return http_get(server.url("/api/v1/targets")).body.find("connection refused") != std::string::npos ||
           http_get(server.url("/api/v1/targets")).body.find("onnect") != std::string::npos;
  }));
  other.stop();
  EXPECT_TRUE(eventually([&] {
    return query(server, "tocayo_metrics_active_series{job=\"other\"}").body.find("\"result\":[]") != std::string::npos;
  })) << "series of a failed scrape go stale";
}

}  // namespace
}  // namespace tocayo::testing
