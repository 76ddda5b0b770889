// SPDX-License-Identifier: Apache-2.0
// Log queries: the first lines in the order of the query.
#pragma once

#include "core/error.h"
#include "logql/engine/engine.h"
#include "logql/engine/run.h"
#include "logql/syntax/ast.h"

namespace tocayo::logql::detail {

// At most params.limit lines, which must be positive.
Result<LogValue> evaluate_log(Run& run, const LogExpr& log, const QueryParams& params);

}  // namespace tocayo::logql::detail
