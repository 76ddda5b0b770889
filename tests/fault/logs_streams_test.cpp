// SPDX-License-Identifier: Apache-2.0
// Very many streams through the push API: none is refused, each is found, and the memory they cost has a bound.
// 20,000 streams, or 1,000,000 with --full.
#include <gtest/gtest.h>

#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

namespace json = boost::json;
using Steady = std::chrono::steady_clock;

double resident_mib(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::atof(line.c_str() + 6) / 1024;
  }
  return 0;
}

double milliseconds(Steady::time_point since) {
  return std::chrono::duration<double, std::milli>(Steady::now() - since).count();
}

std::size_t count_of(Server& server, const std::string& path, double& took) {
  const auto begin = Steady::now();
  const auto reply = http_get(server.url(path));
  took = milliseconds(begin);
  EXPECT_EQ(reply.status, 200) << reply.body.substr(0, 500);
  return reply.status == 200 ? json::parse(reply.body).at("data").as_array().size() : 0;
}

TEST(LogsStreams, VeryManyAreTakenAndFound) {
  const char* full = std::getenv("TOCAYO_FULL");
  const std::size_t streams = full != nullptr && *full != '\0' ? 1'000'000 : 20'000;
  constexpr std::size_t kRequest = 1000;
  Server server;
  ASSERT_TRUE(server.start());
  const double before = resident_mib(server.process().pid());
  const auto now =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::atomic<std::size_t> next{0};
  std::atomic<int> refused{0};
  double peak = 0;
  std::vector<std::jthread> senders;
  for (int sender = 0; sender < 2; ++sender) {
    senders.emplace_back([&] {
      for (std::size_t first; (first = next.fetch_add(kRequest)) < streams;) {
        std::string body = R"({"streams":[)";
        for (std::size_t i = first; i < first + kRequest; ++i) {
          if (i != first) body += ",";
          body += R"({"stream":{"cluster":"eu-1","namespace":"shop","service":"service-)" + std::to_string(i % 12) +
                  R"(","pod":"pod-)" + std::to_string(i) + R"("},"values":[[")" + std::to_string(now - 1'000'000) +
                  R"(","request handled in )" + std::to_string(i % 1000) + R"( ms by )" + std::to_string(i) + R"("]]})";
        }
        body += "]}";
        // Told to come again, an agent does.
        for (int attempt = 0;; ++attempt) {
          const auto reply =
              http_request("POST", server.url("/loki/api/v1/push"), body, {{"Content-Type", "application/json"}});
          if (reply.status == 204) break;
          if (reply.status != 503 || attempt == 600) {
            if (refused++ == 0) std::fprintf(stderr, "%d %s\n", reply.status, reply.body.substr(0, 300).c_str());
            break;
          }
          std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
      }
    });
  }
  while (next.load() < streams) {
    peak = std::max(peak, resident_mib(server.process().pid()));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  senders.clear();
  peak = std::max(peak, resident_mib(server.process().pid()));
  EXPECT_EQ(refused, 0);
  double names = 0;
  double values = 0;
  double one = 0;
  EXPECT_GE(count_of(server, "/loki/api/v1/labels", names), 5U);
  EXPECT_EQ(count_of(server, "/loki/api/v1/label/service/values", values), 12U);
  EXPECT_EQ(count_of(server, "/loki/api/v1/series?match[]=" + url_encode("{pod=\"pod-7777\"}"), one), 1U);
  const auto reply =
      http_get(server.url("/loki/api/v1/query?query=" + url_encode("sum(count_over_time({namespace=\"shop\"}[1h]))")));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(json::parse(reply.body).at("data").at("result").at(0).at("value").at(1).as_string(),
            std::to_string(streams));
  std::printf(
      "%zu streams: %.0f MiB before, %.0f MiB at most (%.0f bytes a stream); labels %.0f ms, values of a label "
      "%.0f ms, one series %.0f ms\n",
      streams, before, peak, (peak - before) * 1048576 / static_cast<double>(streams), names, values, one);
  EXPECT_LT(peak, 5 * 1024);
}

}  // namespace
}  // namespace tocayo::testing
