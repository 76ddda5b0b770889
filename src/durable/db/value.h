// SPDX-License-Identifier: Apache-2.0
// What goes into a statement and comes out of a row. Five kinds, the same with SQLite and PostgreSQL: NULL, 64-bit
// integer (booleans are 0 and 1, times milliseconds), double, UTF-8 text without NUL, bytes.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "core/error.h"

namespace tocayo::db {

struct Bytes {
  std::string data;
  bool operator==(const Bytes&) const = default;
};

using Value = std::variant<std::monostate, std::int64_t, double, std::string, Bytes>;

// One parameter $1, $2 … of a statement; converts from what callers have.
class Arg {
 public:
  Arg(std::nullptr_t) {}
  template <std::integral T>
  Arg(T value) : value_(static_cast<std::int64_t>(value)) {}
  template <std::floating_point T>
  Arg(T value) : value_(static_cast<double>(value)) {}
  Arg(std::string value) : value_(std::move(value)) {}
  Arg(std::string_view value) : value_(std::string(value)) {}
  Arg(const char* value) : value_(std::string(value)) {}
  Arg(Bytes value) : value_(std::move(value)) {}
  template <typename T>
  Arg(const std::optional<T>& value) {
    if (value) value_ = Arg(*value).value_;
  }

  const Value& value() const { return value_; }

 private:
  Value value_;
};
using Args = std::vector<Arg>;

struct Rows {
  std::vector<std::string> columns;
  std::vector<std::vector<Value>> rows;
  std::int64_t changes = 0;  // rows inserted, updated or deleted by the statement
};

std::string_view kind_of(const Value& value);  // "null", "integer", "real", "text", "bytes"

namespace detail {

template <typename T>
bool decode(Value& value, T& out) {
  if constexpr (std::same_as<T, bool>) {
    auto* number = std::get_if<std::int64_t>(&value);
    if (number) out = *number != 0;
    return number != nullptr;
  } else if constexpr (std::integral<T>) {
    auto* number = std::get_if<std::int64_t>(&value);
    if (number && std::in_range<T>(*number)) {
      out = static_cast<T>(*number);
      return true;
    }
    return false;
  } else if constexpr (std::floating_point<T>) {
    if (auto* integer = std::get_if<std::int64_t>(&value)) {
      out = static_cast<T>(*integer);
      return true;
    }
    auto* number = std::get_if<double>(&value);
    if (number) out = static_cast<T>(*number);
    return number != nullptr;
  } else {
    auto* held = std::get_if<T>(&value);
    if (held) out = std::move(*held);
    return held != nullptr;
  }
}
template <typename T>
bool decode(Value& value, std::optional<T>& out) {
  if (std::holds_alternative<std::monostate>(value)) {
    out.reset();
    return true;
  }
  return decode(value, out.emplace());
}

Error wrong_column(const Rows& rows, std::size_t column, const Value& value);
Error wrong_width(const Rows& rows, std::size_t expected);

template <typename... Ts, std::size_t... I>
Result<std::tuple<Ts...>> decode_row(Rows& rows, std::vector<Value>& row, std::index_sequence<I...>) {
  std::tuple<Ts...> out;
  std::size_t bad = sizeof...(Ts);
  ((bad == sizeof...(Ts) && !decode(row[I], std::get<I>(out)) ? void(bad = I) : void()), ...);
  if (bad != sizeof...(Ts)) return std::unexpected(wrong_column(rows, bad, row[bad]));
  return out;
}

}  // namespace detail

// Rows as tuples; a column of another kind than asked (or a NULL without std::optional) is an `internal` error that
// names it.
template <typename... Ts>
Result<std::vector<std::tuple<Ts...>>> typed(Rows rows) {
  if (rows.columns.size() != sizeof...(Ts)) return std::unexpected(detail::wrong_width(rows, sizeof...(Ts)));
  std::vector<std::tuple<Ts...>> out;
  out.reserve(rows.rows.size());
  for (auto& row : rows.rows)
    out.push_back(TRY(detail::decode_row<Ts...>(rows, row, std::index_sequence_for<Ts...>{})));
  return out;
}

}  // namespace tocayo::db
