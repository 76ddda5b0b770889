// SPDX-License-Identifier: Apache-2.0
// Vector aggregations.
#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "logql/engine/metric_eval.h"
#include "logql/engine/states.h"

namespace tocayo::logql::detail {

namespace {

struct Group {
  Labels labels;
  std::vector<std::size_t> members;  // indices into the input, ascending
};

// In the order of their labels.
std::vector<Group> make_groups(const std::vector<EvalSeries>& input, const Grouping& grouping) {
  std::unordered_map<Labels, std::size_t, LabelsHash> index;
  std::vector<Group> groups;
  for (std::size_t i = 0; i < input.size(); ++i) {
    Labels labels = group_labels(input[i].labels, grouping);
    const auto [at, added] = index.try_emplace(labels, groups.size());
    if (added) groups.push_back({std::move(labels), {}});
    groups[at->second].members.push_back(i);
  }
  std::ranges::sort(groups, {}, &Group::labels);
  return groups;
}

// Smaller first, NaN last whatever the order.
struct ByValue {
  bool descending;
  bool operator()(double a, double b) const {
    if (std::isnan(a) || std::isnan(b)) return !std::isnan(a) && std::isnan(b);
    return descending ? a > b : a < b;
  }
};

template <typename State>
Column fold_with(const Group& group, const std::vector<EvalSeries>& input, const Steps& steps) {
  Column column(steps.count);
  for (std::size_t step = 0; step < steps.count; ++step) {
    State state{};
    bool any = false;
    for (std::size_t member : group.members) {
      if (!input[member].column.has(step)) continue;
      any = true;
      state.add({.value = input[member].column.value(step)});
    }
    if (any) column.set(step, state.result());
  }
  return column;
}

Column fold(VectorOp op, const Group& group, const std::vector<EvalSeries>& input, const Steps& steps) {
  switch (op) {
    case VectorOp::sum: return fold_with<SumState>(group, input, steps);
    case VectorOp::avg: return fold_with<AverageState>(group, input, steps);
    case VectorOp::count: return fold_with<CountState>(group, input, steps);
    case VectorOp::max: return fold_with<MaxState>(group, input, steps);
    case VectorOp::min: return fold_with<MinState>(group, input, steps);
    case VectorOp::stdvar: return fold_with<VarianceState>(group, input, steps);
    default: return fold_with<DeviationState>(group, input, steps);
  }
}

// Clears in each step all but the k first of each group. Of equal values the series that sorts first stays.
void keep_first(std::vector<EvalSeries>& input, const std::vector<Group>& groups, std::size_t k, bool descending,
                const Steps& steps) {
  std::vector<std::size_t> present;
  for (const Group& group : groups) {
    for (std::size_t step = 0; step < steps.count; ++step) {
      present.clear();
      for (std::size_t member : group.members) {
        if (input[member].column.has(step)) present.push_back(member);
      }
      if (present.size() <= k) continue;
      std::ranges::nth_element(present, present.begin() + static_cast<std::ptrdiff_t>(k),
                               [&](std::size_t a, std::size_t b) {
                                 const double x = input[a].column.value(step);
                                 const double y = input[b].column.value(step);
                                 const ByValue before{descending};
                                 return before(x, y) || (!before(y, x) && a < b);
                               });
      for (std::size_t i = k; i < present.size(); ++i) input[present[i]].column.clear(step);
    }
  }
}

}  // namespace

Labels group_labels(const Labels& labels, const Grouping& grouping) {
  if (!grouping.without) return labels.keep(grouping.labels);
  if (grouping.labels.empty() && !labels.has(kMetricName)) return labels;
  std::vector<std::string> dropped = grouping.labels;
  dropped.emplace_back(kMetricName);
  return labels.drop(dropped);
}

Result<std::vector<EvalSeries>> aggregate(const VectorAggregation& aggregation, std::vector<EvalSeries> input,
                                          const Steps& steps) {
  switch (aggregation.op) {
    case VectorOp::sort:
    case VectorOp::sort_desc: {
      const ByValue before{aggregation.op == VectorOp::sort_desc};
      std::ranges::sort(input, [&](const EvalSeries& a, const EvalSeries& b) {
        const double x = a.column.value(0);
        const double y = b.column.value(0);
        return before(x, y) || (!before(y, x) && a.labels < b.labels);
      });
      return input;
    }
    case VectorOp::topk:
    case VectorOp::approx_topk:
    case VectorOp::bottomk: {
      const auto groups = make_groups(input, aggregation.grouping.value_or(Grouping{}));
      keep_first(input, groups, static_cast<std::size_t>(aggregation.parameter), aggregation.op != VectorOp::bottomk,
                 steps);
      return input;
    }
    default: break;
  }
  std::vector<EvalSeries> out;
  for (Group& group : make_groups(input, aggregation.grouping.value_or(Grouping{}))) {
    Column column = fold(aggregation.op, group, input, steps);
    out.push_back({std::move(group.labels), std::move(column), false});
  }
  return out;
}

}  // namespace tocayo::logql::detail
