// SPDX-License-Identifier: Apache-2.0
// What a template computes with. A Value is 16 bytes and trivially copyable; the bytes of strings, lists, maps and
// times are borrowed: from the template, from the caller's data, or from the Arena of the execution.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/error.h"

namespace tocayo::templates {

class Zone;  // go_time.h
struct Call;
struct Function;
struct Value;

// Bump allocator: everything made during one execution lives until reset(). Not thread-safe.
class Arena {
 public:
  void* allocate(std::size_t bytes, std::size_t alignment = 8);
  std::string_view copy(std::string_view text);
  template <typename T, typename... Args>
  T* make(Args&&... args) {
    static_assert(std::is_trivially_destructible_v<T>);
    return new (allocate(sizeof(T), alignof(T))) T{std::forward<Args>(args)...};
  }
  template <typename T>
  T* array(std::size_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    return static_cast<T*>(allocate(count * sizeof(T), alignof(T)));
  }
  // Forgets everything but keeps the first chunk for the next execution.
  void reset();
  std::size_t used() const { return used_before_ + offset_; }

 private:
  std::vector<std::unique_ptr<char[]>> chunks_;
  std::size_t chunk_size_ = 0;
  std::size_t offset_ = 0;
  std::size_t used_before_ = 0;
};

// A moment: seconds since 1970 (any year, Go's zero time is year 1), nanoseconds, and the zone it prints in.
struct Time {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;  // 0…999,999,999
  const Zone* zone = nullptr;     // null: UTC
};

enum class Kind : unsigned char {
  none,  // nothing: a missing value, nil
  boolean,
  integer,  // Go's int or int64, see Value::type
  unsigned_integer,
  floating,
  string,
  list,
  map,
  object,
  time,
  duration,
  function,
};

// The static type where Go would have one: of numbers (int, int64), of strings (text that a context need not escape),
// of the elements of lists and maps.
enum class Type : unsigned char {
  any,  // interface {}: also a nil interface (kind none)
  invalid,
  boolean,
  integer,
  int64,
  uint64,
  float64,
  string,
  safe_html,
  safe_url,
  safe_css,
  safe_js,
  safe_attribute,
  time,
  duration,
  list_any,
  list_string,
  map_any,
  map_string,
};

struct MapEntry;

// Something of the caller's: a record with fields and methods, or a map whose entries are found only when asked for.
// Must outlive the execution. Called from one thread at a time per execution.
class Object {
 public:
  virtual ~Object() = default;
  // As Go would print the type in a message: "main.Alert", "map[string]string".
  virtual std::string_view type_name() const = 0;
  // A map: unknown names are missing keys, `range`, `len` and `index` work on entries(). Else a record: an unknown name
  // is an error, and it is true in conditions.
  virtual bool is_map() const { return false; }
  // Maps: what a missing key gives with missingkey=zero.
  virtual bool string_values() const { return false; }
  // A field, or the value of a map's key. false: there is none.
  virtual bool get(std::string_view name, Arena& arena, Value& out) const = 0;
  // A method of that name, for call(). Methods go before fields.
  virtual bool has_method(std::string_view) const { return false; }
  virtual Result<Value> call(std::string_view method, Call& call) const;
  // Maps: all entries sorted by key. Lists (is_list()): the elements as values.
  virtual std::span<const MapEntry> entries(Arena&) const;
  virtual bool is_list() const { return false; }
  virtual std::span<const Value> elements(Arena&) const;
  // Go's String method. false: it has none, and prints like its kind.
  virtual bool print(std::string&) const { return false; }
};

struct Value {
  Kind kind = Kind::none;
  Type type = Type::invalid;
  std::uint32_t size = 0;  // bytes of a string, elements of a list or map
  union {
    bool boolean;
    std::int64_t integer;
    std::uint64_t unsigned_integer;
    double floating;
    const char* text;
    const Value* list;
    const MapEntry* map;
    const Object* object;
    const Time* time;
    const Function* function;
  };

  Value() : integer(0) {}
  static Value of(bool value);
  static Value of(double value);
  static Value of_int(std::int64_t value);    // Go's int
  static Value of_int64(std::int64_t value);  // Go's int64
  static Value of_uint64(std::uint64_t value);
  static Value of(std::string_view text, Type type = Type::string);  // borrowed; at most 4 GiB
  static Value of(const char* text) { return of(std::string_view(text)); }
  static Value of(const std::string& text) { return of(std::string_view(text)); }
  static Value of_list(std::span<const Value> elements, Type type = Type::list_any);  // borrowed
  static Value of_map(std::span<const MapEntry> sorted, Type type = Type::map_any);   // borrowed, sorted by key
  static Value of(const Object& object);
  static Value of(const Time* time);
  static Value of_duration(std::int64_t nanoseconds);
  static Value of(const Function* function);
  static Value nil();  // a nil interface: prints as <nil> inside a list, as <no value> alone

  bool is_none() const { return kind == Kind::none; }
  std::string_view string() const { return {text, size}; }
  std::span<const Value> elements() const { return {list, size}; }
  std::span<const MapEntry> entries() const;
  // Go's rule of truth: false, 0, nothing, empty text, list and map are false.
  bool truth() const;
  // As Go names it: "int", "string", "[]string", "map[string]interface {}", "time.Time".
  std::string type_name() const;
};

struct MapEntry {
  std::string_view key;
  Value value;
};

inline std::span<const MapEntry> Value::entries() const { return {map, size}; }
inline std::span<const MapEntry> Object::entries(Arena&) const { return {}; }
inline std::span<const Value> Object::elements(Arena&) const { return {}; }

static_assert(sizeof(Value) == 16 && std::is_trivially_copyable_v<Value>);

std::string_view to_string(Type type);
// Whether Go could assign the value to a parameter of that type without conversion.
bool assignable(const Value& value, Type type);

}  // namespace tocayo::templates
