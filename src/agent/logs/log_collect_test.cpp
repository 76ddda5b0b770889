// SPDX-License-Identifier: Apache-2.0
// The collector over everything that happens to log files, and the machine's journal: what was written is what arrives.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "agent/logs/log_agent.h"
#include "agent/logs/positions.h"
#include "core/text.h"
#include "core/yaml.h"

namespace tocayo::agent {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

template <typename Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

// Keeps lines and marks as a durable queue would; `power_cut` forgets what came since the last `save`d positions only
// on the side of the positions, never of the queue.
class MemorySink final : public LogSink {
 public:
  Result<> put(std::uint64_t batch, const LogMarks& marks, std::span<const LogLine> lines) override {
    if (failing) return fail(ErrorKind::unavailable, "not now");
    std::scoped_lock lock(mutex_);
    marks_.emplace_back(batch, marks);
    for (const LogLine& line : lines) {
      std::string shown = line.text;
      ++lines_[shown];
      order_.push_back(line);
    }
    return {};
  }
  std::uint64_t recover(std::uint64_t batch, const std::function<void(const LogMarks&)>& apply) override {
    std::scoped_lock lock(mutex_);
    for (const auto& [number, marks] : marks_) {
      if (number <= batch) continue;
      apply(marks);
      batch = number;
    }
    return batch;
  }
  std::map<std::string, int> lines() const {
    std::scoped_lock lock(mutex_);
    return lines_;
  }
  std::size_t count() const {
    std::scoped_lock lock(mutex_);
    return order_.size();
  }
  std::vector<LogLine> all() const {
    std::scoped_lock lock(mutex_);
    return order_;
  }
  std::atomic<bool> failing{false};

 private:
  mutable std::mutex mutex_;
  std::vector<std::pair<std::uint64_t, LogMarks>> marks_;
  std::map<std::string, int> lines_;
  std::vector<LogLine> order_;
};

class Collect : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "tocayo-collect-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir = pattern;
    fs::create_directories(dir / "logs");
  }
  void TearDown() override { fs::remove_all(dir); }

  void append(const std::string& name, const std::string& text) const {
    std::ofstream(dir / "logs" / name, std::ios::app) << text;
  }
  LogsConfig config(std::string text) const {
    for (auto at = text.find("DIR"); at != std::string::npos; at = text.find("DIR"))
      text.replace(at, 3, (dir / "logs").string());
    std::vector<std::string> warnings;
    auto node = yaml::parse(text, "t.yml");
    EXPECT_TRUE(node);
    auto parsed = parse_logs_node(*node, "t.yml", "/", warnings);
    EXPECT_TRUE(parsed) << parsed.error().message;
    return std::move(*parsed);
  }
  std::unique_ptr<LogAgent> agent(const std::string& text, std::shared_ptr<LogSink> to = nullptr) {
    auto logs = config(text);
    LogAgentOptions options;
    options.jobs = std::move(logs.jobs);
    options.limits = logs.limits;
    options.host = "here";
    options.positions_file = (dir / "positions").string();
    options.promtail_positions = logs.positions_file;
    options.own_lines = false;
    options.first_bytes = 0;
    options.poll = poll;
    options.rescan = rescan;
    options.linger = 60ms;
    auto made = LogAgent::create(std::move(options), to ? to : sink, registry);
    EXPECT_TRUE(made) << made.error().message;
    (*made)->start();
    return std::move(*made);
  }
  void gzip(const std::string& from) const {
    const auto text = read_file((dir / "logs" / from).string());
    ASSERT_TRUE(text);
    const auto to = (dir / "logs" / (from + ".gz")).string();
    gzFile file = ::gzopen(to.c_str(), "wb");
    ASSERT_NE(file, nullptr);
    ASSERT_EQ(::gzwrite(file, text->data(), static_cast<unsigned>(text->size())), static_cast<int>(text->size()));
    ::gzclose(file);
    fs::remove(dir / "logs" / from);
  }
  // Each line of 0 … count-1 once.
  void expect_each_once(int count) {
    const auto lines = sink->lines();
    int missing = 0, doubled = 0;
    for (int i = 0; i < count; ++i) {
      const auto found = lines.find("line " + std::to_string(i));
      if (found == lines.end()) ++missing;
      if (found != lines.end() && found->second > 1) ++doubled;
    }
    EXPECT_EQ(missing, 0);
    EXPECT_EQ(doubled, 0);
    EXPECT_EQ(lines.size(), static_cast<std::size_t>(count));
  }

  std::chrono::milliseconds poll = 2ms;
  std::chrono::milliseconds rescan = 15ms;
  fs::path dir;
  std::shared_ptr<MemorySink> sink = std::make_shared<MemorySink>();
  Registry registry;
  static constexpr const char* kPlain =
      "scrape_configs: [{job_name: a, static_configs: [{labels: {job: a, __path__: DIR/*.log}}]}]";
};

