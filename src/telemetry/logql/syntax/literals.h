// SPDX-License-Identifier: Apache-2.0
// Durations, sizes and numbers as LogQL reads and writes them: Prometheus' and Go's durations, humanize's sizes, Go's
// floats. The stages read label values by the same rules.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"

namespace tocayo::logql {

// "1.5 MB", "2GiB", "1,024", "7": decimal and binary units, any case, commas between digits. bad_input otherwise.
Result<std::uint64_t> parse_human_bytes(std::string_view text);
// Go's strconv.ParseFloat(…, 64) for decimal and hexadecimal text, NaN and Inf; bad_input with Go's words.
Result<double> parse_go_float(std::string_view text);

// Go's time.Duration.String(): "1m30s", "250ms", "1.5h" never (it is "1h30m0s").
std::string format_go_duration(std::int64_t ns);
// Prometheus' form, for ranges: "1m30s", "5m", "1d". Whole milliseconds.
std::string format_prometheus_duration(std::int64_t ns);
// Shortest decimal text without exponent ('f', -1) and Go's %v ('g' with exponents from 1e21).
std::string format_plain_float(double value);
std::string format_go_float(double value);

}  // namespace tocayo::logql
