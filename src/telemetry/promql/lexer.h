// SPDX-License-Identifier: Apache-2.0
// PromQL text to tokens. The whole text at once: the lexer's few modes (inside braces, inside brackets) never depend on
// the parser.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tocayo::promql {

enum class TokenType : std::uint8_t {
  end,
  error,
  identifier,
  metric_identifier,
  string,
  number,
  duration,
  left_paren,
  right_paren,
  left_brace,
  right_brace,
  left_bracket,
  right_bracket,
  comma,
  colon,
  equal,
  // operators
  op_add,
  op_div,
  op_eqlc,
  op_eql_regex,
  op_gte,
  op_gtr,
  op_trim_upper,
  op_trim_lower,
  op_land,
  op_lor,
  op_lss,
  op_lte,
  op_lunless,
  op_mod,
  op_mul,
  op_neq,
  op_neq_regex,
  op_pow,
  op_sub,
  op_at,
  op_atan2,
  // aggregators
  agg_avg,
  agg_bottomk,
  agg_count,
  agg_count_values,
  agg_group,
  agg_max,
  agg_min,
  agg_quantile,
  agg_stddev,
  agg_stdvar,
  agg_sum,
  agg_topk,
  agg_limitk,
  agg_limit_ratio,
  // keywords
  kw_bool,
  kw_by,
  kw_group_left,
  kw_group_right,
  kw_fill,
  kw_fill_left,
  kw_fill_right,
  kw_ignoring,
  kw_offset,
  kw_smoothed,
  kw_anchored,
  kw_on,
  kw_without,
  // names with a meaning after `@` and inside durations
  pre_start,
  pre_end,
  pre_step,
  pre_range,
  pre_max_of,
  pre_min_of,
};

inline bool is_operator(TokenType t) { return t >= TokenType::op_add && t <= TokenType::op_atan2; }
inline bool is_aggregator(TokenType t) { return t >= TokenType::agg_avg && t <= TokenType::agg_limit_ratio; }
inline bool is_keyword(TokenType t) { return t >= TokenType::kw_bool && t <= TokenType::kw_without; }
inline bool is_preprocessor(TokenType t) { return t >= TokenType::pre_start && t <= TokenType::pre_min_of; }

struct Token {
  TokenType type = TokenType::end;
  std::uint32_t start = 0;  // bytes
  std::uint32_t stop = 0;
};

struct TokenStream {
  std::vector<Token> tokens;  // never empty; the last one is `end` or `error`; comments and spaces are left out
  std::string error;          // what is wrong at the error token
};

// `input` must be shorter than 4 GiB.
TokenStream lex(std::string_view input);

// "identifier \"foo\"", "<op:+>", "end of input": how messages name a token.
std::string describe(const Token& token, std::string_view input);
// Every word with a meaning in the language ("sum", "offset", "start", …), sorted; what completion and feature lists
// show.
std::vector<std::string_view> keywords();
// Go's %q of a character: `'x'`.
std::string quote_rune(std::uint32_t code_point);

}  // namespace tocayo::promql
