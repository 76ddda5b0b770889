// SPDX-License-Identifier: Apache-2.0
#include "agent/ship/log_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>
#include <protozero/pbf_reader.hpp>
#include <random>
#include <set>
#include <thread>

#include "agent/ship/testing.h"
#include "core/text.h"

namespace tocayo::agent {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

struct Seen {
  std::string tenant, labels;
  TimestampNs time = 0;
  std::string line, metadata;
  auto operator<=>(const Seen&) const = default;
};

std::vector<Seen> read_push(const http::ClientRequest& request) {
  std::string body;
  EXPECT_TRUE(metrics::snappy_block_decode(request.body, 64 << 20, body));
  std::vector<Seen> out;
  protozero::pbf_reader push(body);
  while (push.next(1)) {
    auto stream = push.get_message();
    std::string labels;
    while (stream.next()) {
      if (stream.tag() == 1) {
        labels = stream.get_string();
        continue;
      }
      auto entry = stream.get_message();
      Seen seen{std::string(request.headers.get("X-Scope-OrgID")), labels, 0, {}, {}};
      while (entry.next()) {
        if (entry.tag() == 1) {
          auto time = entry.get_message();
          while (time.next()) {
            if (time.tag() == 1)
              seen.time += time.get_int64() * 1'000'000'000;
            else
              seen.time += time.get_int32();
          }
        } else if (entry.tag() == 2) {
          seen.line = entry.get_string();
        } else {
          auto pair = entry.get_message();
          while (pair.next()) {
            const bool name = pair.tag() == 1;
            seen.metadata += pair.get_string() + (name ? "=" : ";");
          }
        }
      }
      out.push_back(std::move(seen));
    }
  }
  return out;
}

class LogShip : public ::testing::Test {
 protected:
  static LogDestination destination() {
    LogDestination out;
    out.name = "test";
    out.url = "http://loki.example/loki/api/v1/push";
    out.batch_wait = 5ms;
    out.min_backoff = 1ms;
    out.max_backoff = 5ms;
    return out;
  }
  std::unique_ptr<LogQueue> open(LogDestination to = destination()) {
    LogQueueOptions options;
    options.dir = dir.path("q");
    auto queue = LogQueue::open(options, std::move(to), server, registry);
    EXPECT_TRUE(queue) << queue.error().message;
    return std::move(*queue);
  }
  // One line of a stream, with times that ascend.
  Result<> append(LogQueue& queue, const std::vector<std::string>& lines, const std::string& tenant = "",
                  const Labels& labels = {{"job", "a"}}) {
    std::vector<ShipLine> rows;
    for (const auto& line : lines)
      rows.push_back({.tenant = tenant, .labels = &labels, .time = ++time, .text = line, .metadata = {}});
    ++batch;
    return queue.append(batch, {{"file 1 2", "to " + std::to_string(batch)}}, rows);
  }
  static std::vector<std::string> lines_of(const std::vector<Seen>& seen) {
    std::vector<std::string> out;
    for (const auto& one : seen) out.push_back(one.line);
    return out;
  }
  static void expect_balanced(const LogQueue& queue) {
    const auto status = queue.status();
    EXPECT_EQ(status.handed_in, status.delivered + status.dropped + status.pending_lines);
  }

