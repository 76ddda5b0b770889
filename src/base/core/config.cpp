// SPDX-License-Identifier: Apache-2.0
#include "core/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cstdlib>

#include "core/log.h"
#include "core/text.h"
#include "core/time.h"
#include "core/yaml.h"

namespace tocayo {
namespace {

Result<std::int64_t> to_integer(std::string_view text) {
  std::int64_t out = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (code != std::errc() || end != text.data() + text.size() || text.empty()) {
    return fail(ErrorKind::bad_input, fmt::format("a whole number is expected, not \"{}\"", text));
  }
  return out;
}

Result<double> to_number(std::string_view text) {
  double out = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (code != std::errc() || end != text.data() + text.size() || text.empty()) {
    return fail(ErrorKind::bad_input, fmt::format("a number is expected, not \"{}\"", text));
  }
  return out;
}

std::string environment_name(std::string_view path) {
  std::string name = "TOCAYO_";
  for (char c : path) name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

std::string quote_yaml(std::string_view text) {
  YAML::Emitter out;
  out << YAML::DoubleQuoted << std::string(text);
  return out.c_str();
}

}  // namespace

Result<> Config::assign(Value& value, const std::string& text, const std::string& origin) {
  auto check = [&](auto result) -> Result<> {
    if (!result)
      return fail(ErrorKind::bad_input, fmt::format("{}: {}: {}", origin, value.key.path, result.error().message));
    return {};
  };
  switch (value.key.type) {
    case ConfigType::boolean:
      if (text != "true" && text != "false") {
        return fail(ErrorKind::bad_input,
                    fmt::format("{}: {}: true or false is expected, not \"{}\"", origin, value.key.path, text));
      }
      break;
    case ConfigType::integer: TRY(check(to_integer(text))); break;
    case ConfigType::number: TRY(check(to_number(text))); break;
    case ConfigType::duration: TRY(check(parse_duration(text))); break;
    case ConfigType::bytes: TRY(check(parse_bytes(text))); break;
    case ConfigType::choice:
      if (std::find(value.key.choices.begin(), value.key.choices.end(), text) == value.key.choices.end()) {
        return fail(ErrorKind::bad_input, fmt::format("{}: {}: \"{}\" is not one of {}", origin, value.key.path, text,
                                                      fmt::join(value.key.choices, ", ")));
      }
      break;
    case ConfigType::list: {
      value.items.clear();
      for (std::string_view part : split(text, ',')) {
        if (!trim(part).empty()) value.items.emplace_back(trim(part));
      }
      break;
    }
    case ConfigType::tree: {
      auto parsed = yaml::parse(text, origin);
      if (!parsed) return std::unexpected(parsed.error());
      break;
    }
    case ConfigType::text: break;
  }
  value.text = text;
  value.origin = origin;
  return {};
}

Result<Config> Config::load(std::span<const ConfigKey> keys, const Sources& sources) {
  Config config;
  std::vector<std::string> paths;
  for (const ConfigKey& key : keys) {
    Value& value = config.values_.emplace_back(Value{key, {}, {}, {}});
    if (auto done = assign(value, key.default_value, "default"); !done) {
      log::error("core", "a default value is invalid", {{"key", key.path}, {"error", done.error()}});
      std::abort();
    }
  }
  // Sorted, so that the keys of a section stand together whatever the order of the table.
  std::sort(config.values_.begin(), config.values_.end(),
            [](const Value& a, const Value& b) { return a.key.path < b.key.path; });
  for (const Value& value : config.values_) paths.push_back(value.key.path);
  auto find = [&](std::string_view path) -> Value* {
    auto it =
        std::find_if(config.values_.begin(), config.values_.end(), [&](const Value& v) { return v.key.path == path; });
    return it == config.values_.end() ? nullptr : &*it;
  };
  auto unknown = [&](std::string_view path) {
    std::string near = nearest(path, paths);
    return near.empty() ? fmt::format("unknown key \"{}\"", path)
                        : fmt::format("unknown key \"{}\"; did you mean \"{}\"?", path, near);
  };

  if (!sources.text.empty()) {
    YAML::Node root = TRY(yaml::parse(sources.text, sources.file));
    std::function<Result<>(const YAML::Node&, const std::string&)> walk = [&](const YAML::Node& node,
                                                                              const std::string& prefix) -> Result<> {
      TRY(yaml::Fields(node, sources.file).open());
      for (const auto& field : node) {
        std::string path = prefix.empty() ? field.first.Scalar() : prefix + "." + field.first.Scalar();
        Value* value = find(path);
        bool section =
            std::any_of(paths.begin(), paths.end(), [&](const std::string& p) { return p.starts_with(path + "."); });
        if (!value && !section) return std::unexpected(yaml::error_at(field.first, sources.file, unknown(path)));
        if (field.second.IsNull()) continue;
        if (!value) {
          TRY(walk(field.second, path));
          continue;
        }
        auto mark = field.second.Mark();
        std::string origin = fmt::format("{}:{}:{}", sources.file, mark.line + 1, mark.column + 1);
        if (value->key.type == ConfigType::tree) {
          value->text = YAML::Dump(field.second);
          value->origin = origin;
        } else if (value->key.type == ConfigType::list && field.second.IsSequence()) {
          value->items.clear();
          for (const auto& item : field.second) {
            if (!item.IsScalar())
              return std::unexpected(yaml::error_at(item, sources.file, path + ": a list of texts is expected"));
            value->items.push_back(item.Scalar());
          }
          value->text = fmt::format("{}", fmt::join(value->items, ","));
          value->origin = origin;
        } else if (field.second.IsScalar()) {
          TRY(assign(*value, field.second.Scalar(), origin));
        } else {
          return std::unexpected(yaml::error_at(field.second, sources.file, path + ": a single value is expected"));
        }
      }
      return {};
    };
    TRY(walk(root, ""));
  }
  for (const auto& [name, text] : sources.environment) {
    auto it = std::find_if(config.values_.begin(), config.values_.end(),
                           [&](const Value& v) { return environment_name(v.key.path) == name; });
    if (it == config.values_.end()) {
      std::vector<std::string> names;
      for (const auto& path : paths) names.push_back(environment_name(path));
      std::string near = nearest(name, names);
      return fail(ErrorKind::bad_input, fmt::format("environment: {} names no key{}", name,
                                                    near.empty() ? "" : "; did you mean " + near + "?"));
    }
    TRY(assign(*it, text, name));
  }
  for (const std::string& set : sources.sets) {
    auto equals = set.find('=');
    if (equals == std::string::npos) {
      return fail(ErrorKind::bad_input, fmt::format("--set {}: section.key=value is expected", set));
    }
    Value* value = find(set.substr(0, equals));
    if (!value) return fail(ErrorKind::bad_input, fmt::format("--set: {}", unknown(set.substr(0, equals))));
    TRY(assign(*value, set.substr(equals + 1), "--set"));
  }
  return config;
}

const Config::Value& Config::value(std::string_view path, ConfigType type) const {
  for (const Value& value : values_) {
    if (value.key.path == path && value.key.type == type) return value;
  }
  log::error("core", "a configuration key was read that is not declared with this type", {{"key", path}});
  std::abort();
}

const std::string& Config::text(std::string_view path) const {
  for (const Value& value : values_) {
    if (value.key.path == path && value.key.type == ConfigType::choice) return value.text;
  }
  return value(path, ConfigType::text).text;
}
bool Config::boolean(std::string_view path) const { return value(path, ConfigType::boolean).text == "true"; }
std::int64_t Config::integer(std::string_view path) const { return *to_integer(value(path, ConfigType::integer).text); }
double Config::number(std::string_view path) const { return *to_number(value(path, ConfigType::number).text); }
std::chrono::milliseconds Config::duration(std::string_view path) const {
  return *parse_duration(value(path, ConfigType::duration).text);
}
std::uint64_t Config::bytes(std::string_view path) const { return *parse_bytes(value(path, ConfigType::bytes).text); }
std::vector<std::string> Config::list(std::string_view path) const { return value(path, ConfigType::list).items; }
const std::string& Config::tree(std::string_view path) const { return value(path, ConfigType::tree).text; }

const std::string& Config::origin(std::string_view path) const {
  static const std::string kNone = "default";
  for (const Value& value : values_) {
    if (value.key.path == path) return value.origin;
  }
  return kNone;
}

std::string Config::to_yaml(bool with_comments) const {
  std::string out;
  std::vector<std::string> open;  // sections already printed on the way to the current key
  for (const Value& value : values_) {
    auto parts = split(value.key.path, '.');
    std::size_t common = 0;
    while (common < open.size() && common + 1 < parts.size() && open[common] == parts[common]) ++common;
    open.resize(common);
    for (std::size_t i = common; i + 1 < parts.size(); ++i) {
      out += std::string(i * 2, ' ') + std::string(parts[i]) + ":\n";
      open.emplace_back(parts[i]);
    }
    std::string indent((parts.size() - 1) * 2, ' ');
    if (with_comments) {
      out += indent + "# " + value.key.description;
      if (!value.key.choices.empty()) out += fmt::format(" ({})", fmt::join(value.key.choices, ", "));
      if (value.key.reloadable) out += " [reloadable]";
      out += '\n';
    }
    out += indent + std::string(parts.back()) + ":";
    switch (value.key.type) {
      case ConfigType::tree:
        if (value.text.empty() || value.text == "[]") {
          out += value.text.empty() ? " {}\n" : " []\n";
        } else {
          out += '\n';
          for (std::string_view line : split(value.text, '\n')) out += indent + "  " + std::string(line) + '\n';
        }
        break;
      case ConfigType::list: {
        std::vector<std::string> quoted;
        for (const std::string& item : value.items) quoted.push_back(quote_yaml(item));
        out += fmt::format(" [{}]\n", fmt::join(quoted, ", "));
        break;
      }
      case ConfigType::text:
      case ConfigType::choice: out += " " + quote_yaml(value.text) + "\n"; break;
      default: out += " " + value.text + "\n";
    }
  }
  return out;
}

std::string Config::json_schema(std::span<const ConfigKey> keys) {
  namespace json = boost::json;
  json::object root{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                    {"title", "tocayo.yaml"},
                    {"type", "object"},
                    {"additionalProperties", false},
                    {"properties", json::object()}};
  for (const ConfigKey& key : keys) {
    json::object* at = &root;
    auto parts = split(key.path, '.');
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      auto& properties = (*at)["properties"].as_object();
      auto& section = properties[parts[i]];
      if (!section.is_object()) {
        section = json::object{{"type", "object"}, {"additionalProperties", false}, {"properties", json::object()}};
      }
      at = &section.as_object();
    }
    json::object leaf{{"description", key.description}};
    switch (key.type) {
      case ConfigType::boolean: leaf["type"] = "boolean", leaf["default"] = key.default_value == "true"; break;
      case ConfigType::integer: leaf["type"] = "integer", leaf["default"] = *to_integer(key.default_value); break;
      case ConfigType::number: leaf["type"] = "number", leaf["default"] = *to_number(key.default_value); break;
      case ConfigType::list: leaf["type"] = "array", leaf["items"] = json::object{{"type", "string"}}; break;
      case ConfigType::tree: leaf["type"] = key.default_value == "[]" ? "array" : "object"; break;
      case ConfigType::bytes:
        leaf["type"] = json::array{"string", "integer"}, leaf["default"] = key.default_value;
        break;
      default: leaf["type"] = "string", leaf["default"] = key.default_value;
    }
    if (!key.choices.empty()) leaf["enum"] = json::array(key.choices.begin(), key.choices.end());
    (*at)["properties"].as_object()[parts.back()] = std::move(leaf);
  }
  return json::serialize(root);
}

std::vector<std::string> Config::changed_but_fixed(const Config& next) const {
  std::vector<std::string> paths;
  for (std::size_t i = 0; i < values_.size() && i < next.values_.size(); ++i) {
    if (!values_[i].key.reloadable && values_[i].text != next.values_[i].text) paths.push_back(values_[i].key.path);
  }
  return paths;
}

}  // namespace tocayo
