// SPDX-License-Identifier: Apache-2.0
// Methods of time.Time and time.Duration.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "template/detail/executor.h"
#include "template/go_time.h"

namespace tocayo::templates {
namespace {

constexpr std::string_view kTimeMethods[] = {
    "Add",    "AddDate", "After",     "Before",    "Compare",    "Day",     "Equal",  "Format", "Hour", "In",
    "IsZero", "Local",   "Minute",    "Month",     "Nanosecond", "Round",   "Second", "String", "Sub",  "Truncate",
    "UTC",    "Unix",    "UnixMicro", "UnixMilli", "UnixNano",   "Weekday", "Year",   "YearDay"};
constexpr std::string_view kDurationMethods[] = {"Abs",         "Hours", "Microseconds", "Milliseconds", "Minutes",
                                                 "Nanoseconds", "Round", "Seconds",      "String",       "Truncate"};

std::unexpected<Error> bad(std::string message) { return fail(ErrorKind::bad_input, std::move(message)); }

Result<> expect(const Call& call, std::string_view name, std::initializer_list<Kind> kinds) {
  if (call.arguments.size() != kinds.size()) {
    return bad(fmt::format("wrong number of args for {}: want {} got {}", name, kinds.size(), call.arguments.size()));
  }
  std::size_t i = 0;
  for (const Kind kind : kinds) {
    const Value& value = call[i++];
    // An integer constant serves as a duration, as in Go.
    if (value.kind == kind || (kind == Kind::duration && value.kind == Kind::integer)) continue;
    return bad(fmt::format("wrong type for value; expected {}; got {}",
                           kind == Kind::string     ? "string"
                           : kind == Kind::time     ? "time.Time"
                           : kind == Kind::duration ? "time.Duration"
                                                    : "int",
                           value.type_name()));
  }
  return {};
}

Value made(Call& call, Time time) { return Value::of(call.arena.make<Time>(time)); }

Time plus(Time time, std::int64_t nanoseconds) {
  time.seconds += nanoseconds / 1'000'000'000;
  std::int64_t rest = static_cast<std::int64_t>(time.nanoseconds) + nanoseconds % 1'000'000'000;
  if (rest < 0) {
    rest += 1'000'000'000;
    --time.seconds;
  } else if (rest >= 1'000'000'000) {
    rest -= 1'000'000'000;
    ++time.seconds;
  }
  time.nanoseconds = static_cast<std::uint32_t>(rest);
  return time;
}

// time.Duration between two times, held at its ends.
std::int64_t difference(const Time& a, const Time& b) {
  const __int128 wide = (static_cast<__int128>(a.seconds) - b.seconds) * 1'000'000'000 +
                        (static_cast<std::int64_t>(a.nanoseconds) - static_cast<std::int64_t>(b.nanoseconds));
  return static_cast<std::int64_t>(std::clamp<__int128>(wide, INT64_MIN, INT64_MAX));
}

int compare(const Time& a, const Time& b) {
  if (a.seconds != b.seconds) return a.seconds < b.seconds ? -1 : 1;
  return a.nanoseconds == b.nanoseconds ? 0 : a.nanoseconds < b.nanoseconds ? -1 : 1;
}

// Nanoseconds since year 1, modulo a unit.
std::int64_t beyond(const Time& time, std::int64_t unit) {
  const __int128 since = (static_cast<__int128>(time.seconds) - kZeroTimeSeconds) * 1'000'000'000 + time.nanoseconds;
  std::int64_t rest = static_cast<std::int64_t>(since % unit);
  return rest < 0 ? rest + unit : rest;
}

Result<Value> call_time(const Time& time, std::string_view name, Call& call) {
  if (name == "Format") {
    TRY(expect(call, name, {Kind::string}));
    return call.make(format_time(time, call.text(0)));
  }
  if (name == "Add") {
    TRY(expect(call, name, {Kind::duration}));
    return made(call, plus(time, call[0].integer));
  }
  if (name == "AddDate") {
    TRY(expect(call, name, {Kind::integer, Kind::integer, Kind::integer}));
    const Civil c = civil_of(time);
    const auto small = [&](std::size_t i) { return std::clamp<std::int64_t>(call[i].integer, -3'000'000, 3'000'000); };
    Time out = time;
    out.seconds = unix_seconds(c.year + small(0), static_cast<int>(c.month + small(1)),
                               static_cast<int>(c.day + small(2)), c.hour, c.minute, c.second, time.zone);
    return made(call, out);
  }
  if (name == "Sub" || name == "Before" || name == "After" || name == "Equal" || name == "Compare") {
    TRY(expect(call, name, {Kind::time}));
    const Time& other = *call[0].time;
    if (name == "Sub") return Value::of_duration(difference(time, other));
    const int order = compare(time, other);
    if (name == "Compare") return Value::of_int(order);
    return Value::of(name == "Before" ? order < 0 : name == "After" ? order > 0 : order == 0);
  }
  if (name == "In") {
    // A location is given by its name here.
    TRY(expect(call, name, {Kind::string}));
    Time out = time;
    out.zone = TRY(Zone::load(call.text(0)));
    return made(call, out);
  }
  if (name == "Truncate" || name == "Round") {
    TRY(expect(call, name, {Kind::duration}));
    const std::int64_t unit = call[0].integer;
    if (unit <= 0) return made(call, time);
    const std::int64_t rest = beyond(time, unit);
    const bool up = name == "Round" && rest >= unit - rest;
    return made(call, plus(time, up ? unit - rest : -rest));
  }
  TRY(expect(call, name, {}));
  if (name == "UTC" || name == "Local") return made(call, {time.seconds, time.nanoseconds, nullptr});
  if (name == "Unix") return Value::of_int64(time.seconds);
  if (name == "UnixMilli") return Value::of_int64(time.seconds * 1000 + time.nanoseconds / 1'000'000);
  if (name == "UnixMicro") return Value::of_int64(time.seconds * 1'000'000 + time.nanoseconds / 1000);
  if (name == "UnixNano") return Value::of_int64(unix_nanoseconds(time));
  if (name == "IsZero") return Value::of(time.seconds == kZeroTimeSeconds && time.nanoseconds == 0);
  if (name == "String") return call.make(format_time(time));
  if (name == "Nanosecond") return Value::of_int(time.nanoseconds);
  if (name == "Month") return call.make(format_time(time, "January"));
  if (name == "Weekday") return call.make(format_time(time, "Monday"));
  const Civil c = civil_of(time);
  if (name == "Year") return Value::of_int(c.year);
  if (name == "Day") return Value::of_int(c.day);
  if (name == "Hour") return Value::of_int(c.hour);
  if (name == "Minute") return Value::of_int(c.minute);
  if (name == "Second") return Value::of_int(c.second);
  return Value::of_int(c.year_day);
}

Result<Value> call_duration(std::int64_t ns, std::string_view name, Call& call) {
  if (name == "Round" || name == "Truncate") {
    TRY(expect(call, name, {Kind::duration}));
    const std::int64_t unit = call[0].integer;
    if (unit <= 0) return Value::of_duration(ns);
    const std::int64_t rest = ns % unit;
    if (name == "Truncate") return Value::of_duration(ns - rest);
    const std::int64_t magnitude = std::abs(rest);
    if (magnitude < unit - magnitude) return Value::of_duration(ns - rest);
    const __int128 rounded = static_cast<__int128>(ns) - rest + (ns < 0 ? -unit : unit);
    return Value::of_duration(static_cast<std::int64_t>(std::clamp<__int128>(rounded, INT64_MIN, INT64_MAX)));
  }
  TRY(expect(call, name, {}));
  if (name == "String") return call.make(format_duration_go(ns));
  if (name == "Abs") return Value::of_duration(ns == INT64_MIN ? INT64_MAX : std::abs(ns));
  if (name == "Nanoseconds") return Value::of_int64(ns);
  if (name == "Microseconds") return Value::of_int64(ns / 1000);
  if (name == "Milliseconds") return Value::of_int64(ns / 1'000'000);
  const auto in = [ns](std::int64_t unit) {
    return static_cast<double>(ns / unit) + static_cast<double>(ns % unit) / static_cast<double>(unit);
  };
  if (name == "Seconds") return Value::of(in(1'000'000'000));
  if (name == "Minutes") return Value::of(in(60'000'000'000));
  return Value::of(in(3'600'000'000'000));
}

}  // namespace

bool is_time_method(Kind kind, std::string_view name) {
  const auto among = [name](auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  if (kind == Kind::time) return among(kTimeMethods);
  return kind == Kind::duration && among(kDurationMethods);
}

Result<Value> call_time_method(const Value& receiver, std::string_view name, Call& call) {
  return receiver.kind == Kind::time ? call_time(*receiver.time, name, call)
                                     : call_duration(receiver.integer, name, call);
}

}  // namespace tocayo::templates
