// SPDX-License-Identifier: Apache-2.0
// Private to logs: parsers of stages that have a file of their own.
#pragma once

#include <optional>

#include "agent/logs/stage.h"

namespace tocayo::agent {

Result<StageFactory> parse_timestamp_stage(const YAML::Node& name, const YAML::Node& config, const std::string& file);
Result<StageFactory> parse_template_stage(const YAML::Node& name, const YAML::Node& config, const std::string& file);
Result<StageFactory> parse_replace_stage(const YAML::Node& name, const YAML::Node& config, const std::string& file);
Result<StageFactory> parse_docker_stage(const YAML::Node& name, const YAML::Node& config, const std::string& file);
Result<StageFactory> parse_cri_stage(const YAML::Node& name, const YAML::Node& config, const std::string& file);

// RFC 3339 with up to nine digits of a second, as Go's RFC3339Nano reads it.
std::optional<TimestampNs> parse_rfc3339_nano(std::string_view text);

}  // namespace tocayo::agent
