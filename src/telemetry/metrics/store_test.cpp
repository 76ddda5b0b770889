// SPDX-License-Identifier: Apache-2.0
#include "metrics/store.h"

#include <gtest/gtest.h>

#include <bit>

#include "core/registry.h"
#include "metrics/store_test_support.h"

namespace tocayo::metrics {
namespace {

using namespace testing;
using Strings = std::vector<std::string>;

const TimestampMs kT = 1'700'000'000'000;
const Labels kUp{{"__name__", "up"}, {"job", "node"}};

Matcher match(Matcher::Type type, std::string name, std::string value) {
  return *Matcher::create(type, std::move(name), std::move(value));
}

std::shared_ptr<const FloatHistogram> histogram(double base) {
  auto h = std::make_shared<FloatHistogram>();
  h->schema = 1;
  h->zero_threshold = 1e-128;
  h->zero_count = base;
  h->positive_spans = {{0, 2}, {3, 1}};
  h->positive_buckets = {base, base + 1, base + 2};
  h->negative_spans = {{-1, 1}};
  h->negative_buckets = {1};
  h->count = 4 * base + 4;
  h->sum = base * 1.5;
  return h;
}

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() { open(); }
  void open(StoreLimits limits = {}) {
    store.reset();
    auto options = options_for(dir.path, clock);
    options.limits = std::make_shared<FixedLimits>(limits);
    store = must_open(std::move(options));
  }
  TemporaryDir dir;
  ManualClock clock;
  std::unique_ptr<Store> store;
};

TEST_F(StoreTest, WritesAndReads) {
  auto result = append_one(*store, kUp, {{kT, 1}, {kT + 15000, 0}});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->floats_written, 2U);
  EXPECT_FALSE(result->first_error);
  EXPECT_EQ(floats_of(read_all(*store), kUp), (Strings{show(kT, 1), show(kT + 15000, 0)}));
  EXPECT_TRUE(read_all(*store, "other").empty());
  EXPECT_EQ(store->tenants(), (Strings{"t"}));
}

TEST_F(StoreTest, RangeIsClosedOnBothSides) {
  append_one(*store, kUp, {{kT, 1}, {kT + 1, 2}, {kT + 2, 3}}).value();
  auto all = read_from(*store->querier("t"), {}, kT, kT + 1);
  EXPECT_EQ(floats_of(all, kUp), (Strings{show(kT, 1), show(kT + 1, 2)}));
}

TEST_F(StoreTest, TheSameAgainIsWrittenAndAnotherValueIsRefused) {
  append_one(*store, kUp, {{kT, 1}, {kT + 10, 2}}).value();
  for (int round = 0; round < 3; ++round) {
    auto again = append_one(*store, kUp, {{kT, 1}, {kT + 10, 2}});
    ASSERT_TRUE(again);
    EXPECT_EQ(again->floats_written, 2U);
    EXPECT_FALSE(again->first_error);
    for (TimestampMs time : {kT, kT + 10}) {
      auto other = append_one(*store, kUp, {{time, 7}});
      ASSERT_TRUE(other);
      EXPECT_EQ(other->floats_written, 0U);
      ASSERT_EQ(other->rejected.size(), 1U);
      EXPECT_EQ(other->rejected[0].reason, "sample_duplicate_timestamp");
      EXPECT_NE(other->first_error->message.find("(err-mimir-sample-duplicate-timestamp)"), std::string::npos);
    }
    // Sealed, and sealed and reopened, the rule is the same.
    ASSERT_TRUE(store->seal());
    if (round == 1) open();
  }
  EXPECT_EQ(floats_of(read_all(*store), kUp), (Strings{show(kT, 1), show(kT + 10, 2)}));
}

