// SPDX-License-Identifier: Apache-2.0
// What happens to a parsed tree once the query's times are known and before the engine evaluates it.
#pragma once

#include "core/error.h"
#include "promql/ast.h"

namespace tocayo::promql {

// In this order: marks selectors whose histogram buckets are not needed; replaces start(), end(), range() and step() by
// numbers; computes duration expressions; sets `timestamp` for @ start() and @ end(); removes parentheses around
// arguments; wraps the highest step-invariant subtrees into StepInvariantExpr. For an instant query start == end and
// step == 0. bad_input when a duration expression comes out negative, zero or not finite.
Result<ExprPtr> preprocess(ExprPtr expr, TimestampMs start, TimestampMs end, Duration step);

// Sets VectorSelector::offset and SubqueryExpr::offset so that evaluation at `eval_time` (the query's start) minus the
// offset (and minus the offsets of enclosing subqueries) gives the time fixed by `@`; without `@` it is
// original_offset.
void set_offsets_for_at(Expr& expr, TimestampMs eval_time);

// Functions whose result depends on the evaluation time even if their arguments do not.
bool is_at_modifier_unsafe(std::string_view function_name);

}  // namespace tocayo::promql
