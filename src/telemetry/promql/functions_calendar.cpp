// SPDX-License-Identifier: Apache-2.0
#include "promql/functions_calendar.h"

#include <limits>

namespace tocayo::promql::eval {

namespace {

using Wide = __int128;  // all of int64 and then some: nothing below overflows

constexpr Wide kDay = 86400;

Wide floor_div(Wide a, Wide b) { return a / b - (a % b < 0 ? 1 : 0); }
Wide floor_mod(Wide a, Wide b) { return a - floor_div(a, b) * b; }

// Go counts from the year -292277022399 in 64 bits: what lies before comes out at the other end.
Wide unix_seconds(std::int64_t seconds) {
  constexpr Wide kFirst = -static_cast<Wide>(9'223'372'028'715'321'600);
  return seconds < kFirst ? static_cast<Wide>(seconds) + (static_cast<Wide>(1) << 64) : static_cast<Wide>(seconds);
}

struct Date {
  std::int64_t year;
  int month, day;
};

bool is_leap(std::int64_t year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

int days_in(std::int64_t year, int month) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && is_leap(year) ? 29 : kDays[month - 1];
}

// Days since 1970-01-01 to a date; years counted from March, so that the leap day is a year's last.
Date to_date(std::int64_t seconds) {
  const auto days = static_cast<std::int64_t>(floor_div(unix_seconds(seconds), kDay)) + 719468;  // since 0000-03-01
  const auto era = static_cast<std::int64_t>(floor_div(days, 146097));
  const std::int64_t day_of_era = days - era * 146097;
  const std::int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted_month = (5 * day_of_year + 2) / 153;
  const int month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month,
          static_cast<int>(day_of_year - (153 * shifted_month + 2) / 5 + 1)};
}

double day_of_year(std::int64_t seconds) {
  const Date date = to_date(seconds);
  int day = date.day;
  for (int month = 1; month < date.month; ++month) day += days_in(date.year, month);
  return day;
}

struct Entry {
  std::string_view name;
  CalendarFunction function;
};

constexpr Entry kFunctions[] = {
    {"days_in_month",
     [](std::int64_t s) {
       const Date date = to_date(s);
       return static_cast<double>(days_in(date.year, date.month));
     }},
    {"day_of_month", [](std::int64_t s) { return static_cast<double>(to_date(s).day); }},
    {"day_of_week",
     [](std::int64_t s) {
       return static_cast<double>(floor_mod(floor_div(unix_seconds(s), kDay) + 4, 7));
     }},  // 1970-01-01: Thursday
    {"day_of_year", day_of_year},
    {"hour", [](std::int64_t s) { return static_cast<double>(floor_mod(unix_seconds(s), kDay) / 3600); }},
    {"minute", [](std::int64_t s) { return static_cast<double>(floor_mod(unix_seconds(s), 3600) / 60); }},
    {"month", [](std::int64_t s) { return static_cast<double>(to_date(s).month); }},
    {"year", [](std::int64_t s) { return static_cast<double>(to_date(s).year); }},
};

}  // namespace

CalendarFunction find_calendar_function(std::string_view name) {
  for (const Entry& entry : kFunctions) {
    if (entry.name == name) return entry.function;
  }
  return nullptr;
}

std::int64_t to_unix_seconds(double value) {
  if (!(value >= -0x1p63 && value < 0x1p63)) return std::numeric_limits<std::int64_t>::min();
  return static_cast<std::int64_t>(value);
}

}  // namespace tocayo::promql::eval
