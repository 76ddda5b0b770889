// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <random>
#include <thread>

#include "agent/ship/destination.h"
#include "agent/ship/queue_files.h"
#include "agent/ship/request.h"
#include "agent/ship/ship_queue.h"
#include "core/text.h"
#include "metrics/ingest_rows.h"
#include "metrics/remote_write.h"
#include "metrics/snappy_block.h"

namespace tocayo::agent {
namespace {

using metrics::RemoteWriteVersion;

class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tocayo-ship-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

bool eventually(const std::function<bool()>& condition) {
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

struct Seen {
  Labels labels;
  TimestampMs time;
  double value;
};

// A server in-process: says for each request what to answer, and keeps the samples of those it took.
class FakeServer final : public http::Client {
 public:
  using Answer = std::function<Result<http::ClientResponse>(const std::vector<Seen>&, const http::ClientRequest&)>;

  Task<Result<http::ClientResponse>> send(http::ClientRequest request, Context) override {
    std::vector<Seen> seen = read(request);
    std::lock_guard lock(mutex_);
    ++requests_;
    last_ = request;
    auto response = answer_(seen, request);
    if (response && response->status / 100 == 2) taken_.insert(taken_.end(), seen.begin(), seen.end());
    co_return response;
  }
  void answer(Answer answer) {
    std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
  }
  void answer(int status) {
    answer([status](auto&, auto&) { return http::ClientResponse{.status = status}; });
  }
  std::vector<Seen> taken() const {
    std::lock_guard lock(mutex_);
    return taken_;
  }
  std::size_t requests() const {
    std::lock_guard lock(mutex_);
    return requests_;
  }
  http::ClientRequest last() const {
    std::lock_guard lock(mutex_);
    return last_;
  }

 private:
  static std::vector<Seen> read(const http::ClientRequest& request) {
    std::string body;
    EXPECT_TRUE(metrics::snappy_block_decode(request.body, 64 << 20, body));
    bool v2 = request.headers.get("Content-Type").find("v2.Request") != std::string_view::npos;
    metrics::IngestLimits limits;
    metrics::IngestRows rows;
    rows.reset(limits, Clock::system().now_ms());
    EXPECT_TRUE(metrics::decode_remote_write(v2 ? RemoteWriteVersion::v2 : RemoteWriteVersion::v1, body, rows));
    std::vector<Seen> seen;
    for (const auto& series : rows.batch().series) {
      for (const auto& row : series.floats) seen.push_back({*series.labels, row.time, row.value});
    }
    return seen;
  }

  mutable std::mutex mutex_;
  Answer answer_ = [](auto&, auto&) { return http::ClientResponse{.status = 204}; };
  std::vector<Seen> taken_;
  std::size_t requests_ = 0;
  http::ClientRequest last_;
};

Destination destination() {
  Destination out;
  out.name = "test";
  out.url = "http://server.example/api/v1/push";
  out.queue.batch_send_deadline = std::chrono::milliseconds(5);
  out.queue.min_backoff = std::chrono::milliseconds(1);
  out.queue.max_backoff = std::chrono::milliseconds(5);
  return out;
}

class Ship : public ::testing::Test {
 protected:
  std::unique_ptr<ShipQueue> open(Destination to) {
    ShipQueueOptions options;
    options.dir = dir.path;
    auto queue = ShipQueue::open(options, std::move(to), server, registry);
    EXPECT_TRUE(queue) << queue.error().message;
    return std::move(*queue);
  }
  // One row of each of `series` series, at `time`.
  static bool append(ShipQueue& queue, std::size_t series, TimestampMs time) {
    std::vector<Labels> labels;
    std::vector<metrics::FloatRow> rows;
    std::vector<metrics::SeriesRows> batch(series);
    for (std::size_t i = 0; i < series; ++i) {
      labels.push_back(
          {{"__name__", "m"}, {"i", std::to_string(i)}, {"instance", "host-with-a-long-name.example.com"}});
      rows.push_back({time, static_cast<double>(time) + static_cast<double>(i)});
    }
    for (std::size_t i = 0; i < series; ++i) {
      batch[i].labels = &labels[i];
      batch[i].floats = std::span(&rows[i], 1);
    }
    return sync_wait(queue.append("anonymous", {batch, {}})).has_value();
  }
  static void expect_balance(const QueueStatus& status, std::uint64_t handed_in) {
    EXPECT_EQ(status.delivered + status.dropped + status.pending_rows, handed_in)
        << status.delivered << " delivered, " << status.dropped << " dropped, " << status.pending_rows << " pending";
  }

  TempDir dir;
  FakeServer server;
  Registry registry;
};

TEST_F(Ship, DeliversInOrderPerSeriesOverSeveralLanes) {
  auto to = destination();
  to.queue.max_samples_per_send = 7;
  to.queue.min_shards = 4;
  auto queue = open(to);
  for (TimestampMs time = 1; time <= 50; ++time) ASSERT_TRUE(append(*queue, 20, time * 1000));
  ASSERT_TRUE(eventually([&] { return server.taken().size() == 1000; })) << server.taken().size();
  std::map<std::string, TimestampMs> last;
  for (const Seen& seen : server.taken()) {
    TimestampMs& before = last[std::string(seen.labels.get("i"))];
    EXPECT_EQ(seen.time, before + 1000) << seen.labels.to_string();
    before = seen.time;
  }
  EXPECT_TRUE(eventually([&] { return queue->status().pending_bytes == 0; }));
  EXPECT_EQ(queue->status().delivered, 1000U);
  expect_balance(queue->status(), 1000);
}

TEST_F(Ship, RetriesServerErrorsNetworkErrorsAndRateLimitsForEver) {
  int turn = 0;
  server.answer([&turn](auto&, auto&) -> Result<http::ClientResponse> {
    switch (turn++ % 9) {
      case 0: return fail(ErrorKind::unavailable, "connection refused");
      case 1: return http::ClientResponse{.status = 503};
      case 2: return http::ClientResponse{.status = 429};
      case 3: return http::ClientResponse{.status = 401};
      case 4: return http::ClientResponse{.status = 404};
      case 5: return fail(ErrorKind::timeout, "too slow");
      case 6: return http::ClientResponse{.status = 500};
      case 7: return http::ClientResponse{.status = 415};
      default: return http::ClientResponse{.status = 200};
    }
  });
  auto queue = open(destination());
  ASSERT_TRUE(append(*queue, 3, 1000));
  ASSERT_TRUE(eventually([&] { return server.taken().size() == 3; }));
  EXPECT_TRUE(eventually([&] { return queue->status().pending_rows == 0; }));
  auto status = queue->status();
  EXPECT_EQ(status.retries, 8U);
  EXPECT_EQ(status.dropped, 0U);
  EXPECT_EQ(status.delivered, 3U);
}

TEST_F(Ship, AttemptsThatReachedNoServerAreNotHeldAgainstIt) {
  int turn = 0;
  std::vector<std::string> told;
  server.answer([&](auto&, const http::ClientRequest& request) -> Result<http::ClientResponse> {
    told.emplace_back(request.headers.get("Retry-Attempt"));
    if (turn++ < 5) return fail(ErrorKind::unavailable, "connection refused");
    return http::ClientResponse{.status = turn <= 7 ? 503 : 200};
  });
  auto queue = open(destination());
  ASSERT_TRUE(append(*queue, 1, 1000));
  ASSERT_TRUE(eventually([&] { return server.taken().size() == 1; }));
  EXPECT_EQ(told, (std::vector<std::string>{"", "", "", "", "", "", "1", "2"}));
}

TEST_F(Ship, HonoursRetryAfter) {
  std::chrono::steady_clock::time_point first{};
  server.answer([&first](auto&, auto&) -> Result<http::ClientResponse> {
    auto now = std::chrono::steady_clock::now();
    if (first == std::chrono::steady_clock::time_point{}) {
      first = now;
      http::ClientResponse response{.status = 429};
      response.headers.add("retry-after", "1");
      return response;
    }
    EXPECT_GE(now - first, std::chrono::seconds(1));
    return http::ClientResponse{.status = 200};
  });
  auto queue = open(destination());
  ASSERT_TRUE(append(*queue, 1, 1000));
  EXPECT_TRUE(eventually([&] { return server.taken().size() == 1; }));
  EXPECT_EQ(server.requests(), 2U);
  EXPECT_EQ(parse_retry_after("120", 0), std::chrono::seconds(120));
  EXPECT_EQ(parse_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 10'000), std::chrono::seconds(50));
  EXPECT_EQ(parse_retry_after("soon", 0), std::chrono::milliseconds(0));
  EXPECT_EQ(parse_retry_after("-5", 0), std::chrono::milliseconds(0));
}

TEST_F(Ship, IsolatesPoisonAndDeliversTheRest) {
  server.answer([](const std::vector<Seen>& rows, auto&) -> Result<http::ClientResponse> {
    for (const Seen& row : rows) {
      if (row.labels.get("i") == "17" || row.labels.get("i") == "63")
        return http::ClientResponse{.status = 400, .body = "bad label\nmore"};
    }
    return http::ClientResponse{.status = 200};
  });
  auto queue = open(destination());
  ASSERT_TRUE(append(*queue, 100, 1000));
  ASSERT_TRUE(eventually([&] { return queue->status().pending_rows == 0; }));
  EXPECT_EQ(server.taken().size(), 98U);
  auto status = queue->status();
  EXPECT_EQ(status.dropped, 2U);
  EXPECT_EQ(status.dead_letters, 2U);
  expect_balance(status, 100);
  std::string letters = *read_file(dir.path + "/dead_letters.jsonl");
  EXPECT_EQ(std::count(letters.begin(), letters.end(), '\n'), 2);
  EXPECT_NE(letters.find("\"i\":\"17\""), std::string::npos) << letters;
  EXPECT_NE(letters.find("the server answered 400: bad label\""), std::string::npos) << letters;
  EXPECT_NE(registry.to_text().find(
                "tocayo_agent_dropped_total{destination=\"test\",reason=\"refused\",signal=\"metrics\"} 2"),
            std::string::npos);
}

TEST_F(Ship, GivesUpTakingApartWhatIsAllPoison) {
  server.answer(400);
  auto to = destination();
  to.queue.max_samples_per_send = 2000;
  auto queue = open(to);
  ASSERT_TRUE(append(*queue, 2000, 1000));
  ASSERT_TRUE(eventually([&] { return queue->status().pending_rows == 0; }));
  EXPECT_EQ(queue->status().dropped, 2000U);
  EXPECT_LT(server.requests(), 200U);
}

TEST_F(Ship, ATooLargeRequestIsHalvedWithoutLoss) {
  server.answer(
      [](const std::vector<Seen>& rows, auto&) { return http::ClientResponse{.status = rows.size() > 3 ? 413 : 200}; });
  auto queue = open(destination());
  ASSERT_TRUE(append(*queue, 50, 1000));
  EXPECT_TRUE(eventually([&] { return server.taken().size() == 50; }));
  EXPECT_EQ(queue->status().dropped, 0U);
}

TEST_F(Ship, ResumesAtTheCursorAfterARestart) {
  server.answer(503);
  {
    auto queue = open(destination());
    for (TimestampMs time = 1; time <= 30; ++time) ASSERT_TRUE(append(*queue, 10, time * 1000));
    EXPECT_TRUE(eventually([&] { return server.requests() > 2; }));
  }
  EXPECT_TRUE(server.taken().empty());
  server.answer(200);
  auto queue = open(destination());
  ASSERT_TRUE(eventually([&] { return queue->status().pending_bytes == 0; }));
  auto taken = server.taken();
  EXPECT_EQ(taken.size(), 300U);
  std::map<std::pair<std::string, TimestampMs>, int> times;
  for (const Seen& seen : taken) ++times[{std::string(seen.labels.get("i")), seen.time}];
  EXPECT_EQ(times.size(), 300U);
  expect_balance(queue->status(), 300);
  // And what is settled stays settled.
  queue.reset();
  std::size_t before = server.requests();
  queue = open(destination());
  ASSERT_TRUE(append(*queue, 1, 99'000));
  EXPECT_TRUE(eventually([&] { return server.taken().size() == 301; }));
  EXPECT_EQ(server.requests(), before + 1);
  EXPECT_EQ(queue->status().delivered, 301U);
}

TEST_F(Ship, ACursorBehindTheJournalOrDamagedLosesNothing) {
  server.answer(503);
  {
    auto queue = open(destination());
    ASSERT_TRUE(append(*queue, 5, 1000));
  }
  ASSERT_TRUE(save_cursor(dir.path + "/cursor", {1'000'000'000, 7, 0, {}, {}}));
  {
    server.answer(200);
    auto queue = open(destination());
    ASSERT_TRUE(append(*queue, 5, 2000));
    ASSERT_TRUE(eventually([&] { return server.taken().size() == 5; })) << "rows behind the lost end of the journal";
  }
  std::ofstream(dir.path + "/cursor") << "cursor 1 16 0 0 crc 00000000\n";
  EXPECT_FALSE(load_cursor(dir.path + "/cursor"));
  auto queue = open(destination());
  EXPECT_TRUE(eventually([&] { return server.taken().size() == 15; }))
      << "sent again rather than lost: " << server.taken().size();
}

// What a Tocayo server does with the numbers of requests, in short (metrics/api/sequence.h).
class NumberingServer {
 public:
  // The answer of `take` to a request that was not acknowledged before.
  http::ClientResponse answer(const http::ClientRequest& request, std::size_t rows) {
    http::ClientResponse response;
    char queue[33] = {};
    unsigned long long window = 0, nonce = 0, lane = 0, begin = 0, end = 0;
    EXPECT_EQ(std::sscanf(std::string(request.headers.get("X-Tocayo-Sequence")).c_str(),
                          "queue=%32[0-9a-f]; window=%llu; nonce=%llx; lane=%llu; begin=%llu; end=%llu", queue, &window,
                          &nonce, &lane, &begin, &end),
              6);
    EXPECT_EQ(end - begin, std::max<std::size_t>(1, rows));
    State& state = queues[queue];
    if (window > state.window) state = {window, nonce, {}};
    bool behind = window < state.window || nonce != state.nonce;
    bool repeated = !behind && end <= state.lanes[lane];
    bool partly = !behind && !repeated && begin < state.lanes[lane];
    if (partly) behind = true;
    if (!behind) state.lanes[lane] = std::max<std::uint64_t>(state.lanes[lane], end);
    for (const auto& [name, value] : request.headers) {
      if (name == "X-Tocayo-Gap") gaps.push_back(value);
    }
    response.status = behind ? 409 : 204;
    response.headers.add("X-Tocayo-Sequence", partly ? "partly" : behind ? "behind" : repeated ? "repeated" : "ok");
    if (!behind) response.headers.add("X-Tocayo-Gaps-Recorded", std::to_string(record_gaps ? 99 : 0));
    if (repeated) ++repeats;
    fresh = !behind && !repeated;
    return response;
  }
  struct State {
    std::uint64_t window = 0, nonce = 0;
    std::map<std::uint64_t, std::uint64_t> lanes;
  };
  std::map<std::string, State> queues;
  std::vector<std::string> gaps;
  bool record_gaps = true, fresh = false;
  int repeats = 0;
};

// Restarts, lost acknowledgements, refusals for a moment and new settings, at random: each row is taken exactly once.
TEST_F(Ship, ANumberingServerTakesEachRowExactlyOnce) {
  std::mt19937 random(7), luck(8);  // the second is the server's, on the sender's thread
  NumberingServer numbering;
  std::map<std::pair<std::string, TimestampMs>, int> taken;
  server.answer([&](const std::vector<Seen>& seen, const http::ClientRequest& request) -> Result<http::ClientResponse> {
    unsigned dice = luck() % 6;
    if (dice == 0) return http::ClientResponse{.status = 503};  // not taken
    if (dice == 1 && seen.size() > 1) return http::ClientResponse{.status = 413};
    auto response = numbering.answer(request, seen.size());
    if (numbering.fresh) {
      for (const Seen& one : seen) ++taken[{std::string(one.labels.get("i")), one.time}];
    }
    if (dice == 2) return fail(ErrorKind::unavailable, "the connection broke before the answer");
    return response;
  });
  std::uint64_t handed_in = 0;
  TimestampMs time = 0;
  for (int round = 0; round < 40; ++round) {
    Destination to = destination();
    to.queue.max_samples_per_send = 5 + random() % 40;
    to.queue.min_shards = 1 + random() % 4;
    auto queue = open(to);
    for (unsigned i = 0, count = random() % 8; i < count; ++i) {
      std::size_t series = 1 + random() % 30;
      ASSERT_TRUE(append(*queue, series, ++time));
      handed_in += series;
    }
    std::size_t requests = server.requests() + random() % 5;
    eventually([&] { return server.requests() >= requests || queue->status().pending_bytes == 0; });
    queue->stop(std::chrono::milliseconds(0));  // in the middle of things
  }
  auto queue = open(destination());
  ASSERT_TRUE(append(*queue, 1, ++time));
  ++handed_in;
  ASSERT_TRUE(eventually([&] { return queue->status().pending_bytes == 0; }));
  expect_balance(queue->status(), handed_in);
  EXPECT_EQ(queue->status().delivered, handed_in);
  EXPECT_EQ(taken.size(), handed_in);
  for (const auto& [row, times] : taken) ASSERT_EQ(times, 1) << row.first << " at " << row.second;
  EXPECT_GT(numbering.repeats, 10);
  EXPECT_TRUE(queue->status().numbered);
  EXPECT_EQ(numbering.queues.size(), 1U) << "one name for the life of the queue";
}

TEST_F(Ship, APutBackDirectoryTakesAnotherName) {
  NumberingServer numbering;
  server.answer([&](const std::vector<Seen>& seen, const http::ClientRequest& request) -> Result<http::ClientResponse> {
    return numbering.answer(request, seen.size());
  });
  TempDir copy;
  std::size_t handed_in = 0;
  auto send = [&](int count) {
    auto queue = open(destination());
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(append(*queue, 3, static_cast<TimestampMs>(++handed_in)));
      ASSERT_TRUE(eventually([&] { return queue->status().pending_bytes == 0; }));
    }
  };
  send(2);
  std::filesystem::copy(dir.path, copy.path, std::filesystem::copy_options::recursive);
  send(3);
  std::filesystem::remove_all(dir.path);
  std::filesystem::copy(copy.path, dir.path, std::filesystem::copy_options::recursive);
  std::size_t before = server.taken().size();
  send(1);
  EXPECT_EQ(server.taken().size(), before + 3) << "new rows are not taken for repeated ones";
  EXPECT_EQ(numbering.queues.size(), 2U);
}

TEST_F(Ship, WhatWasDroppedIsToldAfterRecovery) {
  server.answer(503);
  Destination to = destination();
  to.queue.max_disk = 64 << 10;
  NumberingServer numbering;
  {
    auto queue = open(to);
    TimestampMs time = 1'000'000;
    while (queue->status().dropped == 0) ASSERT_TRUE(append(*queue, 200, ++time) || queue->status().dropped > 0);
    EXPECT_EQ(queue->status().untold_gaps, 1U);
  }
  auto queue = open(to);
  EXPECT_EQ(queue->status().untold_gaps, 1U) << "known after a restart";
  numbering.record_gaps = false;  // at first the server cannot
  server.answer([&](const std::vector<Seen>& seen, const http::ClientRequest& request) -> Result<http::ClientResponse> {
    return numbering.answer(request, seen.size());
  });
  ASSERT_TRUE(eventually([&] { return queue->status().pending_bytes == 0; }));
  // The server makes itself known with its first answer; the gap goes with the next request.
  ASSERT_TRUE(append(*queue, 1, 3'000'000));
  ASSERT_TRUE(eventually([&] { return queue->status().pending_bytes == 0; }));
  EXPECT_EQ(queue->status().untold_gaps, 1U);
  numbering.record_gaps = true;
  ASSERT_TRUE(append(*queue, 1, 3'000'001));
  ASSERT_TRUE(eventually([&] { return queue->status().untold_gaps == 0; }));
  ASSERT_GE(numbering.gaps.size(), 2U);
  EXPECT_EQ(numbering.gaps.front(), numbering.gaps.back()) << "told again in the same words";
  EXPECT_NE(numbering.gaps.back().find("reason=queue_full; rows=" + std::to_string(queue->status().dropped) +
                                       "; from=1000001; to="),
            std::string::npos)
      << numbering.gaps.back();
  EXPECT_TRUE(std::filesystem::exists(dir.path + "/gaps"));
}

TEST_F(Ship, OverTheBudgetTheOldestGoAndAreCounted) {
  server.answer(503);
  auto to = destination();
  to.queue.max_disk = 256 << 10;
  auto queue = open(to);
  std::uint64_t handed_in = 0;
  std::minstd_rand random;
  TimestampMs time = 0;
  while (queue->status().dropped == 0 || time < 400) {
    ++time;
    // Values that do not pack, so that the budget is reached soon.
    std::vector<metrics::FloatRow> rows(500);
    for (auto& row : rows) row = {time * 1000 + (&row - rows.data()), static_cast<double>(random()) * 1.7};
    Labels labels{{"__name__", "m"}, {"i", "0"}};
    metrics::SeriesRows series;
    series.labels = &labels;
    series.floats = rows;
    (void)sync_wait(queue->append("anonymous", {std::span(&series, 1), {}}));
    handed_in += rows.size();
    ASSERT_LT(time, 5000);
  }
  auto status = queue->status();
  EXPECT_LE(status.pending_bytes, to.queue.max_disk * 5 / 4);
  server.answer(200);
  ASSERT_TRUE(eventually([&] { return queue->status().pending_bytes == 0; }));
  status = queue->status();
  expect_balance(status, handed_in);
  EXPECT_EQ(status.pending_rows, 0U);
  EXPECT_GT(status.dropped, 0U);
  auto taken = server.taken();
  EXPECT_EQ(taken.size(), status.delivered);
  EXPECT_EQ(taken.back().time / 1000, time) << "the newest rows are there";
  EXPECT_NE(registry.to_text().find("reason=\"queue_full\""), std::string::npos);
  std::uint64_t disk = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(dir.path)) {
    if (file.is_regular_file()) disk += file.file_size();
  }
  EXPECT_LE(disk, to.queue.max_disk * 3 / 2);
}

TEST_F(Ship, BlockRefusesNewRowsAndKeepsTheOld) {
  server.answer(503);
  auto to = destination();
  to.queue.max_disk = 64 << 10;
  to.queue.when_full = WhenFull::block;
  auto queue = open(to);
  std::uint64_t handed_in = 0;
  TimestampMs time = 0;
  bool refused = false;
  while (!refused && time < 5000) {
    refused = !append(*queue, 100, ++time * 1000);
    handed_in += 100;
  }
  ASSERT_TRUE(refused);
  server.answer(200);
  ASSERT_TRUE(eventually([&] { return queue->status().pending_bytes == 0; }));
  EXPECT_EQ(server.taken().front().time, 1000);
  expect_balance(queue->status(), handed_in);
  EXPECT_EQ(queue->status().dropped, 100U);
  EXPECT_TRUE(append(*queue, 100, ++time * 1000)) << "there is room again";
}

TEST_F(Ship, VersionTwoFallsBackToOne) {
  server.answer([](auto&, const http::ClientRequest& request) {
    bool v2 = request.headers.get("X-Prometheus-Remote-Write-Version") == "2.0.0";
    return http::ClientResponse{.status = v2 ? 415 : 204};
  });
  auto to = destination();
  to.version = RemoteWriteVersion::v2;
  to.negotiate = true;
  auto queue = open(to);
  EXPECT_EQ(queue->status().protocol, "2.0");
  ASSERT_TRUE(append(*queue, 4, 1000));
  EXPECT_TRUE(eventually([&] { return server.taken().size() == 4; }));
  EXPECT_EQ(server.requests(), 2U);
  EXPECT_EQ(queue->status().protocol, "1.0");
  EXPECT_EQ(queue->status().dropped, 0U);
}

TEST_F(Ship, OldRowsAreLeftOutWhenAskedTo) {
  auto to = destination();
  to.queue.sample_age_limit = std::chrono::hours(1);
  auto queue = open(to);
  ASSERT_TRUE(append(*queue, 3, 1000));
  ASSERT_TRUE(append(*queue, 3, Clock::system().now_ms()));
  ASSERT_TRUE(eventually([&] { return queue->status().pending_rows == 0; }));
  EXPECT_EQ(server.taken().size(), 3U);
  EXPECT_EQ(queue->status().dropped, 3U);
}

TEST_F(Ship, ReconfigureChangesUrlAndKeepsTheQueue) {
  server.answer(503);
  auto queue = open(destination());
  ASSERT_TRUE(append(*queue, 2, 1000));
  EXPECT_TRUE(eventually([&] { return server.requests() > 0; }));
  auto other = destination();
  other.url = "http://other.example/write";
  other.headers["X-Scope-OrgID"] = "blue";
  other.http.has_authorization = true;
  other.http.authorization = "tcy_x";
  queue->reconfigure(other);
  server.answer(200);
  ASSERT_TRUE(eventually([&] { return server.taken().size() == 2; }));
  EXPECT_EQ(server.last().headers.get("X-Scope-OrgID"), server.last().url == other.url ? "blue" : "");
  ASSERT_TRUE(append(*queue, 2, 2000));
  ASSERT_TRUE(eventually([&] { return server.taken().size() == 4; }));
  EXPECT_EQ(server.last().url, other.url);
  EXPECT_EQ(server.last().headers.get("Authorization"), "Bearer tcy_x");
}

// --- records and requests ---

struct Everything {
  Labels labels{{"__name__", "requests_total"}, {"job", "a"}};
  Labels second{{"__name__", "latency"}, {"job", "a"}, {"zone", "z"}};
  std::vector<metrics::FloatRow> floats{{1000, 1.5, 900}, {2000, metrics::kStaleNaN, 0}};
  std::vector<metrics::HistogramRow> histograms;
  std::vector<metrics::ExemplarRow> exemplars{{Labels{{"trace_id", "abc"}}, 3.5, 1500}};
  std::vector<metrics::MetadataRow> metadata{{"requests", "counter", "How many.", ""},
                                             {"latency", "histogram", "How long.", "seconds"}};
  std::vector<metrics::SeriesRows> series;

  Everything() {
    auto histogram = std::make_shared<metrics::FloatHistogram>();
    histogram->schema = 1;
    histogram->zero_threshold = 0.001;
    histogram->zero_count = 1;
    histogram->count = 6;
    histogram->sum = 12.5;
    histogram->positive_spans = {{0, 2}};
    histogram->positive_buckets = {2, 1};
    histogram->negative_spans = {{1, 1}};
    histogram->negative_buckets = {2};
    auto fraction = std::make_shared<metrics::FloatHistogram>(*histogram);
    fraction->count = 6.5;
    fraction->zero_count = 1.5;
    fraction->hint = metrics::ResetHint::gauge;
    auto custom = std::make_shared<metrics::FloatHistogram>();
    custom->schema = metrics::kCustomBucketsSchema;
    custom->custom_values = {0.5, 1};
    custom->positive_spans = {{0, 3}};
    custom->positive_buckets = {1, 2, 3};
    custom->count = 6;
    custom->sum = 4;
    histograms = {{1000, histogram, true, 500}, {2000, fraction, false, 0}, {3000, custom, true, 0}};
    series.resize(2);
    series[0].labels = &labels;
    series[0].floats = floats;
    series[0].exemplars = exemplars;
    series[1].labels = &second;
    series[1].histograms = histograms;
  }
  metrics::AppendBatch batch() { return {series, metadata}; }
};

TEST(ShipRecord, EverythingComesBack) {
  Everything all;
  std::string record;
  RecordHead head = encode_record(all.batch(), {}, record);
  EXPECT_EQ(head.rows, 6U);
  EXPECT_EQ(head.min_time, 1000);
  EXPECT_EQ(head.max_time, 3000);
  EXPECT_EQ(decode_head(record)->rows, 6U);
  auto rows = decode_record(record);
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ((*rows)->series.size(), 2U);
  EXPECT_EQ((*rows)->label_set((*rows)->series[1].label_begin, (*rows)->series[1].label_count), all.second);
  EXPECT_EQ((*rows)->floats[0].start_time, 900);
  EXPECT_TRUE(metrics::is_stale((*rows)->floats[1].value));
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE((*rows)->histograms[i].histogram->equals(*all.histograms[i].histogram)) << i;
    EXPECT_EQ((*rows)->histograms[i].integer, all.histograms[i].integer);
    EXPECT_EQ((*rows)->histograms[i].start_time, all.histograms[i].start_time);
  }
  EXPECT_EQ((*rows)->metadata[1].unit, "seconds");
}

TEST(ShipRecord, NoTruncationOrBitFlipGetsThrough) {
  Everything all;
  std::string record;
  encode_record(all.batch(), {}, record);
  for (std::size_t size = 0; size < record.size(); ++size) EXPECT_FALSE(decode_record(record.substr(0, size))) << size;
  std::minstd_rand random(7);
  for (int round = 0; round < 3000; ++round) {
    std::string damaged = record;
    damaged[random() % damaged.size()] ^= static_cast<char>(1 + random() % 255);
    if (auto rows = decode_record(damaged)) {  // may read; then what it names must exist
      for (std::uint32_t symbol : (*rows)->labels) ASSERT_LT(symbol, (*rows)->symbols.size());
    }
  }
}

TEST(ShipRecord, ExternalLabelsAndRelabelling) {
  Everything all;
  auto parsed = parse_remote_write(
      "global: {external_labels: {job: other, cluster: c1}}\n"
      "remote_write:\n- url: http://x/write\n  write_relabel_configs: [{source_labels: [__name__], regex: latency, "
      "action: drop}]\n",
      "f.yaml", "");
  ASSERT_TRUE(parsed) << parsed.error().message;
  std::string record;
  RecordHead head = encode_record(all.batch(), (*parsed)[0].rules, record);
  EXPECT_EQ(head.rows, 2U) << "exemplars are off by default";
  auto rows = decode_record(record);
  ASSERT_EQ((*rows)->series.size(), 1U);
  EXPECT_EQ((*rows)->label_set(0, (*rows)->series[0].label_count),
            Labels({{"__name__", "requests_total"}, {"cluster", "c1"}, {"job", "a"}}));
}

void expect_decodes(RemoteWriteVersion version) {
  Everything all;
  std::string record;
  encode_record(all.batch(), {}, record);
  auto rows = decode_record(record);
  std::vector<Item> items;
  for (std::uint32_t i = 0; i < 2; ++i) {
    const auto& series = (*rows)->series[i];
    items.push_back({rows->get(), i, series.float_begin, series.float_count, series.histogram_begin,
                     series.histogram_count, series.exemplar_begin, series.exemplar_count});
  }
  MetadataTable table;
  for (const auto& row : all.metadata) table[row.metric] = row;
  metrics::IngestLimits limits;
  metrics::IngestRows out;
  out.reset(limits, Clock::system().now_ms());
  auto done = metrics::decode_remote_write(version, encode_request(version, items, table), out);
  ASSERT_TRUE(done) << done.error().message;
  auto batch = out.batch();
  ASSERT_EQ(batch.series.size(), 2U);
  EXPECT_EQ(*batch.series[0].labels, all.labels);
  EXPECT_EQ(*batch.series[1].labels, all.second);
  ASSERT_EQ(batch.series[0].floats.size(), 2U);
  EXPECT_EQ(batch.series[0].floats[0].value, 1.5);
  EXPECT_TRUE(metrics::is_stale(batch.series[0].floats[1].value));
  ASSERT_EQ(batch.series[0].exemplars.size(), 1U);
  EXPECT_EQ(batch.series[0].exemplars[0].labels.get("trace_id"), "abc");
  ASSERT_EQ(batch.series[1].histograms.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(batch.series[1].histograms[i].histogram->equals(*all.histograms[i].histogram)) << i;
    EXPECT_EQ(batch.series[1].histograms[i].integer, all.histograms[i].integer) << i;
  }
  if (version == RemoteWriteVersion::v2) {
    EXPECT_EQ(batch.series[0].floats[0].start_time, 900);
    ASSERT_EQ(batch.metadata.size(), 2U);
    EXPECT_EQ(batch.metadata[0].type, "counter");
  }
}
TEST(ShipRequest, VersionOneIsReadByTheServersDecoder) { expect_decodes(RemoteWriteVersion::v1); }
TEST(ShipRequest, VersionTwoIsReadByTheServersDecoder) { expect_decodes(RemoteWriteVersion::v2); }

TEST(ShipDestination, ReadsPrometheusKeysAndLocatesErrors) {
  auto parsed = parse_remote_write(R"(remote_write:
- url: https://user:pw@obs.example/api/v1/push?x=1
  remote_timeout: 10s
  protobuf_message: io.prometheus.write.v2.Request
  headers: {X-Scope-OrgID: t1}
  basic_auth: {username: u, password: p}
  send_exemplars: true
  queue_config: {min_shards: 2, max_shards: 9, max_samples_per_send: 500, capacity: 2500, batch_send_deadline: 1s, min_backoff: 10ms,
                 max_backoff: 1s, retry_on_http_429: false, sample_age_limit: 2h, max_disk: 1GiB, when_full: block}
  metadata_config: {send: false}
)",
                                   "p.yml", "/etc");
  ASSERT_TRUE(parsed) << parsed.error().message;
  const Destination& to = (*parsed)[0];
  EXPECT_EQ(to.name, "https://obs.example/api/v1/push");
  EXPECT_EQ(to.version, RemoteWriteVersion::v2);
  EXPECT_EQ(to.queue.max_shards, 9U);
  EXPECT_EQ(to.queue.max_disk, 1ULL << 30);
  EXPECT_EQ(to.queue.when_full, WhenFull::block);
  EXPECT_FALSE(to.queue.retry_on_http_429);
  EXPECT_FALSE(to.rules.metadata);
  EXPECT_TRUE(to.rules.exemplars);
  EXPECT_EQ(directory_name(to).find('/'), std::string::npos);
  auto message = [](std::string_view text) {
    auto bad = parse_remote_write(text, "p.yml", "");
    return bad ? std::string("no error") : bad.error().message;
  };
  EXPECT_NE(message("remote_write:\n- url: ftp://x\n").find("p.yml:2:"), std::string::npos)
      << message("remote_write:\n- url: ftp://x\n");
  EXPECT_NE(message("remote_write:\n- url: http://x\n  qeue_config: {}\n").find("did you mean"), std::string::npos);
  EXPECT_NE(message("remote_write:\n- url: http://x\n- url: http://x\n").find("multiple"), std::string::npos);
  EXPECT_NE(message("remote_write:\n- url: http://x\n  headers: {Authorization: x}\n").find("reserved"),
            std::string::npos);
  EXPECT_NE(message("remote_write:\n- url: http://x\n  sigv4: {}\n").find("not supported"), std::string::npos);
  EXPECT_NE(message("remote_write:\n- url: http://x\n  queue_config: {max_shards: 0}\n").find("at least 1"),
            std::string::npos);
}

TEST(ShipDestination, HidesSecretsAndExpandsTheEnvironment) {
  auto text = without_secrets(
      "remote_write:\n- url: http://u:pw@x/y\n  bearer_token: tcy_1\n  headers: {X-Key: abc}\n  basic_auth: {username: "
      "u, password: p1}\n",
      "f");
  ASSERT_TRUE(text);
  for (const char* secret : {"tcy_1", "abc", "p1", "pw"}) EXPECT_EQ(text->find(secret), std::string::npos) << *text;
  EXPECT_NE(text->find("<secret>"), std::string::npos);
  ::setenv("SHIP_TEST_A", "value", 1);
  EXPECT_EQ(expand_environment("a ${SHIP_TEST_A} ${SHIP_TEST_NONE:-else} ${1} ${SHIP_TEST_NONE} $x ${"),
            "a value else ${1} ${SHIP_TEST_NONE} $x ${");
}

}  // namespace
}  // namespace tocayo::agent
