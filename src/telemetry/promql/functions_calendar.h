// SPDX-License-Identifier: Apache-2.0
// minute(), hour(), day_of_week() …: fields of a Unix time in UTC (proleptic Gregorian calendar). Private to the room.
#pragma once

#include <cstdint>
#include <string_view>

namespace tocayo::promql::eval {

using CalendarFunction = double (*)(std::int64_t unix_seconds);
// Null when `name` is none of them.
CalendarFunction find_calendar_function(std::string_view name);
// Truncated; NaN and what does not fit give the smallest int64.
std::int64_t to_unix_seconds(double value);

}  // namespace tocayo::promql::eval
