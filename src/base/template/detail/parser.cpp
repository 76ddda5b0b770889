// SPDX-License-Identifier: Apache-2.0
// Parses templates as Go's text/template/parse does, with its messages.
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "core/labels.h"
#include "core/utf8.h"
#include "template/detail/ast.h"
#include "template/detail/lexer.h"
#include "template/go_format.h"

namespace tocayo::templates {
namespace {

// Nested controls and parentheses: bounds the recursion of parser and executor.
constexpr int kMaxDepth = 200;

struct ParseFailure {
  std::string message;
};

// strconv.Unquote of "…", `…` and '…' (one rune). false: invalid syntax.
bool unquote(std::string_view quoted, std::string& out) {
  if (quoted.size() < 2 || quoted.front() != quoted.back()) return false;
  const char mark = quoted.front();
  std::string_view text = quoted.substr(1, quoted.size() - 2);
  if (mark == '`') {
    for (const char c : text) {
      if (c != '\r') out += c;
    }
    return true;
  }
  const auto number = [&text](int digits, int base, std::uint32_t& value) {
    if (static_cast<int>(text.size()) < digits) return false;
    const auto parsed = std::from_chars(text.data(), text.data() + digits, value, base);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + digits) return false;
    text.remove_prefix(digits);
    return true;
  };
  while (!text.empty()) {
    if (text[0] != '\\') {
      if (text[0] == mark) return false;
      const auto rune = utf8::decode(text);
      if (rune.valid) {
        out += text.substr(0, rune.size);
      } else {
        out += "\xEF\xBF\xBD";
      }
      text.remove_prefix(rune.size);
      continue;
    }
    if (text.size() < 2) return false;
    const char c = text[1];
    text.remove_prefix(2);
    std::uint32_t value = 0;
    switch (c) {
      case 'a': out += '\a'; break;
      case 'b': out += '\b'; break;
      case 'f': out += '\f'; break;
      case 'n': out += '\n'; break;
      case 'r': out += '\r'; break;
      case 't': out += '\t'; break;
      case 'v': out += '\v'; break;
      case '\\': out += '\\'; break;
      case '\'':
      case '"':
        if (c != mark) return false;
        out += c;
        break;
      case 'x':
        if (!number(2, 16, value)) return false;
        out += static_cast<char>(value);
        break;
      case 'u':
      case 'U':
        if (!number(c == 'u' ? 4 : 8, 16, value) || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
          return false;
        utf8::append(out, value);
        break;
      default:
        if (c < '0' || c > '7' || text.size() < 2) return false;
        if (!number(2, 8, value)) return false;
        value += (c - '0') * 64;
        if (value > 255) return false;
        out += static_cast<char>(value);
    }
  }
  return true;
}

// Underscores as Go allows them: between digits, or after a base prefix.
bool underscores_ok(std::string_view text) {
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.remove_prefix(1);
  char previous = '^';
  bool hex = false;
  std::size_t i = 0;
  if (text.size() >= 2 && text[0] == '0' && std::string_view("xXoObB").find(text[1]) != std::string_view::npos) {
    previous = '0';
    hex = (text[1] | 0x20) == 'x';
    i = 2;
  }
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if ((c >= '0' && c <= '9') || (hex && (c | 0x20) >= 'a' && (c | 0x20) <= 'f')) {
      previous = '0';
    } else if (c == '_') {
      if (previous != '0') return false;
      previous = '_';
    } else {
      if (previous == '_') return false;
      previous = '!';
    }
  }
  return previous != '_';
}

// strconv.ParseUint(text, 0, 64) without sign.
bool parse_unsigned(std::string_view text, std::uint64_t& value) {
  if (!underscores_ok(text)) return false;
  std::string digits;
  for (const char c : text) {
    if (c != '_') digits += c;
  }
  int base = 10;
  std::string_view rest = digits;
  if (rest.size() >= 2 && rest[0] == '0') {
    const char mark = static_cast<char>(rest[1] | 0x20);
    base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 8;
    rest.remove_prefix(mark == 'x' || mark == 'o' || mark == 'b' ? 2 : 1);
  }
  const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), value, base);
  return !rest.empty() && parsed.ec == std::errc() && parsed.ptr == rest.data() + rest.size();
}

