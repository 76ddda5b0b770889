// SPDX-License-Identifier: Apache-2.0
// Vector aggregations.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "logql/engine/merged_series.h"
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

// Whether every series is a group of its own and already has the group's labels, in their order.
bool are_groups(const std::vector<EvalSeries>& input, const Grouping& grouping) {
  if (grouping.without) return false;
  const auto named = [&](const Label& label) {
    return std::ranges::find(grouping.labels, label.name) != grouping.labels.end();
  };
  for (std::size_t i = 0; i < input.size(); ++i) {
    if (i > 0 && !(input[i - 1].labels < input[i].labels)) return false;
    if (!std::ranges::all_of(input[i].labels, named)) return false;
  }
  return true;
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

// Keeps the first part as it is: there is seldom another.
class PartsBase : public PartsAggregator {
 public:
  PartsBase(const VectorAggregation& aggregation, const Steps& steps) : aggregation_(aggregation), steps_(steps) {}

  void add(std::vector<EvalSeries> part) final {
    if (part.empty()) return;
    ++parts_;
    if (parts_ == 1) {
      first_ = std::move(part);
      return;
    }
    if (parts_ == 2) take(std::exchange(first_, {}));
    take(std::move(part));
  }
  std::size_t memory_bytes() const final { return held() + memory_of(first_); }
  std::vector<EvalSeries> finish() final {
    return parts_ < 2 ? aggregate(aggregation_, std::move(first_), steps_) : result();
  }

 protected:
  virtual void take(std::vector<EvalSeries> part) = 0;
  virtual std::size_t held() const = 0;
  virtual std::vector<EvalSeries> result() = 0;

  const VectorAggregation& aggregation_;
  const Steps steps_;

 private:
  std::vector<EvalSeries> first_;
  std::size_t parts_ = 0;
};

// sort, topk and the like give some of the series themselves: those of the parts that are left are asked again.
class KeptParts final : public PartsBase {
 public:
  using PartsBase::PartsBase;

 protected:
  void take(std::vector<EvalSeries> part) override {
    kept_.insert(kept_.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
    if (aggregation_.op != VectorOp::sort && aggregation_.op != VectorOp::sort_desc) {
      std::ranges::sort(kept_, {}, &EvalSeries::labels);  // decides among equal values
      kept_ = aggregate(aggregation_, std::move(kept_), steps_);
      std::erase_if(kept_, [](const EvalSeries& one) { return !one.column.any(); });
    }
    bytes_ = memory_of(kept_);
  }
  std::size_t held() const override { return bytes_; }
  std::vector<EvalSeries> result() override { return aggregate(aggregation_, std::move(kept_), steps_); }

 private:
  std::vector<EvalSeries> kept_;
  std::size_t bytes_ = 0;
};

// sum and the like: a state for each group and step.
template <typename State>
class FoldedParts final : public PartsBase {
 public:
  using PartsBase::PartsBase;

 protected:
  void take(std::vector<EvalSeries> part) override {
    const Grouping grouping = aggregation_.grouping.value_or(Grouping{});
    for (const EvalSeries& one : part) {
      const auto [at, added] = groups_.try_emplace(group_labels(one.labels, grouping));
      Folded& group = at->second;
      if (added) {
        group.states.resize(steps_.count);
        group.present.resize(steps_.count);
        bytes_ += memory_of(at->first) + steps_.count * (sizeof(State) + 1);
      }
      for (std::size_t step = 0; step < steps_.count; ++step) {
        if (!one.column.has(step)) continue;
        group.states[step].add({.value = one.column.value(step)});
        group.present[step] = 1;
      }
    }
  }
  std::size_t held() const override { return bytes_; }
  std::vector<EvalSeries> result() override {
    std::vector<EvalSeries> out;
    for (auto& [labels, group] : groups_) {
      Column column(steps_.count);
      for (std::size_t step = 0; step < steps_.count; ++step) {
        if (group.present[step] != 0) column.set(step, group.states[step].result());
      }
      out.push_back({labels, std::move(column), false});
      group = {};
    }
    return out;
  }

 private:
  struct Folded {
    std::vector<State> states;
    std::vector<std::uint8_t> present;
  };
  std::map<Labels, Folded> groups_;
  std::size_t bytes_ = 0;
};

}  // namespace

std::unique_ptr<PartsAggregator> aggregate_parts(const VectorAggregation& aggregation, const Steps& steps) {
  switch (aggregation.op) {
    case VectorOp::sort:
    case VectorOp::sort_desc:
    case VectorOp::topk:
    case VectorOp::bottomk:
    case VectorOp::approx_topk: return std::make_unique<KeptParts>(aggregation, steps);
    case VectorOp::sum: return std::make_unique<FoldedParts<SumState>>(aggregation, steps);
    case VectorOp::avg: return std::make_unique<FoldedParts<AverageState>>(aggregation, steps);
    case VectorOp::count: return std::make_unique<FoldedParts<CountState>>(aggregation, steps);
    case VectorOp::max: return std::make_unique<FoldedParts<MaxState>>(aggregation, steps);
    case VectorOp::min: return std::make_unique<FoldedParts<MinState>>(aggregation, steps);
    case VectorOp::stdvar: return std::make_unique<FoldedParts<VarianceState>>(aggregation, steps);
    case VectorOp::stddev: return std::make_unique<FoldedParts<DeviationState>>(aggregation, steps);
  }
  return nullptr;
}

Labels group_labels(const Labels& labels, const Grouping& grouping) {
  if (!grouping.without) return labels.keep(grouping.labels);
  if (grouping.labels.empty() && !labels.has(kMetricName)) return labels;
  std::vector<std::string> dropped = grouping.labels;
  dropped.emplace_back(kMetricName);
  return labels.drop(dropped);
}

std::vector<EvalSeries> aggregate(const VectorAggregation& aggregation, std::vector<EvalSeries> input,
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
      std::vector<Group> groups;
      if (aggregation.grouping) {
        groups = make_groups(input, *aggregation.grouping);
      } else {
        groups.resize(1);
        groups[0].members.resize(input.size());
        std::iota(groups[0].members.begin(), groups[0].members.end(), 0U);
      }
      keep_first(input, groups, static_cast<std::size_t>(aggregation.parameter), aggregation.op != VectorOp::bottomk,
                 steps);
      return input;
    }
    case VectorOp::sum:
    case VectorOp::min:
    case VectorOp::max:
      // As the rows were grouped when they were read.
      if (aggregation.grouping && are_groups(input, *aggregation.grouping)) {
        for (EvalSeries& one : input) one.error = false;
        return input;
      }
      break;
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
