// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <future>
#include <mutex>
#include <thread>

#include "core/context.h"
#include "core/hash.h"
#include "core/labels.h"
#include "core/pool.h"
#include "core/registry.h"
#include "core/task.h"
#include "core/time.h"

namespace tocayo {
namespace {

TEST(Labels, SortsDropsEmptyAndLastDuplicateWins) {
  Labels labels({{"b", "1"}, {"a", "2"}, {"b", "3"}, {"c", ""}});
  ASSERT_EQ(labels.size(), 2U);
  EXPECT_EQ(labels[0].name, "a");
  EXPECT_EQ(labels.get("b"), "3");
  EXPECT_EQ(labels.get("c"), "");
}

TEST(Labels, PrintsAsPrometheusDoes) {
  EXPECT_EQ(Labels({{"__name__", "up"}, {"job", "a\"b\n"}}).to_string(), "up{job=\"a\\\"b\\n\"}");
  EXPECT_EQ(Labels({{"__name__", "my.metric"}, {"a.b", "x"}}).to_string(), "{\"my.metric\", \"a.b\"=\"x\"}");
  EXPECT_EQ(Labels().to_string(), "{}");
  EXPECT_EQ(Labels({{"__name__", "up"}}).to_string(), "up");
}

TEST(Matcher, RegexIsAnchoredAndDotMatchesNewline) {
  auto matcher = Matcher::create(Matcher::Type::regex, "a", "x.y");
  ASSERT_TRUE(matcher);
  EXPECT_TRUE(matcher->matches("x\ny"));
  EXPECT_FALSE(matcher->matches("xxyz"));
  EXPECT_FALSE(Matcher::create(Matcher::Type::regex, "a", "("));
}

TEST(Matcher, AlternationOfLiteralsIsRecognised) {
  auto matcher = Matcher::create(Matcher::Type::regex, "a", "(x|y\\.z|)");
  ASSERT_TRUE(matcher && matcher->literals());
  EXPECT_EQ(*matcher->literals(), (std::vector<std::string>{"x", "y.z", ""}));
  EXPECT_TRUE(matcher->matches("y.z"));
  EXPECT_FALSE(matcher->matches("yxz"));
  EXPECT_TRUE(matcher->matches_empty());
  EXPECT_FALSE(Matcher::create(Matcher::Type::regex, "a", "a\\d|b")->literals());
}

TEST(Time, Durations) {
  EXPECT_EQ(parse_duration("1h30m")->count(), 5'400'000);
  EXPECT_EQ(parse_duration("1y2w3d4h5m6s7ms")->count(), (((365LL + 14 + 3) * 24 + 4) * 3600 + 5 * 60 + 6) * 1000 + 7);
  EXPECT_EQ(parse_duration("0")->count(), 0);
  for (auto bad : {"", "1", "m", "1m1h", "1m1m", "1.5h", "-1m", "1h ", "99999999999999999999y", "400y"}) {
    EXPECT_FALSE(parse_duration(bad)) << bad;
  }
  for (auto text : {"1w", "1y", "1h30m", "15s", "1ms", "1d1h"}) {
    EXPECT_EQ(format_duration(*parse_duration(text)), text);
  }
}

TEST(Time, ParsesUnixAndRfc3339) {
  EXPECT_EQ(*parse_time("1435781451.781"), 1435781451781);
  EXPECT_EQ(*parse_time("2015-07-01T20:10:51.781Z"), 1435781451781);
  EXPECT_EQ(*parse_time("2015-07-01T22:10:51.781+02:00"), 1435781451781);
  EXPECT_EQ(format_rfc3339(1435781451781), "2015-07-01T20:10:51.781Z");
  for (auto bad : {"", "x", "2015-07-01", "2015-02-30T00:00:00Z", "2015-07-01T20:10:51", "NaN", "Inf"}) {
    EXPECT_FALSE(parse_time(bad)) << bad;
  }
}

TEST(Hash, Crc32cKnownAnswer) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(crc32c("56789", crc32c("1234")), 0xe3069283U);
}

TEST(Registry, TextFormat) {
  Registry registry;
  registry.counter("a_total", "counts \\ things", {{"x", "q\"\n"}}).add(2);
  static constexpr double kBounds[] = {0.1, 1};
  auto& histogram = registry.histogram("h_seconds", "times", {}, kBounds);
  histogram.observe(0.1);
  histogram.observe(5);
  EXPECT_EQ(registry.to_text(),
            "# HELP a_total counts \\\\ things\n# TYPE a_total counter\na_total{x=\"q\\\"\\n\"} 2\n"
            "# HELP h_seconds times\n# TYPE h_seconds histogram\nh_seconds_bucket{le=\"0.1\"} 1\n"
            "h_seconds_bucket{le=\"1\"} 1\nh_seconds_bucket{le=\"+Inf\"} 2\nh_seconds_sum 5.1\nh_seconds_count 2\n");
}

// An owner makes a metric while it holds the mutex that its collector takes.
TEST(Registry, AMetricIsMadeWhileACollectorRuns) {
  Registry registry;
  std::mutex of_owner;
  std::promise<void> owner_holds, collector_runs;
  registry.add_collector(&registry, [&](std::vector<Registry::Family>& families) {
    collector_runs.set_value();
    std::lock_guard lock(of_owner);
    families.push_back({"size", "of the owner", MetricType::gauge, {{"", {}, 3}}});
  });
  std::jthread owner([&] {
    std::lock_guard lock(of_owner);
    owner_holds.set_value();
    collector_runs.get_future().wait();
    registry.counter("made_total", "while the collector waits").add(1);
  });
  owner_holds.get_future().wait();
  EXPECT_EQ(registry.to_text(),
            "# HELP made_total while the collector waits\n# TYPE made_total counter\nmade_total 1\n"
            "# HELP size of the owner\n# TYPE size gauge\nsize 3\n");
  registry.remove_collectors(&registry);
  EXPECT_EQ(registry.collect().size(), 1U);
}

Task<Result<int>> half(int value) {
  if (value % 2 != 0) co_return fail(ErrorKind::bad_input, "odd");
  co_return value / 2;
}
Task<Result<int>> quarter(Pool& pool, int value) {
  co_await pool.schedule();
  CO_TRY(int once, co_await half(value));
  CO_TRY(int twice, co_await half(once));
  co_return twice;
}

TEST(Task, AwaitsPropagatesErrorsAndChangesPools) {
  Pool pool("test", 2);
  EXPECT_EQ(*sync_wait(quarter(pool, 12)), 3);
  EXPECT_EQ(sync_wait(quarter(pool, 6)).error().message, "odd");
}

TEST(Task, CompletionFromAnotherThread) {
  auto wait = []() -> Task<int> {
    // Detached: the task goes on on this very thread, perhaps before the thread object could be kept.
    co_return co_await completion<int>(
        [](auto complete) { std::thread([complete]() mutable { complete(7); }).detach(); });
  };
  EXPECT_EQ(sync_wait(wait()), 7);
}

TEST(Pool, ParallelForRunsEachOnceAlsoWhenNested) {
  Pool pool("test", 2);
  std::atomic<int> sum{0};
  pool.parallel_for(10,
                    [&](std::size_t) { pool.parallel_for(100, [&](std::size_t i) { sum += static_cast<int>(i); }); });
  EXPECT_EQ(sum.load(), 10 * 4950);
}

TEST(Context, DeadlineAndStop) {
  std::stop_source stop;
  Context context(stop.get_token(), Context::Steady::time_point::max());
  EXPECT_TRUE(context.check());
  EXPECT_EQ(context.with_timeout(std::chrono::milliseconds(-1)).check().error().kind, ErrorKind::timeout);
  stop.request_stop();
  EXPECT_EQ(context.check().error().kind, ErrorKind::canceled);
}

}  // namespace
}  // namespace tocayo
