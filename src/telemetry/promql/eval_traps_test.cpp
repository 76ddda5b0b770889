// SPDX-License-Identifier: Apache-2.0
// The semantics that engines get wrong most often, one test each (specification: metrics §6.2), in the language of
// promqltest files. Every eval is run again with @ and as a range query by the runner.
#include <gtest/gtest.h>

#include <cmath>

#include "promql/aggregate.h"
#include "promql/functions_calendar.h"
#include "promql/histogram_quantile.h"
#include "promql/testfile_engine.h"

namespace tocayo::promql {
namespace {

void run(const char* text) {
  testing::EngineTarget target;
  const auto report = testing::run_text(text, "trap", target);
  for (const auto& failure : report.failures) ADD_FAILURE() << failure.to_string();
  EXPECT_GT(report.evals, 0);
}

TEST(Traps, ExtrapolationOfRates) {
  run(R"TEST(
load 10s
  c_total 0+10x30
  late_total _x20 100 110 120 130 140 150 160 170 180 190 200
  young_total _x28 5 15 25
  reset_total 0 10 20 5 15 25
  lone_total _x29 7

# Up to 1.1 spacings from the edges: extrapolated to them.
eval instant at 5m rate(c_total[1m])
  {} 1

eval instant at 5m increase(c_total[100s])
  {} 100

# The series began inside the range: half a spacing at the start.
eval instant at 5m increase(late_total[5m])
  {} 105

# A counter does not come from below zero: 5 / 20 of the 20 s is all there was before.
eval instant at 5m increase(young_total[5m])
  {} 25

# Drops add what was lost; delta does not care.
eval instant at 50s increase(reset_total[50s])
  {} 43.75

eval instant at 50s delta(reset_total[50s])
  {} 18.75

eval instant at 5m rate(lone_total[1m])

eval instant at 50s irate(reset_total[50s])
  {} 1

eval instant at 30s irate(reset_total[50s])
  {} 0.5

eval instant at 30s idelta(reset_total[50s])
  {} -15
)TEST");
}

TEST(Traps, Staleness) {
  run(R"TEST(
load 1m
  m 1 2 stale 4 _x20

eval instant at 2m m

eval instant at 1m m
  m 2

eval instant at 3m count_over_time(m[10m])
  {} 3

eval instant at 7m59s m
  m 4

eval instant at 8m m
)TEST");
}

TEST(Traps, CompensatedSumsAndOverflowingAverages) {
  run(R"TEST(
load 1m
  s{i="1"} 1 1e100 1 -1e100
  big{i="1"} 1.7e308
  big{i="2"} 1.7e308
  far{i="1"} 1e9
  far{i="2"} 1000000000.1

eval instant at 3m sum_over_time(s[4m])
  {i="1"} 2

eval instant at 0 sum(big)
  {} Inf

eval instant at 0 avg(big)
  {} 1.7e308

eval instant at 0 stddev(far)
  {} 0.05
)TEST");
}

TEST(Traps, QuantilesOutsideTheirRange) {
  run(R"TEST(
load 1m
  m{i="1"} 1
  m{i="2"} 2
  m{i="3"} 4

eval instant at 0 quantile(-0.1, m)
  expect warn msg: PromQL warning: quantile value should be between 0 and 1, got -0.1 (1:10)
  {} -Inf

eval instant at 0 quantile(1.1, m)
  expect warn
  {} Inf

eval instant at 0 quantile(NaN, m)
  expect warn
  {} NaN

eval instant at 0 quantile(0.75, m)
  expect no_warn
  {} 3
)TEST");
}

TEST(Traps, ClassicQuantile) {
  run(R"TEST(
load 1m
  h_bucket{le="1"} 10
  h_bucket{le="2"} 20
  h_bucket{le="+Inf"} 20
  noinf_bucket{le="1"} 10
  noinf_bucket{le="2"} 20
  single_bucket{le="+Inf"} 20
  bent_bucket{le="1"} 10
  bent_bucket{le="2"} 8
  bent_bucket{le="+Inf"} 20
  negative_bucket{le="-1"} 10
  negative_bucket{le="+Inf"} 20
  bad_bucket{le="x"} 10

eval instant at 0 histogram_quantile(0.75, h_bucket)
  {} 1.5

eval instant at 0 histogram_quantile(0.25, h_bucket)
  {} 0.5

eval instant at 0 histogram_quantile(0.5, noinf_bucket)
  {} NaN

eval instant at 0 histogram_quantile(0.5, single_bucket)
  {} NaN

eval instant at 0 histogram_quantile(0.1, negative_bucket)
  {} -1

eval instant at 0 histogram_quantile(0.6, bent_bucket)
  expect info regex: PromQL info: input to histogram_quantile needed to be fixed for monotonicity .* for metric name "bent_bucket", from buckets 2 to 2, with a max diff of 2, over 1 samples from .* \(1:25\)
  {} 2

eval instant at 0 histogram_quantile(0.5, bad_bucket)
  expect warn msg: PromQL warning: bucket label "le" is missing or has a malformed value of "x" for metric name "bad_bucket" (1:25)

eval instant at 0 histogram_fraction(0, 1, h_bucket)
  {} 0.5
)TEST");
  std::vector<eval::ClassicBucket> noise = {{1, 10}, {2, 10 - 1e-13}, {HUGE_VAL, 20}};
  EXPECT_FALSE(eval::classic_quantile(0.9, noise).forced_monotonic) << "a difference of rounding";
}

TEST(Traps, NativeHistograms) {
  run(R"TEST(
load 1m
  e {{schema:0 sum:10 count:10 buckets:[0 10]}}x5
  n {{schema:-53 sum:10 count:4 custom_values:[10] buckets:[4 0]}}x5
  g {{schema:0 sum:1 count:1 buckets:[1] counter_reset_hint:gauge}}x5
  mixed 1 {{schema:0 sum:1 count:1 buckets:[1]}}
  h{le="1"} 1
  r {{schema:0 sum:9 count:9 buckets:[4 5]}} {{schema:0 sum:9 count:10 buckets:[10]}}

eval instant at 0 histogram_quantile(0.5, e)
  {} 1.4142135623730951

eval instant at 0 histogram_quantile(0.5, n)
  {} 5

eval instant at 3m rate(g[3m])
  expect warn msg: PromQL warning: this native histogram metric is not a counter: "g" (1:6)
  {} {{schema:0 counter_reset_hint:gauge}}

eval instant at 1m rate(mixed[2m])
  expect warn msg: PromQL warning: encountered a mix of histograms and floats for metric name "mixed" (1:6)

eval instant at 1m resets(r[2m])
  {} 1

eval instant at 1m abs(e)

eval instant at 1m max({__name__=~"e|h"})
  expect info msg: PromQL info: ignored histogram in max aggregation (1:5)
  {} 1

eval instant at 1m sum({__name__=~"e|h"})
  expect warn msg: PromQL warning: encountered a mix of histograms and floats for aggregation (1:5)
)TEST");
}

TEST(Traps, AbsentAndLabelFunctions) {
  run(R"TEST(
load 1m
  m{src="a-b"} 1
  x{i="1"} 1
  x{i="2"} 2
  v{i="1"} 0.1
  v{i="2"} 1000000000000000000000

eval instant at 0 absent(none{a="1",b!="2",c=~"x",d="1",d="2"})
  {a="1"} 1

eval instant at 0 label_replace(m, "dst", "$2", "src", "(.)-(.)")
  m{src="a-b", dst="b"} 1

# The whole value must match.
eval instant at 0 label_replace(m, "dst", "x", "src", "a")
  m{src="a-b"} 1

eval instant at 0 label_replace(m, "src", "", "src", ".*")
  m 1

eval instant at 0 label_replace(m, "", "", "src", "(.*)")
  expect fail regex: invalid destination label name in label_replace

eval instant at 0 label_replace(x, "i", "", "", "")
  expect fail msg: vector cannot contain metrics with the same labelset

eval instant at 0 label_join(m, "j", "+", "src", "none", "src")
  m{src="a-b", j="a-b++a-b"} 1

eval instant at 0 count_values("value", v)
  {value="0.1"} 1
  {value="1000000000000000000000"} 1
)TEST");
}

TEST(Traps, TimestampsAndFixedTimes) {
  run(R"TEST(
load 1m
  m 1 2 3 4 5 6

eval instant at 2m30s timestamp(m)
  {} 120

eval instant at 2m30s timestamp(m + 0)
  {} 150

eval range from 0 to 2m step 1m m @ 180 + time()
  {} 4 64 124

eval range from 1m to 3m step 1m timestamp(m @ 60)
  {} 60 60 60
)TEST");
}

TEST(Traps, OrderOnlyMattersAtOneInstant) {
  run(R"TEST(
load 1m
  m{i="b"} 3
  m{i="a"} 1
  m{i="c"} NaN
  m{i="d"} 2

eval instant at 0 sort(m)
  expect ordered
  m{i="a"} 1
  m{i="d"} 2
  m{i="b"} 3
  m{i="c"} NaN

eval instant at 0 sort_desc(m)
  expect ordered
  m{i="b"} 3
  m{i="d"} 2
  m{i="a"} 1
  m{i="c"} NaN

eval instant at 0 topk(2, m)
  expect ordered
  m{i="b"} 3
  m{i="d"} 2

eval range from 0 to 1m step 1m sort(m)
  expect warn msg: PromQL warning: sort is ineffective for range queries since results are always ordered by labels (1:1)
  m{i="a"} 1 1
  m{i="b"} 3 3
  m{i="c"} NaN NaN
  m{i="d"} 2 2
)TEST");
  run(R"TEST(
load 1m
  v{n="v10"} 1
  v{n="v9"} 1
  v{n="v1.2"} 1

eval instant at 0 sort_by_label(v, "n")
  expect ordered
  v{n="v1.2"} 1
  v{n="v9"} 1
  v{n="v10"} 1
)TEST");
}

TEST(Traps, DuplicateLabelSets) {
  run(R"TEST(
load 1m
  a{i="1"} 1
  b{i="1"} 2
  c{i="1"} 3 _x10
  d{i="1"} _x7 4

eval instant at 0 abs({__name__=~"a|b"})
  expect fail msg: vector cannot contain metrics with the same labelset

# They never meet: one series.
eval range from 0 to 7m step 7m -{__name__=~"c|d"}
  {i="1"} -3 -4

# Aggregated away before anybody looks.
eval instant at 0 sum(abs({__name__=~"a|b"}))
  {} 3
)TEST");
}

TEST(Traps, Arithmetic) {
  run(R"TEST(
load 1m
  m 2.5
  neg -5

eval instant at 0 round(m)
  {} 3

eval instant at 0 clamp(m, 5, 1)

eval instant at 0 clamp_min(vector(NaN), Inf)
  {} Inf

eval instant at 0 clamp_max(vector(NaN), 1)
  {} NaN

eval instant at 0 neg % 3
  {} -2

eval instant at 0 -1 ^ 2
  -1

eval instant at 0 2 ^ 3 ^ 2
  512

eval instant at 0 NaN ^ 0
  1

eval instant at 0 topk(9223372036854775807, m)
  expect fail msg: Scalar value 9.223372036854776e+18 overflows int64

eval instant at 0 day_of_week()
  {} 4
)TEST");
  const auto field = [](const char* name, std::int64_t seconds) { return eval::find_calendar_function(name)(seconds); };
  EXPECT_EQ(field("day_of_year", 951'782'400), 60) << "2000-02-29";
  EXPECT_EQ(field("days_in_month", 951'782'400), 29);
  EXPECT_EQ(field("days_in_month", 4'107'456'000), 28) << "2100-02-28";
  EXPECT_EQ(field("year", -1), 1969);
  EXPECT_EQ(field("hour", -1), 23);
  EXPECT_EQ(field("day_of_month", -1), 31);
  EXPECT_EQ(field("day_of_week", -1), 3);
  // What Go makes of NaN.
  EXPECT_EQ(eval::to_unix_seconds(std::nan("")), INT64_MIN);
  EXPECT_EQ(field("year", INT64_MIN), 292277026596);
  EXPECT_EQ(field("month", INT64_MIN), 12);
  EXPECT_EQ(field("day_of_month", INT64_MIN), 4);
  EXPECT_EQ(field("day_of_year", INT64_MIN), 339);
  EXPECT_EQ(field("hour", INT64_MIN), 15);
  EXPECT_EQ(field("minute", INT64_MIN), 30);
}

TEST(Traps, LimitRatioSplitsInTwo) {
  for (int i = 0; i < 1000; ++i) {
    const Labels labels{{"__name__", "m"}, {"i", std::to_string(i)}};
    const double offset = eval::sampling_offset(labels);
    ASSERT_GE(offset, 0);
    ASSERT_LT(offset, 1);
    EXPECT_NE(eval::in_ratio(0.25, offset), eval::in_ratio(-0.75, offset));
    EXPECT_TRUE(eval::in_ratio(1, offset));
    EXPECT_TRUE(eval::in_ratio(-1, offset));
  }
}

TEST(Traps, Info) {
  run(R"TEST(
load 1m
  metric{instance="a", job="1"} 0 1 2
  metric{instance="b", job="1"} 3 4 5
  target_info{instance="a", job="1", version="old"} 1 _
  target_info{instance="a", job="1", version="new"} _ 1 1
  build_info{instance="a", job="1", build="7"} 1 1 1

eval instant at 2m info(metric)
  metric{instance="a", job="1", version="new"} 2
  metric{instance="b", job="1"} 5

eval instant at 2m info(metric, {__name__="build_info", build=~".+"})
  metric{instance="a", job="1", build="7"} 2

eval instant at 2m info(metric, {__name__!="target_info"})
  metric{instance="a", job="1", build="7"} 2
  metric{instance="b", job="1"} 5

eval instant at 2m info(metric offset 2m)
  metric{instance="a", job="1", version="old"} 0
  metric{instance="b", job="1"} 3

eval instant at 2m info(build_info, {__name__=~".*_info"})
  build_info{instance="a", job="1", build="7"} 1
)TEST");
}

TEST(Traps, Subqueries) {
  run(R"TEST(
load 10s
  m 0+1x60

# Multiples of the resolution from the epoch, left open.
eval instant at 65s count_over_time(m[30s:20s])
  {} 2

eval instant at 65s last_over_time(m[30s:20s])
  m 6

eval instant at 65s sum_over_time(m[60s:10s] offset 5s)
  {} 21

eval instant at 100s sum_over_time(m[20s:10s] @ 40 offset 10s)
  {} 5
)TEST");
}

TEST(Traps, StartTimes) {
  run(R"TEST(
load 1m
  c_total@st _ _ -30s -90s
  c_total _ _ 10 20

# A known start inside the range: the counter came from 0 there.
eval instant at 3m increase(c_total[3m])
  {} 20
)TEST");
}

}  // namespace
}  // namespace tocayo::promql
