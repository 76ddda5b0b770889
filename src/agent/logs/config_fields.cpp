// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/config_fields.h"

#include <fmt/format.h>

#include <map>

#include "template/go_time.h"

namespace tocayo::agent {

std::string absolute(const std::string& directory, const std::string& path) {
  return path.empty() || path.starts_with('/') || directory.empty() ? path : directory + "/" + path;
}

Result<std::optional<std::int64_t>> read_duration(yaml::Fields& fields, const std::string& key) {
  if (!fields.has(key)) return std::optional<std::int64_t>();
  std::string text;
  TRY(fields.read(key, text));
  auto value = templates::parse_duration_go(text);
  if (!value) return std::unexpected(fields.error(key, value.error().message));
  if (*value < 0) return std::unexpected(fields.error(key, "must not be negative"));
  return std::optional(*value);
}

Result<Labels> read_labels(yaml::Fields& fields, const std::string& key) {
  std::map<std::string, std::string> values;
  TRY(fields.read(key, values));
  Labels labels;
  for (const auto& [name, value] : values) {
    if (!is_classic_label_name(name))
      return std::unexpected(fields.error(key, fmt::format("\"{}\" is no label name", name)));
    labels.set(name, value);
  }
  return labels;
}

}  // namespace tocayo::agent
