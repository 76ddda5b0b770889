// SPDX-License-Identifier: Apache-2.0
#include "promql/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "promql/test_storage.h"

namespace tocayo::promql {
namespace {

using testing::TestSeries;
using testing::TestStorage;

constexpr std::int64_t kSecond = 1000, kMinute = 60 * kSecond;

// `count` series of one metric, a sample per 15 s, without storing any.
class ManySeries final : public testing::NamelessQuerier {
 public:
  explicit ManySeries(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      labels_.push_back(Labels{{"__name__", "m_total"}, {"i", std::to_string(i)}, {"job", std::to_string(i % 3)}});
    }
    std::ranges::sort(labels_);
  }
  Result<std::unique_ptr<metrics::SeriesSet>> select(std::span<const Matcher>, const metrics::SelectHints& hints,
                                                     const Context&) const override {
    auto set = std::make_unique<Set>();
    set->all = this;
    set->hints = hints;
    last_hints = hints;
    return set;
  }
  mutable metrics::SelectHints last_hints;
  mutable std::atomic<std::size_t> reads{0};
  std::function<void()> on_read;

 private:
  struct Set final : metrics::SeriesSet {
    const ManySeries* all;
    metrics::SelectHints hints;
    std::size_t size() const override { return all->labels_.size(); }
    const Labels& labels(std::size_t index) const override { return all->labels_[index]; }
    Result<> read(std::size_t, metrics::SampleColumns& out) const override {
      ++all->reads;
      if (all->on_read) all->on_read();
      out.clear();
      for (TimestampMs t = (hints.start + 15 * kSecond - 1) / (15 * kSecond) * 15 * kSecond; t <= hints.end;
           t += 15 * kSecond) {
        out.times.push_back(t);
        out.values.push_back(static_cast<double>(t / kSecond));
      }
      return {};
    }
  };
  std::vector<Labels> labels_;
};

TestStorage small_store() {
  TestStorage store;
  std::vector<TestSeries> all(2);
  for (std::size_t s = 0; s < all.size(); ++s) {
    all[s].labels = Labels{{"__name__", "up"}, {"job", s == 0 ? "a" : "b"}};
    for (int i = 0; i <= 10; ++i) all[s].points.push_back({.time = i * kMinute, .value = i * (s + 1.0)});
  }
  store.add(all);
  return store;
}

TEST(Engine, TypesOfResults) {
  const TestStorage store = small_store();
  const Engine engine;
  auto scalar = engine.instant(store, "1 + 2", 5 * kMinute);
  EXPECT_EQ(std::get<ScalarValue>(scalar->value).value, 3);
  EXPECT_EQ(std::get<ScalarValue>(scalar->value).time, 5 * kMinute);
  EXPECT_EQ(std::get<StringValue>(engine.instant(store, "\"text\"", 1)->value).text, "text");
  EXPECT_EQ(std::get<VectorValue>(engine.instant(store, "up", 5 * kMinute)->value).samples.size(), 2U);
  auto matrix = engine.instant(store, "up[2m]", 5 * kMinute);
  const auto& series = std::get<MatrixValue>(matrix->value).series;
  ASSERT_EQ(series.size(), 2U);
  EXPECT_EQ(series[1].floats, (std::vector<FloatPoint>{{4 * kMinute, 8}, {5 * kMinute, 10}}))
      << "left open, right closed";
  auto range = engine.range(store, "3", 0, 2 * kMinute, Duration(kMinute));
  EXPECT_EQ(std::get<MatrixValue>(range->value).series.at(0).floats.size(), 3U);
}

TEST(Engine, ErrorsTellWhoseFaultItIs) {
  const TestStorage store = small_store();
  const Engine engine;
  auto parse = engine.instant(store, "sum(", 0);
  ASSERT_FALSE(parse);
  EXPECT_EQ(parse.error().type, QueryError::Type::bad_data);
  EXPECT_NE(parse.error().message().find("1:5: parse error: "), std::string::npos) << parse.error().message();
  auto many = engine.instant(store, "up + on () up", kMinute);
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().type, QueryError::Type::execution);
  EXPECT_EQ(many.error().message(),
            "found duplicate series for the match group {} on the right hand-side of the operation: "
            "[{__name__=\"up\", job=\"a\"}, {__name__=\"up\", job=\"b\"}];many-to-many matching not allowed: matching "
            "labels must be unique "
            "on one side");
  EXPECT_EQ(engine.range(store, "up[1m]", 0, 1, Duration(1)).error().type, QueryError::Type::bad_data);
  EXPECT_EQ(engine.range(store, "up", 0, 1, Duration(0)).error().type, QueryError::Type::bad_data);
  EXPECT_EQ(engine.range(store, "up", 2, 1, Duration(1)).error().type, QueryError::Type::bad_data);
}

