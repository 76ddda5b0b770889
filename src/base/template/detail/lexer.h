// SPDX-License-Identifier: Apache-2.0
// Cuts a template into text and the words inside actions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tocayo::templates {

enum class Token : unsigned char {
  error,
  boolean,
  character,
  char_constant,
  complex,
  assign,
  declare,
  eof,
  field,
  identifier,
  left_delimiter,
  left_paren,
  number,
  pipe,
  raw_string,
  right_delimiter,
  right_paren,
  space,
  string,
  text,
  variable,
  // keywords; to_text() shows them in angle brackets
  keyword,
  block,
  break_word,
  continue_word,
  dot,
  define,
  else_word,
  end,
  if_word,
  nil,
  range,
  template_word,
  with,
};

struct Item {
  Token token = Token::eof;
  std::uint32_t position = 0;
  std::string_view text;  // of the input; for errors of the lexer
  std::uint32_t line = 1;
};

// As Go names it in messages: `"x"`, `<if>`, EOF.
std::string to_text(const Item& item);

class Lexer {
 public:
  Lexer(std::string_view input, bool break_is_word, bool continue_is_word)
      : input_(input), break_is_word_(break_is_word), continue_is_word_(continue_is_word) {}
  // After an error or the end it goes on giving that.
  Item next();

 private:
  enum class State : unsigned char { text, action, stop };
  bool step_text(Item& out);
  bool left_delimiter(Item& out);
  bool comment(Item& out);
  Item right_delimiter();
  bool step_action(Item& out);
  Item space();
  Item identifier();
  Item field_or_variable(Token token);
  Item number();
  Item quoted(char end, Token token, std::string_view unterminated);
  bool scan_number();
  Item error(std::string message);
  Item emit(Token token);
  void ignore();
  std::uint32_t peek() const;  // code point, 0xFFFFFFFF at the end
  std::uint32_t advance();
  void back();
  bool at_terminator() const;
  bool at_right_delimiter(bool& trims) const;
  bool accept(std::string_view set);
  void accept_run(std::string_view set);
  std::string_view rest(std::size_t from) const { return input_.substr(std::min(from, input_.size())); }

  std::string_view input_;
  bool break_is_word_;
  bool continue_is_word_;
  State state_ = State::text;
  std::size_t position_ = 0;
  std::size_t start_ = 0;
  std::size_t width_ = 0;
  std::uint32_t line_ = 1;
  std::uint32_t start_line_ = 1;
  int parens_ = 0;
  std::string error_;
  Item stopped_;
};

}  // namespace tocayo::templates
