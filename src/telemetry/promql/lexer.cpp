// SPDX-License-Identifier: Apache-2.0
#include "promql/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/labels.h"
#include "core/utf8.h"

namespace tocayo::promql {
namespace {

using enum TokenType;

struct Word {
  std::string_view text;
  TokenType type;
};
constexpr auto kWords = std::to_array<Word>({
    {"anchored", kw_anchored},
    {"and", op_land},
    {"atan2", op_atan2},
    {"avg", agg_avg},
    {"bool", kw_bool},
    {"bottomk", agg_bottomk},
    {"by", kw_by},
    {"count", agg_count},
    {"count_values", agg_count_values},
    {"end", pre_end},
    {"fill", kw_fill},
    {"fill_left", kw_fill_left},
    {"fill_right", kw_fill_right},
    {"group", agg_group},
    {"group_left", kw_group_left},
    {"group_right", kw_group_right},
    {"ignoring", kw_ignoring},
    {"inf", number},
    {"limit_ratio", agg_limit_ratio},
    {"limitk", agg_limitk},
    {"max", agg_max},
    {"max_of", pre_max_of},
    {"min", agg_min},
    {"min_of", pre_min_of},
    {"nan", number},
    {"offset", kw_offset},
    {"on", kw_on},
    {"or", op_lor},
    {"quantile", agg_quantile},
    {"range", pre_range},
    {"smoothed", kw_smoothed},
    {"start", pre_start},
    {"stddev", agg_stddev},
    {"stdvar", agg_stdvar},
    {"step", pre_step},
    {"sum", agg_sum},
    {"topk", agg_topk},
    {"unless", op_lunless},
    {"without", kw_without},
});
constexpr std::size_t kLongestWord = 12;

const Word* find_word(std::string_view word) {
  if (word.size() > kLongestWord) return nullptr;
  std::string lower(word);
  for (char& c : lower) c = (c >= 'A' && c <= 'Z') ? static_cast<char>(c + 32) : c;
  auto it = std::lower_bound(kWords.begin(), kWords.end(), std::string_view(lower),
                             [](const Word& w, std::string_view text) { return w.text < text; });
  return it != kWords.end() && it->text == lower ? &*it : nullptr;
}

bool is_space(int c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(int c) { return c >= '0' && c <= '9'; }
bool is_alpha(int c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_alnum(int c) { return is_alpha(c) || is_digit(c); }

class Lexer {
 public:
  explicit Lexer(std::string_view input) : input_(input) {}

  TokenStream run() {
    while (!done_) step();
    return std::move(out_);
  }

 private:
  static constexpr int kEnd = -1;

  int peek() const { return position_ < input_.size() ? static_cast<unsigned char>(input_[position_]) : kEnd; }
  int next() {
    int c = peek();
    if (c != kEnd) ++position_;
    return c;
  }
  // The whole character before position_ (which stands after its first byte), for messages; moves past it.
  std::uint32_t finish_rune() {
    auto rune = utf8::decode(input_.substr(position_ - 1));
    position_ += rune.size - 1U;
    return rune.valid ? rune.code_point : 0xfffd;
  }
  std::string quoted(int c) {
    return c == kEnd ? quote_rune(0xfffd) : quote_rune(c < 0x80 ? static_cast<std::uint32_t>(c) : finish_rune());
  }
  std::string_view word() const { return input_.substr(start_, position_ - start_); }

  void emit(TokenType type) {
    out_.tokens.push_back({type, static_cast<std::uint32_t>(start_), static_cast<std::uint32_t>(position_)});
    start_ = position_;
  }
  void failure(std::string message) {
    out_.tokens.push_back({error, static_cast<std::uint32_t>(start_), static_cast<std::uint32_t>(input_.size())});
    out_.error = std::move(message);
    done_ = true;
  }
  // An error just after a token that was emitted: takes its place.
  void failure_instead(std::string message) {
    out_.tokens.pop_back();
    failure(std::move(message));
  }
  bool accept(std::string_view set) {
    int c = peek();
    if (c == kEnd || set.find(static_cast<char>(c)) == std::string_view::npos) return false;
    ++position_;
    return true;
  }
  bool is(std::string_view set) const {
    int c = peek();
    return c != kEnd && set.find(static_cast<char>(c)) != std::string_view::npos;
  }
  void skip_spaces() {
    while (is_space(peek())) ++position_;
    start_ = position_;
  }

  void step();
  void statement();
  bool simple_operator(int c);
  void inside_braces();
  void duration_expression();
  void close_paren();
  void comment();
  void quoted_string(char quote);
  bool escape(char quote);
  void raw_string();
  void word_or_keyword();
  void number_or_duration();
  bool scan_number();
  bool scan_duration();
  bool duration_keyword();

  std::string_view input_;
  std::size_t position_ = 0;
  std::size_t start_ = 0;
  TokenStream out_;
  int paren_depth_ = 0;
  bool brace_open_ = false;
  bool bracket_open_ = false;
  bool bracket_start_ = false;  // only signs, operators and durations have been seen since `[`
  bool got_colon_ = false;
  bool got_duration_ = false;
  bool done_ = false;
};

void Lexer::step() {
  if (bracket_start_) return duration_expression();
  if (brace_open_) return inside_braces();
  statement();
}

void Lexer::comment() {
  while (peek() != kEnd && peek() != '\n' && peek() != '\r') ++position_;
  start_ = position_;
}

bool Lexer::simple_operator(int c) {
  switch (c) {
    case ',': emit(comma); return true;
    case '*': emit(op_mul); return true;
    case '/': emit(op_div); return true;
    case '%': emit(op_mod); return true;
    case '+': emit(op_add); return true;
    case '-': emit(op_sub); return true;
    case '^': emit(op_pow); return true;
    case '@': emit(op_at); return true;
    case '<': emit(accept("=") ? op_lte : accept("/") ? op_trim_upper : op_lss); return true;
    case '>': emit(accept("=") ? op_gte : accept("/") ? op_trim_lower : op_gtr); return true;
    default: return false;
  }
}

void Lexer::close_paren() {
  emit(right_paren);
  if (--paren_depth_ < 0) failure_instead("unexpected right parenthesis ')'");
}

void Lexer::statement() {
  if (peek() == '#') return comment();
  int c = next();
  if (c == kEnd) {
    if (paren_depth_ != 0) return failure("unclosed left parenthesis");
    if (bracket_open_) return failure("unclosed left bracket");
    emit(end);
    done_ = true;
    return;
  }
  if (is_space(c)) return skip_spaces();
  if (simple_operator(c)) return;
  switch (c) {
    case '=':
      if (accept("=")) return emit(op_eqlc);
      if (peek() == '~') return failure("unexpected character after '=': '~'");
      return emit(equal);
    case '!': {
      int after = next();
      if (after != '=') return failure("unexpected character after '!': " + quoted(after));
      return emit(op_neq);
    }
    case '"':
    case '\'': return quoted_string(static_cast<char>(c));
    case '`': return raw_string();
    case '(': ++paren_depth_; return emit(left_paren);
    case ')': return close_paren();
    case '{': brace_open_ = true; return emit(left_brace);
    case '[':
      if (bracket_open_) return failure("unexpected left bracket '['");
      emit(left_bracket);
      skip_spaces();
      bracket_open_ = bracket_start_ = true;
      got_colon_ = false;
      return;
    case ']':
      if (!bracket_open_) return failure("unexpected right bracket ']'");
      bracket_open_ = false;
      return emit(right_bracket);
    default: break;
  }
  if (is_digit(c) || (c == '.' && is_digit(peek()))) {
    --position_;
    return number_or_duration();
  }
  if (is_alpha(c) || c == ':') {
    if (!bracket_open_) return word_or_keyword();
    if (c == ':') {
      if (got_colon_) return failure("unexpected colon ':'");
      got_colon_ = true;
      return emit(colon);
    }
    if (duration_keyword()) return;
    return failure(fmt::format("unexpected character: {}, expected ':'", quote_rune(static_cast<std::uint32_t>(c))));
  }
  failure("unexpected character: " + quoted(c));
}

// Right after `[`, until the first number: here `:` and `]` have stricter rules.
void Lexer::duration_expression() {
  int c = next();
  switch (c) {
    case kEnd: return failure("unexpected end of input in duration expression");
    case ']': bracket_open_ = bracket_start_ = got_colon_ = false; return emit(right_bracket);
    case ':':
      emit(colon);
      if (!got_duration_) return failure_instead("unexpected colon before duration in duration expression");
      if (got_colon_) return failure_instead("unexpected repeated colon in duration expression");
      got_colon_ = true;
      return;
    case '(': ++paren_depth_; return emit(left_paren);
    case ')': return close_paren();
    default: break;
  }
  if (is_space(c)) return skip_spaces();
  if (c != '@' && c != '<' && c != '>' && simple_operator(c)) return;
  if (is_alpha(c) && duration_keyword()) {
    got_duration_ = true;
    return;
  }
  if (is_digit(c) || (c == '.' && is_digit(peek()))) {
    --position_;
    got_duration_ = true;
    bracket_start_ = false;
    return number_or_duration();
  }
  failure("unexpected character in duration expression: " +
          (is_alpha(c) ? quote_rune(static_cast<std::uint32_t>(c)) : quoted(c)));
}

// step, range, max_of, min_of in any case; the first letter has been read. Does not move when it is another word.
bool Lexer::duration_keyword() {
  std::size_t begin = position_;
  while (is_alpha(peek())) ++position_;
  if (const Word* found = find_word(word()); found && found->type >= pre_step && found->type <= pre_min_of) {
    emit(found->type);
    return true;
  }
  position_ = begin;
  return false;
}

void Lexer::inside_braces() {
  if (peek() == '#') return comment();
  int c = next();
  if (c == kEnd) return failure("unexpected end of input inside braces");
  if (is_space(c)) return skip_spaces();
  if (is_alpha(c)) {
    while (is_alnum(peek())) ++position_;
    return emit(identifier);
  }
  switch (c) {
    case ',': return emit(comma);
    case '"':
    case '\'': return quoted_string(static_cast<char>(c));
    case '`': return raw_string();
    case '=': return emit(accept("~") ? op_eql_regex : equal);
    case '!': {
      if (accept("~")) return emit(op_neq_regex);
      if (accept("=")) return emit(op_neq);
      return failure("unexpected character after '!' inside braces: " + quoted(next()));
    }
    case '{': return failure("unexpected left brace '{'");
    case '}': brace_open_ = false; return emit(right_brace);
    default: return failure("unexpected character inside braces: " + quoted(c));
  }
}

void Lexer::quoted_string(char quote) {
  for (;;) {
    int c = next();
    if (c == quote) return emit(string);
    if (c == kEnd || c == '\n') return failure("unterminated quoted string");
    if (c == '\\') {
      if (!escape(quote)) return;
    } else if (c >= 0x80 && finish_rune() == 0xfffd) {
      return failure("invalid UTF-8 rune");
    }
  }
}

// After the backslash. False when it reported an error.
bool Lexer::escape(char quote) {
  auto bad = [&](std::string message) {
    failure(std::move(message));
    return false;
  };
  auto next_rune = [&]() -> std::uint32_t {
    int c = next();
    return c == kEnd ? UINT32_MAX : c < 0x80 ? static_cast<std::uint32_t>(c) : finish_rune();
  };
  auto named = [](std::uint32_t c) {
    std::string text;
    utf8::append(text, c);
    return utf8::is_printable(c) ? fmt::format("U+{:04X} '{}'", c, text) : fmt::format("U+{:04X}", c);
  };
  std::uint32_t c = next_rune();
  int digits = 0;
  std::uint32_t base = 16, limit = 255, value = 0;
  switch (c) {
    case 'a':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
    case 'v':
    case '\\': return true;
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
      digits = 3;
      base = 8;
      break;
    case 'x':
      digits = 2;
      c = next_rune();
      break;
    case 'u':
      digits = 4;
      limit = 0x10ffff;
      c = next_rune();
      break;
    case 'U':
      digits = 8;
      limit = 0x10ffff;
      c = next_rune();
      break;
    case UINT32_MAX: return bad("escape sequence not terminated");
    default:
      if (c == static_cast<unsigned char>(quote)) return true;
      return bad("unknown escape sequence " + named(c));
  }
  for (int i = 0; i < digits; ++i) {
    if (i > 0) c = next_rune();
    std::uint32_t digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : 16;
    if (digit >= base) {
      if (c == UINT32_MAX) return bad("escape sequence not terminated");
      return bad(fmt::format("illegal character {} in escape sequence", named(c)));
    }
    value = value * base + digit;
  }
  if (value > limit || (value >= 0xd800 && value < 0xe000))
    return bad("escape sequence is an invalid Unicode code point");
  return true;
}

void Lexer::raw_string() {
  for (;;) {
    int c = next();
    if (c == '`') return emit(string);
    if (c == kEnd) return failure("unterminated raw string");
    if (c >= 0x80 && finish_rune() == 0xfffd) return failure("invalid UTF-8 rune");
  }
}

void Lexer::word_or_keyword() {
  bool with_colon = input_[start_] == ':';
  for (int c = peek(); is_alnum(c) || c == ':'; c = peek()) {
    with_colon = with_colon || c == ':';
    ++position_;
  }
  const Word* found = find_word(word());
  if (!found) return emit(with_colon ? metric_identifier : identifier);
  if (found->type == kw_fill || found->type == kw_fill_left || found->type == kw_fill_right) {
    // Only before a parenthesis, so that metrics of that name keep working.
    std::size_t at = position_;
    while (at < input_.size() && is_space(static_cast<unsigned char>(input_[at]))) ++at;
    if (at == input_.size() || input_[at] != '(') return emit(identifier);
  }
  emit(found->type);
}

void Lexer::number_or_duration() {
  if (scan_number()) return emit(number);
  if (scan_duration()) return emit(duration);
  // What was read last belongs to the message, the whole character.
  failure(fmt::format("bad number or duration syntax: {}", go_quote(word())));
}

// What follows the digits that scan_number() has read.
bool Lexer::scan_duration() {
  static constexpr std::string_view kDigits = "0123456789";
  if (!accept("smhdwy")) return false;
  accept("s");
  while (accept(kDigits)) {
    while (accept(kDigits)) {
    }
    if (!accept("smhdw")) return false;
    accept("s");
  }
  int c = peek();
  if (!is_alnum(c)) return true;
  ++position_;
  return false;
}

bool Lexer::scan_number() {
  std::size_t begin = position_;
  std::string_view digits = "0123456789";
  bool hex = false;
  if (accept("0") && accept("xX")) {
    accept("_");
    digits = "0123456789abcdefABCDEF";
    hex = true;
  }
  accept(".");
  accept(digits);
  bool dot = false, exponent = false;
  for (;;) {
    bool at_exponent = is("eE"), at_dot = is(".");
    if (!at_exponent && !at_dot && !is("_") && !is(digits)) break;
    if (at_dot && dot) {
      ++position_;
      return false;
    }
    if (at_exponent && exponent) {
      ++position_;
      return false;
    }
    if (accept(".")) {
      dot = true;
      if (accept("_.")) return false;
      if (hex) return false;
      continue;
    }
    if (accept("eE")) {
      exponent = true;
      accept("+-");
      if (accept("._eE") || peek() == kEnd) return false;
      continue;
    }
    if (accept("_")) {
      if (accept("._eE") || peek() == kEnd) return false;
      continue;
    }
    while (accept(digits)) {
    }
  }
  if (position_ == begin) return false;
  return !is_alnum(peek());
}

}  // namespace

TokenStream lex(std::string_view input) { return Lexer(input).run(); }

std::string quote_rune(std::uint32_t c) {
  switch (c) {
    case '\'': return "'\\''";
    case '\\': return "'\\\\'";
    case '"': return "'\"'";
    default: break;
  }
  std::string text;
  utf8::append(text, c);
  std::string quoted = go_quote(text);
  return "'" + quoted.substr(1, quoted.size() - 2) + "'";
}

std::string describe(const Token& token, std::string_view input) {
  std::string_view text = input.substr(token.start, token.stop - token.start);
  // At most ten characters of it.
  auto quoted = [&] {
    std::size_t runes = 0, bytes = 0;
    for (; bytes < text.size() && runes < 10; ++runes) bytes += utf8::decode(text.substr(bytes)).size;
    return text.size() > 10 ? go_quote(text.substr(0, bytes)) + "..." : go_quote(text);
  };
  switch (token.type) {
    case end: return "end of input";
    case error: return "error";
    case identifier: return "identifier " + go_quote(text);
    case metric_identifier: return "metric identifier " + go_quote(text);
    case string: return "string " + quoted();
    case number: return "number " + quoted();
    case duration: return "duration " + quoted();
    default: break;
  }
  if (is_keyword(token.type)) return fmt::format("<{}>", text);
  if (is_operator(token.type)) return fmt::format("<op:{}>", text);
  if (is_aggregator(token.type)) return fmt::format("<aggr:{}>", text);
  return quoted();
}

std::vector<std::string_view> keywords() {
  std::vector<std::string_view> result;
  for (const Word& entry : kWords) result.push_back(entry.text);
  return result;
}

}  // namespace tocayo::promql
