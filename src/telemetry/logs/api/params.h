// SPDX-License-Identifier: Apache-2.0
// Parameters of Loki's HTTP API, by its rules. Errors are bad_input with its words. Times are nanoseconds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/time.h"
#include "http/message.h"
#include "logql/engine/result.h"
#include "logs/querier.h"

namespace tocayo::logs::api {

// With a point: seconds, rounded to milliseconds; at most 10 digits: seconds; more: nanoseconds; else RFC 3339.
Result<TimestampNs> parse_api_time(std::string_view text);
// Seconds as a number, or a Prometheus duration.
Result<std::int64_t> parse_seconds_or_duration(std::string_view text);

struct Bounds {
  TimestampNs start = 0;
  TimestampNs end = 0;
};
// start, end and since; by default the last `span` up to now.
Result<Bounds> bounds_of(const http::Params& form, TimestampNs now, std::int64_t span);
// A positive number.
Result<std::size_t> limit_of(const http::Params& form, std::string_view name, std::size_t otherwise);
// step, by default a 250th of the range, at least a second.
Result<std::int64_t> step_of(const http::Params& form, const Bounds& bounds);
Result<std::int64_t> interval_of(const http::Params& form);
// bad_input: a step of nothing, or more than 11,000 of them.
Result<> check_steps(const Bounds& bounds, std::int64_t step);
// "<time>-<how many lines of that time were given>".
std::string cursor_text(const logql::Cursor& cursor);
Result<logql::Cursor> parse_cursor(std::string_view text);

inline constexpr std::int64_t kSecondNs = 1'000'000'000;
inline constexpr std::int64_t kHourNs = 3600 * kSecondNs;

}  // namespace tocayo::logs::api
