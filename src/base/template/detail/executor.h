// SPDX-License-Identifier: Apache-2.0
// Walks the nodes of a template, as Go's text/template/exec.go does.
#pragma once

#include <string>

#include "template/detail/ast.h"
#include "template/detail/html_context.h"

namespace tocayo::templates {

class Executor {
 public:
  Executor(const Template& owner, const Program& program, std::string& out, Scratch& scratch, const void* user)
      : owner_(owner), program_(program), out_(out), first_byte_(out.size()), scratch_(scratch), user_(user) {}

  Result<> run(const Tree& tree, const Value& data);

 private:
  enum class Flow : unsigned char { next, break_loop, continue_loop, failed };

  // ---- statements ----
  Flow walk(const Node& node, const Value& dot);
  Flow walk_list(const Node& list, const Value& dot);
  Flow walk_branch(const Node& node, const Value& dot);
  Flow walk_range(const Node& node, const Value& dot);
  Flow iterate(const Node& node, const Value* index, const Value& element);
  Flow walk_template(const Node& node, const Value& dot);
  bool print(const Node& node, const Value& value);
  bool write(std::string_view text);

  // ---- expressions; false: failed, error_ says how. `final` is the value from the previous stage of a pipeline ----
  bool pipeline(const Node* pipe, const Value& dot, Value& out);
  bool command(const Node& node, const Value& dot, const Value* final, Value& out);
  bool field_chain(const Node& node, std::size_t first, const Value& dot, Value receiver, std::span<Node* const> words,
                   const Value* final, Value& out);
  bool field(const Node& node, std::string_view name, const Value& dot, const Value& receiver,
             std::span<Node* const> words, const Value* final, Value& out);
  bool object_field(const Node& node, std::string_view name, const Value& dot, const Value& receiver,
                    std::span<Node* const> words, const Value* final, Value& out);
  bool missing_key(const Node& node, std::string_view name, bool strings, Value& out);
  bool function_call(const Node& identifier, const Node& shown, const Value& dot, std::span<Node* const> words,
                     const Value* final, Value& out);
  bool arguments(const Function& function, std::string_view name, const Value& dot, std::span<Node* const> words,
                 const Value* final, std::span<const Value>& out);
  bool call_object(const Node& node, std::string_view name, const Value& receiver, const Value& dot,
                   std::span<Node* const> words, const Value* final, Value& out);
  bool argument(const Node& node, Type type, const Value& dot, Value& out);
  bool literal(const Node& node, Type type, const Value& dot, Value& out);
  bool constant(const Node& node, Value& out);
  bool checked(Value& value, Type type);
  bool not_a_function(std::span<Node* const> words, const Value* final);
  bool variable(const Node& node, Value& out);

  // ---- errors ----
  bool error(std::string message, ErrorKind kind = ErrorKind::bad_input);
  bool step();

  const Template& owner_;
  const Program& program_;
  std::string& out_;
  std::size_t first_byte_;
  Scratch& scratch_;
  const void* user_;
  const Tree* tree_ = nullptr;
  const Node* current_ = nullptr;
  std::size_t frame_ = 0;  // first variable of the running template
  unsigned templates_ = 0;
  unsigned nesting_ = 0;
  HtmlContext html_;
  Error error_;
};

// Methods of time.Time and time.Duration. false: there is no such method.
bool is_time_method(Kind kind, std::string_view name);
Result<Value> call_time_method(const Value& receiver, std::string_view name, Call& call);

}  // namespace tocayo::templates
