// SPDX-License-Identifier: Apache-2.0
// Operators, operands, calls and aggregations. Precedence from low to high: or; and unless; comparisons; + -; * / %
// atan2 and unary signs; ^ (from the right).
#include "promql/parser.h"

#include <fmt/format.h>

#include <algorithm>

#include "promql/function_signatures.h"
#include "promql/parser_internal.h"

namespace tocayo::promql {
namespace detail {
namespace {

using enum TokenType;

constexpr int kMultiplication = 5;
constexpr int kPower = 6;

struct Operator {
  BinaryOp op;
  int precedence;  // 0: not a binary operator
};

Operator binary_operator(TokenType type) {
  switch (type) {
    case op_lor: return {BinaryOp::lor, 1};
    case op_land: return {BinaryOp::land, 2};
    case op_lunless: return {BinaryOp::lunless, 2};
    case op_eqlc: return {BinaryOp::eql, 3};
    case op_neq: return {BinaryOp::neq, 3};
    case op_gtr: return {BinaryOp::gtr, 3};
    case op_lss: return {BinaryOp::lss, 3};
    case op_gte: return {BinaryOp::gte, 3};
    case op_lte: return {BinaryOp::lte, 3};
    case op_trim_upper: return {BinaryOp::trim_upper, 3};
    case op_trim_lower: return {BinaryOp::trim_lower, 3};
    case op_add: return {BinaryOp::add, 4};
    case op_sub: return {BinaryOp::sub, 4};
    case op_mul: return {BinaryOp::mul, kMultiplication};
    case op_div: return {BinaryOp::div, kMultiplication};
    case op_mod: return {BinaryOp::mod, kMultiplication};
    case op_atan2: return {BinaryOp::atan2, kMultiplication};
    case op_pow: return {BinaryOp::pow, kPower};
    default: return {BinaryOp::add, 0};
  }
}

AggregateOp aggregate_operator(TokenType type) {
  switch (type) {
    case agg_avg: return AggregateOp::avg;
    case agg_bottomk: return AggregateOp::bottomk;
    case agg_count: return AggregateOp::count;
    case agg_count_values: return AggregateOp::count_values;
    case agg_group: return AggregateOp::group;
    case agg_max: return AggregateOp::max;
    case agg_min: return AggregateOp::min;
    case agg_quantile: return AggregateOp::quantile;
    case agg_stddev: return AggregateOp::stddev;
    case agg_stdvar: return AggregateOp::stdvar;
    case agg_topk: return AggregateOp::topk;
    case agg_limitk: return AggregateOp::limitk;
    case agg_limit_ratio: return AggregateOp::limit_ratio;
    default: return AggregateOp::sum;
  }
}

// Words that are label names where a label name is wanted.
bool may_be_label(TokenType type) {
  return type == identifier || type == metric_identifier || is_aggregator(type) || is_preprocessor(type) ||
         type == op_land || type == op_lor || type == op_lunless || type == op_atan2 ||
         (is_keyword(type) && type != kw_without);
}

// Words that are metric names where an operand is wanted.
bool may_be_metric(TokenType type) {
  switch (type) {
    case kw_bool:
    case kw_on:
    case kw_ignoring:
    case kw_group_left:
    case kw_group_right: return false;
    case op_land:
    case op_lor:
    case op_lunless: return true;
    default:
      return type == identifier || type == metric_identifier || is_aggregator(type) || is_preprocessor(type) ||
             is_keyword(type);
  }
}

}  // namespace

Token Parser::take() {
  Token token = peek();
  switch (token.type) {
    case right_brace:
    case right_paren:
    case right_bracket:
    case number:
    case duration: last_closing_ = static_cast<int>(token.stop); break;
    default: break;
  }
  if (at_ + 1 < stream_.tokens.size()) ++at_;
  return token;
}

std::nullptr_t Parser::fail(PositionRange position, std::string message) {
  if (!failed_) {
    failed_ = true;
    error_ = {position, std::move(message)};
  }
  return nullptr;
}

std::nullptr_t Parser::fail_unless_lexing(PositionRange position, std::string message) {
  if (is(TokenType::error)) return fail(range(peek()), stream_.error);
  return fail(position, std::move(message));
}

std::nullptr_t Parser::unexpected(std::string_view context, std::string_view expected) {
  if (peek().type == TokenType::error) return fail(range(peek()), stream_.error);
  std::string message = "unexpected " + describe(peek(), input_);
  if (!context.empty()) message += fmt::format(" in {}", context);
  if (!expected.empty()) message += fmt::format(", expected {}", expected);
  return fail(range(peek()), std::move(message));
}

bool Parser::enter() {
  if (++nesting_ <= options_.max_depth) return true;
  fail(range(peek()), fmt::format("expression is nested deeper than {} levels", options_.max_depth));
  return false;
}

bool Parser::deepen(int below, PositionRange position) {
  depth_ = below + 1;
  if (depth_ <= options_.max_depth) return true;
  fail(position, fmt::format("expression is nested deeper than {} levels", options_.max_depth));
  return false;
}

ExprPtr Parser::expression() {
  if (is(end)) return fail({0, 0}, "no expression found in input");
  ExprPtr expr = parse_expression(1);
  if (!expr) return nullptr;
  if (!is(end)) return unexpected("", "");
  if (!check(*expr)) return nullptr;
  return expr;
}

ExprPtr Parser::parse_expression(int minimum) {
  if (!enter()) return nullptr;
  ExprPtr left = parse_operand();
  while (left) {
    Operator op = binary_operator(peek().type);
    if (op.precedence == 0 || op.precedence < minimum) break;
    int left_depth = depth_;
    take();
    auto binary = std::make_unique<BinaryExpr>();
    binary->op = op.op;
    binary->matching.emplace();
    if (!parse_binary_modifiers(*binary)) return nullptr;
    ExprPtr right = parse_expression(op.precedence == kPower ? kPower : op.precedence + 1);
    if (!right) return nullptr;
    left = finish_binary(std::move(binary), std::move(left), std::move(right), left_depth, depth_);
  }
  leave();
  return left;
}

ExprPtr Parser::finish_binary(std::unique_ptr<BinaryExpr> binary, ExprPtr lhs, ExprPtr rhs, int lhs_depth,
                              int rhs_depth) {
  binary->lhs = std::move(lhs);
  binary->rhs = std::move(rhs);
  if (!options_.fill_modifiers && (binary->matching->fill_left || binary->matching->fill_right)) {
    return fail_unless_lexing(position_of(*binary), "binop fill modifiers are experimental and not enabled");
  }
  if (!deepen(std::max(lhs_depth, rhs_depth), {position_of(*binary->lhs).end, position_of(*binary->lhs).end}))
    return nullptr;
  return binary;
}

ExprPtr Parser::parse_operand() {
  if (is(op_add) || is(op_sub)) return parse_unary();
  ExprPtr expr = parse_primary();
  while (expr) {
    switch (peek().type) {
      case left_bracket:
      case kw_offset:
      case op_at:
      case kw_anchored:
      case kw_smoothed: expr = parse_postfix(std::move(expr)); break;
      default: return expr;
    }
  }
  return nullptr;
}

ExprPtr Parser::parse_postfix(ExprPtr expr) {
  switch (peek().type) {
    case left_bracket: return parse_brackets(std::move(expr));
    case kw_offset: return parse_offset(std::move(expr));
    case op_at: return parse_at(std::move(expr));
    default: return parse_extended(std::move(expr));
  }
}

ExprPtr Parser::parse_unary() {
  Token op = take();
  ExprPtr operand = parse_expression(kPower);
  if (!operand) return nullptr;
  if (auto* literal = operand->as<NumberLiteral>()) {
    if (op.type == op_sub) literal->value = -literal->value;
    literal->position.start = static_cast<int>(op.start);
    return operand;
  }
  if (!deepen(depth_, range(op))) return nullptr;
  auto unary = std::make_unique<UnaryExpr>();
  unary->op = op.type == op_sub ? UnaryOp::sub : UnaryOp::add;
  unary->start_position = static_cast<int>(op.start);
  unary->expr = std::move(operand);
  return unary;
}

ExprPtr Parser::parse_primary() {
  depth_ = 1;
  TokenType type = peek().type;
  switch (type) {
    case left_paren: return parse_paren();
    case number:
    case duration: return parse_number();
    case string: return parse_string();
    case left_brace: return parse_selector();
    default: break;
  }
  TokenType after = peek_after().type;
  if (is_aggregator(type) && (after == left_paren || after == kw_by || after == kw_without)) return parse_aggregate();
  if ((type == identifier || is_preprocessor(type)) && after == left_paren) return parse_call();
  if (may_be_metric(type)) return parse_selector();
  return unexpected_here();
}

ExprPtr Parser::parse_paren() {
  Token open = take();
  ExprPtr inner = parse_expression(1);
  if (!inner) return nullptr;
  if (!is(right_paren)) return unexpected_here();
  Token close = take();
  if (!deepen(depth_, range(open))) return nullptr;
  auto paren = std::make_unique<ParenExpr>();
  paren->expr = std::move(inner);
  paren->position = {static_cast<int>(open.start), static_cast<int>(close.stop)};
  return paren;
}

ExprPtr Parser::parse_number() {
  Token token = take();
  auto literal = std::make_unique<NumberLiteral>();
  if (!number_value(token, literal->value)) return nullptr;
  literal->is_duration = token.type == duration;
  literal->position = range(token);
  return literal;
}

ExprPtr Parser::parse_string() {
  Token token = take();
  auto literal = std::make_unique<StringLiteral>();
  if (!string_value(token, literal->value)) return nullptr;
  literal->position = range(token);
  return literal;
}

ExprPtr Parser::parse_call() {
  Token name = take();
  std::vector<ExprPtr> args;
  if (!parse_call_arguments(args)) return nullptr;
  const FunctionSignature* function = find_function(text(name));
  if (!function) return fail(range(name), fmt::format("unknown function with name {}", go_quote(text(name))));
  if (function->experimental && !options_.experimental_functions) {
    return fail(range(name), fmt::format("function {} is not enabled", go_quote(text(name))));
  }
  if (!deepen(depth_, range(name))) return nullptr;
  auto call = std::make_unique<Call>();
  call->function = function;
  call->args = std::move(args);
  call->position = {static_cast<int>(name.start), last_closing_};
  return call;
}

bool Parser::starts_expression() const {
  switch (peek().type) {
    case left_paren:
    case left_brace:
    case number:
    case duration:
    case string:
    case op_add:
    case op_sub: return true;
    default: return may_be_metric(peek().type);
  }
}

// `( … )`; leaves the greatest depth of an argument in depth_.
bool Parser::parse_call_arguments(std::vector<ExprPtr>& args) {
  take();
  int deepest = 0;
  if (!is(right_paren)) {
    for (;;) {
      ExprPtr arg = parse_expression(1);
      if (!arg) return false;
      deepest = std::max(deepest, depth_);
      args.push_back(std::move(arg));
      if (!is(comma)) break;
      Token separator = take();
      if (!starts_expression())
        return fail_unless_lexing(range(separator), "trailing commas not allowed in function call args"), false;
    }
  }
  if (!is(right_paren)) return unexpected_here(), false;
  take();
  depth_ = deepest;
  return true;
}

ExprPtr Parser::parse_aggregate() {
  Token op = take();
  std::vector<std::string> grouping;
  bool without = false;
  bool modified = false;
  auto parse_modifier = [&] {
    without = take().type == kw_without;
    modified = true;
    return parse_grouping(grouping);
  };
  ++aggregation_depth_;
  if ((is(kw_by) || is(kw_without)) && !parse_modifier()) return nullptr;
  if (!is(left_paren)) return unexpected_here();
  std::vector<ExprPtr> args;
  if (!parse_call_arguments(args)) return nullptr;
  --aggregation_depth_;
  int below = depth_;
  if (!modified && (is(kw_by) || is(kw_without)) && !parse_modifier()) return nullptr;
  depth_ = below;
  return finish_aggregate(op, std::move(grouping), without, std::move(args), modified);
}

ExprPtr Parser::finish_aggregate(const Token& op, std::vector<std::string> grouping, bool without,
                                 std::vector<ExprPtr> args, bool modified) {
  auto fail = [&](PositionRange position, std::string message) {
    return modified ? this->fail(position, std::move(message)) : fail_unless_lexing(position, std::move(message));
  };
  auto aggregate = std::make_unique<AggregateExpr>();
  aggregate->op = aggregate_operator(op.type);
  aggregate->grouping = std::move(grouping);
  aggregate->without = without;
  aggregate->position = {static_cast<int>(op.start), last_closing_};
  if (args.empty()) return fail(aggregate->position, "no arguments for aggregate expression provided");
  std::size_t wanted = takes_parameter(aggregate->op) ? 2 : 1;
  if (is_experimental(aggregate->op) && !options_.experimental_functions) {
    return fail(
        aggregate->position,
        fmt::format("{}() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
                    to_string(aggregate->op)));
  }
  if (args.size() != wanted) {
    return fail(aggregate->position,
                fmt::format("wrong number of arguments for aggregate expression provided, expected {}, got {}", wanted,
                            args.size()));
  }
  if (wanted == 2) aggregate->param = std::move(args[0]);
  aggregate->expr = std::move(args.back());
  if (!deepen(depth_, range(op))) return nullptr;
  return aggregate;
}

bool Parser::parse_grouping(std::vector<std::string>& labels) {
  if (!is(left_paren)) return unexpected("grouping opts", "\"(\""), false;
  take();
  labels.clear();
  if (is(right_paren)) return take(), true;
  for (;;) {
    std::string name;
    if (is(string)) {
      Token token = take();
      if (!string_value(token, name)) return false;
      if (name.empty() || !is_valid_utf8(name)) {
        return fail(range(token), fmt::format("invalid label name for grouping: {}", go_quote(name))), false;
      }
    } else if (may_be_label(peek().type)) {
      name = text(take());
    } else {
      return unexpected("grouping opts", "label"), false;
    }
    labels.push_back(std::move(name));
    if (is(comma))
      take();
    else if (!is(right_paren))
      return unexpected("grouping opts", "\",\" or \")\""), false;
    if (is(right_paren)) return take(), true;
  }
}

bool Parser::parse_binary_modifiers(BinaryExpr& binary) {
  VectorMatching& matching = *binary.matching;
  if (is(kw_bool)) {
    take();
    binary.return_bool = true;
  }
  if (is(kw_on) || is(kw_ignoring)) {
    matching.on = take().type == kw_on;
    if (!parse_grouping(matching.matching_labels)) return false;
    if (is(kw_group_left) || is(kw_group_right)) {
      matching.card = take().type == kw_group_left ? Cardinality::many_to_one : Cardinality::one_to_many;
      if (is(left_paren) || !starts_expression()) {
        if (!parse_grouping(matching.include)) return false;
      }
    }
  }
  if (is(kw_fill)) return parse_fill(matching.fill_left, matching.fill_right);
  bool left = is(kw_fill_left);
  if (!left && !is(kw_fill_right)) return true;
  if (!parse_fill(matching.fill_left, matching.fill_right)) return false;
  return !is(left ? kw_fill_right : kw_fill_left) || parse_fill(matching.fill_left, matching.fill_right);
}

// One of fill(v), fill_left(v), fill_right(v).
bool Parser::parse_fill(std::optional<double>& left, std::optional<double>& right) {
  TokenType which = take().type;
  if (!is(left_paren)) return unexpected_here(), false;
  take();
  bool negative = false;
  if (is(op_add) || is(op_sub)) negative = take().type == op_sub;
  if (!is(number) && !is(duration)) return unexpected_here(), false;
  double value = 0;
  if (!number_value(take(), value)) return false;
  if (!is(right_paren)) return unexpected_here(), false;
  take();
  if (negative) value = -value;
  if (which != kw_fill_right) left = value;
  if (which != kw_fill_left) right = value;
  return true;
}

std::unique_ptr<VectorSelector> Parser::metric_selector() {
  if (!is(left_brace) && !may_be_metric(peek().type)) return unexpected("", "");
  auto selector = parse_selector();
  if (!selector) return nullptr;
  if (!is(end)) return unexpected("", "");
  if (!check(*selector)) return nullptr;
  return selector;
}

}  // namespace detail

std::string ParseError::to_string(std::string_view query) const {
  return fmt::format("{}: parse error: {}", position_text(query, position), message);
}

ExprPtr parse_expr(std::string_view query, const ParserOptions& options, ParseError& error) {
  if (query.size() > options.max_bytes) {
    error = {{0, 0}, fmt::format("expression is longer than {} bytes", options.max_bytes)};
    return nullptr;
  }
  detail::Parser parser(query, options);
  ExprPtr expr = parser.expression();
  if (!expr) error = parser.error();
  return expr;
}

Result<ExprPtr> parse_expr(std::string_view query, const ParserOptions& options) {
  ParseError error;
  ExprPtr expr = parse_expr(query, options, error);
  if (!expr) return fail(ErrorKind::bad_input, error.to_string(query));
  return expr;
}

Result<std::vector<Matcher>> parse_metric_selector(std::string_view text, const ParserOptions& options) {
  if (text.size() > options.max_bytes) {
    return fail(ErrorKind::bad_input,
                fmt::format("1:1: parse error: expression is longer than {} bytes", options.max_bytes));
  }
  detail::Parser parser(text, options);
  auto selector = parser.metric_selector();
  if (!selector) return fail(ErrorKind::bad_input, parser.error().to_string(text));
  return std::move(selector->matchers);
}

Result<Labels> parse_metric(std::string_view text) {
  ParserOptions options;
  detail::Parser parser(text, options);
  Labels labels;
  if (!parser.metric(labels)) return fail(ErrorKind::bad_input, parser.error().to_string(text));
  return labels;
}

}  // namespace tocayo::promql