  FixtureTree dir;
  FakeServer<Seen> server{read_push};
  Registry registry;
  TimestampNs time = 1'700'000'000'000'000'000;
  std::uint64_t batch = 0;
};

TEST_F(LogShip, LinesArriveWithLabelsMetadataAndTenant) {
  auto to = destination();
  to.external_labels = Labels{{"cluster", "c"}, {"job", "other"}};
  to.tenant = "default";
  auto queue = open(to);
  const Labels a{{"job", "a"}}, b{{"path", "C:\\x \"q\""}};
  const std::vector<Label> metadata{{"trace", "1"}};
  const std::vector<ShipLine> rows{
      {.tenant = "", .labels = &a, .time = 5, .text = "one", .metadata = metadata},
      {.tenant = "", .labels = &b, .time = -1, .text = "tw\xffo", .metadata = {}},
      {.tenant = "", .labels = &a, .time = 6, .text = "", .metadata = {}},
      {.tenant = "t2", .labels = &a, .time = 7, .text = "three", .metadata = {}},
  };
  ASSERT_TRUE(queue->append(1, {}, rows));
  ASSERT_TRUE(eventually([&] { return queue->status().delivered == 4; }));
  auto seen = server.taken();
  std::ranges::sort(seen);
  ASSERT_EQ(seen.size(), 4U);
  EXPECT_EQ(seen[0], (Seen{"default", R"({cluster="c", job="a"})", 5, "one", "trace=1;"}));
  EXPECT_EQ(seen[1], (Seen{"default", R"({cluster="c", job="a"})", 6, "", ""}));
  EXPECT_EQ(seen[2], (Seen{"default", R"({cluster="c", job="other", path="C:\\x \"q\""})", -1, "tw\xffo", ""}));
  EXPECT_EQ(seen[3], (Seen{"t2", R"({cluster="c", job="a"})", 7, "three", ""}));
  EXPECT_EQ(server.last().headers.get("Content-Type"), "application/x-protobuf");
  expect_balanced(*queue);
}

// A server as ours: takes a numbered request once, and records gaps.
TEST_F(LogShip, RequestsAreNumberedAndDropsAreTold) {
  struct Heard {
    std::mutex mutex;
    std::map<std::string, std::uint64_t> acknowledged;  // by queue
    std::vector<std::string> gaps;
    std::vector<std::string> taken;
    bool lose_answers = true;
    bool down = false;
  } heard;
  server.answer([&](const std::vector<Seen>& seen, const http::ClientRequest& request) {
    std::lock_guard lock(heard.mutex);
    http::ClientResponse response{.status = 503};
    if (heard.down) return response;
    char queue[33];
    unsigned long long begin = 0, end = 0;
    EXPECT_EQ(std::sscanf(std::string(request.headers.get("X-Tocayo-Sequence")).c_str(),
                          "queue=%32[^;]; window=1; nonce=0000000000000001; lane=0; begin=%llu; end=%llu", queue,
                          &begin, &end),
              3)
        << request.headers.get("X-Tocayo-Sequence");
    EXPECT_EQ(end - begin, seen.size());
    auto& known = heard.acknowledged[queue];
    const bool repeated = begin < known;
    if (repeated) {
      EXPECT_LE(end, known) << "the same requests again";
    } else {
      for (const Seen& one : seen) heard.taken.push_back(one.line);
      known = end;
    }
    if (!repeated && heard.lose_answers && known % 3 == 0) return response;
    response.status = 204;
    response.headers.add("X-Tocayo-Sequence", repeated ? "repeated" : "ok");
    for (const auto& [name, value] : request.headers) {
      if (name == "X-Tocayo-Gap") heard.gaps.push_back(value);
    }
    response.headers.add("X-Tocayo-Gaps-Recorded", std::to_string(heard.gaps.size()));
    return response;
  });
  auto to = destination();
  to.when_full = WhenFull::drop_oldest;
  to.max_disk = 1 << 20;
  auto queue = open(to);
  std::vector<std::string> all;
  for (int i = 0; i < 60; ++i) {
    all.push_back("line " + std::to_string(i));
    ASSERT_TRUE(append(*queue, {all.back()}));
  }
  ASSERT_TRUE(eventually([&] { return queue->status().delivered == 60; }));
  {
    std::lock_guard lock(heard.mutex);
    EXPECT_EQ(heard.taken, all) << "once each, in order, though answers were lost";
    heard.down = true;
    heard.lose_answers = false;
  }
  // More than the queue holds: what is dropped is told when the server is back.
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(eventually([&] { return append(*queue, {to_hex(random_bytes(20'000))}).has_value(); }));
  }
  ASSERT_TRUE(eventually([&] { return queue->status().dropped > 0; }));
  EXPECT_GE(queue->status().untold_gaps, 1U);
  {
    std::lock_guard lock(heard.mutex);
    heard.down = false;
  }
  ASSERT_TRUE(eventually([&] { return queue->status().pending_lines == 0; }));
  ASSERT_TRUE(append(*queue, {"one more"}));
  ASSERT_TRUE(eventually([&] {
    std::lock_guard lock(heard.mutex);
    return !heard.gaps.empty();
  }));
  std::lock_guard lock(heard.mutex);
  EXPECT_NE(heard.gaps[0].find("signal=logs; reason=queue_full; rows="), std::string::npos) << heard.gaps[0];
  expect_balanced(*queue);
}

TEST_F(LogShip, OutagesLoseNothingAndKeepTheOrder) {
  server.answer(nullptr);
  auto queue = open();
  std::vector<std::string> all;
  for (int i = 0; i < 200; ++i) {
    all.push_back("line " + std::to_string(i));
    ASSERT_TRUE(append(*queue, {all.back()}));
  }
  ASSERT_TRUE(eventually([&] { return queue->status().retries > 3; }));
  server.answer(503);
  ASSERT_TRUE(eventually([&] { return queue->status().last_error.starts_with("the server answered 503"); }));
  server.answer(429);
  ASSERT_TRUE(eventually([&] { return queue->status().last_error.starts_with("the server answered 429"); }));
  server.answer(401);
  ASSERT_TRUE(eventually([&] { return queue->status().last_error.starts_with("the server answered 401"); }));
  EXPECT_EQ(queue->status().pending_lines, 200U);
  server.answer(204);
  ASSERT_TRUE(eventually([&] { return queue->status().delivered == 200; }));
  EXPECT_EQ(lines_of(server.taken()), all);
  expect_balanced(*queue);
}

TEST_F(LogShip, ATenantThatIsThrottledHoldsUpNobody) {
  server.answer([](const auto&, const auto& request) {
    if (request.headers.get("X-Scope-OrgID") != "slow") return http::ClientResponse{.status = 204};
    http::ClientResponse wait{.status = 429};
    wait.headers.add("Retry-After", "3600");
    return wait;
  });
  auto queue = open();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(append(*queue, {"s" + std::to_string(i)}, "slow"));
    ASSERT_TRUE(append(*queue, {"f" + std::to_string(i)}, "fast"));
  }
  ASSERT_TRUE(eventually([&] { return queue->status().delivered == 10; }));
  EXPECT_EQ(queue->status().pending_lines, 10U);
  EXPECT_EQ(queue->status().tenants, 1U);
  queue->stop(0ms);
  // The fast tenant's lines are not sent again; the slow one's still are.
  queue.reset();
  server.answer(204);
  queue = open();
  ASSERT_TRUE(eventually([&] { return queue->status().pending_lines == 0; }));
  std::multiset<std::string> lines;
  for (const auto& line : lines_of(server.taken())) lines.insert(line);
  EXPECT_EQ(lines.size(), 20U);
  EXPECT_EQ(lines.count("f3"), 1U);
  EXPECT_EQ(lines.count("s3"), 1U);
  EXPECT_EQ(queue->status().delivered, 20U);
}

TEST_F(LogShip, BadLinesAreSingledOut) {
  server.answer([](const std::vector<Seen>& seen, const auto&) {
    for (const auto& one : seen) {
      if (one.line.starts_with("bad")) return http::ClientResponse{.status = 400, .body = "entry too far behind\n"};
    }
    if (seen.size() > 40) return http::ClientResponse{.status = 413};
    return http::ClientResponse{.status = 204};
  });
  auto queue = open();
  std::vector<std::string> lines;
  for (int i = 0; i < 100; ++i) lines.push_back((i % 33 == 7 ? "bad" : "good") + std::to_string(i));
  ASSERT_TRUE(append(*queue, lines, "t"));
  ASSERT_TRUE(eventually([&] { return queue->status().pending_lines == 0; }));
  EXPECT_EQ(queue->status().delivered, 97U);
  EXPECT_EQ(queue->status().dropped, 3U);
  EXPECT_EQ(queue->status().dead_letters, 3U);
  auto wanted = lines;
  std::erase_if(wanted, [](const auto& line) { return line.starts_with("bad"); });
  EXPECT_EQ(lines_of(server.taken()), wanted);
  const auto letters = tocayo::read_file(dir.path("q/dead_letters.jsonl"));
  ASSERT_TRUE(letters);
  EXPECT_NE(letters->find(R"("line":"bad40")"), std::string::npos) << *letters;
  EXPECT_NE(letters->find("entry too far behind"), std::string::npos);
  EXPECT_EQ(registry
                .counter("tocayo_agent_dropped_total", "",
                         {{"destination", "test"}, {"signal", "logs"}, {"reason", "refused"}})
                .value(),
            3);
  expect_balanced(*queue);
}

TEST_F(LogShip, MarksAndLinesComeBackAfterARestart) {
  server.answer(nullptr);
  auto queue = open();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(append(*queue, {"line " + std::to_string(i)}));
  queue.reset();
  queue = open();
  EXPECT_EQ(queue->status().pending_lines, 5U);
  const auto marks = queue->marks_after(2);
  ASSERT_EQ(marks.size(), 3U);
  EXPECT_EQ(marks[0].batch, 3U);
  EXPECT_EQ(marks[2].marks, (LogMarks{{"file 1 2", "to 5"}}));
  EXPECT_TRUE(queue->marks_after(5).empty());
  server.answer(204);
  ASSERT_TRUE(eventually([&] { return queue->status().delivered == 5; }));
}

TEST_F(LogShip, WhatIsNotRememberedIsNotForgotten) {
  auto to = destination();
  to.max_disk = 512 << 10;  // segments of 64 KiB
  auto queue = open(to);
  std::string line(20'000, 'x');
  std::minstd_rand random(1);
  for (int i = 0; i < 40; ++i) {
    for (char& c : line) c = static_cast<char>('a' + random() % 26);
    while (!append(*queue, {line})) std::this_thread::sleep_for(1ms);
  }
  ASSERT_TRUE(eventually([&] { return queue->status().pending_lines == 0; }));
  queue->remembered(batch - 2);
  ASSERT_TRUE(append(*queue, {"last"}));
  ASSERT_TRUE(eventually([&] { return queue->status().pending_lines == 0; }));
  queue->stop(1s);
  queue.reset();
  queue = open(to);
  EXPECT_EQ(queue->marks_after(batch - 3).size(), 3U);
}

TEST_F(LogShip, AFullQueueWaitsOrDropsTheOldest) {
  server.answer(nullptr);
  auto to = destination();
  to.max_disk = 256 << 10;
  std::string noise(30'000, ' ');
  std::minstd_rand random(1);
  const auto next = [&] {
    for (char& c : noise) c = static_cast<char>('!' + random() % 90);
    return noise;
  };
  {
    auto queue = open(to);
    int taken = 0;
    Result<> refused;
    for (int i = 0; i < 40 && refused; ++i) {
      refused = append(*queue, {next()});
      taken += refused ? 1 : 0;
    }
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
    EXPECT_EQ(queue->status().pending_lines, static_cast<std::uint64_t>(taken));
    EXPECT_EQ(queue->status().dropped, 0U);
  }
  to.when_full = WhenFull::drop_oldest;
  auto queue = open(to);
  std::size_t refused = 0;
  for (int i = 0; i < 100; ++i) {
    while (!append(*queue, {next()})) {
      ++refused;
      std::this_thread::sleep_for(1ms);
    }
  }
  EXPECT_LT(refused, 10'000U);
  ASSERT_TRUE(append(*queue, {"the newest"}));
  expect_balanced(*queue);
  EXPECT_GT(queue->status().dropped, 50U);
  EXPECT_LE(queue->status().pending_bytes, to.max_disk * 5 / 4);
  server.answer(204);
  ASSERT_TRUE(eventually([&] { return queue->status().pending_lines == 0; }));
  EXPECT_EQ(server.taken().back().line, "the newest");
  expect_balanced(*queue);
}

// The directory as a power cut at any moment may leave it: every line arrives, and those that arrive twice are the
// same in all, which a store keeps once.
TEST_F(LogShip, ACrashAtAnyMomentLosesNothing) {
  std::minstd_rand random(7);
  server.answer(
      [&](const auto&, const auto&) { return http::ClientResponse{.status = random() % 4 == 0 ? 503 : 204}; });
  auto queue = open();
  std::set<std::string> wanted;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 10; ++i) {
      const std::string line = "r" + std::to_string(round) + " " + std::to_string(i);
      ASSERT_TRUE(append(*queue, {line}, i % 3 == 0 ? "t" : ""));
      wanted.insert(line);
    }
    FixtureTree copy;
    std::error_code code;
    // Files change while they are copied, as they would when the power goes.
    fs::copy(dir.path("q"), copy.path("q"), fs::copy_options::recursive, code);
    queue->stop(0ms);
    queue.reset();
    fs::remove_all(dir.path("q"));
    fs::copy(copy.path("q"), dir.path("q"), fs::copy_options::recursive);
    queue = open();
    batch = std::max<std::uint64_t>(batch, 0);
  }
  server.answer(204);
  ASSERT_TRUE(eventually([&] { return queue->status().pending_lines == 0; }));
  std::set<std::string> got;
  std::set<Seen> once;
  for (const auto& one : server.taken()) {
    got.insert(one.line);
    once.insert(one);
  }
  EXPECT_EQ(got, wanted);
  EXPECT_EQ(once.size(), wanted.size());
}

TEST(LogRecordTest, DamageIsNoticed) {
  const Labels labels{{"job", "a"}};
  const std::vector<Label> metadata{{"m", "v"}};
  std::vector<ShipLine> rows;
  for (int i = 0; i < 20; ++i)
    rows.push_back(
        {.tenant = i % 2 == 0 ? "" : "t", .labels = &labels, .time = i, .text = "line", .metadata = metadata});
  const auto record = encode_log_record(7, {{"k", "v"}}, rows, {});
  const auto head = decode_log_head(record);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->batch, 7U);
  ASSERT_EQ(head->tenants.size(), 2U);
  EXPECT_EQ(head->tenants[1].tenant, "t");
  EXPECT_EQ(head->tenants[1].lines, 10U);
  EXPECT_EQ(head->tenants[1].max_time, 19);
  auto decoded = decode_log_rows(record, "t");
  ASSERT_TRUE(decoded);
  EXPECT_EQ((*decoded)->entries.size(), 10U);
  EXPECT_EQ((*decoded)->streams.size(), 1U);
  for (std::size_t size = 0; size < record.size(); ++size) EXPECT_FALSE(decode_log_rows(record.substr(0, size), "t"));
  for (std::size_t i = 0; i < record.size(); ++i) {
    auto damaged = record;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x5a);
    auto rows_of = decode_log_rows(damaged, "t");
    if (rows_of) (void)encode_push_request({});
  }
}

}  // namespace
}  // namespace tocayo::agent
