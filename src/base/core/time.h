// SPDX-License-Identifier: Apache-2.0
// Times. Metrics count milliseconds, logs nanoseconds since the Unix epoch; the alias says which.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"

namespace tocayo {

using TimestampMs = std::int64_t;
using TimestampNs = std::int64_t;

// Where a room gets its wall clock from, so that tests can simulate days. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimestampMs now_ms() const = 0;
  static Clock& system();
};

// Prometheus duration: "1h30m", units ms s m h d w y in descending order, each once; "0" is zero. bad_input otherwise.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);
// Inverse, in Prometheus' form: 90000 ms is "1m30s", 0 is "0s".
std::string format_duration(std::chrono::milliseconds duration);

// RFC 3339 with optional fraction and zone ("2026-11-24T10:00:00.5+01:00"), or Unix seconds as a decimal number.
Result<TimestampMs> parse_time(std::string_view text);
// "2026-11-24T10:00:00.000Z".
std::string format_rfc3339(TimestampMs time);

}  // namespace tocayo