class Parser {
 public:
  Parser(Program& program, std::map<std::string, const Tree*>& trees, Lexer& lexer, std::string name,
         std::string parse_name, std::shared_ptr<const std::string> text, int depth)
      : program_(program), trees_(trees), lexer_(lexer), depth_(depth) {
    tree_ = &program_.all_trees.emplace_back(Tree{std::move(name), std::move(parse_name), std::move(text), nullptr});
  }

  void parse() {
    tree_->root = make(NodeType::list, peek());
    while (peek().token != Token::eof) {
      if (peek().token == Token::left_delimiter) {
        const Item delimiter = next();
        if (next_non_space().token == Token::define) {
          Parser definition(program_, trees_, lexer_, "definition", tree_->parse_name, tree_->text, depth_);
          definition.parse_definition();
          continue;
        }
        backup2(delimiter);
      }
      Node* node = text_or_action();
      if (node->type == NodeType::end || node->type == NodeType::else_mark) error("unexpected " + to_string(*node));
      tree_->root->children.push_back(node);
    }
    add();
  }

 private:
  // ---- tokens ----
  Item next() {
    if (peeked_ > 0) {
      --peeked_;
    } else {
      tokens_[0] = lexer_.next();
    }
    return tokens_[peeked_];
  }
  void backup() { ++peeked_; }
  void backup2(const Item& before) {
    tokens_[1] = before;
    peeked_ = 2;
  }
  void backup3(const Item& first, const Item& second) {
    tokens_[1] = second;
    tokens_[2] = first;
    peeked_ = 3;
  }
  Item peek() {
    if (peeked_ > 0) return tokens_[peeked_ - 1];
    peeked_ = 1;
    tokens_[0] = lexer_.next();
    return tokens_[0];
  }
  Item next_non_space() {
    Item item = next();
    while (item.token == Token::space) item = next();
    return item;
  }
  Item peek_non_space() {
    const Item item = next_non_space();
    backup();
    return item;
  }
  Item expect(Token token, std::string_view context) {
    const Item item = next_non_space();
    if (item.token != token) unexpected(item, context);
    return item;
  }
  [[noreturn]] void error(std::string_view message) {
    throw ParseFailure{fmt::format("template: {}:{}: {}", tree_->parse_name, tokens_[0].line, message)};
  }
  [[noreturn]] void unexpected(const Item& item, std::string_view context) {
    if (item.token == Token::error) {
      std::string extra;
      if (action_line_ != 0 && action_line_ != item.line) {
        extra = fmt::format(" in action started at {}:{}", tree_->parse_name, action_line_);
        if (item.text.ends_with(" action")) extra = extra.substr(std::string_view(" in action").size());
      }
      error(to_text(item) + extra);
    }
    error(fmt::format("unexpected {} in {}", to_text(item), context));
  }

  Node* make(NodeType type, const Item& at) {
    Node& node = program_.nodes.emplace_back();
    node.type = type;
    node.position = at.position;
    node.line = at.line;
    node.tree = tree_;
    return &node;
  }

  // ---- structure ----
  void add() {
    const auto found = trees_.find(tree_->name);
    if (found == trees_.end() || is_empty_tree(found->second->root)) {
      trees_[tree_->name] = tree_;
      return;
    }
    if (!is_empty_tree(tree_->root))
      error(fmt::format("template: multiple definition of template {}", go_quote(tree_->name)));
  }

  void parse_definition() {
    const Item name = next_non_space();
    if (name.token != Token::string && name.token != Token::raw_string) unexpected(name, "define clause");
    std::string unquoted;
    if (!unquote(name.text, unquoted)) error("invalid syntax");
    tree_->name = std::move(unquoted);
    expect(Token::right_delimiter, "define clause");
    Node* end = item_list(tree_->root);
    if (end->type != NodeType::end) error(fmt::format("unexpected {} in define clause", to_string(*end)));
    add();
  }

