// SPDX-License-Identifier: Apache-2.0
// The runner must catch every kind of wrong answer: it is run against a target whose answers are scripted.
#include "promql/testfile.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "promql/test_storage.h"

namespace tocayo::promql::testing {
namespace {

using metrics::FloatHistogram;

TEST(PromqlTestfile, SeriesDescriptions) {
  auto values = [](std::string_view text) {
    auto description = parse_series_description("m{a=\"b c\"} " + std::string(text));
    EXPECT_TRUE(description) << text << ": " << (description ? "" : description.error().message);
    std::vector<double> result;
    if (!description) return result;
    EXPECT_EQ(description->labels, (Labels{{"__name__", "m"}, {"a", "b c"}}));
    for (const SequenceValue& value : description->values) result.push_back(value.omitted ? -999 : value.value);
    return result;
  };
  EXPECT_EQ(values("1 2.5 -3"), (std::vector<double>{1, 2.5, -3}));
  EXPECT_EQ(values("0+10x3"), (std::vector<double>{0, 10, 20, 30}));
  EXPECT_EQ(values("5-1x2"), (std::vector<double>{5, 4, 3}));
  EXPECT_EQ(values("-2-2x1"), (std::vector<double>{-2, -4}));
  EXPECT_EQ(values("7x2 _ _x2"), (std::vector<double>{7, 7, 7, -999, -999, -999}));
  EXPECT_EQ(values("1e3 1_000 .5 1e-3x0"), (std::vector<double>{1000, 1000, .5, .001}));
  EXPECT_EQ(values("Inf -Inf +inf"), (std::vector<double>{INFINITY, -INFINITY, INFINITY}));
  EXPECT_EQ(values("1e5+1e2x1"), (std::vector<double>{1e5, 1.001e5}));
  EXPECT_EQ(values("5m"), (std::vector<double>{300}));
  EXPECT_TRUE(std::isnan(values("NaN")[0]));
  EXPECT_TRUE(metrics::is_stale(values("stale")[0]));
  EXPECT_EQ(values(""), std::vector<double>{});
  for (std::string_view bad : {"1+2", "x", "1x", "1 2q", "_1", "1,2", "{{schema:x}}", "{{count:1 count:2}}",
                               "{{nosuch:1}}", "{{count:1", "{{buckets:[1 2}}", "0x10x", "1x99999999999"}) {
    EXPECT_FALSE(parse_series_description("m " + std::string(bad))) << bad;
  }
  EXPECT_EQ(parse_series_description("{} 1")->labels, Labels{});
  EXPECT_FALSE(parse_series_description("m{a=\"b\" 1"));
  EXPECT_FALSE(parse_series_description("m{a=\"b\"}1"));
}

TEST(PromqlTestfile, HistogramDescriptions) {
  auto description = parse_series_description(
      "m {{schema:1 sum:-0.5 count:12 z_bucket:2 z_bucket_w:0.001 buckets:[1 2 3] offset:-3 n_buckets:[4] n_offset:1 "
      "counter_reset_hint:gauge}}x1 "
      "{{}} {{ schema:-53 custom_values:[1 2.5 Inf] buckets:[1 0 1] }}");
  ASSERT_TRUE(description) << description.error().message;
  ASSERT_EQ(description->values.size(), 4u);
  const FloatHistogram& first = *description->values[1].histogram;
  EXPECT_EQ(first.schema, 1);
  EXPECT_EQ(first.sum, -0.5);
  EXPECT_EQ(first.count, 12);
  EXPECT_EQ(first.zero_count, 2);
  EXPECT_EQ(first.zero_threshold, 0.001);
  EXPECT_EQ(first.positive_spans, (std::vector<metrics::Span>{{-3, 3}}));
  EXPECT_EQ(first.negative_spans, (std::vector<metrics::Span>{{1, 1}}));
  EXPECT_EQ(first.hint, metrics::ResetHint::gauge);
  EXPECT_TRUE(description->values[1].hint_set);
  EXPECT_FALSE(description->values[2].hint_set);
  EXPECT_EQ(description->values[3].histogram->custom_values, (std::vector<double>{1, 2.5, INFINITY}));
  auto growing = parse_series_description("m {{count:1 sum:2 buckets:[1]}}+{{count:2 sum:1 buckets:[2]}}x2");
  ASSERT_TRUE(growing) << growing.error().message;
  ASSERT_EQ(growing->values.size(), 3u);
  EXPECT_EQ(growing->values[2].histogram->count, 5);
  EXPECT_EQ(growing->values[2].histogram->positive_buckets, std::vector<double>{5});
  auto shrinking = parse_series_description("m {{count:5 buckets:[5]}}-{{count:2 buckets:[2]}}x1");
  ASSERT_TRUE(shrinking) << shrinking.error().message;
  EXPECT_EQ(shrinking->values[1].histogram->count, 3);
}

TEST(PromqlTestfile, StartTimes) {
  auto offsets = parse_start_time_sequence("-1m _ _x2 -30s-1mx2 500msx1");
  ASSERT_TRUE(offsets) << offsets.error().message;
  std::vector<std::optional<std::int64_t>> expected{-60000, {}, {}, {}, -30000, -90000, -150000, 500, 500};
  EXPECT_EQ(*offsets, expected);
  for (std::string_view bad : {"1", "m", "-1m+", "-1m-30s", "_y", "-1mx"})
    EXPECT_FALSE(parse_start_time_sequence(bad)) << bad;
}

constexpr std::string_view kFile = R"(
# comment
clear
load 1m
  m{a="1"}@st _ -30s
  m{a="1"} 1 2
  h_bucket{le="1"} 1
  # a comment ends the block
load_with_nhcb 30s
  c_bucket{le="0.5"} 0 1
  c_bucket{le="+Inf"} 0 3
  c_count 0 3
  c_sum 0 7

eval instant at 5m sum by (a) (m)
  expect warn msg: one warning
  expect no_info
  {a="1"} 5

eval_ordered instant at 0 sort(m)
  m 1
  n 2

eval range from 0 to 10m step 5m m
  m 1 _ stale

eval instant at 1m 1 + 1
  0x2

eval instant at 1m "x"
  expect string "x\n"

eval instant at 50s m[1m]
  expect range vector from 10s to 1m step 10s
  m 1 2 3

eval_fail instant at 1m ceil({__name__=~"m|n"})
  expected_fail_message vector cannot contain metrics with the same labelset

eval instant at 1m abs(m)
  expect fail regex: .*limit.*
)";

TEST(PromqlTestfile, FileGrammar) {
  auto commands = parse_test_file(kFile);
  ASSERT_TRUE(commands) << commands.error().message;
  ASSERT_EQ(commands->size(), 11u);
  const auto& load = std::get<LoadCommand>((*commands)[1].what);
  ASSERT_EQ(load.series.size(), 2u);
  EXPECT_EQ(load.series[0].points[0].start_time, 0);
  EXPECT_EQ(load.series[0].points[1].time, 60'000);
  EXPECT_EQ(load.series[0].points[1].start_time, 30'000);
  const auto& converted = std::get<LoadCommand>((*commands)[2].what);
  ASSERT_EQ(converted.series.size(), 5u);
  const TestSeries& native = converted.series[4];
  EXPECT_EQ(native.labels, (Labels{{"__name__", "c"}}));
  ASSERT_EQ(native.points.size(), 2u);
  EXPECT_EQ(native.points[1].histogram->count, 3);
  EXPECT_EQ(native.points[1].histogram->sum, 7);
  EXPECT_EQ(native.points[1].histogram->custom_values, std::vector<double>{0.5});
  EXPECT_EQ(native.points[1].histogram->positive_buckets, (std::vector<double>{1, 2}));
  const auto& first = std::get<EvalCommand>((*commands)[3].what);
  EXPECT_EQ((*commands)[3].line, 15);
  EXPECT_EQ(first.expr, "sum by (a) (m)");
  EXPECT_EQ(first.time, 300'000);
  EXPECT_EQ(first.warnings.size(), 1u);
  EXPECT_TRUE(first.no_info);
  EXPECT_EQ(first.series[0].position, 1);
  EXPECT_TRUE(std::get<EvalCommand>((*commands)[4].what).ordered);
  const auto& range = std::get<EvalCommand>((*commands)[5].what);
  EXPECT_TRUE(range.is_range);
  EXPECT_EQ(range.series[0].values.size(), 3u);
  EXPECT_EQ(std::get<EvalCommand>((*commands)[6].what).scalar, 2);
  EXPECT_EQ(std::get<EvalCommand>((*commands)[7].what).string, "x\n");
  const auto& vector = std::get<EvalCommand>((*commands)[8].what);
  EXPECT_TRUE(vector.range_vector);
  EXPECT_EQ(vector.time, 60'000);
  EXPECT_TRUE(std::get<EvalCommand>((*commands)[9].what).fail);
  EXPECT_TRUE(std::get<EvalCommand>((*commands)[10].what).fail_texts[0].matches("the limit is reached"));
}

TEST(PromqlTestfile, FileErrorsNameTheLine) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"clear\nfoo", "line 2: invalid command \"foo\""},
      {"load\n", "line 1: invalid load command"},
      {"load 1x\n m 1", "line 1: invalid step definition \"1x\""},
      {"load 1m\n m{ 1", "line 2: unexpected end of input inside braces"},
      {"eval m", "line 1: invalid evaluation command"},
      {"eval instant at 1m m\n m 1 2", "line 2: expecting multiple values in instant evaluation not allowed"},
      {"eval instant at 1m m\n expect nonsense", "line 2: invalid expect statement"},
      {"eval instant at 1m m\n expect warn\n expect no_warn", "line 3: invalid expect lines, warn and no_warn"},
      {"eval instant at 1m m\n expect warn regex: (", "line 2: invalid regex ("},
      {"eval range from 5m to 1m step 1m m",
       "line 1: invalid test definition, end timestamp (1m) is before start timestamp (5m)"},
      {"load 1m\n m@st -1m\n\n", "line 3: @st line has no following sample line"},
      {"load 1m\n m@st -1m\n m 1 2", "line 3: @st line has 1 values but sample line has 2"},
  };
  for (auto [text, expected] : cases) {
    auto commands = parse_test_file(text);
    ASSERT_FALSE(commands) << text;
    EXPECT_TRUE(commands.error().message.starts_with(expected)) << commands.error().message;
  }
}

TEST(PromqlTestfile, AtVariants) {
  auto variants =
      at_modifier_variants("sum(a) + b @ 3 + max_over_time(c[5m:1m]) + d[1m]", 300'000, ParserOptions::all());
  EXPECT_FALSE(variants) << "a range vector cannot be added";
  variants = at_modifier_variants("sum(a) + b @ 3 + max_over_time(c[5m:1m] offset 1m)", 300'000, ParserOptions::all());
  ASSERT_TRUE(variants);
  ASSERT_EQ(variants->size(), 5u);
  for (const auto& [expr, time] : *variants) {
    EXPECT_EQ(expr, "sum(a @ 300.000) + b @ 3.000 + max_over_time(c[5m:1m] @ 300.000 offset 1m)");
  }
  EXPECT_EQ((*variants)[0].second, -3'000'000);
  EXPECT_EQ((*variants)[2].second, 60'000);
  EXPECT_EQ((*variants)[4].second, 3'000'000);
  EXPECT_TRUE(at_modifier_variants("time() - a", 300'000, ParserOptions::all())->empty());
  EXPECT_TRUE(at_modifier_variants("predict_linear(a[5m], 60)", 300'000, ParserOptions::all())->empty());
  EXPECT_EQ(at_modifier_variants("a", 0, ParserOptions::all())->at(2).second, 1000);
}

// Answers each (expr, instant or range) with what the test says, by default an instant vector `m 1`.
class ScriptedTarget final : public TestTarget {
 public:
  Result<> clear() override {
    ++clears;
    return {};
  }
  Result<> load(std::span<const TestSeries> series) override {
    loaded += series.size();
    return {};
  }
  Result<TestOutcome> instant(const std::string& expr, TimestampMs time) override {
    instants.emplace_back(expr, time);
    return instant_answer;
  }
  Result<TestOutcome> range(const std::string& expr, TimestampMs start, TimestampMs, Duration step) override {
    ranges.push_back(expr);
    if (range_answer) return *range_answer;
    MatrixValue matrix;
    Series series{Labels{{"__name__", "m"}}, {}, {}};
    for (int i = 0; i < 3; ++i) series.floats.push_back({start + i * step.count(), range_value});
    matrix.series.push_back(series);
    return TestOutcome{matrix, {}, {}};
  }

  static TestOutcome vector(double value, std::string name = "m") {
    return {VectorValue{0, {{Labels{{"__name__", std::move(name)}}, value, nullptr}}}, {}, {}};
  }

  Result<TestOutcome> instant_answer = vector(1);
  std::optional<Result<TestOutcome>> range_answer;
  double range_value = 1;
  int clears = 0;
  std::size_t loaded = 0;
  std::vector<std::pair<std::string, TimestampMs>> instants;
  std::vector<std::string> ranges;
};

std::string first_problem(ScriptedTarget& target, std::string_view expectations,
                          std::string_view query = "eval instant at 5m m") {
  Report report = run_text(std::string(query) + "\n" + std::string(expectations) + "\n", "f.test", target);
  EXPECT_EQ(report.evals, 1);
  EXPECT_EQ(report.failures.empty(), report.evals_failed == 0);
  if (report.failures.empty()) return "";
  EXPECT_TRUE(report.failures[0].to_string().starts_with("f.test:1: "));
  return report.failures[0].message;
}

TEST(PromqlRunner, RunsEveryVariant) {
  ScriptedTarget target;
  EXPECT_EQ(first_problem(target, "m 1"), "");
  EXPECT_EQ(target.instants.size(), 6u);
  EXPECT_EQ(target.ranges.size(), 6u);
  EXPECT_EQ(target.instants[1].first, "m @ 300.000");
  ScriptedTarget context;
  EXPECT_EQ(first_problem(context, "m 1", "eval instant at 5m m + range()"), "");
  EXPECT_EQ(context.instants.size(), 1u);
  EXPECT_TRUE(context.ranges.empty());
}

TEST(PromqlRunner, CatchesWrongValues) {
  ScriptedTarget target;
  EXPECT_EQ(first_problem(target, "m 2"), "expected 2 for m but got 1");
  EXPECT_EQ(first_problem(target, "n 1"), "unexpected metric m in result, has value 1");
  EXPECT_EQ(first_problem(target, "m 1\nn 1"), "expected metric n with 1 not found");
  EXPECT_EQ(first_problem(target, ""), "unexpected metric m in result, has value 1");
  EXPECT_EQ(first_problem(target, "1"), "expected scalar result, but got a vector of 1 elements");
  EXPECT_EQ(first_problem(target, "m 1.000001"), "");
  EXPECT_NE(first_problem(target, "m 1.00001"), "");
  EXPECT_NE(first_problem(target, "m {{count:1}}"), "");
  EXPECT_EQ(first_problem(target, "expect ordered\nn 1\nm 1"), "expected metric m at position 2 but was at 1");
  target.instant_answer = TestOutcome{ScalarValue{0, NAN}, {}, {}};
  target.range_value = NAN;
  EXPECT_EQ(first_problem(target, "NaN"), "");
  EXPECT_EQ(first_problem(target, "m 1"), "expected vector or matrix result, but got scalar NaN");
  target.instant_answer = TestOutcome{StringValue{0, "x"}, {}, {}};
  EXPECT_EQ(first_problem(target, "expect string \"x\""), "");
  EXPECT_EQ(first_problem(target, "expect string \"y\""), "expected string \"y\" but got \"x\"");
}

TEST(PromqlRunner, CatchesWrongRangeRuns) {
  ScriptedTarget target;
  target.range_value = 2;
  EXPECT_EQ(first_problem(target, "m 1"), "as range query: expected 1 for m but got 2");
  EXPECT_EQ(first_problem(target, "expect ordered\nm 1"), "") << "order means nothing in a matrix";
  target.range_answer = fail(ErrorKind::internal, "boom");
  EXPECT_EQ(first_problem(target, "m 1"), "as range query: failed: boom");
  MatrixValue unsorted;
  unsorted.series = {{Labels{{"__name__", "n"}}, {}, {}}, {Labels{{"__name__", "m"}}, {}, {}}};
  target.range_answer = TestOutcome{unsorted, {}, {}};
  EXPECT_EQ(first_problem(target, "m 1"), "as range query: matrix is not sorted by labels: n stands before m");
}

TEST(PromqlRunner, ChecksRanges) {
  constexpr std::string_view kRange = "eval range from 0 to 2m step 1m m";
  ScriptedTarget target;
  EXPECT_EQ(first_problem(target, "m 1 1 1", kRange), "");
  EXPECT_NE(first_problem(target, "m 1 1", kRange), "");
  EXPECT_NE(first_problem(target, "m 1 _ 1", kRange), "");
  EXPECT_NE(first_problem(target, "m 1 2 1", kRange), "");
  EXPECT_NE(first_problem(target, "m 1 1 1 1", kRange), "");
  EXPECT_EQ(target.instants.size(), 0u);
}

TEST(PromqlRunner, ChecksFailures) {
  ScriptedTarget target;
  EXPECT_EQ(first_problem(target, "expect fail"), "expected an error but got none");
  target.instant_answer = fail(ErrorKind::bad_input, "it is broken");
  EXPECT_EQ(first_problem(target, "m 1"), "failed: it is broken");
  EXPECT_EQ(first_problem(target, "expect fail"), "");
  EXPECT_EQ(first_problem(target, "expect fail msg: it is broken"), "");
  EXPECT_EQ(first_problem(target, "expect fail regex: ^it.*en$"), "");
  EXPECT_EQ(first_problem(target, "expect fail msg: broken"),
            "expected error matching message \"broken\" but got: it is broken");
  EXPECT_EQ(first_problem(target, "expected_fail_message it is broken", "eval_fail instant at 5m m"), "");
  EXPECT_TRUE(target.ranges.empty());
}

TEST(PromqlRunner, ChecksAnnotations) {
  ScriptedTarget target;
  TestOutcome outcome = ScriptedTarget::vector(1);
  outcome.warnings = {"PromQL warning: one (1:1)", "PromQL warning: two (1:1)"};
  outcome.infos = {"PromQL info: three (1:1)"};
  target.instant_answer = outcome;
  EXPECT_EQ(first_problem(target, "m 1"), "") << "annotations nobody spoke of are let be";
  EXPECT_EQ(first_problem(target, "expect warn\nm 1"), "");
  EXPECT_EQ(first_problem(target, "expect warn msg: PromQL warning: one (1:1)\nm 1"),
            "unexpected warn annotation \"PromQL warning: two (1:1)\"");
  EXPECT_EQ(first_problem(target, "expect warn regex: one\nexpect warn regex: two\nm 1"), "");
  EXPECT_NE(first_problem(target, "expect info msg: PromQL info: three\nm 1"), "");
  EXPECT_EQ(first_problem(target, "expect no_warn\nm 1"),
            "unexpected warning annotations: PromQL warning: one (1:1); PromQL warning: two (1:1)");
  EXPECT_EQ(first_problem(target, "m 1", "eval_warn instant at 5m m"), "");
  target.instant_answer = ScriptedTarget::vector(1);
  EXPECT_EQ(first_problem(target, "m 1", "eval_warn instant at 5m m"), "expected warnings but got none");
  EXPECT_EQ(first_problem(target, "expect info\nm 1"), "expected info annotations but none were found");
}

TEST(PromqlRunner, ComparesHistograms) {
  auto histogram = [](std::string_view text) {
    return parse_series_description("m " + std::string(text))->values[0].histogram;
  };
  auto same = [&](std::string_view a, std::string_view b, bool hint = false) {
    return histograms_match(*histogram(a), *histogram(b), hint);
  };
  EXPECT_TRUE(same("{{count:3 buckets:[1 0 2]}}", "{{count:3 buckets:[0 1 0 2 0] offset:-1}}"));
  EXPECT_TRUE(same("{{count:3 buckets:[1 0 2]}}", "{{count:3.000001 buckets:[1 0 2]}}"));
  EXPECT_FALSE(same("{{count:3 buckets:[1 0 2]}}", "{{count:3 buckets:[1 2 0]}}"));
  EXPECT_FALSE(same("{{count:3 buckets:[1 2]}}", "{{count:3 schema:1 buckets:[1 2]}}"));
  EXPECT_FALSE(same("{{count:3 n_buckets:[1 2]}}", "{{count:3 buckets:[1 2]}}"));
  EXPECT_FALSE(same("{{count:3 z_bucket:1}}", "{{count:3}}"));
  EXPECT_FALSE(same("{{schema:-53 count:1 custom_values:[1] buckets:[1]}}",
                    "{{schema:-53 count:1 custom_values:[2] buckets:[1]}}"));
  EXPECT_TRUE(same("{{count:3 counter_reset_hint:reset}}", "{{count:3}}"));
  EXPECT_FALSE(same("{{count:3 counter_reset_hint:reset}}", "{{count:3}}", true));
  FloatHistogram api;
  api.schema = kApiBucketsSchema;
  api.count = 3;
  api.custom_values = {-2, -1, 1, 2, 2, 4};
  api.positive_buckets = {1, 1, 1};
  EXPECT_TRUE(histograms_match(*histogram("{{count:3 n_buckets:[1] n_offset:1 buckets:[1 1] offset:1}}"), api, false));
  EXPECT_FALSE(histograms_match(*histogram("{{count:3 n_buckets:[1] n_offset:1 buckets:[1 1] offset:2}}"), api, false));
}

TEST(PromqlRunner, AlmostEqual) {
  EXPECT_TRUE(almost_equal(1, 1 + 1e-7));
  EXPECT_FALSE(almost_equal(1, 1.0001));
  EXPECT_TRUE(almost_equal(NAN, NAN));
  EXPECT_FALSE(almost_equal(metrics::kStaleNaN, NAN));
  EXPECT_TRUE(almost_equal(metrics::kStaleNaN, metrics::kStaleNaN));
  EXPECT_FALSE(almost_equal(INFINITY, -INFINITY));
  EXPECT_FALSE(almost_equal(0, 1e-9));
}

TEST(PromqlRunner, ReportsBrokenFiles) {
  ScriptedTarget target;
  Report report = run_text("nonsense", "f.test", target);
  EXPECT_FALSE(report.passed());
  EXPECT_EQ(report.failures[0].to_string(), "f.test:0: line 1: invalid command \"nonsense\"");
  EXPECT_FALSE(run_file("/nonexistent/x.test", target).passed());
  EXPECT_FALSE(run_directory("/nonexistent", target).passed());
}

TEST(PromqlTestStorage, KeepsSnapshotsAndHints) {
  TestStorage storage;
  auto series = [](std::string_view text) {
    auto description = parse_series_description(text);
    TestSeries result{description->labels, {}};
    for (std::size_t i = 0; i < description->values.size(); ++i) {
      result.points.push_back({.time = static_cast<TimestampMs>(i) * 1000,
                               .value = description->values[i].value,
                               .histogram = description->values[i].histogram});
    }
    return result;
  };
  std::vector<TestSeries> load{series("a{x=\"1\"} 1 2 3"),
                               series("b {{count:1 buckets:[1]}} {{count:2 buckets:[2]}} {{count:1 buckets:[1]}} "
                                      "{{count:5 buckets:[5] counter_reset_hint:gauge}}")};
  storage.add(load);
  metrics::SelectHints hints{.start = 1000, .end = 3000, .function = ""};
  std::vector<Matcher> all{*Matcher::create(Matcher::Type::regex, "__name__", ".+")};
  auto chosen = storage.select(all, hints, Context());
  ASSERT_TRUE(chosen);
  storage.clear();
  ASSERT_EQ((*chosen)->size(), 2u);
  metrics::SampleColumns columns;
  ASSERT_TRUE((*chosen)->read(0, columns));
  EXPECT_EQ(columns.values, (std::vector<double>{2, 3}));
  EXPECT_TRUE(columns.start_times.empty());
  ASSERT_TRUE((*chosen)->read(1, columns));
  EXPECT_TRUE(columns.times.empty());
  ASSERT_EQ(columns.histograms.size(), 3u);
  EXPECT_EQ(columns.histograms[0]->hint, metrics::ResetHint::not_reset);
  EXPECT_EQ(columns.histograms[1]->hint, metrics::ResetHint::unknown) << "a count that shrank begins a chunk";
  EXPECT_EQ(columns.histograms[2]->hint, metrics::ResetHint::gauge);
  EXPECT_EQ((*storage.select(all, hints, Context()))->size(), 0u);
}

}  // namespace
}  // namespace tocayo::promql::testing
