// SPDX-License-Identifier: Apache-2.0
// Metric queries: every node of the tree works on whole series over all steps at once.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "core/error.h"
#include "logql/engine/column.h"
#include "logql/engine/grid.h"
#include "logql/engine/range_eval.h"
#include "logql/engine/run.h"
#include "logql/syntax/ast.h"

namespace tocayo::logql::detail {

struct MetricEval {
  Run& run;
  Steps steps;
  bool instant = false;

  // Of anything but a log query. Series without a value are left out. Sorted by labels, except that sort and sort_desc
  // order by the value of the first step and what is around them keeps that order.
  Result<std::vector<EvalSeries>> evaluate(const Expr& expr);
  // The same in parts, as evaluate_range().
  Result<> evaluate(const Expr& expr, const SeriesSink& sink);
};

// aggregate.cpp
std::vector<EvalSeries> aggregate(const VectorAggregation& aggregation, std::vector<EvalSeries> input,
                                  const Steps& steps);
// The same for series that come in parts, of which no two share labels: keeps of each part only what may matter.
class PartsAggregator {
 public:
  virtual ~PartsAggregator() = default;
  virtual void add(std::vector<EvalSeries> part) = 0;
  virtual std::size_t memory_bytes() const = 0;
  virtual std::vector<EvalSeries> finish() = 0;
};
std::unique_ptr<PartsAggregator> aggregate_parts(const VectorAggregation& aggregation, const Steps& steps);
// The labels by which an aggregation puts a series into a group, which are also the group's.
Labels group_labels(const Labels& labels, const Grouping& grouping);

// binary.cpp
std::vector<EvalSeries> combine_with_number(const Binary& binary, std::vector<EvalSeries> input, double number,
                                            bool number_is_left);
// bad_input when more than one series of a side match where only one may.
Result<std::vector<EvalSeries>> combine(const Binary& binary, std::vector<EvalSeries> left,
                                        std::vector<EvalSeries> right, const Steps& steps);

}  // namespace tocayo::logql::detail
