// SPDX-License-Identifier: Apache-2.0
#include "logql/syntax/lexer.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "core/text.h"
#include "core/utf8.h"
#include "logql/syntax/literals.h"

namespace tocayo::logql {

namespace {

struct Keyword {
  std::string_view word;
  TokenKind kind;
  std::uint8_t op = 0;
};

constexpr std::uint8_t code(RangeOp op) { return static_cast<std::uint8_t>(op); }
constexpr std::uint8_t code(VectorOp op) { return static_cast<std::uint8_t>(op); }

// Keywords only where a call follows.
constexpr std::array kFunctions{
    Keyword{"rate", TokenKind::range_op, code(RangeOp::rate)},
    Keyword{"rate_counter", TokenKind::range_op, code(RangeOp::rate_counter)},
    Keyword{"count_over_time", TokenKind::range_op, code(RangeOp::count_over_time)},
    Keyword{"bytes_rate", TokenKind::range_op, code(RangeOp::bytes_rate)},
    Keyword{"bytes_over_time", TokenKind::range_op, code(RangeOp::bytes_over_time)},
    Keyword{"avg_over_time", TokenKind::range_op, code(RangeOp::avg_over_time)},
    Keyword{"sum_over_time", TokenKind::range_op, code(RangeOp::sum_over_time)},
    Keyword{"min_over_time", TokenKind::range_op, code(RangeOp::min_over_time)},
    Keyword{"max_over_time", TokenKind::range_op, code(RangeOp::max_over_time)},
    Keyword{"stdvar_over_time", TokenKind::range_op, code(RangeOp::stdvar_over_time)},
    Keyword{"stddev_over_time", TokenKind::range_op, code(RangeOp::stddev_over_time)},
    Keyword{"quantile_over_time", TokenKind::range_op, code(RangeOp::quantile_over_time)},
    Keyword{"first_over_time", TokenKind::range_op, code(RangeOp::first_over_time)},
    Keyword{"last_over_time", TokenKind::range_op, code(RangeOp::last_over_time)},
    Keyword{"absent_over_time", TokenKind::range_op, code(RangeOp::absent_over_time)},
    Keyword{"vector", TokenKind::vector},
    Keyword{"sum", TokenKind::vector_op, code(VectorOp::sum)},
    Keyword{"avg", TokenKind::vector_op, code(VectorOp::avg)},
    Keyword{"max", TokenKind::vector_op, code(VectorOp::max)},
    Keyword{"min", TokenKind::vector_op, code(VectorOp::min)},
    Keyword{"count", TokenKind::vector_op, code(VectorOp::count)},
    Keyword{"stddev", TokenKind::vector_op, code(VectorOp::stddev)},
    Keyword{"stdvar", TokenKind::vector_op, code(VectorOp::stdvar)},
    Keyword{"bottomk", TokenKind::vector_op, code(VectorOp::bottomk)},
    Keyword{"topk", TokenKind::vector_op, code(VectorOp::topk)},
    Keyword{"sort", TokenKind::vector_op, code(VectorOp::sort)},
    Keyword{"sort_desc", TokenKind::vector_op, code(VectorOp::sort_desc)},
    Keyword{"approx_topk", TokenKind::vector_op, code(VectorOp::approx_topk)},
    Keyword{"label_replace", TokenKind::label_replace},
    Keyword{"bytes", TokenKind::bytes_conversion},
    Keyword{"duration", TokenKind::duration_conversion},
    Keyword{"duration_seconds", TokenKind::duration_seconds_conversion},
    Keyword{"ip", TokenKind::ip},
};

constexpr std::array kKeywords{
    Keyword{"unwrap", TokenKind::unwrap},
    Keyword{"by", TokenKind::by},
    Keyword{"without", TokenKind::without},
    Keyword{"bool", TokenKind::kw_bool},
    Keyword{"offset", TokenKind::offset},
    Keyword{"on", TokenKind::on},
    Keyword{"ignoring", TokenKind::ignoring},
    Keyword{"group_left", TokenKind::group_left},
    Keyword{"group_right", TokenKind::group_right},
    Keyword{"or", TokenKind::kw_or},
    Keyword{"and", TokenKind::kw_and},
    Keyword{"unless", TokenKind::unless},
    Keyword{"json", TokenKind::json},
    Keyword{"regexp", TokenKind::regexp},
    Keyword{"logfmt", TokenKind::logfmt},
    Keyword{"unpack", TokenKind::unpack},
    Keyword{"pattern", TokenKind::pattern},
    Keyword{"label_format", TokenKind::label_format},
    Keyword{"line_format", TokenKind::line_format},
    Keyword{"decolorize", TokenKind::decolorize},
    Keyword{"drop", TokenKind::drop},
    Keyword{"keep", TokenKind::keep},
};

// Longer ones before their prefixes.
constexpr std::array kOperators{
    Keyword{"=~", TokenKind::regex_match},
    Keyword{"==", TokenKind::compare_equal},
    Keyword{"!=", TokenKind::not_equal},
    Keyword{"!~", TokenKind::regex_not_match},
    Keyword{"!>", TokenKind::pattern_not_match},
    Keyword{"|=", TokenKind::pipe_exact},
    Keyword{"|~", TokenKind::pipe_match},
    Keyword{"|>", TokenKind::pipe_pattern},
    Keyword{">=", TokenKind::greater_or_equal},
    Keyword{"<=", TokenKind::less_or_equal},
    Keyword{"=", TokenKind::equal},
    Keyword{"|", TokenKind::pipe},
    Keyword{">", TokenKind::greater},
    Keyword{"<", TokenKind::less},
    Keyword{",", TokenKind::comma},
    Keyword{".", TokenKind::dot},
    Keyword{"{", TokenKind::open_brace},
    Keyword{"}", TokenKind::close_brace},
    Keyword{"(", TokenKind::open_paren},
    Keyword{")", TokenKind::close_paren},
    Keyword{"+", TokenKind::add},
    Keyword{"-", TokenKind::subtract},
    Keyword{"*", TokenKind::multiply},
    Keyword{"/", TokenKind::divide},
    Keyword{"%", TokenKind::modulo},
    Keyword{"^", TokenKind::power},
};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool is_word(char c) { return is_word_start(c) || is_digit(c); }
bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

bool equals_folded(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() && std::ranges::equal(text, lower, [](char a, char b) {
           return std::tolower(static_cast<unsigned char>(a)) == b;
         });
}

template <typename Table>
const Keyword* find(const Table& table, std::string_view word) {
  for (const Keyword& keyword : table) {
    if (equals_folded(word, keyword.word)) return &keyword;
  }
  return nullptr;
}

}  // namespace

std::string_view token_name(TokenKind kind) {
  switch (kind) {
    case TokenKind::end: return "$end";
    case TokenKind::error: return "error";
    case TokenKind::bytes: return "BYTES";
    case TokenKind::identifier: return "IDENTIFIER";
    case TokenKind::string: return "STRING";
    case TokenKind::number: return "NUMBER";
    case TokenKind::function_flag: return "FUNCTION_FLAG";
    case TokenKind::duration: return "DURATION";
    case TokenKind::range: return "RANGE";
    case TokenKind::range_op:
    case TokenKind::vector_op: return "function";
    case TokenKind::vector: return "VECTOR";
    case TokenKind::bytes_conversion: return "BYTES_CONV";
    case TokenKind::duration_conversion: return "DURATION_CONV";
    case TokenKind::duration_seconds_conversion: return "DURATION_SECONDS_CONV";
    case TokenKind::label_replace: return "label_replace";
    case TokenKind::ip: return "ip";
    default: break;
  }
  for (const Keyword& keyword : kKeywords) {
    if (keyword.kind == kind) return keyword.word;
  }
  for (const Keyword& keyword : kOperators) {
    if (keyword.kind == kind) return keyword.word;
  }
  return "token";
}

std::string_view token_name(const Token& token) {
  static constexpr std::array<std::string_view, 15> kRange{"COUNT_OVER_TIME",  "RATE",
                                                           "RATE_COUNTER",     "BYTES_OVER_TIME",
                                                           "BYTES_RATE",       "AVG_OVER_TIME",
                                                           "SUM_OVER_TIME",    "MIN_OVER_TIME",
                                                           "MAX_OVER_TIME",    "STDVAR_OVER_TIME",
                                                           "STDDEV_OVER_TIME", "QUANTILE_OVER_TIME",
                                                           "FIRST_OVER_TIME",  "LAST_OVER_TIME",
                                                           "ABSENT_OVER_TIME"};
  static constexpr std::array<std::string_view, 12> kVector{
      "SUM", "AVG", "COUNT", "MAX", "MIN", "STDDEV", "STDVAR", "BOTTOMK", "TOPK", "SORT", "SORT_DESC", "APPROX_TOPK"};
  if (token.kind == TokenKind::range_op) return kRange[token.op];
  if (token.kind == TokenKind::vector_op) return kVector[token.op];
  return token_name(token.kind);
}

void Lexer::advance(std::size_t bytes) {
  for (std::size_t i = 0; i < bytes && offset_ < input_.size(); ++i, ++offset_) {
    if (input_[offset_] == '\n') {
      ++line_;
      column_ = 1;
    } else if (!is_continuation(input_[offset_])) {
      ++column_;
    }
  }
}

Token Lexer::fail(Token token, std::string message) {
  token.kind = TokenKind::error;
  error_ = std::move(message);
  return token;
}

bool Lexer::skip_space_and_comments() {
  while (offset_ < input_.size()) {
    const char c = input_[offset_];
    if (is_space(c)) {
      advance(1);
    } else if (c == '#' || (c == '/' && at(offset_ + 1) == '/')) {
      const std::size_t end = input_.find('\n', offset_);
      advance((end == std::string_view::npos ? input_.size() : end) - offset_);
    } else if (c == '/' && at(offset_ + 1) == '*') {
      const std::size_t end = input_.find("*/", offset_ + 2);
      if (end == std::string_view::npos) return false;
      advance(end + 2 - offset_);
    } else {
      break;
    }
  }
  return true;
}

Token Lexer::next() {
  const bool closed = skip_space_and_comments();
  Token token;
  token.position = {line_, column_, static_cast<std::uint32_t>(offset_)};
  if (!closed) return fail(std::move(token), "comment not terminated");
  if (offset_ >= input_.size()) return token;
  const char c = input_[offset_];
  if (is_digit(c) || (c == '.' && is_digit(at(offset_ + 1)))) {
    token = scan_number(std::move(token));
  } else if (c == '"' || c == '`') {
    token = scan_string(std::move(token));
  } else if (c == '[') {
    token = scan_range(std::move(token));
  } else if (is_word_start(c)) {
    token = scan_word(std::move(token));
  } else {
    token = scan_operator(std::move(token));
  }
  token.length = static_cast<std::uint32_t>(offset_) - token.position.offset;
  return token;
}

bool Lexer::try_duration(Token& token, std::size_t start, std::size_t stop) {
  std::size_t end = stop;
  while (end < input_.size()) {
    const char c = input_[end];
    if (is_digit(c) || c == '.' || std::string_view("numshdwy").contains(c)) {
      ++end;
    } else if (input_.substr(end).starts_with("µ")) {
      end += 2;
    } else {
      break;
    }
  }
  if (end == stop) return false;
  auto duration = parse_go_or_prometheus_duration(input_.substr(start, end - start));
  if (!duration) return false;
  token.kind = TokenKind::duration;
  token.duration_ns = *duration;
  advance(end - offset_);
  return true;
}

bool Lexer::try_bytes(Token& token, std::size_t start, std::size_t stop) {
  std::size_t end = stop;
  while (end < input_.size() && (is_digit(input_[end]) || std::string_view("BikKMGTP.").contains(input_[end]))) ++end;
  if (end == stop) return false;
  auto bytes = parse_human_bytes(input_.substr(start, end - start));
  if (!bytes) return false;
  token.kind = TokenKind::bytes;
  token.bytes = *bytes;
  advance(end - offset_);
  return true;
}

Token Lexer::scan_number(Token token) {
  const std::size_t start = offset_;
  std::size_t stop = offset_;
  if (at(stop) == '0' && (at(stop + 1) == 'x' || at(stop + 1) == 'X')) {
    stop += 2;
    while (std::isxdigit(static_cast<unsigned char>(at(stop))) != 0 || at(stop) == '_' || at(stop) == '.') ++stop;
    if (at(stop) == 'p' || at(stop) == 'P') {
      ++stop;
      if (at(stop) == '+' || at(stop) == '-') ++stop;
      while (is_digit(at(stop))) ++stop;
    }
  } else {
    while (is_digit(at(stop)) || at(stop) == '_') ++stop;
    if (at(stop) == '.') {
      ++stop;
      while (is_digit(at(stop)) || at(stop) == '_') ++stop;
    }
    if (at(stop) == 'e' || at(stop) == 'E') {
      std::size_t exponent = stop + 1;
      if (at(exponent) == '+' || at(exponent) == '-') ++exponent;
      if (is_digit(at(exponent))) {
        stop = exponent;
        while (is_digit(at(stop))) ++stop;
      }
    }
  }
  if (try_duration(token, start, stop) || try_bytes(token, start, stop)) return token;
  token.kind = TokenKind::number;
  token.text = std::string(input_.substr(start, stop - start));
  advance(stop - offset_);
  return token;
}

Token Lexer::scan_string(Token token) {
  const char quote = input_[offset_];
  std::size_t end = offset_ + 1;
  while (end < input_.size() && input_[end] != quote) {
    if (quote == '"' && input_[end] == '\n') return fail(std::move(token), "literal not terminated");
    end += quote == '"' && input_[end] == '\\' ? 2 : 1;
  }
  if (end >= input_.size()) return fail(std::move(token), "literal not terminated");
  const std::string_view literal = input_.substr(offset_, end + 1 - offset_);
  if (!is_valid_utf8(literal)) return fail(std::move(token), "invalid UTF-8 encoding");
  auto text = unquote(literal);
  if (!text) return fail(std::move(token), std::move(text.error().message));
  token.kind = TokenKind::string;
  token.text = std::move(*text);
  advance(literal.size());
  return token;
}

Token Lexer::scan_range(Token token) {
  const std::size_t end = input_.find(']', offset_);
  if (end == std::string_view::npos) return fail(std::move(token), "missing closing ']' in duration");
  auto duration = parse_range_duration(input_.substr(offset_ + 1, end - offset_ - 1));
  if (!duration) return fail(std::move(token), std::move(duration.error().message));
  token.kind = TokenKind::range;
  token.duration_ns = *duration;
  advance(end + 1 - offset_);
  return token;
}

bool Lexer::followed_by_call(std::size_t offset) const {
  const auto skip = [&] {
    while (is_space(at(offset)) && offset < input_.size()) ++offset;
  };
  skip();
  if (at(offset) == '(') return true;
  for (std::string_view word : {"by", "without"}) {
    if (equals_folded(input_.substr(std::min(offset, input_.size()), word.size()), word)) {
      offset += word.size();
      skip();
      return at(offset) == '(';
    }
  }
  return false;
}

Token Lexer::scan_word(Token token) {
  std::size_t end = offset_;
  while (end < input_.size() && is_word(input_[end])) ++end;
  const std::string_view word = input_.substr(offset_, end - offset_);
  if (!is_valid_utf8(word)) return fail(std::move(token), "invalid UTF-8 encoding");
  const Keyword* keyword = find(kFunctions, word);
  if (keyword != nullptr && !followed_by_call(end)) keyword = nullptr;
  if (keyword == nullptr) keyword = find(kKeywords, word);
  token.kind = keyword != nullptr ? keyword->kind : TokenKind::identifier;
  token.op = keyword != nullptr ? keyword->op : 0;
  if (keyword == nullptr) token.text = std::string(word);
  advance(word.size());
  return token;
}

Token Lexer::scan_operator(Token token) {
  const std::string_view rest = input_.substr(offset_);
  if (rest.starts_with('-')) {
    for (std::string_view flag : {"--strict", "--keep-empty"}) {
      if (rest.starts_with(flag) && !(is_word(at(offset_ + flag.size())) || at(offset_ + flag.size()) == '-')) {
        token.kind = TokenKind::function_flag;
        token.text = std::string(flag);
        advance(flag.size());
        return token;
      }
    }
    if (try_duration(token, offset_, offset_ + 1)) return token;
  }
  for (const Keyword& keyword : kOperators) {
    if (rest.starts_with(keyword.word)) {
      token.kind = keyword.kind;
      advance(keyword.word.size());
      return token;
    }
  }
  const utf8::Rune rune = utf8::decode(rest);
  if (!rune.valid) return fail(std::move(token), "invalid UTF-8 encoding");
  return fail(std::move(token), "syntax error: unexpected character " + go_quote(rest.substr(0, rune.size)));
}

}  // namespace tocayo::logql
