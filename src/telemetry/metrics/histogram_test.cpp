// SPDX-License-Identifier: Apache-2.0
#include "metrics/histogram.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tocayo::metrics {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

FloatHistogram exponential(std::int32_t schema, std::int32_t offset, std::vector<double> buckets, double zero = 0,
                           double threshold = 0) {
  FloatHistogram h;
  h.schema = schema;
  h.zero_count = zero;
  h.zero_threshold = threshold;
  h.count = zero;
  for (double b : buckets) h.count += b;
  h.sum = h.count;
  h.positive_spans = {{offset, static_cast<std::uint32_t>(buckets.size())}};
  h.positive_buckets = std::move(buckets);
  return h;
}

FloatHistogram custom(std::vector<double> bounds, std::vector<double> buckets) {
  FloatHistogram h = exponential(kCustomBucketsSchema, 0, std::move(buckets));
  h.custom_values = std::move(bounds);
  return h;
}

TEST(HistogramBounds, FollowTheSchema) {
  EXPECT_EQ(bucket_bound(0, 0), 1);
  EXPECT_EQ(bucket_bound(3, 0), 8);
  EXPECT_EQ(bucket_bound(-2, 0), 0.25);
  EXPECT_EQ(bucket_bound(1, -1), 4);
  EXPECT_DOUBLE_EQ(bucket_bound(1, 1), std::sqrt(2.0));
  EXPECT_EQ(bucket_bound(1024, 0), std::numeric_limits<double>::max());
  EXPECT_EQ(bucket_bound(1025, 0), kInfinity);
  EXPECT_EQ(bucket_bound(256, -2), std::numeric_limits<double>::max());
  EXPECT_EQ(bucket_bound(-1, kCustomBucketsSchema, std::vector<double>{1, 2}), -kInfinity);
  EXPECT_EQ(bucket_bound(2, kCustomBucketsSchema, std::vector<double>{1, 2}), kInfinity);
  EXPECT_EQ(bucket_bound(std::numeric_limits<std::int64_t>::max() / 1024, 8), kInfinity);
}

TEST(HistogramCursor, VisitsInValueOrderBothWays) {
  FloatHistogram h = exponential(0, 0, {1, 2}, 5, 0.001);
  h.negative_spans = {{0, 1}, {1, 1}};
  h.negative_buckets = {3, 4};
  std::vector<double> up, down;
  BucketCursor ascending(h, BucketCursor::Order::ascending);
  while (ascending.next()) up.push_back(ascending.bucket().count);
  BucketCursor descending(h, BucketCursor::Order::descending);
  while (descending.next()) down.push_back(descending.bucket().count);
  EXPECT_EQ(up, (std::vector<double>{4, 3, 5, 1, 2}));
  EXPECT_EQ(down, (std::vector<double>{2, 1, 5, 3, 4}));
  EXPECT_EQ(h.to_string(), "{count:8, sum:8, [-4,-2):4, [-1,-0.5):3, [-0.001,0.001]:5, (0.5,1]:1, (1,2]:2}");
}

TEST(HistogramAdd, MergesLayoutsAndKeepsTotals) {
  FloatHistogram a = exponential(0, 0, {1, 2});
  FloatHistogram b = exponential(0, 3, {4});
  EXPECT_FALSE(a.add(b).incompatible);
  a.compact();
  EXPECT_EQ(a.count, 7);
  EXPECT_EQ(a.positive_buckets, (std::vector<double>{1, 2, 4}));
  EXPECT_EQ(a.positive_spans, (std::vector<Span>{{0, 2}, {1, 1}}));
}

TEST(HistogramAdd, TakesTheLowerSchema) {
  FloatHistogram fine = exponential(1, 1, {1, 2, 3, 4});  // (1,√2] (√2,2] (2,2√2] (2√2,4]
  FloatHistogram coarse = exponential(0, 1, {10, 20});    // (1,2] (2,4]
  fine.add(coarse);
  EXPECT_EQ(fine.schema, 0);
  EXPECT_EQ(fine.positive_buckets, (std::vector<double>{13, 27}));
  coarse.add(exponential(1, 1, {1, 2, 3, 4}));
  EXPECT_EQ(coarse.positive_buckets, (std::vector<double>{13, 27}));
}

