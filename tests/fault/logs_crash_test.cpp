// SPDX-License-Identifier: Apache-2.0
// kill -9 at random moments while lines arrive and heads are cut and merged: every acknowledged line is there, once.
#include <gtest/gtest.h>

#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string batch(int writer, int number, std::vector<std::string>& lines) {
  json::array values;
  const auto base = now_ns();
  for (int i = 0; i < 20; ++i) {
    lines.push_back("writer " + std::to_string(writer) + " batch " + std::to_string(number) + " line " +
                    std::to_string(i) + " " + std::string(200, 'x'));
    values.push_back(json::array{std::to_string(base + i), lines.back()});
  }
  json::object labels{{"app", "crash"}, {"writer", std::to_string(writer)}, {"part", std::to_string(number % 5)}};
  return json::serialize(json::object{{"streams", json::array{json::object{{"stream", labels}, {"values", values}}}}});
}

TEST(LogsCrash, AcknowledgedLinesAreThereOnce) {
  const char* full = std::getenv("TOCAYO_FULL");
  const int rounds = full != nullptr && *full != '\0' ? 200 : 6;
  Server::Options options;
  options.sets = {"logs.head.cut_bytes=200KiB", "logs.head.cut_age=1s"};
  Server server(std::move(options));
  std::mt19937 random(std::random_device{}());
  std::mutex mutex;
  std::set<std::string> acknowledged;
  std::atomic<int> number{0};
  for (int round = 0; round < rounds; ++round) {
    ASSERT_TRUE(server.start(60s)) << "round " << round;
    std::atomic<bool> stop{false};
    std::vector<std::thread> writers;
    for (int writer = 0; writer < 3; ++writer) {
      writers.emplace_back([&, writer] {
        while (!stop) {
          std::vector<std::string> lines;
          const auto body = batch(writer, number++, lines);
          const auto reply =
              http_request("POST", server.url("/loki/api/v1/push"), body, {{"Content-Type", "application/json"}}, 5s);
          if (reply.status == 204) {
            std::scoped_lock lock(mutex);
            acknowledged.insert(lines.begin(), lines.end());
          } else if (reply.status == 0) {
            return;  // killed
          }
        }
      });
    }
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(300 + random() % 900);
    while (std::chrono::steady_clock::now() < until) {
      if (random() % 4 == 0) (void)http_request("POST", server.url("/flush"), "", {{"X-Tocayo-Csrf", "1"}}, 5s);
      std::this_thread::yield();
    }
    server.kill9();
    stop = true;
    for (auto& writer : writers) writer.join();
  }
  ASSERT_TRUE(server.start(60s));
  std::map<std::string, int> found;
  for (int writer = 0; writer < 3; ++writer) {
    for (int part = 0; part < 5; ++part) {
      const auto query =
          "{app=\"crash\",writer=\"" + std::to_string(writer) + "\",part=\"" + std::to_string(part) + "\"}";
      const auto reply = http_get(server.url("/loki/api/v1/query_range?limit=100000&query=" + url_encode(query)));
      ASSERT_EQ(reply.status, 200) << reply.body;
      for (const auto& stream : json::parse(reply.body).at("data").at("result").as_array()) {
        for (const auto& value : stream.at("values").as_array()) ++found[std::string(value.as_array()[1].as_string())];
      }
    }
  }
  std::size_t lost = 0;
  for (const auto& line : acknowledged) lost += found.contains(line) ? 0 : 1;
  std::size_t doubled = 0;
  for (const auto& [line, times] : found) doubled += times > 1 ? 1 : 0;
  std::cout << rounds << " rounds, " << acknowledged.size() << " lines acknowledged, " << found.size() << " found\n";
  EXPECT_GT(acknowledged.size(), 100U);
  EXPECT_EQ(lost, 0U);
  EXPECT_EQ(doubled, 0U);
}

}  // namespace
}  // namespace tocayo::testing
