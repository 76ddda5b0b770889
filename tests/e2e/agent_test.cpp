// SPDX-License-Identifier: Apache-2.0
// `tocayo agent` beside `tocayo serve`: samples arrive, and neither process loses any when it, or the other, is killed.
#include <gtest/gtest.h>
#include <signal.h>

#include <boost/json.hpp>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

namespace json = boost::json;

class Agent {
 public:
  explicit Agent(std::vector<std::string> arguments, int port = 0)
      : arguments_(std::move(arguments)), listen_("127.0.0.1:" + std::to_string(port)) {}
  bool start() {
    std::filesystem::path port_file = work_.path() / "port";
    std::filesystem::remove(port_file);
    std::vector<std::string> argv = {
        std::getenv("TOCAYO_BINARY"), "agent",      "--listen",         listen_, "--port-file",
        port_file.string(),           "--data-dir", data_dir().string()};
    argv.insert(argv.end(), arguments_.begin(), arguments_.end());
    process_ = std::make_unique<Process>(argv, work_.path() / "agent.log");
    bool up = eventually([&] {
      std::ifstream in(port_file);
      if (!std::getline(in, address_) || address_.empty()) return !process_->running();
      return http_get(url("/-/ready")).status == 200 || !process_->running();
    });
    up = up && process_->running();
    if (!up) ADD_FAILURE() << "the agent did not become ready:\n" << process_->log();
    return up;
  }
  void kill9() {
    process_->signal(SIGKILL);
    process_->wait();
  }
  int stop() {
    process_->signal(SIGTERM);
    return process_->wait();
  }
  std::string url(std::string_view path) const { return "http://" + address_ + std::string(path); }
  std::filesystem::path data_dir() const { return work_.path() / "data"; }
  const TempDir& work() const { return work_; }
  Process& process() { return *process_; }
  json::object queue() const {
    auto reply = http_get(url("/queues"));
    boost::system::error_code code;
    auto value = json::parse(reply.body, code);
    if (code) return {};
    return value.at("data").at("queues").at(0).as_object();
  }
  std::int64_t number(const char* key) const {
    auto object = queue();
    return object.contains(key) ? object[key].to_number<std::int64_t>() : -1;
  }

 private:
  std::vector<std::string> arguments_;
  std::string listen_;
  TempDir work_;
  std::string address_;
  std::unique_ptr<Process> process_;
};

double value_of(Server& server, const std::string& expr) {
  auto reply = http_get(server.url("/api/v1/query?query=" + url_encode(expr)));
  auto at = reply.body.find("\"value\":[");
  if (at == std::string::npos) return -1;
  auto quote = reply.body.find(",\"", at);
  return std::strtod(reply.body.c_str() + quote + 2, nullptr);
}

// Timestamps (ms) of the samples of one series over the last ten minutes.
std::vector<std::int64_t> sample_times(Server& server, const std::string& selector) {
  auto reply = http_get(server.url("/api/v1/query?query=" + url_encode(selector + "[10m]")));
  std::vector<std::int64_t> times;
  boost::system::error_code code;
  auto value = json::parse(reply.body, code);
  if (code) return times;
  const auto& result = value.at("data").at("result").as_array();
  if (result.empty()) return times;
  for (const auto& sample : result.at(0).at("values").as_array()) {
    times.push_back(static_cast<std::int64_t>(sample.at(0).to_number<double>() * 1000 + 0.5));
  }
  return times;
}

std::size_t stored_samples(Server& server, const std::string& selector) {
  auto reply = http_get(server.url("/api/v1/query?query=" + url_encode(selector + "[10m]")));
  boost::system::error_code code;
  auto value = json::parse(reply.body, code);
  if (code) return 0;
  std::size_t sum = 0;
  for (const auto& series : value.at("data").at("result").as_array()) sum += series.at("values").as_array().size();
  return sum;
}

// A server on a port that stays the same over restarts, and a scrape of the agent's own /metrics every second.
std::filesystem::path write_config(const TempDir& place, int server_port, int agent_port) {
  auto file = place.path() / "prometheus.yml";
  std::ofstream(file) << "global: {scrape_interval: 1s, scrape_timeout: 1s, external_labels: {site: here}}\n"
                      << "scrape_configs:\n- job_name: self\n  static_configs: [{targets: ['127.0.0.1:" << agent_port
                      << "']}]\n"
                      << "remote_write:\n- url: http://127.0.0.1:" << server_port << "/api/v1/push\n  name: central\n"
                      << "  queue_config: {batch_send_deadline: 200ms, max_backoff: 200ms}\n";
  return file;
}

TEST(Agent, WithoutConfigurationThisMachineArrives) {
  Server server;
  ASSERT_TRUE(server.start());
  Agent agent({"--server", "http://" + server.address() + "/", "--instance", "machine-7"});
  ASSERT_TRUE(agent.start());
  for (const char* expr :
       {"count(node_cpu_seconds_total{job=\"node\",instance=\"machine-7\"})",
        "up{job=\"tocayo-agent\",instance=\"machine-7\"}", "node_memory_MemTotal_bytes{instance=\"machine-7\"}"}) {
    EXPECT_TRUE(eventually([&] { return value_of(server, expr) > 0; })) << expr << "\n" << agent.process().log();
  }
  EXPECT_EQ(agent.queue()["protocol"], "2.0");
  auto metrics = http_get(agent.url("/metrics"));
  EXPECT_NE(metrics.body.find("node_load1 "), std::string::npos);
  EXPECT_NE(metrics.body.find("tocayo_agent_delivered_total{destination=\"server\",signal=\"metrics\"}"),
            std::string::npos);
  auto metadata = http_get(server.url("/api/v1/metadata?metric=node_load1"));
  EXPECT_NE(metadata.body.find("gauge"), std::string::npos) << metadata.body;
  EXPECT_EQ(http_get(agent.url("/-/healthy")).status, 200);
  EXPECT_EQ(agent.stop(), 0);
  // The stale markers of the stop have gone out too.
  EXPECT_TRUE(eventually([&] { return value_of(server, "up{job=\"node\",instance=\"machine-7\"}") == -1; }));
}