  // Statements up to {{end}} or {{else}}, which is returned.
  Node* item_list(Node*& list) {
    if (++depth_ > kMaxDepth) error("max expression depth exceeded");
    list = make(NodeType::list, peek_non_space());
    while (peek_non_space().token != Token::eof) {
      Node* node = text_or_action();
      if (node->type == NodeType::end || node->type == NodeType::else_mark) {
        --depth_;
        return node;
      }
      list->children.push_back(node);
    }
    error("unexpected EOF");
  }

  Node* text_or_action() {
    const Item item = next_non_space();
    if (item.token == Token::text) {
      Node* node = make(NodeType::text, item);
      node->text = item.text;
      return node;
    }
    if (item.token == Token::left_delimiter) {
      action_line_ = item.line;
      Node* node = action();
      action_line_ = 0;
      return node;
    }
    unexpected(item, "input");
  }

  Node* action() {
    const Item item = next_non_space();
    switch (item.token) {
      case Token::block: return block();
      case Token::break_word: return loop_control(NodeType::break_loop, "{{break}}", item);
      case Token::continue_word: return loop_control(NodeType::continue_loop, "{{continue}}", item);
      case Token::else_word: {
        const Item peeked = peek_non_space();
        if (peeked.token == Token::if_word || peeked.token == Token::with) return make(NodeType::else_mark, peeked);
        return make(NodeType::else_mark, expect(Token::right_delimiter, "else"));
      }
      case Token::end: return make(NodeType::end, expect(Token::right_delimiter, "end"));
      case Token::if_word: return control(NodeType::if_branch, "if");
      case Token::range: return control(NodeType::range_loop, "range");
      case Token::template_word: return call_template();
      case Token::with: return control(NodeType::with_branch, "with");
      default: break;
    }
    backup();
    Node* node = make(NodeType::action, peek());
    node->pipe = pipeline("command", Token::right_delimiter);
    return node;
  }

  Node* loop_control(NodeType type, std::string_view what, const Item& item) {
    const Item after = next_non_space();
    if (after.token != Token::right_delimiter) unexpected(after, what);
    if (range_depth_ == 0) error(fmt::format("{} outside {{{{range}}}}", what));
    return make(type, item);
  }

  Node* control(NodeType type, std::string_view context) {
    if (++depth_ > kMaxDepth) error("max expression depth exceeded");
    const std::size_t variables = variables_.size();
    Node* pipe = pipeline(context, Token::right_delimiter);
    Node* node = make(type, Item{Token::text, pipe->position, {}, pipe->line});
    node->pipe = pipe;
    if (type == NodeType::range_loop) ++range_depth_;
    Node* after = item_list(node->list);
    if (type == NodeType::range_loop) --range_depth_;
    if (after->type == NodeType::else_mark) {
      const Token chained = type == NodeType::if_branch     ? Token::if_word
                            : type == NodeType::with_branch ? Token::with
                                                            : Token::error;
      if (peek().token == chained) {
        const Item at = next();
        node->else_list = make(NodeType::list, at);
        node->else_list->position = after->position;
        node->else_list->children.push_back(control(type, context));
      } else {
        after = item_list(node->else_list);
        if (after->type != NodeType::end) error("expected end; found " + to_string(*after));
      }
    }
    variables_.resize(variables);
    --depth_;
    return node;
  }

  std::string template_name(const Item& item, std::string_view context) {
    if (item.token != Token::string && item.token != Token::raw_string) unexpected(item, context);
    std::string name;
    if (!unquote(item.text, name)) error("invalid syntax");
    return name;
  }

  Node* block() {
    const Item item = next_non_space();
    Node* node = make(NodeType::call_template, item);
    node->text = template_name(item, "block clause");
    node->pipe = pipeline("block clause", Token::right_delimiter);
    Parser body(program_, trees_, lexer_, node->text, tree_->parse_name, tree_->text, depth_);
    Node* end = body.item_list(body.tree_->root);
    if (end->type != NodeType::end) body.error(fmt::format("unexpected {} in block clause", to_string(*end)));
    body.add();
    return node;
  }

