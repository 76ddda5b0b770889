// SPDX-License-Identifier: Apache-2.0
// What the store tells the meter of a query, from the head, from sealed segments and from both; and its list of blocks.
#include "metrics/querier_meter.h"

#include <gtest/gtest.h>

#include "metrics/store_test_support.h"

namespace tocayo::metrics {
namespace {

using namespace testing;

constexpr TimestampMs kNow = 1'700'000'000'000;
constexpr int kSeries = 1500, kRows = 240;

class MeteredStore : public ::testing::Test {
 protected:
  MeteredStore() : store_(must_open(options_for(dir_.path, clock_))) {}

  // kRows samples of kSeries series, the first one at `from`.
  void write(TimestampMs from) {
    for (int i = 0; i < kSeries; ++i) {
      std::vector<FloatRow> rows;
      for (int k = 0; k < kRows; ++k) rows.push_back({.time = from + k * 1000, .value = 1.0 * k * i});
      const Labels labels{{"__name__", "a_metric_with_a_long_name"}, {"i", std::to_string(i)}};
      ASSERT_TRUE(append_one(*store_, labels, std::move(rows)));
    }
  }
  Result<std::unique_ptr<SeriesSet>> select(QueryMeter& meter, TimestampMs start = INT64_MIN,
                                            TimestampMs end = INT64_MAX) {
    querier_ = store_->querier("t");
    SelectHints hints{.start = start, .end = end};
    hints.meter = &meter;
    const std::vector<Matcher> matchers{*Matcher::create(Matcher::Type::regex, "__name__", ".+")};
    return querier_->select(matchers, hints, Context());
  }

  TemporaryDir dir_;
  ManualClock clock_{kNow};
  std::unique_ptr<Store> store_;
  std::shared_ptr<const Querier> querier_;
};

TEST_F(MeteredStore, CountsHeadAndSegments) {
  write(kNow - 3'600'000);
  QueryMeter head({.max_chunk_bytes = 1 << 30});
  auto set = select(head);
  ASSERT_TRUE(set);
  EXPECT_EQ(head.series(), kSeries);
  EXPECT_EQ(head.chunks(), 2u * kSeries) << "240 samples are two chunks of 120";
  EXPECT_GT(head.memory(), kSeries * 200u);
  EXPECT_LT(head.memory(), kSeries * 1000u);
  head.release_selections();
  EXPECT_EQ(head.memory(), 0u);
  EXPECT_GT(head.peak_memory(), 0u);

  QueryMeter part;
  ASSERT_TRUE(select(part, kNow - 3'600'000, kNow - 3'600'000 + 60'000));
  EXPECT_EQ(part.chunks(), 1u * kSeries) << "only what lies in the range";

  ASSERT_TRUE(store_->seal());
  write(kNow - 600'000);
  QueryMeter both;
  ASSERT_TRUE(select(both));
  EXPECT_EQ(both.series(), 2u * kSeries) << "without a limit of series they are not told apart";
  EXPECT_EQ(both.chunks(), 4u * kSeries);
  QueryMeter distinct({.max_series = kSeries});
  ASSERT_TRUE(select(distinct));
  ASSERT_TRUE(select(distinct)) << "the same series again";
  EXPECT_EQ(distinct.series(), kSeries);
}

TEST_F(MeteredStore, RefusesWhileItSelects) {
  write(kNow - 3'600'000);
  for (const bool sealed : {false, true}) {
    if (sealed) {
      ASSERT_TRUE(store_->seal());
    }
    const std::pair<QueryMeterLimits, std::string_view> cases[] = {
        {{.max_series = kSeries - 1}, "(err-mimir-max-series-per-query)"},
        {{.max_chunks = 2 * kSeries - 1}, "(err-mimir-max-chunks-per-query)"},
        {{.max_chunk_bytes = kSeries * 20}, "(err-mimir-max-chunks-bytes-per-query)"},
        {{.max_memory = kSeries * 50}, "(err-mimir-max-estimated-memory-consumption-per-query)"},
    };
    for (const auto& [limits, id] : cases) {
      QueryMeter meter(limits);
      auto set = select(meter);
      ASSERT_FALSE(set) << id << sealed;
      EXPECT_EQ(set.error().kind, ErrorKind::limit);
      EXPECT_NE(set.error().message.find(id), std::string::npos) << set.error().message;
    }
    QueryMeter tiny({.max_series = 10});
    ASSERT_FALSE(select(tiny));
    EXPECT_LT(tiny.series(), 1000u) << "it stops on the way, not at the end";
  }
}

TEST_F(MeteredStore, AStoppedQuerySelectsNoMore) {
  write(kNow - 3'600'000);
  QueryMeter meter;
  meter.stop(Error{ErrorKind::unavailable, "first"});
  meter.stop(Error{ErrorKind::unavailable, "second"});
  auto set = select(meter);
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().message, "first");
}

TEST_F(MeteredStore, BlocksAreTheSealedSegments) {
  EXPECT_TRUE(store_->blocks("t").empty());
  EXPECT_TRUE(store_->blocks("nobody").empty());
  write(kNow - 3'600'000);
  ASSERT_TRUE(store_->seal());
  write(kNow - 600'000);
  ASSERT_TRUE(store_->seal());
  const auto blocks = store_->blocks("t");
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_LT(blocks[0].sequence, blocks[1].sequence);
  EXPECT_EQ(blocks[0].min_time, kNow - 3'600'000);
  EXPECT_EQ(blocks[0].max_time, kNow - 3'600'000 + (kRows - 1) * 1000);
  EXPECT_EQ(blocks[1].min_time, kNow - 600'000);
  for (const auto& block : blocks) {
    EXPECT_EQ(block.samples, static_cast<std::uint64_t>(kSeries) * kRows);
    EXPECT_EQ(block.series, kSeries);
    EXPECT_GT(block.bytes, 1000u);
  }
  EXPECT_TRUE(store_->blocks("other").empty());
}

}  // namespace
}  // namespace tocayo::metrics
