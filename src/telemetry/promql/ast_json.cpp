// SPDX-License-Identifier: Apache-2.0
#include "promql/ast_json.h"

#include <boost/json.hpp>

#include "promql/function_signatures.h"
#include "promql/printer.h"

namespace tocayo::promql {
namespace {

namespace json = boost::json;

json::array strings(const std::vector<std::string>& list) {
  json::array out;
  for (const std::string& item : list) out.emplace_back(item);
  return out;
}

json::array matchers(const std::vector<Matcher>& list) {
  static constexpr std::string_view kTypes[] = {"=", "!=", "=~", "!~"};
  json::array out;
  for (const Matcher& matcher : list) {
    out.push_back(json::object{
        {"name", matcher.name()}, {"value", matcher.value()}, {"type", kTypes[static_cast<int>(matcher.type())]}});
  }
  return out;
}

json::value timestamp(const std::optional<TimestampMs>& time) {
  return time ? json::value(*time) : json::value(nullptr);
}

json::value start_or_end(AtModifier at) {
  if (at == AtModifier::start) return "start";
  if (at == AtModifier::end) return "end";
  return nullptr;
}

json::value fill(const std::optional<double>& value) { return value ? json::value(*value) : json::value(nullptr); }

json::value duration(const Expr* expr) {
  if (!expr) return nullptr;
  if (const auto* number = expr->as<NumberLiteral>()) {
    return json::object{
        {"type", "numberLiteral"}, {"val", format_number(number->value)}, {"duration", number->is_duration}};
  }
  const auto& node = static_cast<const DurationExpr&>(*expr);
  return json::object{{"type", "durationExpr"},
                      {"op", to_string(node.op)},
                      {"lhs", duration(node.lhs.get())},
                      {"rhs", duration(node.rhs.get())},
                      {"wrapped", node.wrapped}};
}

json::object selector(const VectorSelector& expr) {
  return {{"name", expr.name},
          {"offset", expr.original_offset.count()},
          {"offsetExpr", duration(expr.original_offset_expr.get())},
          {"matchers", matchers(expr.matchers)},
          {"timestamp", timestamp(expr.timestamp)},
          {"startOrEnd", start_or_end(expr.at)},
          {"anchored", expr.anchored},
          {"smoothed", expr.smoothed}};
}

json::value subquery(const SubqueryExpr& expr) {
  return json::object{{"type", "subquery"},
                      {"expr", ast_to_json(*expr.expr)},
                      {"range", expr.range.count()},
                      {"rangeExpr", duration(expr.range_expr.get())},
                      {"offset", expr.original_offset.count()},
                      {"offsetExpr", duration(expr.original_offset_expr.get())},
                      {"step", expr.step.count()},
                      {"stepExpr", duration(expr.step_expr.get())},
                      {"timestamp", timestamp(expr.timestamp)},
                      {"startOrEnd", start_or_end(expr.at)}};
}

json::value binary(const BinaryExpr& expr) {
  json::value matching = nullptr;
  if (expr.matching) {
    matching = json::object{{"card", to_string(expr.matching->card)},
                            {"labels", strings(expr.matching->matching_labels)},
                            {"on", expr.matching->on},
                            {"include", strings(expr.matching->include)},
                            {"fillValues", json::object{{"lhs", fill(expr.matching->fill_left)},
                                                        {"rhs", fill(expr.matching->fill_right)}}}};
  }
  return json::object{
      {"type", "binaryExpr"},          {"op", to_string(expr.op)},        {"lhs", ast_to_json(*expr.lhs)},
      {"rhs", ast_to_json(*expr.rhs)}, {"matching", std::move(matching)}, {"bool", expr.return_bool}};
}

json::value call(const Call& expr) {
  json::array types, args;
  for (ValueType type : expr.function->arg_types) types.emplace_back(to_string(type));
  for (const ExprPtr& arg : expr.args) args.push_back(ast_to_json(*arg));
  return json::object{{"type", "call"},
                      {"func", json::object{{"name", expr.function->name},
                                            {"argTypes", std::move(types)},
                                            {"variadic", expr.function->variadic},
                                            {"returnType", to_string(expr.function->return_type)}}},
                      {"args", std::move(args)}};
}

json::value aggregate(const AggregateExpr& expr) {
  return json::object{{"type", "aggregation"},
                      {"op", to_string(expr.op)},
                      {"expr", ast_to_json(*expr.expr)},
                      {"param", expr.param ? ast_to_json(*expr.param) : json::value(nullptr)},
                      {"grouping", strings(expr.grouping)},
                      {"without", expr.without}};
}

}  // namespace

json::value ast_to_json(const Expr& expr) {
  switch (expr.kind) {
    case Kind::number:
      return json::object{{"type", "numberLiteral"},
                          {"val", format_number(static_cast<const NumberLiteral&>(expr).value)}};
    case Kind::string:
      return json::object{{"type", "stringLiteral"}, {"val", static_cast<const StringLiteral&>(expr).value}};
    case Kind::duration: return duration(&expr);
    case Kind::step_invariant: return ast_to_json(*static_cast<const StepInvariantExpr&>(expr).expr);
    case Kind::paren:
      return json::object{{"type", "parenExpr"}, {"expr", ast_to_json(*static_cast<const ParenExpr&>(expr).expr)}};
    case Kind::unary: {
      const auto& unary = static_cast<const UnaryExpr&>(expr);
      return json::object{{"type", "unaryExpr"}, {"op", to_string(unary.op)}, {"expr", ast_to_json(*unary.expr)}};
    }
    case Kind::vector_selector: {
      json::object out = selector(static_cast<const VectorSelector&>(expr));
      out["type"] = "vectorSelector";
      return out;
    }
    case Kind::matrix_selector: {
      const auto& matrix = static_cast<const MatrixSelector&>(expr);
      json::object out = selector(*matrix.selector);
      out["type"] = "matrixSelector";
      out["range"] = matrix.range.count();
      out["rangeExpr"] = duration(matrix.range_expr.get());
      return out;
    }
    case Kind::subquery: return subquery(static_cast<const SubqueryExpr&>(expr));
    case Kind::call: return call(static_cast<const Call&>(expr));
    case Kind::aggregate: return aggregate(static_cast<const AggregateExpr&>(expr));
    case Kind::binary: return binary(static_cast<const BinaryExpr&>(expr));
  }
  return nullptr;
}

}  // namespace tocayo::promql
