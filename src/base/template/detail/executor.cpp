// SPDX-License-Identifier: Apache-2.0
#include "template/detail/executor.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/labels.h"
#include "template/go_format.h"

namespace tocayo::templates {
namespace {

constexpr unsigned kMaxTemplateDepth = 1000;
constexpr unsigned kMaxNesting = 3500;  // statements and pipelines inside one another: bounds the stack

struct Deeper {
  explicit Deeper(unsigned& depth) : depth(depth) { ++depth; }
  ~Deeper() { --depth; }
  unsigned& depth;
};

}  // namespace

bool Executor::error(std::string message, ErrorKind kind) {
  if (!error_.message.empty()) return false;  // the first one counts
  const Node* node = current_;
  if (node == nullptr) {
    error_ = {kind, fmt::format("template: {}: {}", tree_->name, message)};
    return false;
  }
  const std::string_view before = std::string_view(*node->tree->text).substr(0, node->position);
  const auto last = before.rfind('\n');
  const std::size_t column = last == std::string_view::npos ? before.size() : before.size() - last - 1;
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  error_ = {kind, fmt::format("template: {}:{}:{}: executing {} at <{}>: {}", node->tree->parse_name, line, column,
                              go_quote(tree_->name), to_string(*node), message)};
  return false;
}

bool Executor::step() {
  if (++scratch_.steps_ > program_.options.limits.steps) {
    return error(fmt::format("exceeded maximum of {} steps", program_.options.limits.steps), ErrorKind::limit);
  }
  if (scratch_.arena_.used() > program_.options.limits.memory_bytes) {
    return error(fmt::format("exceeded maximum of {} bytes of values", program_.options.limits.memory_bytes),
                 ErrorKind::limit);
  }
  if (nesting_ > kMaxNesting) {
    return error(fmt::format("exceeded maximum template depth ({})", kMaxTemplateDepth), ErrorKind::limit);
  }
  return true;
}

Result<> Executor::run(const Tree& tree, const Value& data) {
  tree_ = &tree;
  frame_ = scratch_.variables_.size();
  scratch_.variables_.push_back({"$", data});
  const Flow flow = walk(*tree.root, data);
  scratch_.variables_.resize(frame_);
  if (flow == Flow::failed) return std::unexpected(std::move(error_));
  return {};
}

bool Executor::write(std::string_view text) {
  if (program_.options.mode == Mode::html) {
    html_.literal(out_, text);
  } else {
    out_ += text;
  }
  if (out_.size() - first_byte_ > program_.options.limits.output_bytes) {
    return error(fmt::format("output exceeds {} bytes", program_.options.limits.output_bytes), ErrorKind::limit);
  }
  return true;
}

bool Executor::print(const Node& node, const Value& value) {
  current_ = &node;
  if (value.kind == Kind::function) return error(fmt::format("can't print {} of type func", to_string(node)));
  if (program_.options.mode == Mode::html) {
    auto done = html_.value(out_, value, scratch_.arena_);
    if (!done) return error(std::move(done.error().message));
  } else {
    print_value(out_, value);
  }
  if (out_.size() - first_byte_ > program_.options.limits.output_bytes) {
    return error(fmt::format("output exceeds {} bytes", program_.options.limits.output_bytes), ErrorKind::limit);
  }
  return true;
}

Executor::Flow Executor::walk_list(const Node& list, const Value& dot) {
  for (const Node* child : list.children) {
    const Flow flow = walk(*child, dot);
    if (flow != Flow::next) return flow;
  }
  return Flow::next;
}

Executor::Flow Executor::walk(const Node& node, const Value& dot) {
  current_ = &node;
  const Deeper deeper(nesting_);
  if (!step()) return Flow::failed;
  switch (node.type) {
    case NodeType::list: return walk_list(node, dot);
    case NodeType::text: return write(node.text) ? Flow::next : Flow::failed;
    case NodeType::action: {
      Value value;
      if (!pipeline(node.pipe, dot, value)) return Flow::failed;
      if (node.pipe->declarations.empty() && !print(node, value)) return Flow::failed;
      return Flow::next;
    }
    case NodeType::if_branch:
    case NodeType::with_branch: return walk_branch(node, dot);
    case NodeType::range_loop: return walk_range(node, dot);
    case NodeType::call_template: return walk_template(node, dot);
    case NodeType::break_loop: return Flow::break_loop;
    case NodeType::continue_loop: return Flow::continue_loop;
    default: error("unknown node: " + to_string(node)); return Flow::failed;
  }
}

Executor::Flow Executor::walk_branch(const Node& node, const Value& dot) {
  const std::size_t mark = scratch_.variables_.size();
  Value value;
  if (!pipeline(node.pipe, dot, value)) return Flow::failed;
  Flow flow = Flow::next;
  if (value.truth()) {
    flow = walk(*node.list, node.type == NodeType::with_branch ? value : dot);
  } else if (node.else_list != nullptr) {
    flow = walk(*node.else_list, dot);
  }
  scratch_.variables_.resize(mark);
  return flow;
}

// One turn of a range: sets its variables (index null: the loop has none) and runs the body.
Executor::Flow Executor::iterate(const Node& node, const Value* index, const Value& element) {
  const auto& declared = node.pipe->declarations;
  auto& variables = scratch_.variables_;
  const std::size_t mark = variables.size();
  const auto assign = [&](const Node& name, const Value& value) {
    for (std::size_t i = variables.size(); i-- > frame_;) {
      if (variables[i].name == name.names[0]) {
        variables[i].value = value;
        return;
      }
    }
  };
  const Value nothing;
  if (declared.size() == 1) {
    if (node.pipe->assigns) {
      assign(*declared[0], element);
    } else {
      variables[mark - 1].value = element;
    }
  } else if (declared.size() > 1) {
    if (node.pipe->assigns) {
      assign(*declared[0], index ? *index : nothing);
      assign(*declared[1], element);
    } else {
      variables[mark - 1].value = element;
      variables[mark - 2].value = index ? *index : nothing;
    }
  }
  const Flow flow = walk(*node.list, element);
  variables.resize(mark);
  return flow == Flow::continue_loop ? Flow::next : flow;
}

Executor::Flow Executor::walk_range(const Node& node, const Value& dot) {
  auto& variables = scratch_.variables_;
  const std::size_t outside = variables.size();
  Value value;
  if (!pipeline(node.pipe, dot, value)) return Flow::failed;
  bool any = false;
  Flow flow = Flow::next;
  const auto each = [&](std::span<const Value> elements) {
    for (std::size_t i = 0; i < elements.size() && flow == Flow::next; ++i) {
      const Value index = Value::of_int(static_cast<std::int64_t>(i));
      flow = iterate(node, &index, elements[i]);
      any = true;
    }
  };
  const auto each_entry = [&](std::span<const MapEntry> entries) {
    for (std::size_t i = 0; i < entries.size() && flow == Flow::next; ++i) {
      const Value key = Value::of(entries[i].key);
      flow = iterate(node, &key, entries[i].value);
      any = true;
    }
  };
  const auto count = [&](std::uint64_t end, bool is_unsigned) {
    for (std::uint64_t i = 0; i < end && flow == Flow::next; ++i) {
      Value number = is_unsigned ? Value::of_uint64(i) : Value::of_int(static_cast<std::int64_t>(i));
      number.type = value.type;
      flow = iterate(node, nullptr, number);
      any = true;
    }
  };
  switch (value.kind) {
    case Kind::none: break;
    case Kind::integer:
    case Kind::duration:
    case Kind::unsigned_integer: {
      if (node.pipe->declarations.size() > 1) {
        std::string shown;
        print_value(shown, value);
        error(fmt::format("can't use {} to iterate over more than one variable", shown));
        return Flow::failed;
      }
      const bool is_unsigned = value.kind == Kind::unsigned_integer;
      if (is_unsigned || value.integer > 0) count(value.unsigned_integer, is_unsigned);
      break;
    }
    case Kind::list: each(value.elements()); break;
    case Kind::map: each_entry(value.entries()); break;
    case Kind::object:
      if (value.object->is_map()) {
        each_entry(value.object->entries(scratch_.arena_));
        break;
      }
      if (value.object->is_list()) {
        each(value.object->elements(scratch_.arena_));
        break;
      }
      [[fallthrough]];
    default: {
      std::string shown;
      print_value(shown, value);
      error("range can't iterate over " + shown);
      return Flow::failed;
    }
  }
  if (flow == Flow::break_loop) flow = Flow::next;
  if (flow == Flow::next && !any && node.else_list != nullptr) flow = walk(*node.else_list, dot);
  variables.resize(outside);
  return flow;
}

Executor::Flow Executor::walk_template(const Node& node, const Value& dot) {
  const auto found = program_.trees.find(node.text);
  if (found == program_.trees.end()) {
    error(fmt::format("template {} not defined", go_quote(node.text)));
    return Flow::failed;
  }
  if (templates_ == kMaxTemplateDepth) {
    error(fmt::format("exceeded maximum template depth ({})", kMaxTemplateDepth), ErrorKind::limit);
    return Flow::failed;
  }
  Value value;
  if (!pipeline(node.pipe, dot, value)) return Flow::failed;
  const Tree* outer_tree = tree_;
  const std::size_t outer_frame = frame_;
  const std::size_t mark = scratch_.variables_.size();
  tree_ = found->second;
  frame_ = mark;
  ++templates_;
  scratch_.variables_.push_back({"$", value});
  const Flow flow = walk(*tree_->root, value);
  scratch_.variables_.resize(mark);
  --templates_;
  frame_ = outer_frame;
  tree_ = outer_tree;
  return flow;
}

bool Executor::pipeline(const Node* pipe, const Value& dot, Value& out) {
  out = Value();
  if (pipe == nullptr) return true;
  current_ = pipe;
  const Deeper deeper(nesting_);
  if (!step()) return false;
  const Value* final = nullptr;
  Value previous;
  for (const Node* node : pipe->children) {
    Value value;
    if (!command(*node, dot, final, value)) return false;
    if (value.is_none()) value = Value();  // a nil interface is nothing from here on
    previous = value;
    final = &previous;
  }
  out = previous;
  for (const Node* declared : pipe->declarations) {
    auto& variables = scratch_.variables_;
    if (!pipe->assigns) {
      variables.push_back({declared->names[0], out});
      continue;
    }
    bool found = false;
    for (std::size_t i = variables.size(); i-- > frame_ && !found;) {
      if (variables[i].name != declared->names[0]) continue;
      variables[i].value = out;
      found = true;
    }
    if (!found) return error("undefined variable: " + declared->names[0]);
  }
  return true;
}

bool Executor::not_a_function(std::span<Node* const> words, const Value* final) {
  if (words.size() > 1 || final != nullptr) {
    return error("can't give argument to non-function " + to_string(*words[0]));
  }
  return true;
}

bool Executor::variable(const Node& node, Value& out) {
  const auto& variables = scratch_.variables_;
  for (std::size_t i = variables.size(); i-- > frame_;) {
    if (variables[i].name == node.names[0]) {
      out = variables[i].value;
      return true;
    }
  }
  return error("undefined variable: " + node.names[0]);
}

bool Executor::command(const Node& node, const Value& dot, const Value* final, Value& out) {
  const std::span<Node* const> words = node.children;
  const Node& first = *words[0];
  switch (first.type) {
    case NodeType::field: current_ = &first; return field_chain(first, 0, dot, dot, words, final, out);
    case NodeType::chain: {
      current_ = &first;
      if (first.operand->type == NodeType::nil) {
        return error("indirection through explicit nil in " + to_string(first));
      }
      Value receiver;
      if (!argument(*first.operand, Type::any, dot, receiver)) return false;
      return field_chain(first, 0, dot, receiver, words, final, out);
    }
    case NodeType::identifier: return function_call(first, node, dot, words, final, out);
    case NodeType::pipe: return not_a_function(words, final) && pipeline(&first, dot, out);
    case NodeType::variable: {
      current_ = &first;
      Value value;
      if (!variable(first, value)) return false;
      if (first.names.size() == 1) {
        out = value;
        return not_a_function(words, final);
      }
      return field_chain(first, 1, dot, value, words, final, out);
    }
    default: break;
  }
  current_ = &first;
  if (!not_a_function(words, final)) return false;
  switch (first.type) {
    case NodeType::boolean: out = Value::of(first.truth); return true;
    case NodeType::dot: out = dot; return true;
    case NodeType::nil: return error("nil is not a command");
    case NodeType::number: return constant(first, out);
    case NodeType::string: out = Value::of(first.value); return true;
    default: return error("can't evaluate command " + go_quote(to_string(first)));
  }
}

// What a number is when nobody asks for a type: its spelling decides.
bool Executor::constant(const Node& node, Value& out) {
  current_ = &node;
  if (node.is_complex) return error("complex numbers are not supported: " + node.text);
  const bool hex = node.text.size() > 2 && node.text[0] == '0' && (node.text[1] | 0x20) == 'x' &&
                   node.text.find_first_of("pP") == std::string::npos;
  if (node.is_float && !hex && node.text[0] != '\'' && node.text.find_first_of(".eEpP") != std::string::npos) {
    out = Value::of(node.floating);
    return true;
  }
  if (!node.is_integer) return error(node.text + " overflows int");
  out = Value::of_int(node.integer);
  return true;
}

bool Executor::field_chain(const Node& node, std::size_t first, const Value& dot, Value receiver,
                           std::span<Node* const> words, const Value* final, Value& out) {
  for (std::size_t i = first; i + 1 < node.names.size(); ++i) {
    Value value;
    if (!field(node, node.names[i], dot, receiver, {}, nullptr, value)) return false;
    receiver = value;
  }
  return field(node, node.names.back(), dot, receiver, words, final, out);
}

bool Executor::missing_key(const Node& node, std::string_view name, bool strings, Value& out) {
  current_ = &node;
  switch (program_.options.missing_key) {
    case MissingKey::invalid: out = Value(); return true;
    case MissingKey::zero: out = strings ? Value::of(std::string_view()) : Value::nil(); return true;
    case MissingKey::error: return error("map has no entry for key " + go_quote(name));
  }
  return true;
}

bool Executor::field(const Node& node, std::string_view name, const Value& dot, const Value& receiver,
                     std::span<Node* const> words, const Value* final, Value& out) {
  if (receiver.is_none()) {
    if (receiver.type == Type::any) {
      return error(fmt::format("nil pointer evaluating interface {{}}.{}", name));
    }
    if (program_.options.missing_key == MissingKey::error) {
      return error("nil data; no entry for key " + go_quote(name));
    }
    out = Value();
    return true;
  }
  if (receiver.kind == Kind::object) return object_field(node, name, dot, receiver, words, final, out);
  if (is_time_method(receiver.kind, name)) return call_object(node, name, receiver, dot, words, final, out);
  if (receiver.kind == Kind::map) {
    if (words.size() > 1 || final != nullptr) return error(fmt::format("{} is not a method but has arguments", name));
    const auto entries = receiver.entries();
    const auto found = std::lower_bound(entries.begin(), entries.end(), name,
                                        [](const MapEntry& entry, std::string_view key) { return entry.key < key; });
    if (found == entries.end() || found->key != name) {
      return missing_key(node, name, receiver.type == Type::map_string, out);
    }
    out = found->value;
    return true;
  }
  return error(fmt::format("can't evaluate field {} in type {}", name, receiver.type_name()));
}

bool Executor::object_field(const Node& node, std::string_view name, const Value& dot, const Value& receiver,
                            std::span<Node* const> words, const Value* final, Value& out) {
  const Object& object = *receiver.object;
  if (object.has_method(name)) return call_object(node, name, receiver, dot, words, final, out);
  const bool has_arguments = words.size() > 1 || final != nullptr;
  if (object.is_map()) {
    if (has_arguments) return error(fmt::format("{} is not a method but has arguments", name));
    if (object.get(name, scratch_.arena_, out)) return true;
    return missing_key(node, name, object.string_values(), out);
  }
  if (object.get(name, scratch_.arena_, out)) {
    if (has_arguments) return error(fmt::format("{} has arguments but cannot be invoked as function", name));
    return true;
  }
  return error(fmt::format("can't evaluate field {} in type {}", name, object.type_name()));
}

bool Executor::call_object(const Node& node, std::string_view name, const Value& receiver, const Value& dot,
                           std::span<Node* const> words, const Value* final, Value& out) {
  const std::size_t given = words.empty() ? 0 : words.size() - 1;
  Value* values = scratch_.arena_.array<Value>(given + 1);
  std::size_t count = 0;
  for (; count < given; ++count) {
    values[count] = Value();
    if (!argument(*words[count + 1], Type::any, dot, values[count])) return false;
  }
  if (final != nullptr) values[count++] = *final;
  Call call{{values, count}, scratch_.arena_, user_, owner_, scratch_};
  auto result =
      receiver.kind == Kind::object ? receiver.object->call(name, call) : call_time_method(receiver, name, call);
  if (!result) {
    if (result.error().message.starts_with("wrong number of args")) return error(std::move(result.error().message));
    current_ = &node;
    return error(fmt::format("error calling {}: {}", name, result.error().message), result.error().kind);
  }
  out = *result;
  return true;
}

bool Executor::function_call(const Node& identifier, const Node& shown, const Value& dot, std::span<Node* const> words,
                             const Value* final, Value& out) {
  current_ = &identifier;
  if (!step()) return false;
  const Function& function = *identifier.function;
  const std::string_view name = identifier.text;
  if (identifier.builtin_and || identifier.builtin_or) {
    const std::size_t count = (words.empty() ? 0 : words.size() - 1) + (final != nullptr ? 1 : 0);
    if (count == 0) return error(fmt::format("wrong number of args for {}: want at least 1 got 0", name));
    for (std::size_t i = 1; i < words.size(); ++i) {
      if (!argument(*words[i], Type::any, dot, out)) return false;
      if (out.truth() == identifier.builtin_or) return true;
    }
    if (final != nullptr) out = *final;
    return true;
  }
  std::span<const Value> values;
  if (!arguments(function, name, dot, words, final, values)) return false;
  Call call{values, scratch_.arena_, user_, owner_, scratch_};
  const Function* called = &function;
  if (identifier.builtin_call) {
    current_ = &shown;
    if (values[0].is_none()) return error("error calling call: call of nil");
    if (values[0].kind != Kind::function) {
      const std::string callee = words.size() > 1 ? to_string(*words[1]) : "";
      return error(fmt::format("error calling call: non-function {} of type {}", callee, values[0].type_name()));
    }
    called = values[0].function;
    call.arguments = values.subspan(1);
    if (!called->variadic && call.arguments.size() != called->parameters.size()) {
      return error(fmt::format("error calling call: wrong number of args for {}: got {} want {}", called->name,
                               call.arguments.size(), called->parameters.size()));
    }
  }
  auto result = called->call(call);
  if (!result) {
    current_ = &shown;
    return error(fmt::format("error calling {}: {}", name, result.error().message), result.error().kind);
  }
  out = *result;
  return true;
}

bool Executor::arguments(const Function& function, std::string_view name, const Value& dot,
                         std::span<Node* const> words, const Value* final, std::span<const Value>& out) {
  const std::size_t given = words.empty() ? 0 : words.size() - 1;
  const std::size_t count = given + (final != nullptr ? 1 : 0);
  const std::size_t parameters = function.parameters.size();
  if (function.variadic) {
    if (count + 1 < parameters) {
      return error(fmt::format("wrong number of args for {}: want at least {} got {}", name, parameters - 1, given));
    }
  } else if (count != parameters) {
    return error(fmt::format("wrong number of args for {}: want {} got {}", name, parameters, count));
  }
  Value* values = scratch_.arena_.array<Value>(count + 1);
  const auto type_of = [&](std::size_t i) { return function.parameters[std::min(i, parameters - 1)]; };
  for (std::size_t i = 0; i < given; ++i) {
    values[i] = Value();
    if (!argument(*words[i + 1], type_of(i), dot, values[i])) return false;
  }
  if (final != nullptr) {
    values[given] = *final;
    if (!checked(values[given], type_of(given))) return false;
  }
  out = {values, count};
  return true;
}

bool Executor::checked(Value& value, Type type) {
  if (value.is_none()) {
    switch (type) {
      case Type::any: return true;
      case Type::list_any:
      case Type::list_string: value = Value::of_list({}, type); return true;
      case Type::map_any:
      case Type::map_string: value = Value::of_map({}, type); return true;
      default: return error(fmt::format("invalid value; expected {}", to_string(type)));
    }
  }
  if (assignable(value, type)) return true;
  return error(fmt::format("wrong type for value; expected {}; got {}", to_string(type), value.type_name()));
}

bool Executor::argument(const Node& node, Type type, const Value& dot, Value& out) {
  current_ = &node;
  switch (node.type) {
    case NodeType::dot: out = dot; return checked(out, type);
    case NodeType::nil:
      out = Value::nil();
      if (type == Type::any || type == Type::list_any || type == Type::list_string || type == Type::map_any ||
          type == Type::map_string) {
        return checked(out, type);
      }
      return error(fmt::format("cannot assign nil to {}", to_string(type)));
    case NodeType::field: return field_chain(node, 0, dot, dot, {}, nullptr, out) && checked(out, type);
    case NodeType::variable: {
      Value value;
      if (!variable(node, value)) return false;
      if (node.names.size() > 1) {
        if (!field_chain(node, 1, dot, value, {}, nullptr, out)) return false;
      } else {
        out = value;
      }
      return checked(out, type);
    }
    case NodeType::pipe: return pipeline(&node, dot, out) && checked(out, type);
    case NodeType::identifier: return function_call(node, node, dot, {}, nullptr, out) && checked(out, type);
    case NodeType::chain: {
      if (node.operand->type == NodeType::nil) {
        return error("indirection through explicit nil in " + to_string(node));
      }
      Value receiver;
      if (!argument(*node.operand, Type::any, dot, receiver)) return false;
      return field_chain(node, 0, dot, receiver, {}, nullptr, out) && checked(out, type);
    }
    default: return literal(node, type, dot, out);
  }
}

// A constant becomes what the parameter asks for.
bool Executor::literal(const Node& node, Type type, const Value&, Value& out) {
  const auto expected = [&](std::string_view what) {
    return error(fmt::format("expected {}; found {}", what, to_string(node)));
  };
  switch (type) {
    case Type::boolean:
      if (node.type != NodeType::boolean) return expected("bool");
      out = Value::of(node.truth);
      return true;
    case Type::float64:
      if (node.type != NodeType::number || !node.is_float) return expected("float");
      out = Value::of(node.floating);
      return true;
    case Type::integer:
    case Type::int64:
    case Type::duration:
      if (node.type != NodeType::number || !node.is_integer) return expected("integer");
      out = Value::of_int(node.integer);
      out.type = type;
      if (type == Type::duration) out.kind = Kind::duration;
      return true;
    case Type::uint64:
      if (node.type != NodeType::number || !node.is_unsigned) return expected("unsigned integer");
      out = Value::of_uint64(node.unsigned_integer);
      return true;
    case Type::string:
    case Type::safe_html:
    case Type::safe_url:
      if (node.type != NodeType::string) return expected("string");
      out = Value::of(std::string_view(node.value), type);
      return true;
    case Type::any:
      if (node.type == NodeType::boolean) {
        out = Value::of(node.truth);
        return true;
      }
      if (node.type == NodeType::number) return constant(node, out);
      if (node.type == NodeType::string) {
        out = Value::of(node.value);
        return true;
      }
      [[fallthrough]];
    default: return error(fmt::format("can't handle {} for arg of type {}", to_string(node), to_string(type)));
  }
}

}  // namespace tocayo::templates
