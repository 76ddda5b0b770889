// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "agent/ship/queue_files.h"
#include "agent/ship/ship_queue.h"
#include "agent/ship/testing.h"
#include "core/text.h"

namespace tocayo::agent {
namespace {

namespace fs = std::filesystem;
using metrics::RemoteWriteVersion;
using Seen = SeenSample;

class Ship : public ::testing::Test {
 protected:
  std::unique_ptr<ShipQueue> open(Destination to) {
    ShipQueueOptions options;
    options.dir = dir.path("q");
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

  FixtureTree dir;
  FakeServer<Seen> server{read_samples};
  Registry registry;
};

TEST_F(Ship, DeliversInOrderPerSeriesOverSeveralLanes) {
  auto to = near_destination();
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
  auto queue = open(near_destination());
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
  auto queue = open(near_destination());
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
  auto queue = open(near_destination());
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
  auto queue = open(near_destination());
  ASSERT_TRUE(append(*queue, 100, 1000));
  ASSERT_TRUE(eventually([&] { return queue->status().pending_rows == 0; }));
  EXPECT_EQ(server.taken().size(), 98U);
  auto status = queue->status();
  EXPECT_EQ(status.dropped, 2U);
  EXPECT_EQ(status.dead_letters, 2U);
  expect_balance(status, 100);
  std::string letters = *tocayo::read_file(dir.path("q/dead_letters.jsonl"));
  EXPECT_EQ(std::count(letters.begin(), letters.end(), '\n'), 2);
  EXPECT_NE(letters.find("\"i\":\"17\""), std::string::npos) << letters;
  EXPECT_NE(letters.find("the server answered 400: bad label\""), std::string::npos) << letters;
  EXPECT_NE(registry.to_text().find(
                "tocayo_agent_dropped_total{destination=\"test\",reason=\"refused\",signal=\"metrics\"} 2"),
            std::string::npos);
}

TEST_F(Ship, GivesUpTakingApartWhatIsAllPoison) {
  server.answer(400);
  auto to = near_destination();
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
  auto queue = open(near_destination());
  ASSERT_TRUE(append(*queue, 50, 1000));
  EXPECT_TRUE(eventually([&] { return server.taken().size() == 50; }));
  EXPECT_EQ(queue->status().dropped, 0U);
}

TEST_F(Ship, ResumesAtTheCursorAfterARestart) {
  server.answer(503);
  {
    auto queue = open(near_destination());
    for (TimestampMs time = 1; time <= 30; ++time) ASSERT_TRUE(append(*queue, 10, time * 1000));
    EXPECT_TRUE(eventually([&] { return server.requests() > 2; }));
  }
  EXPECT_TRUE(server.taken().empty());
  server.answer(200);
  auto queue = open(near_destination());
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
  queue = open(near_destination());
  ASSERT_TRUE(append(*queue, 1, 99'000));
  EXPECT_TRUE(eventually([&] { return server.taken().size() == 301; }));
  EXPECT_EQ(server.requests(), before + 1);
  EXPECT_EQ(queue->status().delivered, 301U);
}

TEST_F(Ship, ACursorBehindTheJournalOrDamagedLosesNothing) {
  server.answer(503);
  {
    auto queue = open(near_destination());
    ASSERT_TRUE(append(*queue, 5, 1000));
  }
  ASSERT_TRUE(save_cursor(dir.path("q/cursor"), {1'000'000'000, 7, 0, {}, {}}));
  {
    server.answer(200);
    auto queue = open(near_destination());
    ASSERT_TRUE(append(*queue, 5, 2000));
    ASSERT_TRUE(eventually([&] { return server.taken().size() == 5; })) << "rows behind the lost end of the journal";
  }
  std::ofstream(dir.path("q/cursor")) << "cursor 1 16 0 0 crc 00000000\n";
  EXPECT_FALSE(load_cursor(dir.path("q/cursor")));
  auto queue = open(near_destination());
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
    Destination to = near_destination();
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
  auto queue = open(near_destination());
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
  FixtureTree copy;
  std::size_t handed_in = 0;
  auto send = [&](int count) {
    auto queue = open(near_destination());
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(append(*queue, 3, static_cast<TimestampMs>(++handed_in)));
      ASSERT_TRUE(eventually([&] { return queue->status().pending_bytes == 0; }));
    }
  };
  send(2);
  fs::copy(dir.path("q"), copy.path("q"), fs::copy_options::recursive);
  send(3);
  fs::remove_all(dir.path("q"));
  fs::copy(copy.path("q"), dir.path("q"), fs::copy_options::recursive);
  std::size_t before = server.taken().size();
  send(1);
  EXPECT_EQ(server.taken().size(), before + 3) << "new rows are not taken for repeated ones";
  EXPECT_EQ(numbering.queues.size(), 2U);
}

TEST_F(Ship, WhatWasDroppedIsToldAfterRecovery) {
  server.answer(503);
  Destination to = near_destination();
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
  EXPECT_TRUE(fs::exists(dir.path("q/gaps")));
}

TEST_F(Ship, OverTheBudgetTheOldestGoAndAreCounted) {
  server.answer(503);
  auto to = near_destination();
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
  for (const auto& file : fs::recursive_directory_iterator(dir.path("q"))) {
    if (file.is_regular_file()) disk += file.file_size();
  }
  EXPECT_LE(disk, to.queue.max_disk * 3 / 2);
}

TEST_F(Ship, BlockRefusesNewRowsAndKeepsTheOld) {
  server.answer(503);
  auto to = near_destination();
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
  auto to = near_destination();
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
  auto to = near_destination();
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
  auto queue = open(near_destination());
  ASSERT_TRUE(append(*queue, 2, 1000));
  EXPECT_TRUE(eventually([&] { return server.requests() > 0; }));
  auto other = near_destination();
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

}  // namespace
}  // namespace tocayo::agent
