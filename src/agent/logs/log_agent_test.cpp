// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/log_agent.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <thread>

#include "agent/logs/positions.h"
#include "agent/logs/tail_file.h"
#include "core/log.h"

namespace tocayo::agent {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class Keeper final : public logs::Appender {
 public:
  Task<Result<logs::AppendResult>> append(std::string_view, std::span<logs::StreamRows> streams) override {
    if (failing) co_return fail(ErrorKind::unavailable, "the store is not there");
    std::scoped_lock lock(mutex);
    logs::AppendResult result;
    for (const auto& stream : streams) {
      for (const auto& row : stream.entries) {
        lines.push_back(std::string(row.line));
        labels = *stream.labels;
        ordered = ordered && row.time > last;
        last = row.time;
      }
      result.lines_written += stream.entries.size();
    }
    co_return result;
  }
  std::size_t count() {
    std::scoped_lock lock(mutex);
    return lines.size();
  }
  std::mutex mutex;
  std::vector<std::string> lines;
  Labels labels;
  TimestampNs last = 0;
  bool ordered = true;
  std::atomic<bool> failing{false};
};

class LogAgentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory = fs::temp_directory_path() / ("tocayo-logs-" + std::to_string(::getpid()));
    fs::create_directories(directory);
  }
  void TearDown() override { fs::remove_all(directory); }
  void append(const std::string& name, const std::string& text) {
    std::ofstream(directory / name, std::ios::app) << text;
  }
  std::unique_ptr<LogAgent> agent(std::size_t first_bytes = 1 << 20) {
    LogAgentOptions options;
    options.files = {{.labels = Labels{{"job", "test"}}, .globs = {(directory / "*.log").string()}, .exclude = {}}};
    options.positions_file = (directory / "positions").string();
    options.own_lines = false;
    options.first_bytes = first_bytes;
    options.poll = 5ms;
    options.rescan = 20ms;
    options.linger = 100ms;
    auto made = LogAgent::create(options, keeper, rules, registry);
    EXPECT_TRUE(made);
    (*made)->start();
    return std::move(*made);
  }
  template <class Condition>
  static bool eventually(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  fs::path directory;
  Keeper keeper;
  Registry registry;
  LogRules rules{.label = [](Labels& labels) { labels.set("service_name", "s"); },
                 .level =
                     [](std::string_view line) {
                       return line.starts_with("E") ? std::string_view("error") : std::string_view("info");
                     }};
};

TEST_F(LogAgentTest, LinesOnceEachOverRotationsAndRestarts) {
  append("a.log", "one\ntwo\n");
  auto running = agent();
  ASSERT_TRUE(eventually([&] { return keeper.count() == 2; }));
  append("a.log", "three\npart");
  append("a.log", "ial\n");
  ASSERT_TRUE(eventually([&] { return keeper.count() == 4; }));
  // Rotation by rename: what was written to the old file before and after is read to its end.
  append("a.log", "four\n");
  fs::rename(directory / "a.log", directory / "a.log.1");
  append("a.log.1", "five\n");
  append("a.log", "six\n");
  ASSERT_TRUE(eventually([&] { return keeper.count() == 7; }));
  running->stop();
  append("a.log", "while it was away\n");
  running = agent();
  ASSERT_TRUE(eventually([&] { return keeper.count() == 8; }));
  running->stop();
  std::ranges::sort(keeper.lines);
  EXPECT_EQ(keeper.lines,
            (std::vector<std::string>{"five", "four", "one", "partial", "six", "three", "two", "while it was away"}));
  EXPECT_EQ(keeper.labels.get("filename"), (directory / "a.log").string());
  EXPECT_EQ(keeper.labels.get("service_name"), "s");
  EXPECT_TRUE(keeper.ordered);
}

TEST_F(LogAgentTest, CutFilesDeletedFilesAndNewOnes) {
  append("a.log", "old line that is rather long\n");
  auto running = agent();
  ASSERT_TRUE(eventually([&] { return keeper.count() == 1; }));
  {
    std::ofstream cut(directory / "a.log", std::ios::trunc);
  }
  ASSERT_TRUE(eventually([&] { return registry.counter("tocayo_agent_log_truncations_total", "").value() == 1; }));
  append("a.log", "new\n");
  ASSERT_TRUE(eventually([&] { return keeper.count() == 2; }));
  append("b.log", "other\n");
  ASSERT_TRUE(eventually([&] { return keeper.count() == 3; }));
  append("b.log", "last without newline");
  fs::remove(directory / "b.log");
  ASSERT_TRUE(eventually([&] { return keeper.count() == 4; }));
  running->stop();
  EXPECT_EQ(keeper.lines.back(), "last without newline");
}

