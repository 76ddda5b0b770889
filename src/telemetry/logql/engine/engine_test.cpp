// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "core/pool.h"
#include "logql/engine/grid.h"
#include "logql/engine/plain_store.h"
#include "logql/engine/run.h"
#include "logql/engine/states.h"

namespace tocayo::logql {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

void add(PlainStore& store, const Labels& stream, TimestampNs time, std::string_view line,
         std::vector<logs::LabelView> metadata = {}) {
  const logs::EntryRow row{time, line, metadata};
  store.add(stream, std::span(&row, 1));
}

QueryParams lines(TimestampNs start, TimestampNs end, std::size_t limit,
                  logs::Direction direction = logs::Direction::forward) {
  QueryParams params;
  params.start = start;
  params.end = end;
  params.limit = limit;
  params.direction = direction;
  return params;
}

QueryParams at(TimestampNs time) {
  QueryParams params;
  params.instant = true;
  params.start = params.end = time;
  return params;
}

QueryParams steps(TimestampNs start, TimestampNs end, std::int64_t step) {
  QueryParams params;
  params.start = start;
  params.end = end;
  params.step_ns = step;
  return params;
}

LogValue log_of(const PlainStore& store, std::string_view query, const QueryParams& params,
                const QueryOptions& options = {}) {
  auto result = Engine().query(store, query, params, options);
  EXPECT_TRUE(result) << query << ": " << result.error().message;
  return result ? std::get<LogValue>(result->value) : LogValue{};
}

std::vector<std::pair<TimestampNs, std::string>> texts(const LogValue& value) {
  std::vector<std::pair<TimestampNs, std::string>> out;
  for (const LogLine& line : value.lines) out.emplace_back(line.time, line.line);
  return out;
}

std::string failure(const PlainStore& store, std::string_view query, const QueryParams& params,
                    const EngineOptions& options = {}, const Context& context = {}) {
  auto result = Engine(options).query(store, query, params, {}, context);
  return result ? "no error" : result.error().message;
}

// Streams with many lines at equal times, lines in no order.
PlainStore crowded(std::mt19937& random, std::size_t rows, std::size_t morsel_rows) {
  PlainStore store(morsel_rows);
  for (std::size_t i = 0; i < rows; ++i) {
    const Labels stream{{"app", "a"}, {"pod", std::to_string(random() % 4)}};
    add(store, stream, static_cast<TimestampNs>(random() % 40) * kSecond,
        "line " + std::to_string(i) + (random() % 3 == 0 ? " hit" : ""));
  }
  return store;
}

TEST(LogqlEngine, PagesPutTogetherAreTheWholeAnswer) {
  std::mt19937 random(7);
  Pool pool("engine_test", 3);
  for (int round = 0; round < 6; ++round) {
    const PlainStore store = crowded(random, 300, round % 2 == 0 ? 7 : 1'000);
    for (logs::Direction direction : {logs::Direction::forward, logs::Direction::backward}) {
      for (std::string_view query : {R"({app="a"})", R"({app="a"} |= "hit")", R"({app="a"} | pod="1" or pod="2")"}) {
        const QueryOptions options{.pool = round % 3 == 0 ? nullptr : &pool};
        const auto all = texts(log_of(store, query, lines(0, 35 * kSecond, 1'000, direction), options));
        EXPECT_TRUE(std::ranges::is_sorted(all, [&](const auto& a, const auto& b) {
          return direction == logs::Direction::forward ? a.first < b.first : a.first > b.first;
        }));
        std::vector<std::pair<TimestampNs, std::string>> pages;
        QueryParams params = lines(0, 35 * kSecond, 1 + random() % 20, direction);
        while (true) {
          const LogValue page = log_of(store, query, params, options);
          for (auto& line : texts(page)) pages.push_back(std::move(line));
          ASSERT_LE(pages.size(), all.size());
          if (!page.next) break;
          params.cursor = page.next;
        }
        EXPECT_EQ(pages, all) << query;
      }
    }
  }
}

TEST(LogqlEngine, BackwardIsForwardReversed) {
  std::mt19937 random(11);
  const PlainStore store = crowded(random, 400, 5);
  auto forward = texts(log_of(store, R"({app="a"})", lines(0, 40 * kSecond, 1'000)));
  const auto backward = texts(log_of(store, R"({app="a"})", lines(0, 40 * kSecond, 1'000, logs::Direction::backward)));
  std::ranges::reverse(forward);
  EXPECT_EQ(forward, backward);
  EXPECT_EQ(forward.size(), store.row_count());
}

TEST(LogqlEngine, LimitLeavesOutMorselsThatCannotContribute) {
  PlainStore store(10);
  for (int i = 0; i < 1'000; ++i) add(store, {{"app", "a"}}, i * kSecond, "line " + std::to_string(i));
  auto result =
      Engine().query(store, R"({app="a"} |= "line")", lines(0, 1'000 * kSecond, 20, logs::Direction::backward));
  ASSERT_TRUE(result);
  EXPECT_EQ(std::get<LogValue>(result->value).lines.size(), 20U);
  EXPECT_LE(result->stats.scan.rows, 40U);
  EXPECT_EQ(result->stats.entries_returned, 20U);
}

TEST(LogqlEngine, IntervalSpacesLines) {
  PlainStore store(50);
  for (int i = 0; i < 2'000; ++i) add(store, {{"app", "a"}}, i * kSecond, std::to_string(i));
  QueryParams params = lines(0, 2'000 * kSecond, 5);
  params.interval_ns = 300 * kSecond;
  std::vector<std::string> got;
  for (auto& [time, text] : texts(log_of(store, R"({app="a"})", params))) got.push_back(text);
  EXPECT_EQ(got, (std::vector<std::string>{"0", "300", "600", "900", "1200"}));
  params.direction = logs::Direction::backward;
  params.limit = 100;
  got.clear();
  for (auto& [time, text] : texts(log_of(store, R"({app="a"})", params))) got.push_back(text);
  EXPECT_EQ(got, (std::vector<std::string>{"1999", "1699", "1399", "1099", "799", "499", "199"}));
}

// ---- windows and range functions against the definition ----

struct Sample {
  TimestampNs time;
  double value;
};

double reference(RangeOp op, const std::vector<Sample>& in, double seconds, TimestampNs) {
  std::vector<double> values;
  for (const Sample& s : in) values.push_back(s.value);
  const double count = static_cast<double>(values.size());
  double sum = 0;
  for (double v : values) sum += v;
  double squares = 0;
  for (double v : values) squares += (v - sum / count) * (v - sum / count);
  switch (op) {
    case RangeOp::count_over_time: return count;
    case RangeOp::rate: return sum / seconds;
    case RangeOp::sum_over_time: return sum;
    case RangeOp::avg_over_time: return sum / count;
    case RangeOp::min_over_time: return *std::ranges::min_element(values);
    case RangeOp::max_over_time: return *std::ranges::max_element(values);
    case RangeOp::first_over_time: return values.front();
    case RangeOp::last_over_time: return values.back();
    case RangeOp::stdvar_over_time: return squares / count;
    case RangeOp::stddev_over_time: return std::sqrt(squares / count);
    default: break;
  }
  std::ranges::sort(values);  // quantile 0.3
  const double rank = 0.3 * (count - 1);
  const auto low = static_cast<std::size_t>(std::floor(rank));
  const std::size_t high = std::min(values.size() - 1, low + 1);
  return values[low] * (1 - (rank - std::floor(rank))) + values[high] * (rank - std::floor(rank));
}

TEST(LogqlEngine, RangeFunctionsAgreeWithTheirDefinition) {
  std::mt19937 random(3);
  Pool pool("engine_test", 3);
  std::size_t compared = 0;
  for (int round = 0; round < 40; ++round) {
    PlainStore store(3 + random() % 50);
    std::vector<Sample> samples;
    std::set<TimestampNs> used;
    const std::size_t count = random() % 200;
    for (std::size_t i = 0; i < count; ++i) {
      const TimestampNs time = static_cast<TimestampNs>(random() % 3'000) * (kSecond / 10);
      if (!used.insert(time).second) continue;
      const double value = static_cast<double>(random() % 1'000) / 8;
      const std::string text = std::to_string(value);
      add(store, {{"app", "a"}, {"pod", std::to_string(random() % 3)}}, time, "x", {{"v", text}});
      samples.push_back({time, value});
    }
    std::ranges::sort(samples, {}, &Sample::time);
    const std::int64_t step = static_cast<std::int64_t>(1 + random() % 300) * (kSecond / 10);
    const std::int64_t range = static_cast<std::int64_t>(1 + random() % 400) * (kSecond / 10);
    const std::int64_t offset = static_cast<std::int64_t>(random() % 100) * (kSecond / 10);
    const TimestampNs start = static_cast<TimestampNs>(random() % 1'000) * (kSecond / 10);
    const TimestampNs end = start + static_cast<TimestampNs>(random() % 3'000) * (kSecond / 10);
    for (RangeOp op : {RangeOp::rate, RangeOp::sum_over_time, RangeOp::avg_over_time, RangeOp::min_over_time,
                       RangeOp::max_over_time, RangeOp::first_over_time, RangeOp::last_over_time,
                       RangeOp::stdvar_over_time, RangeOp::stddev_over_time, RangeOp::quantile_over_time}) {
      std::string query(to_string(op));
      const bool sums = op == RangeOp::rate || op == RangeOp::sum_over_time;
      query += std::string("(") + (op == RangeOp::quantile_over_time ? "0.3, " : "") + R"({app="a"} | unwrap v [)" +
               std::to_string(range / 1'000'000) + "ms] offset " + std::to_string(offset / 1'000'000) + "ms)";
      query = sums ? "sum(" + query + ")" : query + " by (app)";
      auto result = Engine().query(store, query, steps(start, end, step), {.pool = round % 2 == 0 ? &pool : nullptr});
      ASSERT_TRUE(result) << query << ": " << result.error().message;
      const auto& matrix = std::get<MatrixValue>(result->value);
      std::map<TimestampNs, double> got;
      ASSERT_LE(matrix.series.size(), 1U);
      for (const MatrixSeries& series : matrix.series) {
        for (const Point& point : series.points) got[point.time] = point.value;
      }
      for (TimestampNs time = start; time <= end; time += step) {
        std::vector<Sample> window;
        for (const Sample& s : samples) {
          if (s.time > time - offset - range && s.time <= time - offset) window.push_back(s);
        }
        if (window.empty()) {
          EXPECT_FALSE(got.contains(time)) << query << " at " << time;
          continue;
        }
        ASSERT_TRUE(got.contains(time)) << query << " at " << time;
        const double expected = reference(op, window, static_cast<double>(range) / 1e9, time);
        EXPECT_NEAR(got[time], expected, 1e-9 * std::max(1.0, std::fabs(expected))) << query << " at " << time;
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 5'000U);
}

TEST(LogqlEngine, ThreadsDoNotChangeSums) {
  PlainStore store(3);
  std::mt19937 random(5);
  for (int i = 0; i < 500; ++i) {
    const std::string value = std::to_string(std::ldexp(static_cast<double>(random() % 1'000) + 0.1, random() % 40));
    add(store, {{"app", "a"}, {"pod", std::to_string(i % 9)}}, i * kSecond, "x", {{"v", value}});
  }
  Pool pool("engine_test", 4);
  const std::string_view query = R"(sum(sum_over_time({app="a"} | unwrap v [10m])))";
  auto alone = Engine().query(store, query, at(500 * kSecond));
  ASSERT_TRUE(alone);
  const double expected = std::get<VectorValue>(alone->value).samples.at(0).value;
  for (int round = 0; round < 20; ++round) {
    auto together = Engine().query(store, query, at(500 * kSecond), {.pool = &pool});
    ASSERT_TRUE(together);
    EXPECT_EQ(std::get<VectorValue>(together->value).samples.at(0).value, expected);
  }
}

TEST(LogqlEngine, WindowsCoverEveryTimeOnce) {
  for (std::int64_t step : {1, 7, 10}) {
    for (std::int64_t range : {0, 1, 3, 7, 10, 23, 100}) {
      const detail::Windows windows({50, step, 9}, range, 4);
      detail::Windows::Cursor cursor(windows);
      for (TimestampNs time = -100; time < 300; ++time) {
        const auto interval = windows.interval(time);
        bool held = false;
        for (std::size_t i = 0; i < 9; ++i) {
          const TimestampNs end = 50 + static_cast<TimestampNs>(i) * step - 4;
          const bool in = time > end - range && time <= end;
          held = held || in;
          const bool covered =
              interval && windows.first_interval(i) <= *interval && *interval <= windows.last_interval(i);
          EXPECT_EQ(in, covered) << step << " " << range << " " << time << " " << i;
        }
        EXPECT_EQ(held, interval.has_value());
        EXPECT_EQ(cursor.interval(time), interval);
      }
    }
  }
}

// ---- what goes down to the store changes nothing ----

TEST(LogqlEngine, HandedDownFiltersDecideTheSame) {
  PlainStore store(4);
  const std::vector<std::string> words{"alpha", "beta", "gamma", "alpha beta", "", "beta alpha gamma"};
  for (int i = 0; i < 200; ++i) {
    const std::string user = "u" + std::to_string(i % 5);
    std::vector<logs::LabelView> metadata;
    if (i % 3 != 0) metadata.push_back({"user", user});
    add(store, {{"app", i % 2 == 0 ? "a" : "b"}}, i * kSecond, words[static_cast<std::size_t>(i) % words.size()],
        metadata);
  }
  // `| line_format` and `| label_format` in front keep the filters in the pipeline.
  for (std::string_view filter :
       {R"(|= "alpha")", R"(!= "alpha" or "gamma")", R"(|~ "^b.*a$")", R"(|> "<_> alpha <_>")", R"(| user="u1")",
        R"(| user!="u1")", R"(| user=~"u[12]|")", R"(| app="a" and user="")", R"(| user="u1" |= "beta" | app!="a")"}) {
    const std::string down = std::string(R"({app=~"a|b"} )") + std::string(filter);
    const std::string kept =
        std::string(R"({app=~"a|b"} | line_format "{{__line__}}" | label_format zz="" )") + std::string(filter);
    auto a = Engine().query(store, down, lines(0, 200 * kSecond, 1'000));
    auto b = Engine().query(store, kept, lines(0, 200 * kSecond, 1'000));
    ASSERT_TRUE(a) << a.error().message;
    ASSERT_TRUE(b) << b.error().message;
    EXPECT_EQ(texts(std::get<LogValue>(a->value)), texts(std::get<LogValue>(b->value))) << filter;
    EXPECT_GT(std::get<LogValue>(a->value).lines.size(), 0U) << filter;
    EXPECT_LT(a->stats.scan.rows_selected, b->stats.scan.rows_selected) << filter;
  }
}

// ---- limits and errors ----

TEST(LogqlEngine, BoundsWhatAQueryMayHave) {
  PlainStore store;
  for (int i = 0; i < 50; ++i) add(store, {{"app", "a"}, {"pod", std::to_string(i)}}, kSecond, "x");
  EngineOptions few;
  few.max_series = 10;
  EXPECT_TRUE(failure(store, R"(rate({app="a"}[1m]))", at(kSecond), few)
                  .starts_with("maximum number of series (10) reached for a single query"));
  EXPECT_EQ(failure(store, R"(sum(rate({app="a"}[1m])))", at(kSecond), few), "no error");
  EXPECT_TRUE(failure(store, R"({app="a"})", lines(0, kSecond, 100'001))
                  .contains("max entries limit per query exceeded, limit > max_entries_limit_per_query"));
  EXPECT_TRUE(failure(store, R"({app="a"})", lines(0, kSecond, 0)).contains("limit must be a positive value"));
  EXPECT_TRUE(failure(store, R"(rate({app="a"}[1m]))", steps(0, 20'000 * kSecond, kSecond))
                  .contains("exceeded maximum resolution of 11,000 points per time series"));
  EXPECT_TRUE(failure(store, R"(rate({app="a"}[1m]))", steps(0, kSecond, 0))
                  .contains("zero or negative query resolution step widths are not accepted"));
  EXPECT_TRUE(failure(store, R"({app="a"})", at(0)).contains("log queries are not supported as an instant query type"));
  EngineOptions small;
  small.memory_limit = 1'000;
  EXPECT_TRUE(failure(store, R"(rate({app="a"}[1m]))", at(kSecond), small).contains("memory budget of 1000 bytes"));
  EXPECT_TRUE(failure(store, R"(rate({app="a"}[1m]))", at(kSecond), small).contains("label pod alone has"));
  EngineOptions tight;
  tight.memory_budget = 1'000;
  EXPECT_TRUE(failure(store, R"(rate({app="a"}[1m]))", at(kSecond), tight).contains("its share of 1000 bytes"));
}

TEST(LogqlEngine, MemoryIsDividedAmongTheQueriesThatRun) {
  detail::QueryMemory memory(1'000);
  memory.enter();
  EXPECT_TRUE(memory.add(900, 900)) << "alone a query may have it all";
  memory.enter();
  EXPECT_TRUE(memory.add(90, 90));
  EXPECT_TRUE(memory.add(200, 290)) << "who holds less than a share goes on";
  EXPECT_FALSE(memory.add(10, 910)) << "who holds more ends";
  memory.leave(910);
  EXPECT_TRUE(memory.add(500, 790));
  memory.leave(790);
  EXPECT_EQ(memory.held(), 0);
}

TEST(LogqlEngine, EndsWithTheRequest) {
  PlainStore store;
  add(store, {{"app", "a"}}, kSecond, "x");
  std::stop_source stop;
  stop.request_stop();
  auto canceled = Engine().query(store, R"({app="a"})", lines(0, 2 * kSecond, 10), {},
                                 Context(stop.get_token(), Context::Steady::time_point::max()));
  ASSERT_FALSE(canceled);
  EXPECT_EQ(canceled.error().kind, ErrorKind::canceled);
  auto late = Engine().query(store, R"(rate({app="a"}[1m]))", at(kSecond), {},
                             Context({}, Context::Steady::now() - std::chrono::seconds(1)));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, ErrorKind::timeout);
  EXPECT_TRUE(late.error().message.starts_with("request timed out, decrease the duration of the request"));
}

TEST(LogqlEngine, SaysWhichLinesBreakAMetricQuery) {
  PlainStore store;
  add(store, {{"app", "a"}}, kSecond, R"({"v":1})");
  add(store, {{"app", "a"}}, 3 * kSecond, "second broken line");
  add(store, {{"app", "a"}}, 2 * kSecond, "first broken line");
  const std::string message = failure(store, R"(rate({app="a"} | json [1m]))", at(10 * kSecond));
  EXPECT_TRUE(message.starts_with("pipeline error: 'JSONParserErr' for series: '{")) << message;
  EXPECT_TRUE(
      message.contains("Use a label filter to intentionally skip this error. (e.g | __error__!=\"JSONParserErr\")"));
  EXPECT_TRUE(message.ends_with("2 lines of the range cannot be used so, for example: first broken line")) << message;
  EXPECT_EQ(failure(store, R"(sum by (__error__) (rate({app="a"} | json [1m])))", at(10 * kSecond)), "no error");
  EXPECT_EQ(failure(store, R"(rate({app="a"} | json | __error__="" [1m]))", at(10 * kSecond)), "no error");
  // Outside of every window nothing is wrong.
  EXPECT_EQ(failure(store, R"(rate({app="a"} | json [1s]))", at(kSecond)), "no error");
  // Where no label is looked at there is nothing to parse (as Loki).
  EXPECT_EQ(failure(store, R"(sum(rate({app="a"} | json [1m])))", at(10 * kSecond)), "no error");
}

TEST(LogqlEngine, CountsWhatItDid) {
  PlainStore store;
  for (int i = 0; i < 10; ++i) add(store, {{"app", "a"}}, i * kSecond, i % 2 == 0 ? "even=1" : "odd=1");
  auto result = Engine().query(store, R"(count_over_time({app="a"} |= "even" | logfmt [1m]))", at(20 * kSecond));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->stats.scan.rows, 10U);
  EXPECT_EQ(result->stats.scan.bytes, 5U * 6 + 5 * 5);
  EXPECT_EQ(result->stats.lines_kept, 5U);
  EXPECT_EQ(result->stats.entries_returned, 1U);
  EXPECT_GT(result->stats.peak_memory, 0U);
}

// ---- numbers ----

double instant(std::string_view query) {
  PlainStore store;
  add(store, {{"app", "a"}, {"path", "/x-y/7"}}, kSecond, "x");
  auto result = Engine().query(store, query, at(kSecond));
  EXPECT_TRUE(result) << query << ": " << result.error().message;
  if (!result) return NAN;
  if (const auto* scalar = std::get_if<ScalarValue>(&result->value)) return scalar->value;
  const auto& samples = std::get<VectorValue>(result->value).samples;
  return samples.empty() ? NAN : samples[0].value;
}

TEST(LogqlEngine, EvaluatesArithmetic) {
  EXPECT_EQ(instant("2 ^ 3 ^ 2"), 512);
  EXPECT_EQ(instant("(2 ^ 3) ^ 2"), 64);
  EXPECT_TRUE(std::isnan(instant("vector(5) % 0")));
  EXPECT_EQ(instant("3 > bool vector(2)"), 1);
  EXPECT_EQ(instant("vector(3) > 2"), 3);
  EXPECT_EQ(instant("2 < vector(3)"), 3);
  EXPECT_TRUE(std::isnan(instant("vector(3) < 2")));
}

TEST(LogqlEngine, ExpandsReplacements) {
  PlainStore store;
  add(store, {{"app", "a"}, {"path", "/x-y/7"}}, kSecond, "x");
  auto result = Engine().query(
      store,
      R"q(label_replace(count_over_time({app="a"}[1m]), "out", "$2-${name}$$1$9${x", "path", "/(?P<name>.*)/(\\d)"))q",
      at(kSecond));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(std::get<VectorValue>(result->value).samples.at(0).labels.get("out"), "7-x-y$1${x");
}

TEST(LogqlStates, MergingIsAddingInAnyOrder) {
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    detail::VarianceState whole;
    detail::VarianceState left;
    detail::VarianceState right;
    detail::PreciseSum forward;
    detail::PreciseSum backward;
    std::vector<double> values;
    for (int i = 0; i < 30; ++i)
      values.push_back(std::ldexp(static_cast<double>(random() % 1'000) - 500, random() % 60));
    for (double value : values) {
      whole.add({.value = value});
      (random() % 2 == 0 ? left : right).add({.value = value});
      forward.add(value);
    }
    for (std::size_t i = values.size(); i-- > 0;) backward.add(values[i]);
    left.merge(right);
    EXPECT_EQ(left.result(), whole.result());
    EXPECT_EQ(forward.value(), backward.value());
  }
}

TEST(LogqlStates, VarianceKeepsItsDigits) {
  detail::VarianceState equal;
  for (int i = 0; i < 1'000; ++i) equal.add({.value = 0.1});
  EXPECT_EQ(equal.result(), 0);
  detail::VarianceState far;  // 1e9 + {4, 7, 13, 16}: a variance of 22.5, of which plain sums of squares leave nothing
  for (const double value : {4.0, 7.0, 13.0, 16.0}) far.add({.value = 1e9 + value});
  EXPECT_EQ(far.result(), 22.5);
  detail::VarianceState one;
  one.add({.value = 12.34});
  EXPECT_EQ(one.result(), 0);
  detail::VarianceState infinite;
  infinite.add({.value = HUGE_VAL});
  infinite.add({.value = 1});
  EXPECT_TRUE(std::isnan(infinite.result()));
}

}  // namespace
}  // namespace tocayo::logql
