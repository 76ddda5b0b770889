// SPDX-License-Identifier: Apache-2.0
// Type checks and the other rules that a right syntax may still break. Children before parents, as Prometheus reports
// them.
#include <fmt/format.h>

#include "promql/function_signatures.h"
#include "promql/parser_internal.h"

namespace tocayo::promql::detail {

bool Parser::check(Expr& expr) {
  switch (expr.kind) {
    case Kind::number:
    case Kind::string:
    case Kind::duration:
    case Kind::step_invariant: return true;
    case Kind::vector_selector: return check_selector(static_cast<VectorSelector&>(expr));
    case Kind::matrix_selector: return check_selector(*static_cast<MatrixSelector&>(expr).selector);
    case Kind::aggregate: return check_aggregate(static_cast<AggregateExpr&>(expr));
    case Kind::binary: return check_binary(static_cast<BinaryExpr&>(expr));
    case Kind::call: return check_call(static_cast<Call&>(expr));
    case Kind::paren: return check(*static_cast<ParenExpr&>(expr).expr);
    case Kind::unary: {
      Expr& inner = *static_cast<UnaryExpr&>(expr).expr;
      if (!check(inner)) return false;
      ValueType type = type_of(inner);
      if (type == ValueType::scalar || type == ValueType::vector) return true;
      fail(position_of(expr),
           fmt::format("unary expression only allowed on expressions of type scalar or instant vector, got \"{}\"",
                       documented_type(type)));
      return false;
    }
    case Kind::subquery: {
      Expr& inner = *static_cast<SubqueryExpr&>(expr).expr;
      if (!check(inner)) return false;
      ValueType type = type_of(inner);
      if (type == ValueType::vector) return true;
      fail(position_of(expr),
           fmt::format("subquery is only allowed on instant vector, got {} instead", to_string(type)));
      return false;
    }
  }
  return true;
}

bool Parser::expect(Expr& expr, ValueType wanted, std::string_view context) {
  if (!check(expr)) return false;
  ValueType type = type_of(expr);
  if (type == wanted) return true;
  fail(position_of(expr),
       fmt::format("expected type {} in {}, got {}", documented_type(wanted), context, documented_type(type)));
  return false;
}

bool Parser::check_aggregate(AggregateExpr& expr) {
  if (!expect(*expr.expr, ValueType::vector, "aggregation expression")) return false;
  if (!expr.param) return true;
  return expect(*expr.param, expr.op == AggregateOp::count_values ? ValueType::string : ValueType::scalar,
                "aggregation parameter");
}

PositionRange Parser::operator_range(const BinaryExpr& expr) const {
  auto is_space = [&](int at) {
    char c = input_[static_cast<std::size_t>(at)];
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
  };
  int size = static_cast<int>(input_.size());
  PositionRange range{position_of(*expr.lhs).end, position_of(*expr.rhs).start - 1};
  while (range.start >= 0 && range.start < size && is_space(range.start)) ++range.start;
  while (range.end > range.start && range.end < size && is_space(range.end)) --range.end;
  return range;
}

bool Parser::check_binary(BinaryExpr& expr) {
  if (!check(*expr.lhs) || !check(*expr.rhs)) return false;
  ValueType left = type_of(*expr.lhs), right = type_of(*expr.rhs);
  if (expr.return_bool && !is_comparison(expr.op)) {
    return fail(operator_range(expr), "bool modifier can only be used on comparison operators"), false;
  }
  if (is_comparison(expr.op) && !expr.return_bool && left == ValueType::scalar && right == ValueType::scalar) {
    return fail(operator_range(expr), "comparisons between scalars must use BOOL modifier"), false;
  }
  if (is_set_operator(expr.op) && expr.matching->card == Cardinality::one_to_one)
    expr.matching->card = Cardinality::many_to_many;
  if (expr.matching->on) {
    for (const std::string& label : expr.matching->matching_labels) {
      for (const std::string& included : expr.matching->include) {
        if (label == included) {
          return fail(operator_range(expr),
                      fmt::format("label {} must not occur in ON and GROUP clause at once", go_quote(label))),
                 false;
        }
      }
    }
  }
  for (const ExprPtr* side : {&expr.lhs, &expr.rhs}) {
    ValueType type = type_of(**side);
    if (type != ValueType::scalar && type != ValueType::vector) {
      return fail(position_of(**side), "binary expression must contain only scalar and instant vector types"), false;
    }
  }
  return check_matching(expr, left, right, position_of(expr));
}

bool Parser::check_matching(BinaryExpr& expr, ValueType left, ValueType right, PositionRange position) {
  VectorMatching& matching = *expr.matching;
  bool filled = matching.fill_left || matching.fill_right;
  bool set = is_set_operator(expr.op);
  if (left != ValueType::vector || right != ValueType::vector) {
    if (!matching.matching_labels.empty())
      return fail(position, "vector matching only allowed between instant vectors"), false;
    if (filled) return fail(position, "filling in missing series only allowed between instant vectors"), false;
    expr.matching.reset();
    if (set)
      return fail(position,
                  fmt::format("set operator \"{}\" not allowed in binary scalar expression", to_string(expr.op))),
             false;
    return true;
  }
  if (!set) return true;
  if (matching.card != Cardinality::many_to_many) {
    return fail(position, fmt::format("no grouping allowed for \"{}\" operation", to_string(expr.op))), false;
  }
  if (filled) return fail(position, "filling in missing series not allowed for set operators"), false;
  return true;
}

bool Parser::check_info_selector(Call& call) {
  Expr& selector = *call.args[1];
  if (type_of(selector) != ValueType::vector) {
    return fail(call.position, fmt::format("expected type instant vector in call to function \"info\", got {}",
                                           documented_type(type_of(selector)))),
           false;
  }
  auto* vector = selector.as<VectorSelector>();
  if (!vector) return fail(position_of(selector), "expected label selectors only"), false;
  if (!vector->name.empty()) {
    return fail(vector->position, "expected label selectors only, got vector selector instead"), false;
  }
  vector->bypass_empty_matcher_check = true;
  return true;
}

bool Parser::check_call(Call& call) {
  const FunctionSignature& function = *call.function;
  std::size_t types = function.arg_types.size(), count = call.args.size();
  if (function.variadic == 0) {
    if (count != types) {
      return fail(call.position,
                  fmt::format("expected {} argument(s) in call to \"{}\", got {}", types, function.name, count)),
             false;
    }
  } else {
    std::size_t least = types - 1;
    std::size_t most = least + static_cast<std::size_t>(std::max(function.variadic, 0));
    if (count < least) {
      return fail(call.position, fmt::format("expected at least {} argument(s) in call to \"{}\", got {}", least,
                                             function.name, count)),
             false;
    }
    if (function.variadic > 0 && count > most) {
      return fail(call.position,
                  fmt::format("expected at most {} argument(s) in call to \"{}\", got {}", most, function.name, count)),
             false;
    }
  }
  if (function.name == "info" && count > 1 && !check_info_selector(call)) return false;
  for (std::size_t i = 0; i < count; ++i) {
    Expr& arg = *call.args[i];
    if (!check(arg)) return false;
    ValueType wanted = function.arg_types[std::min(i, types - 1)], type = type_of(arg);
    if (type != wanted) {
      return fail(position_of(arg), fmt::format("expected type {} in call to function \"{}\", got {}",
                                                documented_type(wanted), function.name, documented_type(type))),
             false;
    }
  }
  return true;
}

bool Parser::check_selector(VectorSelector& selector) {
  if (!selector.name.empty()) {
    // The last matcher is the one that the name outside the braces made.
    for (std::size_t i = 0; i + 1 < selector.matchers.size(); ++i) {
      const Matcher& matcher = selector.matchers[i];
      if (matcher.name() == kMetricName) {
        return fail(selector.position, fmt::format("metric name must not be set twice: {} or {}",
                                                   go_quote(selector.name), go_quote(matcher.value()))),
               false;
      }
    }
    return true;
  }
  if (selector.bypass_empty_matcher_check) return true;
  for (const Matcher& matcher : selector.matchers) {
    if (!matcher.matches_empty()) return true;
  }
  return fail(selector.position, "vector selector must contain at least one non-empty matcher"), false;
}

}  // namespace tocayo::promql::detail
