// SPDX-License-Identifier: Apache-2.0
// Requests that are under way at the same time: each sees the rows of the others before they are readable. And what the
// store says of rows by their time.
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "metrics/store_test_support.h"

namespace tocayo::metrics {
namespace {

using namespace testing;

constexpr TimestampMs kT = 1'700'000'000'000;
const Labels kSeries{{"__name__", "m"}, {"a", "b"}};

// Holds every sync of the journal until it is opened, and may let it fail then.
class HeldSync final : public journal::Faults {
 public:
  int on_write(std::uint64_t&) override { return 0; }
  int on_sync() override {
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [this] { return open_; });
    return error_;
  }
  void open(int error = 0) {
    std::lock_guard lock(mutex_);
    open_ = true;
    error_ = error;
    opened_.notify_all();
  }
  void close() {
    std::lock_guard lock(mutex_);
    open_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = true;
  int error_ = 0;
};

// An append that was started: it is encoded when this is constructed, and answers when the journal does.
class Started {
 public:
  Started(Store& store, std::vector<FloatRow> floats, std::vector<HistogramRow> histograms = {})
      : floats_(std::move(floats)), histograms_(std::move(histograms)) {
    series_ = {.labels = &kSeries, .floats = floats_, .histograms = histograms_};
    spawn<Result<AppendResult>>(store.append("t", {.series = {&series_, 1}, .metadata = {}}),
                                [this](Result<AppendResult> result) {
                                  std::lock_guard lock(mutex_);
                                  result_.emplace(std::move(result));
                                  done_.notify_all();
                                });
  }
  Result<AppendResult> wait() {
    std::unique_lock lock(mutex_);
    if (!done_.wait_for(lock, std::chrono::seconds(30), [this] { return result_.has_value(); })) {
      ADD_FAILURE() << "no answer";
      std::abort();
    }
    return *result_;
  }
  bool answered() {
    std::lock_guard lock(mutex_);
    return result_.has_value();
  }

 private:
  std::vector<FloatRow> floats_;
  std::vector<HistogramRow> histograms_;
  SeriesRows series_;
  std::mutex mutex_;
  std::condition_variable done_;
  std::optional<Result<AppendResult>> result_;
};

struct UnderWay : ::testing::Test {
  UnderWay() {
    auto options = options_for(dir.path, clock);
    options.shards = 1;
    options.wal_mode = journal::SyncMode::batch;
    options.faults = &sync;
    store = must_open(options);
    clock.now = kT;
    EXPECT_TRUE(append_one(*store, kSeries, {{kT - 100, 1}}));
    sync.close();
  }
  ~UnderWay() override { sync.open(); }

  TemporaryDir dir;
  ManualClock clock;
  HeldSync sync;
  std::unique_ptr<Store> store;
};

TEST_F(UnderWay, OtherValuesAtTheSameTimeAreDuplicates) {
  Started first(*store, {{kT + 10, 1}, {kT + 20, 2}});
  Started newest(*store, {{kT + 20, 3}});
  Started older(*store, {{kT + 10, 3}});
  Started mixed(*store, {{kT + 10, 4}, {kT + 15, 4}, {kT + 30, 4}});
  EXPECT_FALSE(first.answered());
  sync.open();
  EXPECT_EQ(first.wait()->floats_written, 2U);
  for (Started* other : {&newest, &older}) {
    auto result = other->wait();
    ASSERT_TRUE(result);
    EXPECT_EQ(result->floats_written, 0U);
    ASSERT_EQ(result->rejected.size(), 1U);
    EXPECT_EQ(result->rejected[0].reason, "sample_duplicate_timestamp");
    EXPECT_NE(result->first_error->message.find("err-mimir-sample-duplicate-timestamp"), std::string::npos);
  }
  EXPECT_EQ(mixed.wait()->floats_written, 2U);
  EXPECT_EQ(floats_of(read_all(*store), kSeries),
            (std::vector<std::string>{show(kT - 100, 1), show(kT + 10, 1), show(kT + 15, 4), show(kT + 20, 2),
                                      show(kT + 30, 4)}));
}

TEST_F(UnderWay, HistogramsAndFloatsAreToldApart) {
  auto histogram = std::make_shared<FloatHistogram>();
  histogram->count = 1;
  histogram->zero_count = 1;
  auto other = std::make_shared<FloatHistogram>(*histogram);
  other->sum = 5;
  Started first(*store, {}, {{kT + 10, histogram}, {kT + 20, histogram}});
  Started as_float(*store, {{kT + 10, 0}});
  Started changed(*store, {}, {{kT + 10, other}});
  Started same(*store, {}, {{kT + 10, std::make_shared<FloatHistogram>(*histogram)}});
  sync.open();
  EXPECT_EQ(first.wait()->histograms_written, 2U);
  EXPECT_EQ(as_float.wait()->floats_written, 0U);
  EXPECT_EQ(changed.wait()->histograms_written, 0U);
  EXPECT_EQ(same.wait()->histograms_written, 1U);
  EXPECT_EQ(read_all(*store).at(kSeries).histograms.size(), 2U);
}

TEST_F(UnderWay, TheSameRowsAreKeptOnceAndSurvive) {
  Started first(*store, {{kT + 10, 1}, {kT + 20, 2}});
  Started again(*store, {{kT + 10, 1}, {kT + 20, 2}});
  sync.open();
  EXPECT_EQ(first.wait()->floats_written, 2U);
  EXPECT_EQ(again.wait()->floats_written, 2U);
  const std::vector<std::string> expected{show(kT - 100, 1), show(kT + 10, 1), show(kT + 20, 2)};
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(floats_of(read_all(*store), kSeries), expected);
    store.reset();
    auto options = options_for(dir.path, clock);
    options.shards = 1;
    store = must_open(options);
  }
}

TEST_F(UnderWay, ARowIsNotAcknowledgedByARequestThatFails) {
  Started first(*store, {{kT + 10, 1}});
  Started again(*store, {{kT + 10, 1}});
  sync.open(EIO);
  EXPECT_FALSE(first.wait());
  EXPECT_FALSE(again.wait()) << "the row it has in common with the first is not durable";
  EXPECT_EQ(floats_of(read_all(*store), kSeries), (std::vector<std::string>{show(kT - 100, 1)}));
}

TEST(StoreAppend, ALongRequestKnowsItsOwnRows) {
  TemporaryDir dir;
  ManualClock clock;
  clock.now = kT;
  auto store = must_open(options_for(dir.path, clock));
  // Newest first, so that all but the first come late, and each twice; every tenth changes its value.
  std::vector<FloatRow> rows;
  for (int i = 0; i < 5000; ++i) rows.push_back({kT - i, 1});
  for (int i = 0; i < 5000; ++i) rows.push_back({kT - i, i % 10 == 0 ? 2.0 : 1.0});
  auto result = append_one(*store, kSeries, rows);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->floats_written, 9500U);
  ASSERT_EQ(result->rejected.size(), 1U);
  EXPECT_EQ(result->rejected[0].count, 500U);
  const auto all = read_all(*store);
  ASSERT_EQ(all.at(kSeries).floats.size(), 5000U);
  for (const auto& [time, bits] : all.at(kSeries).floats) ASSERT_EQ(std::bit_cast<double>(bits), 1.0);
}

