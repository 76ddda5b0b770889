// SPDX-License-Identifier: Apache-2.0
#include "promql/duration_expr.h"

#include <fmt/format.h>

#include <cmath>

namespace tocayo::promql {
namespace {

std::unexpected<Error> bad(const Expr& expr, std::string_view why) {
  PositionRange position = position_of(expr);
  return fail(ErrorKind::bad_input, fmt::format("{}:{}: {}", position.start, position.end, why));
}

// Seconds.
Result<double> compute(const Expr& expr, const DurationContext& context) {
  if (const auto* number = expr.as<NumberLiteral>()) return number->value;
  const auto* duration = expr.as<DurationExpr>();
  if (!duration) return fail(ErrorKind::internal, "not a duration expression");
  double lhs = duration->lhs ? TRY(compute(*duration->lhs, context)) : 0;
  double rhs = duration->rhs ? TRY(compute(*duration->rhs, context)) : 0;
  auto seconds = [](Duration value) { return static_cast<double>(value.count()) / 1000; };
  using Op = DurationExpr::Op;
  switch (duration->op) {
    case Op::step: return seconds(context.step);
    case Op::range: return seconds(context.range);
    case Op::min_of: return std::isnan(lhs) || std::isnan(rhs) ? std::nan("") : std::min(lhs, rhs);
    case Op::max_of: return std::isnan(lhs) || std::isnan(rhs) ? std::nan("") : std::max(lhs, rhs);
    case Op::add: return duration->lhs ? lhs + rhs : rhs;
    case Op::sub: return duration->lhs ? lhs - rhs : -rhs;
    case Op::mul: return lhs * rhs;
    case Op::pow: return std::pow(lhs, rhs);
    case Op::div:
      if (rhs == 0) return bad(expr, "division by zero");
      return lhs / rhs;
    case Op::mod:
      if (rhs == 0) return bad(expr, "modulo by zero");
      return std::fmod(lhs, rhs);
  }
  return 0.0;
}

Result<> resolve(const std::unique_ptr<DurationExpr>& expr, Duration& into, const DurationContext& context,
                 bool negative_allowed) {
  if (expr) into = TRY(compute_duration(*expr, context, negative_allowed));
  return {};
}

Result<> resolve_selector(VectorSelector& selector, const DurationContext& context) {
  return resolve(selector.original_offset_expr, selector.original_offset, context, true);
}

}  // namespace

Result<Duration> compute_duration(const Expr& expr, const DurationContext& context, bool negative_allowed) {
  double seconds = TRY(compute(expr, context));
  if (!std::isfinite(seconds)) return bad(expr, "duration is NaN or infinite");
  if (seconds <= 0 && !negative_allowed) return bad(expr, "duration must be greater than 0");
  // Must fit into the int64 nanoseconds that Prometheus computes with.
  constexpr double kMost = 9223372036.854775807;
  if (seconds > kMost || seconds < -kMost) return bad(expr, "duration is out of range");
  return Duration(static_cast<std::int64_t>(seconds * 1000));
}

Result<> resolve_durations(Expr& expr, const DurationContext& context) {
  Result<> result;
  walk(expr, [&](Expr& node, const std::vector<Expr*>&) {
    if (!result) return;
    if (auto* selector = node.as<VectorSelector>()) {
      result = resolve_selector(*selector, context);
    } else if (auto* matrix = node.as<MatrixSelector>()) {
      result = resolve(matrix->range_expr, matrix->range, context, false);
    } else if (auto* subquery = node.as<SubqueryExpr>()) {
      result = resolve(subquery->original_offset_expr, subquery->original_offset, context, true);
      if (result) result = resolve(subquery->step_expr, subquery->step, context, false);
      if (result) result = resolve(subquery->range_expr, subquery->range, context, false);
    }
  });
  return result;
}

}  // namespace tocayo::promql
