// SPDX-License-Identifier: Apache-2.0
#include "core/time.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace tocayo {
namespace {

class SystemClock final : public Clock {
 public:
  TimestampMs now_ms() const override {
    using namespace std::chrono;
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
  }
};

struct Unit {
  std::string_view name;
  std::int64_t milliseconds;
};
constexpr Unit kUnits[] = {{"y", 365LL * 86'400'000},
                           {"w", 7LL * 86'400'000},
                           {"d", 86'400'000},
                           {"h", 3'600'000},
                           {"m", 60'000},
                           {"s", 1000},
                           {"ms", 1}};

}  // namespace

Clock& Clock::system() {
  static SystemClock clock;
  return clock;
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  auto bad = [&](std::string_view why) {
    return fail(ErrorKind::bad_input, fmt::format("not a valid duration string: \"{}\"{}", text, why));
  };
  if (text == "0") return std::chrono::milliseconds(0);
  if (text.empty()) return fail(ErrorKind::bad_input, "empty duration string");
  std::string_view rest = text;
  std::int64_t total = 0;
  std::size_t next_unit = 0;
  while (!rest.empty()) {
    std::int64_t number = 0;
    auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (error != std::errc() || end == rest.data() || number < 0) return bad("");
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    std::size_t letters = 0;
    while (letters < rest.size() && rest[letters] >= 'a' && rest[letters] <= 'z') ++letters;
    std::string_view unit = rest.substr(0, letters);
    std::size_t i = next_unit;
    while (i < std::size(kUnits) && kUnits[i].name != unit) ++i;
    if (i == std::size(kUnits)) return bad("");
    next_unit = i + 1;
    std::int64_t part = 0;
    if (__builtin_mul_overflow(number, kUnits[i].milliseconds, &part) || __builtin_add_overflow(total, part, &total)) {
      return fail(ErrorKind::bad_input, "duration out of range");
    }
    rest.remove_prefix(letters);
  }
  // As in Prometheus, whose durations are int64 nanoseconds.
  if (total > std::numeric_limits<std::int64_t>::max() / 1'000'000)
    return fail(ErrorKind::bad_input, "duration out of range");
  return std::chrono::milliseconds(total);
}

std::string format_duration(std::chrono::milliseconds duration) {
  std::int64_t rest = duration.count();
  if (rest == 0) return "0s";
  std::string out;
  if (rest < 0) {
    out = "-";
    rest = -rest;
  }
  for (const Unit& unit : kUnits) {
    // Weeks and years only when exact, as Prometheus prints them.
    bool exact_only = unit.name == "y" || unit.name == "w";
    if (exact_only && rest % unit.milliseconds != 0) continue;
    if (std::int64_t count = rest / unit.milliseconds; count > 0) {
      out += fmt::format("{}{}", count, unit.name);
      rest %= unit.milliseconds;
    }
  }
  return out;
}

Result<TimestampMs> parse_time(std::string_view text) {
  auto bad = [&] { return fail(ErrorKind::bad_input, fmt::format("cannot parse \"{}\" to a valid timestamp", text)); };
  double seconds = 0;
  if (auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
      error == std::errc() && end == text.data() + text.size()) {
    if (!std::isfinite(seconds) || std::abs(seconds) > 9.2e15) return bad();
    return static_cast<TimestampMs>(std::round(seconds * 1000));
  }
  std::size_t at = 0;
  bool ok = true;
  auto number = [&](std::size_t digits) {
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i, ++at) {
      if (at >= text.size() || text[at] < '0' || text[at] > '9') {
        ok = false;
        return 0;
      }
      value = value * 10 + (text[at] - '0');
    }
    return value;
  };
  auto expect = [&](char c) {
    if (at < text.size() && (text[at] == c || (c == 'T' && text[at] == 't')))
      ++at;
    else
      ok = false;
  };
  int year = number(4);
  expect('-');
  int month = number(2);
  expect('-');
  int day = number(2);
  expect('T');
  int hour = number(2);
  expect(':');
  int minute = number(2);
  expect(':');
  int second = number(2);
  if (!ok) return bad();
  double fraction = 0;
  if (at < text.size() && (text[at] == '.' || text[at] == ',')) {
    ++at;
    double scale = 0.1;
    std::size_t first = at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10)
      fraction += (text[at] - '0') * scale;
    if (at == first) return bad();
  }
  int offset_minutes = 0;
  if (at < text.size() && (text[at] == 'Z' || text[at] == 'z')) {
    ++at;
  } else if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
    int sign = text[at++] == '-' ? -1 : 1;
    int hours = number(2);
    expect(':');
    offset_minutes = sign * (hours * 60 + number(2));
    if (hours > 23) return bad();
  } else {
    return bad();
  }
  using namespace std::chrono;
  year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                      std::chrono::day(static_cast<unsigned>(day))};
  if (!ok || at != text.size() || !date.ok() || hour > 23 || minute > 59 || second > 59) return bad();
  std::int64_t total = sys_days(date).time_since_epoch().count() * 86'400LL + hour * 3600 + minute * 60 + second;
  return (total - offset_minutes * 60LL) * 1000 + static_cast<std::int64_t>(fraction * 1000 + 1e-6);
}

std::string format_rfc3339(TimestampMs time) {
  using namespace std::chrono;
  // The calendar ends here; beyond it the first and the last moment stand for all.
  constexpr TimestampMs kFirst = -62'167'219'200'000;  // 0000-01-01
  constexpr TimestampMs kLast = 253'402'300'799'999;   // 9999-12-31T23:59:59.999Z
  time = std::clamp(time, kFirst, kLast);
  sys_time<milliseconds> point{milliseconds(time)};
  auto day = floor<days>(point);
  year_month_day date(day);
  std::int64_t in_day = (point - day).count();
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), in_day / 3'600'000,
                     in_day / 60'000 % 60, in_day / 1000 % 60, in_day % 1000);
}

}  // namespace tocayo
