// SPDX-License-Identifier: Apache-2.0
#include "promql/ast.h"

#include <fmt/format.h>

#include <algorithm>

#include "promql/function_signatures.h"

namespace tocayo::promql {

std::string position_text(std::string_view query, PositionRange range) {
  if (query.empty()) return "unknown position";
  if (range.start < 0 || static_cast<std::size_t>(range.start) > query.size()) return "invalid position";
  std::string_view before = query.substr(0, static_cast<std::size_t>(range.start));
  std::size_t last_break = before.rfind('\n');
  std::size_t column = last_break == std::string_view::npos ? before.size() + 1 : before.size() - last_break;
  return fmt::format("{}:{}", 1 + std::count(before.begin(), before.end(), '\n'), column);
}

std::string_view to_string(ValueType type) {
  static constexpr std::string_view kNames[] = {"none", "scalar", "vector", "matrix", "string"};
  return kNames[static_cast<int>(type)];
}

std::string_view documented_type(ValueType type) {
  if (type == ValueType::vector) return "instant vector";
  if (type == ValueType::matrix) return "range vector";
  return to_string(type);
}

std::string_view to_string(BinaryOp op) {
  static constexpr std::string_view kNames[] = {
      "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<=", "</", ">/", "and", "or", "unless"};
  return kNames[static_cast<int>(op)];
}

std::string_view to_string(AggregateOp op) {
  static constexpr std::string_view kNames[] = {"avg",    "bottomk",     "count", "count_values", "group",
                                                "limitk", "limit_ratio", "max",   "min",          "quantile",
                                                "stddev", "stdvar",      "sum",   "topk"};
  return kNames[static_cast<int>(op)];
}

bool takes_parameter(AggregateOp op) {
  switch (op) {
    case AggregateOp::topk:
    case AggregateOp::bottomk:
    case AggregateOp::count_values:
    case AggregateOp::quantile:
    case AggregateOp::limitk:
    case AggregateOp::limit_ratio: return true;
    default: return false;
  }
}

bool is_experimental(AggregateOp op) { return op == AggregateOp::limitk || op == AggregateOp::limit_ratio; }

std::string_view to_string(UnaryOp op) { return op == UnaryOp::add ? "+" : "-"; }

std::string_view to_string(DurationExpr::Op op) {
  static constexpr std::string_view kNames[] = {"+", "-", "*", "/", "%", "^", "step", "range", "min_of", "max_of"};
  return kNames[static_cast<int>(op)];
}

std::string_view to_string(Cardinality card) {
  static constexpr std::string_view kNames[] = {"one-to-one", "many-to-one", "one-to-many", "many-to-many"};
  return kNames[static_cast<int>(card)];
}

ValueType type_of(const Expr& expr) {
  switch (expr.kind) {
    case Kind::number:
    case Kind::duration: return ValueType::scalar;
    case Kind::string: return ValueType::string;
    case Kind::vector_selector:
    case Kind::aggregate: return ValueType::vector;
    case Kind::matrix_selector:
    case Kind::subquery: return ValueType::matrix;
    case Kind::call: return static_cast<const Call&>(expr).function->return_type;
    case Kind::binary: {
      const auto& binary = static_cast<const BinaryExpr&>(expr);
      bool scalar = type_of(*binary.lhs) == ValueType::scalar && type_of(*binary.rhs) == ValueType::scalar;
      return scalar ? ValueType::scalar : ValueType::vector;
    }
    case Kind::unary: return type_of(*static_cast<const UnaryExpr&>(expr).expr);
    case Kind::paren: return type_of(*static_cast<const ParenExpr&>(expr).expr);
    case Kind::step_invariant: return type_of(*static_cast<const StepInvariantExpr&>(expr).expr);
  }
  return ValueType::none;
}

namespace {
PositionRange position_of_duration(const DurationExpr& expr) {
  if (!expr.lhs && !expr.rhs) return expr.position;
  if (!expr.rhs) return {expr.position.start, position_of(*expr.lhs).end};
  if (!expr.lhs) return {expr.position.start, position_of(*expr.rhs).end};
  return {position_of(*expr.lhs).start, position_of(*expr.rhs).end};
}
}  // namespace

PositionRange position_of(const Expr& expr) {
  switch (expr.kind) {
    case Kind::number: return static_cast<const NumberLiteral&>(expr).position;
    case Kind::string: return static_cast<const StringLiteral&>(expr).position;
    case Kind::vector_selector: return static_cast<const VectorSelector&>(expr).position;
    case Kind::aggregate: return static_cast<const AggregateExpr&>(expr).position;
    case Kind::call: return static_cast<const Call&>(expr).position;
    case Kind::paren: return static_cast<const ParenExpr&>(expr).position;
    case Kind::duration: return position_of_duration(static_cast<const DurationExpr&>(expr));
    case Kind::step_invariant: return position_of(*static_cast<const StepInvariantExpr&>(expr).expr);
    case Kind::matrix_selector: {
      const auto& matrix = static_cast<const MatrixSelector&>(expr);
      return {matrix.selector->position.start, matrix.end_position};
    }
    case Kind::subquery: {
      const auto& subquery = static_cast<const SubqueryExpr&>(expr);
      return {position_of(*subquery.expr).start, subquery.end_position};
    }
    case Kind::unary: {
      const auto& unary = static_cast<const UnaryExpr&>(expr);
      return {unary.start_position, position_of(*unary.expr).end};
    }
    case Kind::binary: {
      const auto& binary = static_cast<const BinaryExpr&>(expr);
      return {position_of(*binary.lhs).start, position_of(*binary.rhs).end};
    }
  }
  return {-1, -1};
}

const Expr& unwrap(const Expr& expr) {
  const Expr* at = &expr;
  for (;;) {
    if (const auto* paren = at->as<ParenExpr>())
      at = paren->expr.get();
    else if (const auto* invariant = at->as<StepInvariantExpr>())
      at = invariant->expr.get();
    else
      return *at;
  }
}

Expr& unwrap(Expr& expr) { return const_cast<Expr&>(unwrap(static_cast<const Expr&>(expr))); }

namespace {

template <typename E, typename F>
void each_child(E& expr, F&& visit) {
  auto down = [&]<typename T>(T*) -> auto& {
    return static_cast<std::conditional_t<std::is_const_v<E>, const T, T>&>(expr);
  };
  switch (expr.kind) {
    case Kind::number:
    case Kind::string:
    case Kind::vector_selector:
    case Kind::duration: return;
    case Kind::matrix_selector: visit(down(static_cast<MatrixSelector*>(nullptr)).selector.get()); return;
    case Kind::subquery: visit(down(static_cast<SubqueryExpr*>(nullptr)).expr.get()); return;
    case Kind::call:
      for (auto& arg : down(static_cast<Call*>(nullptr)).args) visit(arg.get());
      return;
    case Kind::aggregate: {
      auto& aggregate = down(static_cast<AggregateExpr*>(nullptr));
      visit(aggregate.expr.get());
      if (aggregate.param) visit(aggregate.param.get());
      return;
    }
    case Kind::binary: {
      auto& binary = down(static_cast<BinaryExpr*>(nullptr));
      visit(binary.lhs.get());
      visit(binary.rhs.get());
      return;
    }
    case Kind::unary: visit(down(static_cast<UnaryExpr*>(nullptr)).expr.get()); return;
    case Kind::paren: visit(down(static_cast<ParenExpr*>(nullptr)).expr.get()); return;
    case Kind::step_invariant: visit(down(static_cast<StepInvariantExpr*>(nullptr)).expr.get()); return;
  }
}

}  // namespace

std::vector<Expr*> children(Expr& expr) {
  std::vector<Expr*> result;
  each_child(expr, [&](Expr* child) { result.push_back(child); });
  return result;
}

std::vector<const Expr*> children(const Expr& expr) {
  std::vector<const Expr*> result;
  each_child(expr, [&](const Expr* child) { result.push_back(child); });
  return result;
}

namespace {

std::unique_ptr<DurationExpr> clone_duration(const DurationExpr& from) {
  auto to = std::make_unique<DurationExpr>();
  to->op = from.op;
  if (from.lhs) to->lhs = clone(*from.lhs);
  if (from.rhs) to->rhs = clone(*from.rhs);
  to->wrapped = from.wrapped;
  to->position = from.position;
  return to;
}

std::unique_ptr<DurationExpr> clone_duration(const std::unique_ptr<DurationExpr>& from) {
  return from ? clone_duration(*from) : nullptr;
}

std::unique_ptr<VectorSelector> clone_selector(const VectorSelector& from) {
  auto to = std::make_unique<VectorSelector>();
  to->name = from.name;
  to->matchers = from.matchers;
  to->original_offset = from.original_offset;
  to->original_offset_expr = clone_duration(from.original_offset_expr);
  to->offset = from.offset;
  to->at = from.at;
  to->timestamp = from.timestamp;
  to->anchored = from.anchored;
  to->smoothed = from.smoothed;
  to->bypass_empty_matcher_check = from.bypass_empty_matcher_check;
  to->skip_histogram_buckets = from.skip_histogram_buckets;
  to->position = from.position;
  return to;
}

ExprPtr clone_subquery(const SubqueryExpr& from) {
  auto to = std::make_unique<SubqueryExpr>();
  to->expr = clone(*from.expr);
  to->range = from.range;
  to->range_expr = clone_duration(from.range_expr);
  to->step = from.step;
  to->step_expr = clone_duration(from.step_expr);
  to->original_offset = from.original_offset;
  to->original_offset_expr = clone_duration(from.original_offset_expr);
  to->offset = from.offset;
  to->at = from.at;
  to->timestamp = from.timestamp;
  to->end_position = from.end_position;
  return to;
}

ExprPtr clone_binary(const BinaryExpr& from) {
  auto to = std::make_unique<BinaryExpr>();
  to->op = from.op;
  to->lhs = clone(*from.lhs);
  to->rhs = clone(*from.rhs);
  to->return_bool = from.return_bool;
  to->matching = from.matching;
  return to;
}

ExprPtr clone_aggregate(const AggregateExpr& from) {
  auto to = std::make_unique<AggregateExpr>();
  to->op = from.op;
  to->expr = clone(*from.expr);
  if (from.param) to->param = clone(*from.param);
  to->grouping = from.grouping;
  to->without = from.without;
  to->position = from.position;
  return to;
}

ExprPtr clone_literal(const Expr& expr) {
  if (const auto* number = expr.as<NumberLiteral>()) {
    auto to = std::make_unique<NumberLiteral>();
    to->value = number->value;
    to->is_duration = number->is_duration;
    to->position = number->position;
    return to;
  }
  const auto& from = static_cast<const StringLiteral&>(expr);
  auto to = std::make_unique<StringLiteral>();
  to->value = from.value;
  to->position = from.position;
  return to;
}

ExprPtr clone_matrix(const MatrixSelector& from) {
  auto to = std::make_unique<MatrixSelector>();
  to->selector = clone_selector(*from.selector);
  to->range = from.range;
  to->range_expr = clone_duration(from.range_expr);
  to->end_position = from.end_position;
  return to;
}

ExprPtr clone_call(const Call& from) {
  auto to = std::make_unique<Call>();
  to->function = from.function;
  for (const ExprPtr& arg : from.args) to->args.push_back(clone(*arg));
  to->position = from.position;
  return to;
}

ExprPtr clone_wrapper(const Expr& expr) {
  if (const auto* unary = expr.as<UnaryExpr>()) {
    auto to = std::make_unique<UnaryExpr>();
    to->op = unary->op;
    to->expr = clone(*unary->expr);
    to->start_position = unary->start_position;
    return to;
  }
  if (const auto* paren = expr.as<ParenExpr>()) {
    auto to = std::make_unique<ParenExpr>();
    to->expr = clone(*paren->expr);
    to->position = paren->position;
    return to;
  }
  auto to = std::make_unique<StepInvariantExpr>();
  to->expr = clone(*static_cast<const StepInvariantExpr&>(expr).expr);
  return to;
}

}  // namespace

ExprPtr clone(const Expr& expr) {
  switch (expr.kind) {
    case Kind::number:
    case Kind::string: return clone_literal(expr);
    case Kind::vector_selector: return clone_selector(static_cast<const VectorSelector&>(expr));
    case Kind::matrix_selector: return clone_matrix(static_cast<const MatrixSelector&>(expr));
    case Kind::subquery: return clone_subquery(static_cast<const SubqueryExpr&>(expr));
    case Kind::call: return clone_call(static_cast<const Call&>(expr));
    case Kind::aggregate: return clone_aggregate(static_cast<const AggregateExpr&>(expr));
    case Kind::binary: return clone_binary(static_cast<const BinaryExpr&>(expr));
    case Kind::unary:
    case Kind::paren:
    case Kind::step_invariant: return clone_wrapper(expr);
    case Kind::duration: return clone_duration(static_cast<const DurationExpr&>(expr));
  }
  return nullptr;
}

}  // namespace tocayo::promql
