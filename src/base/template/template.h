// SPDX-License-Identifier: Apache-2.0
// Go's text/template (semantics of Go 1.24) with an HTML mode like html/template: compiled once, executed many times
// into the caller's buffer. The functions beside Go's own are a table given by the caller.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "template/value.h"

namespace tocayo::templates {

class Scratch;
class Template;

// What a function or method is called with. `arguments` are already checked against the declared parameters.
struct Call {
  std::span<const Value> arguments;
  Arena& arena;                // for what the result needs
  const void* user = nullptr;  // what the caller gave to execute()
  const Template& running;     // for functions that run templates
  Scratch& scratch;

  const Value& operator[](std::size_t i) const { return arguments[i]; }
  std::string_view text(std::size_t i) const { return arguments[i].string(); }
  // A string whose bytes go to the arena.
  Value make(std::string_view text, Type type = Type::string) { return Value::of(arena.copy(text), type); }
};

// A failed Result becomes `error calling NAME: MESSAGE` and ends the execution.
using Implementation = std::function<Result<Value>(Call&)>;

struct Function {
  std::string name;
  std::vector<Type> parameters;  // with `variadic` the last one is the type of each further argument
  bool variadic = false;
  Implementation call;
};

// Functions by name. Build once, share; thread-safe as far as the implementations are.
class FunctionTable {
 public:
  // A later function of the same name wins. Names of Go's own functions may be redefined.
  void add(std::string name, std::vector<Type> parameters, Implementation call, bool variadic = false);
  void add_variadic(std::string name, std::vector<Type> parameters, Implementation call) {
    add(std::move(name), std::move(parameters), std::move(call), true);
  }
  const Function* find(std::string_view name) const;

 private:
  std::map<std::string, Function, std::less<>> functions_;
};

enum class Mode : unsigned char { text, html };
// What `.name` gives for a name that a map does not have: nothing (printed as <no value>), the zero value, an error.
enum class MissingKey : unsigned char { invalid, zero, error };

struct Limits {
  std::size_t output_bytes = 1 << 20;
  std::uint64_t steps = 1'000'000;      // nodes walked
  std::size_t memory_bytes = 16 << 20;  // of intermediate values
};

struct Options {
  Mode mode = Mode::text;
  MissingKey missing_key = MissingKey::invalid;
  Limits limits;
};

struct Program;

// Reusable memory of executions: one per thread. What an execution computed is gone at the next one.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(Scratch&&) noexcept;
  Scratch& operator=(Scratch&&) noexcept;
  Arena& arena() { return arena_; }

 private:
  friend class Executor;
  friend class Template;
  struct Variable {
    std::string_view name;
    Value value;
  };
  Arena arena_;
  std::vector<Variable> variables_;
  std::vector<Value> arguments_;
  std::uint64_t steps_ = 0;
  unsigned depth_ = 0;  // executions inside executions (a function that runs a template)
};

// A set of named templates. parse() is for the start; execute() is const and thread-safe (a Scratch per thread).
class Template {
 public:
  explicit Template(std::shared_ptr<const FunctionTable> functions, Options options = {});
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

  // One template alone: Template + parse.
  static Result<Template> compile(std::string_view name, std::string_view text,
                                  std::shared_ptr<const FunctionTable> functions, Options options = {});

  // Adds `text` as template `name`, and what it defines. A later template that is not empty replaces an earlier one of
  // its name. bad_input: Go's message, `template: NAME:LINE: …`; the set is then as before.
  Result<> parse(std::string_view name, std::string_view text);
  bool has(std::string_view name) const;

  // Appends to `out`; on failure what was written before the error stays there. bad_input with Go's message
  // (`template: NAME:LINE:COL: executing "NAME" at <…>: …`); `limit` when a limit is passed.
  Result<> execute(std::string_view name, const Value& data, std::string& out, Scratch& scratch,
                   const void* user = nullptr) const;

  // Names that the text reads from its data (`.name`, `$.name`, `index . "name"` is not seen). With `open` set when it
  // may read anything (uses `.` or `$` as a whole).
  struct Reads {
    std::vector<std::string> names;
    bool open = false;
  };
  Reads reads(std::string_view name) const;
  // "name" when the whole template is `{{.name}}`, else "".
  std::string_view simple_field(std::string_view name) const;

 private:
  friend class Executor;
  std::unique_ptr<Program> program_;
};

}  // namespace tocayo::templates