  Node* call_template() {
    const Item item = next_non_space();
    Node* node = make(NodeType::call_template, item);
    node->text = template_name(item, "template clause");
    if (next_non_space().token != Token::right_delimiter) {
      backup();
      node->pipe = pipeline("template clause", Token::right_delimiter);
    }
    return node;
  }

  // ---- expressions ----
  void declarations(Node* pipe, std::string_view context) {
    while (peek_non_space().token == Token::variable) {
      const Item variable = next();
      const Item after = peek();
      const Item following = peek_non_space();
      const auto declare = [&] {
        Node* node = make(NodeType::variable, variable);
        node->names.emplace_back(variable.text);
        pipe->declarations.push_back(node);
        variables_.emplace_back(variable.text);
      };
      if (following.token == Token::assign || following.token == Token::declare) {
        pipe->assigns = following.token == Token::assign;
        next_non_space();
        declare();
        return;
      }
      if (following.token == Token::character && following.text == ",") {
        next_non_space();
        declare();
        if (context == "range" && pipe->declarations.size() < 2) {
          const Token token = peek_non_space().token;
          if (token == Token::variable || token == Token::right_delimiter || token == Token::right_paren) continue;
          error("range can only initialize variables");
        }
        error(fmt::format("too many declarations in {}", context));
      }
      if (after.token == Token::space) {
        backup3(variable, after);
      } else {
        backup2(variable);
      }
      return;
    }
  }

  Node* pipeline(std::string_view context, Token end) {
    Node* pipe = make(NodeType::pipe, peek_non_space());
    declarations(pipe, context);
    while (true) {
      const Item item = next_non_space();
      if (item.token == end) break;
      switch (item.token) {
        case Token::boolean:
        case Token::char_constant:
        case Token::complex:
        case Token::dot:
        case Token::field:
        case Token::identifier:
        case Token::number:
        case Token::nil:
        case Token::raw_string:
        case Token::string:
        case Token::variable:
        case Token::left_paren:
          backup();
          pipe->children.push_back(command());
          break;
        default: unexpected(item, context);
      }
    }
    if (pipe->children.empty()) error(fmt::format("missing value for {}", context));
    for (std::size_t i = 1; i < pipe->children.size(); ++i) {
      switch (pipe->children[i]->children[0]->type) {
        case NodeType::boolean:
        case NodeType::dot:
        case NodeType::nil:
        case NodeType::number:
        case NodeType::string: error(fmt::format("non executable command in pipeline stage {}", i + 1));
        default: break;
      }
    }
    return pipe;
  }

  Node* command() {
    Node* node = make(NodeType::command, peek_non_space());
    while (true) {
      peek_non_space();
      if (Node* word = operand()) node->children.push_back(word);
      const Item item = next();
      if (item.token == Token::space) continue;
      if (item.token == Token::right_delimiter || item.token == Token::right_paren) {
        backup();
      } else if (item.token != Token::pipe) {
        unexpected(item, "operand");
      }
      break;
    }
    if (node->children.empty()) error("empty command");
    return node;
  }

  Node* operand() {
    Node* node = term();
    if (node == nullptr || peek().token != Token::field) return node;
    Node* chain = make(NodeType::chain, peek());
    chain->operand = node;
    while (peek().token == Token::field) chain->names.emplace_back(next().text.substr(1));
    switch (node->type) {
      case NodeType::field:
      case NodeType::variable:
        node->position = chain->position;
        node->names.insert(node->names.end(), chain->names.begin(), chain->names.end());
        return node;
      case NodeType::boolean:
      case NodeType::string:
      case NodeType::number:
      case NodeType::nil:
      case NodeType::dot: error("unexpected . after term " + go_quote(to_string(*node)));
      default: return chain;
    }
  }

