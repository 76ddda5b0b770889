// SPDX-License-Identifier: Apache-2.0
// What happens between `tocayo agent` and `tocayo serve` when either dies or cannot keep up, seen from the server: each
// row is taken once, and what was dropped is an event. And the agent in places that are too small for it.
#include <gtest/gtest.h>
#include <signal.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>

#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

namespace json = boost::json;

json::value get_json(const std::string& url) {
  boost::system::error_code code;
  auto value = json::parse(http_get(url).body, code);
  return code ? json::value() : value;
}

// A metric of a text exposition; -1 when it is not there.
double metric(const std::string& url, const std::string& name) {
  std::string text = "\n" + http_get(url + "/metrics").body;
  auto at = text.find("\n" + name + " ");
  return at == std::string::npos ? -1 : std::strtod(text.c_str() + at + name.size() + 2, nullptr);
}

class Agent {
 public:
  explicit Agent(std::vector<std::string> arguments, int port = 0, int limit_files = 0)
      : arguments_(std::move(arguments)), listen_("127.0.0.1:" + std::to_string(port)), limit_files_(limit_files) {}
  bool start() {
    auto port_file = work_.path() / "port";
    std::filesystem::remove(port_file);
    std::vector<std::string> argv;
    if (limit_files_ > 0) {
      argv = {"/bin/sh", "-c", "ulimit -n " + std::to_string(limit_files_) + " && exec \"$@\"", "sh"};
    }
    for (std::string word :
         {std::string(std::getenv("TOCAYO_BINARY")), std::string("agent"), std::string("--listen"), listen_,
          std::string("--port-file"), port_file.string(), std::string("--data-dir"), (work_.path() / "data").string()})
      argv.push_back(std::move(word));
    argv.insert(argv.end(), arguments_.begin(), arguments_.end());
    process_ = std::make_unique<Process>(argv, work_.path() / "agent.log");
    bool up = eventually(
        [&] {
          std::ifstream in(port_file);
          if (!std::getline(in, address_) || address_.empty()) return !process_->running();
          return http_get(url() + "/-/ready").status == 200 || !process_->running();
        },
        std::chrono::seconds(60));
    up = up && process_->running();
    if (!up) ADD_FAILURE() << "the agent did not become ready:\n" << process_->log();
    return up;
  }
  void kill9() {
    process_->signal(SIGKILL);
    process_->wait();
  }
  std::string url() const { return "http://" + address_; }
  Process& process() { return *process_; }
  const std::filesystem::path& dir() const { return work_.path(); }
  json::value queue(const char* key) const {
    auto value = get_json(url() + "/queues");
    if (!value.is_object()) return {};
    return value.at("data").at("queues").at(0).at(key);
  }
  std::int64_t number(const char* key) const {
    auto value = queue(key);
    return value.is_number() ? value.to_number<std::int64_t>() : -1;
  }

 private:
  std::vector<std::string> arguments_;
  std::string listen_;
  int limit_files_;
  TempDir work_;
  std::string address_;
  std::unique_ptr<Process> process_;
};

std::filesystem::path config(const TempDir& place, int port, const std::string& queue_config = "") {
  auto file = place.path() / "agent.yml";
  std::ofstream(file) << "remote_write:\n- {name: central, url: 'http://127.0.0.1:" << port
                      << "/api/v1/push', queue_config: {batch_send_deadline: 100ms, max_backoff: 100ms" << queue_config
                      << "}}\nhost: {enabled: true, instance: web-1}\n";
  return file;
}

// Rows that the server appended = rows that the agent says were delivered, over kills of the agent in the middle of
// what it sends.
TEST(AgentDelivery, EachRowIsAppendedOnceOverKills) {
  Server server;
  ASSERT_TRUE(server.start());
  TempDir place;
  int port = std::atoi(server.address().substr(server.address().rfind(':') + 1).c_str());
  Agent agent({"--config", config(place, port, ", max_samples_per_send: 10, min_shards: 3").string()});
  const std::string appended = "cortex_distributor_received_samples_total{user=\"anonymous\"}";
  auto taken = [&] { return std::max(0.0, metric(server.url(""), appended)); };
  for (int round = 0; round < 6; ++round) {
    ASSERT_TRUE(agent.start());
    // Each start collects once; what is sent of it when the blow falls differs from round to round.
    double before = taken();
    ASSERT_TRUE(eventually([&] { return taken() > before + 60 * round; }, std::chrono::seconds(60)))
        << agent.process().log();
    agent.kill9();
  }
  ASSERT_TRUE(agent.start());
  ASSERT_TRUE(eventually([&] { return agent.number("pending") == 0 && agent.number("delivered") > 0; },
                         std::chrono::seconds(60)));
  EXPECT_EQ(agent.number("dropped"), 0);
  EXPECT_TRUE(agent.queue("exactlyOnce").as_bool());
  EXPECT_TRUE(eventually([&] { return taken() == static_cast<double>(agent.number("delivered")); }))
      << taken() << " appended, " << agent.number("delivered") << " delivered";
}

