// SPDX-License-Identifier: Apache-2.0
// What stands inside `[…]` and behind `offset`: a number of seconds, a duration, or arithmetic on them.
#include <fmt/format.h>

#include <algorithm>

#include "promql/parser_internal.h"

namespace tocayo::promql::detail {
namespace {

using enum TokenType;

constexpr int kSum = 1;
constexpr int kProduct = 2;
constexpr int kPower = 3;

int precedence(TokenType type) {
  switch (type) {
    case op_add:
    case op_sub: return kSum;
    case op_mul:
    case op_div:
    case op_mod: return kProduct;
    case op_pow: return kPower;
    default: return 0;
  }
}

DurationExpr::Op operation(TokenType type) {
  switch (type) {
    case op_sub: return DurationExpr::Op::sub;
    case op_mul: return DurationExpr::Op::mul;
    case op_div: return DurationExpr::Op::div;
    case op_mod: return DurationExpr::Op::mod;
    case op_pow: return DurationExpr::Op::pow;
    case pre_step: return DurationExpr::Op::step;
    case pre_range: return DurationExpr::Op::range;
    case pre_min_of: return DurationExpr::Op::min_of;
    case pre_max_of: return DurationExpr::Op::max_of;
    default: return DurationExpr::Op::add;
  }
}

}  // namespace

bool Parser::duration_expressions_on(PositionRange position) {
  if (options_.duration_expressions) return true;
  fail(position, "experimental duration expression is not enabled");
  return false;
}

ExprPtr Parser::parse_duration_expression(int minimum) {
  if (!enter()) return nullptr;
  ExprPtr left = parse_duration_operand();
  while (left) {
    int level = precedence(peek().type);
    if (level == 0 || level < minimum) break;
    int left_depth = depth_;
    Token op = take();
    ExprPtr right = parse_duration_expression(level == kPower ? kPower : level + 1);
    if (!right) return nullptr;
    if (!options_.duration_expressions) {
      return fail_unless_lexing(position_of(*left), "experimental duration expression is not enabled");
    }
    if (!deepen(std::max(left_depth, depth_), range(op))) return nullptr;
    left = duration_operation(op, std::move(left), std::move(right));
  }
  leave();
  return left;
}

ExprPtr Parser::duration_operation(const Token& op, ExprPtr lhs, ExprPtr rhs) {
  if (op.type == op_div || op.type == op_mod) {
    if (auto* literal = rhs->as<NumberLiteral>(); literal && literal->value == 0) {
      return fail_unless_lexing(range(op), op.type == op_div ? "division by zero" : "modulo by zero");
    }
  }
  auto expr = std::make_unique<DurationExpr>();
  expr->op = operation(op.type);
  expr->lhs = std::move(lhs);
  expr->rhs = std::move(rhs);
  return expr;
}

ExprPtr Parser::parse_duration_operand() {
  depth_ = 1;
  switch (peek().type) {
    case op_add:
    case op_sub: {
      Token op = take();
      ExprPtr operand = parse_duration_expression(kPower);
      return operand ? negate_duration(op, std::move(operand), false) : nullptr;
    }
    case number:
    case duration: return parse_duration_literal();
    case pre_step:
    case pre_range:
    case pre_min_of:
    case pre_max_of: return parse_duration_function();
    case left_paren: {
      Token open = take();
      ExprPtr inner = parse_duration_expression(kSum);
      if (!inner) return nullptr;
      if (!is(right_paren)) return unexpected("", "");
      Token close = take();
      if (!duration_expressions_on(position_of(*inner)) || !deepen(depth_, range(open))) return nullptr;
      return wrap_duration(std::move(inner), {static_cast<int>(open.start), static_cast<int>(close.stop)});
    }
    default: return unexpected("", "");
  }
}

ExprPtr Parser::parse_duration_literal() {
  Token token = take();
  auto literal = std::make_unique<NumberLiteral>();
  if (!number_value(token, literal->value)) return nullptr;
  if (duration_out_of_range(literal->value)) return fail(range(token), "duration out of range");
  literal->is_duration = token.type == duration;
  literal->position = range(token);
  return literal;
}

// step() range() min_of(a, b) max_of(a, b)
ExprPtr Parser::parse_duration_function(bool check_feature) {
  Token name = take();
  if (!is(left_paren)) return unexpected("", "");
  take();
  auto expr = std::make_unique<DurationExpr>();
  expr->op = operation(name.type);
  if (name.type == pre_min_of || name.type == pre_max_of) {
    expr->lhs = parse_duration_expression(kSum);
    if (!expr->lhs) return nullptr;
    int left_depth = depth_;
    if (!is(comma)) return unexpected("", "");
    take();
    expr->rhs = parse_duration_expression(kSum);
    if (!expr->rhs || !deepen(std::max(left_depth, depth_), range(name))) return nullptr;
  }
  if (!is(right_paren)) return unexpected("", "");
  expr->position = {static_cast<int>(name.start), static_cast<int>(take().stop)};
  if (check_feature && !duration_expressions_on(position_of(*expr))) return nullptr;
  return expr;
}

// A bare number has no mark for its parentheses, so it gets a unary plus that carries it.
ExprPtr Parser::wrap_duration(ExprPtr expr, PositionRange position) {
  if (auto* inner = expr->as<DurationExpr>()) {
    inner->wrapped = true;
    return expr;
  }
  auto wrapper = std::make_unique<DurationExpr>();
  wrapper->op = DurationExpr::Op::add;
  wrapper->rhs = std::move(expr);
  wrapper->wrapped = true;
  wrapper->position = position;
  return wrapper;
}

ExprPtr Parser::negate_duration(const Token& op, ExprPtr expr, bool wrapped) {
  if (wrapped) {
    PositionRange position = position_of(*expr);
    expr = wrap_duration(std::move(expr), position);
  }
  bool negative = op.type == op_sub;
  if (auto* literal = expr->as<NumberLiteral>()) {
    if (negative) literal->value = -literal->value;
    literal->position.start = static_cast<int>(op.start);
    return expr;
  }
  if (!negative) return expr;
  if (!deepen(depth_, range(op))) return nullptr;
  auto result = std::make_unique<DurationExpr>();
  result->op = DurationExpr::Op::sub;
  result->rhs = std::move(expr);
  result->position.start = static_cast<int>(op.start);
  return result;
}

bool Parser::split_duration(ExprPtr value, Duration& fixed, std::unique_ptr<DurationExpr>& expr) {
  if (auto* literal = value->as<NumberLiteral>()) {
    fixed = duration_from_seconds(literal->value);
    return true;
  }
  expr.reset(static_cast<DurationExpr*>(value.release()));
  return false;
}

bool Parser::parse_positive(Duration& fixed, std::unique_ptr<DurationExpr>& expr, std::string_view context,
                            std::string_view expected) {
  ExprPtr value = parse_duration_expression(kSum);
  if (!value) {
    // Syntax errors name what was wanted here; others (a zero divisor, a switched-off feature) say it themselves.
    if (error_.message.starts_with("unexpected ") && peek().type != TokenType::error) {
      failed_ = false;
      unexpected(context, expected);
    }
    return false;
  }
  if (auto* literal = value->as<NumberLiteral>(); literal && literal->value <= 0) {
    return fail_unless_lexing(literal->position, "duration must be greater than 0"), false;
  }
  split_duration(std::move(value), fixed, expr);
  return true;
}

// Behind `offset` a sign or a function ends the value at once: `foo offset -2^2` is `(foo offset -2)^2`. Only an
// expression that begins with a parenthesis (without a sign) goes on over operators.
ExprPtr Parser::parse_offset_value() {
  auto expected = [&](ExprPtr value) -> ExprPtr {
    if (!value && error_.message.starts_with("unexpected ") && peek().type != TokenType::error) {
      failed_ = false;
      unexpected("offset", "number, duration, step(), or range()");
    }
    return value;
  };
  switch (peek().type) {
    case op_add:
    case op_sub: return expected(parse_offset_sign());
    case number:
    case duration: return parse_duration_literal();
    case pre_step:
    case pre_range:
    case pre_min_of:
    case pre_max_of: return expected(parse_duration_function());
    case left_paren: return expected(parse_duration_expression(kSum));
    default: return unexpected("offset", "number, duration, step(), or range()");
  }
}

ExprPtr Parser::parse_offset_sign() {
  Token op = take();
  depth_ = 1;
  switch (peek().type) {
    case number:
    case duration: {
      ExprPtr literal = parse_duration_literal();
      return literal ? negate_duration(op, std::move(literal), false) : nullptr;
    }
    case left_paren: {
      take();
      ExprPtr inner = parse_duration_expression(kSum);
      if (!inner) return nullptr;
      if (!is(right_paren)) return unexpected("", "");
      take();
      return negate_duration(op, std::move(inner), true);
    }
    case pre_step:
    case pre_range:
    case pre_min_of:
    case pre_max_of: {
      ExprPtr function = parse_duration_function(false);
      if (!function) return nullptr;
      auto signed_expr = std::make_unique<DurationExpr>();
      signed_expr->op = op.type == op_sub ? DurationExpr::Op::sub : DurationExpr::Op::add;
      signed_expr->rhs = std::move(function);
      signed_expr->position.start = static_cast<int>(op.start);
      if (!duration_expressions_on(position_of(*signed_expr))) return nullptr;
      return signed_expr;
    }
    case op_add:
    case op_sub: {
      ExprPtr inner = parse_duration_expression(kPower);
      return inner ? negate_duration(op, std::move(inner), false) : nullptr;
    }
    default: return unexpected("", "");
  }
}

}  // namespace tocayo::promql::detail