  Node* term() {
    const Item item = next_non_space();
    switch (item.token) {
      case Token::identifier: return identifier(item);
      case Token::dot: return make(NodeType::dot, item);
      case Token::nil: return make(NodeType::nil, item);
      case Token::variable: {
        Node* node = make(NodeType::variable, item);
        node->names.emplace_back(item.text);
        for (const std::string& known : variables_) {
          if (known == item.text) return node;
        }
        error("undefined variable " + go_quote(item.text));
      }
      case Token::field: {
        Node* node = make(NodeType::field, item);
        node->names.emplace_back(item.text.substr(1));
        return node;
      }
      case Token::boolean: {
        Node* node = make(NodeType::boolean, item);
        node->truth = item.text == "true";
        return node;
      }
      case Token::char_constant:
      case Token::complex:
      case Token::number: return number(item);
      case Token::left_paren: {
        if (++depth_ > kMaxDepth) error("max expression depth exceeded");
        Node* pipe = pipeline("parenthesized pipeline", Token::right_paren);
        --depth_;
        return pipe;
      }
      case Token::string:
      case Token::raw_string: {
        Node* node = make(NodeType::string, item);
        node->text = item.text;
        if (!unquote(item.text, node->value)) error("invalid syntax");
        return node;
      }
      default: backup(); return nullptr;
    }
  }

  Node* identifier(const Item& item) {
    Node* node = make(NodeType::identifier, item);
    node->text = item.text;
    node->function = program_.functions ? program_.functions->find(item.text) : nullptr;
    if (node->function == nullptr) {
      node->function = builtins().find(item.text);
      node->builtin_and = item.text == "and";
      node->builtin_or = item.text == "or";
      node->builtin_call = item.text == "call";
    }
    if (node->function == nullptr) error(fmt::format("function {} not defined", go_quote(item.text)));
    return node;
  }

  Node* number(const Item& item) {
    Node* node = make(NodeType::number, item);
    node->text = item.text;
    if (item.token == Token::char_constant) {
      std::string text;
      if (!unquote(item.text, text) || text.empty()) error("invalid syntax");
      const auto rune = utf8::decode(text);
      const bool byte = item.text[1] == '\\' && text.size() == 1;  // '\xff' is the number, not text
      if (rune.size != text.size()) error("malformed character constant: " + std::string(item.text));
      node->integer = byte ? static_cast<unsigned char>(text[0]) : static_cast<std::int64_t>(rune.code_point);
      node->unsigned_integer = static_cast<std::uint64_t>(node->integer);
      node->floating = static_cast<double>(node->integer);
      node->is_integer = node->is_unsigned = node->is_float = true;
      return node;
    }
    if (item.token == Token::complex || item.text.ends_with('i')) {
      if (item.text.find_first_of("0123456789") == std::string_view::npos) {
        error("illegal number syntax: " + go_quote(item.text));
      }
      node->is_complex = true;
      return node;
    }
    std::string_view digits = item.text;
    const bool negative = digits.starts_with('-');
    const bool sign = negative || digits.starts_with('+');
    if (sign) digits.remove_prefix(1);
    std::uint64_t magnitude = 0;
    if (parse_unsigned(digits, magnitude)) {
      node->is_unsigned = !sign;
      node->unsigned_integer = magnitude;
      const std::uint64_t most = (1ULL << 63) - (negative ? 0 : 1);
      if (magnitude <= most) {
        node->is_integer = true;
        node->integer = static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude);
        if (magnitude == 0) node->is_unsigned = true;
      }
    }
    if (node->is_integer || node->is_unsigned) {
      node->is_float = true;
      node->floating =
          node->is_integer ? static_cast<double>(node->integer) : static_cast<double>(node->unsigned_integer);
      return node;
    }
    std::string plain;
    for (const char c : item.text) {
      if (c != '_') plain += c;
    }
    const auto parsed = underscores_ok(item.text) ? parse_float(plain) : Result<double>(fail(ErrorKind::bad_input, ""));
    if (!parsed) error("illegal number syntax: " + go_quote(item.text));
    if (item.text.find_first_of(".eEpP") == std::string_view::npos) error("integer overflow: " + go_quote(item.text));
    node->is_float = true;
    node->floating = *parsed;
    if (std::trunc(*parsed) == *parsed && std::fabs(*parsed) < 9.2e18) {
      node->is_integer = true;
      node->integer = static_cast<std::int64_t>(*parsed);
    }
    if (std::trunc(*parsed) == *parsed && *parsed >= 0 && *parsed < 1.8e19) {
      node->is_unsigned = true;
      node->unsigned_integer = static_cast<std::uint64_t>(*parsed);
    }
    return node;
  }

  Program& program_;
  std::map<std::string, const Tree*>& trees_;
  Lexer& lexer_;
  Tree* tree_;
  std::array<Item, 3> tokens_;
  int peeked_ = 0;
  int depth_ = 0;
  int range_depth_ = 0;
  std::uint32_t action_line_ = 0;
  std::vector<std::string> variables_{"$"};
};

