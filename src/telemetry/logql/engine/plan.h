// SPDX-License-Identifier: Apache-2.0
// What of a log query the store decides, and what is left for the pipeline.
#pragma once

#include <optional>

#include "core/error.h"
#include "logql/engine/column_plan.h"
#include "logql/pipeline/pipeline.h"
#include "logql/syntax/ast.h"
#include "logs/querier.h"

namespace tocayo::logql::detail {

struct Plan {
  logs::Selection selection;  // without its range
  Pipeline pipeline;          // the stages that were not handed down
  // Every row that the store selects is kept as it is, and its labels do not matter (`by ()`): rows need not go through
  // a Processor at all.
  bool rows_only = false;
  // Metric queries: which parts of a row count, when they are few.
  std::optional<ColumnPlan> columns;
};

enum class Wants : unsigned char {
  line,    // the text after the pipeline
  length,  // how long it is
  labels,  // neither
};

// bad_input as Pipeline::compile.
Result<Plan> make_plan(const LogExpr& log, const PipelineOptions& options, Wants wants);

}  // namespace tocayo::logql::detail