TEST(HistogramAdd, WidensZeroBucketToABucketEnd) {
  FloatHistogram wide = exponential(0, 3, {1}, 2, 1.5);  // 1.5 lies inside (1,2] of the other
  FloatHistogram narrow = exponential(0, 0, {1, 1, 1}, 1, 0.001);
  FloatHistogram sum = narrow;
  sum.add(wide);
  EXPECT_EQ(sum.zero_threshold, 2);
  EXPECT_EQ(sum.zero_count, 2 + 1 + 2);
  sum.compact();
  EXPECT_EQ(sum.positive_buckets, (std::vector<double>{1, 1}));
  FloatHistogram other_way = wide;
  other_way.add(narrow);
  other_way.compact();
  EXPECT_TRUE(other_way.equals(sum)) << other_way.to_string() << " " << sum.to_string();
}

TEST(HistogramAdd, ReconcilesCustomBounds) {
  FloatHistogram a = custom({1, 2, 4}, {1, 1, 1, 1});
  const CombineOutcome outcome = a.add(custom({2, 3, 4}, {10, 10, 10, 10}));
  EXPECT_TRUE(outcome.bounds_reconciled);
  EXPECT_EQ(a.custom_values, (std::vector<double>{2, 4}));
  EXPECT_EQ(a.positive_buckets, (std::vector<double>{12, 21, 11}));
}

TEST(HistogramAdd, RefusesMixedSchemas) {
  FloatHistogram a = exponential(0, 0, {1});
  EXPECT_TRUE(a.add(custom({1}, {1})).incompatible);
  EXPECT_EQ(a.count, 1);
}

TEST(HistogramAdd, CombinesHints) {
  const auto hint_of = [](ResetHint a, ResetHint b) {
    FloatHistogram x = exponential(0, 0, {1}), y = x;
    x.hint = a;
    y.hint = b;
    const bool collision = x.add(y).counter_reset_collision;
    return std::pair(x.hint, collision);
  };
  using enum ResetHint;
  EXPECT_EQ(hint_of(reset, not_reset), std::pair(unknown, true));
  EXPECT_EQ(hint_of(gauge, reset), std::pair(gauge, false));
  EXPECT_EQ(hint_of(reset, gauge), std::pair(gauge, false));
  EXPECT_EQ(hint_of(reset, unknown), std::pair(unknown, false));
  EXPECT_EQ(hint_of(not_reset, not_reset), std::pair(not_reset, false));
}

TEST(HistogramSubtract, MayGoNegative) {
  FloatHistogram a = exponential(0, 0, {1, 5});
  a.subtract(exponential(0, 0, {2, 5}));
  a.compact();
  EXPECT_EQ(a.positive_buckets, (std::vector<double>{-1}));
  EXPECT_EQ(a.count, -1);
}

TEST(HistogramCompact, KeepsSmallGapsOnRequest) {
  FloatHistogram h = exponential(0, 5, {0, 1, 0, 2, 0, 0, 3, 0});
  FloatHistogram tight = h, loose = h, dense = h;
  tight.compact();
  loose.compact(1);
  dense.compact(100);
  EXPECT_EQ(tight.positive_spans, (std::vector<Span>{{6, 1}, {1, 1}, {2, 1}}));
  EXPECT_EQ(loose.positive_spans, (std::vector<Span>{{6, 3}, {2, 1}}));
  EXPECT_EQ(dense.positive_spans, (std::vector<Span>{{6, 6}}));
  EXPECT_EQ(dense.to_test_expression(), "{{count:6 sum:6 offset:6 buckets:[1 0 2 0 0 3]}}");
}

TEST(HistogramResets, SeesShrinkingVanishingAndLayoutChanges) {
  const FloatHistogram base = exponential(1, 1, {2, 3, 0, 4}, 1, 0.001);
  EXPECT_FALSE(base.detect_reset(base));
  FloatHistogram next = base;
  next.positive_buckets[1] = 2;
  next.count += 10;
  EXPECT_TRUE(next.detect_reset(base));
  next.hint = ResetHint::not_reset;
  EXPECT_FALSE(next.detect_reset(base));
  next = exponential(1, 1, {2, 3}, 1, 0.001);
  next.count = 100;
  EXPECT_TRUE(next.detect_reset(base)) << "populated bucket vanished";
  next = base;
  next.zero_threshold = 0.0001;
  EXPECT_TRUE(next.detect_reset(base)) << "zero threshold shrank";
  next = exponential(0, 1, {5, 4}, 1, 0.001);
  EXPECT_FALSE(next.detect_reset(base)) << "lower resolution with the same counts";
  EXPECT_TRUE(base.detect_reset(next)) << "higher resolution";
  next = exponential(1, 3, {0, 4}, 6, 2);
  EXPECT_FALSE(next.detect_reset(base)) << "zero bucket widened over whole buckets";
  next = exponential(1, 3, {0, 4}, 6, 1.9);
  EXPECT_TRUE(next.detect_reset(base)) << "zero threshold inside a populated bucket";
}

