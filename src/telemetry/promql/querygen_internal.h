// SPDX-License-Identifier: Apache-2.0
// The generator's parts: random trees (querygen.cpp) and the templates that come first (querygen_templates.cpp).
#pragma once

#include <array>
#include <initializer_list>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

#include "promql/function_signatures.h"
#include "promql/querygen.h"

namespace tocayo::promql::detail {

// splitmix64: the same numbers everywhere, which <random>'s distributions do not promise.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(next() % bound); }
  bool one_in(std::size_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

using MetricType = QuerygenData::Metric::Type;

// Which functions a run may use: signature and why not.
bool function_allowed(const FunctionSignature& function, const QuerygenOptions& options);
std::vector<AggregateOp> allowed_aggregations(const QuerygenOptions& options);
std::vector<BinaryOp> allowed_operators(const QuerygenOptions& options);

class Generator {
 public:
  Generator(std::uint64_t seed, const QuerygenData& data, const QuerygenOptions& options)
      : random_(seed), data_(data), options_(options) {}

  Querygen run(std::size_t count);

 private:
  // Keeps the query if it is new and parses, and counts what it uses.
  void keep(const std::string& query);
  void templates();
  void function_templates();
  void range_templates();
  void aggregation_templates();
  void operator_templates();
  void edge_templates();

  // Random expressions of each type.
  std::string vector(int depth);
  std::string scalar(int depth);
  std::string matrix(int depth, std::string_view function);
  std::string subquery(int depth);
  std::string selector(MetricType wanted);
  std::string any_selector();
  std::string modifiers();
  std::string matchers();
  std::string call(const FunctionSignature& function, int depth);
  std::string string_argument(const FunctionSignature& function, std::size_t index);
  std::string aggregation(int depth);
  std::string grouping();
  std::string binary(int depth);
  std::string matching(BinaryOp op, bool& many);

  template <typename T>
  const T& pick(std::span<const T> list) {
    return list[random_.below(list.size())];
  }
  std::string_view one_of(std::initializer_list<std::string_view> list) {
    return *(list.begin() + random_.below(list.size()));
  }
  std::string_view duration() { return one_of({"15s", "1m", "2m30s", "5m", "15m", "1h"}); }
  std::string_view label() {
    return data_.labels.empty() ? "job" : std::string_view(data_.labels[random_.below(data_.labels.size())].first);
  }
  // A parenthesised operand, so that precedence is not left to chance; sometimes bare to test it.
  std::string operand(std::string text) { return random_.one_in(6) ? text : "(" + text + ")"; }
  std::string name(MetricType wanted);

  Random random_;
  const QuerygenData& data_;
  const QuerygenOptions& options_;
  std::unordered_set<std::string> seen_;
  Querygen result_;
};

}  // namespace tocayo::promql::detail
