// SPDX-License-Identifier: Apache-2.0
#include "template/template.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/labels.h"
#include "template/detail/ast.h"
#include "template/detail/executor.h"

namespace tocayo::templates {

void FunctionTable::add(std::string name, std::vector<Type> parameters, Implementation call, bool variadic) {
  Function function{name, std::move(parameters), variadic, std::move(call)};
  functions_.insert_or_assign(std::move(name), std::move(function));
}

const Function* FunctionTable::find(std::string_view name) const {
  const auto found = functions_.find(name);
  return found == functions_.end() ? nullptr : &found->second;
}

Scratch::Scratch() = default;
Scratch::~Scratch() = default;
Scratch::Scratch(Scratch&&) noexcept = default;
Scratch& Scratch::operator=(Scratch&&) noexcept = default;

Template::Template(std::shared_ptr<const FunctionTable> functions, Options options)
    : program_(std::make_unique<Program>()) {
  program_->functions = std::move(functions);
  program_->options = options;
}

Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

Result<Template> Template::compile(std::string_view name, std::string_view text,
                                   std::shared_ptr<const FunctionTable> functions, Options options) {
  Template result(std::move(functions), options);
  TRY(result.parse(name, text));
  return result;
}

Result<> Template::parse(std::string_view name, std::string_view text) {
  if (text.size() > (64 << 20)) return fail(ErrorKind::too_large, "the template is over 64 MiB");
  const auto trees = TRY(parse_template(*program_, name, text));
  for (const auto& [tree_name, tree] : trees) {
    const auto found = program_->trees.find(tree_name);
    if (found == program_->trees.end()) {
      program_->trees.emplace(tree_name, tree);
    } else if (!is_empty_tree(tree->root)) {
      found->second = tree;
    }
  }
  return {};
}

bool Template::has(std::string_view name) const { return program_->trees.contains(name); }

Result<> Template::execute(std::string_view name, const Value& data, std::string& out, Scratch& scratch,
                           const void* user) const {
  const auto found = program_->trees.find(name);
  if (found == program_->trees.end()) {
    return fail(ErrorKind::bad_input, fmt::format("template: no template {} associated with template", go_quote(name)));
  }
  // A function may run templates: the outer execution's values stay.
  if (scratch.depth_ == 0) {
    scratch.arena_.reset();
    scratch.variables_.clear();
    scratch.steps_ = 0;
  } else if (scratch.depth_ > 20) {
    return fail(ErrorKind::limit, "exceeded maximum depth of templates run by functions (20)");
  }
  ++scratch.depth_;
  auto done = Executor(*this, *program_, out, scratch, user).run(*found->second, data);
  --scratch.depth_;
  return done;
}

namespace {

void collect(const Node* node, Template::Reads& reads) {
  if (node == nullptr) return;
  switch (node->type) {
    case NodeType::field: reads.names.push_back(node->names[0]); break;
    case NodeType::dot: reads.open = true; break;
    case NodeType::variable:
      if (node->names[0] == "$") {
        if (node->names.size() > 1) {
          reads.names.push_back(node->names[1]);
        } else {
          reads.open = true;
        }
      }
      break;
    case NodeType::call_template:
      // The callee sees what it is given; given a field or the like, that was collected.
      break;
    default: break;
  }
  for (const Node* child : node->children) collect(child, reads);
  for (const Node* part : {node->pipe, node->list, node->else_list, node->operand}) collect(part, reads);
}

}  // namespace

Template::Reads Template::reads(std::string_view name) const {
  Reads reads;
  // Templates call one another: taking what all of them read is simple and safe.
  for (const auto& [tree_name, tree] : program_->trees) collect(tree->root, reads);
  if (!program_->trees.contains(name)) reads.open = true;
  std::sort(reads.names.begin(), reads.names.end());
  reads.names.erase(std::unique(reads.names.begin(), reads.names.end()), reads.names.end());
  return reads;
}

std::string_view Template::simple_field(std::string_view name) const {
  const auto found = program_->trees.find(name);
  if (found == program_->trees.end()) return {};
  const Node& root = *found->second->root;
  if (root.children.size() != 1 || root.children[0]->type != NodeType::action) return {};
  const Node& pipe = *root.children[0]->pipe;
  if (!pipe.declarations.empty() || pipe.children.size() != 1 || pipe.children[0]->children.size() != 1) return {};
  const Node& word = *pipe.children[0]->children[0];
  return word.type == NodeType::field && word.names.size() == 1 ? std::string_view(word.names[0]) : std::string_view();
}

}  // namespace tocayo::templates