TEST(AgentDelivery, WhatAFullQueueDroppedBecomesAnEventOfTheServer) {
  int port = free_port();
  Server server({.sets = {"server.listen=127.0.0.1:" + std::to_string(port)}});
  TempDir place;
  auto file = config(place, port, ", max_disk: 128KB");
  int target_port = free_port();
  // A second source that fills the queue: the agent's own page, every 100 ms.
  std::ofstream(file, std::ios::app)
      << "scrape_configs:\n- {job_name: self, scrape_interval: 100ms, scrape_timeout: 100ms, "
         "static_configs: [{targets: ['127.0.0.1:"
      << target_port << "']}]}\n";
  Agent agent({"--config", file.string()}, target_port);
  ASSERT_TRUE(agent.start());
  ASSERT_TRUE(eventually([&] { return agent.number("dropped") > 0; }, std::chrono::seconds(90)))
      << agent.process().log();
  EXPECT_GE(agent.number("untoldGaps"), 1);
  ASSERT_TRUE(server.start());
  json::value events;
  ASSERT_TRUE(eventually(
      [&] {
        events = get_json(server.url("/events/api/v1/events?kind=collector.gap"));
        return events.is_object() && !events.at("events").as_array().empty();
      },
      std::chrono::seconds(60)))
      << agent.process().log();
  const auto& event = events.at("events").at(0).as_object();
  const auto& labels = event.at("labels").as_object();
  EXPECT_EQ(labels.at("collector"), "web-1");
  EXPECT_EQ(labels.at("signal"), "metrics");
  EXPECT_EQ(labels.at("reason"), "queue_full");
  EXPECT_GT(std::strtoull(labels.at("rows").as_string().c_str(), nullptr, 10), 0U);
  EXPECT_LE(labels.at("from").as_string(), labels.at("to").as_string());
}

TEST(AgentDelivery, AsNodeExporterItKnowsItsParametersAndFlags) {
  int port = free_port();
  Agent agent({"--node-exporter-compat", "127.0.0.1:" + std::to_string(port), "--collector.disable-defaults",
               "--collector.cpu", "--collector.meminfo", "--no-collector.cpu.guest"});
  ASSERT_TRUE(agent.start());
  std::string base = "http://127.0.0.1:" + std::to_string(port) + "/metrics";
  auto all = http_get(base);
  EXPECT_EQ(all.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_NE(all.body.find("node_cpu_seconds_total{"), std::string::npos);
  EXPECT_EQ(all.body.find("node_cpu_guest_seconds_total"), std::string::npos);
  EXPECT_EQ(all.body.find("node_load1"), std::string::npos);
  EXPECT_EQ(all.body.find("tocayo_"), std::string::npos) << "only what node_exporter has";
  auto cpu = http_get(base + "?collect%5B%5D=cpu").body;
  EXPECT_NE(cpu.find("node_cpu_seconds_total{"), std::string::npos);
  EXPECT_EQ(cpu.find("node_memory_"), std::string::npos);
  EXPECT_EQ(http_get(base + "?exclude[]=cpu").body.find("node_cpu_seconds_total{"), std::string::npos);
  auto off = http_get(base + "?collect[]=loadavg");
  EXPECT_EQ(off.status, 400);
  EXPECT_NE(off.body.find("disabled collector: loadavg"), std::string::npos) << off.body;
  EXPECT_EQ(http_get(base + "?collect[]=cpu&exclude[]=cpu").status, 400);
  EXPECT_NE(http_get("http://127.0.0.1:" + std::to_string(port) + "/").body.find("href=\"metrics\""),
            std::string::npos);
  EXPECT_TRUE(get_json(agent.url() + "/service-discovery").at("data").as_object().empty());
  EXPECT_TRUE(get_json(agent.url() + "/positions").at("data").at("positions").as_array().empty());
  Process wrong({std::getenv("TOCAYO_BINARY"), "agent", "--node-exporter-compat", ":0", "--collector.nosuch"},
                agent.dir() / "wrong.log");
  EXPECT_EQ(wrong.wait(), 1);
  EXPECT_NE(wrong.log().find("unknown flag --collector.nosuch"), std::string::npos) << wrong.log();
}

// Sixty-four descriptors for everything: it collects, answers and delivers.
TEST(AgentDelivery, GoesOnWithSixtyFourDescriptors) {
  Server server;
  ASSERT_TRUE(server.start());
  TempDir place;
  auto file = place.path() / "many.yml";
  std::ofstream out(file);
  // More targets than descriptors; nobody answers there.
  out << "scrape_configs:\n- job_name: away\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  static_configs:\n  - "
         "targets:\n";
  for (int i = 0; i < 200; ++i) out << "    - 192.0.2." << (i + 1) << ":9\n";  // RFC 5737: routed nowhere
  out.close();
  Agent agent({"--server", "http://" + server.address(), "--instance", "small", "--config", file.string()}, 0, 64);
  ASSERT_TRUE(agent.start());
  auto samples = [&] {
    auto value = get_json(
        server.url("/api/v1/query?query=" + url_encode("count_over_time(up{job=\"node\",instance=\"small\"}[5m])")));
    if (!value.is_object() || value.at("data").at("result").as_array().empty()) return 0.0;
    return std::strtod(value.at("data").at("result").at(0).at("value").at(1).as_string().c_str(), nullptr);
  };
  EXPECT_TRUE(eventually([&] { return samples() >= 2; }, std::chrono::seconds(90))) << agent.process().log();
  EXPECT_TRUE(agent.process().running());
  EXPECT_TRUE(eventually([&] { return http_get(agent.url() + "/-/healthy").status == 200; }));
  agent.process().signal(SIGTERM);
  EXPECT_EQ(agent.process().wait(), 0);
}

}  // namespace
}  // namespace tocayo::testing
