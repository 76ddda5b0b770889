// SPDX-License-Identifier: Apache-2.0
// Duration expressions: computing them, and the two facts of a query they may ask for.
#pragma once

#include "core/error.h"
#include "promql/ast.h"

namespace tocayo::promql {

struct DurationContext {
  Duration step{0};   // value of step(): the query's step, 0 for an instant query
  Duration range{0};  // value of range(): end - start
};

// Computes every duration expression under `expr` and stores the result in range, step and original_offset of its
// selector. Ranges and steps must be > 0. Error: bad_input "start:end: …" with byte positions, as Prometheus writes it.
Result<> resolve_durations(Expr& expr, const DurationContext& context);
// One expression (a DurationExpr or NumberLiteral).
Result<Duration> compute_duration(const Expr& expr, const DurationContext& context, bool negative_allowed);

}  // namespace tocayo::promql
