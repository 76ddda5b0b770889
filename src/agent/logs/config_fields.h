// SPDX-License-Identifier: Apache-2.0
// Private to logs: values that several parts of a promtail file have.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/error.h"
#include "core/labels.h"
#include "core/yaml.h"

namespace tocayo::agent {

// A path of a file that lies in `directory`.
std::string absolute(const std::string& directory, const std::string& path);
// A duration as Go writes it, in ns, not negative; nullopt: not given.
Result<std::optional<std::int64_t>> read_duration(yaml::Fields& fields, const std::string& key);
Result<Labels> read_labels(yaml::Fields& fields, const std::string& key);

}  // namespace tocayo::agent