TEST_F(StoreTest, OutOfOrderWithinTheWindowIsAcceptedAndOlderRefused) {
  append_one(*store, kUp, {{kT, 1}}).value();
  auto late = append_one(*store, kUp, {{kT - 3'600'000, 5}, {kT - 60'000, 6}});
  ASSERT_TRUE(late);
  EXPECT_EQ(late->floats_written, 2U);
  auto old = append_one(*store, kUp, {{kT - 7'200'001, 9}});
  ASSERT_TRUE(old);
  EXPECT_EQ(old->floats_written, 0U);
  ASSERT_TRUE(old->first_error);
  EXPECT_NE(old->first_error->message.find("(err-mimir-sample-timestamp-too-old)"), std::string::npos)
      << old->first_error->message;
  EXPECT_NE(old->first_error->message.find("out_of_order_time_window"), std::string::npos);
  EXPECT_EQ(floats_of(read_all(*store), kUp), (Strings{show(kT - 3'600'000, 5), show(kT - 60'000, 6), show(kT, 1)}));
}

TEST_F(StoreTest, WindowZeroBehavesAsPrometheus) {
  open({.out_of_order_time_window = std::chrono::milliseconds(0)});
  append_one(*store, kUp, {{kT, 1}}).value();
  auto late = append_one(*store, kUp, {{kT - 1, 5}});
  ASSERT_TRUE(late && late->first_error);
  EXPECT_EQ(late->rejected[0].reason, "sample_out_of_order");
  EXPECT_NE(late->first_error->message.find("(err-mimir-sample-out-of-order)"), std::string::npos);
  // Another series may lag by half a window.
  const Labels other{{"__name__", "down"}};
  EXPECT_EQ(append_one(*store, other, {{kT - 3'000'000, 5}})->floats_written, 1U);
  EXPECT_EQ(append_one(*store, {{"__name__", "third"}}, {{kT - 4'000'000, 5}})->rejected[0].reason,
            "sample_timestamp_too_old");
}

TEST_F(StoreTest, TooFarInTheFutureIsRefusedAndMakesNoSeries) {
  auto future = append_one(*store, kUp, {{clock.now + 600'001, 1}});
  ASSERT_TRUE(future && future->first_error);
  EXPECT_EQ(future->rejected[0].reason, "too_far_in_future");
  EXPECT_EQ(store->head_stats("t", 10).series, 0U);
  EXPECT_EQ(append_one(*store, kUp, {{clock.now + 600'000, 1}})->floats_written, 1U);
}

TEST_F(StoreTest, SeriesLimitStopsNewSeriesOnly) {
  open({.max_global_series_per_user = 2});
  append_one(*store, {{"__name__", "a"}}, {{kT, 1}}).value();
  append_one(*store, {{"__name__", "b"}}, {{kT, 1}}).value();
  auto third = append_one(*store, {{"__name__", "c"}}, {{kT, 1}, {kT + 1, 1}});
  ASSERT_TRUE(third && third->first_error);
  EXPECT_EQ(third->first_error->kind, ErrorKind::limit);
  EXPECT_EQ(third->rejected[0].reason, "max_series_per_user");
  EXPECT_EQ(third->rejected[0].count, 2U);
  EXPECT_NE(third->first_error->message.find("(err-mimir-max-series-per-user)"), std::string::npos);
  EXPECT_NE(third->first_error->message.find("limits.max_global_series_per_user"), std::string::npos);
  EXPECT_EQ(append_one(*store, {{"__name__", "a"}}, {{kT + 1, 1}})->floats_written, 1U);
  EXPECT_EQ(append_one(*store, {{"__name__", "c"}}, {{kT, 1}}, {}, {}, "other tenant")->floats_written, 1U);
}

TEST_F(StoreTest, PerMetricSeriesLimit) {
  open({.max_global_series_per_metric = 1});
  EXPECT_EQ(append_one(*store, {{"__name__", "a"}, {"x", "1"}}, {{kT, 1}})->floats_written, 1U);
  EXPECT_EQ(append_one(*store, {{"__name__", "a"}, {"x", "2"}}, {{kT, 1}})->rejected[0].reason,
            "max_series_per_metric");
  EXPECT_EQ(append_one(*store, {{"__name__", "b"}, {"x", "2"}}, {{kT, 1}})->floats_written, 1U);
}

TEST_F(StoreTest, RefsSpareLabelsAndStaleOnesAreReported) {
  std::vector<FloatRow> rows{{kT, 1}};
  SeriesRows series{.labels = &kUp, .floats = rows};
  sync_wait(store->append("t", {.series = {&series, 1}, .metadata = {}})).value();
  ASSERT_NE(series.ref, 0U);
  EXPECT_TRUE(store->valid("t", series.ref));
  EXPECT_FALSE(store->valid("other", series.ref));
  rows[0] = {kT + 1, 2};
  series.labels = nullptr;
  auto by_ref = sync_wait(store->append("t", {.series = {&series, 1}, .metadata = {}}));
  EXPECT_EQ(by_ref->floats_written, 1U);
  // For another tenant the reference means nothing.
  auto wrong = sync_wait(store->append("other", {.series = {&series, 1}, .metadata = {}}));
  ASSERT_TRUE(wrong);
  EXPECT_EQ(wrong->floats_written, 0U);
  EXPECT_EQ(wrong->unresolved, (std::vector<std::uint32_t>{0}));
  EXPECT_EQ(floats_of(read_all(*store), kUp).size(), 2U);
}

TEST_F(StoreTest, KeepsEveryBitThroughHeadSegmentAndReplay) {
  std::vector<FloatRow> rows;
  const std::uint64_t patterns[] = {0x8000000000000000, kStaleNaNBits, 0x7ff8000000000001, 0xfff8dead0000beef, 1,
                                    0x7ff0000000000000};
  for (std::size_t i = 0; i < 60; ++i) {
    rows.push_back({kT + static_cast<TimestampMs>(i), std::bit_cast<double>(patterns[i % std::size(patterns)]),
                    i % 2 == 0 ? kT - 5 : 0});
  }
  append_one(*store, kUp, rows).value();
  auto check = [&](std::string_view when) {
    const auto all = read_all(*store);
    const ReadSeries& got = all.at(kUp);
    ASSERT_EQ(got.floats.size(), rows.size()) << when;
    for (const FloatRow& row : rows) {
      EXPECT_EQ(got.floats.at(row.time), std::bit_cast<std::uint64_t>(row.value)) << when;
      EXPECT_EQ(got.starts.contains(row.time) ? got.starts.at(row.time) : 0, row.start_time) << when;
    }
  };
  check("head");
  open();
  check("replayed");
  ASSERT_TRUE(store->close());
  open();
  check("from the checkpoint");
  ASSERT_TRUE(store->seal());
  check("sealed");
  open();
  check("sealed and reopened");
}

TEST_F(StoreTest, HistogramsMixWithFloatsAndSurvive) {
  std::vector<HistogramRow> rows;
  for (int i = 0; i < 20; ++i) rows.push_back({kT + i * 1000, histogram(i), true, 0});
  auto odd = std::make_shared<FloatHistogram>(*histogram(3));
  odd->count = 10.25;
  odd->schema = 3;
  odd->hint = ResetHint::gauge;
  rows.push_back({kT + 20'000, odd, false, 0});
  auto written = append_one(*store, kUp, {}, rows);
  EXPECT_EQ(written->histograms_written, 21U);
  EXPECT_EQ(append_one(*store, kUp, {}, rows)->histograms_written, 21U);
  auto clash = append_one(*store, kUp, {}, {{kT + 5000, histogram(99), true, 0}});
  EXPECT_EQ(clash->rejected[0].reason, "sample_duplicate_timestamp");
  EXPECT_EQ(append_one(*store, kUp, {{kT + 30'000, 4}})->floats_written, 1U);
  EXPECT_EQ(append_one(*store, kUp, {}, {{kT + 15'500, histogram(50), true, 0}})->histograms_written, 1U);  // late
  auto check = [&](std::string_view when) {
    const auto all = read_all(*store);
    const ReadSeries& got = all.at(kUp);
    ASSERT_EQ(got.histograms.size(), 22U) << when;
    EXPECT_EQ(got.floats.size(), 1U) << when;
    for (const HistogramRow& row : rows) {
      FloatHistogram expected = *row.histogram;  // with the hint that the store derives
      if (expected.hint != ResetHint::gauge) expected.hint = row.time == kT ? ResetHint::unknown : ResetHint::not_reset;
      EXPECT_EQ(got.histograms.at(row.time)->to_string(), expected.to_string()) << when;
    }
    EXPECT_EQ(got.histograms.at(kT + 15'500)->to_string(), histogram(50)->to_string()) << when;
  };
  check("head");
  open();
  check("replayed");
  ASSERT_TRUE(store->close());
  open();
  check("from the checkpoint");
  ASSERT_TRUE(store->seal());
  open();
  check("sealed");
}

TEST_F(StoreTest, AFloatStaleMarkerEndsAHistogramSeriesAsHistogram) {
  append_one(*store, kUp, {}, {{kT, histogram(1), true, 0}}).value();
  EXPECT_EQ(append_one(*store, kUp, {{kT + 1, kStaleNaN}})->floats_written, 1U);
  const auto all = read_all(*store);
  EXPECT_TRUE(all.at(kUp).floats.empty());
  EXPECT_TRUE(is_stale(all.at(kUp).histograms.at(kT + 1)->sum));
}

TEST_F(StoreTest, SelectsByEveryKindOfMatcher) {
  for (int i = 0; i < 20; ++i) {
    Labels labels{{"__name__", "m"}, {"i", std::to_string(i)}};
    if (i % 2 == 0) labels.set("even", "yes");
    append_one(*store, labels, {{kT, 1}}).value();
  }
  using enum Matcher::Type;
  for (int sealed = 0; sealed < 2; ++sealed) {
    auto count = [&](std::vector<Matcher> matchers) {
      return read_from(*store->querier("t"), std::move(matchers)).size();
    };
    EXPECT_EQ(count({match(equal, "i", "7")}), 1U);
    EXPECT_EQ(count({match(not_equal, "i", "7")}), 19U);
    EXPECT_EQ(count({match(regex, "i", "1.*")}), 11U);
    EXPECT_EQ(count({match(not_regex, "i", "1.*")}), 9U);
    EXPECT_EQ(count({match(regex, "i", "1|2|99")}), 2U);
    EXPECT_EQ(count({match(equal, "even", "")}), 10U);
    EXPECT_EQ(count({match(not_equal, "even", "")}), 10U);
    EXPECT_EQ(count({match(regex, "even", ".+")}), 10U);
    EXPECT_EQ(count({match(regex, "even", ".*")}), 20U);
    EXPECT_EQ(count({match(regex, "even", "|no")}), 10U);
    EXPECT_EQ(count({match(not_regex, "even", "yes|")}), 0U);
    EXPECT_EQ(count({match(equal, "nothing", "x")}), 0U);
    EXPECT_EQ(count({match(not_equal, "nothing", "x")}), 20U);
    EXPECT_EQ(count({match(equal, "__name__", "m"), match(regex, "i", "1.+"), match(equal, "even", "yes")}), 5U);
    ASSERT_TRUE(store->seal());
  }
}

TEST_F(StoreTest, LabelNamesAndValuesCoverHeadAndSegments) {
  append_one(*store, {{"__name__", "old"}, {"a", "1"}}, {{kT, 1}}).value();
  ASSERT_TRUE(store->seal());
  append_one(*store, {{"__name__", "new"}, {"b", "2"}}, {{kT + 100'000, 1}}).value();
  auto querier = store->querier("t");
  EXPECT_EQ(querier->label_names({}, kT, kT + 200'000, 0, {})->names, (Strings{"__name__", "a", "b"}));
  EXPECT_EQ(querier->label_names({}, kT + 50'000, kT + 200'000, 0, {})->names, (Strings{"__name__", "b"}));
  EXPECT_EQ(querier->label_values("__name__", {}, kT, kT + 200'000, 0, {})->names, (Strings{"new", "old"}));
  EXPECT_EQ(querier->label_values("__name__", {}, kT, kT + 10, 0, {})->names, (Strings{"old"}));
  const std::vector<std::vector<Matcher>> sets{{Matcher::equal("a", "1")}, {Matcher::equal("b", "nope")}};
  EXPECT_EQ(querier->label_values("__name__", sets, kT, kT + 200'000, 0, {})->names, (Strings{"old"}));
  auto limited = querier->label_values("__name__", {}, kT, kT + 200'000, 1, {});
  EXPECT_EQ(limited->names, (Strings{"new"}));
  EXPECT_TRUE(limited->truncated);
}

TEST_F(StoreTest, AQuerierSeesItsMomentOnly) {
  append_one(*store, kUp, {{kT, 1}}).value();
  auto before = store->querier("t");
  append_one(*store, kUp, {{kT + 1, 2}, {kT - 1, 0}}).value();
  append_one(*store, kUp, {{kT + 2, 3}}).value();
  append_one(*store, {{"__name__", "younger"}}, {{kT + 1, 2}}).value();
  EXPECT_EQ(floats_of(read_from(*before), kUp), (Strings{show(kT, 1)}));
  EXPECT_EQ(read_from(*before).size(), 1U);
  EXPECT_EQ(floats_of(read_all(*store), kUp).size(), 4U);
}

TEST_F(StoreTest, ASelectionSurvivesSealingAndDemotion) {
  append_one(*store, kUp, {{kT, 1}, {kT + 1, 2}, {kT - 5, 3}}).value();
  auto querier = store->querier("t");
  auto set = querier->select({}, {.start = 0, .end = INT64_MAX}, Context());
  ASSERT_TRUE(set && (*set)->size() == 1);
  ASSERT_TRUE(store->seal());
  clock.now += 30 * 60'000;
  store->maintain();
  EXPECT_EQ(store->head_stats("t", 10).series, 0U);
  SampleColumns columns;
  ASSERT_TRUE((*set)->read(0, columns));
  EXPECT_EQ(columns.times, (std::vector<TimestampMs>{kT - 5, kT, kT + 1}));
  EXPECT_EQ(floats_of(read_all(*store), kUp).size(), 3U);
  // The series comes back where it left.
  EXPECT_EQ(append_one(*store, kUp, {{kT + 60'000, 4}})->floats_written, 1U);
  EXPECT_EQ(floats_of(read_all(*store), kUp).size(), 4U);
}

TEST_F(StoreTest, StaleSeriesLeaveMemorySoonerThanQuietOnes) {
  append_one(*store, kUp, {{kT, 1}}).value();
  append_one(*store, {{"__name__", "gone"}}, {{kT, 1}, {kT + 1, kStaleNaN}}).value();
  ASSERT_TRUE(store->seal());
  clock.now += 11 * 60'000;
  store->maintain();
  EXPECT_EQ(store->head_stats("t", 10).series, 1U);
  clock.now += 11 * 60'000;
  store->maintain();
  EXPECT_EQ(store->head_stats("t", 10).series, 0U);
  EXPECT_EQ(read_all(*store).size(), 2U);
}

TEST_F(StoreTest, RetentionDeletesSegments) {
  open({.retention = std::chrono::hours(1)});
  append_one(*store, kUp, {{kT, 1}}).value();
  ASSERT_TRUE(store->seal());
  clock.now = kT + 3'000'000;
  append_one(*store, kUp, {{kT + 3'000'000, 2}}).value();
  ASSERT_TRUE(store->seal());
  clock.now = kT + 3'600'001;
  store->maintain();
  EXPECT_EQ(floats_of(read_all(*store), kUp), (Strings{show(kT + 3'000'000, 2)}));
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir.path + "/segments"))
    files += entry.is_regular_file() ? 1 : 0;
  EXPECT_EQ(files, 1U);
}

TEST_F(StoreTest, TheHeadIsSealedWhenItSpansAWindow) {
  for (int i = 0; i <= 7200 / 60; ++i) {
    clock.now = kT + i * 60'000;
    append_one(*store, kUp, {{clock.now, static_cast<double>(i)}}).value();
  }
  store->maintain();
  EXPECT_EQ(store->head_stats("t", 10).chunks, 0U);
  EXPECT_EQ(floats_of(read_all(*store), kUp).size(), 121U);
}

TEST_F(StoreTest, ExemplarsAreKeptOrderedAndBounded) {
  open({.max_global_exemplars_per_user = 3});
  auto exemplar = [](TimestampMs time, double value) { return ExemplarRow{{{"trace_id", "x"}}, value, time}; };
  auto result = append_one(*store, kUp, {{kT, 1}}, {}, {exemplar(kT, 1), exemplar(kT, 1), exemplar(kT + 1, 2)});
  EXPECT_EQ(result->exemplars_written, 3U);
  auto late = append_one(*store, kUp, {{kT + 1, 1}}, {}, {exemplar(kT - 1, 3)});
  EXPECT_EQ(late->rejected[0].reason, "exemplar_out_of_order");
  append_one(*store, kUp, {{kT + 2, 1}}, {}, {exemplar(kT + 2, 3), exemplar(kT + 3, 4)}).value();
  for (int round = 0; round < 3; ++round) {
    const std::vector<std::vector<Matcher>> sets{{Matcher::equal("job", "node")}};
    auto found = store->exemplars("t", sets, kT, kT + 10);
    ASSERT_TRUE(found && found->size() == 1);
    EXPECT_EQ((*found)[0].labels, kUp);
    std::vector<double> values;
    for (const auto& e : (*found)[0].exemplars) values.push_back(e.value);
    EXPECT_EQ(values, (std::vector<double>{2, 3, 4})) << round;
    if (round == 1) {
      ASSERT_TRUE(store->close());
    }
    open({.max_global_exemplars_per_user = 3});
  }
}

TEST_F(StoreTest, MetadataIsKeptLatestFirstAndSurvives) {
  auto put = [&](std::vector<MetadataRow> rows) {
    return sync_wait(store->append("t", {.series = {}, .metadata = rows}));
  };
  ASSERT_TRUE(put({{"up", "gauge", "first", ""}, {"http", "counter", "requests", "1"}}));
  ASSERT_TRUE(put({{"up", "gauge", "second", ""}}));
  for (int round = 0; round < 3; ++round) {
    auto rows = store->metadata("t", "", 0, 0);
    ASSERT_EQ(rows.size(), 3U) << round;
    EXPECT_EQ(rows[0].metric, "http");
    EXPECT_EQ(rows[1].help, "second");
    EXPECT_EQ(rows[2].help, "first");
    EXPECT_EQ(store->metadata("t", "up", 0, 1).size(), 1U);
    EXPECT_EQ(store->metadata("t", "", 1, 0).size(), 1U);
    if (round == 1) {
      ASSERT_TRUE(store->close());
    }
    open();
  }
}

TEST_F(StoreTest, ADirectoryIsOpenOnce) {
  auto second = Store::open(options_for(dir.path, clock));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::conflict);
}

TEST_F(StoreTest, HeadStatsCountWhatIsThere) {
  append_one(*store, {{"__name__", "a"}, {"x", "1"}}, {{kT, 1}}).value();
  append_one(*store, {{"__name__", "a"}, {"x", "2"}}, {{kT + 5, 1}}).value();
  append_one(*store, {{"__name__", "b"}}, {{kT, 1}}).value();
  const HeadStats stats = store->head_stats("t", 10);
  EXPECT_EQ(stats.series, 3U);
  EXPECT_EQ(stats.label_pairs, 4U);
  EXPECT_EQ(stats.min_time, kT);
  EXPECT_EQ(stats.max_time, kT + 5);
  EXPECT_EQ(stats.series_by_metric[0].name, "a");
  EXPECT_EQ(stats.series_by_metric[0].value, 2U);
  EXPECT_EQ(stats.series_by_pair[0].name, "__name__=a");
}

TEST_F(StoreTest, CleanStartReplaysNothing) {
  append_one(*store, kUp, {{kT, 1}}).value();
  ASSERT_TRUE(store->close());
  store.reset();
  auto options = options_for(dir.path, clock);
  options.progress = std::make_shared<ReplayProgress>();
  auto progress = options.progress;
  store = must_open(std::move(options));
  EXPECT_TRUE(progress->done);
  EXPECT_EQ(progress->last, 0U);
  EXPECT_EQ(floats_of(read_all(*store), kUp).size(), 1U);
}

TEST_F(StoreTest, MemoryGuardRefusesNewSeriesOnly) {
  store.reset();
  auto options = options_for(dir.path, clock);
  std::atomic<std::uint64_t> used{10};
  options.memory_limit = 100;
  options.memory_used = [&used] { return used.load(); };
  store = must_open(std::move(options));
  append_one(*store, kUp, {{kT, 1}}).value();
  used = 95;
  store->maintain();
  EXPECT_EQ(append_one(*store, kUp, {{kT + 1, 1}})->floats_written, 1U);
  auto refused = append_one(*store, {{"__name__", "new"}}, {{kT, 1}});
  ASSERT_TRUE(refused && refused->first_error);
  EXPECT_EQ(refused->first_error->kind, ErrorKind::unavailable);
  used = 10;
  store->maintain();
  EXPECT_EQ(append_one(*store, {{"__name__", "new"}}, {{kT, 1}})->floats_written, 1U);
}

}  // namespace
}  // namespace tocayo::metrics