TEST(StoreAppend, NewestSampleIsTheTenantsNewest) {
  TemporaryDir dir;
  ManualClock clock;
  clock.now = kT;
  auto options = options_for(dir.path, clock);
  auto store = must_open(options);
  EXPECT_EQ(store->newest_sample("t"), 0);
  append_one(*store, kSeries, {{kT, 1}}).value();
  EXPECT_EQ(store->newest_sample("t"), kT);
  EXPECT_EQ(store->newest_sample("other"), 0);
  append_one(*store, kSeries, {{kT - 5000, 1}}).value();
  EXPECT_EQ(store->newest_sample("t"), kT) << "a late one is not newer";
  append_one(*store, kSeries, {{kT + 3'600'000, 1}}).value();
  EXPECT_EQ(store->newest_sample("t"), kT) << "refused: too far in the future";
  append_one(*store, {{"__name__", "other"}}, {{kT + 7, 1}}).value();
  EXPECT_EQ(store->newest_sample("t"), kT + 7);
  ASSERT_TRUE(store->seal());
  EXPECT_EQ(store->newest_sample("t"), kT + 7) << "sealing moves it, it stays the newest";
  store.reset();
  store = must_open(options);
  EXPECT_EQ(store->newest_sample("t"), kT + 7) << "after a restart";
}

TEST(StoreAppend, TheNewestRowOfASeriesThatLeftMemoryIsStillKnown) {
  TemporaryDir dir;
  ManualClock clock;
  clock.now = kT;
  auto store = must_open(options_for(dir.path, clock));
  append_one(*store, kSeries, {{kT, 5}}).value();
  ASSERT_TRUE(store->seal());
  clock.now += 3'600'000;
  store->maintain();
  ASSERT_EQ(store->head_stats("t", 1).series, 0U);
  auto zero = append_one(*store, kSeries, {{kT, 0}});
  ASSERT_TRUE(zero);
  EXPECT_EQ(zero->floats_written, 0U) << "another value than the sealed one";
  auto same = append_one(*store, kSeries, {{kT, 5}});
  ASSERT_TRUE(same);
  EXPECT_EQ(same->floats_written, 1U);
  EXPECT_EQ(floats_of(read_all(*store), kSeries), (std::vector<std::string>{show(kT, 5)}));
}

TEST(StoreAppend, ThePastBeginsBehindTheOutOfOrderWindow) {
  TemporaryDir dir;
  ManualClock clock;
  clock.now = kT;
  auto options = options_for(dir.path, clock);
  StoreLimits limits;
  limits.past_grace_period = std::chrono::minutes(10);
  limits.out_of_order_time_window = std::chrono::minutes(60);
  options.limits = std::make_shared<FixedLimits>(limits);
  auto store = must_open(options);
  EXPECT_EQ(append_one(*store, kSeries, {{kT - 70 * 60'000, 1}})->floats_written, 1U);
  auto past = append_one(*store, {{"__name__", "older"}}, {{kT - 70 * 60'000 - 1, 1}});
  ASSERT_TRUE(past);
  EXPECT_EQ(past->floats_written, 0U);
  ASSERT_TRUE(past->first_error);
  EXPECT_NE(past->first_error->message.find("err-mimir-too-far-in-past"), std::string::npos);
}

}  // namespace
}  // namespace tocayo::metrics