TEST(HistogramResets, CustomBoundsCompareOnCommonOnes) {
  EXPECT_FALSE(custom({2, 4}, {3, 3, 0}).detect_reset(custom({1, 2, 4}, {1, 1, 1, 0})));
  EXPECT_TRUE(custom({2, 4}, {1, 5, 0}).detect_reset(custom({1, 2, 4}, {1, 1, 1, 0})));
}

TEST(HistogramSum, CompensatesEveryBucket) {
  HistogramSum sum(exponential(0, 0, {1e16}));
  for (int i = 0; i < 10; ++i) sum.add(exponential(0, 0, {1}));
  EXPECT_EQ(sum.result().positive_buckets[0], 1e16 + 10);
  EXPECT_EQ(sum.result().count, 1e16 + 10);
}

TEST(HistogramEstimates, QuantileIsExponentialInsideABucket) {
  const FloatHistogram h = exponential(0, 1, {10});  // (1,2]
  EXPECT_DOUBLE_EQ(histogram_quantile(0.5, h).value, std::sqrt(2.0));
  EXPECT_EQ(histogram_quantile(-1, h).value, -kInfinity);
  EXPECT_EQ(histogram_quantile(2, h).value, kInfinity);
  EXPECT_TRUE(std::isnan(histogram_quantile(std::nan(""), h).value));
  EXPECT_DOUBLE_EQ(histogram_quantile(0.5, custom({10}, {4, 0})).value, 5);
  EXPECT_DOUBLE_EQ(histogram_fraction(1, std::sqrt(2.0), h).value, 0.5);
  EXPECT_DOUBLE_EQ(histogram_variance(exponential(0, 1, {4})), std::pow(std::sqrt(2.0) - 1, 2));
}

TEST(HistogramEstimates, NaNObservationsAreReported) {
  FloatHistogram h = exponential(0, 1, {10});
  h.sum = std::nan("");
  h.count = 20;
  EXPECT_TRUE(histogram_quantile(0.9, h).nan_result);
  EXPECT_TRUE(histogram_quantile(0.3, h).nan_skew);
  EXPECT_TRUE(histogram_fraction(0, 10, h).nan_observations);
}

TEST(HistogramTrim, KeepsOneSide) {
  FloatHistogram h = exponential(0, 1, {10, 10});  // (1,2] (2,4]
  h.trim(2, true);
  EXPECT_EQ(h.count, 10);
  EXPECT_EQ(h.positive_buckets, (std::vector<double>{10}));
  FloatHistogram inside = exponential(0, 1, {10, 10});
  inside.trim(std::sqrt(8.0), false);
  EXPECT_DOUBLE_EQ(inside.count, 5);
}

TEST(HistogramValidate, NamesWhatIsWrong) {
  EXPECT_TRUE(exponential(0, -5, {1}).validate().has_value());
  FloatHistogram h = exponential(0, 0, {1});
  h.positive_spans = {{0, 2}};
  EXPECT_EQ(h.validate().error().message,
            "positive side: spans need 2 buckets, have 1 buckets: histogram spans specify different number of buckets "
            "than provided");
  h = exponential(9, 0, {1});
  EXPECT_NE(h.validate().error().message.find("got schema 9"), std::string::npos);
  EXPECT_FALSE(custom({2, 1}, {1}).validate().has_value());
  EXPECT_FALSE(custom({1}, {1, 1, 1}).validate().has_value());
  EXPECT_FALSE(exponential(0, 0, {-1}).validate().has_value());
}

TEST(HistogramHostile, HugeOffsetsDoNotOverflow) {
  FloatHistogram h = exponential(8, std::numeric_limits<std::int32_t>::max(), {1, 2});
  h.positive_spans.push_back({std::numeric_limits<std::int32_t>::max(), 1});
  h.positive_buckets.push_back(3);
  FloatHistogram sum = h;
  sum.add(exponential(-4, std::numeric_limits<std::int32_t>::min(), {1}));
  EXPECT_EQ(sum.schema, -4);
  EXPECT_FALSE(h.detect_reset(h));
  EXPECT_FALSE(std::isfinite(histogram_quantile(0.5, h).value));
}

TEST(HistogramText, ShortestNumbers) {
  EXPECT_EQ(format_shortest(0.1), "0.1");
  EXPECT_EQ(format_shortest(1e6), "1e+06");
  EXPECT_EQ(format_shortest(123456), "123456");
  EXPECT_EQ(format_shortest(1e-5), "1e-05");
  EXPECT_EQ(format_shortest(-kInfinity), "-Inf");
}

}  // namespace
}  // namespace tocayo::metrics
