// SPDX-License-Identifier: Apache-2.0
// Selectors, label sets, and what may stand behind a selector: [range], [range:step], offset, @, anchored, smoothed.
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "promql/parser_internal.h"

namespace tocayo::promql::detail {
namespace {

using enum TokenType;

std::optional<Matcher::Type> match_operator(TokenType type) {
  switch (type) {
    case equal: return Matcher::Type::equal;
    case op_neq: return Matcher::Type::not_equal;
    case op_eql_regex: return Matcher::Type::regex;
    case op_neq_regex: return Matcher::Type::not_regex;
    default: return std::nullopt;
  }
}

// RE2's words for what is wrong with a pattern, into those of Go, which clients know: "error parsing regexp: <what>:
// `<where>`".
std::string go_regexp_error(std::string message) {
  static constexpr std::pair<std::string_view, std::string_view> kWords[] = {
      {"missing )", "missing closing )"},
      {"missing ]", "missing closing ]"},
      {"unexpected )", "unexpected )"},
      {"no argument for repetition operator", "missing argument to repetition operator"},
      {"bad repetition operator", "invalid nested repetition operator"},
      {"invalid repetition size", "invalid repeat count"},
      {"invalid perl operator", "invalid or unsupported Perl syntax"},
      {"invalid character class range", "invalid character class range"},
      {"invalid escape sequence", "invalid escape sequence"},
      {"invalid named capture group", "invalid named capture"},
      {"trailing \\", "trailing backslash at end of expression"},
      {"invalid UTF-8", "invalid UTF-8"},
  };
  constexpr std::string_view kPrefix = "error parsing regexp: ";
  if (!message.starts_with(kPrefix)) return message;
  std::string_view rest = std::string_view(message).substr(kPrefix.size());
  for (auto [ours, theirs] : kWords) {
    if (!rest.starts_with(ours)) continue;
    std::string_view where = rest.substr(ours.size());
    where.remove_prefix(std::min(where.size(), where.starts_with(": ") ? std::size_t{2} : std::size_t{0}));
    return fmt::format("{}{}: `{}`", kPrefix, theirs, where);
  }
  return message;
}

// Where offset, @ and the extended modifiers of an expression are kept; all null when it cannot have them.
struct Modifiers {
  Duration* offset = nullptr;
  std::unique_ptr<DurationExpr>* offset_expr = nullptr;
  AtModifier* at = nullptr;
  std::optional<TimestampMs>* timestamp = nullptr;
  int* end_position = nullptr;
};

Modifiers modifiers_of(Expr& expr) {
  if (auto* selector = expr.as<VectorSelector>()) {
    return {&selector->original_offset, &selector->original_offset_expr, &selector->at, &selector->timestamp,
            &selector->position.end};
  }
  if (auto* matrix = expr.as<MatrixSelector>()) {
    Modifiers inner = modifiers_of(*matrix->selector);
    inner.end_position = &matrix->end_position;
    return inner;
  }
  if (auto* subquery = expr.as<SubqueryExpr>()) {
    return {&subquery->original_offset, &subquery->original_offset_expr, &subquery->at, &subquery->timestamp,
            &subquery->end_position};
  }
  return {};
}

}  // namespace

std::unique_ptr<VectorSelector> Parser::parse_selector() {
  auto selector = std::make_unique<VectorSelector>();
  selector->position = range(peek());
  if (!is(left_brace)) selector->name = text(take());
  if (is(left_brace) && !parse_matchers(*selector)) return nullptr;
  if (!selector->name.empty()) selector->matchers.push_back(Matcher::equal(std::string(kMetricName), selector->name));
  return selector;
}

bool Parser::parse_matchers(VectorSelector& selector) {
  take();
  if (!is(right_brace)) {
    for (;;) {
      if (!parse_matcher(selector.matchers)) return false;
      if (is(comma))
        take();
      else if (!is(right_brace))
        return unexpected("label matching", "\",\" or \"}\""), false;
      if (is(right_brace)) break;
    }
  }
  selector.position.end = static_cast<int>(take().stop);
  return true;
}

bool Parser::parse_matcher(std::vector<Matcher>& matchers) {
  if (!is(identifier) && !is(string)) return unexpected("label matching", "identifier or \"}\""), false;
  Token name_token = take();
  std::string name(text(name_token));
  if (name_token.type == string && !string_value(name_token, name)) return false;
  auto op = match_operator(peek().type);
  if (!op) {
    if (name_token.type == identifier) return unexpected("label matching", "label matching operator"), false;
    // A quoted name alone is the metric's name.
    matchers.push_back(Matcher::equal(std::string(kMetricName), std::move(name)));
    return true;
  }
  take();
  if (!is(string)) return unexpected("label matching", "string"), false;
  Token value_token = take();
  std::string value;
  if (!string_value(value_token, value)) return false;
  auto matcher = Matcher::create(*op, std::move(name), std::move(value));
  if (!matcher) {
    return fail({static_cast<int>(name_token.start), static_cast<int>(value_token.stop)},
                go_regexp_error(std::move(matcher.error().message))),
           false;
  }
  matchers.push_back(std::move(*matcher));
  return true;
}

bool Parser::metric(Labels& labels) {
  std::vector<Label> list;
  auto parse_one = [&] {
    if (!is(identifier) && !is(string)) return unexpected("label set", "identifier or \"}\""), false;
    Token name_token = take();
    std::string name(text(name_token));
    if (name_token.type == string && !string_value(name_token, name)) return false;
    if (!is(equal)) {
      if (name_token.type == identifier) return unexpected("label set", "\"=\""), false;
      list.push_back({std::string(kMetricName), std::move(name)});
      return true;
    }
    take();
    if (!is(string)) return unexpected("label set", "string"), false;
    std::string value;
    if (!string_value(take(), value)) return false;
    list.push_back({std::move(name), std::move(value)});
    return true;
  };
  std::string metric_name;
  if (!is(left_brace)) {
    if (is(end) || is(TokenType::error) || is(number) || is(string)) return unexpected("", ""), false;
    metric_name = text(take());
  }
  if (is(left_brace)) {
    take();
    while (!is(right_brace)) {
      if (!parse_one()) return false;
      if (is(comma))
        take();
      else if (!is(right_brace))
        return unexpected("label set", "\",\" or \"}\""), false;
    }
    take();
  }
  if (!is(end)) return unexpected("", ""), false;
  if (!metric_name.empty()) list.push_back({std::string(kMetricName), std::move(metric_name)});
  labels = Labels(std::move(list));
  return true;
}

ExprPtr Parser::parse_brackets(ExprPtr expr) {
  int below = depth_;
  Token open = take();
  Duration span{0}, step{0};
  std::unique_ptr<DurationExpr> span_expr, step_expr;
  if (!parse_positive(span, span_expr, "subquery or range selector", "number, duration, step(), or range()"))
    return nullptr;
  if (is(right_bracket)) {
    depth_ = below;
    return finish_matrix(std::move(expr), open, span, std::move(span_expr));
  }
  if (!is(colon)) return unexpected("subquery or range", "\":\" or \"]\"");
  take();
  if (!is(right_bracket)) {
    if (!parse_positive(step, step_expr, "subquery selector", "number, duration, step(), range(), or \"]\""))
      return nullptr;
    if (!is(right_bracket)) return unexpected("subquery selector", "\"]\"");
  }
  take();
  if (!deepen(below, range(open))) return nullptr;
  auto subquery = std::make_unique<SubqueryExpr>();
  subquery->expr = std::move(expr);
  subquery->range = span;
  subquery->range_expr = std::move(span_expr);
  subquery->step = step;
  subquery->step_expr = std::move(step_expr);
  subquery->end_position = last_closing_;
  return subquery;
}

ExprPtr Parser::finish_matrix(ExprPtr expr, const Token& open, Duration span, std::unique_ptr<DurationExpr> span_expr) {
  Token close = take();
  PositionRange brackets{static_cast<int>(open.start), static_cast<int>(close.stop)};
  auto* selector = expr->as<VectorSelector>();
  if (!selector) return fail(brackets, "ranges only allowed for vector selectors");
  if (selector->original_offset.count() != 0 || selector->original_offset_expr) {
    return fail(brackets, "no offset modifiers allowed before range");
  }
  if (selector->at != AtModifier::none) return fail(brackets, "no @ modifiers allowed before range");
  if (!deepen(depth_, brackets)) return nullptr;
  auto matrix = std::make_unique<MatrixSelector>();
  static_cast<void>(expr.release());
  matrix->selector.reset(selector);
  matrix->range = span;
  matrix->range_expr = std::move(span_expr);
  matrix->end_position = last_closing_;
  return matrix;
}

ExprPtr Parser::parse_offset(ExprPtr expr) {
  take();
  int below = depth_;
  ExprPtr value = parse_offset_value();
  if (!value) return nullptr;
  depth_ = below;
  Modifiers target = modifiers_of(*expr);
  if (!target.offset) {
    return fail(
        position_of(*expr),
        "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery");
  }
  if (target.offset->count() != 0 || *target.offset_expr)
    return fail(position_of(*expr), "offset may not be set multiple times");
  split_duration(std::move(value), *target.offset, *target.offset_expr);
  *target.end_position = last_closing_;
  return expr;
}

ExprPtr Parser::parse_at(ExprPtr expr) {
  take();
  AtModifier kind = AtModifier::timestamp;
  double seconds = 0;
  if (is(pre_start) || is(pre_end)) {
    kind = take().type == pre_start ? AtModifier::start : AtModifier::end;
    if (!is(left_paren)) return unexpected("@", "timestamp");
    take();
    if (!is(right_paren)) return unexpected("@", "timestamp");
    take();
  } else {
    bool negative = false;
    if (is(op_add) || is(op_sub)) negative = take().type == op_sub;
    if (!is(number) && !is(duration)) return unexpected("@", "timestamp");
    if (!number_value(take(), seconds)) return nullptr;
    if (negative) seconds = -seconds;
    constexpr double kMost = 9223372036854775807.0;
    if (!std::isfinite(seconds) || seconds >= kMost || seconds <= -kMost) {
      std::string shown = std::isnan(seconds)   ? "NaN"
                          : std::isinf(seconds) ? (seconds > 0 ? "+Inf" : "-Inf")
                                                : fmt::format("{:f}", seconds);
      return fail(position_of(*expr), "timestamp out of bounds for @ modifier: " + shown);
    }
  }
  Modifiers target = modifiers_of(*expr);
  if (!target.at) {
    return fail(position_of(*expr),
                "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery");
  }
  if (*target.at != AtModifier::none) return fail(position_of(*expr), "@ <timestamp> may not be set multiple times");
  *target.at = kind;
  if (kind == AtModifier::timestamp) {
    double milliseconds = std::round(seconds * 1000);
    constexpr double kMost = 9223372036854775807.0;
    *target.timestamp = milliseconds >= kMost    ? std::numeric_limits<TimestampMs>::max()
                        : milliseconds <= -kMost ? std::numeric_limits<TimestampMs>::min()
                                                 : static_cast<TimestampMs>(milliseconds);
  }
  *target.end_position = last_closing_;
  return expr;
}

ExprPtr Parser::parse_extended(ExprPtr expr) {
  bool anchored = take().type == kw_anchored;
  std::string_view name = anchored ? "anchored" : "smoothed";
  PositionRange position = position_of(*expr);
  if (!options_.extended_ranges)
    return fail(position, fmt::format("{} modifier is experimental and not enabled", name));
  auto* selector = expr->as<VectorSelector>();
  if (auto* matrix = expr->as<MatrixSelector>()) selector = matrix->selector.get();
  if (!selector) {
    bool subquery = expr->kind == Kind::subquery;
    return fail(position,
                fmt::format("{} modifier {}", name, subquery ? "is not supported for subqueries" : "not implemented"));
  }
  (anchored ? selector->anchored : selector->smoothed) = true;
  if (selector->anchored && selector->smoothed)
    return fail(position, "anchored and smoothed modifiers cannot be used together");
  return expr;
}

}  // namespace tocayo::promql::detail