TEST_F(Collect, PipelinesLabelsAndLag) {
  auto running = agent(R"(
scrape_configs:
- job_name: a
  pipeline_stages:
  - json: {expressions: {level: , msg: }}
  - labels: {level: }
  - drop: {source: level, value: debug}
  - output: {source: msg}
  static_configs: [{labels: {job: a, __path__: DIR/*.log, __path_exclude__: DIR/no*.log}}]
)");
  append("a.log",
         "{\"level\":\"info\",\"msg\":\"one\"}\n{\"level\":\"debug\",\"msg\":\"x\"}\n{\"level\":\"warn\",\"msg\":"
         "\"two\"}\n");
  append("not.log", "never\n");
  ASSERT_TRUE(eventually([&] { return sink->count() == 2; }));
  const auto lines = sink->all();
  EXPECT_EQ(lines[0].text, "one");
  EXPECT_EQ(*lines[0].labels, (Labels{{"filename", (dir / "logs/a.log").string()}, {"job", "a"}, {"level", "info"}}));
  EXPECT_EQ(lines[1].labels->get("level"), "warn");
  ASSERT_TRUE(eventually([&] {
    const auto sources = running->sources();
    return sources.size() == 1 && sources[0].lag_bytes == 0 && sources[0].lines == 3 && sources[0].offset > 0;
  }));
  running->stop();
  EXPECT_EQ(sink->count(), 2U);
}

TEST_F(Collect, IsWokenByWritesAndNewNames) {
  poll = rescan = std::chrono::minutes(10);  // neither comes before the test gives up
  append("a.log", "line 0\n");
  auto running = agent(kPlain);
  ASSERT_TRUE(eventually([&] { return sink->count() == 1; }));
  append("a.log", "line 1\n");
  ASSERT_TRUE(eventually([&] { return sink->count() == 2; })) << "written";
  append("b.log", "line 2\n");
  ASSERT_TRUE(eventually([&] { return sink->count() == 3; })) << "a new file";
  fs::rename(dir / "logs/a.log", dir / "logs/a.log.1");
  append("a.log", "line 3\n");
  ASSERT_TRUE(eventually([&] { return sink->count() == 4; })) << "in place of another";
  append("a.log", "line 4\n");
  ASSERT_TRUE(eventually([&] { return sink->count() == 5; }));
  const auto begun = std::chrono::steady_clock::now();
  running->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s) << "a stop wakes it as well";
  expect_each_once(5);
}

TEST_F(Collect, RotationByRenameAndCompressionAndRestarts) {
  int next = 0;
  const auto write = [&](int count) {
    for (int i = 0; i < count; ++i) append("a.log", "line " + std::to_string(next++) + "\n");
  };
  write(1);
  auto running = agent(kPlain);
  ASSERT_TRUE(eventually([&] { return sink->count() == 1; }));
  for (int round = 0; round < 6; ++round) {
    write(50);
    // logrotate: rename, then compress the one before; sometimes the collector is away meanwhile, or before.
    if (round % 3 == 1) running->stop();
    write(5);
    fs::rename(dir / "logs/a.log", dir / "logs/a.log.1");
    write(5);
    if (round % 3 == 2) running->stop();
    std::ofstream(dir / "logs/a.log.1", std::ios::app) << "line " << next++ << "\n";  // before it is told to reopen
    if (round % 2 == 1 && round % 3 != 0) gzip("a.log.1");
    if (round % 3 != 0) running = agent(kPlain);
    ASSERT_TRUE(eventually([&] { return sink->count() >= static_cast<std::size_t>(next); }))
        << "round " << round << ": " << sink->count() << " of " << next;
    fs::remove(dir / "logs/a.log.1.gz");
    fs::remove(dir / "logs/a.log.1");
  }
  running->stop();
  expect_each_once(next);
}

TEST_F(Collect, RotationByCopyAndTruncate) {
  int next = 1;
  append("a.log", "line 0\n");
  auto running = agent(kPlain);
  ASSERT_TRUE(eventually([&] { return sink->count() == 1; }));
  for (int round = 0; round < 6; ++round) {
    for (int i = 0; i < 50; ++i) append("a.log", "line " + std::to_string(next++) + "\n");
    if (round % 2 == 1) running->stop();
    for (int i = 0; i < 20; ++i) append("a.log", "line " + std::to_string(next++) + "\n");
    if (fs::exists(dir / "logs/a.log.1")) fs::rename(dir / "logs/a.log.1", dir / "logs/a.log.2");
    fs::copy_file(dir / "logs/a.log", dir / "logs/a.log.1");
    fs::resize_file(dir / "logs/a.log", 0);
    if (round % 2 == 1) {
      // Cut and longer than before when it is seen again.
      for (int i = 0; i < 120; ++i) append("a.log", "line " + std::to_string(next++) + "\n");
      running = agent(kPlain);
    }
    ASSERT_TRUE(eventually([&] { return sink->count() >= static_cast<std::size_t>(next); }))
        << "round " << round << ": " << sink->count() << " of " << next;
  }
  running->stop();
  expect_each_once(next);
}

TEST_F(Collect, RotatedFilesThatThePatternCoversAreNotReadTwice) {
  const char* both = "scrape_configs: [{job_name: a, static_configs: [{labels: {job: a, __path__: 'DIR/a.log*'}}]}]";
  auto running = agent(both);
  for (int i = 0; i < 10; ++i) append("a.log", "line " + std::to_string(i) + "\n");
  ASSERT_TRUE(eventually([&] { return sink->count() == 10; }));
  fs::rename(dir / "logs/a.log", dir / "logs/a.log.1");
  for (int i = 10; i < 20; ++i) append("a.log", "line " + std::to_string(i) + "\n");
  ASSERT_TRUE(eventually([&] { return sink->count() == 20; }));
  running->stop();
  running = agent(both);
  append("a.log", "line 20\n");
  ASSERT_TRUE(eventually([&] { return sink->count() == 21; }));
  running->stop();
  expect_each_once(21);
}

// kill -9 at any moment: positions as they were on disk, and whatever the sink has.
TEST_F(Collect, AKilledCollectorRepeatsNothing) {
  std::minstd_rand random(3);
  int next = 0;
  for (int round = 0; round < 25; ++round) {
    auto running = agent(kPlain);
    const int lines = static_cast<int>(random() % 40);
    for (int i = 0; i < lines; ++i) append(i % 3 == 0 ? "b.log" : "a.log", "line " + std::to_string(next++) + "\n");
    if (round % 5 == 4) {
      ASSERT_TRUE(eventually([&] { return sink->count() >= static_cast<std::size_t>(next); }));
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 10));
    }
    // What a kill leaves: the positions of a moment before the last batches.
    const fs::path kept = dir / "kept";
    std::error_code code;
    fs::remove(kept);
    const bool had = fs::copy_file(dir / "positions", kept, code);
    sink->failing = true;  // nothing after the blow
    running->stop();
    sink->failing = false;
    fs::remove(dir / "positions");
    if (had) fs::rename(kept, dir / "positions");
  }
  auto running = agent(kPlain);
  ASSERT_TRUE(eventually([&] { return sink->count() >= static_cast<std::size_t>(next); }));
  running->stop();
  expect_each_once(next);
}

TEST_F(Collect, HeldLinesAreReadAgainAfterARestart) {
  const char* multiline =
      "scrape_configs: [{job_name: a, pipeline_stages: [{multiline: {firstline: '^start', max_wait_time: 1h}}],"
      " static_configs: [{labels: {job: a, __path__: DIR/*.log}}]}]";
  auto running = agent(multiline);
  append("a.log", "start 1\n  more\nstart 2\n  half\n");
  ASSERT_TRUE(eventually([&] { return sink->count() == 1; }));
  // Killed while a block is held: it is not lost.
  const auto positions = read_file((dir / "positions").string());
  ASSERT_TRUE(eventually([&] {
    auto saved = Positions::open((dir / "positions").string());
    return saved && !saved->all().empty() && saved->all()[0].offset == 15;
  }));
  fs::copy_file(dir / "positions", dir / "kept");
  sink->failing = true;
  running->stop();
  sink->failing = false;
  fs::rename(dir / "kept", dir / "positions");
  running = agent(multiline);
  append("a.log", "  of it\nstart 3\n");
  ASSERT_TRUE(eventually([&] { return sink->count() == 2; }));
  running->stop();
  const auto lines = sink->lines();
  EXPECT_TRUE(lines.contains("start 1\n  more"));
  EXPECT_TRUE(lines.contains("start 2\n  half\n  of it"));
  EXPECT_TRUE(lines.contains("start 3"));
  EXPECT_EQ(lines.size(), 3U);
}

TEST_F(Collect, AnotherConfigurationGoesOnWhereTheFormerWas) {
  auto running = agent(kPlain);
  append("a.log", "line 0\n");
  ASSERT_TRUE(eventually([&] { return sink->count() == 1; }));
  auto other = config(
      "scrape_configs: [{job_name: a, pipeline_stages: [{static_labels: {new: yes}}],"
      " static_configs: [{labels: {job: a, __path__: DIR/*.log}}]}]");
  running->apply(other.jobs, other.limits);
  for (int i = 1; i < 30; ++i) append("a.log", "line " + std::to_string(i) + "\n");
  ASSERT_TRUE(eventually([&] { return sink->count() == 30; }));
  ASSERT_TRUE(eventually([&] {
    append("a.log", "");
    return sink->all().back().labels->has("new");
  }));
  running->stop();
  expect_each_once(30);
}

TEST_F(Collect, PositionsOfPromtailAreTakenOver) {
  append("a.log", "line 0\nline 1\nline 2\n");
  std::ofstream(dir / "promtail.yaml") << "positions:\n  " << (dir / "logs/a.log").string() << ": \"7\"\n";
  auto running = agent("positions: {filename: " + (dir / "promtail.yaml").string() + "}\n" + kPlain);
  ASSERT_TRUE(eventually([&] { return sink->count() == 2; }));
  running->stop();
  EXPECT_FALSE(sink->lines().contains("line 0"));
}

TEST_F(Collect, LimitsAreCounted) {
  auto running = agent(std::string("limits_config: {max_line_size: 10, max_streams: 1}\n") + kPlain);
  append("a.log", "short\nfar too long a line\n");
  ASSERT_TRUE(eventually([&] { return sink->count() == 1; }));
  append("b.log", "another stream\n");
  const auto dropped = [&](const char* reason) {
    return registry
        .counter("tocayo_agent_dropped_total", "", {{"destination", "local"}, {"signal", "logs"}, {"reason", reason}})
        .value();
  };
  append("b.log", "x\n");
  ASSERT_TRUE(eventually([&] { return dropped("stream_limit") == 1 && dropped("line_too_long") == 2; }));
  running->stop();
  EXPECT_EQ(sink->count(), 1U);
}

TEST_F(Collect, CompressedFilesOnce) {
  const char* text =
      "scrape_configs: [{job_name: a, decompression: {enabled: true, format: gz},"
      " static_configs: [{labels: {job: a, __path__: DIR/*.gz}}]}]";
  for (int i = 0; i < 1000; ++i) append("x", "line " + std::to_string(i) + "\n");
  gzip("x");
  auto running = agent(text);
  ASSERT_TRUE(eventually([&] { return sink->count() == 1000; }));
  running->stop();
  running = agent(text);
  for (int i = 1000; i < 1100; ++i) append("y", "line " + std::to_string(i) + "\n");
  gzip("y");
  ASSERT_TRUE(eventually([&] { return sink->count() == 1100; }));
  running->stop();
  expect_each_once(1100);
}

TEST_F(Collect, PodsJoinPartialLines) {
  fs::create_directories(dir / "logs/shop_api-0_uid/app");
  auto running = agent("scrape_configs: [{job_name: pods, kubernetes_pods: {path: DIR}}]");
  append("shop_api-0_uid/app/0.log",
         "2026-11-24T10:00:00.000000001Z stdout P par\n2026-11-24T10:00:00.000000002Z stderr F other\n"
         "2026-11-24T10:00:00.000000003Z stdout F tial\n");
  ASSERT_TRUE(eventually([&] { return sink->count() == 2; }));
  running->stop();
  const auto lines = sink->all();
  EXPECT_EQ(lines[1].text, "partial");
  EXPECT_EQ(lines[1].time, 1795514400000000003);
  EXPECT_EQ(*lines[1].labels, (Labels{{"app", "api"},
                                      {"container", "app"},
                                      {"filename", (dir / "logs/shop_api-0_uid/app/0.log").string()},
                                      {"job", "shop/api"},
                                      {"namespace", "shop"},
                                      {"node", "here"},
                                      {"pod", "api-0"},
                                      {"stream", "stdout"}}));
}

// ---- the journal, written by systemd-journal-remote from its export format: no journald is needed

constexpr const char* kJournalRemote = "/lib/systemd/systemd-journal-remote";

class Journal : public Collect {
 protected:
  void SetUp() override {
    Collect::SetUp();
    if (!fs::exists(kJournalRemote)) {
      if (std::getenv("CI") != nullptr) FAIL() << "systemd-journal-remote is not installed";
      GTEST_SKIP() << "systemd-journal-remote is not installed";
    }
    fs::create_directories(dir / "journal");
  }
  struct Entry {
    std::int64_t microseconds;
    std::vector<std::pair<std::string, std::string>> fields;
  };
  void write_journal(const std::vector<Entry>& entries, const std::string& file = "test.journal") const {
    std::string text;
    for (const auto& entry : entries) {
      text += "__REALTIME_TIMESTAMP=" + std::to_string(entry.microseconds) +
              "\n__MONOTONIC_TIMESTAMP=" + std::to_string(entry.microseconds - 1'700'000'000'000'000) +
              "\n_BOOT_ID=11111111111111111111111111111111\n";
      for (const auto& [name, value] : entry.fields) {
        if (value.find('\n') == std::string::npos && is_valid_utf8(value)) {
          text += name + "=" + value + "\n";
          continue;
        }
        text += name + "\n";
        for (int i = 0; i < 8; ++i) text += static_cast<char>(value.size() >> (8 * i) & 0xff);
        text += value + "\n";
      }
      text += "\n";
    }
    std::ofstream(dir / "export", std::ios::binary) << text;
    const auto command = std::string(kJournalRemote) + " --output=" + (dir / "journal" / file).string() + " " +
                         (dir / "export").string() + " > " + (dir / "remote.log").string() + " 2>&1";
    ASSERT_EQ(std::system(command.c_str()), 0) << *read_file((dir / "remote.log").string());
  }
  std::string job(const std::string& more = "") const {
    return "scrape_configs: [{job_name: journal, journal: {path: " + (dir / "journal").string() +
           ", labels: {job: systemd-journal}" + more +
           "}, relabel_configs: [{source_labels: [__journal__systemd_unit], target_label: unit},"
           "{source_labels: [__journal_priority_keyword], target_label: level}]}]";
  }
  static std::int64_t now_us() {
    return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

TEST_F(Journal, EntriesWithLabelsOnceOverRestarts) {
  const auto now = now_us();
  write_journal({{now - 8LL * 3600 * 1'000'000, {{"MESSAGE", "too old"}, {"PRIORITY", "6"}}},
                 {now - 3'000'000, {{"MESSAGE", "one"}, {"PRIORITY", "3"}, {"_SYSTEMD_UNIT", "a.service"}}},
                 {now - 2'000'000, {{"MESSAGE", "two\nlines"}, {"PRIORITY", "6"}, {"_SYSTEMD_UNIT", "b.service"}}},
                 {now - 1'500'000, {{"NOTHING", "no message"}}},
                 {now - 1'000'000, {{"MESSAGE", "bad \xff byte"}}}});
  auto running = agent(job());
  ASSERT_TRUE(eventually([&] { return sink->count() == 3; })) << sink->count();
  auto lines = sink->all();
  EXPECT_EQ(lines[0].text, "one");
  EXPECT_EQ(lines[0].time, (now - 3'000'000) * 1000);
  EXPECT_EQ(*lines[0].labels, (Labels{{"job", "systemd-journal"}, {"level", "error"}, {"unit", "a.service"}}));
  EXPECT_EQ(lines[1].text, "two\nlines");
  EXPECT_EQ(lines[1].labels->get("level"), "info");
  EXPECT_EQ(lines[2].text, "bad \xEF\xBF\xBD byte");
  EXPECT_EQ(*lines[2].labels, (Labels{{"job", "systemd-journal"}}));
  // Another file while it runs, then one while it is away.
  write_journal({{now - 500'000, {{"MESSAGE", "line 3"}}}}, "second.journal");
  ASSERT_TRUE(eventually([&] { return sink->count() == 4; })) << sink->count();
  running->stop();
  write_journal({{now - 400'000, {{"MESSAGE", "line 4"}}}}, "third.journal");
  running = agent(job());
  ASSERT_TRUE(eventually([&] { return sink->count() == 5; })) << sink->count();
  const auto sources = running->sources();
  running->stop();
  for (const auto& [line, times] : sink->lines()) EXPECT_EQ(times, 1) << line;
  EXPECT_FALSE(sink->lines().contains("too old"));
}

TEST_F(Journal, MatchesAndJson) {
  const auto now = now_us();
  write_journal({{now - 3000, {{"MESSAGE", "one"}, {"PRIORITY", "3"}, {"_TRANSPORT", "kernel"}}},
                 {now - 2000, {{"MESSAGE", "two"}, {"PRIORITY", "6"}, {"_TRANSPORT", "kernel"}}},
                 {now - 1000, {{"MESSAGE", "three"}, {"PRIORITY", "3"}}}});
  auto running = agent(job(", json: true, matches: PRIORITY=3 _TRANSPORT=kernel"));
  ASSERT_TRUE(eventually([&] { return sink->count() == 1; }));
  running->stop();
  EXPECT_EQ(sink->count(), 1U);
  const auto line = sink->all()[0].text;
  EXPECT_TRUE(line.starts_with("{\"MESSAGE\":\"one\",\"PRIORITY\":\"3\",")) << line;
}

TEST_F(Journal, ACursorThatIsGoneStartsWhereTimeSays) {
  const auto now = now_us();
  write_journal({{now - 3000, {{"MESSAGE", "one"}}}});
  {
    auto positions = Positions::open((dir / "positions").string());
    ASSERT_TRUE(positions);
    positions->set_cursor("journal", "s=00000000000000000000000000000001;i=5;b=1;m=1;t=1;x=1");
    ASSERT_TRUE(positions->save());
  }
  auto running = agent(job());
  ASSERT_TRUE(eventually([&] { return sink->count() == 1; }));
  running->stop();
}

}  // namespace
}  // namespace tocayo::agent
