// SPDX-License-Identifier: Apache-2.0
#include "template/detail/lexer.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>

#include "core/labels.h"
#include "core/utf8.h"

namespace tocayo::templates {
namespace {

constexpr std::uint32_t kEnd = 0xFFFFFFFF;
constexpr std::string_view kSpaces = " \t\r\n";

bool is_space(std::uint32_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

bool is_alphanumeric(std::uint32_t c) {
  if (c < 0x80) {
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  }
  if (c == kEnd) return false;
  static const auto* letter = new RE2("\\p{L}|\\p{Nd}");  // leaked: used until the very end
  std::string text;
  utf8::append(text, c);
  return RE2::FullMatch(text, *letter);
}

// Go's %#U.
std::string describe(std::uint32_t c) {
  std::string out = fmt::format("U+{:04X}", c);
  if (c != kEnd && utf8::is_printable(c)) {
    out += " '";
    utf8::append(out, c);
    out += '\'';
  }
  return c == kEnd ? "U+FFFFFFFFFFFFFFFF" : out;
}

bool has_left_trim(std::string_view text) {
  return text.size() >= 2 && text[0] == '-' && is_space(static_cast<unsigned char>(text[1]));
}
bool has_right_trim(std::string_view text) {
  return text.size() >= 2 && is_space(static_cast<unsigned char>(text[0])) && text[1] == '-';
}

Token keyword(std::string_view word) {
  static constexpr std::pair<std::string_view, Token> kWords[] = {{"block", Token::block},
                                                                  {"break", Token::break_word},
                                                                  {"continue", Token::continue_word},
                                                                  {"define", Token::define},
                                                                  {"else", Token::else_word},
                                                                  {"end", Token::end},
                                                                  {"if", Token::if_word},
                                                                  {"range", Token::range},
                                                                  {"nil", Token::nil},
                                                                  {"template", Token::template_word},
                                                                  {"with", Token::with}};
  for (const auto& [text, token] : kWords) {
    if (text == word) return token;
  }
  return Token::identifier;
}

}  // namespace

std::string to_text(const Item& item) {
  if (item.token == Token::eof) return "EOF";
  if (item.token == Token::error) return std::string(item.text);
  if (item.token > Token::keyword) return fmt::format("<{}>", item.text);
  if (item.text.size() > 10) {
    std::size_t bytes = 0;
    for (int i = 0; i < 10 && bytes < item.text.size(); ++i) bytes += utf8::decode(item.text.substr(bytes)).size;
    return go_quote(item.text.substr(0, bytes)) + "...";
  }
  return go_quote(item.text);
}

std::uint32_t Lexer::peek() const {
  if (position_ >= input_.size()) return kEnd;
  return utf8::decode(input_.substr(position_)).code_point;
}

std::uint32_t Lexer::advance() {
  if (position_ >= input_.size()) {
    width_ = 0;
    return kEnd;
  }
  const auto rune = utf8::decode(input_.substr(position_));
  width_ = rune.size;
  position_ += width_;
  if (rune.code_point == '\n') ++line_;
  return rune.code_point;
}

void Lexer::back() {
  position_ -= width_;
  if (width_ == 1 && input_[position_] == '\n') --line_;
  width_ = 0;
}

Item Lexer::emit(Token token) {
  const Item item{token, static_cast<std::uint32_t>(start_), input_.substr(start_, position_ - start_), start_line_};
  start_ = position_;
  start_line_ = line_;
  return item;
}

void Lexer::ignore() {
  line_ += static_cast<std::uint32_t>(std::count(input_.begin() + start_, input_.begin() + position_, '\n'));
  start_ = position_;
  start_line_ = line_;
}

Item Lexer::error(std::string message) {
  error_ = std::move(message);
  state_ = State::stop;
  stopped_ = {Token::error, static_cast<std::uint32_t>(start_), error_, start_line_};
  return stopped_;
}

bool Lexer::accept(std::string_view set) {
  const std::uint32_t c = peek();
  if (c >= 0x80 || set.find(static_cast<char>(c)) == std::string_view::npos) return false;
  advance();
  return true;
}

void Lexer::accept_run(std::string_view set) {
  while (accept(set)) {
  }
}

Item Lexer::next() {
  Item item;
  while (true) {
    if (state_ == State::stop) return stopped_;
    if (state_ == State::action ? step_action(item) : step_text(item)) return item;
  }
}

bool Lexer::step_text(Item& out) {
  const std::size_t found = input_.find("{{", position_);
  if (found != std::string_view::npos) {
    if (found > position_) {
      position_ = found;
      std::size_t trim = 0;
      if (has_left_trim(rest(found + 2))) {
        const std::string_view text = input_.substr(start_, position_ - start_);
        const auto last = text.find_last_not_of(kSpaces);
        trim = last == std::string_view::npos ? text.size() : text.size() - last - 1;
      }
      position_ -= trim;
      line_ += static_cast<std::uint32_t>(std::count(input_.begin() + start_, input_.begin() + position_, '\n'));
      out = emit(Token::text);
      position_ += trim;
      ignore();
      if (!out.text.empty()) return true;
    }
    return left_delimiter(out);
  }
  position_ = input_.size();
  if (position_ > start_) {
    line_ += static_cast<std::uint32_t>(std::count(input_.begin() + start_, input_.end(), '\n'));
    out = emit(Token::text);
    return true;
  }
  state_ = State::stop;
  stopped_ = {Token::eof, static_cast<std::uint32_t>(position_), "EOF", start_line_};
  out = stopped_;
  return true;
}

bool Lexer::left_delimiter(Item& out) {
  position_ += 2;
  const std::size_t after_marker = has_left_trim(rest(position_)) ? 2 : 0;
  if (rest(position_ + after_marker).starts_with("/*")) {
    position_ += after_marker;
    ignore();
    return comment(out);
  }
  out = emit(Token::left_delimiter);
  state_ = State::action;
  position_ += after_marker;
  ignore();
  parens_ = 0;
  return true;
}

bool Lexer::comment(Item& out) {
  const std::size_t end = input_.find("*/", position_ + 2);
  if (end == std::string_view::npos) {
    out = error("unclosed comment");
    return true;
  }
  position_ = end + 2;
  bool trims = false;
  if (!at_right_delimiter(trims)) {
    out = error("comment ends before closing delimiter");
    return true;
  }
  position_ += trims ? 4 : 2;
  if (trims) position_ = std::min(input_.find_first_not_of(kSpaces, position_), input_.size());
  ignore();
  return false;  // on with text
}

bool Lexer::at_right_delimiter(bool& trims) const {
  if (has_right_trim(rest(position_)) && rest(position_ + 2).starts_with("}}")) {
    trims = true;
    return true;
  }
  trims = false;
  return rest(position_).starts_with("}}");
}

Item Lexer::right_delimiter() {
  bool trims = false;
  at_right_delimiter(trims);
  if (trims) {
    position_ += 2;
    ignore();
  }
  position_ += 2;
  const Item item = emit(Token::right_delimiter);
  if (trims) {
    position_ = std::min(input_.find_first_not_of(kSpaces, position_), input_.size());
    ignore();
  }
  state_ = State::text;
  return item;
}

bool Lexer::step_action(Item& out) {
  bool trims = false;
  if (at_right_delimiter(trims)) {
    out = parens_ == 0 ? right_delimiter() : error("unclosed left paren");
    return true;
  }
  const std::uint32_t c = advance();
  if (c == kEnd) {
    out = error("unclosed action");
  } else if (is_space(c)) {
    back();
    out = space();
  } else if (c == '=') {
    out = emit(Token::assign);
  } else if (c == ':') {
    out = advance() == '=' ? emit(Token::declare) : error("expected :=");
  } else if (c == '|') {
    out = emit(Token::pipe);
  } else if (c == '"') {
    out = quoted('"', Token::string, "unterminated quoted string");
  } else if (c == '`') {
    out = quoted('`', Token::raw_string, "unterminated raw quoted string");
  } else if (c == '\'') {
    out = quoted('\'', Token::char_constant, "unterminated character constant");
  } else if (c == '$') {
    out = at_terminator() ? emit(Token::variable) : field_or_variable(Token::variable);
  } else if (c == '.' && position_ < input_.size() && (input_[position_] < '0' || input_[position_] > '9')) {
    out = field_or_variable(Token::field);
  } else if (c == '.' || c == '+' || c == '-' || (c >= '0' && c <= '9')) {
    back();
    out = number();
  } else if (is_alphanumeric(c)) {
    back();
    out = identifier();
  } else if (c == '(') {
    ++parens_;
    out = emit(Token::left_paren);
  } else if (c == ')') {
    out = --parens_ < 0 ? error("unexpected right paren") : emit(Token::right_paren);
  } else if (c < 0x7F && c >= 0x20) {
    out = emit(Token::character);
  } else {
    out = error("unrecognized character in action: " + describe(c));
  }
  return true;
}

Item Lexer::space() {
  int spaces = 0;
  while (is_space(peek())) {
    advance();
    ++spaces;
  }
  // A trimming right delimiter begins with a space.
  if (has_right_trim(rest(position_ - 1)) && rest(position_ + 1).starts_with("}}")) {
    width_ = 1;
    back();
    if (spaces == 1) return right_delimiter();
  }
  return emit(Token::space);
}

Item Lexer::identifier() {
  while (is_alphanumeric(peek())) advance();
  const std::string_view word = input_.substr(start_, position_ - start_);
  if (!at_terminator()) return error("bad character " + describe(peek()));
  const Token token = keyword(word);
  if ((token == Token::break_word && !break_is_word_) || (token == Token::continue_word && !continue_is_word_)) {
    return emit(Token::identifier);
  }
  if (token != Token::identifier) return emit(token);
  return emit(word == "true" || word == "false" ? Token::boolean : Token::identifier);
}

Item Lexer::field_or_variable(Token token) {
  if (at_terminator()) return emit(token == Token::variable ? token : Token::dot);
  while (is_alphanumeric(peek())) advance();
  if (!at_terminator()) return error("bad character " + describe(peek()));
  return emit(token);
}

bool Lexer::at_terminator() const {
  const std::uint32_t c = peek();
  if (c == kEnd || is_space(c)) return true;
  if (c == '.' || c == ',' || c == '|' || c == ':' || c == ')' || c == '(') return true;
  return rest(position_).starts_with("}}");
}

Item Lexer::number() {
  const auto bad = [this] {
    return error("bad number syntax: " + go_quote(input_.substr(start_, position_ - start_)));
  };
  if (!scan_number()) return bad();
  const std::uint32_t sign = peek();
  if (sign == '+' || sign == '-') {
    if (!scan_number() || input_[position_ - 1] != 'i') return bad();
    return emit(Token::complex);
  }
  return emit(Token::number);
}

bool Lexer::scan_number() {
  accept("+-");
  std::string_view digits = "0123456789_";
  bool hex = false;
  bool decimal = true;
  if (accept("0")) {
    if (accept("xX")) {
      digits = "0123456789abcdefABCDEF_";
      hex = true;
      decimal = false;
    } else if (accept("oO")) {
      digits = "01234567_";
      decimal = false;
    } else if (accept("bB")) {
      digits = "01_";
      decimal = false;
    }
  }
  accept_run(digits);
  if (accept(".")) accept_run(digits);
  if ((decimal && accept("eE")) || (hex && accept("pP"))) {
    accept("+-");
    accept_run("0123456789_");
  }
  accept("i");
  if (is_alphanumeric(peek())) {
    advance();
    return false;
  }
  return true;
}

Item Lexer::quoted(char end, Token token, std::string_view unterminated) {
  while (true) {
    std::uint32_t c = advance();
    if (c == '\\' && end != '`') {
      c = advance();
      if (c != kEnd && c != '\n') continue;
    }
    if (c == kEnd || (c == '\n' && end != '`')) return error(std::string(unterminated));
    if (c == static_cast<std::uint32_t>(end)) return emit(token);
  }
}

}  // namespace tocayo::templates