std::string joined(const std::vector<std::string>& names) { return fmt::format("{}", fmt::join(names, ".")); }

std::string control_text(const Node& node, std::string_view name) {
  std::string out = fmt::format("{{{{{} {}}}}}{}", name, to_string(*node.pipe), to_string(*node.list));
  if (node.else_list != nullptr) out += "{{else}}" + to_string(*node.else_list);
  return out + "{{end}}";
}

}  // namespace

std::string to_string(const Node& node) {
  std::string out;
  switch (node.type) {
    case NodeType::list:
      for (const Node* child : node.children) out += to_string(*child);
      return out;
    case NodeType::text: return node.text;
    case NodeType::action: return "{{" + to_string(*node.pipe) + "}}";
    case NodeType::if_branch: return control_text(node, "if");
    case NodeType::with_branch: return control_text(node, "with");
    case NodeType::range_loop: return control_text(node, "range");
    case NodeType::call_template:
      out = "{{template " + go_quote(node.text);
      if (node.pipe != nullptr) out += " " + to_string(*node.pipe);
      return out + "}}";
    case NodeType::break_loop: return "{{break}}";
    case NodeType::continue_loop: return "{{continue}}";
    case NodeType::end: return "{{end}}";
    case NodeType::else_mark: return "{{else}}";
    case NodeType::pipe:
      for (std::size_t i = 0; i < node.declarations.size(); ++i) {
        if (i > 0) out += ", ";
        out += to_string(*node.declarations[i]);
      }
      if (!node.declarations.empty()) out += node.assigns ? " = " : " := ";
      for (std::size_t i = 0; i < node.children.size(); ++i) {
        if (i > 0) out += " | ";
        out += to_string(*node.children[i]);
      }
      return out;
    case NodeType::command:
      for (std::size_t i = 0; i < node.children.size(); ++i) {
        if (i > 0) out += ' ';
        const Node& word = *node.children[i];
        out += word.type == NodeType::pipe ? "(" + to_string(word) + ")" : to_string(word);
      }
      return out;
    case NodeType::field: return "." + joined(node.names);
    case NodeType::variable: return joined(node.names);
    case NodeType::identifier: return node.text;
    case NodeType::chain:
      out = node.operand->type == NodeType::pipe ? "(" + to_string(*node.operand) + ")" : to_string(*node.operand);
      for (const std::string& name : node.names) out += "." + name;
      return out;
    case NodeType::dot: return ".";
    case NodeType::nil: return "nil";
    case NodeType::boolean: return node.truth ? "true" : "false";
    case NodeType::number:
    case NodeType::string: return node.text;
  }
  return out;
}

bool is_empty_tree(const Node* node) {
  if (node == nullptr) return true;
  if (node->type == NodeType::text) return node->text.find_first_not_of(" \t\r\n\v\f") == std::string::npos;
  if (node->type != NodeType::list) return false;
  for (const Node* child : node->children) {
    if (!is_empty_tree(child)) return false;
  }
  return true;
}

Result<std::map<std::string, const Tree*>> parse_template(Program& program, std::string_view name,
                                                          std::string_view text) {
  const auto is_word = [&program](std::string_view word) {
    return program.functions == nullptr || program.functions->find(word) == nullptr;
  };
  auto owned = std::make_shared<const std::string>(text);
  std::map<std::string, const Tree*> trees;
  try {
    Lexer lexer(*owned, is_word("break"), is_word("continue"));
    Parser(program, trees, lexer, std::string(name), std::string(name), owned, 0).parse();
  } catch (const ParseFailure& failure) {
    return fail(ErrorKind::bad_input, failure.message);
  }
  return trees;
}

}  // namespace tocayo::templates
