// SPDX-License-Identifier: Apache-2.0
// kill -9 at random moments while lines arrive, heads are cut, segments merged and lines deleted: every acknowledged
// line is there, once, and what was deleted does not come back.
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

constexpr std::int64_t kHour = 3'600'000'000'000;

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string batch(int writer, int number, std::vector<std::string>& lines) {
  json::array values;
  const auto base = now_ns() - 2 * kHour;  // of a closed hour, whose segments are merged
  for (int i = 0; i < 20; ++i) {
    lines.push_back("writer " + std::to_string(writer) + " batch " + std::to_string(number) + " line " +
                    std::to_string(i) + " " + std::string(200, 'x'));
    values.push_back(json::array{std::to_string(base + i), lines.back()});
  }
  json::object labels{{"app", "crash"}, {"writer", std::to_string(writer)}, {"part", std::to_string(number % 5)}};
  return json::serialize(json::object{{"streams", json::array{json::object{{"stream", labels}, {"values", values}}}}});
}

// Sums over the lives of the server.
double metric(Server& server, const std::string& name) {
  const auto reply = http_get(server.url("/metrics"));
  const auto at = reply.body.find("\n" + name + " ");
  return at == std::string::npos ? 0 : std::atof(reply.body.c_str() + at + name.size() + 2);
}

// Lines that are pushed and then deleted, a round each.
struct Doomed {
  bool pushed = false;   // acknowledged
  bool deleted = false;  // acknowledged
  bool asked = false;    // sent, whether or not it was heard
};

void push_and_delete(Server& server, int round, Doomed& doomed) {
  json::array values;
  const auto base = now_ns() - 2 * kHour;
  for (int i = 0; i < 10; ++i)
    values.push_back(
        json::array{std::to_string(base + i), "doomed " + std::to_string(round) + " " + std::to_string(i)});
  const json::object labels{{"app", "doomed"}, {"round", std::to_string(round)}};
  const auto body =
      json::serialize(json::object{{"streams", json::array{json::object{{"stream", labels}, {"values", values}}}}});
  doomed.pushed =
      http_request("POST", server.url("/loki/api/v1/push"), body, {{"Content-Type", "application/json"}}, 5s).status ==
      204;
  if (!doomed.pushed || round % 3 == 2) return;  // a third is never deleted
  doomed.asked = true;
  const auto query = "{app=\"doomed\", round=\"" + std::to_string(round) + "\"}";
  doomed.deleted = http_request("POST", server.url("/loki/api/v1/delete?start=0&query=" + url_encode(query)), "",
                                {{"X-Tocayo-Csrf", "1"}}, 5s)
                       .status == 204;
}

TEST(LogsCrash, AcknowledgedLinesAreThereOnce) {
  const char* full = std::getenv("TOCAYO_FULL");
  const int rounds = full != nullptr && *full != '\0' ? 200 : 6;
  Server::Options options;
  options.sets = {"logs.head.cut_bytes=200KiB", "logs.head.cut_age=1s", "logs.compaction.settle=0s"};
  Server server(std::move(options));
  std::mt19937 random(std::random_device{}());
  std::mutex mutex;
  std::set<std::string> acknowledged;
  std::atomic<int> number{0};
  std::vector<Doomed> doomed(static_cast<std::size_t>(rounds));
  double merges = 0;
  double cuts = 0;
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
    writers.emplace_back([&] { push_and_delete(server, round, doomed[static_cast<std::size_t>(round)]); });
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(300 + random() % 900);
    while (std::chrono::steady_clock::now() < until) {
      if (random() % 4 == 0) (void)http_request("POST", server.url("/flush"), "", {{"X-Tocayo-Csrf", "1"}}, 5s);
      std::this_thread::yield();
    }
    merges += metric(server, "tocayo_logs_merges_total");
    cuts += metric(server, "tocayo_logs_cuts_total");
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
      const auto reply =
          http_get(server.url("/loki/api/v1/query_range?since=12h&limit=100000&query=" + url_encode(query)));
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
  std::size_t came_back = 0;
  std::size_t missing = 0;
  std::size_t deletes = 0;
  for (int round = 0; round < rounds; ++round) {
    const Doomed& was = doomed[static_cast<std::size_t>(round)];
    const auto query = "{app=\"doomed\",round=\"" + std::to_string(round) + "\"}";
    const auto reply = http_get(server.url("/loki/api/v1/query_range?since=6h&limit=1000&query=" + url_encode(query)));
    ASSERT_EQ(reply.status, 200) << reply.body;
    std::size_t there = 0;
    for (const auto& stream : json::parse(reply.body).at("data").at("result").as_array())
      there += stream.at("values").as_array().size();
    deletes += was.deleted ? 1 : 0;
    came_back += was.deleted ? there : 0;
    if (was.pushed && !was.asked && there != 10) ++missing;
  }
  std::cout << cuts << " cuts, " << merges << " merges, " << deletes << " deletes; ";
  EXPECT_GT(cuts, 0);
  if (rounds > 50) EXPECT_GT(merges, 0);  // they run when nobody else wants the processor
  EXPECT_GT(deletes, 0U);
  EXPECT_EQ(came_back, 0U);
  EXPECT_EQ(missing, 0U);
  std::cout << rounds << " rounds, " << acknowledged.size() << " lines acknowledged, " << found.size() << " found\n";
  EXPECT_GT(acknowledged.size(), 100U);
  EXPECT_EQ(lost, 0U);
  EXPECT_EQ(doubled, 0U);
}

}  // namespace
}  // namespace tocayo::testing
