// SPDX-License-Identifier: Apache-2.0
// Functions that Go's text/template has by itself.
#include <fmt/format.h>

#include <algorithm>

#include "core/labels.h"
#include "template/detail/ast.h"
#include "template/go_format.h"

namespace tocayo::templates {
namespace {

enum class Basic : unsigned char { invalid, boolean, integer, floating, string, unsigned_integer };

Basic basic(const Value& value) {
  switch (value.kind) {
    case Kind::boolean: return Basic::boolean;
    case Kind::integer:
    case Kind::duration: return Basic::integer;
    case Kind::unsigned_integer: return Basic::unsigned_integer;
    case Kind::floating: return Basic::floating;
    case Kind::string: return Basic::string;
    default: return Basic::invalid;
  }
}

std::unexpected<Error> bad(std::string message) { return fail(ErrorKind::bad_input, std::move(message)); }

bool same(const Value& a, const Value& b, Basic kind) {
  switch (kind) {
    case Basic::boolean: return a.boolean == b.boolean;
    case Basic::integer: return a.integer == b.integer;
    case Basic::unsigned_integer: return a.unsigned_integer == b.unsigned_integer;
    case Basic::floating: return a.floating == b.floating;
    case Basic::string: return a.string() == b.string();
    case Basic::invalid: return false;
  }
  return false;
}

Result<bool> equal(const Value& a, const Value& b) {
  const Basic ka = basic(a);
  const Basic kb = basic(b);
  if (ka != kb) {
    if (ka == Basic::integer && kb == Basic::unsigned_integer) {
      return a.integer >= 0 && a.unsigned_integer == b.unsigned_integer;
    }
    if (ka == Basic::unsigned_integer && kb == Basic::integer) {
      return b.integer >= 0 && a.unsigned_integer == b.unsigned_integer;
    }
    if (!a.is_none() && !b.is_none()) return bad("incompatible types for comparison");
    return false;
  }
  if (ka != Basic::invalid) return same(a, b, ka);
  if (a.is_none() || b.is_none()) return a.is_none() == b.is_none();
  if (a.kind == Kind::time && b.kind == Kind::time) {
    return a.time->seconds == b.time->seconds && a.time->nanoseconds == b.time->nanoseconds &&
           a.time->zone == b.time->zone;
  }
  return bad(fmt::format("non-comparable type {}: {}", a.type_name(), b.type_name()));
}

Result<Value> eq(Call& call) {
  if (call.arguments.size() < 2) return bad("missing argument for comparison");
  for (std::size_t i = 1; i < call.arguments.size(); ++i) {
    if (TRY(equal(call[0], call[i]))) return Value::of(true);
  }
  return Value::of(false);
}

Result<bool> less(const Value& a, const Value& b) {
  const Basic ka = basic(a);
  const Basic kb = basic(b);
  if (ka == Basic::invalid || kb == Basic::invalid) return bad("invalid type for comparison");
  if (ka != kb) {
    if (ka == Basic::integer && kb == Basic::unsigned_integer) {
      return a.integer < 0 || a.unsigned_integer < b.unsigned_integer;
    }
    if (ka == Basic::unsigned_integer && kb == Basic::integer) {
      return b.integer >= 0 && a.unsigned_integer < b.unsigned_integer;
    }
    return bad("incompatible types for comparison");
  }
  switch (ka) {
    case Basic::integer: return a.integer < b.integer;
    case Basic::unsigned_integer: return a.unsigned_integer < b.unsigned_integer;
    case Basic::floating: return a.floating < b.floating;
    case Basic::string: return a.string() < b.string();
    default: return bad("invalid type for comparison");
  }
}

Result<bool> less_or_equal(const Value& a, const Value& b) {
  if (TRY(less(a, b))) return true;
  return equal(a, b);
}

Result<std::size_t> index_of(const Value& index, std::size_t capacity) {
  std::int64_t x = 0;
  if (index.kind == Kind::integer || index.kind == Kind::duration) {
    x = index.integer;
  } else if (index.kind == Kind::unsigned_integer) {
    x = static_cast<std::int64_t>(index.unsigned_integer);
  } else if (index.is_none()) {
    return bad("cannot index slice/array with nil");
  } else {
    return bad(fmt::format("cannot index slice/array with type {}", index.type_name()));
  }
  if (x < 0 || static_cast<std::uint64_t>(x) > capacity) return bad(fmt::format("index out of range: {}", x));
  return static_cast<std::size_t>(x);
}

Result<Value> index_map(const Value& item, const Value& key, Arena& arena) {
  const bool strings = item.kind == Kind::object ? item.object->string_values() : item.type == Type::map_string;
  if (key.is_none()) return bad("value is nil; should be of type string");
  if (key.kind != Kind::string) return bad(fmt::format("value has type {}; should be string", key.type_name()));
  const Value zero = strings ? Value::of(std::string_view()) : Value::nil();
  if (item.kind == Kind::object) {
    Value out;
    return item.object->get(key.string(), arena, out) ? out : zero;
  }
  const auto entries = item.entries();
  const auto found = std::lower_bound(entries.begin(), entries.end(), key.string(),
                                      [](const MapEntry& entry, std::string_view text) { return entry.key < text; });
  return found != entries.end() && found->key == key.string() ? found->value : zero;
}

Result<Value> index(Call& call) {
  Value item = call[0];
  if (item.is_none()) return bad("index of untyped nil");
  for (std::size_t i = 1; i < call.arguments.size(); ++i) {
    const Value& at = call[i];
    if (item.is_none()) return bad("index of nil pointer");
    if (item.kind == Kind::map || (item.kind == Kind::object && item.object->is_map())) {
      item = TRY(index_map(item, at, call.arena));
    } else if (item.kind == Kind::string) {
      const std::size_t x = TRY(index_of(at, item.size));
      if (x >= item.size) return bad(fmt::format("reflect: string index out of range"));
      item = Value::of_uint64(static_cast<unsigned char>(item.text[x]));
    } else if (item.kind == Kind::list || (item.kind == Kind::object && item.object->is_list())) {
      const auto elements = item.kind == Kind::list ? item.elements() : item.object->elements(call.arena);
      const std::size_t x = TRY(index_of(at, elements.size()));
      if (x >= elements.size()) return bad("reflect: slice index out of range");
      item = elements[x];
    } else {
      return bad(fmt::format("can't index item of type {}", item.type_name()));
    }
  }
  return item;
}

Result<Value> slice(Call& call) {
  const Value& item = call[0];
  const auto indexes = call.arguments.subspan(1);
  if (item.is_none()) return bad("slice of untyped nil");
  if (indexes.size() > 3) return bad(fmt::format("too many slice indexes: {}", indexes.size()));
  if (item.kind == Kind::string && indexes.size() == 3) return bad("cannot 3-index slice a string");
  if (item.kind != Kind::string && item.kind != Kind::list) {
    return bad(fmt::format("can't slice item of type {}", item.type_name()));
  }
  std::size_t at[3] = {0, item.size, item.size};
  for (std::size_t i = 0; i < indexes.size(); ++i) at[i] = TRY(index_of(indexes[i], item.size));
  if (at[0] > at[1]) return bad(fmt::format("invalid slice index: {} > {}", at[0], at[1]));
  if (at[1] > at[2]) return bad(fmt::format("invalid slice index: {} > {}", at[1], at[2]));
  if (item.kind == Kind::string) return Value::of(item.string().substr(at[0], at[1] - at[0]), item.type);
  return Value::of_list(item.elements().subspan(at[0], at[1] - at[0]), item.type);
}

Result<Value> length(Call& call) {
  const Value& item = call[0];
  switch (item.kind) {
    case Kind::string:
    case Kind::list:
    case Kind::map: return Value::of_int(item.size);
    case Kind::object:
      if (item.object->is_map())
        return Value::of_int(static_cast<std::int64_t>(item.object->entries(call.arena).size()));
      if (item.object->is_list())
        return Value::of_int(static_cast<std::int64_t>(item.object->elements(call.arena).size()));
      break;
    case Kind::none: return bad("len of nil pointer");
    default: break;
  }
  return bad(fmt::format("len of type {}", item.type_name()));
}

// The arguments as one text, for the escapers.
std::string joined(Call& call) {
  std::string text;
  std::vector<Value> values(call.arguments.begin(), call.arguments.end());
  for (Value& value : values) {
    if (value.is_none()) value = Value::of("<no value>");
  }
  sprint(text, values);
  return text;
}

FunctionTable make_builtins() {
  FunctionTable table;
  const auto unreachable = [](Call&) -> Result<Value> { return bad("unreachable"); };
  table.add_variadic("and", {Type::any, Type::any}, unreachable);
  table.add_variadic("or", {Type::any, Type::any}, unreachable);
  table.add_variadic("call", {Type::any, Type::any}, unreachable);
  table.add("not", {Type::any}, [](Call& call) -> Result<Value> { return Value::of(!call[0].truth()); });
  table.add("len", {Type::any}, length);
  table.add_variadic("index", {Type::any, Type::any}, index);
  table.add_variadic("slice", {Type::any, Type::any}, slice);
  table.add_variadic("print", {Type::any}, [](Call& call) -> Result<Value> {
    std::string text;
    sprint(text, call.arguments);
    return call.make(text);
  });
  table.add_variadic("println", {Type::any}, [](Call& call) -> Result<Value> {
    std::string text;
    sprintln(text, call.arguments);
    return call.make(text);
  });
  table.add_variadic("printf", {Type::string, Type::any}, [](Call& call) -> Result<Value> {
    std::string text;
    sprintf(text, call.text(0), call.arguments.subspan(1));
    return call.make(text);
  });
  table.add_variadic("html", {Type::any}, [](Call& call) -> Result<Value> {
    std::string text;
    html_escape(text, joined(call));
    return call.make(text);
  });
  table.add_variadic("js", {Type::any}, [](Call& call) -> Result<Value> {
    std::string text;
    js_escape(text, joined(call));
    return call.make(text);
  });
  table.add_variadic("urlquery", {Type::any}, [](Call& call) -> Result<Value> {
    std::string text;
    query_escape(text, joined(call));
    return call.make(text);
  });
  table.add_variadic("eq", {Type::any, Type::any}, eq);
  table.add("ne", {Type::any, Type::any},
            [](Call& call) -> Result<Value> { return Value::of(!TRY(equal(call[0], call[1]))); });
  table.add("lt", {Type::any, Type::any},
            [](Call& call) -> Result<Value> { return Value::of(TRY(less(call[0], call[1]))); });
  table.add("le", {Type::any, Type::any},
            [](Call& call) -> Result<Value> { return Value::of(TRY(less_or_equal(call[0], call[1]))); });
  table.add("gt", {Type::any, Type::any},
            [](Call& call) -> Result<Value> { return Value::of(!TRY(less_or_equal(call[0], call[1]))); });
  table.add("ge", {Type::any, Type::any},
            [](Call& call) -> Result<Value> { return Value::of(!TRY(less(call[0], call[1]))); });
  return table;
}

}  // namespace

const FunctionTable& builtins() {
  static const auto* table = new FunctionTable(make_builtins());  // leaked: programs point into it
  return *table;
}

}  // namespace tocayo::templates
