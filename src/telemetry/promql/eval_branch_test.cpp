// SPDX-License-Identifier: Apache-2.0
// Sides of operators at once: nothing tells it from evaluating one after the other but the threads.
#include "promql/eval_branch.h"

#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <latch>
#include <mutex>
#include <random>
#include <set>
#include <thread>

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
constexpr std::chrono::microseconds kAlways{0}, kNever{std::chrono::hours(1)};

// A store that is watched: each select and read may do something first.
class Watched final : public testing::NamelessQuerier {
 public:
  explicit Watched(const TestStorage& store) : store_(store) {}

  std::function<void(std::span<const Matcher>)> on_select;
  std::function<void(const Labels&)> on_read;
  std::atomic<std::size_t> elsewhere{0};  // selections that another thread than the caller's made
  std::atomic<std::size_t> reads{0};
  std::atomic<std::size_t> sides_elsewhere{0};  // reads of so few series that only the side of an operator goes there

  Result<std::unique_ptr<metrics::SeriesSet>> select(std::span<const Matcher> matchers,
                                                     const metrics::SelectHints& hints,
                                                     const Context& context) const override {
    if (std::this_thread::get_id() != home_) ++const_cast<Watched*>(this)->elsewhere;
    if (on_select) on_select(matchers);
    metrics::SelectHints own = hints;
    if (own.meter == nullptr) own.meter = meter;
    auto set = std::make_unique<Set>();
    set->owner = const_cast<Watched*>(this);
    set->inner = TRY(store_.select(matchers, own, context));
    return set;
  }
  metrics::QueryMeter* meter = nullptr;  // counts selections that bring no meter of their own

 private:
  struct Set final : metrics::SeriesSet {
    Watched* owner;
    std::unique_ptr<metrics::SeriesSet> inner;
    std::size_t size() const override { return inner->size(); }
    const Labels& labels(std::size_t index) const override { return inner->labels(index); }
    Result<> read(std::size_t index, metrics::SampleColumns& out) const override {
      ++owner->reads;
      if (size() < 16 && std::this_thread::get_id() != owner->home_) ++owner->sides_elsewhere;
      if (owner->on_read) owner->on_read(labels(index));
      return inner->read(index, out);
    }
  };
  const TestStorage& store_;
  const std::thread::id home_ = std::this_thread::get_id();
};

metrics::HistogramPtr histogram(std::mt19937_64& random, int scale, bool custom) {
  auto out = std::make_shared<metrics::FloatHistogram>();
  if (custom) {
    out->schema = metrics::kCustomBucketsSchema;
    out->custom_values = {1, 2, 5};
  } else {
    out->zero_threshold = 0.001;
    out->zero_count = static_cast<double>(random() % 4);
  }
  out->positive_spans = {{0, 3}};
  out->positive_buckets = {1.0 * scale, static_cast<double>(random() % 9), 2};
  out->count = out->zero_count + out->positive_buckets[0] + out->positive_buckets[1] + 2;
  out->sum = 3.0 * scale;
  return out;
}