TEST(Engine, FeaturesAreOffUnlessAsked) {
  const TestStorage store = small_store();
  const Engine engine;
  EXPECT_EQ(engine.instant(store, "limitk(1, up)", 0).error().type, QueryError::Type::bad_data);
  QueryOptions options;
  options.features = Features::all();
  EXPECT_TRUE(engine.instant(store, "limitk(1, up)", 0, options));
}

TEST(Engine, LookbackIsLeftOpen) {
  const TestStorage store = small_store();  // newest sample at 10 m
  const Engine engine;
  const auto count = [&](TimestampMs time, QueryOptions options = {}) {
    return std::get<VectorValue>(engine.instant(store, "up", time, options)->value).samples.size();
  };
  EXPECT_EQ(count(15 * kMinute - 1), 2U);
  EXPECT_EQ(count(15 * kMinute), 0U);
  QueryOptions shorter;
  shorter.lookback = std::chrono::minutes(1);
  EXPECT_EQ(count(11 * kMinute, shorter), 0U);
  EXPECT_EQ(count(11 * kMinute - 1, shorter), 2U);
}

TEST(Engine, MaxSamplesHasPrometheusText) {
  const ManySeries store(100);
  EngineOptions options;
  options.max_samples = 50;
  auto result = Engine(options).instant(store, "m_total", kMinute);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().type, QueryError::Type::execution);
  EXPECT_EQ(result.error().error.kind, ErrorKind::limit);
  EXPECT_EQ(result.error().message(), "query processing would load too many samples into memory in query execution");
  auto window = Engine(options).instant(store, "sum_over_time(m_total[1h])", 100 * kMinute);
  EXPECT_FALSE(window) << "240 samples of one series";
  EXPECT_TRUE(Engine(options).instant(store, "sum(m_total)", kMinute)) << "aggregated as they come";
}

