// SPDX-License-Identifier: Apache-2.0
// Acknowledged samples survive kill -9 at any moment and a full disk. Rounds: 8, or 100 with --full.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <boost/json.hpp>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "core/testing.h"
#include "tests/support/remote_write_body.h"
#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

constexpr int kSeries = 40;

double value_of(int writer, int series, std::int64_t time) {
  return static_cast<double>((static_cast<std::int64_t>(writer) * 7919 + series * 104729 + time / 1000) % 1'000'003) /
         7.0;
}

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string batch(int writer, std::int64_t time, int round) {
  std::vector<PushSeries> all;
  for (int i = 0; i < kSeries; ++i) {
    // A tenth of the series is new in every round, so that series records are in every tail.
    std::string generation = i % 10 == 0 ? std::to_string(round) : "0";
    all.push_back({{{"__name__", "fault_samples"},
                    {"generation", generation},
                    {"series", std::to_string(i)},
                    {"writer", std::to_string(writer)}},
                   {{time, value_of(writer, i, time)}}});
  }
  return remote_write_1(all);
}

// What one writer was told and what it does not know about.
struct Ledger {
  std::set<std::int64_t> acknowledged;
  std::set<std::int64_t> unknown;
};

// Checks all samples of a writer in (from, to]: nothing acknowledged is missing, nothing unsent is there, values are
// exact.
void verify(Server& server, int writer, const Ledger& ledger, std::int64_t from, std::int64_t to) {
  std::string query = "fault_samples{writer=\"" + std::to_string(writer) + "\"}[" + std::to_string(to - from) + "ms]";
  auto reply = http_request("POST", server.url("/api/v1/query"),
                            "query=" + url_encode(query) + "&time=" + std::to_string(to / 1000) + "." +
                                std::to_string(1000 + to % 1000).substr(1),
                            {{"Content-Type", "application/x-www-form-urlencoded"}, {"X-Tocayo-Csrf", "1"}});
  ASSERT_EQ(reply.status, 200) << reply.body.substr(0, 500);
  std::map<int, std::set<std::int64_t>> found;
  auto root = boost::json::parse(reply.body);
  for (const auto& entry : root.at("data").at("result").as_array()) {
    int series = std::stoi(std::string(entry.at("metric").at("series").as_string()));
    for (const auto& point : entry.at("values").as_array()) {
      auto time = static_cast<std::int64_t>(std::llround(point.as_array()[0].to_number<double>() * 1000));
      EXPECT_EQ(std::stod(std::string(point.as_array()[1].as_string())), value_of(writer, series, time));
      EXPECT_TRUE(ledger.acknowledged.contains(time) || ledger.unknown.contains(time))
          << "nobody sent a sample at " << time;
      EXPECT_TRUE(found[series].insert(time).second) << "doubled sample at " << time;
    }
  }
  std::size_t expected = 0;
  for (std::int64_t time : ledger.acknowledged) {
    if (time <= from || time > to) continue;
    ++expected;
    for (int i = 0; i < kSeries; ++i)
      ASSERT_TRUE(found[i].contains(time)) << "lost: writer " << writer << " series " << i << " at " << time;
  }
  ::testing::Test::RecordProperty("acknowledged_checked", static_cast<int>(expected));
}

