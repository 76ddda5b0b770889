// SPDX-License-Identifier: Apache-2.0
// The port answers while the log store reads its journal: pushes and queries are told to come back, and once it is
// ready every acknowledged line is there. 100 MB of lines, or 1 GiB with --full.
#include <gtest/gtest.h>

#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

constexpr int kLines = 10'000;  // of a request

std::string body(int request, std::int64_t time) {
  std::string out =
      R"({"streams":[{"stream":{"app":"start","host":"host-)" + std::to_string(request % 50) + R"("},"values":[)";
  for (int i = 0; i < kLines; ++i) {
    if (i != 0) out += ",";
    out += R"([")" + std::to_string(time + request * kLines + i) + R"(","level=info msg=handled request=)" +
           std::to_string(request * 7919 + i) + R"( user=)" + std::to_string((request * 31 + i) % 5003) +
           R"( path=/api/v1/items/)" + std::to_string(i * 104'729 % 99'991) + R"( status=200 took=)" +
           std::to_string(i % 997) + R"(ms"])";
  }
  return out + "]}]}";
}

TEST(LogsStart, ThePortAnswersWhileTheJournalIsRead) {
  const char* full = std::getenv("TOCAYO_FULL");
  const int requests = full != nullptr && *full != '\0' ? 1'050 : 100;  // about 1 MB of lines each
  const std::string address = "127.0.0.1:" + std::to_string(free_port());
  Server::Options options;
  options.sets = {"server.listen=" + address, "logs.head.cut_bytes=64GiB", "logs.head.memory=64GiB"};
  Server server(std::move(options));
  ASSERT_TRUE(server.start());
  const auto time =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count() -
      3'600'000'000'000;
  const HttpHeaders type{{"Content-Type", "application/json"}};
  for (int i = 0; i < requests; ++i)
    ASSERT_EQ(http_request("POST", server.url("/loki/api/v1/push"), body(i, time), type).status, 204);
  server.kill9();

  const std::string base = "http://" + address;
  const std::string one =
      R"({"streams":[{"stream":{"app":"later"},"values":[[")" + std::to_string(time) + R"(","x"]]}]})";
  const std::string count =
      base + "/loki/api/v1/query?query=" + url_encode(R"(sum(count_over_time({app="start"}[12h])))");
  const auto begin = Steady::now();
  std::atomic<bool> started{false};
  std::jthread starter([&] { started = server.start(120s); });
  int refused_pushes = 0;
  int refused_queries = 0;
  bool not_ready = false;
  double first_answer = 0;
  for (;;) {
    ASSERT_LT(Steady::now() - begin, 120s);
    const auto push = http_request("POST", base + "/loki/api/v1/push", one, type);
    if (push.status == 0) continue;
    if (first_answer == 0) first_answer = std::chrono::duration<double>(Steady::now() - begin).count();
    if (push.status == 204) break;
    ASSERT_EQ(push.status, 503) << push.body;
    EXPECT_TRUE(push.headers.contains("retry-after"));
    EXPECT_NE(push.body.find("starting"), std::string::npos) << push.body;
    ++refused_pushes;
    const auto query = http_get(count);
    if (query.status == 503) ++refused_queries;
    not_ready = not_ready || http_get(base + "/ready").status == 503;
  }
  const double ready = std::chrono::duration<double>(Steady::now() - begin).count();
  EXPECT_GT(refused_pushes, 0) << "the port answered too late to tell";
  EXPECT_GT(refused_queries, 0);
  EXPECT_TRUE(not_ready);
  starter.join();
  ASSERT_TRUE(started);
  const auto reply = http_get(count);
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(json::parse(reply.body).at("data").at("result").at(0).at("value").at(1).as_string(),
            std::to_string(requests * kLines));
  std::printf("%d MB of lines in the journal: the port answered after %.2f s, the store after %.2f s\n", requests,
              first_answer, ready);
}

}  // namespace
}  // namespace tocayo::testing
