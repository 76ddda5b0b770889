// SPDX-License-Identifier: Apache-2.0
// Structured logging: one line per event in logfmt on standard error, `ts= level= room= msg=` and then the fields
// given. Thread-safe. Secrets never go in here; callers pass what a reader of the log may see.
#pragma once

#include <concepts>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include "core/error.h"

namespace tocayo::log {

enum class Level : unsigned char { debug, info, warn, error };

struct Field {
  std::string_view key;
  std::string value;

  Field(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, const Error& error) : key(k), value(error.message) {}
  Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false") {}
  template <typename T>
    requires(std::integral<T> || std::floating_point<T>)
  Field(std::string_view k, T v) : key(k), value(std::to_string(v)) {}
};
using Fields = std::initializer_list<Field>;

void write(Level level, std::string_view room, std::string_view message, Fields fields = {});
inline void debug(std::string_view room, std::string_view message, Fields f = {}) {
  write(Level::debug, room, message, f);
}
inline void info(std::string_view room, std::string_view message, Fields f = {}) {
  write(Level::info, room, message, f);
}
inline void warn(std::string_view room, std::string_view message, Fields f = {}) {
  write(Level::warn, room, message, f);
}
inline void error(std::string_view room, std::string_view message, Fields f = {}) {
  write(Level::error, room, message, f);
}

// "debug", "info", "warn", "error"; bad_input otherwise.
Result<Level> parse_level(std::string_view text);
// Lines below are dropped. Default info.
void set_level(Level level);
// Additionally hands every written line (without newline) to `sink`, on the writing thread; at most one sink, empty
// removes it.
void set_sink(std::function<void(Level, std::string_view line)> sink);

}  // namespace tocayo::log
