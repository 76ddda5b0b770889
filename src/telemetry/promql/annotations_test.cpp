// SPDX-License-Identifier: Apache-2.0
#include "promql/annotations.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tocayo::promql {
namespace {

constexpr std::string_view kQuery = "rate(\n  a[5m])";

TEST(PromqlAnnotations, TextsCarryKindAndPosition) {
  Annotations all;
  all.add(annotation::possible_non_counter("a", {8, 13}));
  all.add(annotation::invalid_quantile(NAN, {0, 1}));
  all.add(annotation::invalid_ratio(1.5, 1, {0, 1}));
  all.add(annotation::bad_bucket_label("", "x", {0, 1}));
  all.add(annotation::bad_bucket_label("b", "", {0, 1}));
  all.add(annotation::incompatible_types_in_binop("float", "+", "histogram", {0, 1}));
  all.add(annotation::mismatched_custom_buckets({0, 1}, HistogramOperation::subtraction));
  all.add(annotation::plain_warning("the store is slow"));
  auto texts = all.texts(kQuery);
  EXPECT_EQ(
      texts.warnings,
      (std::vector<std::string>{
          "PromQL warning: bucket label \"le\" is missing or has a malformed value of \"\" for metric name \"b\" (1:1)",
          "PromQL warning: bucket label \"le\" is missing or has a malformed value of \"x\" (1:1)",
          "PromQL warning: quantile value should be between 0 and 1, got NaN (1:1)",
          "PromQL warning: ratio value should be between -1 and 1, got 1.5, capping to 1 (1:1)", "the store is slow"}));
  EXPECT_EQ(
      texts.infos,
      (std::vector<std::string>{
          "PromQL info: incompatible sample types encountered for binary operator \"+\": float + histogram (1:1)",
          "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"a\" (2:3)",
          "PromQL info: mismatched custom buckets were reconciled during subtraction (1:1)"}));
}

TEST(PromqlAnnotations, SameTextCountsOnce) {
  Annotations all;
  all.add(annotation::sort_in_range_query({0, 1}));
  all.add(annotation::sort_in_range_query({2, 3}));
  EXPECT_EQ(
      all.texts(kQuery).warnings,
      std::vector<std::string>{
          "PromQL warning: sort is ineffective for range queries since results are always ordered by labels (1:3)"});
}

TEST(PromqlAnnotations, MonotonicityIsMerged) {
  Annotations first, second;
  first.add(annotation::forced_monotonicity("h", {0, 1}, 60'000, 0.5, 5, 2));
  second.add(annotation::forced_monotonicity("h", {0, 1}, 120'500, 0.1, 2, 1234));
  second.add(annotation::forced_monotonicity("h", {0, 1}, 0, 0.2, 10, 1));
  first.merge(second);
  EXPECT_EQ(
      first.texts(kQuery).infos,
      std::vector<std::string>{
          "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see "
          "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name \"h\", "
          "from buckets 0.1 to 10, with a max diff of 1.2e+03, over 3 samples from 1970-01-01T00:00:00Z to "
          "1970-01-01T00:02:00Z (1:1)"});
}

TEST(PromqlAnnotations, OverlapsAreCounted) {
  Annotations all;
  all.add(annotation::start_time_overlap("m", {0, 1}));
  EXPECT_EQ(
      all.texts(kQuery).warnings[0],
      "PromQL warning: sample has start time that overlaps with previous sample timestamp for metric \"m\" (1:1)");
  all.add(annotation::start_time_overlap("m", {0, 1}));
  EXPECT_EQ(all.texts(kQuery).warnings[0],
            "PromQL warning: sample has start time that overlaps with previous sample timestamp for metric \"m\" (2 "
            "occurrences) (1:1)");
}

TEST(PromqlAnnotations, OutputIsCapped) {
  Annotations all;
  for (int i = 0; i < 15; ++i) all.add(annotation::possible_non_counter("m" + std::to_string(i), {0, 1}));
  for (int i = 0; i < 12; ++i) all.add(annotation::invalid_quantile(2 + i, {0, 1}));
  auto texts = all.texts(kQuery, kApiAnnotationLimit, kApiAnnotationLimit);
  EXPECT_EQ(texts.infos.size(), 11u);
  EXPECT_EQ(texts.infos.back(), "5 more info annotations omitted");
  EXPECT_EQ(texts.warnings.back(), "2 more warning annotations omitted");
}

}  // namespace
}  // namespace tocayo::promql
