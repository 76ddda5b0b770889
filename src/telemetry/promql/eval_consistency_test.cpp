// SPDX-License-Identifier: Apache-2.0
// A range query must give at every step what an instant query gives at that time, whatever slides, is shared or runs in
// parallel.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <random>

#include "core/pool.h"
#include "promql/engine.h"
#include "promql/querygen.h"
#include "promql/test_storage.h"

namespace tocayo::promql {
namespace {

using testing::TestPoint;
using testing::TestSeries;
using testing::TestStorage;

constexpr std::int64_t kMinute = 60'000;

metrics::HistogramPtr random_histogram(std::mt19937_64& random, double scale, bool custom, bool gauge) {
  auto h = std::make_shared<metrics::FloatHistogram>();
  if (custom) {
    h->schema = metrics::kCustomBucketsSchema;
    h->custom_values = {1, 2, 5};
  } else {
    h->schema = static_cast<std::int32_t>(random() % 2);
    h->zero_threshold = 0.001;
    h->zero_count = static_cast<double>(random() % 3) * scale;
  }
  const auto buckets = 1 + random() % 3;
  h->positive_spans = {{static_cast<std::int32_t>(custom ? 0 : random() % 2), static_cast<std::uint32_t>(buckets)}};
  h->count = h->zero_count;
  for (std::size_t i = 0; i < buckets; ++i) {
    h->positive_buckets.push_back(static_cast<double>(random() % 10) * scale);
    h->count += h->positive_buckets.back();
  }
  h->sum = h->count * 1.5;
  if (gauge) h->hint = metrics::ResetHint::gauge;
  return h;
}

std::vector<TestSeries> random_series() {
  std::mt19937_64 random(42);
  std::vector<TestSeries> all;
  for (int s = 0; s < 16; ++s) {
    TestSeries series;
    const bool histograms = s >= 10 && s < 14, mixed = s >= 14;
    series.labels = Labels{{"__name__", s % 2 == 0 ? "requests_total" : "level"},
                           {"instance", "i" + std::to_string(s)},
                           {"job", "j" + std::to_string(s % 3)},
                           {"le", s < 4 ? std::to_string(s) : ""}};
    double counter = 0;
    TimestampMs time = static_cast<std::int64_t>(random() % 15'000);
    for (int i = 0; i < 200; ++i) {
      time += 15'000 + static_cast<std::int64_t>(random() % 3'000);
      if (random() % 25 == 0) time += 6 * kMinute;  // longer than the lookback
      TestPoint point{.time = time};
      if (histograms || (mixed && random() % 4 == 0)) {
        point.histogram = random_histogram(random, 1 + i, s == 13, s % 2 == 1);
      } else {
        counter = random() % 20 == 0 ? 0 : counter + static_cast<double>(random() % 100) / 7;
        point.value = counter;
        if (s == 4 && random() % 5 == 0) point.value = std::nan("");
        if (s == 5 && random() % 10 == 0) point.value = INFINITY;
        if (s == 6 && random() % 3 == 0) point.value = 1e308;
        if (s == 7) point.value = 1e16 + static_cast<double>(random() % 3);
        if (s == 8 && random() % 6 == 0) point.value = metrics::kStaleNaN;
      }
      if (s == 9) point.start_time = time - 20'000;
      series.points.push_back(point);
    }
    all.push_back(std::move(series));
  }
  return all;
}

std::vector<std::string> expressions() {
  std::vector<std::string> all;
  for (const char* function : {"rate",
                               "increase",
                               "delta",
                               "irate",
                               "idelta",
                               "sum_over_time",
                               "avg_over_time",
                               "count_over_time",
                               "min_over_time",
                               "max_over_time",
                               "last_over_time",
                               "first_over_time",
                               "present_over_time",
                               "absent_over_time",
                               "changes",
                               "resets",
                               "stddev_over_time",
                               "stdvar_over_time",
                               "mad_over_time",
                               "deriv",
                               "ts_of_first_over_time",
                               "ts_of_last_over_time",
                               "ts_of_max_over_time",
                               "ts_of_min_over_time"}) {
    for (const char* range : {"30s", "3m", "40m"}) {
      all.push_back(std::string(function) + "(requests_total[" + range + "])");
      all.push_back(std::string(function) + "({__name__=~\"requests_total|level\"}[" + range + "] offset 90s)");
    }
    all.push_back(std::string(function) + "(level[10m:37s])");
    all.push_back("sum by (job) (" + std::string(function) + "(level[5m]))");
  }
  for (const char* modifier : {"anchored", "smoothed"}) {
    for (const char* function : {"rate", "increase", "delta"}) {
      all.push_back(std::string(function) + "(requests_total[4m] " + modifier + ")");
    }
  }
  for (const char* operation :
       {"sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "topk(2, ", "bottomk(3, ", "limitk(2, ",
        "limit_ratio(0.5, ", "quantile(0.3, ", "count_values(\"v\", "}) {
    const std::string open = std::string(operation).back() == ' ' ? "" : "(";
    const auto name = std::string(operation);
    const auto paren = name.find('(');
    const std::string by =
        paren == std::string::npos ? name + " by (job) (" : name.substr(0, paren) + " by (job) " + name.substr(paren);
    all.push_back(by + "level)");
    all.push_back(name + open + "requests_total)");
  }
  for (const char* expr : {"quantile_over_time(0.9, level[20m])",
                           "quantile_over_time(time() % 3 - 1, requests_total[3m])",
                           "predict_linear(requests_total[5m], 60)",
                           "double_exponential_smoothing(level[20m], 0.3, 0.6)",
                           "resets(level[4m] anchored)",
                           "changes(level[4m] anchored)",
                           "level smoothed",
                           "timestamp(level)",
                           "timestamp(level offset 1m) + 1",
                           "abs(level) - 2",
                           "-requests_total",
                           "level > 20",
                           "level > bool 20",
                           "20 < level",
                           "level * 2 / 3 ^ 0.5 % 7",
                           "level atan2 scalar(sum(level))",
                           "requests_total + on (job) group_left sum by (job) (level)",
                           "requests_total - ignoring (instance, le) requests_total",
                           "level / on (instance) level",
                           "level == level",
                           "level and on (job) requests_total > 30",
                           "level unless on (job) requests_total > 30",
                           "(level > 20) or level offset 10m",
                           "level or requests_total",
                           "histogram_quantile(0.7, level)",
                           "histogram_count(level)",
                           "histogram_fraction(0, 2, level)",
                           "histogram_stddev(level)",
                           "histogram_quantile(0.5, sum by (le) (level))",
                           "absent(level > 1e30)",
                           "absent(level{job=\"j1\"} > 40)",
                           "vector(time())",
                           "minute(level)",
                           "round(level, 0.3)",
                           "clamp(level, 5, time() % 100)",
                           "label_replace(level, \"x\", \"$1\", \"instance\", \"i(.*)\")",
                           "level + on (instance) fill (3) (requests_total > 10)",
                           "max_of(time(), 5)",
                           "sum(level @ 3000) + level",
                           "sum_over_time(sum(level)[10m:1m])",
                           "scalar(sum(requests_total))",
                           "topk(time() % 4, level)"}) {
    all.emplace_back(expr);
  }
  return all;
}

bool same(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return a == b || std::fabs(a - b) <= 1e-9 * std::max(std::fabs(a), std::fabs(b)) + 1e-12;
}

class Consistency : public ::testing::TestWithParam<bool> {
 protected:
  Consistency() {
    store_.add(random_series());
    EngineOptions options;
    options.features = Features::all();
    options.features.type_and_unit_labels = false;
    options.features.delayed_name_removal = GetParam();
    engine_.emplace(options);
  }
  TestStorage store_;
  std::optional<Engine> engine_;
};

TEST_P(Consistency, RangeIsInstantAtEveryStep) {
  const TimestampMs start = 9 * kMinute + 123, end = start + 50 * kMinute, step = 41'000;
  std::size_t compared = 0, failed = 0;
  for (const std::string& expr : expressions()) {
    SCOPED_TRACE(expr);
    auto range = engine_->range(store_, expr, start, end, Duration(step));
    if (!range) {
      // Then some step must fail alone too, or elements of different steps were to become one series.
      ++failed;
      EXPECT_EQ(range.error().type, QueryError::Type::execution) << range.error().message();
      continue;
    }
    std::map<std::pair<Labels, TimestampMs>, Sample> expected;
    for (const Series& series : std::get<MatrixValue>(range->value).series) {
      for (const auto& point : series.floats) expected[{series.labels, point.time}].value = point.value;
      for (const auto& point : series.histograms) expected[{series.labels, point.time}].histogram = point.histogram;
    }
    std::size_t seen = 0;
    for (TimestampMs time = start; time <= end; time += step) {
      auto instant = engine_->instant(store_, expr, time);
      ASSERT_TRUE(instant.has_value()) << instant.error().message();
      std::vector<Sample> samples;
      if (auto* scalar = std::get_if<ScalarValue>(&instant->value)) {
        samples.push_back({{}, scalar->value, nullptr});
      } else {
        samples = std::get<VectorValue>(instant->value).samples;
      }
      for (const Sample& sample : samples) {
        const auto found = expected.find({sample.labels, time});
        ASSERT_NE(found, expected.end()) << sample.labels.to_string() << " at " << time;
        ASSERT_EQ(sample.histogram == nullptr, found->second.histogram == nullptr) << sample.labels.to_string();
        if (sample.histogram) {
          metrics::FloatHistogram a = *sample.histogram, b = *found->second.histogram;
          a.compact();
          b.compact();
          ASSERT_TRUE(same(a.count, b.count) && same(a.sum, b.sum)) << a.to_string() << " " << b.to_string();
          ASSERT_EQ(a.positive_buckets.size(), b.positive_buckets.size()) << a.to_string() << " " << b.to_string();
        } else {
          ASSERT_TRUE(same(sample.value, found->second.value))
              << sample.labels.to_string() << " at " << time << ": " << sample.value << " alone, "
              << found->second.value << " in the range";
        }
        ++seen;
      }
    }
    EXPECT_EQ(seen, expected.size()) << "the range has more";
    compared += seen;
  }
  EXPECT_GT(compared, 50'000U);
  EXPECT_LT(failed, expressions().size() / 4);
}

INSTANTIATE_TEST_SUITE_P(NameRemoval, Consistency, ::testing::Values(true, false),
                         [](const auto& info) { return info.param ? "delayed" : "immediate"; });

// Random queries over the same data; TOCAYO_RANDOM_QUERIES asks for more of them.
TEST_P(Consistency, RandomQueries) {
  QuerygenData data;
  using Type = QuerygenData::Metric::Type;
  data.metrics = {{"requests_total", Type::counter}, {"level", Type::gauge}};
  data.labels = {{"job", {"j0", "j1", "j2"}}, {"instance", {"i1", "i4", "i7", "i11", "i14"}}, {"le", {"1", "2"}}};
  data.start = 0;
  data.end = 60 * kMinute;
  const char* more = std::getenv("TOCAYO_RANDOM_QUERIES");
  const Querygen generated =
      generate_queries(GetParam() ? 1 : 2, more != nullptr ? std::strtoul(more, nullptr, 10) : 800, data,
                       {.experimental = true, .native_histograms = true});
  const TimestampMs start = 30 * kMinute + 77, step = 95'000;
  const std::size_t steps = 4;
  std::size_t compared = 0;
  for (const std::string& expr : generated.queries) {
    SCOPED_TRACE(expr);
    const auto has = [&](std::string_view text) { return expr.find(text) != std::string::npos; };
    // Mean another thing in a range, or choose among equals by an order that is not promised.
    if (has("start()") || has("end()") || has("range()") || has("step()") || has("topk") || has("bottomk") ||
        has("limitk"))
      continue;
    QueryOptions options;
    options.max_samples = 1'000'000;
    auto range = engine_->range(store_, expr, start, start + (steps - 1) * step, Duration(step), options);
    if (!range) continue;  // a scalar or string, or an error that a single step need not have
    std::map<std::pair<Labels, TimestampMs>, std::pair<double, metrics::HistogramPtr>> expected;
    for (const Series& series : std::get<MatrixValue>(range->value).series) {
      for (const auto& point : series.floats) expected[{series.labels, point.time}] = {point.value, nullptr};
      for (const auto& point : series.histograms) expected[{series.labels, point.time}] = {0, point.histogram};
    }
    std::size_t seen = 0;
    for (std::size_t i = 0; i < steps; ++i) {
      const TimestampMs time = start + static_cast<std::int64_t>(i) * step;
      auto instant = engine_->instant(store_, expr, time, options);
      ASSERT_TRUE(instant.has_value()) << instant.error().message();
      std::vector<Sample> samples;
      if (auto* scalar = std::get_if<ScalarValue>(&instant->value)) {
        samples.push_back({{}, scalar->value, nullptr});
      } else {
        samples = std::get<VectorValue>(instant->value).samples;
      }
      for (const Sample& sample : samples) {
        ++seen;
        const auto found = expected.find({sample.labels, time});
        ASSERT_NE(found, expected.end()) << sample.labels.to_string() << " at " << time;
        ASSERT_EQ(sample.histogram == nullptr, found->second.second == nullptr);
        if (sample.histogram) {
          EXPECT_TRUE(same(sample.histogram->count, found->second.second->count)) << sample.labels.to_string();
        } else {
          EXPECT_TRUE(same(sample.value, found->second.first)) << sample.labels.to_string() << " at " << time << ": "
                                                               << sample.value << " alone, " << found->second.first;
        }
      }
    }
    EXPECT_EQ(seen, expected.size()) << "the range has more";
    compared += seen;
  }
  EXPECT_GT(compared, 1000U);
}

// Enough series for several blocks.
TEST(Parallel, ResultsDoNotDependOnThreads) {
  std::vector<TestSeries> all;
  std::mt19937_64 random(7);
  for (int s = 0; s < 1500; ++s) {
    TestSeries series;
    series.labels = Labels{{"__name__", "m"}, {"i", std::to_string(s)}, {"job", std::to_string(s % 7)}};
    for (int i = 0; i < 30; ++i) {
      series.points.push_back(
          {.time = i * 15'000,
           .value = std::pow(10.0, static_cast<double>(random() % 30)) * static_cast<double>(random() % 9)});
    }
    all.push_back(std::move(series));
  }
  TestStorage store;
  store.add(all);
  Engine engine;
  Pool pool("query", 3);
  for (const std::string expr :
       {"sum by (job) (rate(m[2m]))", "avg(m)", "rate(m[1m])", "topk(3, m)", "stddev by (job) (m)", "m + m"}) {
    QueryOptions parallel;
    parallel.pool = &pool;
    auto one = engine.range(store, expr, 60'000, 400'000, Duration(20'000));
    auto many = engine.range(store, expr, 60'000, 400'000, Duration(20'000), parallel);
    ASSERT_TRUE(one && many) << expr;
    const auto &a = std::get<MatrixValue>(one->value).series, &b = std::get<MatrixValue>(many->value).series;
    ASSERT_EQ(a.size(), b.size()) << expr;
    ASSERT_FALSE(a.empty()) << expr;
    for (std::size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].labels, b[i].labels);
      ASSERT_EQ(a[i].floats, b[i].floats) << expr << " " << a[i].labels.to_string();
    }
    EXPECT_EQ(one->annotations.texts(expr).infos, many->annotations.texts(expr).infos);
    EXPECT_EQ(one->stats.total_queryable_samples, many->stats.total_queryable_samples);
  }
}

}  // namespace
}  // namespace tocayo::promql
