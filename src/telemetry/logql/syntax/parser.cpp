// SPDX-License-Identifier: Apache-2.0
#include "logql/syntax/parser.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "logql/syntax/arithmetic.h"
#include "logql/syntax/literals.h"
#include "logql/syntax/parser_internal.h"

namespace tocayo::logql {

namespace detail {

namespace {

struct Operator {
  BinaryOp op;
  int precedence;  // higher binds tighter
};

std::optional<Operator> binary_operator(TokenKind kind) {
  switch (kind) {
    case TokenKind::kw_or: return Operator{BinaryOp::logical_or, 1};
    case TokenKind::kw_and: return Operator{BinaryOp::logical_and, 2};
    case TokenKind::unless: return Operator{BinaryOp::unless, 2};
    case TokenKind::compare_equal: return Operator{BinaryOp::equal, 3};
    case TokenKind::not_equal: return Operator{BinaryOp::not_equal, 3};
    case TokenKind::less: return Operator{BinaryOp::less, 3};
    case TokenKind::less_or_equal: return Operator{BinaryOp::less_or_equal, 3};
    case TokenKind::greater: return Operator{BinaryOp::greater, 3};
    case TokenKind::greater_or_equal: return Operator{BinaryOp::greater_or_equal, 3};
    case TokenKind::add: return Operator{BinaryOp::add, 4};
    case TokenKind::subtract: return Operator{BinaryOp::subtract, 4};
    case TokenKind::multiply: return Operator{BinaryOp::multiply, 5};
    case TokenKind::divide: return Operator{BinaryOp::divide, 5};
    case TokenKind::modulo: return Operator{BinaryOp::modulo, 5};
    case TokenKind::power: return Operator{BinaryOp::power, 6};
    default: return std::nullopt;
  }
}

constexpr std::string_view kEmptyCompatible =
    "queries require at least one regexp or equality matcher that does not have an empty-compatible value. For "
    "instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will";

bool selects_something(const std::vector<Matcher>& matchers) {
  return std::ranges::any_of(matchers, [](const Matcher& m) { return !m.negative() && !m.matches_empty(); });
}

// First log query of the tree whose selector may match every stream.
const LogExpr* unselective(const Expr& expr) {
  struct Visitor {
    const LogExpr* operator()(const LogExpr& log) const { return selects_something(log.matchers) ? nullptr : &log; }
    const LogExpr* operator()(const RangeAggregation& a) const { return (*this)(a.range.log); }
    const LogExpr* operator()(const VectorAggregation& a) const { return unselective(*a.operand); }
    const LogExpr* operator()(const LabelReplace& r) const { return unselective(*r.operand); }
    const LogExpr* operator()(const Number&) const { return nullptr; }
    const LogExpr* operator()(const VectorNumber&) const { return nullptr; }
    const LogExpr* operator()(const Binary& b) const {
      const LogExpr* left = unselective(*b.left);
      return left != nullptr ? left : unselective(*b.right);
    }
  };
  return std::visit(Visitor{}, expr.node);
}

}  // namespace

Token Parser::take() {
  Token taken = std::move(token_);
  token_ = lexer_.next();
  return taken;
}

bool Parser::accept(TokenKind kind) {
  if (!at(kind)) return false;
  take();
  return true;
}

std::unexpected<Error> Parser::error(const Position& position, std::string_view message) const {
  return fail(ErrorKind::bad_input,
              fmt::format("parse error at line {}, col {}: {}", position.line, position.column, message));
}

std::unexpected<Error> Parser::unexpected(std::initializer_list<TokenKind> expected) const {
  if (at(TokenKind::error)) return error(token_.position, lexer_.error());
  std::string message = fmt::format("syntax error: unexpected {}", token_name(token_));
  std::vector<TokenKind> sorted(expected);
  std::ranges::sort(sorted);
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    message += i == 0 ? ", expecting " : " or ";
    message += token_name(sorted[i]);
  }
  return error(token_.position, message);
}

Result<Token> Parser::expect(TokenKind kind, std::initializer_list<TokenKind> expected) {
  if (!at(kind)) return unexpected(expected);
  return take();
}

void Parser::refuse(const Position& position, std::string message) {
  if (refusal_.empty()) refusal_ = error(position, message).error().message;
}

Result<Expr> Parser::parse_query() {
  Tree tree = TRY(parse_expr(0));
  if (!at(TokenKind::end)) return unexpected();
  if (!refusal_.empty()) return fail(ErrorKind::bad_input, refusal_);
  if (const LogExpr* log = unselective(*tree.expr)) return error(log->position, kEmptyCompatible);
  return std::move(*tree.expr);
}

Result<Parser::Tree> Parser::parse_expr(int min_precedence) {
  DepthGuard guard(*this);
  if (!guard) return error(token_.position, kTooDeep);
  Tree left = TRY(parse_primary());
  while (auto op = binary_operator(token_.kind)) {
    if (op->precedence < min_precedence) break;
    const Token token = take();
    Modifier modifier = TRY(parse_modifier());
    Tree right = TRY(parse_expr(op->op == BinaryOp::power ? op->precedence : op->precedence + 1));
    left = combine(token, std::move(modifier), std::move(left), std::move(right));
    if (left.depth > kMaxDepth) return error(token.position, kTooDeep);
  }
  return left;
}

Parser::Tree Parser::combine(const Token& token, Modifier modifier, Tree left, Tree right) {
  const BinaryOp op = binary_operator(token.kind)->op;
  const auto leg = [&](const Expr& side, std::string_view name) {
    if (side.is_log()) {
      refuse(side.position,
             fmt::format("unexpected type for {} leg of binary operation ({}): a log query", name, to_string(op)));
    } else if (const auto* number = std::get_if<Number>(&side.node); number != nullptr && is_set_operation(op)) {
      refuse(side.position, fmt::format("unexpected literal for {} leg of logical/set binary operation ({}): {:.6f}",
                                        name, to_string(op), number->value));
    }
  };
  leg(*left.expr, "left");
  leg(*right.expr, "right");
  auto expr = std::make_unique<Expr>();
  expr->position = left.expr->position;
  const auto* a = std::get_if<Number>(&left.expr->node);
  const auto* b = std::get_if<Number>(&right.expr->node);
  if (a != nullptr && b != nullptr && !is_set_operation(op)) {
    expr->node = Number{apply_to_numbers(op, a->value, b->value)};
    return {std::move(expr), 1};
  }
  const std::size_t depth = std::max(left.depth, right.depth) + 1;
  expr->node =
      Binary{op, modifier.return_bool, std::move(modifier.matching), std::move(left.expr), std::move(right.expr)};
  return {std::move(expr), depth};
}

Result<Parser::Modifier> Parser::parse_modifier() {
  Modifier modifier;
  modifier.return_bool = accept(TokenKind::kw_bool);
  if (!at(TokenKind::on) && !at(TokenKind::ignoring)) return modifier;
  modifier.matching.on = take().kind == TokenKind::on;
  TRY(expect(TokenKind::open_paren));
  modifier.matching.labels = TRY(parse_names());
  if (at(TokenKind::group_left) || at(TokenKind::group_right)) {
    modifier.matching.cardinality = take().kind == TokenKind::group_left ? VectorMatching::Cardinality::many_to_one
                                                                         : VectorMatching::Cardinality::one_to_many;
    // A parenthesis here is the list of labels to take over, never the right operand: so the grammar decides.
    if (accept(TokenKind::open_paren)) modifier.matching.include = TRY(parse_names());
  }
  return modifier;
}

Result<std::vector<std::string>> Parser::parse_names() {
  std::vector<std::string> names;
  if (accept(TokenKind::close_paren)) return names;
  names.push_back(TRY(expect(TokenKind::identifier, {TokenKind::identifier, TokenKind::close_paren})).text);
  while (accept(TokenKind::comma)) names.push_back(TRY(expect(TokenKind::identifier)).text);
  TRY(expect(TokenKind::close_paren, {TokenKind::comma, TokenKind::close_paren}));
  return names;
}

Result<Grouping> Parser::parse_grouping() {
  Grouping grouping;
  grouping.without = take().kind == TokenKind::without;
  TRY(expect(TokenKind::open_paren));
  grouping.labels = TRY(parse_names());
  return grouping;
}

Result<Parser::Tree> Parser::parse_primary() {
  switch (token_.kind) {
    case TokenKind::open_brace: {
      auto expr = std::make_unique<Expr>();
      expr->position = token_.position;
      expr->node = TRY(parse_log_expr(false, nullptr));
      return Tree{std::move(expr)};
    }
    case TokenKind::open_paren: {
      take();
      Tree inner = TRY(parse_expr(0));
      TRY(expect(TokenKind::close_paren, {}));
      return inner;
    }
    case TokenKind::number:
    case TokenKind::add:
    case TokenKind::subtract: return parse_number();
    case TokenKind::range_op: return parse_range_aggregation();
    case TokenKind::vector_op: return parse_vector_aggregation();
    case TokenKind::label_replace: return parse_label_replace();
    case TokenKind::vector: return parse_vector_number();
    default: return unexpected();
  }
}

Result<Parser::Tree> Parser::parse_number() {
  auto expr = std::make_unique<Expr>();
  expr->position = token_.position;
  const bool sign = !at(TokenKind::number);
  const bool negative = sign && take().kind == TokenKind::subtract;
  const Token number = TRY(expect(TokenKind::number));
  auto value = parse_go_float(number.text);
  if (!value) refuse(number.position, "unable to parse literal as a float: " + value.error().message);
  expr->node = Number{value ? (negative ? -*value : *value) : 0};
  return Tree{std::move(expr)};
}

Result<Parser::Tree> Parser::parse_vector_number() {
  auto expr = std::make_unique<Expr>();
  expr->position = take().position;
  TRY(expect(TokenKind::open_paren));
  const Token number = TRY(expect(TokenKind::number));
  TRY(expect(TokenKind::close_paren));
  auto value = parse_go_float(number.text);
  if (!value) refuse(number.position, "unable to parse vectorExpr as a float: " + value.error().message);
  expr->node = VectorNumber{value ? *value : 0};
  return Tree{std::move(expr)};
}

Result<Parser::Tree> Parser::parse_range_aggregation() {
  const Token op = take();
  RangeAggregation aggregation;
  aggregation.op = static_cast<RangeOp>(op.op);
  TRY(expect(TokenKind::open_paren));
  std::optional<std::string> parameter;
  if (at(TokenKind::number)) {
    parameter = take().text;
    TRY(expect(TokenKind::comma));
  } else if (!at(TokenKind::open_brace) && !at(TokenKind::open_paren)) {
    return unexpected({TokenKind::number, TokenKind::open_brace, TokenKind::open_paren});
  }
  PartialRange partial = TRY(parse_range());
  if (!partial.has_interval) return unexpected();
  TRY(expect(TokenKind::close_paren, {}));
  aggregation.range = std::move(partial.range);
  if (at(TokenKind::by) || at(TokenKind::without)) aggregation.grouping = TRY(parse_grouping());
  check(aggregation, op.position, parameter);
  auto expr = std::make_unique<Expr>();
  expr->position = op.position;
  expr->node = std::move(aggregation);
  return Tree{std::move(expr)};
}

void Parser::check(RangeAggregation& aggregation, const Position& position,
                   const std::optional<std::string>& parameter) {
  const std::string_view name = to_string(aggregation.op);
  if (parameter && aggregation.op != RangeOp::quantile_over_time) {
    return refuse(position, fmt::format("parameter {} not supported for operation {}", *parameter, name));
  }
  if (parameter) {
    auto value = parse_go_float(*parameter);
    if (!value) {
      return refuse(position, fmt::format("invalid parameter for operation {}: {}", name, value.error().message));
    }
    aggregation.parameter = *value;
  } else if (aggregation.op == RangeOp::quantile_over_time) {
    return refuse(position, fmt::format("parameter required for operation {}", name));
  }
  switch (aggregation.op) {
    case RangeOp::avg_over_time:
    case RangeOp::stddev_over_time:
    case RangeOp::stdvar_over_time:
    case RangeOp::quantile_over_time:
    case RangeOp::min_over_time:
    case RangeOp::max_over_time:
    case RangeOp::first_over_time:
    case RangeOp::last_over_time: break;
    default:
      if (aggregation.grouping) return refuse(position, fmt::format("grouping not allowed for {} aggregation", name));
  }
  const bool of_lines = aggregation.op == RangeOp::count_over_time || aggregation.op == RangeOp::bytes_over_time ||
                        aggregation.op == RangeOp::bytes_rate;
  const bool of_both = aggregation.op == RangeOp::rate || aggregation.op == RangeOp::absent_over_time;
  if (aggregation.range.unwrap && of_lines) {
    refuse(position, fmt::format("invalid aggregation {} with unwrap", name));
  } else if (!aggregation.range.unwrap && !of_lines && !of_both) {
    refuse(position, fmt::format("invalid aggregation {} without unwrap", name));
  }
}

// A metric expression where the grammar has nothing else.
Result<Parser::Tree> Parser::parse_metric_argument() {
  Tree tree = TRY(parse_expr(0));
  if (tree.expr->is_log()) return unexpected();
  return tree;
}

Result<Parser::Tree> Parser::parse_vector_aggregation() {
  const Token op = take();
  VectorAggregation aggregation;
  aggregation.op = static_cast<VectorOp>(op.op);
  if (at(TokenKind::by) || at(TokenKind::without)) aggregation.grouping = TRY(parse_grouping());
  TRY(expect(TokenKind::open_paren,
             aggregation.grouping
                 ? std::initializer_list<TokenKind>{TokenKind::open_paren}
                 : std::initializer_list<TokenKind>{TokenKind::open_paren, TokenKind::by, TokenKind::without}));
  // `topk(5, x)`: a number and a comma; `sum(5 * x)` is an expression that begins with one.
  std::optional<std::string> parameter;
  Tree operand;
  if (at(TokenKind::number)) {
    const std::string text = token_.text;
    operand = TRY(parse_expr(0));
    if (std::holds_alternative<Number>(operand.expr->node) && at(TokenKind::comma)) {
      take();
      parameter = text;
      operand = TRY(parse_metric_argument());
    } else if (operand.expr->is_log()) {
      return unexpected();
    }
  } else {
    operand = TRY(parse_metric_argument());
  }
  TRY(expect(TokenKind::close_paren, {}));
  if (!aggregation.grouping && (at(TokenKind::by) || at(TokenKind::without))) {
    aggregation.grouping = TRY(parse_grouping());
  }
  aggregation.operand = std::move(operand.expr);
  check(aggregation, op.position, parameter);
  auto expr = std::make_unique<Expr>();
  expr->position = op.position;
  expr->node = std::move(aggregation);
  if (operand.depth + 1 > kMaxDepth) return error(op.position, kTooDeep);
  return Tree{std::move(expr), operand.depth + 1};
}

void Parser::check(VectorAggregation& aggregation, const Position& position,
                   const std::optional<std::string>& parameter) {
  const std::string_view name = to_string(aggregation.op);
  switch (aggregation.op) {
    case VectorOp::topk:
    case VectorOp::bottomk:
    case VectorOp::approx_topk: {
      if (!parameter) return refuse(position, fmt::format("parameter required for operation {}", name));
      std::int64_t k = 0;
      const char* end = parameter->data() + parameter->size();
      const auto [stop, failure] = std::from_chars(parameter->data(), end, k);
      if (failure != std::errc() || stop != end) {
        return refuse(position, fmt::format("invalid parameter {}({},", name, *parameter));
      }
      if (k <= 0) {
        return refuse(position, fmt::format("invalid parameter (must be greater than 0) {}({}", name, *parameter));
      }
      aggregation.parameter = k;
      if (aggregation.op == VectorOp::approx_topk && aggregation.grouping) {
        refuse(position, fmt::format("grouping not allowed for {} aggregation", name));
      }
      return;
    }
    default:
      if (parameter) refuse(position, fmt::format("unsupported parameter for operation {}({},", name, *parameter));
  }
  if ((aggregation.op == VectorOp::sort || aggregation.op == VectorOp::sort_desc) && aggregation.grouping &&
      !aggregation.grouping->labels.empty()) {
    refuse(position, "sort and sort_desc doesn't allow grouping by ");
  }
}

Result<Parser::Tree> Parser::parse_label_replace() {
  auto expr = std::make_unique<Expr>();
  expr->position = take().position;
  TRY(expect(TokenKind::open_paren));
  Tree operand = TRY(parse_metric_argument());
  LabelReplace replace;
  TRY(expect(TokenKind::comma, {}));
  replace.destination = TRY(expect(TokenKind::string)).text;
  TRY(expect(TokenKind::comma));
  replace.replacement = TRY(expect(TokenKind::string)).text;
  TRY(expect(TokenKind::comma));
  replace.source = TRY(expect(TokenKind::string)).text;
  TRY(expect(TokenKind::comma));
  const Token regex = TRY(expect(TokenKind::string));
  TRY(expect(TokenKind::close_paren));
  replace.regex = regex.text;
  const re2::RE2 program("^(?:" + replace.regex + ")$", re2::RE2::Quiet);
  if (!program.ok()) {
    refuse(regex.position, "invalid regex in label_replace: error parsing regexp: " + program.error());
  }
  replace.operand = std::move(operand.expr);
  expr->node = std::move(replace);
  if (operand.depth + 1 > kMaxDepth) return error(expr->position, kTooDeep);
  return Tree{std::move(expr), operand.depth + 1};
}

}  // namespace detail

Result<Expr> parse(std::string_view query) {
  if (query.size() >= kMaxInput) {
    return fail(ErrorKind::bad_input,
                fmt::format("parse error : input size too long ({} > {})", query.size(), kMaxInput));
  }
  return detail::Parser(query).parse_query();
}

Result<LogExpr> parse_log(std::string_view query) {
  Expr expr = TRY(parse(query));
  if (!expr.is_log()) return fail(ErrorKind::bad_input, "only log selector is supported");
  return std::get<LogExpr>(std::move(expr.node));
}

}  // namespace tocayo::logql
