// SPDX-License-Identifier: Apache-2.0
#include "core/yaml.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/text.h"
#include "core/time.h"

namespace tocayo::yaml {

Result<YAML::Node> parse(std::string_view text, std::string_view file) {
  try {
    return YAML::Load(std::string(text));
  } catch (const YAML::Exception& e) {
    return fail(ErrorKind::bad_input, fmt::format("{}:{}:{}: {}", file, e.mark.line + 1, e.mark.column + 1, e.msg));
  }
}

Error error_at(const YAML::Node& node, std::string_view file, std::string_view message) {
  auto mark = node.Mark();
  if (mark.is_null()) return Error{ErrorKind::bad_input, fmt::format("{}: {}", file, message)};
  return Error{ErrorKind::bad_input, fmt::format("{}:{}:{}: {}", file, mark.line + 1, mark.column + 1, message)};
}

Result<> Fields::open() {
  if (node_.IsDefined() && !node_.IsNull() && !node_.IsMap()) {
    return std::unexpected(error_at(node_, file_, "a mapping (key: value) is expected here"));
  }
  std::vector<std::string> seen;
  if (node_.IsMap()) {
    for (const auto& field : node_) {
      if (!field.first.IsScalar()) return std::unexpected(error_at(field.first, file_, "a key must be a plain word"));
      if (std::find(seen.begin(), seen.end(), field.first.Scalar()) != seen.end()) {
        return std::unexpected(
            error_at(field.first, file_, fmt::format("key \"{}\" is given twice", field.first.Scalar())));
      }
      seen.push_back(field.first.Scalar());
    }
  }
  return {};
}

YAML::Node Fields::get(const std::string& key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.push_back(key);
  if (!node_.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
  const YAML::Node& fixed = node_;  // the non-const operator[] would insert
  return fixed[key];
}

Error Fields::error(const std::string& key, std::string_view message) {
  YAML::Node node = get(key);
  return error_at(node.IsDefined() ? node : node_, file_, fmt::format("{}: {}", key, message));
}

namespace {
bool absent(const YAML::Node& node) { return !node.IsDefined() || node.IsNull(); }
}  // namespace

Result<> Fields::read(const std::string& key, std::string& out) {
  YAML::Node node = get(key);
  if (absent(node)) return {};
  if (!node.IsScalar()) return std::unexpected(error(key, "a text is expected"));
  out = node.Scalar();
  return {};
}

Result<> Fields::read(const std::string& key, bool& out) {
  YAML::Node node = get(key);
  if (absent(node)) return {};
  if (!node.IsScalar() || !YAML::convert<bool>::decode(node, out)) {
    return std::unexpected(error(key, "true or false is expected"));
  }
  return {};
}

Result<> Fields::read(const std::string& key, std::int64_t& out) {
  YAML::Node node = get(key);
  if (absent(node)) return {};
  if (node.IsScalar()) {
    const std::string& text = node.Scalar();
    auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (code == std::errc() && end == text.data() + text.size()) return {};
  }
  return std::unexpected(error(key, "a whole number is expected"));
}

Result<> Fields::read(const std::string& key, double& out) {
  YAML::Node node = get(key);
  if (absent(node)) return {};
  if (!node.IsScalar() || !YAML::convert<double>::decode(node, out)) {
    return std::unexpected(error(key, "a number is expected"));
  }
  return {};
}

Result<> Fields::read(const std::string& key, std::chrono::milliseconds& out) {
  YAML::Node node = get(key);
  if (absent(node)) return {};
  if (!node.IsScalar()) return std::unexpected(error(key, "a duration is expected, like 15s"));
  auto parsed = parse_duration(node.Scalar());
  if (!parsed) return std::unexpected(error(key, parsed.error().message));
  out = *parsed;
  return {};
}

Result<> Fields::read_bytes(const std::string& key, std::uint64_t& out) {
  YAML::Node node = get(key);
  if (absent(node)) return {};
  if (!node.IsScalar()) return std::unexpected(error(key, "a size is expected, like 10MB"));
  auto parsed = parse_bytes(node.Scalar());
  if (!parsed) return std::unexpected(error(key, parsed.error().message));
  out = *parsed;
  return {};
}

Result<> Fields::read(const std::string& key, std::vector<std::string>& out) {
  YAML::Node node = get(key);
  if (absent(node)) return {};
  std::vector<std::string> list;
  if (node.IsScalar()) {
    list.push_back(node.Scalar());
  } else if (node.IsSequence()) {
    for (const auto& item : node) {
      if (!item.IsScalar())
        return std::unexpected(error_at(item, file_, fmt::format("{}: a list of texts is expected", key)));
      list.push_back(item.Scalar());
    }
  } else {
    return std::unexpected(error(key, "a list is expected"));
  }
  out = std::move(list);
  return {};
}

Result<> Fields::read(const std::string& key, std::map<std::string, std::string>& out) {
  YAML::Node node = get(key);
  if (absent(node)) return {};
  if (!node.IsMap()) return std::unexpected(error(key, "a mapping is expected"));
  out.clear();
  for (const auto& item : node) {
    if (!item.first.IsScalar() || !item.second.IsScalar()) {
      return std::unexpected(error_at(item.first, file_, fmt::format("{}: a mapping of texts is expected", key)));
    }
    out[item.first.Scalar()] = item.second.Scalar();
  }
  return {};
}

Result<> Fields::finish() {
  if (!node_.IsMap()) return {};
  for (const auto& field : node_) {
    const std::string& key = field.first.Scalar();
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    std::string near = nearest(key, known_);
    return std::unexpected(error_at(field.first, file_,
                                    near.empty() ? fmt::format("unknown key \"{}\"", key)
                                                 : fmt::format("unknown key \"{}\"; did you mean \"{}\"?", key, near)));
  }
  return {};
}

}  // namespace tocayo::yaml