TEST(Durability, KillNineLosesNothingAcknowledged) {
  const int rounds = test_rounds(8, 100, 3);
  // Checkpoints and seals happen all the time, so that kills land in the middle of them.
  Server server(
      {.sets = {"metrics.wal.checkpoint_interval=300ms", "metrics.head.window=1m", "metrics.wal.segment_size=256KiB"}});
  std::mt19937 random(20261124);
  std::vector<Ledger> ledgers(2);
  std::int64_t clock = now_ms() - 80 * 60'000;  // samples advance a second a batch
  clock -= clock % 1000;
  const std::int64_t first = clock;
  std::size_t total = 0;
  for (int round = 0; round < rounds; ++round) {
    ASSERT_TRUE(server.start()) << "round " << round;
    std::int64_t round_start = clock - 1;
    std::atomic<bool> stop{false};
    std::atomic<std::int64_t> next{clock};
    std::vector<std::jthread> writers;
    for (int w = 0; w < 2; ++w) {
      writers.emplace_back([&, w] {
        while (!stop) {
          std::int64_t time = next.fetch_add(250);
          std::string body = batch(w, time, round);
          ledgers[w].unknown.insert(time);
          auto reply =
              http_request("POST", server.url("/api/v1/push"), body, remote_write_headers(1), std::chrono::seconds(5));
          if (reply.status == 204) {
            ledgers[w].unknown.erase(time);
            ledgers[w].acknowledged.insert(time);
          }
        }
      });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100 + random() % 900));
    server.process().signal(SIGKILL);
    server.process().wait();
    stop = true;
    writers.clear();
    clock = next.load() + 1000;
    auto started = std::chrono::steady_clock::now();
    ASSERT_TRUE(server.start()) << "round " << round;
    ::testing::Test::RecordProperty(
        "restart_ms",
        static_cast<int>(
            std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started).count()));
    for (int w = 0; w < 2; ++w) verify(server, w, ledgers[w], round_start, clock);
    if (HasFatalFailure()) return;
    server.kill9();
  }
  ASSERT_TRUE(server.start());
  for (int w = 0; w < 2; ++w) {
    for (std::int64_t from = first - 1; from < clock; from += 600'000)
      verify(server, w, ledgers[w], from, std::min(from + 600'000, clock));
    total += ledgers[w].acknowledged.size();
  }
  std::printf("%d rounds, %zu acknowledged requests of %d samples, all readable\n", rounds, total, kSeries);
  EXPECT_GT(total, static_cast<std::size_t>(rounds));
  EXPECT_EQ(server.stop(), 0);
}

TEST(Durability, FullDiskRefusesWritesKeepsReadsAndRecovers) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount a small file system";
  TempDir place;
  ASSERT_EQ(::mount("tmpfs", place.path().c_str(), "tmpfs", 0, "size=48m"), 0) << std::strerror(errno);
  struct Unmount {
    std::filesystem::path path;
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } unmount{place.path()};
  Server server({.sets = {"metrics.wal.segment_size=1MiB"}, .data_dir = place.path() / "data"});
  ASSERT_TRUE(server.start());
  Ledger ledger;
  std::int64_t clock = now_ms() - 3'600'000;
  clock -= clock % 1000;
  const std::int64_t first = clock;
  auto push = [&] {
    clock += 1000;
    auto reply = http_request("POST", server.url("/api/v1/push"), batch(0, clock, 0), remote_write_headers(1));
    (reply.status == 204 ? ledger.acknowledged : ledger.unknown).insert(clock);
    return reply;
  };
  for (int i = 0; i < 50; ++i) ASSERT_EQ(push().status, 204);
  // Fill the rest of the disk with a file of our own.
  auto ballast = place.path() / "ballast";
  {
    std::ofstream out(ballast, std::ios::binary);
    std::string block(1 << 16, 'x');
    while (out.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  HttpReply refused;
  EXPECT_TRUE(eventually([&] { return (refused = push()).status == 503; }));
  EXPECT_TRUE(refused.headers.contains("retry-after"));
  verify(server, 0, ledger, first, clock);  // reads go on
  std::filesystem::remove(ballast);
  EXPECT_TRUE(eventually([&] { return push().status == 204; }));  // and writes, without a restart
  for (int i = 0; i < 20; ++i) EXPECT_EQ(push().status, 204);
  verify(server, 0, ledger, first, clock);
  server.kill9();
  ASSERT_TRUE(server.start());
  verify(server, 0, ledger, first, clock);
}

}  // namespace
}  // namespace tocayo::testing