// requests_total and level: floats with gaps and resets, histograms, some of both; many: 300 series.
const TestStorage& storage() {
  static const TestStorage store = [] {
    std::mt19937_64 random(17);
    std::vector<TestSeries> all;
    for (int s = 0; s < 14; ++s) {
      TestSeries series;
      series.labels = Labels{{"__name__", s % 2 == 0 ? "requests_total" : "level"},
                             {"instance", "i" + std::to_string(s / 2)},
                             {"job", "j" + std::to_string(s % 3)},
                             {"le", s < 4 ? std::to_string(s) : ""}};
      double counter = 0;
      for (int i = 0; i < 240; ++i) {
        if (random() % 12 == 0) continue;
        TestPoint point{.time = i * 15'000};
        if (s >= 9 && (s < 13 || i % 5 == 0)) {
          point.histogram = histogram(random, 1 + i, s >= 11);
        } else {
          counter = random() % 20 == 0 ? 0 : counter + static_cast<double>(random() % 100) / 7;
          point.value = random() % 40 == 0 ? std::nan("") : counter;
        }
        series.points.push_back(point);
      }
      all.push_back(std::move(series));
    }
    for (int s = 0; s < 300; ++s) {
      TestSeries series{Labels{{"__name__", "many"}, {"i", std::to_string(s)}, {"job", "j" + std::to_string(s % 3)}},
                        {}};
      for (int i = 100; i < 140; ++i) series.points.push_back({.time = i * 15'000, .value = 1.0 * s * i});
      all.push_back(std::move(series));
    }
    TestStorage out;
    out.add(all);
    return out;
  }();
  return store;
}

std::string text_of(const Value& value) {
  std::string out;
  const auto point = [&](TimestampMs time, double number, const metrics::HistogramPtr& h) {
    out += std::to_string(time) + '=' +
           (h ? h->to_string() : std::to_string(std::isnan(number) ? 1 : std::bit_cast<std::uint64_t>(number))) + ' ';
  };
  if (const auto* scalar = std::get_if<ScalarValue>(&value)) point(scalar->time, scalar->value, nullptr);
  if (const auto* text = std::get_if<StringValue>(&value)) out += text->text;
  if (const auto* vector = std::get_if<VectorValue>(&value)) {
    for (const Sample& sample : vector->samples) {
      out += sample.labels.to_string();
      point(vector->time, sample.value, sample.histogram);
    }
  }
  if (const auto* matrix = std::get_if<MatrixValue>(&value)) {
    for (const Series& series : matrix->series) {
      out += series.labels.to_string();
      for (const auto& p : series.floats) point(p.time, p.value, nullptr);
      for (const auto& p : series.histograms) point(p.time, 0, p.histogram);
    }
  }
  return out;
}

// All that a caller can see of a query.
struct Seen {
  std::string value, error, warnings;
  QueryStats stats;
  std::uint64_t series = 0, chunks = 0, memory = 0;

  std::string to_string() const {
    std::string out = value + "\nerror " + error + "\nannotations " + warnings;
    for (std::int64_t number : {stats.total_queryable_samples, stats.samples_read, stats.peak_samples})
      out += ' ' + std::to_string(number);
    for (const auto& [time, count] : stats.total_queryable_samples_per_step) out += ' ' + std::to_string(count);
    for (const auto& [time, count] : stats.samples_read_per_step) out += ' ' + std::to_string(count);
    if (error.empty())
      out += " fetched " + std::to_string(series) + ' ' + std::to_string(chunks) + ' ' + std::to_string(memory);
    return out;
  }
};

struct Asked {
  std::size_t max_samples = 1'000'000, memory_limit = 0;
  metrics::QueryMeterLimits limits;
  bool range = true;
};

class Both {
 public:
  Both() {
    options_.features = Features::all();
    options_.features.type_and_unit_labels = false;
    options_.inline_below = kNever;
    in_turn_.emplace(options_);
    options_.inline_below = kAlways;
    at_once_.emplace(options_);
  }

  Seen ask(bool at_once, const std::string& expr, const Asked& asked = {}) {
    metrics::QueryMeter meter(asked.limits);
    Watched store(storage());
    store.meter = &meter;
    if (at_once) store.on_select = [this](auto) { pause(); };
    QueryOptions options;
    options.pool = &pool_;
    options.meter = &meter;
    options.max_samples = asked.max_samples;
    options.memory_limit = asked.memory_limit;
    options.per_step_stats = true;
    const Engine& engine = at_once ? *at_once_ : *in_turn_;
    const TimestampMs start = 26 * kMinute + 77;
    Seen seen;
    {
      auto outcome = asked.range ? engine.range(store, expr, start, start + 5 * 95'000, Duration(95'000), options)
                                 : engine.instant(store, expr, start, options);
      meter.release_selections();
      if (outcome) {
        seen.value = text_of(outcome->value);
        seen.stats = outcome->stats;
        const auto texts = outcome->annotations.texts(expr);
        for (const auto& text : texts.warnings) seen.warnings += text + '\n';
        for (const auto& text : texts.infos) seen.warnings += text + '\n';
      } else {
        seen.error = std::string(to_string(outcome.error().type)) + ": " + outcome.error().message();
      }
    }
    seen.series = meter.series();
    seen.chunks = meter.chunks();
    seen.memory = meter.memory();
    elsewhere += store.elsewhere;
    sides_elsewhere += store.sides_elsewhere;
    return seen;
  }

  void expect_same(const std::string& expr, const Asked& asked = {}) {
    SCOPED_TRACE(expr);
    const Seen one = ask(false, expr, asked), other = ask(true, expr, asked);
    EXPECT_EQ(one.to_string(), other.to_string());
    errors += one.error.empty() ? 0 : 1;
    annotated += one.warnings.empty() ? 0 : 1;
  }

  std::size_t elsewhere = 0, sides_elsewhere = 0, errors = 0, annotated = 0;

 private:
  // So that each side is the first one at times: what was given to another thread has begun, and may have got far.
  void pause() {
    const std::uint64_t number = random_.fetch_add(0x9e3779b97f4a7c15) >> 60;
    if (number >= 10) return;
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
    while (pool_.queued() != 0 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::microseconds(20 * number));
  }

  Pool pool_{"query", 4};
  EngineOptions options_;
  std::optional<Engine> in_turn_, at_once_;
  std::atomic<std::uint64_t> random_{1};
};

const std::vector<std::string>& expressions() {
  static const std::vector<std::string> all = {
      "requests_total + on (instance) level",
      "sum(rate(requests_total[5m])) / sum(rate(level[5m]))",
      "sum by (job) (rate(many[2m])) / sum by (job) (rate(many[2m] offset 1m))",
      "many / on (i) many",
      "sum(many) / count(many)",
      "(many * 2) - on (i) (many / 3) + on (i) many",
      "requests_total and on (job) (level > 20 or on (instance) requests_total)",
      "sum(requests_total) + sum(level) + sum(many) + sum(many offset 1m)",
      "((sum(requests_total) + sum(level)) + (sum(many) + sum(many offset 1m))) / (count(level) + count(many))",
      "scalar(sum(level)) + scalar(sum(many)) * scalar(count(requests_total))",
      "max_of(scalar(sum(level)), scalar(sum(many)))",
      "histogram_quantile(scalar(sum(level)) / scalar(sum(many)), rate(requests_total[5m]))",
      "histogram_fraction(scalar(sum(level)), scalar(count(many)), level)",
      "max_over_time((sum(requests_total) / sum(level))[10m:1m]) + on () sum(many)",
      "sum(level @ 1500) + sum(many @ 1800)",
      "avg_over_time((sum(many) + sum(many offset 30s))[3m:20s]) / on () sum(requests_total @ end())",
      // Both sides note the same thing: the newer position counts.
      "sum(rate(level[5m])) + sum(rate(level[4m]))",
      "histogram_quantile(2, level) + histogram_quantile(2, level)",
      "histogram_quantile(0.5, sum by (le) (rate(requests_total[5m]))) / histogram_quantile(0.9, sum by (le) (level))",
      "level + on (instance) level",
      "requests_total * on () level",
      // An error on one side or the other, or on both.
      "(many + on () many) + on () sum(level)",
      "sum(level) + on () (many + on () many)",
      "(many + on () many) + on () (level + on (job) level)",
      "label_replace(many, \"i\", \"x\", \"i\", \".*\") + on () sum(level)",
      "sum(level) + on () label_replace(many, \"i\", \"x\", \"i\", \".*\")",
  };
  return all;
}

TEST(EvalBranch, NothingTellsItFromEvaluatingInTurn) {
  Both both;
  for (const std::string& expr : expressions()) {
    for (int round = 0; round < 5; ++round) both.expect_same(expr);
    both.expect_same(expr, {.range = false});
  }
  EXPECT_GT(both.elsewhere, expressions().size()) << "nothing ran on another thread";
  EXPECT_GE(both.errors, 5U);
  EXPECT_GE(both.annotated, 5U);
}

TEST(EvalBranch, RandomExpressions) {
  QuerygenData data;
  using Type = QuerygenData::Metric::Type;
  data.metrics = {{"requests_total", Type::counter}, {"level", Type::gauge}, {"many", Type::gauge}};
  data.labels = {{"job", {"j0", "j1", "j2"}}, {"instance", {"i1", "i4"}}, {"le", {"1", "2"}}};
  data.end = 60 * kMinute;
  const char* more = std::getenv("TOCAYO_RANDOM_QUERIES");
  const Querygen generated = generate_queries(11, more != nullptr ? std::strtoul(more, nullptr, 10) : 700, data,
                                              {.experimental = true, .native_histograms = true});
  Both both;
  std::mt19937_64 random(3);
  for (const std::string& expr : generated.queries) {
    both.expect_same(expr, {.max_samples = 100'000, .range = random() % 2 == 0});
  }
  EXPECT_GT(both.sides_elsewhere, generated.queries.size() / 10);
}

// What a query is allowed is the same number, to the last sample and byte.
TEST(EvalBranch, LimitsAreMetAtTheSameNumber) {
  Both both;
  std::size_t refused = 0;
  for (const std::string& expr : expressions()) {
    const Seen free = both.ask(false, expr);
    if (!free.error.empty()) continue;
    const auto peak = static_cast<std::size_t>(free.stats.peak_samples);
    for (const std::size_t most : {peak, peak - 1, peak * 3 / 4, peak / 2, peak / 4}) {
      if (most > 0) both.expect_same(expr, {.max_samples = most});
    }
    EXPECT_TRUE(both.ask(true, expr, {.max_samples = peak}).error.empty()) << expr;
    if (!both.ask(true, expr, {.max_samples = peak - 1}).error.empty()) ++refused;
    for (const std::size_t bytes : {200'000, 60'000, 20'000, 6000, 2000}) {
      both.expect_same(expr, {.memory_limit = bytes});
      both.expect_same(expr, {.limits = {.max_memory = bytes}});
    }
    for (const std::uint64_t part : {free.chunks, free.chunks - 1, free.chunks / 2, free.chunks / 3})
      both.expect_same(expr, {.limits = {.max_chunks = part}});
    for (const std::uint64_t most : {314, 313, 300, 299, 14, 7, 6})
      both.expect_same(expr, {.limits = {.max_series = most, .max_chunks = 500}});
  }
  EXPECT_GT(refused, 10U);
}

TEST(EvalBranch, BothSidesSelectAtOnce) {
  Watched store(storage());
  std::latch both(2);
  std::atomic<bool> met{true};
  store.on_select = [&](auto) {
    both.count_down();
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!both.try_wait()) {
      if (std::chrono::steady_clock::now() > until) {
        met = false;
        return;
      }
      std::this_thread::yield();
    }
  };
  Pool pool("query", 2);
  QueryOptions options;
  options.pool = &pool;
  auto result =
      Engine(EngineOptions{.inline_below = kAlways}).instant(store, "sum(many) / sum(level)", 30 * kMinute, options);
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_TRUE(met) << "one side waited for the other";
}

TEST(EvalBranch, OneSelectionForTheSameSelectorOnBothSides) {
  for (int round = 0; round < 20; ++round) {
    Watched store(storage());
    std::atomic<std::size_t> selections{0};
    store.on_select = [&](auto) {
      ++selections;
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    };
    Pool pool("query", 2);
    QueryOptions options;
    options.pool = &pool;
    auto result =
        Engine(EngineOptions{.inline_below = kAlways}).instant(store, "sum(many) / count(many)", 30 * kMinute, options);
    ASSERT_TRUE(result);
    EXPECT_EQ(selections, 1U);
  }
}

// The first time nothing is known of the selectors: the second side follows when the first has turned out dear. From
// then on both begin at once, and what is cheap stays where it is.
TEST(EvalBranch, OnlyWhatIsDearRunsElsewhere) {
  Watched store(storage());
  Pool pool("query", 3);
  QueryOptions options;
  options.pool = &pool;
  const auto elsewhere_in = [&](const Engine& engine, const char* expr) {
    store.elsewhere = 0;
    EXPECT_TRUE(engine.instant(store, expr, 30 * kMinute, options));
    return store.elsewhere.load();
  };
  const Engine usual;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(elsewhere_in(usual, "sum(level) / sum(requests_total)"), 0U) << "14 series";
  const Engine eager(EngineOptions{.inline_below = std::chrono::microseconds(50)});
  // "many" is dear at this threshold, and read by 300 slow reads: the other side has the time to begin.
  store.on_read = [](const Labels&) { std::this_thread::sleep_for(std::chrono::microseconds(100)); };
  EXPECT_EQ(elsewhere_in(eager, "sum(many) / sum(many offset 1m)"), 1U);
  EXPECT_EQ(elsewhere_in(eager, "sum(many{i=~\".+\"}) / sum(level)"), 1U) << "level is not known yet";
  EXPECT_EQ(elsewhere_in(eager, "sum(many{i=~\".+\"}) / sum(level)"), 0U) << "it is, and cheap";
}

TEST(EvalBranch, AnErrorOfTheFirstSideEndsTheSecond) {
  Watched store(storage());
  std::latch second(1);
  std::once_flag begun;
  store.on_select = [&](std::span<const Matcher> matchers) {
    if (matchers.back().value() == "level") second.wait();
  };
  store.on_read = [&](const Labels& labels) {
    if (labels.get("__name__") != "many") return;
    std::call_once(begun, [&] { second.count_down(); });
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  Pool pool("query", 1 + 1);
  QueryOptions options;
  options.pool = &pool;
  auto result =
      Engine(EngineOptions{.inline_below = kAlways})
          .instant(store,
                   "label_replace(label_replace(level, \"instance\", \"x\", \"job\", \".*\"), \"job\", \"x\", "
                   "\"instance\", \".*\") + on () sum(many)",
                   30 * kMinute, options);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("same labelset"), std::string::npos) << result.error().message();
  EXPECT_LT(store.reads, 200U) << "the second side went on to its end";
}

TEST(EvalBranch, CancelEndsBothSides) {
  Watched store(storage());
  std::stop_source stop;
  std::set<std::string> names;
  std::mutex mutex;
  store.on_read = [&](const Labels& labels) {
    std::lock_guard lock(mutex);
    names.insert(std::string(labels.get("__name__")));
    if (names.size() == 2 && store.reads > 3) stop.request_stop();
    if (names.size() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  };
  Pool pool("query", 3);
  QueryOptions options;
  options.pool = &pool;
  metrics::QueryMeter meter;
  options.meter = &meter;
  auto result = Engine(EngineOptions{.inline_below = kAlways})
                    .range(store, "sum(many) / sum by (x) (level)", 0, 60 * kMinute, Duration(kMinute), options,
                           Context(stop.get_token(), Context::Steady::time_point::max()));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().type, QueryError::Type::canceled);
  EXPECT_LT(store.reads, 300U) << "a side went on to its end";
  meter.release_selections();
  EXPECT_EQ(meter.memory(), 0U) << "something is still counted";
  const std::size_t reads = store.reads;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(store.reads, reads) << "something still runs";
}

TEST(EvalBranch, TimeLimitEndsBothSides) {
  Watched store(storage());
  store.on_read = [](const Labels&) { std::this_thread::sleep_for(std::chrono::milliseconds(2)); };
  Pool pool("query", 3);
  QueryOptions options;
  options.pool = &pool;
  options.timeout = std::chrono::milliseconds(30);
  auto result = Engine(EngineOptions{.inline_below = kAlways})
                    .instant(store, "sum(many) / sum(many offset 1m)", 30 * kMinute, options);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().type, QueryError::Type::timeout);
  EXPECT_LT(store.reads, 550U);
}

// Queries on the threads of the pool itself, as many as it has, with sides in sides: who waits works, or nothing would.
TEST(EvalBranch, APoolFullOfQueriesDoesNotStandStill) {
  const Engine engine(EngineOptions{.inline_below = kAlways});
  Watched store(storage());
  Pool pool("query", 3);
  const std::string expr = "sum(many) + (sum(level) + (sum(many offset 1m) + (sum(many) + sum(requests_total))))";
  QueryOptions options;
  options.pool = &pool;
  auto expected = engine.instant(store, expr, 30 * kMinute);
  ASSERT_TRUE(expected);
  constexpr int kQueries = 60;
  std::latch done(kQueries);
  std::atomic<int> right{0};
  for (int i = 0; i < kQueries; ++i) {
    pool.post([&] {
      auto result = engine.instant(store, expr, 30 * kMinute, options);
      if (result && text_of(result->value) == text_of(expected->value)) ++right;
      done.count_down();
    });
  }
  done.wait();
  EXPECT_EQ(right, kQueries);
}

TEST(EvalBranch, NoMoreThreadsThanTheTenantMayHave) {
  for (const std::size_t most : {1U, 2U}) {
    Watched store(storage());
    std::atomic<std::size_t> inside{0}, highest{0};
    store.on_read = [&](const Labels&) {
      const std::size_t now = ++inside;
      std::size_t seen = highest;
      while (seen < now && !highest.compare_exchange_weak(seen, now)) {
      }
      std::this_thread::sleep_for(std::chrono::microseconds(50));
      --inside;
    };
    Pool pool("query", 8);
    QueryOptions options;
    options.pool = &pool;
    options.parallelism = most;
    ASSERT_TRUE(Engine(EngineOptions{.inline_below = kAlways})
                    .instant(store, "sum(many) + (sum(many offset 1m) + (sum(many offset 2m) + sum(many offset 3m)))",
                             34 * kMinute, options));
    EXPECT_EQ(highest, most);
  }
}

TEST(SelectorHistory, RemembersTheLastCount) {
  eval::SelectorHistory history;
  const std::vector<Matcher> up{Matcher::equal("__name__", "up")}, down{Matcher::equal("__name__", "down")};
  EXPECT_FALSE(history.find(up));
  history.note(up, 0);
  EXPECT_EQ(history.find(up), 0U);
  history.note(up, 12);
  history.note(down, std::size_t{1} << 40);
  EXPECT_EQ(history.find(up), 12U);
  EXPECT_GT(history.find(down), 10'000'000U) << "more than fits is still many";
}

}  // namespace
}  // namespace tocayo::promql
