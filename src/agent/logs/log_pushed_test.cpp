// SPDX-License-Identifier: Apache-2.0
// What senders are told while lines go through the collector: with a sink that fails when it is told to.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "agent/logs/log_agent.h"
#include "agent/logs/log_inbox.h"
#include "core/yaml.h"

namespace tocayo::agent {
namespace {

using namespace std::chrono_literals;

class Sink final : public LogSink {
 public:
  Result<> put(std::uint64_t, const LogMarks&, std::span<const LogLine> lines) override {
    std::lock_guard lock(mutex);
    ++puts;
    if (failing) return fail(ErrorKind::unavailable, "the queue is full");
    for (const LogLine& line : lines) {
      this->lines.emplace_back(line.labels->to_string(false), line.text);
      times.push_back(line.time);
      metadata.insert(metadata.end(), line.metadata.begin(), line.metadata.end());
    }
    return {};
  }
  bool untouched() const override { return clean; }
  std::vector<std::string> texts() {
    std::lock_guard lock(mutex);
    std::vector<std::string> out;
    for (const auto& [labels, text] : lines) out.push_back(text);
    return out;
  }
  std::mutex mutex;
  std::vector<std::pair<std::string, std::string>> lines;
  std::vector<TimestampNs> times;
  std::vector<Label> metadata;
  int puts = 0;
  std::atomic<bool> failing{false}, clean{true};
};

template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

// A request on its way.
class Sent {
 public:
  Sent(LogInbox& inbox, Labels labels, std::vector<std::string> lines, std::string tenant = "", TimestampNs time = 7)
      : labels_(std::move(labels)), lines_(std::move(lines)), tenant_(std::move(tenant)) {
    static const logs::LabelView pod{"pod", "p"};
    for (const auto& line : lines_) rows_.push_back({.time = time++, .line = line, .metadata = {&pod, 1}});
    streams_ = {{.ref = 0, .labels = &labels_, .entries = rows_}};
    thread_ = std::jthread([this, &inbox] {
      auto done = sync_wait(inbox.append(tenant_, streams_));
      std::lock_guard lock(mutex_);
      result_ = std::move(done);
    });
  }
  bool done() {
    std::lock_guard lock(mutex_);
    return result_.has_value();
  }
  const Result<logs::AppendResult>& result() {
    EXPECT_TRUE(eventually([&] { return done(); }));
    thread_ = {};
    return *result_;
  }

 private:
  Labels labels_;
  std::vector<std::string> lines_;
  std::string tenant_;
  std::vector<logs::EntryRow> rows_;
  std::vector<logs::StreamRows> streams_;
  std::mutex mutex_;
  std::optional<Result<logs::AppendResult>> result_;
  std::jthread thread_;
};

class LogPushedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory = std::filesystem::temp_directory_path() / ("tocayo-pushed-" + std::to_string(::getpid()));
    std::filesystem::create_directories(directory);
  }
  void TearDown() override { std::filesystem::remove_all(directory); }
  LogJob job(PushSettings settings = {}, const std::string& stages = "", const std::string& rules = "") {
    LogJob job;
    job.name = "push";
    job.fingerprint = 5;
    if (!stages.empty()) job.pipeline = *PipelinePlan::parse(YAML::Load(stages), "f");
    if (!rules.empty()) job.relabel = *parse_relabel_rules(YAML::Load(rules), "f");
    job.push = settings;
    job.inbox = std::make_shared<LogInbox>(job.name, settings, job.relabel, registry);
    return job;
  }
  std::unique_ptr<LogAgent> agent(std::vector<LogJob> jobs, LogLimits limits = {}) {
    LogAgentOptions options;
    options.jobs = std::move(jobs);
    options.limits = limits;
    options.positions_file = (directory / "positions").string();
    options.own_lines = false;
    options.first_bytes = 0;
    options.poll = 10ms;
    options.rescan = 20ms;
    auto made = LogAgent::create(options, sink, registry);
    EXPECT_TRUE(made);
    (*made)->start();
    return std::move(*made);
  }
  double counter(const char* name) { return registry.counter(name, "", {{"job", "push"}}).value(); }

  std::filesystem::path directory;
  std::shared_ptr<Sink> sink = std::make_shared<Sink>();
  Registry registry;
};

