// SPDX-License-Identifier: Apache-2.0
#include "logs/api/query_limits.h"

#include <gtest/gtest.h>

#include "logql/syntax/parser.h"

namespace tocayo::logs::api {
namespace {

constexpr TimestampNs kNow = 1'700'000'000 * kSecondNs;

// What the limits (YAML) say about a query over the last hour; "" when nothing.
std::string refusal(const std::string& yaml, const std::string& query, TimestampNs length = kHourNs,
                    const std::string& tags = "", bool instant = false) {
  const auto limits = parse_log_limits(yaml, "limits", LogLimits());
  EXPECT_TRUE(limits) << limits.error().message;
  const auto expr = logql::parse(query);
  EXPECT_TRUE(expr) << expr.error().message;
  if (!limits || !expr) return "broken test";
  logql::QueryParams params;
  params.start = instant ? kNow : kNow - length;
  params.end = kNow;
  params.instant = instant;
  const auto checked = check_query({*expr, query, tags}, params, *limits);
  return checked ? "" : checked.error().message;
}

TEST(QueryLimits, SayWhatLokiSays) {
  struct Row {
    const char* limits;
    const char* query;
    std::string message;
    TimestampNs length = kHourNs;
    const char* tags = "";
  };
  const std::vector<Row> rows = {
      {"", R"({a="b"})", ""},
      {"max_query_length: 721h", R"({a="b"})",
       "the query time range exceeds the limit (query length: 744h0m0s, limit: 30d1h)", 744 * kHourNs},
      {"max_query_length: 721h", R"({a="b"})", "", 721 * kHourNs},
      {"max_query_length: 0s", R"({a="b"})", "", 9000 * kHourNs},
      {"max_query_range: 1h", R"(sum(rate({a="b"}[2h])))", "[interval] value exceeds limit: [2h] > [1h]"},
      {"max_query_range: 1h", R"(rate({a="b"}[1h]) / rate({a="b"}[90m]))",
       "[interval] value exceeds limit: [1h30m] > [1h]"},
      {"max_query_range: 1h", R"(rate({a="b"}[1h]))", ""},
      {"required_labels: [app, env]", R"({a="b", env="x"})",
       "stream selector is missing required matchers [app], labels present in the query were [a, env]"},
      {"required_labels: [app, env]", R"(sum(count_over_time({a="b"}[1m])))",
       "stream selector is missing required matchers [app, env], labels present in the query were [a]"},
      {"required_labels: [app]", R"({app="b"})", ""},
      {"minimum_labels_number: 2", R"({a="b"})",
       "stream selector has less label matchers than required: (present: [a], number_present: 1, "
       "required_number_label_matchers: 2)"},
      {"minimum_labels_number: 2", R"({a="b", c=~"d"})", ""},
      {"max_streams_matchers_per_query: 2", R"({a="b", c="d", e="f"})",
       "max streams matchers per query exceeded, matchers-count > limit (3 > 2)"},
      {"max_streams_matchers_per_query: 2", R"({a="b", c="d"} | e="f")", ""},
      {R"(blocked_queries: [{pattern: ' {a="b"} '}])", R"({a="b"})", "query blocked by policy"},
      {R"(blocked_queries: [{pattern: '{a="b"}'}])", R"({a="c"})", ""},
      {R"(blocked_queries: [{pattern: 'a=.b', regex: true}])", R"({x="y", a="b"} |= "z")", "query blocked by policy"},
      {R"(blocked_queries: [{pattern: '.*', regex: true, types: [metric]}])", R"({a="b"})", ""},
      {R"(blocked_queries: [{pattern: '.*', regex: true, types: [metric]}])", R"(rate({a="b"}[1m]))",
       "query blocked by policy"},
      {R"(blocked_queries: [{types: [filter]}])", R"({a="b"} |= "x")", "query blocked by policy"},
      {R"(blocked_queries: [{types: [filter]}])", R"({a="b"} | json)", ""},
      {R"(blocked_queries: [{types: [limited]}])", R"({a="b"})", "query blocked by policy"},
      // The first whose text fits decides.
      {R"(blocked_queries: [{types: [filter]}, {types: [limited]}])", R"({a="b"})", ""},
      {R"(blocked_queries: [{hash: 2243347236}])", R"({a="b"})", ""},
      {R"(blocked_queries: [{tags: {Source: grafana}}])", R"({a="b"})", "query blocked by policy", kHourNs,
       "user=x,source=Grafana"},
      {R"(blocked_queries: [{tags: {source: grafana}}])", R"({a="b"})", "", kHourNs, "source=logcli"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(refusal(row.limits, row.query, row.length, row.tags), row.message) << row.limits << " " << row.query;
  }
  EXPECT_EQ(refusal("max_query_length: 1m", R"(rate({a="b"}[1h]))", 0, "", true), "") << "an instant has no length";
}

TEST(QueryLimits, TheHashIsFnv1) {
  // Known answer of FNV-1 in 32 bits: "foobar" is 0x31f0b262 (draft-eastlake-fnv).
  LogLimits limits;
  limits.blocked_queries.push_back({.hash = 0x31f0b262});
  const auto expr = logql::parse(R"({a="b"})");
  EXPECT_EQ(check_query({*expr, "foobar", ""}, {.instant = true}, limits).error().message, "query blocked by policy");
  EXPECT_TRUE(check_query({*expr, "foobaz", ""}, {.instant = true}, limits));
}

TEST(QueryLimits, TheLookbackMovesTheStart) {
  LogLimits limits;
  limits.max_query_lookback = std::chrono::hours(24);
  TimestampNs start = kNow - 48 * kHourNs;
  EXPECT_TRUE(clamp_to_lookback(start, kNow, limits, kNow));
  EXPECT_EQ(start, kNow - 24 * kHourNs);
  start = kNow - kHourNs;
  EXPECT_TRUE(clamp_to_lookback(start, kNow, limits, kNow));
  EXPECT_EQ(start, kNow - kHourNs);
  start = kNow - 48 * kHourNs;
  EXPECT_FALSE(clamp_to_lookback(start, kNow - 25 * kHourNs, limits, kNow));
  Bounds bounds{.start = kNow - 48 * kHourNs, .end = kNow - 25 * kHourNs};
  EXPECT_EQ(clamp_bounds(bounds, limits, kNow).error().message,
            "this data is no longer available, it is past now - max_query_lookback (1d)");
  limits.max_query_lookback = {};
  EXPECT_TRUE(clamp_bounds(bounds, limits, kNow));
}

TEST(QueryLimits, OfSeveralTenantsTheSmallestHold) {
  auto of = [](const std::string& yaml) {
    auto limits = parse_log_limits(yaml, "limits", LogLimits());
    EXPECT_TRUE(limits) << limits.error().message;
    return std::make_shared<const LogLimits>(limits.value_or(LogLimits()));
  };
  const auto all = smallest_limits({of("{max_query_length: 0s, max_entries_limit_per_query: 50, query_timeout: 2m, "
                                       "required_labels: [a], volume_enabled: true}"),
                                    of("{max_query_length: 24h, max_entries_limit_per_query: 70, query_timeout: 1m, "
                                       "required_labels: [b, a], volume_enabled: false, max_query_bytes_read: 1KB}")});
  EXPECT_EQ(all->max_query_length, std::chrono::hours(24)) << "0 is no limit, not the smallest";
  EXPECT_EQ(all->max_entries_limit_per_query, 50);
  EXPECT_EQ(all->query_timeout, std::chrono::minutes(1));
  EXPECT_EQ(all->required_labels, (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(all->volume_enabled);
  EXPECT_GT(all->max_query_bytes_read, 0u);
}

TEST(QueryLimits, LokisConfigurationIsTakenAsItIs) {
  const auto limits = parse_log_limits(
      "{split_queries_by_interval: 15m, max_query_parallelism: 32, ingestion_rate_strategy: global, "
      "max_cache_freshness_per_query: 10m, max_query_series: 7}",
      "limits", LogLimits());
  ASSERT_TRUE(limits) << limits.error().message;
  EXPECT_EQ(limits->max_query_series, 7);
  for (const char* bad : {"max_query_serie: 7", "required_labels: {a: b}", "blocked_queries: 7",
                          "blocked_queries: [{pattern: '(', regex: true}]", "blocked_queries: [{types: [wrong]}]",
                          "blocked_queries: [{hash: -1}]", "max_query_range: soon"}) {
    const auto broken = parse_log_limits(bad, "limits", LogLimits());
    ASSERT_FALSE(broken) << bad;
    EXPECT_NE(broken.error().message.find("limits:1:"), std::string::npos) << broken.error().message;
  }
}

}  // namespace
}  // namespace tocayo::logs::api
