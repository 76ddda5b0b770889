// SPDX-License-Identifier: Apache-2.0
// Selectors, pipelines, ranges and label filters.
#include <fmt/format.h>

#include <algorithm>

#include "logql/syntax/literals.h"
#include "logql/syntax/parser_internal.h"

namespace tocayo::logql {

namespace detail {

namespace {

bool starts_line_filter(TokenKind kind) {
  switch (kind) {
    case TokenKind::pipe_exact:
    case TokenKind::pipe_match:
    case TokenKind::pipe_pattern:
    case TokenKind::not_equal:
    case TokenKind::regex_not_match:
    case TokenKind::pattern_not_match: return true;
    default: return false;
  }
}

LineFilterStage::Match line_match(TokenKind kind) {
  using Match = LineFilterStage::Match;
  switch (kind) {
    case TokenKind::not_equal: return Match::not_contains;
    case TokenKind::pipe_match: return Match::regex;
    case TokenKind::regex_not_match: return Match::not_regex;
    case TokenKind::pipe_pattern: return Match::pattern;
    case TokenKind::pattern_not_match: return Match::not_pattern;
    default: return Match::contains;
  }
}

// Appends to a chain of the same kind, or makes one: `a and b and c` is one node with three operands.
LabelFilter join(LabelFilter::Kind kind, LabelFilter left, bool extend, LabelFilter right) {
  if (extend) {
    left.operands.push_back(std::move(right));
    return left;
  }
  LabelFilter joined;
  joined.kind = kind;
  joined.position = left.position;
  joined.operands.push_back(std::move(left));
  joined.operands.push_back(std::move(right));
  return joined;
}

}  // namespace

Result<LogExpr> Parser::parse_log_expr(bool stop_at_unwrap, std::optional<Unwrap>* unwrap) {
  LogExpr log;
  log.position = token_.position;
  log.matchers = TRY(parse_selector());
  TRY(parse_stages(log, stop_at_unwrap ? unwrap : nullptr));
  return log;
}

Result<std::vector<Matcher>> Parser::parse_bare_selector() {
  std::vector<Matcher> matchers = TRY(parse_selector());
  if (!at(TokenKind::end)) return unexpected();
  return matchers;
}

Result<std::vector<Matcher>> Parser::parse_selector() {
  TRY(expect(TokenKind::open_brace));
  std::vector<Matcher> matchers;
  if (accept(TokenKind::close_brace)) return matchers;
  Token name = TRY(expect(TokenKind::identifier, {TokenKind::identifier, TokenKind::close_brace}));
  while (true) {
    switch (token_.kind) {
      case TokenKind::equal:
      case TokenKind::not_equal:
      case TokenKind::regex_match:
      case TokenKind::regex_not_match: break;
      default:
        return unexpected({TokenKind::equal, TokenKind::not_equal, TokenKind::regex_match, TokenKind::regex_not_match});
    }
    matchers.push_back(TRY(parse_matcher(name)));
    if (accept(TokenKind::close_brace)) return matchers;
    TRY(expect(TokenKind::comma, {TokenKind::close_brace, TokenKind::comma}));
    name = TRY(expect(TokenKind::identifier));
  }
}

// The operator is the current token, one of the four of a matcher.
Result<Matcher> Parser::parse_matcher(const Token& name) {
  Matcher::Type type = Matcher::Type::equal;
  switch (take().kind) {
    case TokenKind::not_equal: type = Matcher::Type::not_equal; break;
    case TokenKind::regex_match: type = Matcher::Type::regex; break;
    case TokenKind::regex_not_match: type = Matcher::Type::not_regex; break;
    default: break;
  }
  Token value = TRY(expect(TokenKind::string));
  auto matcher = Matcher::create(type, name.text, std::move(value.text));
  if (!matcher) {
    std::string message = std::move(matcher.error().message);
    if (!message.contains("error parsing regexp")) message = "error parsing regexp: " + message;
    return error(value.position, message);
  }
  return matcher;
}

// With `unwrap` a `| unwrap` ends the stages and is parsed into it; without it is a syntax error.
Result<> Parser::parse_stages(LogExpr& log, std::optional<Unwrap>* unwrap) {
  while (true) {
    if (starts_line_filter(token_.kind)) {
      log.stages.push_back(TRY(parse_line_filter()));
    } else if (at(TokenKind::pipe)) {
      const Position position = take().position;
      if (at(TokenKind::unwrap) && unwrap != nullptr) {
        *unwrap = TRY(parse_unwrap(position));
        return {};
      }
      log.stages.push_back(TRY(parse_piped_stage(position)));
    } else {
      return {};
    }
  }
}

Result<LineFilterStage::Operand> Parser::parse_line_operand() {
  if (accept(TokenKind::ip)) {
    TRY(expect(TokenKind::open_paren));
    Token text = TRY(expect(TokenKind::string));
    TRY(expect(TokenKind::close_paren));
    return LineFilterStage::Operand{std::move(text.text), true};
  }
  Token text = TRY(expect(TokenKind::string, {TokenKind::string, TokenKind::ip}));
  return LineFilterStage::Operand{std::move(text.text), false};
}

Result<Stage> Parser::parse_line_filter() {
  const Token op = take();
  LineFilterStage filter;
  filter.match = line_match(op.kind);
  do {
    filter.operands.push_back(TRY(parse_line_operand()));
  } while (accept(TokenKind::kw_or));
  const bool any_ip = std::ranges::any_of(filter.operands, &LineFilterStage::Operand::ip);
  if (any_ip && filter.match != LineFilterStage::Match::contains &&
      filter.match != LineFilterStage::Match::not_contains) {
    refuse(op.position, "ip: invalid operation");
  }
  return Stage{op.position, std::move(filter)};
}

Result<Stage> Parser::parse_piped_stage(const Position& position) {
  switch (token_.kind) {
    case TokenKind::json: return Stage{position, TRY(parse_json())};
    case TokenKind::logfmt: return Stage{position, TRY(parse_logfmt())};
    case TokenKind::regexp: take(); return Stage{position, RegexpStage{TRY(expect(TokenKind::string)).text}};
    case TokenKind::pattern: take(); return Stage{position, PatternStage{TRY(expect(TokenKind::string)).text}};
    case TokenKind::unpack: take(); return Stage{position, UnpackStage{}};
    case TokenKind::line_format: take(); return Stage{position, LineFormatStage{TRY(expect(TokenKind::string)).text}};
    case TokenKind::label_format: return Stage{position, TRY(parse_label_format())};
    case TokenKind::decolorize: take(); return Stage{position, DecolorizeStage{}};
    case TokenKind::drop: take(); return Stage{position, DropStage{TRY(parse_named_matchers())}};
    case TokenKind::keep: take(); return Stage{position, KeepStage{TRY(parse_named_matchers())}};
    case TokenKind::identifier:
    case TokenKind::open_paren: return Stage{position, LabelFilterStage{TRY(parse_label_filter(0))}};
    default: return unexpected();
  }
}

Result<std::vector<Extraction>> Parser::parse_extractions() {
  std::vector<Extraction> extractions;
  do {
    Token name = TRY(expect(TokenKind::identifier));
    Extraction extraction{name.text, std::move(name.text)};
    if (accept(TokenKind::equal)) extraction.expression = TRY(expect(TokenKind::string)).text;
    extractions.push_back(std::move(extraction));
  } while (accept(TokenKind::comma));
  return extractions;
}

Result<JsonStage> Parser::parse_json() {
  take();
  JsonStage stage;
  if (at(TokenKind::identifier)) stage.extractions = TRY(parse_extractions());
  return stage;
}

Result<LogfmtStage> Parser::parse_logfmt() {
  take();
  LogfmtStage stage;
  while (at(TokenKind::function_flag)) (take().text == "--strict" ? stage.strict : stage.keep_empty) = true;
  if (at(TokenKind::identifier)) stage.extractions = TRY(parse_extractions());
  return stage;
}

Result<LabelFormatStage> Parser::parse_label_format() {
  take();
  LabelFormatStage stage;
  do {
    LabelFormatStage::Assignment assignment;
    assignment.name = TRY(expect(TokenKind::identifier)).text;
    TRY(expect(TokenKind::equal));
    assignment.rename = at(TokenKind::identifier);
    if (!assignment.rename && !at(TokenKind::string)) return unexpected({TokenKind::identifier, TokenKind::string});
    assignment.value = take().text;
    stage.assignments.push_back(std::move(assignment));
  } while (accept(TokenKind::comma));
  return stage;
}

Result<std::vector<NamedMatcher>> Parser::parse_named_matchers() {
  std::vector<NamedMatcher> matchers;
  do {
    Token name = TRY(expect(TokenKind::identifier));
    NamedMatcher matcher;
    switch (token_.kind) {
      case TokenKind::equal:
      case TokenKind::not_equal:
      case TokenKind::regex_match:
      case TokenKind::regex_not_match: matcher.matcher = TRY(parse_matcher(name)); break;
      default: break;
    }
    matcher.name = std::move(name.text);
    matchers.push_back(std::move(matcher));
  } while (accept(TokenKind::comma));
  return matchers;
}

Result<Unwrap> Parser::parse_unwrap(const Position& position) {
  take();
  Unwrap unwrap;
  unwrap.position = position;
  switch (token_.kind) {
    case TokenKind::bytes_conversion: unwrap.conversion = Unwrap::Conversion::bytes; break;
    case TokenKind::duration_conversion: unwrap.conversion = Unwrap::Conversion::duration; break;
    case TokenKind::duration_seconds_conversion: unwrap.conversion = Unwrap::Conversion::duration_seconds; break;
    case TokenKind::identifier: break;
    default:
      return unexpected({TokenKind::identifier, TokenKind::bytes_conversion, TokenKind::duration_conversion,
                         TokenKind::duration_seconds_conversion});
  }
  if (unwrap.conversion != Unwrap::Conversion::none) {
    take();
    TRY(expect(TokenKind::open_paren));
  }
  unwrap.label = TRY(expect(TokenKind::identifier)).text;
  if (unwrap.conversion != Unwrap::Conversion::none) TRY(expect(TokenKind::close_paren));
  while (accept(TokenKind::pipe)) unwrap.filters.push_back(TRY(parse_label_filter(0)));
  return unwrap;
}

Result<Parser::PartialRange> Parser::parse_range() {
  DepthGuard guard(*this);
  if (!guard) return error(token_.position, kTooDeep);
  PartialRange partial;
  if (accept(TokenKind::open_paren)) {
    partial = TRY(parse_range());
    TRY(expect(TokenKind::close_paren, {}));
    partial.pipeline_may_follow = false;
    if (partial.has_interval) return partial;
  } else {
    if (!at(TokenKind::open_brace)) return unexpected({TokenKind::open_brace, TokenKind::open_paren});
    partial.range.log = TRY(parse_log_expr(true, &partial.range.unwrap));
    partial.pipeline_may_follow = partial.range.log.stages.empty() && !partial.range.unwrap;
  }
  if (at(TokenKind::range)) TRY(parse_interval(partial));
  return partial;
}

Result<> Parser::parse_interval(PartialRange& partial) {
  partial.range.interval_ns = take().duration_ns;
  partial.has_interval = true;
  if (accept(TokenKind::offset)) partial.range.offset_ns = TRY(expect(TokenKind::duration)).duration_ns;
  // What follows the interval applies before it, as if it had been written there.
  if (partial.pipeline_may_follow) {
    TRY(parse_stages(partial.range.log, &partial.range.unwrap));
  } else if (at(TokenKind::pipe) && partial.range.log.stages.empty() && !partial.range.unwrap) {
    const Position position = take().position;
    if (!at(TokenKind::unwrap)) return unexpected();
    partial.range.unwrap = TRY(parse_unwrap(position));
  }
  return {};
}

// Operators of label filters as the grammar of Loki ranks them: `and` binds tighter than `or`; a comma or mere
// juxtaposition takes everything to its right as its right operand.
Result<LabelFilter> Parser::parse_label_filter(int min_precedence) {
  DepthGuard guard(*this);
  if (!guard) return error(token_.position, kTooDeep);
  using Kind = LabelFilter::Kind;
  LabelFilter left = TRY(parse_label_condition());
  std::optional<Kind> chain;  // what `left` was joined by at this level, so that it may be extended
  while (true) {
    switch (token_.kind) {
      case TokenKind::kw_and: {
        if (min_precedence > 2) return left;
        take();
        LabelFilter right = TRY(parse_label_filter(3));
        left = join(Kind::all, std::move(left), chain == Kind::all, std::move(right));
        chain = Kind::all;
        break;
      }
      case TokenKind::kw_or: {
        if (min_precedence > 1) return left;
        take();
        LabelFilter right = TRY(parse_label_filter(2));
        left = join(Kind::any, std::move(left), chain == Kind::any, std::move(right));
        chain = Kind::any;
        break;
      }
      case TokenKind::comma:
      case TokenKind::identifier:
      case TokenKind::open_paren: {
        accept(TokenKind::comma);
        LabelFilter right = TRY(parse_label_filter(0));
        return join(Kind::all, std::move(left), chain == Kind::all, std::move(right));
      }
      default: return left;
    }
  }
}

Result<LabelFilter> Parser::parse_label_condition() {
  LabelFilter filter;
  filter.position = token_.position;
  if (accept(TokenKind::open_paren)) {
    filter = TRY(parse_label_filter(0));
    TRY(expect(TokenKind::close_paren, {}));
    return filter;
  }
  const Token name = TRY(expect(TokenKind::identifier, {}));
  filter.name = name.text;
  using Compare = LabelFilter::Compare;
  bool text_or_ip = false;
  switch (token_.kind) {
    case TokenKind::equal:
      filter.compare = Compare::equal;
      text_or_ip = true;
      break;
    case TokenKind::not_equal:
      filter.compare = Compare::not_equal;
      text_or_ip = true;
      break;
    case TokenKind::compare_equal: filter.compare = Compare::equal; break;
    case TokenKind::greater: filter.compare = Compare::greater; break;
    case TokenKind::greater_or_equal: filter.compare = Compare::greater_or_equal; break;
    case TokenKind::less: filter.compare = Compare::less; break;
    case TokenKind::less_or_equal: filter.compare = Compare::less_or_equal; break;
    case TokenKind::regex_match:
    case TokenKind::regex_not_match:
      filter.matcher = TRY(parse_matcher(name));
      filter.compare = filter.matcher->negative() ? Compare::not_equal : Compare::equal;
      return filter;
    default: return unexpected();
  }
  Token op = take();
  bool negative = false;
  switch (token_.kind) {
    case TokenKind::string: {
      if (!text_or_ip) return unexpected();
      filter.matcher = *Matcher::create(op.kind == TokenKind::equal ? Matcher::Type::equal : Matcher::Type::not_equal,
                                        name.text, take().text);
      return filter;
    }
    case TokenKind::ip: {
      if (!text_or_ip) return unexpected();
      take();
      TRY(expect(TokenKind::open_paren));
      filter.kind = LabelFilter::Kind::ip;
      filter.ip = TRY(expect(TokenKind::string)).text;
      TRY(expect(TokenKind::close_paren));
      return filter;
    }
    case TokenKind::duration:
      filter.kind = LabelFilter::Kind::duration;
      filter.duration_ns = take().duration_ns;
      return filter;
    case TokenKind::bytes:
      filter.kind = LabelFilter::Kind::bytes;
      filter.bytes = take().bytes;
      return filter;
    case TokenKind::add:
    case TokenKind::subtract: negative = take().kind == TokenKind::subtract; [[fallthrough]];
    case TokenKind::number: {
      const Token number = TRY(expect(TokenKind::number));
      auto value = parse_go_float(number.text);
      if (!value) return error(number.position, "unable to parse literal as a float: " + value.error().message);
      filter.kind = LabelFilter::Kind::number;
      filter.number = negative ? -*value : *value;
      return filter;
    }
    default: return unexpected();
  }
}

}  // namespace detail

Result<std::vector<Matcher>> parse_matchers(std::string_view selector, bool allow_empty) {
  auto expr = parse(selector);
  if (!expr && allow_empty && selector.size() < kMaxInput) return detail::Parser(selector).parse_bare_selector();
  if (!expr) return std::unexpected(std::move(expr.error()));
  auto* log = std::get_if<LogExpr>(&expr->node);
  if (log == nullptr || !log->stages.empty()) return fail(ErrorKind::bad_input, "only label matchers are supported");
  return std::move(log->matchers);
}

}  // namespace tocayo::logql