TEST(Agent, ServerAwayAndBackNoGap) {
  int port = free_port(), agent_port = free_port();
  Server server({.sets = {"server.listen=127.0.0.1:" + std::to_string(port)}});
  ASSERT_TRUE(server.start());
  TempDir place;
  Agent agent({"--config", write_config(place, port, agent_port).string()}, agent_port);
  ASSERT_TRUE(agent.start());
  const std::string series = "up{job=\"self\",site=\"here\"}";
  ASSERT_TRUE(eventually([&] { return sample_times(server, series).size() >= 3; })) << agent.process().log();
  server.kill9();
  auto before = agent.number("handedIn");
  // Several scrapes have to wait in the queue.
  ASSERT_TRUE(eventually([&] { return agent.number("pending") > 0 && agent.number("retries") > 2; }));
  auto queued = agent.number("pending");
  ASSERT_TRUE(eventually([&] { return agent.number("pending") > 3 * queued; }, std::chrono::seconds(30)));
  EXPECT_EQ(agent.number("dropped"), 0);
  ASSERT_TRUE(server.start());
  ASSERT_TRUE(
      eventually([&] { return agent.number("delivered") > before + 3 * queued && agent.number("pending") < queued; },
                 std::chrono::seconds(30)));
  EXPECT_EQ(agent.number("dropped"), 0);
  auto times = sample_times(server, series);
  ASSERT_GE(times.size(), 6U);
  for (std::size_t i = 1; i < times.size(); ++i)
    EXPECT_LT(times[i] - times[i - 1], 1900) << "a scrape is missing before " << times[i];
}

TEST(Agent, AgentKilledWhileTheServerIsAwayLosesNothingQueued) {
  int port = free_port(), agent_port = free_port();
  Server server({.sets = {"server.listen=127.0.0.1:" + std::to_string(port)}});
  TempDir place;
  Agent agent({"--config", write_config(place, port, agent_port).string()}, agent_port);
  ASSERT_TRUE(agent.start());
  ASSERT_TRUE(eventually([&] { return agent.number("pending") > 500; }, std::chrono::seconds(40)));
  auto pending = agent.number("pending");
  agent.kill9();
  ASSERT_TRUE(agent.start());
  EXPECT_GE(agent.number("pending"), pending);
  agent.kill9();
  ASSERT_TRUE(agent.start());
  ASSERT_TRUE(server.start());
  ASSERT_TRUE(eventually([&] { return agent.number("delivered") >= pending; }, std::chrono::seconds(40)))
      << json::serialize(agent.queue()) << agent.process().log() << server.log();
  EXPECT_EQ(agent.number("dropped"), 0);
  EXPECT_GE(stored_samples(server, "{job=\"self\"}"), static_cast<std::size_t>(pending)) << "counted in the store";
}

TEST(Agent, ConfigurationIsCheckedReloadedAndShownWithoutSecrets) {
  TempDir place;
  auto file = place.path() / "prometheus.yml";
  std::ofstream(file) << "remote_write:\n- url: http://127.0.0.1:9/w\n  bearer_token: hush\n";
  Agent agent({"--config", file.string()});
  ASSERT_TRUE(agent.start());
  auto shown = http_get(agent.url("/config")).body;
  EXPECT_NE(shown.find("http://127.0.0.1:9/w"), std::string::npos) << shown;
  EXPECT_EQ(shown.find("hush"), std::string::npos);
  std::ofstream(file) << "remote_write:\n- url: http://127.0.0.1:9/w\n  bogus: 1\n";
  auto bad = http_request("POST", agent.url("/-/reload"));
  EXPECT_EQ(bad.status, 400);
  EXPECT_NE(bad.body.find("prometheus.yml:3:"), std::string::npos) << bad.body;
  EXPECT_NE(http_get(agent.url("/metrics")).body.find("tocayo_config_last_reload_successful 0"), std::string::npos);
  EXPECT_NE(http_get(agent.url("/config")).body.find("/w"), std::string::npos) << "the old one runs on";
  Process check({std::getenv("TOCAYO_BINARY"), "agent", "--check-config", "--config", file.string()},
                place.path() / "log");
  EXPECT_EQ(check.wait(), 1);
  EXPECT_NE(check.log().find("prometheus.yml:3:3: unknown key"), std::string::npos) << check.log();
  // A changed file is noticed without being told.
  std::ofstream(file) << "scrape_configs:\n- job_name: j\n  static_configs: [{targets: "
                         "['127.0.0.1:9']}]\nremote_write:\n- url: http://127.0.0.1:9/w2\n";
  EXPECT_TRUE(eventually([&] { return http_get(agent.url("/config")).body.find("/w2") != std::string::npos; }));
  EXPECT_TRUE(eventually(
      [&] { return http_get(agent.url("/targets")).body.find("\"scrapePool\":\"j\"") != std::string::npos; }));
  EXPECT_EQ(http_request("POST", agent.url("/-/reload"), "", {{"Origin", "http://evil.example"}}).status, 403);
  EXPECT_EQ(agent.stop(), 0);
  Process nowhere({std::getenv("TOCAYO_BINARY"), "agent", "--data-dir", (place.path() / "d").string()},
                  place.path() / "log2");
  EXPECT_EQ(nowhere.wait(), 1);
  EXPECT_NE(nowhere.log().find("nowhere to send to"), std::string::npos);
}

}  // namespace
}  // namespace tocayo::testing
