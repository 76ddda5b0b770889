// SPDX-License-Identifier: Apache-2.0
// Random well-typed PromQL from a seed: what differential runs against another Prometheus feed on.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tocayo::promql {

// What the generated queries may talk about.
struct QuerygenData {
  struct Metric {
    std::string name;
    enum class Type : unsigned char { counter, gauge, classic_bucket, native_histogram } type = Type::gauge;
  };
  std::vector<Metric> metrics;
  std::vector<std::pair<std::string, std::vector<std::string>>> labels;  // name and its values
  std::int64_t start = 0, end = 0;                                       // of the data, ms: `@` picks from it
};

struct QuerygenOptions {
  // Only what Prometheus 2.42 knows, and nothing whose meaning has changed since (UTF-8 names, durations as numbers,
  // …).
  bool only_2_42 = false;
  bool experimental = false;  // functions, aggregations, duration expressions, modifiers behind flags
  bool native_histograms = false;
  int max_depth = 4;  // of operators and calls
};

struct Querygen {
  // Counts per feature of the grammar: "function rate", "aggregation sum by", "operator + on group_left", "selector @",
  // ….
  std::map<std::string, std::int64_t> coverage;
  std::vector<std::string> queries;  // distinct
};

// `count` distinct queries (fewer only when the grammar runs dry). The same seed, data and options give the same
// queries on every machine. The first ones are templates that cover each function, aggregation and operator at least
// once (edge values included); then random trees follow. Every query parses with ParserOptions::all().
Querygen generate_queries(std::uint64_t seed, std::size_t count, const QuerygenData& data,
                          const QuerygenOptions& options = {});
// Every feature the options allow, whether or not it occurred: to print what a run has not covered.
std::vector<std::string> querygen_features(const QuerygenOptions& options);

}  // namespace tocayo::promql
