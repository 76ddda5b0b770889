// SPDX-License-Identifier: Apache-2.0
// What lies between `tocayo agent` and `tocayo serve` goes wrong at the worst moment: the server has stored a request
// and the answer never arrives. Each line is there once all the same, and every line that was written is either
// delivered or reported as dropped.
#include <atomic>
#include <random>

#include "src/agent/raw_server.h"
#include "tests/support/collector.h"

namespace tocayo::testing {
namespace {

using namespace std::chrono_literals;

// One HTTP message: header and as much body as Content-Length says; "" when the peer went away before.
std::string read_message(int socket) {
  std::string text;
  std::vector<char> buffer(65536);
  for (;;) {
    if (const auto end = text.find("\r\n\r\n"); end != std::string::npos) {
      const auto at = text.find("Content-Length: ");
      const std::size_t body = at < end ? std::strtoul(text.c_str() + at + 16, nullptr, 10) : 0;
      if (text.size() >= end + 4 + body) return text;
    }
    const auto got = ::recv(socket, buffer.data(), buffer.size(), 0);
    if (got <= 0) return {};
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

std::string forward(int port, const std::string& message) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  std::string answer;
  if (::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
      agent::RawServer::write(socket, message)) {
    answer = read_message(socket);
  }
  ::close(socket);
  return answer;
}

// Between the collector and the server. What becomes of a push is decided when the server has answered.
class Wire {
 public:
  enum class Fate { arrives, is_lost };
  using Decide = std::function<Fate(int number, const std::string& answer)>;
  Wire(int server_port, Decide decide)
      : decide_(std::move(decide)), server_([this, server_port](int socket, const std::atomic<bool>& stopping) {
          while (!stopping) {
            const std::string request = read_message(socket);
            if (request.empty()) return;
            const std::string answer = forward(server_port, request);
            if (answer.empty()) return;
            std::lock_guard lock(mutex_);  // one at a time
            if (decide_(number_++, answer) == Fate::is_lost) return;
            if (!agent::RawServer::write(socket, answer)) return;
          }
        }) {}
  std::string address() const { return server_.address(); }

 private:
  std::mutex mutex_;
  int number_ = 0;
  Decide decide_;
  agent::RawServer server_;
};

std::string config(const TempDir& place, const std::string& address, const std::string& client = "") {
  const auto file = place.path() / "promtail.yaml";
  std::ofstream(file) << "clients:\n- url: http://" << address << "/loki/api/v1/push\n  batchwait: 50ms\n"
                      << "  backoff_config: {min_period: 20ms, max_period: 200ms}\n"
                      << client
                      << "scrape_configs:\n- job_name: app\n  static_configs:\n  - labels: {job: app, __path__: "
                      << (place.path() / "app*.log").string() << "}\n";
  return file.string();
}

int port_of(const std::string& address) { return std::atoi(address.substr(address.rfind(':') + 1).c_str()); }

// Lines that differ, and a beat between them that is the same each time.
class Beat {
 public:
  explicit Beat(const TempDir& place) : file_(place.path() / "app.log") {}
  void write(int count) {
    std::ofstream out(file_, std::ios::app);
    for (int i = 0; i < count; ++i) {
      out << "line " << next_++ << "\n";
      if (next_ % 5 == 0) {
        out << "beat\n";
        ++beats_;
      }
    }
  }
  int lines() const { return next_; }
  int beats() const { return beats_; }
  int total() const { return next_ + beats_; }

 private:
  std::filesystem::path file_;
  int next_ = 0, beats_ = 0;
};

void expect_all_once(Server& server, const Beat& written) {
  auto stored = query(server, R"({job="app"})");
  EXPECT_EQ(stored["beat"], written.beats());
  stored.erase("beat");
  expect_each_once(stored, written.lines());
}

TEST(AgentLogDelivery, AnswersThatNeverArriveDoubleNothing) {
  Server server;
  ASSERT_TRUE(server.start());
  std::atomic<int> lost{0};
  Wire wire(port_of(server.address()), [&](int number, const std::string&) {
    if (number % 3 == 2) return Wire::Fate::arrives;
    ++lost;
    return Wire::Fate::is_lost;
  });
  TempDir place;
  Beat log(place);
  LogCollector agent({"--config", config(place, wire.address(), "  batchsize: 3000\n")});
  ASSERT_TRUE(agent.start());
  for (int round = 0; round < 10; ++round) {
    log.write(100);
    ASSERT_TRUE(eventually([&] { return agent.queue("handedIn") == log.total(); }, 60s)) << agent.log();
  }
  ASSERT_TRUE(eventually([&] { return agent.queue("delivered") == log.total(); }, 60s)) << agent.log();
  EXPECT_GE(lost, 10);
  EXPECT_EQ(agent.queue("dropped"), 0);
  expect_all_once(server, log);
}

// The answer is lost and the collector dies with it: after its start it sends the same again.
TEST(AgentLogDelivery, ACollectorKilledBeforeTheAnswerDoublesNothing) {
  Server server;
  ASSERT_TRUE(server.start());
  std::atomic<bool> cut{false};
  std::atomic<int> lost{0};
  Wire wire(port_of(server.address()), [&](int, const std::string&) {
    if (!cut) return Wire::Fate::arrives;
    ++lost;
    return Wire::Fate::is_lost;
  });
  TempDir place;
  Beat log(place);
  LogCollector agent({"--config", config(place, wire.address(), "  batchsize: 3000\n")});
  for (int round = 0; round < 5; ++round) {
    ASSERT_TRUE(agent.start());
    log.write(150);
    ASSERT_TRUE(eventually([&] { return agent.queue("delivered") >= 50 * round; }, 60s)) << agent.log();
    cut = true;
    log.write(150);
    const int before = lost;
    ASSERT_TRUE(eventually([&] { return lost > before; }, 60s)) << agent.log();
    agent.kill9();
    cut = false;
  }
  ASSERT_TRUE(agent.start());
  ASSERT_TRUE(eventually([&] { return agent.queue("pending") == 0 && agent.queue("handedIn") == log.total(); }, 60s))
      << agent.queue("handedIn") << " of " << log.total() << "\n"
      << agent.log();
  expect_all_once(server, log);
}

// The server has acknowledged (so the lines are on its disk) and dies before the answer is through.
TEST(AgentLogDelivery, AServerKilledBetweenStoringAndAnsweringHasEachOnce) {
  const TempDir data;
  const int port = free_port();
  Server::Options options;
  options.data_dir = data.path();
  options.sets = {"server.listen=127.0.0.1:" + std::to_string(port)};
  auto server = std::make_unique<Server>(options);
  ASSERT_TRUE(server->start());
  std::atomic<bool> strike{false}, struck{false};
  Wire wire(port, [&](int, const std::string& answer) {
    if (!strike || !answer.starts_with("HTTP/1.1 204")) return Wire::Fate::arrives;
    server->kill9();
    strike = false;
    struck = true;
    return Wire::Fate::is_lost;
  });
  TempDir place;
  Beat log(place);
  LogCollector agent({"--config", config(place, wire.address(), "  batchsize: 3000\n")});
  ASSERT_TRUE(agent.start());
  for (int round = 0; round < 3; ++round) {
    log.write(100);
    ASSERT_TRUE(eventually([&] { return agent.queue("delivered") == log.total(); }, 60s)) << agent.log();
    struck = false;
    strike = true;
    log.write(200);
    ASSERT_TRUE(eventually([&] { return struck.load(); }, 60s)) << agent.log();
    server = std::make_unique<Server>(options);
    ASSERT_TRUE(server->start());
  }
  ASSERT_TRUE(eventually([&] { return agent.queue("delivered") == log.total(); }, 60s)) << agent.log();
  EXPECT_EQ(agent.queue("dropped"), 0);
  expect_all_once(*server, log);
}

// Lines written = lines delivered + lines reported as dropped, and the server knows both numbers.
TEST(AgentLogDelivery, WhatWasWrittenIsDeliveredOrReportedAsDropped) {
  const TempDir data;
  const int port = free_port();
  Server::Options options;
  options.data_dir = data.path();
  options.sets = {"server.listen=127.0.0.1:" + std::to_string(port)};
  TempDir place;
  LogCollector agent({"--config", config(place, "127.0.0.1:" + std::to_string(port),
                                         "  max_disk: 300KB\n  when_full: drop_oldest\n")});
  ASSERT_TRUE(agent.start());
  std::mt19937_64 random(3);
  int written = 0;
  for (int round = 0; round < 50; ++round) {
    std::ofstream out(place.path() / "app.log", std::ios::app);
    for (int i = 0; i < 100; ++i) {
      out << "line " << written++;
      for (int k = 0; k < 15; ++k) out << ' ' << random();
      out << "\n";
    }
    out.close();
    ASSERT_TRUE(eventually([&] { return agent.queue("handedIn") == written; }, 60s))
        << agent.queue("handedIn") << " of " << written << agent.log();
    if (round == 25) {
      agent.kill9();
      ASSERT_TRUE(agent.start());
    }
  }
  ASSERT_TRUE(eventually([&] { return agent.queue("dropped") > 0; }, 60s));
  Server server(options);
  ASSERT_TRUE(server.start());
  ASSERT_TRUE(eventually([&] { return agent.queue("pending") == 0; }, 60s)) << agent.log();
  const auto delivered = agent.queue("delivered"), dropped = agent.queue("dropped");
  EXPECT_EQ(delivered + dropped, written);
  const auto stored = query(server, R"({job="app"})");
  EXPECT_EQ(static_cast<std::int64_t>(stored.size()), delivered);
  for (const auto& [line, times] : stored) EXPECT_EQ(times, 1) << line;
  // The newest are there.
  const auto last = "line " + std::to_string(written - 1) + " ";
  EXPECT_TRUE(std::ranges::any_of(stored, [&](const auto& entry) { return entry.first.starts_with(last); }));
  // A report goes with a later request: give it some.
  std::int64_t told = 0;
  EXPECT_TRUE(eventually(
      [&] {
        std::ofstream(place.path() / "app2.log", std::ios::app) << "more\n";
        boost::system::error_code code;
        const auto events = json::parse(http_get(server.url("/events/api/v1/events?kind=collector.gap")).body, code);
        told = 0;
        if (code) return false;
        for (const auto& event : events.at("events").as_array()) {
          const auto& labels = event.at("labels").as_object();
          if (labels.at("signal").as_string() == "logs") told += std::atoll(labels.at("rows").as_string().c_str());
        }
        return told == dropped;
      },
      120s))
      << told << " told of " << dropped << "\n"
      << agent.log();
}

}  // namespace
}  // namespace tocayo::testing
