// SPDX-License-Identifier: Apache-2.0
// Parameters of the query API, read as Prometheus reads them, refused in its words.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/labels.h"
#include "core/time.h"
#include "http/message.h"

namespace tocayo::metrics::api {

// "From the beginning" and "to the end", as clients send them ("-292273086-05-16T16:47:06Z") and as absent parameters
// mean.
inline constexpr TimestampMs kMinTime = -9223309901257974000;
inline constexpr TimestampMs kMaxTime = 9223309901257974999;

// RFC 3339, Unix seconds as a float (rounded to milliseconds), or one of the two sentinels.
Result<TimestampMs> parse_prometheus_time(std::string_view text);
// Seconds as a float, or "1h30m".
Result<std::chrono::milliseconds> parse_prometheus_duration(std::string_view text);

// All of these return bad_input with the whole text of the API: `invalid parameter "time": …`.
Result<TimestampMs> time_param(const http::Params& params, std::string_view name, TimestampMs otherwise);
// `start` and `end` of query_range, which have no default.
Result<TimestampMs> required_time_param(const http::Params& params, std::string_view name);
Result<std::chrono::milliseconds> duration_param(const http::Params& params, std::string_view name);
// Absent is 0: no limit.
Result<std::size_t> limit_param(const http::Params& params, std::string_view name = "limit");
// All match[] parameters; every set needs a matcher that does not match the empty string.
Result<std::vector<std::vector<Matcher>>> matcher_params(const http::Params& params);

// `invalid parameter "<name>": <what>`.
Error invalid_parameter(std::string_view name, std::string_view what);

// Prometheus' value encoding of names in paths: U__foo_2e_bar is foo.bar. Text without the prefix, or broken, comes
// back as it is.
std::string unescape_name(std::string_view text);

}  // namespace tocayo::metrics::api
