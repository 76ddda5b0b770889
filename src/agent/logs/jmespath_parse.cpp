// SPDX-License-Identifier: Apache-2.0
// Text to tree: a Pratt parser over the grammar of the specification.
#include <fmt/format.h>

#include <cctype>
#include <charconv>

#include "agent/logs/jmespath_node.h"

namespace tocayo::agent {
namespace {

using Kind = JmesNode::Kind;
using NodePtr = std::unique_ptr<JmesNode>;
constexpr unsigned kMaxDepth = 64;

struct Token {
  enum class Type : unsigned char { end, name, quoted, raw, literal, number, sign } type = Type::end;
  std::string text;  // of a sign: the sign
  std::size_t at = 0;
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  Result<std::vector<Token>> run() {
    std::vector<Token> tokens;
    for (;;) {
      while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
      Token token;
      token.at = at_;
      if (at_ == text_.size()) {
        tokens.push_back(token);
        return tokens;
      }
      TRY(next(token));
      tokens.push_back(std::move(token));
    }
  }

 private:
  static bool starts_name(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
  static bool digit(char c) { return c >= '0' && c <= '9'; }

  Result<> next(Token& token) {
    const char c = text_[at_];
    if (starts_name(c)) {
      token.type = Token::Type::name;
      while (at_ < text_.size() && (starts_name(text_[at_]) || digit(text_[at_]))) token.text += text_[at_++];
      return {};
    }
    if (digit(c) || (c == '-' && at_ + 1 < text_.size() && digit(text_[at_ + 1]))) {
      token.type = Token::Type::number;
      token.text += text_[at_++];
      while (at_ < text_.size() && digit(text_[at_])) token.text += text_[at_++];
      return {};
    }
    if (c == '"' || c == '\'' || c == '`') return quoted(token, c);
    for (const std::string_view sign : {"||", "&&", "==", "!=", "<=", ">=", "[?", "[]"}) {
      if (text_.substr(at_).starts_with(sign)) {
        token.type = Token::Type::sign;
        token.text = sign;
        at_ += 2;
        return {};
      }
    }
    if (std::string_view(".*|@&!<>[](){},:").find(c) == std::string_view::npos)
      return fail(ErrorKind::bad_input, fmt::format("unexpected character at {}", at_ + 1));
    token.type = Token::Type::sign;
    token.text = c;
    ++at_;
    return {};
  }

  Result<> quoted(Token& token, char quote) {
    const std::size_t from = at_++;
    std::string body;
    for (;;) {
      if (at_ >= text_.size())
        return fail(ErrorKind::bad_input, fmt::format("the quote at {} is not closed", from + 1));
      const char c = text_[at_++];
      if (c == quote) break;
      if (c == '\\' && at_ < text_.size()) {
        const char escaped = text_[at_++];
        if (escaped != quote || quote == '"') body += '\\';
        body += escaped;
      } else {
        body += c;
      }
    }
    if (quote == '"') {
      token.type = Token::Type::quoted;
      boost::system::error_code bad;
      const auto value = boost::json::parse("\"" + body + "\"", bad);
      if (bad || !value.is_string())
        return fail(ErrorKind::bad_input, fmt::format("the name at {} is no JSON text", from + 1));
      token.text = std::string(value.as_string());
    } else {
      token.type = quote == '`' ? Token::Type::literal : Token::Type::raw;
      token.text = std::move(body);
    }
    return {};
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Result<NodePtr> run() {
    auto node = TRY(expression(0));
    if (token().type != Token::Type::end) return unexpected();
    return node;
  }

 private:
  const Token& token() const { return tokens_[at_]; }
  bool is(std::string_view sign) const { return token().type == Token::Type::sign && token().text == sign; }
  bool accept(std::string_view sign) {
    if (!is(sign)) return false;
    ++at_;
    return true;
  }
  std::unexpected<Error> unexpected() const {
    if (token().type == Token::Type::end) return fail(ErrorKind::bad_input, "the expression ends too early");
    return fail(ErrorKind::bad_input, fmt::format("unexpected \"{}\" at {}", token().text, token().at + 1));
  }
  Result<> expect(std::string_view sign) {
    if (!accept(sign)) return unexpected();
    return {};
  }
  static NodePtr make(Kind kind) {
    auto node = std::make_unique<JmesNode>();
    node->kind = kind;
    return node;
  }
  static NodePtr pair(Kind kind, NodePtr left, NodePtr right) {
    auto node = make(kind);
    node->children.push_back(std::move(left));
    node->children.push_back(std::move(right));
    return node;
  }

  // How strongly what follows binds to what stands before.
  int binding() const {
    if (token().type != Token::Type::sign) return 0;
    const std::string& text = token().text;
    if (text == "|") return 1;
    if (text == "||") return 2;
    if (text == "&&") return 3;
    if (text == "==" || text == "!=" || text == "<" || text == ">" || text == "<=" || text == ">=") return 5;
    if (text == "[]") return 9;
    if (text == "[?") return 21;
    if (text == ".") return 40;
    if (text == "[") return 55;
    if (text == "(") return 60;
    return 0;
  }

  Result<NodePtr> expression(int strength) {
    if (++depth_ > kMaxDepth) return fail(ErrorKind::bad_input, "the expression is nested too deeply");
    auto left = TRY(first());
    while (strength < binding()) left = TRY(following(std::move(left)));
    --depth_;
    return left;
  }

  Result<NodePtr> first() {
    const Token now = token();
    ++at_;
    switch (now.type) {
      case Token::Type::name:
        if (is("(")) return call(now);
        [[fallthrough]];
      case Token::Type::quoted: {
        auto node = make(Kind::field);
        node->text = now.text;
        return node;
      }
      case Token::Type::raw: {
        auto node = make(Kind::literal);
        node->value = now.text;
        return node;
      }
      case Token::Type::literal: {
        auto node = make(Kind::literal);
        boost::system::error_code bad;
        node->value = boost::json::parse(now.text, bad);
        if (bad) return fail(ErrorKind::bad_input, fmt::format("the literal at {} is no JSON", now.at + 1));
        return node;
      }
      case Token::Type::sign: break;
      default: --at_; return unexpected();
    }
    if (now.text == "@") return make(Kind::current);
    if (now.text == "*") return pair(Kind::values, make(Kind::current), TRY(projected(20)));
    if (now.text == "[]") return pair(Kind::flatten, make(Kind::current), TRY(projected(9)));
    if (now.text == "[?") return filter(make(Kind::current));
    if (now.text == "{") return hash();
    if (now.text == "[") {
      if (token().type == Token::Type::number || is(":")) return bracket(make(Kind::current));
      if (is("*") && tokens_[at_ + 1].type == Token::Type::sign && tokens_[at_ + 1].text == "]")
        return bracket(make(Kind::current));
      return list();
    }
    if (now.text == "(") {
      auto node = TRY(expression(0));
      TRY(expect(")"));
      return node;
    }
    if (now.text == "!" || now.text == "&") {
      auto node = make(now.text == "!" ? Kind::negation : Kind::reference);
      node->children.push_back(TRY(expression(now.text == "!" ? 45 : 0)));
      return node;
    }
    --at_;
    return unexpected();
  }

  Result<NodePtr> following(NodePtr left) {
    const Token now = token();
    ++at_;
    if (now.text == ".") {
      if (accept("*")) return pair(Kind::values, std::move(left), TRY(projected(20)));
      return pair(Kind::chain, std::move(left), TRY(behind_dot(40)));
    }
    if (now.text == "|") return pair(Kind::chain, std::move(left), TRY(expression(1)));
    if (now.text == "||") return pair(Kind::any, std::move(left), TRY(expression(2)));
    if (now.text == "&&") return pair(Kind::both, std::move(left), TRY(expression(3)));
    if (now.text == "[]") return pair(Kind::flatten, std::move(left), TRY(projected(9)));
    if (now.text == "[?") return filter(std::move(left));
    if (now.text == "[") return bracket(std::move(left));
    if (now.text == "(") {
      --at_;
      return unexpected();
    }
    auto node = pair(Kind::compare, std::move(left), TRY(expression(5)));
    node->text = now.text;
    return node;
  }

  // Behind the dot: a name, a list, a hash, a function.
  Result<NodePtr> behind_dot(int strength) {
    if (token().type == Token::Type::name || token().type == Token::Type::quoted || is("*"))
      return expression(strength);
    if (accept("[")) return list();
    if (accept("{")) return hash();
    return unexpected();
  }

  // What is asked of every element of a projection.
  Result<NodePtr> projected(int strength) {
    if (binding() < 10) return make(Kind::current);
    if (is("[") || is("[?")) return expression_after_projection(strength);
    if (accept(".")) {
      if (is("*")) {
        ++at_;
        return pair(Kind::values, make(Kind::current), TRY(projected(20)));
      }
      auto node = TRY(behind_dot(strength));
      return node;
    }
    return unexpected();
  }
  Result<NodePtr> expression_after_projection(int strength) {
    NodePtr left = make(Kind::current);
    while (strength < binding()) left = TRY(following(std::move(left)));
    return left;
  }

  // Behind "[": an index, a slice, a star.
  Result<NodePtr> bracket(NodePtr left) {
    if (accept("*")) {
      TRY(expect("]"));
      return pair(Kind::projection, std::move(left), TRY(projected(20)));
    }
    std::optional<std::int64_t> parts[3];
    int part = 0;
    while (!is("]")) {
      if (is(":")) {
        if (++part > 2) return unexpected();
      } else if (token().type == Token::Type::number && !parts[part]) {
        std::int64_t value = 0;
        const auto& text = token().text;
        if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc()) return unexpected();
        parts[part] = value;
      } else {
        return unexpected();
      }
      ++at_;
    }
    TRY(expect("]"));
    if (part == 0) {
      if (!parts[0]) return unexpected();
      auto node = make(Kind::index);
      node->number = *parts[0];
      return pair(Kind::chain, std::move(left), std::move(node));
    }
    if (parts[2] == 0) return fail(ErrorKind::bad_input, "the step of a slice must not be 0");
    auto slice = make(Kind::slice);
    for (int i = 0; i < 3; ++i) slice->bounds[i] = parts[i];
    return pair(Kind::projection, pair(Kind::chain, std::move(left), std::move(slice)), TRY(projected(20)));
  }

  Result<NodePtr> filter(NodePtr left) {
    auto condition = TRY(expression(0));
    TRY(expect("]"));
    auto node = pair(Kind::filter, std::move(left), TRY(projected(21)));
    node->children.push_back(std::move(condition));
    return node;
  }

  Result<NodePtr> list() {
    auto node = make(Kind::list);
    do node->children.push_back(TRY(expression(0)));
    while (accept(","));
    TRY(expect("]"));
    return node;
  }

  Result<NodePtr> hash() {
    auto node = make(Kind::hash);
    do {
      if (token().type != Token::Type::name && token().type != Token::Type::quoted) return unexpected();
      node->names.push_back(token().text);
      ++at_;
      TRY(expect(":"));
      node->children.push_back(TRY(expression(0)));
    } while (accept(","));
    TRY(expect("}"));
    return node;
  }

  Result<NodePtr> call(const Token& name) {
    const auto [least, most] = jmespath_arity(name.text);
    if (least < 0)
      return fail(ErrorKind::bad_input, fmt::format("unknown function \"{}\" at {}", name.text, name.at + 1));
    TRY(expect("("));
    auto node = make(Kind::call);
    node->text = name.text;
    if (!is(")")) {
      do node->children.push_back(TRY(expression(0)));
      while (accept(","));
    }
    TRY(expect(")"));
    const int count = static_cast<int>(node->children.size());
    if (count < least || (most >= 0 && count > most))
      return fail(ErrorKind::bad_input, fmt::format("{}() is called with {} arguments", name.text, count));
    return node;
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  unsigned depth_ = 0;
};

}  // namespace

Result<NodePtr> parse_jmespath(std::string_view text) {
  auto tokens = TRY(Lexer(text).run());
  return Parser(std::move(tokens)).run();
}

}  // namespace tocayo::agent
