// SPDX-License-Identifier: Apache-2.0
#include "logs/api/params.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace tocayo::logs::api {

namespace {

bool read_float(std::string_view text, double& value) {
  const auto end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  return parsed.ec == std::errc{} && parsed.ptr == end;
}

bool digits(std::string_view text, std::size_t at, std::size_t count, std::int64_t& value) {
  if (at + count > text.size()) return false;
  value = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    value = value * 10 + (text[i] - '0');
  }
  return true;
}

// RFC 3339 with up to nine digits of a second.
bool read_rfc3339(std::string_view text, TimestampNs& out) {
  const auto point = text.find('.');
  std::int64_t nanos = 0;
  std::string whole(text);
  if (point != std::string_view::npos) {
    std::size_t count = 0;
    std::int64_t part = 0;
    while (point + 1 + count < text.size() && text[point + 1 + count] >= '0' && text[point + 1 + count] <= '9') ++count;
    if (count == 0 || count > 9 || !digits(text, point + 1, count, part)) return false;
    for (auto i = count; i < 9; ++i) part *= 10;
    nanos = part;
    whole = std::string(text.substr(0, point)) + std::string(text.substr(point + 1 + count));
  }
  if (whole.size() < 20 || whole[4] != '-') return false;
  const auto seconds = parse_time(whole);
  if (!seconds) return false;
  return !__builtin_mul_overflow(*seconds, 1'000'000, &out) && !__builtin_add_overflow(out, nanos, &out);
}

}  // namespace

Result<TimestampNs> parse_api_time(std::string_view text) {
  double number = 0;
  if (text.find('.') != std::string_view::npos && read_float(text, number)) {
    double seconds = 0;
    const double part = std::round(std::modf(number, &seconds) * 1000) / 1000;
    if (std::abs(seconds) > 9e9)
      return fail(ErrorKind::bad_input, fmt::format("the time \"{}\" is out of range", text));
    return static_cast<std::int64_t>(seconds) * kSecondNs + static_cast<std::int64_t>(part * 1e9);
  }
  std::int64_t value = 0;
  const auto end = text.data() + text.size();
  if (const auto parsed = std::from_chars(text.data(), end, value); parsed.ec == std::errc{} && parsed.ptr == end) {
    if (text.size() > 10) return value;
    TimestampNs time = 0;
    if (__builtin_mul_overflow(value, kSecondNs, &time))
      return fail(ErrorKind::bad_input, fmt::format("the time \"{}\" is out of range", text));
    return time;
  }
  TimestampNs time = 0;
  if (read_rfc3339(text, time)) return time;
  return fail(ErrorKind::bad_input, fmt::format("strconv.ParseInt: parsing \"{}\": invalid syntax", text));
}

Result<std::int64_t> parse_seconds_or_duration(std::string_view text) {
  double seconds = 0;
  if (read_float(text, seconds)) {
    const double ns = seconds * 1e9;
    if (!(ns < 9.22e18 && ns > -9.22e18)) {
      return fail(ErrorKind::bad_input,
                  fmt::format("cannot parse \"{}\" to a valid duration. It overflows int64", text));
    }
    return static_cast<std::int64_t>(ns);
  }
  if (const auto duration = parse_duration(text)) return duration->count() * 1'000'000;
  return fail(ErrorKind::bad_input, fmt::format("cannot parse \"{}\" to a valid duration", text));
}

Result<Bounds> bounds_of(const http::Params& form, TimestampNs now, std::int64_t span) {
  auto with = [](std::string_view name, const Error& error) {
    return fail(ErrorKind::bad_input, fmt::format("could not parse '{}' parameter: {}", name, error.message));
  };
  Bounds bounds{.start = 0, .end = now};
  if (const auto since = form.get_or("since", ""); !since.empty()) {
    const auto duration = parse_duration(since);
    if (!duration) return with("since", duration.error());
    span = duration->count() * 1'000'000;
  }
  if (const auto end = form.get_or("end", ""); !end.empty()) {
    const auto time = parse_api_time(end);
    if (!time) return with("end", time.error());
    bounds.end = *time;
  }
  bounds.start = std::min(bounds.end, now) - span;
  if (const auto start = form.get_or("start", ""); !start.empty()) {
    const auto time = parse_api_time(start);
    if (!time) return with("start", time.error());
    bounds.start = *time;
  }
  return bounds;
}

Result<std::size_t> limit_of(const http::Params& form, std::string_view name, std::size_t otherwise) {
  const auto text = form.get_or(name, "");
  if (text.empty()) return otherwise;
  std::int64_t value = 0;
  const auto end = text.data() + text.size();
  if (const auto parsed = std::from_chars(text.data(), end, value); parsed.ec != std::errc{} || parsed.ptr != end) {
    return fail(ErrorKind::bad_input, fmt::format("strconv.Atoi: parsing \"{}\": invalid syntax", text));
  }
  if (value <= 0) return fail(ErrorKind::bad_input, "limit must be a positive value");
  if (value > 0xFFFFFFFFLL)
    return fail(ErrorKind::bad_input, fmt::format("limit value {} is out of range [0, 4294967295]", value));
  return static_cast<std::size_t>(value);
}

Result<std::int64_t> step_of(const http::Params& form, const Bounds& bounds) {
  if (const auto text = form.get_or("step", ""); !text.empty()) return parse_seconds_or_duration(text);
  const auto seconds = (bounds.end - bounds.start) / kSecondNs / 250;
  return std::max<std::int64_t>(seconds, 1) * kSecondNs;
}

Result<std::int64_t> interval_of(const http::Params& form) {
  const auto text = form.get_or("interval", "");
  if (text.empty()) return 0;
  const auto interval = TRY(parse_seconds_or_duration(text));
  if (interval < 0) return fail(ErrorKind::bad_input, "interval must be >= 0");
  return interval;
}

Result<> check_steps(const Bounds& bounds, std::int64_t step) {
  if (step <= 0) {
    return fail(ErrorKind::bad_input,
                "zero or negative query resolution step widths are not accepted. Try a positive integer");
  }
  std::int64_t length = 0;
  if (__builtin_sub_overflow(bounds.end, bounds.start, &length) || length / step > 11'000) {
    return fail(ErrorKind::bad_input,
                "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step "
                "parameter");
  }
  return {};
}

std::string cursor_text(const logql::Cursor& cursor) { return fmt::format("{}-{}", cursor.time, cursor.skip); }

Result<logql::Cursor> parse_cursor(std::string_view text) {
  logql::Cursor cursor;
  const char* const end = text.data() + text.size();
  const auto time = std::from_chars(text.data(), end, cursor.time);
  if (time.ec == std::errc() && time.ptr != end && *time.ptr == '-') {
    const auto skip = std::from_chars(time.ptr + 1, end, cursor.skip);
    if (skip.ec == std::errc() && skip.ptr == end && cursor.skip <= 0xFFFFFFFF) return cursor;
  }
  return fail(ErrorKind::bad_input, "cursor is not one that an answer gave");
}

}  // namespace tocayo::logs::api
