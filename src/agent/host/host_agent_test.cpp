// SPDX-License-Identifier: Apache-2.0
#include "agent/host/host_agent.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <mutex>

#include "agent/host/testing.h"
#include "metrics/histogram.h"

namespace tocayo::agent {
namespace {

// Keeps what it is given, hands out references, and can hold back or refuse its answer.
class FakeAppender final : public metrics::Appender {
 public:
  struct Row {
    std::string series;
    TimestampMs time;
    double value;
    bool had_ref;
  };

  Task<Result<metrics::AppendResult>> append(std::string_view tenant, metrics::AppendBatch batch) override {
    {
      std::lock_guard lock(mutex);
      last_tenant = tenant;
      ++batches;
      if (refuse) co_return fail(ErrorKind::unavailable, "disk is full");
      for (metrics::SeriesRows& series : batch.series) {
        std::string name = series.labels->to_string();
        for (const metrics::FloatRow& row : series.floats) rows.push_back({name, row.time, row.value, series.ref != 0});
        if (series.ref == 0) series.ref = ++next_ref;
        refs[name] = series.ref;
      }
      for (const metrics::MetadataRow& row : batch.metadata) metadata[row.metric] = row.type;
      changed.notify_all();
    }
    if (hold) {
      co_await completion<int>([this](auto complete) {
        std::lock_guard lock(mutex);
        held = [complete]() mutable { complete(0); };
      });
    }
    co_return metrics::AppendResult{};
  }

  std::vector<Row> named(std::string_view part) {
    std::lock_guard lock(mutex);
    std::vector<Row> found;
    for (const Row& row : rows) {
      if (row.series.find(part) != std::string::npos) found.push_back(row);
    }
    return found;
  }
  void clear() {
    std::lock_guard lock(mutex);
    rows.clear();
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Row> rows;
  std::map<std::string, std::uint64_t> refs;
  std::map<std::string, std::string> metadata;
  std::string last_tenant;
  std::function<void()> held;
  bool hold = false, refuse = false;
  int batches = 0;
  std::uint64_t next_ref = 0;
};

class HostAgentTest : public ::testing::Test {
 protected:
  HostAgentTest() {
    tree_.write("proc/stat",
                "cpu  10 0 5 100 0 0 0 0 0 0\ncpu0 6 0 3 60 0 0 0 0 0 0\ncpu1 4 0 2 40 0 0 0 0 0 0\nintr 7\nctxt "
                "9\nbtime 1000\nprocesses 5\nprocs_running 1\nprocs_blocked 0\n");
    tree_.write("proc/loadavg", "0.5 0.25 0.125 1/94 14874\n");
    tree_.write("proc/meminfo", "MemTotal:       100 kB\nMemFree: 50 kB\n");
    options_.host.procfs = tree_.path("proc");
    options_.host.sysfs = tree_.path("sys");
    options_.instance = "box";
    for (const CollectorSpec& spec : collector_specs()) options_.host.collectors[std::string(spec.name)] = false;
    for (const char* name : {"cpu", "loadavg", "meminfo", "stat"}) options_.host.collectors[name] = true;
  }

  std::unique_ptr<HostAgent> make() {
    auto agent = HostAgent::create(options_, appender_, registry_);
    EXPECT_TRUE(agent.has_value()) << agent.error().message;
    return std::move(*agent);
  }