TEST_F(LogAgentTest, AStoreThatIsAwayLosesNothing) {
  keeper.failing = true;
  append("a.log", "one\n");
  auto running = agent();
  for (int i = 0; i < 50; ++i) append("a.log", "more " + std::to_string(i) + "\n");
  keeper.failing = false;
  ASSERT_TRUE(eventually([&] { return keeper.count() == 51; }));
  running->stop();
  EXPECT_EQ(keeper.lines.front(), "one");
  // Stopped while the store is away: the next start begins where nothing was acknowledged.
  keeper.failing = true;
  append("a.log", "not yet\n");
  running = agent();
  running->stop();
  keeper.failing = false;
  running = agent();
  ASSERT_TRUE(eventually([&] { return keeper.count() == 52; }));
  running->stop();
  EXPECT_EQ(keeper.lines.back(), "not yet");
}

TEST_F(LogAgentTest, FirstStartReadsTheEndOnly) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "line " + std::to_string(i) + "\n";
  append("a.log", text);
  auto running = agent(100);
  ASSERT_TRUE(eventually([&] { return keeper.count() > 0; }));
  running->stop();
  EXPECT_LT(keeper.count(), 12U);
  EXPECT_EQ(keeper.lines.back(), "line 999");
  EXPECT_TRUE(keeper.lines.front().starts_with("line "));
}

TEST_F(LogAgentTest, OwnLines) {
  LogAgentOptions options;
  options.positions_file = (directory / "positions").string();
  options.poll = 5ms;
  auto made = LogAgent::create(options, keeper, rules, registry);
  ASSERT_TRUE(made);
  (*made)->start();
  log::warn("test", "something happened", {{"what", "this"}});
  ASSERT_TRUE(eventually([&] { return keeper.count() >= 1; }));
  (*made)->stop();
  EXPECT_NE(keeper.lines.back().find("something happened"), std::string::npos);
  EXPECT_EQ(keeper.labels.get("service_name"), "tocayo");
}

TEST(TailFileTest, LongAndUnfinishedLines) {
  const auto path = (fs::temp_directory_path() / ("tocayo-tail-" + std::to_string(::getpid()))).string();
  std::ofstream(path) << std::string(25, 'x') << "\nunfinished";
  auto file = TailFile::open(path, 0, {.max_line = 10, .partial_after = 5s});
  ASSERT_TRUE(file);
  std::vector<std::string> lines;
  const auto now = std::chrono::steady_clock::now();
  auto keep = [&](std::string_view line, std::uint64_t, std::uint64_t) { lines.emplace_back(line); };
  ASSERT_TRUE(file->read(1 << 20, now, keep));
  EXPECT_EQ(lines, (std::vector<std::string>{std::string(10, 'x'), std::string(10, 'x'), std::string(5, 'x')}));
  EXPECT_EQ(file->offset(), 26U);
  ASSERT_TRUE(file->read(1 << 20, now + 1s, keep));
  EXPECT_EQ(lines.size(), 3U);
  ASSERT_TRUE(file->read(1 << 20, now + 6s, keep));
  EXPECT_EQ(lines.back(), "unfinished");
  fs::remove(path);
}

TEST(PositionsTest, DamagedLinesAreLeftOut) {
  const auto path = (fs::temp_directory_path() / ("tocayo-positions-" + std::to_string(::getpid()))).string();
  std::ofstream(path) << "tocayo positions 1\n1 2 3 4 5 /a b\nrubbish\n1 2 x 4 5 /c\n9 9 9\n";
  auto positions = Positions::open(path);
  ASSERT_TRUE(positions);
  ASSERT_EQ(positions->all().size(), 1U);
  EXPECT_EQ(positions->all()[0].path, "/a b");
  EXPECT_EQ(positions->all()[0].offset, 5U);
  fs::remove(path);
}

}  // namespace
}  // namespace tocayo::agent
