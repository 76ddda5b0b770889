// SPDX-License-Identifier: Apache-2.0
#include "logql/syntax/literals.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>

#include "core/labels.h"
#include "core/text.h"
#include "core/utf8.h"
#include "logql/syntax/lexer.h"

namespace tocayo::logql {

namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMillisecond = 1'000'000;
constexpr std::int64_t kSecond = 1'000 * kMillisecond;
constexpr std::int64_t kMinute = 60 * kSecond;
constexpr std::int64_t kHour = 60 * kMinute;
constexpr std::int64_t kDay = 24 * kHour;

struct Unit {
  std::string_view name;
  std::int64_t ns;
};

// Largest first: that is the order Prometheus asks for.
constexpr std::array<Unit, 7> kPrometheusUnits{{{"y", 365 * kDay},
                                                {"w", 7 * kDay},
                                                {"d", kDay},
                                                {"h", kHour},
                                                {"m", kMinute},
                                                {"s", kSecond},
                                                {"ms", kMillisecond}}};
constexpr std::array<Unit, 8> kGoUnits{{{"ns", 1},
                                        {"us", 1'000},
                                        {"µs", 1'000},
                                        {"μs", 1'000},
                                        {"ms", kMillisecond},
                                        {"s", kSecond},
                                        {"m", kMinute},
                                        {"h", kHour}}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::size_t digits(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size() && is_digit(text[n])) ++n;
  return n;
}

std::unexpected<Error> bad(std::string message) { return fail(ErrorKind::bad_input, std::move(message)); }

}  // namespace

Result<std::int64_t> parse_range_duration(std::string_view text) {
  if (text == "0") return 0;
  if (text.empty()) return bad("empty duration string");
  std::string_view rest = text;
  std::size_t next_unit = 0;
  std::int64_t total = 0;
  while (!rest.empty()) {
    const std::size_t count = digits(rest);
    std::int64_t value = 0;
    if (count == 0 || std::from_chars(rest.data(), rest.data() + count, value).ec != std::errc()) {
      return bad("not a valid duration string: " + go_quote(text));
    }
    rest.remove_prefix(count);
    const std::size_t length = static_cast<std::size_t>(std::ranges::find_if(rest, is_digit) - rest.begin());
    if (length == 0) return bad("not a valid duration string: " + go_quote(text));
    const std::string_view name = rest.substr(0, length);
    rest.remove_prefix(length);
    const auto unit = std::ranges::find(kPrometheusUnits, name, &Unit::name);
    if (unit == kPrometheusUnits.end()) {
      return bad(fmt::format("unknown unit {} in duration {}", go_quote(name), go_quote(text)));
    }
    const std::size_t index = static_cast<std::size_t>(unit - kPrometheusUnits.begin());
    if (index < next_unit) return bad("not a valid duration string: " + go_quote(text));
    next_unit = index + 1;
    if (value > (kMax - total) / unit->ns) return bad("duration out of range");
    total += value * unit->ns;
  }
  return total;
}

Result<std::int64_t> parse_go_duration(std::string_view text) {
  const auto invalid = [&] { return bad("time: invalid duration " + go_quote(text)); };
  std::string_view rest = text;
  bool negative = false;
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  if (rest == "0") return 0;
  if (rest.empty()) return invalid();
  std::int64_t total = 0;
  while (!rest.empty()) {
    const std::size_t whole = digits(rest);
    std::int64_t value = 0;
    if (whole > 0 && std::from_chars(rest.data(), rest.data() + whole, value).ec != std::errc()) return invalid();
    rest.remove_prefix(whole);
    std::string_view fraction;
    bool point = false;
    if (!rest.empty() && rest[0] == '.') {
      point = true;
      rest.remove_prefix(1);
      fraction = rest.substr(0, digits(rest));
      rest.remove_prefix(fraction.size());
    }
    if (whole == 0 && (!point || fraction.empty())) return invalid();
    std::size_t length = 0;
    while (length < rest.size() && rest[length] != '.' && !is_digit(rest[length])) ++length;
    if (length == 0) return bad("time: missing unit in duration " + go_quote(text));
    const std::string_view name = rest.substr(0, length);
    const auto unit = std::ranges::find(kGoUnits, name, &Unit::name);
    if (unit == kGoUnits.end()) {
      return bad(fmt::format("time: unknown unit {} in duration {}", go_quote(name), go_quote(text)));
    }
    rest.remove_prefix(length);
    if (value > kMax / unit->ns) return invalid();
    std::int64_t part = value * unit->ns;
    double scale = static_cast<double>(unit->ns);
    std::int64_t numerator = 0;
    for (char c : fraction) {
      if (numerator > (kMax - 9) / 10) break;  // further digits are below a nanosecond
      numerator = numerator * 10 + (c - '0');
      scale /= 10;
    }
    const auto extra = static_cast<std::int64_t>(static_cast<double>(numerator) * scale);
    if (extra > kMax - part) return invalid();
    part += extra;
    if (part > kMax - total) return invalid();
    total += part;
  }
  return negative ? -total : total;
}

Result<std::int64_t> parse_go_or_prometheus_duration(std::string_view text) {
  if (auto duration = parse_range_duration(text)) return duration;
  return parse_go_duration(text);
}

Result<double> parse_go_float(std::string_view text) {
  const auto invalid = [&] { return bad("strconv.ParseFloat: parsing " + go_quote(text) + ": invalid syntax"); };
  std::string_view rest = text;
  bool negative = false;
  if (!rest.empty() && (rest[0] == '+' || rest[0] == '-')) {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  if (rest.empty()) return invalid();
  const std::string lower = to_lower(rest);
  double value = 0;
  if (lower == "inf" || lower == "infinity") {
    value = std::numeric_limits<double>::infinity();
  } else if (lower == "nan") {
    return std::numeric_limits<double>::quiet_NaN();
  } else {
    auto format = std::chars_format::general;
    if (lower.starts_with("0x")) {
      if (!lower.contains('p')) return invalid();  // Go asks for the exponent
      rest.remove_prefix(2);
      format = std::chars_format::hex;
    }
    if (!is_digit(rest.empty() ? 'x' : rest[0]) && !rest.starts_with('.') && format == std::chars_format::general) {
      return invalid();
    }
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value, format);
    if (error == std::errc::result_out_of_range) {
      // Too small is zero or denormal in Go, too large an error; the sign of the exponent tells which.
      const std::size_t exponent = lower.find_first_of(format == std::chars_format::hex ? "p" : "e");
      if (exponent == std::string::npos || lower[exponent + 1] != '-') {
        return bad("strconv.ParseFloat: parsing " + go_quote(text) + ": value out of range");
      }
      value = 0;
    } else if (error != std::errc() || end != rest.data() + rest.size()) {
      return invalid();
    }
  }
  return negative ? -value : value;
}

Result<std::uint64_t> parse_human_bytes(std::string_view text) {
  std::size_t end = 0;
  std::string number;
  while (end < text.size() && (is_digit(text[end]) || text[end] == '.' || text[end] == ',')) {
    if (text[end] != ',') number.push_back(text[end]);
    ++end;
  }
  double value = TRY(parse_go_float(number));
  const std::string unit = to_lower(trim(text.substr(end)));
  static constexpr std::string_view kPrefixes = "kmgtpe";
  double scale = 1;
  if (!unit.empty() && unit != "b") {
    const std::size_t power = kPrefixes.find(unit[0]);
    const std::string_view suffix = std::string_view(unit).substr(1);
    if (power == std::string_view::npos || !(suffix.empty() || suffix == "b" || suffix == "i" || suffix == "ib")) {
      return bad("unhandled size name: " + unit);
    }
    scale = std::pow(suffix.starts_with('i') ? 1024.0 : 1000.0, static_cast<double>(power + 1));
  }
  value *= scale;
  if (value >= 18446744073709551615.0) return bad("too large: " + std::string(text));
  return static_cast<std::uint64_t>(value);
}

std::string format_go_duration(std::int64_t ns) {
  if (ns == 0) return "0s";
  std::string out = ns < 0 ? "-" : "";
  std::uint64_t rest = ns < 0 ? 0 - static_cast<std::uint64_t>(ns) : static_cast<std::uint64_t>(ns);
  const auto fixed = [](std::uint64_t value, std::uint64_t unit) {
    std::string text = std::to_string(value / unit);
    if (value % unit != 0) {
      std::string fraction = std::to_string(unit + value % unit).substr(1);  // zero-padded to the unit's digits
      fraction.erase(fraction.find_last_not_of('0') + 1);
      text += "." + fraction;
    }
    return text;
  };
  if (rest < static_cast<std::uint64_t>(kSecond)) {
    if (rest < 1'000) return out + std::to_string(rest) + "ns";
    if (rest < static_cast<std::uint64_t>(kMillisecond)) return out + fixed(rest, 1'000) + "µs";
    return out + fixed(rest, kMillisecond) + "ms";
  }
  const std::uint64_t hours = rest / kHour;
  const std::uint64_t minutes = rest / kMinute % 60;
  if (hours > 0) out += std::to_string(hours) + "h";
  if (hours > 0 || minutes > 0) out += std::to_string(minutes) + "m";
  return out + fixed(rest % kMinute, kSecond) + "s";
}

std::string format_prometheus_duration(std::int64_t ns) {
  std::string out;
  std::int64_t ms = ns / kMillisecond;
  if (ms == 0) return "0s";
  if (ms < 0) {
    out = "-";
    ms = -ms;
  }
  for (const Unit& unit : kPrometheusUnits) {
    const std::int64_t size = unit.ns / kMillisecond;
    if ((unit.name == "y" || unit.name == "w") && ms % size != 0) continue;  // easier to read as days
    if (ms >= size) out += std::to_string(ms / size) + std::string(unit.name);
    ms %= size;
  }
  return out;
}

std::string format_plain_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  std::array<char, 1100> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed).ptr;
  return {buffer.data(), end};
}

std::string format_go_float(double value) {
  if (std::isnan(value) || std::isinf(value) || value == 0) return format_plain_float(value);
  std::array<char, 64> buffer;
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific).ptr;
  const std::string text(buffer.data(), end);
  const int exponent = std::stoi(text.substr(text.find('e') + 1));
  return exponent < -4 || exponent >= 21 ? text : format_plain_float(value);
}

Result<std::string> unquote(std::string_view literal) {
  const auto invalid = [] { return bad("invalid syntax"); };
  if (literal.size() < 2 || literal.front() != literal.back()) return invalid();
  const char quote = literal.front();
  const std::string_view body = literal.substr(1, literal.size() - 2);
  std::string out;
  out.reserve(body.size());
  if (quote == '`') {
    std::ranges::copy_if(body, std::back_inserter(out), [](char c) { return c != '\r'; });
    return out;
  }
  if (quote != '"') return invalid();
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (body[i] != '\\') {
      out.push_back(body[i]);
      continue;
    }
    if (++i >= body.size()) return invalid();
    static constexpr std::string_view kFrom = "abfnrtv\\\"'";
    static constexpr std::string_view kTo = "\a\b\f\n\r\t\v\\\"'";
    const char c = body[i];
    if (const std::size_t at = kFrom.find(c); at != std::string_view::npos && c != '\'') {
      out.push_back(kTo[at]);
      continue;
    }
    const bool octal = c >= '0' && c <= '7';
    const std::size_t start = octal ? i : i + 1;
    const std::size_t count = octal ? 3 : c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (count == 0 || start + count > body.size()) return invalid();
    std::uint32_t code = 0;
    const char* first = body.data() + start;
    const auto [end, error] = std::from_chars(first, first + count, code, octal ? 8 : 16);
    if (error != std::errc() || end != first + count) return invalid();
    if (octal || c == 'x') {
      if (code > 255) return invalid();
      out.push_back(static_cast<char>(code));
    } else {
      if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return invalid();
      utf8::append(out, code);
    }
    i = start + count - 1;
  }
  return out;
}

}  // namespace tocayo::logql