  FixtureTree tree_;
  FakeAppender appender_;
  Registry registry_;
  HostAgentOptions options_;
};

TEST_F(HostAgentTest, FullCollectionWritesBothJobs) {
  registry_.counter("tocayo_test_total", "A counter.", {{"kind", "a"}}).add(3);
  auto agent = make();
  ASSERT_TRUE(agent->collect_once(15000, true));
  EXPECT_EQ(appender_.last_tenant, "anonymous");
  auto idle = appender_.named("node_cpu_seconds_total{cpu=\"1\", instance=\"box\", job=\"node\", mode=\"idle\"}");
  ASSERT_EQ(idle.size(), 1u);
  EXPECT_EQ(idle[0].time, 15000);
  EXPECT_DOUBLE_EQ(idle[0].value, 0.4);
  auto own = appender_.named("tocayo_test_total{instance=\"box\", job=\"tocayo\", kind=\"a\"}");
  ASSERT_EQ(own.size(), 1u);
  EXPECT_EQ(own[0].value, 3);
  for (const char* job : {"node", "tocayo"}) {
    for (const char* name : {"up", "scrape_duration_seconds", "scrape_samples_scraped",
                             "scrape_samples_post_metric_relabeling", "scrape_series_added"}) {
      EXPECT_EQ(appender_.named(std::string(name) + "{instance=\"box\", job=\"" + job + "\"}").size(), 1u)
          << name << " " << job;
    }
  }
  EXPECT_EQ(appender_.metadata["node_cpu_seconds_total"], "counter");
  EXPECT_EQ(appender_.metadata["node_load1"], "gauge");
}

TEST_F(HostAgentTest, FastTickWritesOnlyFastCollectorsAndNames) {
  registry_.gauge("tocayo_fast", "").set(1);
  registry_.gauge("tocayo_slow", "").set(1);
  options_.self_fast_names = {"tocayo_fast"};
  auto agent = make();
  ASSERT_TRUE(agent->collect_once(15000, true));
  appender_.clear();
  ASSERT_TRUE(agent->collect_once(16000, false));
  EXPECT_EQ(appender_.named("node_load1{").size(), 1u);
  EXPECT_EQ(appender_.named("tocayo_fast{").size(), 1u);
  EXPECT_EQ(appender_.named("tocayo_slow{").size(), 0u);
  EXPECT_EQ(appender_.named("node_boot_time_seconds{").size(), 0u) << "stat is not a fast collector";
  EXPECT_EQ(appender_.named("up{").size(), 0u);
  for (const auto& row : appender_.named("")) {
    EXPECT_FALSE(metrics::is_stale(row.value)) << row.series << ": a series that was not due is not gone";
  }
}

TEST_F(HostAgentTest, ReferencesAreCached) {
  auto agent = make();
  ASSERT_TRUE(agent->collect_once(1000, true));
  for (const auto& row : appender_.named("node_cpu")) EXPECT_FALSE(row.had_ref) << row.series;
  appender_.clear();
  ASSERT_TRUE(agent->collect_once(2000, false));
  auto again = appender_.named("node_cpu");
  ASSERT_FALSE(again.empty());
  for (const auto& row : again) EXPECT_TRUE(row.had_ref) << row.series;
}

TEST_F(HostAgentTest, UnpluggedCpuGoesStaleOnceAndComesBack) {
  auto agent = make();
  ASSERT_TRUE(agent->collect_once(1000, true));
  appender_.clear();
  tree_.write("proc/stat",
              "cpu  10 0 5 100 0 0 0 0 0 0\ncpu0 6 0 3 60 0 0 0 0 0 0\nintr 7\nctxt 9\nbtime 1000\nprocesses 5\n");
  ASSERT_TRUE(agent->collect_once(2000, false));
  auto gone = appender_.named("cpu=\"1\"");
  ASSERT_EQ(gone.size(), 10u);
  for (const auto& row : gone) EXPECT_TRUE(metrics::is_stale(row.value)) << row.series;
  for (const auto& row : appender_.named("cpu=\"0\"")) EXPECT_FALSE(metrics::is_stale(row.value));
  appender_.clear();
  ASSERT_TRUE(agent->collect_once(3000, false));
  EXPECT_EQ(appender_.named("cpu=\"1\"").size(), 0u);
  tree_.write("proc/stat", "cpu0 6 0 3 60 0 0 0 0 0 0\ncpu1 9 0 2 40 0 0 0 0 0 0\n");
  ASSERT_TRUE(agent->collect_once(4000, false));
  EXPECT_EQ(appender_.named("node_cpu_seconds_total{cpu=\"1\"").size(), 8u);
}

TEST_F(HostAgentTest, StopMarksEverythingStale) {
  auto agent = make();
  ASSERT_TRUE(agent->collect_once(1000, true));
  auto before = appender_.named("");
  appender_.clear();
  agent->stop();
  auto after = appender_.named("");
  EXPECT_EQ(after.size(), before.size());
  for (const auto& row : after) {
    EXPECT_TRUE(metrics::is_stale(row.value)) << row.series;
    EXPECT_GT(row.time, 1000);
  }
}

TEST_F(HostAgentTest, SlowAppendSkipsTheTickAndCounts) {
  auto agent = make();
  appender_.hold = true;
  ASSERT_TRUE(agent->collect_once(1000, true));
  EXPECT_FALSE(agent->collect_once(2000, false));
  EXPECT_EQ(registry_.counter("tocayo_agent_skipped_collections_total", "", {{"reason", "append_under_way"}}).value(),
            1);
  EXPECT_EQ(appender_.batches, 1);
  appender_.hold = false;
  appender_.held();
  EXPECT_TRUE(agent->collect_once(3000, false));
  EXPECT_EQ(appender_.batches, 2);
}

TEST_F(HostAgentTest, StaleMarkerSurvivesARefusedAppend) {
  auto agent = make();
  ASSERT_TRUE(agent->collect_once(1000, true));
  tree_.write("proc/stat", "cpu0 6 0 3 60 0 0 0 0 0 0\nintr 7\nctxt 9\n");
  appender_.refuse = true;
  ASSERT_TRUE(agent->collect_once(2000, false));
  appender_.refuse = false;
  appender_.clear();
  ASSERT_TRUE(agent->collect_once(3000, false));
  auto gone = appender_.named("cpu=\"1\"");
  ASSERT_EQ(gone.size(), 10u);
  for (const auto& row : gone) EXPECT_TRUE(metrics::is_stale(row.value));
  EXPECT_EQ(registry_.counter("tocayo_agent_append_failures_total", "").value(), 1);
}

TEST_F(HostAgentTest, ThreadCollectsAtOnceAndOnAlignedSeconds) {
  options_.fast_interval = std::chrono::milliseconds(100);
  options_.interval = std::chrono::milliseconds(300);
  auto agent = make();
  agent->start();
  {
    std::unique_lock lock(appender_.mutex);
    ASSERT_TRUE(appender_.changed.wait_for(lock, std::chrono::seconds(20), [&] { return appender_.batches >= 5; }));
  }
  agent->stop();
  auto rows = appender_.named("node_load1{");
  ASSERT_GE(rows.size(), 5u);
  for (std::size_t i = 1; i + 1 < rows.size(); ++i) EXPECT_EQ(rows[i].time % 100, 0);
  for (std::size_t i = 1; i < rows.size(); ++i) EXPECT_GT(rows[i].time, rows[i - 1].time);
  EXPECT_TRUE(metrics::is_stale(rows.back().value));
}

TEST_F(HostAgentTest, RefusesNonsense) {
  options_.fast_collectors = {"nonsense"};
  EXPECT_FALSE(HostAgent::create(options_, appender_, registry_).has_value());
  options_.fast_collectors = {};
  options_.interval = std::chrono::milliseconds(1500);
  EXPECT_FALSE(HostAgent::create(options_, appender_, registry_).has_value());
  options_.interval = std::chrono::milliseconds(15000);
  options_.host.filters["netdev.device"].exclude = "(";
  EXPECT_FALSE(HostAgent::create(options_, appender_, registry_).has_value());
}

}  // namespace
}  // namespace tocayo::agent
