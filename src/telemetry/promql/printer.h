// SPDX-License-Identifier: Apache-2.0
// Tree back to text. parse(print(e)) yields an equal tree.
#pragma once

#include <string>

#include "promql/ast.h"

namespace tocayo::promql {

// One line, exactly as Prometheus' String(). O(length).
std::string print(const Expr& expr);
// As /api/v1/format_query: nodes longer than 100 columns are broken over lines, two spaces per level (at most 100
// levels).
std::string pretty(const Expr& expr);
// Go's strconv.FormatFloat(value, 'f', -1, 64), with +Inf, -Inf, NaN.
std::string format_number(double value);
// Go's %g (and %v): shortest digits, exponent form below 1e-4 and from 1e6 on ("1e+06").
std::string format_general(double value);

}  // namespace tocayo::promql
