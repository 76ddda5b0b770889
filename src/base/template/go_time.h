// SPDX-License-Identifier: Apache-2.0
// Times and durations as Go's time package prints and reads them. "Local" is UTC here: what a template prints must not
// depend on the machine that runs it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "template/value.h"

namespace tocayo::templates {

// A time zone of the system database. Immutable, never freed.
class Zone {
 public:
  // "" and "UTC" and "Local" give null (UTC). bad_input: `unknown time zone X`. Thread-safe; files are read once.
  static Result<const Zone*> load(std::string_view name);

  struct Offset {
    std::int32_t seconds = 0;  // east of UTC
    std::string_view abbreviation = "UTC";
  };
  // What was in force at a moment.
  Offset at(std::int64_t unix_seconds) const;
  const std::string& name() const { return name_; }

 private:
  friend class ZoneLoader;
  struct Kind {
    std::int32_t offset = 0;
    std::string abbreviation;
    bool daylight = false;
  };
  std::string name_;
  std::vector<std::int64_t> transitions_;
  std::vector<unsigned char> kind_of_transition_;
  std::vector<Kind> kinds_;
};

// A calendar moment in the zone of a Time.
struct Civil {
  std::int64_t year = 1;
  int month = 1;  // 1…12
  int day = 1;
  int hour = 0;
  int minute = 0;
  int second = 0;
  int weekday = 1;   // 0 = Sunday
  int year_day = 1;  // 1…366
  Zone::Offset offset;
};
Civil civil_of(const Time& time);
// Unix seconds of a calendar moment read in `zone` (null: UTC); fields may overflow as in Go's time.Date.
std::int64_t unix_seconds(std::int64_t year, int month, int day, int hour, int minute, int second, const Zone* zone);
std::int64_t days_from_civil(std::int64_t year, int month, int day);

// Go's zero time: year 1.
inline constexpr std::int64_t kZeroTimeSeconds = -62135596800;
Time time_from_ns(std::int64_t nanoseconds);
// Wraps around outside 1678…2262, as Go.
std::int64_t unix_nanoseconds(const Time& time);

// Go layouts: `2006-01-02T15:04:05.000Z07:00`. The one without layout is Time.String().
std::string format_time(const Time& time, std::string_view layout);
std::string format_time(const Time& time);
// time.ParseInLocation: text without a zone is read in `zone`. bad_input: `parsing time "…" as "…": cannot parse …`.
Result<Time> parse_time(std::string_view layout, std::string_view text, const Zone* zone);

// time.Duration.String: "1h0m0s", "1.5s", "20ms".
std::string format_duration_go(std::int64_t nanoseconds);
// time.ParseDuration, with its messages: `time: invalid duration "x"`, `time: missing unit in duration "5"`,
// `time: unknown unit "d" in duration "1d"`.
Result<std::int64_t> parse_duration_go(std::string_view text);

}  // namespace tocayo::templates
