// SPDX-License-Identifier: Apache-2.0
// What the aggregation operators share: grouping series by labels. Private to the room.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "promql/eval.h"

namespace tocayo::promql::eval {

// Numbers the groups of `by (names)` or `without (names)` in order of first appearance. No strings are built per
// series.
class Grouping {
 public:
  // `without` also ignores __name__, unless `keep_name`.
  Grouping(std::vector<std::string> names, bool without, bool keep_name = false);
  // Number of the group that a series with these labels belongs to. `lasting`: they outlive this object and need no
  // copy.
  std::size_t group_of(const Labels& labels, bool lasting);
  std::size_t size() const { return representatives_.size(); }
  // The labels of a group.
  Labels labels_of(std::size_t group) const;

 private:
  std::uint64_t hash(const Labels& labels) const;
  bool same_group(const Labels& a, const Labels& b) const;
  bool is_named(std::string_view name) const;

  std::vector<std::string> names_;  // sorted
  bool without_;
  std::unordered_multimap<std::uint64_t, std::size_t> groups_;
  std::vector<const Labels*> representatives_;  // labels of a series of each group, or only those that matter
  std::deque<Labels> copies_;
};

// The operators' parameter at every step.
struct Parameter {
  std::vector<double> values;
  double min = 0, max = 0;  // NaN when any is
  bool any_nan = false;
  PositionRange position;
};

// aggregate_fold.cpp: sum avg min max count group stddev stdvar
Outcome<> stream_fold(Evaluator& evaluator, const AggregateExpr& expr, const Grid& grid, const Sink& sink);
// aggregate_select.cpp: topk bottomk limitk limit_ratio
Outcome<> stream_select(Evaluator& evaluator, const AggregateExpr& expr, const Parameter& parameter, const Grid& grid,
                        const Sink& sink);
// aggregate_values.cpp: quantile count_values
Outcome<> stream_quantile(Evaluator& evaluator, const AggregateExpr& expr, const Parameter& parameter, const Grid& grid,
                          const Sink& sink);
Outcome<> stream_count_values(Evaluator& evaluator, const AggregateExpr& expr, const Grid& grid, const Sink& sink);

// In [0, 1), the same for equal labels everywhere: what limit_ratio() compares with its ratio.
double sampling_offset(const Labels& labels);
bool in_ratio(double ratio, double offset);

}  // namespace tocayo::promql::eval
