// SPDX-License-Identifier: Apache-2.0
// Binary operations: with a number, between vectors, and of sets.
#include <algorithm>
#include <unordered_map>

#include "logql/engine/metric_eval.h"
#include "logql/syntax/arithmetic.h"

namespace tocayo::logql::detail {

namespace {

using Cardinality = VectorMatching::Cardinality;

// What two series must have in common to match.
Labels signature(const Labels& labels, const VectorMatching& matching) {
  return matching.on ? labels.keep(matching.labels) : labels.drop(matching.labels);
}

using Groups = std::unordered_map<Labels, std::vector<std::size_t>, LabelsHash>;

Groups group(const std::vector<EvalSeries>& series, const VectorMatching& matching) {
  Groups groups;
  for (std::size_t i = 0; i < series.size(); ++i) groups[signature(series[i].labels, matching)].push_back(i);
  return groups;
}

bool any_present(const std::vector<std::size_t>& members, const std::vector<EvalSeries>& series, std::size_t step) {
  return std::ranges::any_of(members, [&](std::size_t i) { return series[i].column.has(step); });
}

// Result of an operator on two values; none when a comparison filters it out.
std::optional<double> apply(const Binary& binary, double a, double b, double kept) {
  const double value = apply_to_numbers(binary.op, a, b);
  if (!is_comparison(binary.op) || binary.return_bool) return value;
  return value != 0 ? std::optional(kept) : std::nullopt;
}

std::vector<EvalSeries> set_operation(const Binary& binary, std::vector<EvalSeries> left, std::vector<EvalSeries> right,
                                      const Steps& steps) {
  const bool is_or = binary.op == BinaryOp::logical_or;
  auto& filtered = is_or ? right : left;
  const auto& other = is_or ? left : right;
  const Groups groups = group(other, binary.matching);
  const bool keep_matched = binary.op == BinaryOp::logical_and;
  for (EvalSeries& one : filtered) {
    const auto matches = groups.find(signature(one.labels, binary.matching));
    for (std::size_t step = 0; step < steps.count; ++step) {
      const bool matched = matches != groups.end() && any_present(matches->second, other, step);
      if (matched != keep_matched) one.column.clear(step);
    }
  }
  if (!is_or) return left;
  // One series may come from both sides in turns.
  std::unordered_map<Labels, std::size_t, LabelsHash> index;
  for (std::size_t i = 0; i < left.size(); ++i) index.try_emplace(left[i].labels, i);
  for (EvalSeries& one : right) {
    const auto [at, added] = index.try_emplace(one.labels, left.size());
    if (added) {
      left.push_back(std::move(one));
      continue;
    }
    Column& column = left[at->second].column;
    for (std::size_t step = 0; step < steps.count; ++step) {
      if (one.column.has(step) && !column.has(step)) column.set(step, one.column.value(step));
    }
  }
  return left;
}

// Labels of the result: the many side's, reduced to what was matched on when it is one to one, with what group_left and
// group_right take over from the one side.
Labels result_labels(const Labels& many, const Labels& one, const VectorMatching& matching) {
  Labels labels = many;
  if (matching.cardinality == Cardinality::one_to_one) labels = signature(many, matching);
  for (const std::string& name : matching.include) labels.set(name, one.get(name));
  return labels;
}

class Join {
 public:
  Join(const Binary& binary, const std::vector<EvalSeries>& many, const std::vector<EvalSeries>& one,
       const Steps& steps)
      : binary_(binary), many_(many), one_(one), steps_(steps) {}

  Result<std::vector<EvalSeries>> run() {
    const Groups many = group(many_, binary_.matching);
    const Groups one = group(one_, binary_.matching);
    for (const auto& [key, members] : one) TRY(check_unique(members));
    // In the order of the many side, so that the result does not depend on the hash table.
    for (std::size_t i = 0; i < many_.size(); ++i) {
      const Labels key = signature(many_[i].labels, binary_.matching);
      const auto partners = one.find(key);
      if (partners == one.end()) continue;
      const auto& siblings = many.find(key)->second;
      if (binary_.matching.cardinality == Cardinality::one_to_one && siblings.front() == i) {
        TRY(check_one_to_one(siblings, partners->second));
      }
      for (std::size_t partner : partners->second) TRY(join(many_[i], one_[partner]));
    }
    return std::move(out_);
  }

