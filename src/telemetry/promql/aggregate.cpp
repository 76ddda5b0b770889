// SPDX-License-Identifier: Apache-2.0
#include "promql/aggregate.h"

#include <algorithm>
#include <cmath>

#include "core/hash.h"

namespace tocayo::promql::eval {

namespace {

Outcome<Parameter> evaluate_parameter(Evaluator& evaluator, const Expr& expr, const Grid& grid) {
  Parameter parameter;
  parameter.position = position_of(expr);
  parameter.values = TRY_EVAL(evaluator.scalar(expr, grid));
  parameter.min = std::numeric_limits<double>::infinity();
  parameter.max = -parameter.min;
  for (double value : parameter.values) {
    parameter.any_nan = parameter.any_nan || std::isnan(value);
    parameter.min = std::min(parameter.min, value);
    parameter.max = std::max(parameter.max, value);
  }
  if (parameter.any_nan) parameter.min = parameter.max = std::numeric_limits<double>::quiet_NaN();
  return parameter;
}

}  // namespace

Grouping::Grouping(std::vector<std::string> names, bool without, bool keep_name)
    : names_(std::move(names)), without_(without) {
  if (without && !keep_name) names_.emplace_back(kMetricName);
  std::ranges::sort(names_);
  names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
}

bool Grouping::is_named(std::string_view name) const { return std::ranges::binary_search(names_, name); }

std::uint64_t Grouping::hash(const Labels& labels) const {
  std::uint64_t hash = 0;
  if (without_) {
    for (const Label& label : labels) {
      if (!is_named(label.name)) hash = hash64(label.value, hash64(label.name, hash));
    }
  } else {
    for (const std::string& name : names_) hash = hash64(labels.get(name), hash);
  }
  return hash;
}

bool Grouping::same_group(const Labels& a, const Labels& b) const {
  if (!without_) {
    return std::ranges::all_of(names_, [&](const std::string& name) { return a.get(name) == b.get(name); });
  }
  auto i = a.begin(), j = b.begin();
  while (true) {
    while (i != a.end() && is_named(i->name)) ++i;
    while (j != b.end() && is_named(j->name)) ++j;
    if (i == a.end() || j == b.end()) return i == a.end() && j == b.end();
    if (!(*i == *j)) return false;
    ++i;
    ++j;
  }
}

std::size_t Grouping::group_of(const Labels& labels, bool lasting) {
  const std::uint64_t key = hash(labels);
  auto [first, last] = groups_.equal_range(key);
  for (; first != last; ++first) {
    if (same_group(*representatives_[first->second], labels)) return first->second;
  }
  groups_.emplace(key, representatives_.size());
  representatives_.push_back(lasting ? &labels
                                     : &copies_.emplace_back(without_ ? labels.drop(names_) : labels.keep(names_)));
  return representatives_.size() - 1;
}

Labels Grouping::labels_of(std::size_t group) const {
  const Labels& labels = *representatives_[group];
  return without_ ? labels.drop(names_) : labels.keep(names_);
}

Outcome<> stream_aggregate(Evaluator& evaluator, const AggregateExpr& expr, const Grid& grid, const Sink& sink) {
  if (expr.op == AggregateOp::count_values) return stream_count_values(evaluator, expr, grid, sink);
  if (!takes_parameter(expr.op)) return stream_fold(evaluator, expr, grid, sink);
  const Parameter parameter = TRY_EVAL(evaluate_parameter(evaluator, *expr.param, grid));
  if (expr.op == AggregateOp::quantile) return stream_quantile(evaluator, expr, parameter, grid, sink);
  return stream_select(evaluator, expr, parameter, grid, sink);
}

}  // namespace tocayo::promql::eval
