// SPDX-License-Identifier: Apache-2.0
// Range aggregations: rows of the store to series over all steps.
#pragma once

#include <vector>

#include "core/error.h"
#include "logql/engine/column.h"
#include "logql/engine/grid.h"
#include "logql/engine/run.h"
#include "logql/syntax/ast.h"

namespace tocayo::logql::detail {

// Series sorted by labels. `pushed`: the grouping of the aggregation around this one, when it may be applied to the
// rows already (then the series carry only those labels, except that one with an error carries all).
// bad_input `pipeline error: …` when a row within a window has an error that the query did not ask for.
Result<std::vector<EvalSeries>> evaluate_range(Run& run, const RangeAggregation& aggregation, const Grouping* pushed,
                                               const Steps& steps);

// What absent_over_time calls the series that is not there.
Labels absent_labels(const std::vector<Matcher>& matchers);

}  // namespace tocayo::logql::detail