 private:
  Result<> check_unique(const std::vector<std::size_t>& members) const {
    if (members.size() < 2) return {};
    for (std::size_t step = 0; step < steps_.count; ++step) {
      const auto present = std::ranges::count_if(members, [&](std::size_t i) { return one_[i].column.has(step); });
      if (present < 2) continue;
      const bool swapped = binary_.matching.cardinality == Cardinality::one_to_many;
      return fail(ErrorKind::bad_input, std::string("found duplicate series on the ") + (swapped ? "left" : "right") +
                                            " hand-side;many-to-many matching not allowed: matching labels must be "
                                            "unique on one side");
    }
    return {};
  }

  Result<> check_one_to_one(const std::vector<std::size_t>& siblings, const std::vector<std::size_t>& partners) const {
    if (siblings.size() < 2) return {};
    for (std::size_t step = 0; step < steps_.count; ++step) {
      const auto present = std::ranges::count_if(siblings, [&](std::size_t i) { return many_[i].column.has(step); });
      if (present >= 2 && any_present(partners, one_, step)) {
        return fail(ErrorKind::bad_input,
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)");
      }
    }
    return {};
  }

  Result<> join(const EvalSeries& many, const EvalSeries& one) {
    const bool swapped = binary_.matching.cardinality == Cardinality::one_to_many;
    const Column& left = swapped ? one.column : many.column;
    const Column& right = swapped ? many.column : one.column;
    Column column(steps_.count);
    Column met(steps_.count);  // also where a comparison filtered: two series must not meet there
    for (std::size_t step = 0; step < steps_.count; ++step) {
      if (!left.has(step) || !right.has(step)) continue;
      met.set(step, 0);
      const double a = left.value(step);
      if (const auto value = apply(binary_, a, right.value(step), a)) column.set(step, *value);
    }
    if (!met.any()) return {};
    Labels labels = result_labels(many.labels, one.labels, binary_.matching);
    const auto [at, added] = index_.try_emplace(labels, out_.size());
    if (added) {
      out_.push_back({std::move(labels), std::move(column), false});
      met_.push_back(std::move(met));
      return {};
    }
    Column& earlier = met_[at->second];
    for (std::size_t step = 0; step < steps_.count; ++step) {
      if (!met.has(step)) continue;
      // Different matches that come out under one name; of one to one matches these cannot be at one step.
      if (earlier.has(step) && binary_.matching.cardinality != Cardinality::one_to_one) {
        return fail(ErrorKind::bad_input, "multiple matches for labels: grouping labels must ensure unique matches");
      }
      earlier.set(step, 0);
      if (column.has(step)) out_[at->second].column.set(step, column.value(step));
    }
    return {};
  }

  const Binary& binary_;
  const std::vector<EvalSeries>& many_;
  const std::vector<EvalSeries>& one_;
  const Steps& steps_;
  std::unordered_map<Labels, std::size_t, LabelsHash> index_;
  std::vector<EvalSeries> out_;
  std::vector<Column> met_;
};

}  // namespace

std::vector<EvalSeries> combine_with_number(const Binary& binary, std::vector<EvalSeries> input, double number,
                                            bool number_is_left) {
  for (EvalSeries& one : input) {
    for (std::size_t step = 0; step < one.column.steps(); ++step) {
      if (!one.column.has(step)) continue;
      const double value = one.column.value(step);
      const auto result = number_is_left ? apply(binary, number, value, value) : apply(binary, value, number, value);
      if (result) {
        one.column.set(step, *result);
      } else {
        one.column.clear(step);
      }
    }
  }
  return input;
}

Result<std::vector<EvalSeries>> combine(const Binary& binary, std::vector<EvalSeries> left,
                                        std::vector<EvalSeries> right, const Steps& steps) {
  if (is_set_operation(binary.op)) return set_operation(binary, std::move(left), std::move(right), steps);
  const bool swapped = binary.matching.cardinality == Cardinality::one_to_many;
  return Join(binary, swapped ? right : left, swapped ? left : right, steps).run();
}

}  // namespace tocayo::logql::detail
