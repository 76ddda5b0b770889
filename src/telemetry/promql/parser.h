// SPDX-License-Identifier: Apache-2.0
// Text to tree. One pass lexer, precedence-climbing parser, type checks while reducing. Pure functions, thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/labels.h"
#include "promql/ast.h"

namespace tocayo::promql {

// Which experimental parts of the language are understood, and how much of it. Prometheus' feature flags in comments.
struct ParserOptions {
  bool experimental_functions = false;  // promql-experimental-functions
  bool duration_expressions = false;    // promql-duration-expr
  bool extended_ranges = false;         // promql-extended-range-selectors: anchored, smoothed
  bool fill_modifiers = false;          // promql-binop-fill-modifiers
  int max_depth = 1000;                 // of nesting and of the tree
  std::size_t max_bytes = 1 << 20;      // of the query text

  static ParserOptions all() { return {true, true, true, true}; }
};

struct ParseError {
  PositionRange position;
  std::string message;  // without position
  // "1:5: parse error: …" as Prometheus writes it.
  std::string to_string(std::string_view query) const;
};

// A whole expression, type-checked. Error kind bad_input, message as ParseError::to_string().
Result<ExprPtr> parse_expr(std::string_view query, const ParserOptions& options = {});
// The same with the place of the error apart; `error` is set exactly when null is returned.
ExprPtr parse_expr(std::string_view query, const ParserOptions& options, ParseError& error);
// `up{job="x"}` and nothing more: what match[] parameters take. Selectors that match everything are refused.
Result<std::vector<Matcher>> parse_metric_selector(std::string_view text, const ParserOptions& options = {});
// `up{job="x"}` as a label set (only `=`): what rule tests and the promqltest files take.
Result<Labels> parse_metric(std::string_view text);

}  // namespace tocayo::promql
