// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/json_text.h"

#include <algorithm>
#include <vector>

#include "core/labels.h"
#include "core/utf8.h"
#include "template/go_format.h"

namespace tocayo::agent {
namespace {

using templates::Arena;
using templates::MapEntry;
using templates::Value;

template <typename Members, typename Key, typename Inner>
Value map_of(const Members& members, std::size_t size, Arena& arena, Key key, Inner inner) {
  auto* entries = arena.array<MapEntry>(size + 1);
  std::size_t count = 0;
  for (const auto& member : members) {
    entries[count].key = key(member);
    entries[count++].value = inner(member);
  }
  std::stable_sort(entries, entries + count, [](const MapEntry& a, const MapEntry& b) { return a.key < b.key; });
  // Of equal keys the last one counts.
  std::size_t kept = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (i + 1 < count && entries[i].key == entries[i + 1].key) continue;
    entries[kept++] = entries[i];
  }
  return Value::of_map({entries, kept});
}

Value value_of(const boost::json::value& value, Arena& arena) {
  if (value.is_null()) return Value::nil();
  if (const auto* truth = value.if_bool()) return Value::of(*truth);
  if (value.is_number()) return Value::of(value.to_number<double>());
  if (const auto* text = value.if_string()) return Value::of(std::string_view(*text));
  if (const auto* array = value.if_array()) {
    auto* elements = arena.array<Value>(array->size() + 1);
    for (std::size_t i = 0; i < array->size(); ++i) elements[i] = value_of((*array)[i], arena);
    return Value::of_list({elements, array->size()});
  }
  const auto& object = value.get_object();
  return map_of(
      object, object.size(), arena, [](const auto& member) { return std::string_view(member.key()); },
      [&](const auto& member) { return value_of(member.value(), arena); });
}

Value value_of(const simdjson::dom::element& value, Arena& arena) {
  using Type = simdjson::dom::element_type;
  switch (value.type()) {
    case Type::NULL_VALUE: return Value::nil();
    case Type::BOOL: return Value::of(bool(value));
    case Type::INT64: return Value::of(static_cast<double>(std::int64_t(value)));
    case Type::UINT64: return Value::of(static_cast<double>(std::uint64_t(value)));
    case Type::DOUBLE: return Value::of(double(value));
    case Type::STRING: return Value::of(std::string_view(value));
    case Type::ARRAY: {
      const auto array = simdjson::dom::array(value);
      auto* elements = arena.array<Value>(array.size() + 1);
      std::size_t count = 0;
      for (const auto element : array) elements[count++] = value_of(element, arena);
      return Value::of_list({elements, count});
    }
    case Type::OBJECT: break;
  }
  const auto object = simdjson::dom::object(value);
  std::size_t size = 0;  // object.size() is capped
  for ([[maybe_unused]] const auto member : object) ++size;
  return map_of(
      object, size, arena, [](const auto& member) { return member.key; },
      [&](const auto& member) { return value_of(member.value, arena); });
}

}  // namespace

std::optional<boost::json::value> parse_json(std::string_view text) {
  std::string copy;
  if (!is_valid_utf8(text)) {
    copy = valid_text(text);
    text = copy;
  }
  boost::json::parse_options options;
  options.max_depth = 128;
  boost::system::error_code bad;
  auto value = boost::json::parse(text, bad, {}, options);
  if (bad) return std::nullopt;
  return value;
}

std::string json_text(const boost::json::value& value) {
  Arena arena;
  std::string out;
  templates::append_json(out, value_of(value, arena), arena);
  return out;
}

std::string json_text(const simdjson::dom::element& value) {
  Arena arena;
  std::string out;
  templates::append_json(out, value_of(value, arena), arena);
  return out;
}

void append_json_string(std::string& out, std::string_view text) {
  Arena arena;
  templates::append_json(out, Value::of(text), arena);
}

std::string valid_text(std::string_view text) {
  if (is_valid_utf8(text)) return std::string(text);
  std::string out;
  while (!text.empty()) {
    const auto rune = utf8::decode(text);
    if (rune.valid)
      out += text.substr(0, rune.size);
    else
      utf8::append(out, 0xfffd);
    text.remove_prefix(rune.size);
  }
  return out;
}

}  // namespace tocayo::agent
