// SPDX-License-Identifier: Apache-2.0
// The level of a line when its sender names none (Loki's `detected_level`), and the name of its service.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/labels.h"
#include "logs/entry.h"

namespace tocayo::logs::api {

inline constexpr std::string_view kDetectedLevel = "detected_level";
inline constexpr std::string_view kServiceName = "service_name";

// Names of fields that hold a level, in the order in which they are asked.
std::span<const std::string_view> level_fields();
// `Warning`, `WRN` … as trace, debug, info, warn, error, critical, fatal; another text as it is.
std::string_view normalized_level(std::string_view level);
// Of the stream's labels: the normalised value of the first level field, "" without one.
std::string level_of_labels(const Labels& labels);
// Of a row: metadata first (a severity number of OpenTelemetry included), then the line: JSON to depth 2, logfmt, else
// the first level word. "unknown" when nothing tells. Looks at the first 512 bytes of a line that is neither.
std::string_view detect_level(std::span<const LabelView> metadata, std::string_view line);

// The value for the label `service_name` of a stream that has none: the first of `names` that it has, else
// `unknown_service`.
std::string service_name_of(const Labels& labels, std::span<const std::string> names);
// Loki's default for discover_service_name.
const std::vector<std::string>& default_service_names();

}  // namespace tocayo::logs::api
