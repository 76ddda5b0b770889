// SPDX-License-Identifier: Apache-2.0
// Trees to text. Both forms parse back to an equal tree.
#pragma once

#include <span>
#include <string>

#include "core/labels.h"
#include "logql/syntax/ast.h"

namespace tocayo::logql {

// One line, in a normal form: two queries that differ only in layout print the same.
std::string to_string(const Expr& expr);
std::string to_string(const LogExpr& log);
std::string to_string(const Stage& stage);  // `| json`, `|= "x"`
std::string to_string(const LabelFilter& filter);
// `{a="b", c=~"d"}`.
std::string to_string(std::span<const Matcher> matchers);

// What format_query answers: one stage a line, two spaces a level; what has no stages and fits into 100 bytes stays on
// one line.
std::string format(const Expr& expr);

}  // namespace tocayo::logql
