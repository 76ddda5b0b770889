// SPDX-License-Identifier: Apache-2.0
// The one configuration: a table of keys (main declares it), filled from defaults, then tocayo.yaml, then the
// environment (TOCAYO_SECTION_KEY), then --set section.key=value. Every error names where the value came from.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace tocayo {

enum class ConfigType : unsigned char { text, boolean, integer, number, duration, bytes, list, choice, tree };

struct ConfigKey {
  std::string path;  // "metrics.wal.mode"
  ConfigType type;
  std::string default_value;  // as it would be written in YAML
  std::string description;
  bool reloadable = false;           // takes effect on SIGHUP and POST /-/reload
  std::vector<std::string> choices;  // for ConfigType::choice
};

// Immutable once loaded; copies are cheap enough (a few dozen strings).
class Config {
 public:
  struct Sources {
    std::string file;                                              // path, "" = no file
    std::string text;                                              // its content
    std::vector<std::pair<std::string, std::string>> environment;  // TOCAYO_* variables
    std::vector<std::string> sets;                                 // "section.key=value"
  };

  // bad_input with "<file>:<line>:<column>: …", "TOCAYO_…: …" or "--set …: …". Unknown keys are errors with a
  // suggestion.
  static Result<Config> load(std::span<const ConfigKey> keys, const Sources& sources);

  // Typed reads. The key must be declared with a fitting type (a wiring mistake terminates).
  const std::string& text(std::string_view path) const;  // text, choice
  bool boolean(std::string_view path) const;
  std::int64_t integer(std::string_view path) const;
  double number(std::string_view path) const;
  std::chrono::milliseconds duration(std::string_view path) const;
  std::uint64_t bytes(std::string_view path) const;
  std::vector<std::string> list(std::string_view path) const;
  // A sub-document that its room parses itself: YAML text ("" when absent).
  const std::string& tree(std::string_view path) const;
  // Where the value came from: "default", "tocayo.yaml:12:3", "TOCAYO_SERVER_LISTEN", "--set".
  const std::string& origin(std::string_view path) const;

  // Everything in effect, as YAML. `defaults_only` for `tocayo config defaults`, with the descriptions as comments.
  std::string to_yaml(bool with_comments) const;
  // JSON Schema of the file.
  static std::string json_schema(std::span<const ConfigKey> keys);
  // Paths of keys whose value differs and that may not change at run time.
  std::vector<std::string> changed_but_fixed(const Config& next) const;

 private:
  struct Value {
    ConfigKey key;
    std::string text;                // canonical scalar, or YAML of a tree
    std::vector<std::string> items;  // of a list
    std::string origin = "default";
  };
  const Value& value(std::string_view path, ConfigType type) const;
  static Result<> assign(Value& value, const std::string& text, const std::string& origin);

  std::vector<Value> values_;  // sorted by path
};

}  // namespace tocayo