TEST_F(LogPushedTest, LabelsRulesTimesAndMetadata) {
  PushSettings settings;
  settings.labels = Labels{{"app", "mine"}, {"site", "a"}};
  settings.keep_time = true;
  auto one = job(settings, "", "[{source_labels: [level], target_label: l}, {regex: level, action: labeldrop}]");
  auto inbox = one.inbox;
  auto running = agent({std::move(one)});
  Sent first(*inbox, Labels{{"app", "theirs"}, {"level", "info"}}, {"a", "b"}, "t1", 100);
  ASSERT_TRUE(first.result());
  EXPECT_EQ(first.result()->lines_written, 2U);
  running->stop();
  ASSERT_EQ(sink->texts(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(sink->lines[0].first, R"({__tenant_id__="t1", app="mine", l="info", site="a"})");
  EXPECT_EQ(sink->times, (std::vector<TimestampNs>{100, 101}));
  EXPECT_EQ(sink->metadata.at(0).name, "pod");
  EXPECT_EQ(running->sources().at(0).lines, 2U);
  // After the end there is an answer, too.
  Sent late(*inbox, Labels{{"app", "x"}}, {"late"});
  ASSERT_FALSE(late.result());
  EXPECT_EQ(late.result().error().kind, ErrorKind::unavailable);
}

TEST_F(LogPushedTest, WhatHasNoLabelOrIsTooLongIsRejectedAndTheRestTaken) {
  LogLimits limits;
  limits.max_line_size = 4;
  auto one = job({}, "", "[{source_labels: [app], regex: drop, action: drop}]");
  auto inbox = one.inbox;
  auto running = agent({std::move(one)}, limits);
  // The limit is known to the inbox once the collector has taken the job.
  ASSERT_TRUE(Sent(*inbox, Labels{{"app", "x"}}, {"one"}).result());
  Sent nameless(*inbox, Labels(), {"a", "b"}), hidden(*inbox, Labels{{"__x", "y"}}, {"c"});
  for (auto* sent : {&nameless, &hidden}) {
    ASSERT_TRUE(sent->result());
    ASSERT_EQ(sent->result()->rejected.size(), 1U);
    EXPECT_EQ(sent->result()->rejected[0].reason, "missing_labels");
  }
  EXPECT_EQ(nameless.result()->rejected[0].lines, 2U);
  Sent mixed(*inbox, Labels{{"app", "x"}}, {"good", "too long"});
  ASSERT_TRUE(mixed.result());
  EXPECT_EQ(mixed.result()->lines_written, 1U);
  EXPECT_EQ(mixed.result()->rejected.at(0).reason, "line_too_long");
  Sent dropped(*inbox, Labels{{"app", "drop"}}, {"gone"});
  ASSERT_TRUE(dropped.result());
  EXPECT_TRUE(dropped.result()->rejected.empty()) << "a rule says so: no mistake of the sender";
  running->stop();
  EXPECT_EQ(sink->texts(), (std::vector<std::string>{"one", "good"}));
}

TEST_F(LogPushedTest, ARefusalMeansThatNothingWasTaken) {
  auto one = job();
  auto inbox = one.inbox;
  auto running = agent({std::move(one)});
  sink->failing = true;
  for (int i = 0; i < 3; ++i) {
    Sent refused(*inbox, Labels{{"app", "x"}}, {"refused"});
    ASSERT_FALSE(refused.result());
    EXPECT_EQ(refused.result().error().kind, ErrorKind::unavailable);
    EXPECT_EQ(refused.result().error().message, "the queue is full");
  }
  sink->failing = false;
  ASSERT_TRUE(Sent(*inbox, Labels{{"app", "x"}}, {"taken"}).result());
  running->stop();
  EXPECT_EQ(sink->texts(), (std::vector<std::string>{"taken"}));
  EXPECT_EQ(counter("tocayo_agent_log_refused_requests_total"), 3);
  EXPECT_EQ(counter("tocayo_agent_log_received_lines_total"), 1);
}

TEST_F(LogPushedTest, WhileFilesWaitForTheSinkSendersAreRefusedAtOnce) {
  std::ofstream(directory / "a.log") << "of a file\n";
  LogJob files;
  files.name = "files";
  files.targets = {Labels{{"job", "f"}, {"__path__", (directory / "*.log").string()}}};
  auto one = job();
  auto inbox = one.inbox;
  sink->failing = true;
  auto running = agent({std::move(files), std::move(one)});
  ASSERT_TRUE(eventually([&] {
    std::lock_guard lock(sink->mutex);
    return sink->puts >= 2;
  }));
  EXPECT_FALSE(Sent(*inbox, Labels{{"app", "x"}}, {"refused"}).result());
  sink->failing = false;
  ASSERT_TRUE(eventually([&] { return sink->texts().size() == 1; }));
  ASSERT_TRUE(eventually([&] { return Sent(*inbox, Labels{{"app", "x"}}, {"taken"}).result().has_value(); }));
  running->stop();
  EXPECT_EQ(sink->texts().at(0), "of a file");
  EXPECT_EQ(sink->texts().at(1), "taken");
}

// One of several queues has the batch: its lines are on their way, and the sender waits for the others.
TEST_F(LogPushedTest, ABatchThatWasPartlyTakenIsWaitedFor) {
  auto one = job();
  auto inbox = one.inbox;
  auto running = agent({std::move(one)});
  sink->failing = true;
  sink->clean = false;
  Sent waiting(*inbox, Labels{{"app", "x"}}, {"once"});
  ASSERT_TRUE(eventually([&] {
    std::lock_guard lock(sink->mutex);
    return sink->puts >= 3;
  }));
  EXPECT_FALSE(waiting.done());
  EXPECT_FALSE(Sent(*inbox, Labels{{"app", "x"}}, {"another"}).result()) << "meanwhile nothing more is taken";
  sink->failing = false;
  EXPECT_TRUE(waiting.result());
  running->stop();
  EXPECT_EQ(sink->texts(), (std::vector<std::string>{"once"}));
}

TEST_F(LogPushedTest, HeldLinesAreAnsweredWhenTheyAreThrough) {
  auto one = job({}, "[{multiline: {firstline: '^[A-Z]', max_wait_time: 200ms}}]");
  auto inbox = one.inbox;
  auto running = agent({std::move(one)});
  const auto began = std::chrono::steady_clock::now();
  Sent held(*inbox, Labels{{"app", "x"}}, {"First", " second"});
  ASSERT_TRUE(held.result());
  EXPECT_GE(std::chrono::steady_clock::now() - began, 150ms);
  EXPECT_EQ(sink->texts(), (std::vector<std::string>{"First\n second"}));
  // Two requests joined into one line cannot be refused apart: both wait.
  Sent begins(*inbox, Labels{{"app", "y"}}, {"Begin"});
  Sent ends(*inbox, Labels{{"app", "y"}}, {" end"});
  ASSERT_TRUE(begins.result());
  ASSERT_TRUE(ends.result());
  running->stop();
}

TEST_F(LogPushedTest, DroppedLinesAreAnsweredToo) {
  auto one = job({}, "[{drop: {expression: noise}}]");
  auto inbox = one.inbox;
  auto running = agent({std::move(one)});
  ASSERT_TRUE(Sent(*inbox, Labels{{"app", "x"}}, {"noise"}).result());
  running->stop();
  EXPECT_TRUE(sink->texts().empty());
}

TEST_F(LogPushedTest, AJobThatGoesAnswersWhatIsOpenAndOneThatStaysGoesOn) {
  auto one = job();
  const auto same = one;
  auto inbox = one.inbox;
  auto running = agent({one});
  ASSERT_TRUE(Sent(*inbox, Labels{{"app", "x"}}, {"before"}).result());
  running->apply({same}, {});
  ASSERT_TRUE(Sent(*inbox, Labels{{"app", "x"}}, {"between"}).result());
  running->apply({}, {});
  ASSERT_TRUE(eventually([&] { return !Sent(*inbox, Labels{{"app", "x"}}, {"after"}).result().has_value(); }));
  running->stop();
}

TEST_F(LogPushedTest, ManySendersAtOnceEachLineOnce) {
  auto one = job();
  auto inbox = one.inbox;
  auto running = agent({std::move(one)});
  std::mutex mutex;
  std::set<std::string> taken;
  std::atomic<bool> over{false};
  {
    std::vector<std::jthread> senders;
    for (int sender = 0; sender < 4; ++sender) {
      senders.emplace_back([&, sender] {
        for (int i = 0; i < 100; ++i) {
          const std::string line = std::to_string(sender) + "/" + std::to_string(i);
          while (!Sent(*inbox, Labels{{"sender", std::to_string(sender)}}, {line}).result()) {
          }
          std::lock_guard lock(mutex);
          taken.insert(line);
        }
      });
    }
    std::jthread weather([&] {
      while (!over) {
        sink->failing = !sink->failing;
        std::this_thread::yield();
      }
      sink->failing = false;
    });
    for (auto& sender : senders) sender.join();
    over = true;
  }
  running->stop();
  const auto texts = sink->texts();
  EXPECT_EQ(texts.size(), 400U);
  EXPECT_EQ(std::set<std::string>(texts.begin(), texts.end()), taken);
}

}  // namespace
}  // namespace tocayo::agent
