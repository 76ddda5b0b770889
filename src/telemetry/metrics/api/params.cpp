// SPDX-License-Identifier: Apache-2.0
#include "metrics/api/params.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "core/utf8.h"
#include "promql/parser.h"

namespace tocayo::metrics::api {

namespace {

constexpr std::string_view kMinTimeText = "-292273086-05-16T16:47:06Z";
constexpr std::string_view kMaxTimeText = "292277025-08-18T07:12:54.999999999Z";

// A whole decimal number with an optional sign; no inf, nan or hex.
std::optional<double> parse_number(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return {};
  }
  if (text.empty() || !(text[0] == '-' || text[0] == '.' || (text[0] >= '0' && text[0] <= '9'))) return {};
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return {};
  return value;
}

Error prefixed(std::string_view name, Error error) {
  error.message = fmt::format("invalid parameter \"{}\": {}", name, error.message);
  return error;
}

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

}  // namespace

Error invalid_parameter(std::string_view name, std::string_view what) {
  return {ErrorKind::bad_input, fmt::format("invalid parameter \"{}\": {}", name, what)};
}

Result<TimestampMs> parse_prometheus_time(std::string_view text) {
  if (const auto seconds = parse_number(text)) {
    // Whole seconds and fraction apart, so that milliseconds are exact as far as the double was.
    const double whole = std::trunc(*seconds);
    const double milliseconds = std::round((*seconds - whole) * 1000);
    if (std::fabs(whole) < 9.2e15)
      return static_cast<TimestampMs>(whole) * 1000 + static_cast<TimestampMs>(milliseconds);
  } else if (text == kMinTimeText) {
    return kMinTime;
  } else if (text == kMaxTimeText) {
    return kMaxTime;
  } else if (text.size() >= 20 && text[4] == '-') {
    if (auto time = tocayo::parse_time(text)) return time;
  }
  return fail(ErrorKind::bad_input, fmt::format("cannot parse {} to a valid timestamp", go_quote(text)));
}

Result<std::chrono::milliseconds> parse_prometheus_duration(std::string_view text) {
  if (const auto seconds = parse_number(text)) {
    if (std::fabs(*seconds) > 9223372036.0) {
      return fail(ErrorKind::bad_input,
                  fmt::format("cannot parse {} to a valid duration. It overflows int64", go_quote(text)));
    }
    return std::chrono::milliseconds(std::llround(std::trunc(*seconds * 1000)));
  }
  if (auto duration = tocayo::parse_duration(text)) return duration;
  return fail(ErrorKind::bad_input, fmt::format("cannot parse {} to a valid duration", go_quote(text)));
}

Result<TimestampMs> time_param(const http::Params& params, std::string_view name, TimestampMs otherwise) {
  const std::string_view text = params.get_or(name, "");
  if (text.empty()) return otherwise;
  auto time = parse_prometheus_time(text);
  if (time) return time;
  return std::unexpected(
      invalid_parameter(name, fmt::format("invalid time value for '{}': {}", name, time.error().message)));
}

Result<TimestampMs> required_time_param(const http::Params& params, std::string_view name) {
  auto time = parse_prometheus_time(params.get_or(name, ""));
  if (!time) return std::unexpected(prefixed(name, std::move(time.error())));
  return time;
}

Result<std::chrono::milliseconds> duration_param(const http::Params& params, std::string_view name) {
  auto duration = parse_prometheus_duration(params.get_or(name, ""));
  if (!duration) return std::unexpected(prefixed(name, std::move(duration.error())));
  return duration;
}

Result<std::size_t> limit_param(const http::Params& params, std::string_view name) {
  const std::string_view text = params.get_or(name, "");
  if (text.empty()) return std::size_t{0};
  const std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc::result_out_of_range) {
    return std::unexpected(
        invalid_parameter(name, fmt::format("strconv.Atoi: parsing {}: value out of range", go_quote(text))));
  }
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    return std::unexpected(
        invalid_parameter(name, fmt::format("strconv.Atoi: parsing {}: invalid syntax", go_quote(text))));
  }
  if (value < 0) return std::unexpected(invalid_parameter(name, "limit must be non-negative"));
  return static_cast<std::size_t>(value);
}

Result<std::vector<std::vector<Matcher>>> matcher_params(const http::Params& params) {
  std::vector<std::vector<Matcher>> sets;
  for (const std::string_view text : params.all("match[]")) {
    auto matchers = promql::parse_metric_selector(text);
    if (!matchers) return std::unexpected(std::move(matchers.error()));
    bool selects = false;
    for (const Matcher& matcher : *matchers) selects |= !matcher.matches_empty();
    if (!selects) return fail(ErrorKind::bad_input, "match[] must contain at least one non-empty matcher");
    sets.push_back(std::move(*matchers));
  }
  return sets;
}

std::string unescape_name(std::string_view text) {
  if (!text.starts_with("U__")) return std::string(text);
  const std::string_view escaped = text.substr(3);
  std::string out;
  for (std::size_t i = 0; i < escaped.size(); ++i) {
    if (escaped[i] != '_') {
      out.push_back(escaped[i]);
      continue;
    }
    if (++i >= escaped.size()) return std::string(text);
    if (escaped[i] == '_') {
      out.push_back('_');
      continue;
    }
    const std::size_t end = escaped.find('_', i);
    // At most six hex digits, then the closing underscore.
    if (end == std::string_view::npos || end == i || end - i > 6) return std::string(text);
    std::uint32_t code_point = 0;
    for (std::size_t k = i; k < end; ++k) {
      if (!is_hex(escaped[k])) return std::string(text);
    }
    std::from_chars(escaped.data() + i, escaped.data() + end, code_point, 16);
    if (code_point > 0x10ffff || (code_point >= 0xd800 && code_point < 0xe000)) return std::string(text);
    utf8::append(out, code_point);
    i = end;
  }
  return out;
}

}  // namespace tocayo::metrics::api
