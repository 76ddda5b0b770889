// SPDX-License-Identifier: Apache-2.0
#include "promql/querygen.h"

#include <gtest/gtest.h>

#include <set>

#include "promql/parser.h"

namespace tocayo::promql {
namespace {

QuerygenData data() {
  using Type = QuerygenData::Metric::Type;
  return {{{"requests_total", Type::counter},
           {"temperature", Type::gauge},
           {"latency_bucket", Type::classic_bucket},
           {"size", Type::native_histogram}},
          {{"job", {"api", "db"}}, {"instance", {"a:1", "b:2"}}},
          1'000'000,
          5'000'000};
}

std::vector<std::string> uncovered(const Querygen& generated, const QuerygenOptions& options) {
  std::vector<std::string> missing;
  for (const std::string& feature : querygen_features(options)) {
    if (!generated.coverage.contains(feature)) missing.push_back(feature);
  }
  return missing;
}

TEST(PromqlQuerygen, CoversTheGrammarWithParsableQueries) {
  for (bool old : {true, false}) {
    QuerygenOptions options{.only_2_42 = old, .experimental = !old, .native_histograms = !old};
    Querygen generated = generate_queries(7, 2600, data(), options);
    EXPECT_EQ(generated.queries.size(), 2600u);
    EXPECT_EQ(std::set<std::string>(generated.queries.begin(), generated.queries.end()).size(),
              generated.queries.size());
    EXPECT_EQ(uncovered(generated, options), std::vector<std::string>{});
    ParserOptions parser = old ? ParserOptions{} : ParserOptions::all();
    for (const std::string& query : generated.queries) {
      auto expr = parse_expr(query, parser);
      ASSERT_TRUE(expr) << query << ": " << expr.error().message;
    }
  }
}

TEST(PromqlQuerygen, SameSeedSameQueries) {
  EXPECT_EQ(generate_queries(1, 1700, data()).queries, generate_queries(1, 1700, data()).queries);
  EXPECT_NE(generate_queries(1, 1700, data()).queries, generate_queries(2, 1700, data()).queries);
}

TEST(PromqlQuerygen, OldPrometheusGetsNothingNew) {
  Querygen generated =
      generate_queries(3, 1800, data(), {.only_2_42 = true, .experimental = true, .native_histograms = true});
  for (const auto& [feature, count] : generated.coverage) {
    for (std::string_view newer : {"mad_over_time", "limitk", "info", "fill", "anchored", "smoothed",
                                   "duration expression", "</", "first_over_time"}) {
      EXPECT_EQ(feature.find(newer), std::string::npos) << feature;
    }
  }
}

}  // namespace
}  // namespace tocayo::promql
