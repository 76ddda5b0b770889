// SPDX-License-Identifier: Apache-2.0
// The compiled form of templates: trees of nodes that the executor walks. Nodes are owned by the Program and never
// change after parsing.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "template/template.h"

namespace tocayo::templates {

enum class NodeType : unsigned char {
  list,
  text,
  action,
  if_branch,
  with_branch,
  range_loop,
  call_template,
  break_loop,
  continue_loop,  // statements
  pipe,
  command,
  field,
  variable,
  identifier,
  chain,
  dot,
  nil,
  boolean,
  number,
  string,  // expressions
  end,
  else_mark,  // parsing only
};

struct Tree;

struct Node {
  NodeType type = NodeType::list;
  std::uint32_t position = 0;  // bytes from the start of the text
  std::uint32_t line = 1;
  const Tree* tree = nullptr;
  std::string text;                 // text; source of a number or string; name of an identifier or template
  std::string value;                // of a string, unquoted
  std::vector<std::string> names;   // field, variable ($x first), chain
  std::vector<Node*> children;      // list: statements; pipe: commands; command: words
  std::vector<Node*> declarations;  // pipe: variables
  bool assigns = false;             // pipe: `=` rather than `:=`
  Node* pipe = nullptr;             // of branches, actions and template calls
  Node* list = nullptr;
  Node* else_list = nullptr;
  Node* operand = nullptr;             // chain
  const Function* function = nullptr;  // identifier: the caller's, or Go's own
  bool builtin_and = false;            // identifier: Go's own `and`, `or`, `call`
  bool builtin_or = false;
  bool builtin_call = false;
  bool truth = false;                                                                  // boolean
  bool is_integer = false, is_unsigned = false, is_float = false, is_complex = false;  // number
  std::int64_t integer = 0;
  std::uint64_t unsigned_integer = 0;
  double floating = 0;
};

// One named template and where its text came from.
struct Tree {
  std::string name;
  std::string parse_name;
  std::shared_ptr<const std::string> text;
  Node* root = nullptr;
};

struct Program {
  std::shared_ptr<const FunctionTable> functions;
  Options options;
  std::deque<Node> nodes;
  std::deque<Tree> all_trees;  // what nodes point at
  std::map<std::string, const Tree*, std::less<>> trees;
};

// Go's own functions.
const FunctionTable& builtins();

// As Go prints a node in messages.
std::string to_string(const Node& node);

// Parses `text` and gives the trees to add, by name. bad_input with Go's message.
Result<std::map<std::string, const Tree*>> parse_template(Program& program, std::string_view name,
                                                          std::string_view text);
// Nothing but white space and definitions.
bool is_empty_tree(const Node* node);

}  // namespace tocayo::templates
