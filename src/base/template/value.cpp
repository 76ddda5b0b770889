// SPDX-License-Identifier: Apache-2.0
#include "template/value.h"

#include "template/template.h"

namespace tocayo::templates {
namespace {
constexpr std::size_t kFirstChunk = 4096;
}

void* Arena::allocate(std::size_t bytes, std::size_t alignment) {
  std::size_t start = (offset_ + alignment - 1) & ~(alignment - 1);
  if (chunks_.empty() || start + bytes > chunk_size_) {
    used_before_ += offset_;
    chunk_size_ = std::max(bytes, chunks_.empty() ? kFirstChunk : std::min<std::size_t>(chunk_size_ * 2, 1 << 20));
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(chunk_size_));
    start = 0;
  }
  offset_ = start + bytes;
  return chunks_.back().get() + start;
}

std::string_view Arena::copy(std::string_view text) {
  if (text.empty()) return {};
  char* bytes = static_cast<char*>(allocate(text.size(), 1));
  std::memcpy(bytes, text.data(), text.size());
  return {bytes, text.size()};
}

void Arena::reset() {
  if (chunks_.size() > 1) {  // the last one is the biggest but for single huge requests
    std::swap(chunks_.front(), chunks_.back());
    chunks_.resize(1);
  }
  if (chunk_size_ > (1 << 20)) {
    chunks_.clear();
    chunk_size_ = 0;
  }
  offset_ = 0;
  used_before_ = 0;
}

Result<Value> Object::call(std::string_view method, Call&) const {
  return fail(ErrorKind::internal, "no method " + std::string(method));
}

Value Value::of(bool value) {
  Value v;
  v.kind = Kind::boolean;
  v.type = Type::boolean;
  v.boolean = value;
  return v;
}

Value Value::of(double value) {
  Value v;
  v.kind = Kind::floating;
  v.type = Type::float64;
  v.floating = value;
  return v;
}

Value Value::of_int(std::int64_t value) {
  Value v;
  v.kind = Kind::integer;
  v.type = Type::integer;
  v.integer = value;
  return v;
}

Value Value::of_int64(std::int64_t value) {
  Value v = of_int(value);
  v.type = Type::int64;
  return v;
}

Value Value::of_uint64(std::uint64_t value) {
  Value v;
  v.kind = Kind::unsigned_integer;
  v.type = Type::uint64;
  v.unsigned_integer = value;
  return v;
}

Value Value::of(std::string_view text, Type type) {
  Value v;
  v.kind = Kind::string;
  v.type = type;
  v.size = static_cast<std::uint32_t>(std::min<std::size_t>(text.size(), UINT32_MAX));
  v.text = text.data();
  return v;
}

Value Value::of_list(std::span<const Value> elements, Type type) {
  Value v;
  v.kind = Kind::list;
  v.type = type;
  v.size = static_cast<std::uint32_t>(elements.size());
  v.list = elements.data();
  return v;
}

Value Value::of_map(std::span<const MapEntry> sorted, Type type) {
  Value v;
  v.kind = Kind::map;
  v.type = type;
  v.size = static_cast<std::uint32_t>(sorted.size());
  v.map = sorted.data();
  return v;
}

Value Value::of(const Object& object) {
  Value v;
  v.kind = Kind::object;
  v.type = Type::any;
  v.object = &object;
  return v;
}

Value Value::of(const Time* time) {
  Value v;
  v.kind = Kind::time;
  v.type = Type::time;
  v.time = time;
  return v;
}

Value Value::of_duration(std::int64_t nanoseconds) {
  Value v;
  v.kind = Kind::duration;
  v.type = Type::duration;
  v.integer = nanoseconds;
  return v;
}

Value Value::of(const Function* function) {
  Value v;
  v.kind = Kind::function;
  v.type = Type::any;
  v.function = function;
  return v;
}

Value Value::nil() {
  Value v;
  v.type = Type::any;
  return v;
}

bool Value::truth() const {
  switch (kind) {
    case Kind::none: return false;
    case Kind::boolean: return boolean;
    case Kind::integer:
    case Kind::duration: return integer != 0;
    case Kind::unsigned_integer: return unsigned_integer != 0;
    case Kind::floating: return floating != 0;
    case Kind::string:
    case Kind::list:
    case Kind::map: return size > 0;
    case Kind::object: {
      if (!object->is_map() && !object->is_list()) return true;
      Arena arena;
      return object->is_map() ? !object->entries(arena).empty() : !object->elements(arena).empty();
    }
    case Kind::time:
    case Kind::function: return true;
  }
  return false;
}

std::string_view to_string(Type type) {
  switch (type) {
    case Type::any: return "interface {}";
    case Type::invalid: return "nil";
    case Type::boolean: return "bool";
    case Type::integer: return "int";
    case Type::int64: return "int64";
    case Type::uint64: return "uint64";
    case Type::float64: return "float64";
    case Type::string: return "string";
    case Type::safe_html: return "template.HTML";
    case Type::safe_url: return "template.URL";
    case Type::safe_css: return "template.CSS";
    case Type::safe_js: return "template.JS";
    case Type::safe_attribute: return "template.HTMLAttr";
    case Type::time: return "time.Time";
    case Type::duration: return "time.Duration";
    case Type::list_any: return "[]interface {}";
    case Type::list_string: return "[]string";
    case Type::map_any: return "map[string]interface {}";
    case Type::map_string: return "map[string]string";
  }
  return "";
}

std::string Value::type_name() const {
  if (kind == Kind::object) return std::string(object->type_name());
  if (kind == Kind::function) return "func";
  return std::string(to_string(type));
}

bool assignable(const Value& value, Type type) {
  if (type == Type::any) return true;
  if (value.kind == Kind::object) {
    if (type == Type::map_string) return value.object->is_map() && value.object->string_values();
    if (type == Type::map_any) return value.object->is_map() && !value.object->string_values();
    if (type == Type::list_any || type == Type::list_string) return value.object->is_list();
    return false;
  }
  return value.kind != Kind::none && value.type == type;
}

}  // namespace tocayo::templates
