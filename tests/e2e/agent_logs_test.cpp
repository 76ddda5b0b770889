// SPDX-License-Identifier: Apache-2.0
// `tocayo agent` as a collector of logs, seen from the server: promtail's file as it is, and what is written to log
// files is what LogQL finds, whatever dies in between.
#include "tests/support/collector.h"

namespace tocayo::testing {
namespace {

using namespace std::chrono_literals;

std::filesystem::path promtail_file(const TempDir& place, const std::string& server, const std::string& more = "") {
  const auto file = place.path() / "promtail.yaml";
  std::ofstream(file) << "server: {http_listen_port: 9080, log_level: info}\n"
                      << "positions: {filename: /tmp/positions-that-are-not-there.yaml}\n"
                      << "clients:\n- url: http://" << server << "/loki/api/v1/push\n"
                      << "  batchwait: 100ms\n  backoff_config: {min_period: 50ms, max_period: 300ms}\n"
                      << "  external_labels: {cluster: test}\n"
                      << more << "scrape_configs:\n"
                      << "- job_name: app\n  pipeline_stages:\n"
                      << "  - match:\n      selector: '{job=\"app\"} |= \"{\"'\n      stages:\n"
                      << "      - json: {expressions: {level: , msg: , trace: }}\n"
                      << "      - labels: {level: }\n"
                      << "      - structured_metadata: {trace: }\n"
                      << "      - output: {source: msg}\n"
                      << "  - drop: {expression: 'healthcheck'}\n"
                      << "  static_configs:\n  - targets: [localhost]\n    labels: {job: app, __path__: "
                      << (place.path() / "app*.log").string() << "}\n";
  return file;
}

TEST(AgentLogs, APromtailFileAsItIs) {
  Server server;
  ASSERT_TRUE(server.start());
  TempDir place;
  std::ofstream(place.path() / "app.log") << R"({"level":"warn","msg":"disk is full","trace":"t1"})" << "\n"
                                          << "GET /healthcheck 200\nplain line\n";
  LogCollector agent({"--config", promtail_file(place, server.address()).string()});
  ASSERT_TRUE(agent.start());
  ASSERT_TRUE(eventually([&] { return query(server, R"({job="app"})").size() == 2; })) << agent.log();
  json::object stream;
  const auto lines = query(server, R"({cluster="test", level="warn"} | trace="t1")", &stream);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines.begin()->first, "disk is full");
  EXPECT_EQ(stream["filename"].as_string(), (place.path() / "app.log").string());
  EXPECT_EQ(query(server, R"({job="app"} |= "plain")").size(), 1U);
  // What it has read, and what it says of itself.
  ASSERT_TRUE(eventually([&] {
    const auto positions = json::parse(http_get(agent.url("/positions")).body).at("data").at("positions").as_array();
    return positions.size() == 1 && positions[0].at("path").as_string() == (place.path() / "app.log").string() &&
           positions[0].at("lines") == 3 && positions[0].at("lagBytes") == 0;
  }));
  EXPECT_EQ(agent.queue("delivered"), 2);
  const auto metrics = http_get(agent.url("/metrics")).body;
  EXPECT_NE(metrics.find("logentry_dropped_lines_total{reason=\"drop_stage\"} 1"), std::string::npos);
  EXPECT_NE(metrics.find("tocayo_agent_log_file_lag_bytes{"), std::string::npos);
  EXPECT_EQ(agent.stop(), 0);
}

TEST(AgentLogs, EachLineOnceOverKillsRotationsAndARestart) {
  Server server;
  ASSERT_TRUE(server.start());
  TempDir place;
  Written file(place.path() / "app.log");
  LogCollector agent({"--config", promtail_file(place, server.address()).string()});
  for (int round = 0; round < 8; ++round) {
    ASSERT_TRUE(agent.start());
    // A rotation throws away what the one before put aside: by then it must have been read.
    ASSERT_TRUE(eventually([&] { return agent.queue("handedIn") >= file.count(); }, 60s)) << agent.log();
    file.lines(200);
    if (round % 2 == 1) file.rotate();
    file.lines(100);
    if (round % 3 == 0) ASSERT_TRUE(eventually([&] { return agent.queue("handedIn") > 0; }));
    agent.kill9();
    file.lines(50);
    if (round % 4 == 2) {
      // While nobody looks.
      file.rotate();
      file.lines(50);
    }
  }
  ASSERT_TRUE(agent.start());
  ASSERT_TRUE(
      eventually([&] { return query(server, R"({job="app"})").size() >= static_cast<std::size_t>(file.count()); }, 60s))
      << query(server, R"({job="app"})").size() << " of " << file.count() << "\n"
      << agent.log();
  expect_each_once(query(server, R"({job="app"})"), file.count());
  EXPECT_EQ(agent.queue("dropped"), 0);
}

// A long outage, compressed: the server is away while files are rotated away many times, then comes back.
TEST(AgentLogs, AnOutageLosesNothing) {
  Server server;
  ASSERT_TRUE(server.start());
  TempDir place;
  Written file(place.path() / "app.log");
  const int port = std::atoi(server.address().substr(server.address().rfind(':') + 1).c_str());
  LogCollector agent({"--config", promtail_file(place, "127.0.0.1:" + std::to_string(port)).string()});
  ASSERT_TRUE(agent.start());
  file.lines(100);
  ASSERT_TRUE(eventually([&] { return agent.queue("delivered") == 100; }));
  server.kill9();
  for (int hour = 0; hour < 24; ++hour) {
    file.lines(300);
    ASSERT_TRUE(eventually([&] { return agent.queue("handedIn") == file.count(); }, 60s)) << agent.log();
    file.rotate();  // over the one before: its lines are nowhere but in the queue
    if (hour % 8 == 3) {
      agent.kill9();
      ASSERT_TRUE(agent.start());
    }
  }
  EXPECT_EQ(agent.queue("delivered"), 100);
  EXPECT_EQ(agent.queue("pending"), 7200);
  Server::Options options;
  options.data_dir = server.data_dir();
  options.sets = {"server.listen=127.0.0.1:" + std::to_string(port)};
  Server back(options);
  ASSERT_TRUE(back.start());
  ASSERT_TRUE(eventually([&] { return agent.queue("pending") == 0; }, 60s)) << agent.log();
  EXPECT_EQ(agent.queue("delivered"), file.count());
  EXPECT_EQ(agent.queue("dropped"), 0);
  expect_each_once(query(back, R"({job="app"})"), file.count());
}

TEST(AgentLogs, ServerKilledWhileLinesArriveHasEachOnce) {
  Server server;
  ASSERT_TRUE(server.start());
  TempDir place;
  Written file(place.path() / "app.log");
  const int port = std::atoi(server.address().substr(server.address().rfind(':') + 1).c_str());
  Server::Options options;
  options.data_dir = server.data_dir();
  options.sets = {"server.listen=127.0.0.1:" + std::to_string(port)};
  LogCollector agent(
      {"--config", promtail_file(place, "127.0.0.1:" + std::to_string(port), "  batchsize: 2000\n").string()});
  ASSERT_TRUE(agent.start());
  server.kill9();
  for (int round = 0; round < 4; ++round) {
    Server up(options);
    ASSERT_TRUE(up.start());
    file.lines(2000);
    const auto before = agent.queue("delivered");
    ASSERT_TRUE(eventually([&] { return agent.queue("delivered") > before; }, 60s)) << agent.log();
    up.kill9();
  }
  Server up(options);
  ASSERT_TRUE(up.start());
  ASSERT_TRUE(eventually([&] { return agent.queue("pending") == 0 && agent.queue("delivered") == file.count(); }, 60s))
      << agent.log();
  expect_each_once(query(up, R"({job="app"})"), file.count());
}

TEST(AgentLogs, TenantsOfStages) {
  Server server;
  ASSERT_TRUE(server.start());
  TempDir place;
  const auto config = place.path() / "promtail.yaml";
  std::ofstream(config) << "clients: [{url: 'http://" << server.address()
                        << "/loki/api/v1/push', tenant_id: base, batchwait: 50ms}]\n"
                        << "scrape_configs:\n- job_name: a\n  pipeline_stages:\n"
                        << "  - regex: {expression: 'tenant=(?P<t>\\w+)'}\n  - tenant: {source: t}\n"
                        << "  static_configs: [{labels: {job: a, __path__: '" << (place.path() / "*.log").string()
                        << "'}}]\n";
  std::ofstream(place.path() / "x.log") << "one\ntwo tenant=other\n";
  LogCollector agent({"--config", config.string()});
  ASSERT_TRUE(agent.start());
  ASSERT_TRUE(eventually([&] { return agent.queue("delivered") == 2; })) << agent.log();
  EXPECT_TRUE(query(server, R"({job="a"})", nullptr, "base").contains("one"));
  json::object stream;
  EXPECT_TRUE(query(server, R"({job="a"})", &stream, "other").contains("two tenant=other"));
  EXPECT_FALSE(stream.contains("__tenant_id__"));
}

TEST(AgentLogs, WhatCannotBeHonouredIsSaid) {
  TempDir place;
  const auto config = place.path() / "promtail.yaml";
  std::ofstream(config) << "clients: [{url: 'http://x/loki/api/v1/push'}]\nscrape_configs:\n- job_name: a\n"
                        << "  kubernetes_sd_configs: [{role: pod}]\n  pipeline_stages: [{cri: {}}]\n";
  Process check({std::getenv("TOCAYO_BINARY"), "agent", "--check-config", "--config", config.string()},
                place.path() / "out");
  EXPECT_EQ(check.wait(), 1);
  EXPECT_NE(check.log().find(config.string() + ":4:26: kubernetes_sd_configs: is not supported"), std::string::npos)
      << check.log();
}

TEST(AgentLogs, WithAServerAloneItsOwnLogArrives) {
  Server server;
  ASSERT_TRUE(server.start());
  LogCollector agent({"--server", "http://" + server.address(), "--no-host-metrics"});
  ASSERT_TRUE(agent.start());
  ASSERT_TRUE(eventually([&] { return !query(server, R"({job="tocayo-agent"})").empty(); })) << agent.log();
  LogCollector quiet({"--server", "http://" + server.address(), "--no-host-metrics", "--no-host-logs"});
  ASSERT_TRUE(quiet.start());
  EXPECT_EQ(json::parse(http_get(quiet.url("/positions")).body).at("data").at("positions").as_array().size(), 0U);
}

}  // namespace
}  // namespace tocayo::testing
