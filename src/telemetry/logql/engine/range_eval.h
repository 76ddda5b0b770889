// SPDX-License-Identifier: Apache-2.0
// Range aggregations: rows of the store to series over all steps.
#pragma once

#include <functional>
#include <vector>

#include "core/error.h"
#include "logql/engine/column.h"
#include "logql/engine/grid.h"
#include "logql/engine/run.h"
#include "logql/syntax/ast.h"

namespace tocayo::logql::detail {

// Takes series, sorted by labels.
using SeriesSink = std::function<Result<>(std::vector<EvalSeries>)>;

// The groups into which the aggregation around a range aggregation puts its series.
struct OuterGroups {
  const Grouping* grouping = nullptr;
  bool whole = false;  // set before series are handed over: no group is in more than one part
};

// Hands the series over: at once, or in several parts when they do not fit into memory together (or not at all, when
// there are none). No two parts have labels in common.
// `pushed`: the grouping of the aggregation around this one, when it may be applied to the rows already (then the
// series carry only those labels, except that one with an error carries all; a part has all of a group).
// `outer`: null with `pushed`, or when there is no aggregation around this one.
// bad_input `pipeline error: …` when a row within a window has an error that the query did not ask for.
Result<> evaluate_range(Run& run, const RangeAggregation& aggregation, const Grouping* pushed, const Steps& steps,
                        OuterGroups* outer, const SeriesSink& sink);

}  // namespace tocayo::logql::detail
