// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/metric_eval.h"

#include <re2/re2.h>

#include <algorithm>

#include "logql/engine/range_eval.h"

namespace tocayo::logql::detail {

namespace {

// Whether grouping the rows at once gives what grouping the range aggregation's series gives.
bool may_group_rows(VectorOp outer, const RangeAggregation& inner) {
  if (inner.grouping) return false;
  switch (inner.op) {
    case RangeOp::count_over_time:
    case RangeOp::rate:
    case RangeOp::bytes_over_time:
    case RangeOp::bytes_rate:
    case RangeOp::sum_over_time: return outer == VectorOp::sum;
    case RangeOp::min_over_time: return outer == VectorOp::min;
    case RangeOp::max_over_time: return outer == VectorOp::max;
    default: return false;
  }
}

void drop_empty(std::vector<EvalSeries>& series) {
  std::erase_if(series, [](const EvalSeries& one) { return !one.column.any(); });
}

std::vector<EvalSeries> constant(double value, const Steps& steps) {
  Column column(steps.count);
  for (std::size_t step = 0; step < steps.count; ++step) column.set(step, value);
  std::vector<EvalSeries> series;
  series.push_back({Labels{}, std::move(column), false});
  return series;
}

// Go's Regexp.Expand: $1, ${1}, $name, ${name}, $$; unknown groups are empty.
std::string expand(std::string_view pattern, const re2::RE2& regex, const std::vector<re2::StringPiece>& groups) {
  std::string out;
  const auto is_name = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '$') {
      out.push_back(pattern[i]);
      continue;
    }
    if (i + 1 < pattern.size() && pattern[i + 1] == '$') {
      out.push_back('$');
      ++i;
      continue;
    }
    const bool braced = i + 1 < pattern.size() && pattern[i + 1] == '{';
    const std::size_t start = i + (braced ? 2 : 1);
    std::size_t end = start;
    while (end < pattern.size() && is_name(pattern[end])) ++end;
    if (end == start || (braced && (end >= pattern.size() || pattern[end] != '}'))) {
      out.push_back('$');  // not a reference
      continue;
    }
    const std::string name(pattern.substr(start, end - start));
    std::size_t group = groups.size();
    if (std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; })) {
      if (name.size() < 6 && (name.size() == 1 || name[0] != '0')) group = std::stoul(name);
    } else if (const auto at = regex.NamedCapturingGroups().find(name); at != regex.NamedCapturingGroups().end()) {
      group = static_cast<std::size_t>(at->second);
    }
    if (group < groups.size()) out.append(groups[group].data(), groups[group].size());
    i = braced ? end : end - 1;
  }
  return out;
}

Result<std::vector<EvalSeries>> replace_labels(const LabelReplace& replace, std::vector<EvalSeries> series) {
  const re2::RE2 regex("^(?:" + replace.regex + ")$", re2::RE2::Quiet);
  if (!regex.ok()) return fail(ErrorKind::bad_input, "invalid regex in label_replace: " + regex.error());
  std::vector<re2::StringPiece> groups(static_cast<std::size_t>(regex.NumberOfCapturingGroups()) + 1);
  for (EvalSeries& one : series) {
    const std::string source(one.labels.get(replace.source));
    if (!regex.Match(source, 0, source.size(), re2::RE2::UNANCHORED, groups.data(), static_cast<int>(groups.size()))) {
      continue;
    }
    one.labels.set(replace.destination, expand(replace.replacement, regex, groups));
  }
  return series;
}

Result<std::vector<EvalSeries>> evaluate_absent(MetricEval& eval, const RangeAggregation& aggregation) {
  const auto present = TRY(evaluate_range(eval.run, aggregation, nullptr, eval.steps));
  Column column(eval.steps.count);
  for (std::size_t step = 0; step < eval.steps.count; ++step) {
    if (std::ranges::none_of(present, [&](const EvalSeries& one) { return one.column.has(step); })) {
      column.set(step, 1);
    }
  }
  std::vector<EvalSeries> series;
  if (column.any()) series.push_back({absent_labels(aggregation.range.log.matchers), std::move(column), false});
  return series;
}

struct Visitor {
  MetricEval& eval;
  using Series = Result<std::vector<EvalSeries>>;

  Series operator()(const LogExpr&) const { return fail(ErrorKind::internal, "a log query has no series"); }
  Series operator()(const Number& number) const { return constant(number.value, eval.steps); }
  Series operator()(const VectorNumber& number) const { return constant(number.value, eval.steps); }
  Series operator()(const RangeAggregation& aggregation) const {
    if (aggregation.op == RangeOp::absent_over_time) return evaluate_absent(eval, aggregation);
    return evaluate_range(eval.run, aggregation, nullptr, eval.steps);
  }
  Series operator()(const VectorAggregation& aggregation) const {
    if (aggregation.op == VectorOp::approx_topk && !eval.instant) {
      return fail(ErrorKind::bad_input, "approx_topk is only supported on instant queries");
    }
    const auto* range = std::get_if<RangeAggregation>(&aggregation.operand->node);
    const Grouping grouping = aggregation.grouping.value_or(Grouping{});
    const bool group_rows = range != nullptr && may_group_rows(aggregation.op, *range);
    auto input =
        group_rows ? evaluate_range(eval.run, *range, &grouping, eval.steps) : eval.evaluate(*aggregation.operand);
    if (!input) return input;
    return aggregate(aggregation, std::move(*input), eval.steps);
  }
  Series operator()(const LabelReplace& replace) const {
    return replace_labels(replace, TRY(eval.evaluate(*replace.operand)));
  }
  Series operator()(const Binary& binary) const {
    if (const auto* number = std::get_if<Number>(&binary.left->node)) {
      return combine_with_number(binary, TRY(eval.evaluate(*binary.right)), number->value, true);
    }
    if (const auto* number = std::get_if<Number>(&binary.right->node)) {
      return combine_with_number(binary, TRY(eval.evaluate(*binary.left)), number->value, false);
    }
    std::vector<EvalSeries> left = TRY(eval.evaluate(*binary.left));
    std::vector<EvalSeries> right = TRY(eval.evaluate(*binary.right));
    return combine(binary, std::move(left), std::move(right), eval.steps);
  }
};

}  // namespace

Result<std::vector<EvalSeries>> MetricEval::evaluate(const Expr& expr) {
  TRY(run.context().check());
  std::vector<EvalSeries> series = TRY(std::visit(Visitor{*this}, expr.node));
  drop_empty(series);
  return series;
}

}  // namespace tocayo::logql::detail