TEST(Engine, AggregationsHoldOnlyTheirGroups) {
  const ManySeries store(20'000);
  QueryOptions options;
  options.memory_limit = 1 << 20;
  for (bool delayed : {false, true}) {
    Features features;
    features.delayed_name_removal = delayed;
    options.features = features;
    auto sum = Engine().range(store, "sum by (job) (rate(m_total[5m]))", 60 * kMinute, 160 * kMinute, Duration(kMinute),
                              options);
    ASSERT_TRUE(sum) << sum.error().message();
    EXPECT_EQ(std::get<MatrixValue>(sum->value).series.size(), 3U);
    EXPECT_NEAR(std::get<MatrixValue>(sum->value).series[0].floats[0].value, 20'000 / 3 + 1, 1e-6);
  }
  auto all = Engine().range(store, "rate(m_total[5m])", 60 * kMinute, 160 * kMinute, Duration(kMinute), options);
  ASSERT_FALSE(all);
  EXPECT_EQ(all.error().type, QueryError::Type::execution);
  EXPECT_EQ(all.error().error.kind, ErrorKind::limit);
  EXPECT_NE(all.error().message().find("(err-mimir-max-estimated-memory-consumption-per-query)"), std::string::npos);
}

TEST(Engine, CancelAndTimeout) {
  ManySeries store(100'000);
  std::stop_source stop;
  store.on_read = [&] {
    if (store.reads == 10) stop.request_stop();
  };
  auto canceled = Engine().range(store, "m_total", 0, 60 * kMinute, Duration(kMinute), {},
                                 Context(stop.get_token(), Context::Steady::time_point::max()));
  ASSERT_FALSE(canceled);
  EXPECT_EQ(canceled.error().type, QueryError::Type::canceled);
  EXPECT_EQ(canceled.error().message(), "query was canceled in expression evaluation");
  EXPECT_LE(store.reads, 11U) << "it went on reading";

  store.on_read = nullptr;
  auto late = Engine().instant(store, "m_total", 0, {}, Context({}, Context::Steady::now() - std::chrono::seconds(1)));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().type, QueryError::Type::timeout);
  EXPECT_EQ(late.error().message(), "query timed out in expression evaluation");
}

TEST(Engine, StatisticsCountAsPrometheusDoes) {
  const ManySeries store(10);
  EngineOptions options;
  options.features.per_step_stats = true;
  const Engine engine(options);
  QueryOptions per_step;
  per_step.per_step_stats = true;
  auto instant = engine.instant(store, "sum(m_total)", 60 * kMinute, per_step);
  EXPECT_EQ(instant->stats.total_queryable_samples, 10);
  EXPECT_EQ(instant->stats.samples_read, 10);
  // Windows of 5 m hold 20 samples each; from the second step on 4 of them are new.
  auto range = engine.range(store, "rate(m_total[5m])", 60 * kMinute, 63 * kMinute, Duration(kMinute), per_step);
  EXPECT_EQ(range->stats.total_queryable_samples, 10 * 20 * 4);
  EXPECT_EQ(range->stats.samples_read, 10 * (20 + 3 * 4));
  ASSERT_EQ(range->stats.total_queryable_samples_per_step.size(), 4U);
  EXPECT_EQ(range->stats.total_queryable_samples_per_step[1], std::pair(61 * kMinute, std::int64_t{200}));
  EXPECT_EQ(range->stats.samples_read_per_step[1].second, 40);
  EXPECT_GE(range->stats.peak_samples, 40);
  // Evaluated once, counted at every step.
  auto fixed = engine.range(store, "m_total @ 1000 + 1", 60 * kMinute, 63 * kMinute, Duration(kMinute), per_step);
  EXPECT_EQ(fixed->stats.total_queryable_samples, 40);
  EXPECT_EQ(fixed->stats.samples_read, 10);
  EXPECT_TRUE(
      engine.range(store, "m_total", 0, kMinute, Duration(kMinute))->stats.total_queryable_samples_per_step.empty());
}

TEST(Engine, HintsNameOnlyWhatIsNeeded) {
  const ManySeries store(1);
  ASSERT_TRUE(Engine().range(store, "rate(m_total[5m] offset 1m)", 60 * kMinute, 70 * kMinute, Duration(kMinute)));
  EXPECT_EQ(store.last_hints.start, 54 * kMinute + 1);
  EXPECT_EQ(store.last_hints.end, 69 * kMinute);
  EXPECT_EQ(store.last_hints.range, 5 * kMinute);
  EXPECT_EQ(store.last_hints.step, kMinute);
  EXPECT_EQ(store.last_hints.function, "rate");
  ASSERT_TRUE(Engine().instant(store, "m_total @ 100", 60 * kMinute));
  EXPECT_EQ(store.last_hints.end, 100 * kSecond);
  EXPECT_EQ(store.last_hints.start, 100 * kSecond - 5 * kMinute + 1);
}

TEST(Engine, StepInvariantPartsAreReadOnce) {
  ManySeries store(5);
  ASSERT_TRUE(Engine().range(store, "sum(m_total @ 1000)", 0, 1000 * kMinute, Duration(kMinute)));
  EXPECT_EQ(store.reads, 5U);
}

TEST(Engine, TimesAtTheEndsOfInt64AreHarmless) {
  const TestStorage store = small_store();
  const Engine engine;
  for (TimestampMs time : {std::numeric_limits<TimestampMs>::min(), std::numeric_limits<TimestampMs>::max()}) {
    for (const char* expr : {"up", "rate(up[5m])", "up offset 1000w", "sum_over_time(up[5m:1m])", "up offset -1000w",
                             "time()", "year()"}) {
      EXPECT_TRUE(engine.instant(store, expr, time)) << expr;
    }
  }
}

TEST(Engine, AnnotationsCarryPositions) {
  const TestStorage store = small_store();
  auto result = Engine().instant(store, "1 +\nrate(up[5m])", 5 * kMinute);
  const auto texts = result->annotations.texts("1 +\nrate(up[5m])");
  ASSERT_EQ(texts.infos.size(), 1U);
  EXPECT_EQ(
      texts.infos[0],
      "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"up\" (2:6)");
}

}  // namespace
}  // namespace tocayo::promql
