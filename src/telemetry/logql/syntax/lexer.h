// SPDX-License-Identifier: Apache-2.0
// LogQL text to tokens, one at a time. Keywords are case-insensitive and context-free, except that names of functions
// are names of labels unless a parenthesis (or by/without) follows, as in Loki.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"
#include "logql/syntax/ast.h"

namespace tocayo::logql {

// In the order in which error messages list expectations.
enum class TokenKind : std::uint8_t {
  end,
  error,  // see Lexer::error()
  bytes,
  identifier,
  string,
  number,
  function_flag,
  duration,
  range,  // a whole `[5m]`
  equal,
  regex_match,
  regex_not_match,
  pattern_not_match,
  open_brace,
  close_brace,
  comma,
  dot,
  pipe_match,
  pipe_exact,
  pipe_pattern,
  open_paren,
  close_paren,
  by,
  without,
  range_op,   // Token::op is the RangeOp
  vector_op,  // Token::op is the VectorOp
  kw_bool,
  json,
  regexp,
  logfmt,
  pipe,
  line_format,
  label_format,
  unwrap,
  bytes_conversion,
  duration_conversion,
  duration_seconds_conversion,
  vector,
  label_replace,
  unpack,
  offset,
  pattern,
  ip,
  on,
  ignoring,
  group_left,
  group_right,
  decolorize,
  drop,
  keep,
  kw_or,
  kw_and,
  unless,
  compare_equal,
  not_equal,
  less,
  less_or_equal,
  greater,
  greater_or_equal,
  add,
  subtract,
  multiply,
  divide,
  modulo,
  power,
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::uint8_t op = 0;
  Position position;
  std::uint32_t length = 0;
  std::string text;              // identifier, number, flag: as written; string: unquoted
  std::int64_t duration_ns = 0;  // duration, range
  std::uint64_t bytes = 0;       // bytes
};

// How messages call it: "IDENTIFIER", "$end", "by", "RATE".
std::string_view token_name(const Token& token);
std::string_view token_name(TokenKind kind);

// Durations of LogQL: Prometheus' ("1h30m", units ms s m h d w y), in nanoseconds. bad_input with Prometheus' words.
Result<std::int64_t> parse_range_duration(std::string_view text);
// The same, or Go's ("1.5h", "-3us"): what a duration in a label filter or an offset may be.
Result<std::int64_t> parse_go_or_prometheus_duration(std::string_view text);
// Go's time.ParseDuration.
Result<std::int64_t> parse_go_duration(std::string_view text);

class Lexer {
 public:
  // `input` must outlive the lexer.
  explicit Lexer(std::string_view input) : input_(input) {}

  Token next();
  const std::string& error() const { return error_; }  // of the last `error` token

 private:
  char at(std::size_t offset) const { return offset < input_.size() ? input_[offset] : '\0'; }
  void advance(std::size_t bytes);
  bool skip_space_and_comments();  // false: a comment that does not end
  Token fail(Token token, std::string message);
  Token scan_number(Token token);
  Token scan_string(Token token);
  Token scan_range(Token token);
  Token scan_word(Token token);
  Token scan_operator(Token token);
  bool try_duration(Token& token, std::size_t start, std::size_t stop);
  bool try_bytes(Token& token, std::size_t start, std::size_t stop);
  bool followed_by_call(std::size_t offset) const;

  std::string_view input_;
  std::size_t offset_ = 0;
  std::uint32_t line_ = 1;
  std::uint32_t column_ = 1;
  std::string error_;
};

// Go's strconv.Unquote of a double-quoted or backquoted literal.
Result<std::string> unquote(std::string_view literal);

}  // namespace tocayo::logql
