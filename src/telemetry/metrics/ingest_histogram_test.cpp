// SPDX-License-Identifier: Apache-2.0
#include "metrics/ingest_histogram.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "metrics/remote_write_test_support.h"

namespace tocayo::metrics {
namespace {

using test::integer_histogram;

HistogramParts float_histogram() {
  HistogramParts parts;
  parts.is_float = true;
  parts.count_float = 6.5;
  parts.sum = 10;
  parts.zero_count_float = 0.5;
  parts.positive_spans = {{-2, 2}};
  parts.positive_counts = {2.5, 3.5};
  return parts;
}

HistogramParts custom_histogram() {
  HistogramParts parts;
  parts.schema = kCustomBucketsSchema;
  parts.count_int = 5;
  parts.sum = 3;
  parts.custom_values = {0.5, 1, 2};
  parts.positive_spans = {{0, 2}, {1, 1}};
  parts.positive_deltas = {1, 1, 0};  // 1, 2, 2
  return parts;
}

TEST(IngestHistogram, IntegerDeltasBecomeAbsoluteCounts) {
  auto checked = check_histogram(integer_histogram(), {});
  ASSERT_TRUE(checked) << checked.error().text;
  const FloatHistogram& h = **checked;
  EXPECT_EQ(h.count, 6);
  EXPECT_EQ(h.sum, 12.5);
  EXPECT_EQ(h.zero_count, 1);
  EXPECT_EQ(h.positive_buckets, (std::vector<double>{2, 1}));
  EXPECT_EQ(h.negative_buckets, (std::vector<double>{2}));
  EXPECT_EQ(h.schema, 1);
}

TEST(IngestHistogram, FloatAndCustomPass) {
  auto floats = check_histogram(float_histogram(), {});
  ASSERT_TRUE(floats) << floats.error().text;
  EXPECT_EQ((*floats)->count, 6.5);
  EXPECT_EQ((*floats)->positive_buckets, (std::vector<double>{2.5, 3.5}));
  auto custom = check_histogram(custom_histogram(), {});
  ASSERT_TRUE(custom) << custom.error().text;
  EXPECT_EQ((*custom)->custom_values, (std::vector<double>{0.5, 1, 2}));
  EXPECT_EQ((*custom)->positive_buckets, (std::vector<double>{1, 2, 2}));
}

TEST(IngestHistogram, StaleMarkerPassesWhateverElseItHolds) {
  HistogramParts parts = integer_histogram();
  parts.sum = kStaleNaN;
  parts.count_int = 999;
  auto checked = check_histogram(parts, {});
  ASSERT_TRUE(checked);
  EXPECT_TRUE(is_stale((*checked)->sum));
  EXPECT_TRUE((*checked)->positive_buckets.empty());
}

struct BadCase {
  std::string_view id;
  HistogramParts parts;
};

HistogramParts changed(HistogramParts parts, const std::function<void(HistogramParts&)>& change) {
  change(parts);
  return parts;
}

TEST(IngestHistogram, EveryRuleHasItsId) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<BadCase> cases = {
      {"native-histogram-count-mismatch", changed(integer_histogram(), [](auto& h) { h.count_int = 7; })},
      {"native-histogram-count-not-big-enough", changed(integer_histogram(),
                                                        [&](auto& h) {
                                                          h.sum = nan;
                                                          h.count_int = 5;
                                                        })},
      {"native-histogram-negative-bucket-count",
       changed(integer_histogram(), [](auto& h) { h.positive_deltas = {2, -3}; })},
      {"native-histogram-negative-bucket-count",
       changed(float_histogram(), [](auto& h) { h.positive_counts = {-1, 1}; })},
      {"native-histogram-negative-bucket-count", changed(float_histogram(), [](auto& h) { h.zero_count_float = -1; })},
      {"native-histogram-negative-bucket-count", changed(float_histogram(), [](auto& h) { h.count_float = -1; })},
      {"native-histogram-count-mismatch", changed(float_histogram(), [&](auto& h) { h.count_float = nan; })},
      {"native-histogram-count-mismatch", changed(float_histogram(), [&](auto& h) { h.positive_counts = {nan, 1}; })},
      {"native-histogram-count-mismatch", changed(float_histogram(), [&](auto& h) { h.zero_threshold = nan; })},
      {"native-histogram-span-negative-offset",
       changed(integer_histogram(), [](auto& h) { h.positive_spans = {{0, 1}, {-1, 1}}; })},
      {"native-histogram-spans-buckets-mismatch",
       changed(integer_histogram(), [](auto& h) { h.positive_spans = {{0, 3}}; })},
      {"native-histogram-spans-buckets-mismatch",
       changed(integer_histogram(), [](auto& h) { h.positive_spans = {{0, 0xffffffff}, {0, 0xffffffff}}; })},
      {"native-histogram-spans-buckets-mismatch",
       changed(integer_histogram(), [](auto& h) { h.positive_spans = {{2147483647, 1}, {2147483647, 1}}; })},
      {"native-histogram-custom-buckets-mismatch", changed(custom_histogram(), [](auto& h) { h.custom_values = {1}; })},
      {"native-histogram-custom-buckets-invalid",
       changed(custom_histogram(), [](auto& h) { h.custom_values = {2, 1, 3}; })},
      {"native-histogram-custom-buckets-invalid",
       changed(custom_histogram(), [&](auto& h) { h.custom_values = {1, nan, 3}; })},
      {"native-histogram-custom-buckets-invalid", changed(custom_histogram(), [](auto& h) { h.zero_count_int = 1; })},
      {"native-histogram-custom-buckets-invalid", changed(custom_histogram(), [](auto& h) { h.zero_threshold = 1; })},
      {"native-histogram-custom-buckets-invalid",
       changed(custom_histogram(), [](auto& h) { h.negative_spans = {{0, 0}}; })},
      {"native-histogram-custom-buckets-invalid", changed(integer_histogram(), [](auto& h) { h.custom_values = {1}; })},
      {"native-histogram-custom-buckets-infinite",
       changed(custom_histogram(), [&](auto& h) { h.custom_values = {0.5, 1, inf}; })},
      {"invalid-native-histogram-schema", changed(integer_histogram(), [](auto& h) { h.schema = -5; })},
      {"invalid-native-histogram-schema", changed(integer_histogram(), [](auto& h) { h.schema = 53; })},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    auto checked = check_histogram(cases[i].parts, {});
    ASSERT_FALSE(checked) << "case " << i;
    EXPECT_EQ(checked.error().id, cases[i].id) << "case " << i << ": " << checked.error().text;
    std::string snake(cases[i].id);
    std::replace(snake.begin(), snake.end(), '-', '_');
    EXPECT_EQ(checked.error().reason, snake);
  }
}

TEST(IngestHistogram, NanObservationsMayExceedTheBuckets) {
  HistogramParts parts = integer_histogram();
  parts.sum = std::numeric_limits<double>::quiet_NaN();
  parts.count_int = 9;
  EXPECT_TRUE(check_histogram(parts, {}));
}

TEST(IngestHistogram, FineSchemasAreReducedToEight) {
  HistogramParts parts;
  parts.schema = 10;
  parts.count_int = 8;
  parts.sum = 1;
  parts.positive_spans = {{1, 8}};  // indexes 1..8 at schema 10 are 1..2 at schema 8
  parts.positive_deltas = {1, 0, 0, 0, 0, 0, 0, 0};
  auto checked = check_histogram(parts, {});
  ASSERT_TRUE(checked) << checked.error().text;
  EXPECT_EQ((*checked)->schema, 8);
  EXPECT_EQ((*checked)->positive_buckets, (std::vector<double>{4, 4}));
}

TEST(IngestHistogram, TooManyBucketsAreReducedOrRefused) {
  HistogramParts parts;
  parts.schema = 3;
  parts.count_int = 16;
  parts.sum = 1;
  parts.positive_spans = {{1, 16}};
  parts.positive_deltas.assign(16, 0);
  parts.positive_deltas[0] = 1;
  IngestLimits limits;
  limits.max_native_histogram_buckets = 5;
  auto reduced = check_histogram(parts, limits);
  ASSERT_TRUE(reduced) << reduced.error().text;
  EXPECT_EQ((*reduced)->schema, 1);
  EXPECT_EQ((*reduced)->positive_buckets, (std::vector<double>{4, 4, 4, 4}));

  limits.reduce_native_histogram_over_max_buckets = false;
  EXPECT_EQ(check_histogram(parts, limits).error().id, "max-native-histogram-buckets");

  limits.reduce_native_histogram_over_max_buckets = true;
  limits.max_native_histogram_buckets = 2;
  EXPECT_EQ(check_histogram(custom_histogram(), limits).error().id, "not-reducible-native-histogram");

  // Buckets too far apart stay apart at the coarsest schema.
  HistogramParts wide;
  wide.schema = 0;
  wide.count_int = 3;
  wide.sum = 1;
  wide.positive_spans = {{0, 1}, {100, 1}, {100, 1}};
  wide.positive_deltas = {1, 0, 0};
  EXPECT_EQ(check_histogram(wide, limits).error().id, "not-reducible-native-histogram");
}

}  // namespace
}  // namespace tocayo::metrics
