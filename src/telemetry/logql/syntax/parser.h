// SPDX-License-Identifier: Apache-2.0
// LogQL text to a valid tree. Errors are bad_input with Loki's wording: "parse error at line 1, col 7: syntax error:
// unexpected $end, expecting } or ,". Never recurses deeper than kMaxDepth.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/labels.h"
#include "logql/syntax/ast.h"

namespace tocayo::logql {

inline constexpr std::size_t kMaxInput = 128 * 1024;  // bytes
inline constexpr std::size_t kMaxDepth = 1'000;

// A whole query, log or metric.
Result<Expr> parse(std::string_view query);
// A log query; bad_input when it is a metric query.
Result<LogExpr> parse_log(std::string_view query);
// A bare selector `{a="b"}`, as in match[]; with `allow_empty` also one that may match every stream.
Result<std::vector<Matcher>> parse_matchers(std::string_view selector, bool allow_empty = false);

}  // namespace tocayo::logql
