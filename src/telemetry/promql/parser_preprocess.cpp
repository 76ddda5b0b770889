// SPDX-License-Identifier: Apache-2.0
#include "promql/parser_preprocess.h"

#include <algorithm>
#include <array>

#include "promql/duration_expr.h"
#include "promql/function_signatures.h"

namespace tocayo::promql {
namespace {

struct QueryTimes {
  TimestampMs start;
  TimestampMs end;
  Duration step;
};

// Buckets are not needed below histogram_count(), _sum() and _avg(), unless something between needs the whole histogram
// (a subquery, for reset detection; quantiles and fractions; trimming).
void mark_statistics_only(Expr& root) {
  walk(root, [](Expr& node, const std::vector<Expr*>& path) {
    auto* selector = node.as<VectorSelector>();
    if (!selector) return;
    for (auto it = path.rbegin(); it != path.rend(); ++it) {
      bool needs_buckets = (*it)->kind == Kind::subquery;
      if (const auto* call = (*it)->as<Call>()) {
        std::string_view name = call->function->name;
        if (name == "histogram_count" || name == "histogram_sum" || name == "histogram_avg")
          selector->skip_histogram_buckets = true;
        needs_buckets = name == "histogram_quantile" || name == "histogram_quantiles" || name == "histogram_fraction";
      } else if (const auto* binary = (*it)->as<BinaryExpr>()) {
        needs_buckets = binary->op == BinaryOp::trim_upper || binary->op == BinaryOp::trim_lower;
      }
      if (needs_buckets) {
        selector->skip_histogram_buckets = false;
        return;
      }
    }
  });
}

ExprPtr number(double value, PositionRange position) {
  auto literal = std::make_unique<NumberLiteral>();
  literal->value = value;
  literal->position = position;
  return literal;
}

// start(), end(), range() and step() are constants of a query; as numbers they do not hide that what is around is
// step-invariant.
void fold_query_functions(ExprPtr& expr, const QueryTimes& times) {
  auto seconds = [](std::int64_t ms) { return static_cast<double>(ms) / 1000; };
  if (auto* call = expr->as<Call>()) {
    std::string_view name = call->function->name;
    PositionRange position = call->position;
    if (name == "start")
      expr = number(seconds(times.start), position);
    else if (name == "end")
      expr = number(seconds(times.end), position);
    else if (name == "range")
      expr = number(seconds(times.end - times.start), position);
    else if (name == "step")
      expr = number(times.start == times.end ? 0 : seconds(times.step.count()), position);
    else
      for (ExprPtr& arg : call->args) fold_query_functions(arg, times);
  } else if (auto* binary = expr->as<BinaryExpr>()) {
    fold_query_functions(binary->lhs, times);
    fold_query_functions(binary->rhs, times);
  } else if (auto* aggregate = expr->as<AggregateExpr>()) {
    fold_query_functions(aggregate->expr, times);
    if (aggregate->param) fold_query_functions(aggregate->param, times);
  } else if (auto* unary = expr->as<UnaryExpr>()) {
    fold_query_functions(unary->expr, times);
  } else if (auto* paren = expr->as<ParenExpr>()) {
    fold_query_functions(paren->expr, times);
  } else if (auto* subquery = expr->as<SubqueryExpr>()) {
    fold_query_functions(subquery->expr, times);
  }
}

void remove_parens(ExprPtr& expr) {
  while (expr) {
    auto* paren = expr->as<ParenExpr>();
    if (!paren) return;
    expr = ExprPtr(std::move(paren->expr));
  }
}

void wrap(ExprPtr& expr) {
  auto wrapper = std::make_unique<StepInvariantExpr>();
  wrapper->expr = std::move(expr);
  expr = std::move(wrapper);
}

struct Invariance {
  bool invariant = false;
  bool wrap = false;  // and worth a wrapper when the parent is not invariant itself
};

void fix_at(AtModifier at, std::optional<TimestampMs>& timestamp, const QueryTimes& times) {
  if (at == AtModifier::start) timestamp = times.start;
  if (at == AtModifier::end) timestamp = times.end;
}

Invariance hoist(Expr& expr, const QueryTimes& times);

Invariance hoist_call(Call& call, const QueryTimes& times) {
  bool invariant = !is_at_modifier_unsafe(call.function->name);
  // The time of a sample that `@` fixed is fixed as well.
  bool fixed_timestamp = call.function->name == "timestamp";
  std::vector<bool> wraps;
  for (ExprPtr& arg : call.args) {
    remove_parens(arg);
    Invariance of_arg = hoist(*arg, times);
    wraps.push_back(of_arg.wrap);
    invariant = invariant && of_arg.invariant;
    if (!of_arg.invariant || arg->kind != Kind::vector_selector) fixed_timestamp = false;
  }
  if (invariant || fixed_timestamp) return {true, true};
  for (std::size_t i = 0; i < wraps.size(); ++i) {
    if (wraps[i]) wrap(call.args[i]);
  }
  return {};
}

Invariance hoist_binary(BinaryExpr& binary, const QueryTimes& times) {
  Invariance left = hoist(*binary.lhs, times);
  Invariance right = hoist(*binary.rhs, times);
  if (left.invariant && right.invariant) return {true, true};
  if (left.wrap) wrap(binary.lhs);
  if (right.wrap) wrap(binary.rhs);
  return {};
}

Invariance hoist(Expr& expr, const QueryTimes& times) {
  switch (expr.kind) {
    case Kind::vector_selector: {
      auto& selector = static_cast<VectorSelector&>(expr);
      fix_at(selector.at, selector.timestamp, times);
      return {selector.timestamp.has_value(), selector.timestamp.has_value()};
    }
    case Kind::matrix_selector: return {hoist(*static_cast<MatrixSelector&>(expr).selector, times).invariant, false};
    case Kind::subquery: {
      // The inside is wrapped even when the subquery itself is fixed: it is then evaluated once for the subquery's
      // start.
      auto& subquery = static_cast<SubqueryExpr&>(expr);
      if (hoist(*subquery.expr, times).invariant) wrap(subquery.expr);
      fix_at(subquery.at, subquery.timestamp, times);
      return {subquery.timestamp.has_value(), false};
    }
    case Kind::aggregate: {
      auto& aggregate = static_cast<AggregateExpr&>(expr);
      remove_parens(aggregate.expr);
      remove_parens(aggregate.param);
      return hoist(*aggregate.expr, times);
    }
    case Kind::binary: return hoist_binary(static_cast<BinaryExpr&>(expr), times);
    case Kind::call: return hoist_call(static_cast<Call&>(expr), times);
    case Kind::paren: return hoist(*static_cast<ParenExpr&>(expr).expr, times);
    case Kind::unary: return hoist(*static_cast<UnaryExpr&>(expr).expr, times);
    case Kind::number:
    case Kind::string:
    case Kind::duration:
    case Kind::step_invariant: return {true, false};
  }
  return {};
}

}  // namespace

bool is_at_modifier_unsafe(std::string_view name) {
  static constexpr auto kUnsafe = std::to_array<std::string_view>(
      {"day_of_month", "day_of_week", "day_of_year", "days_in_month", "end", "hour", "minute", "month",
       "predict_linear", "range", "start", "step", "time", "timestamp", "year"});
  return std::ranges::binary_search(kUnsafe, name);
}

Result<ExprPtr> preprocess(ExprPtr expr, TimestampMs start, TimestampMs end, Duration step) {
  QueryTimes times{start, end, step};
  mark_statistics_only(*expr);
  fold_query_functions(expr, times);
  auto resolved = resolve_durations(*expr, {step, Duration(end - start)});
  if (!resolved) return std::unexpected(std::move(resolved.error()));
  if (hoist(*expr, times).wrap) wrap(expr);
  return expr;
}

void set_offsets_for_at(Expr& root, TimestampMs eval_time) {
  auto effective = [&](const std::optional<TimestampMs>& timestamp, Duration original, const std::vector<Expr*>& path) {
    if (!timestamp) return original;
    // What the enclosing subqueries shift already; an `@` on one of them starts anew.
    Duration shift{0};
    std::optional<TimestampMs> fixed;
    for (Expr* node : path) {
      const auto* subquery = node->as<SubqueryExpr>();
      if (!subquery) continue;
      shift += subquery->original_offset;
      if (subquery->timestamp) {
        shift = subquery->original_offset;
        fixed = subquery->timestamp;
      }
    }
    if (fixed) shift += Duration(eval_time - *fixed);
    return original + Duration(eval_time - *timestamp) - shift;
  };
  walk(root, [&](Expr& node, const std::vector<Expr*>& path) {
    if (auto* selector = node.as<VectorSelector>()) {
      selector->offset = effective(selector->timestamp, selector->original_offset, path);
    } else if (auto* subquery = node.as<SubqueryExpr>()) {
      subquery->offset = effective(subquery->timestamp, subquery->original_offset, path);
    }
  });
}

}  // namespace tocayo::promql
