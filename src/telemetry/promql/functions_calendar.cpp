// SPDX-License-Identifier: Apache-2.0
#include "promql/functions_calendar.h"

#include <limits>

namespace tocayo::promql::eval {

namespace {

constexpr std::int64_t kDay = 86400;

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }
std::int64_t floor_mod(std::int64_t a, std::int64_t b) { return a - floor_div(a, b) * b; }

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
  const std::int64_t days = floor_div(seconds, kDay) + 719468;  // since 0000-03-01
  const std::int64_t era = floor_div(days, 146097);
  const std::int64_t day_of_era = days - era * 146097;
  const std::int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted_month = (5 * day_of_year + 2) / 153;
  const int month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month, static_cast<int>(day_of_year - (153 * shifted_month + 2) / 5 + 1)};
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
    {"day_of_week", [](std::int64_t s) { return static_cast<double>(floor_mod(floor_div(s, kDay) + 4, 7)); }},  // 1970-01-01: Thursday
    {"day_of_year", day_of_year},
    {"hour", [](std::int64_t s) { return static_cast<double>(floor_mod(s, kDay) / 3600); }},
    {"minute", [](std::int64_t s) { return static_cast<double>(floor_mod(s, 3600) / 60); }},
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
  if (!(value > -9.2e18 && value < 9.2e18)) return std::numeric_limits<std::int64_t>::min();
  return static_cast<std::int64_t>(value);
}

}  // namespace tocayo::promql::eval
