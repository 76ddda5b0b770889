// SPDX-License-Identifier: Apache-2.0
// Numbers as Go's strconv writes and reads them.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "core/labels.h"
#include "template/go_format.h"

namespace tocayo::templates {
namespace {

// Decimal digits without trailing zeros; the value is 0.d₁d₂… × 10^point.
struct Digits {
  char digits[800];
  int count = 0;
  int point = 0;
};

void take_scientific(const char* begin, const char* end, Digits& out) {
  const char* p = begin;
  for (; p != end && *p != 'e'; ++p) {
    if (*p != '.') out.digits[out.count++] = *p;
  }
  int exponent = 0;
  if (p != end) {
    ++p;
    if (p != end && *p == '+') ++p;
    std::from_chars(p, end, exponent);
  }
  while (out.count > 0 && out.digits[out.count - 1] == '0') --out.count;
  out.point = out.count == 0 ? 0 : exponent + 1;
}

void append_exponent_form(std::string& out, const Digits& d, int precision, char verb) {
  out += d.count > 0 ? d.digits[0] : '0';
  if (precision > 0) {
    out += '.';
    for (int i = 1; i <= precision; ++i) out += i < d.count ? d.digits[i] : '0';
  }
  int exponent = d.count == 0 ? 0 : d.point - 1;
  out += verb;
  out += exponent < 0 ? '-' : '+';
  exponent = std::abs(exponent);
  if (exponent < 10) out += '0';
  fmt::format_to(std::back_inserter(out), "{}", exponent);
}

void append_plain_form(std::string& out, const Digits& d, int precision) {
  if (d.point > 0) {
    for (int i = 0; i < d.point; ++i) out += i < d.count ? d.digits[i] : '0';
  } else {
    out += '0';
  }
  if (precision <= 0) return;
  out += '.';
  for (int i = 0; i < precision; ++i) {
    const int at = d.point + i;
    out += at >= 0 && at < d.count ? d.digits[at] : '0';
  }
}

void append_general(std::string& out, double value, char verb, int precision) {
  char buffer[800];
  const bool shortest = precision < 0;
  if (precision == 0) precision = 1;
  precision = std::min(precision, 760);
  const auto end =
      shortest ? std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr
               : std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific, precision - 1).ptr;
  Digits d;
  take_scientific(buffer, end, d);
  if (shortest) precision = std::max(d.count, 1);
  const int count = d.count;
  int limit = precision;
  if (limit > count && count >= d.point) limit = count;
  if (shortest) limit = 6;
  const int exponent = d.point - 1;
  if (exponent < -4 || exponent >= limit) {
    if (count > 0 || shortest) {
      append_exponent_form(out, d, std::min(precision, count) - 1, verb == 'g' ? 'e' : 'E');
      return;
    }
  }
  if (precision > d.point) precision = count;
  append_plain_form(out, d, std::max(precision - d.point, 0));
}

// 0x1.8p+01.
void append_hex_form(std::string& out, double value, bool upper, int precision) {
  char buffer[1200];
  const auto end =
      precision < 0
          ? std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::hex).ptr
          : std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::hex, std::min(precision, 1000)).ptr;
  const std::string_view text(buffer, end - buffer);
  const auto p = text.find('p');
  std::string hex = "0x" + std::string(text.substr(0, p)) + "p" + text[p + 1];
  if (text.size() - p == 3) hex += '0';
  hex += text.substr(p + 2);
  if (upper)
    std::transform(hex.begin(), hex.end(), hex.begin(), [](char c) { return c >= 'a' && c <= 'z' ? c - 32 : c; });
  out += hex;
}

bool is_digit_of(char c, int base) {
  if (base == 16) return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  return c >= '0' && c <= '9';
}

std::unexpected<Error> number_error(std::string_view function, std::string_view text, std::string_view what) {
  return fail(ErrorKind::bad_input, fmt::format("strconv.{}: parsing {}: {}", function, go_quote(text), what));
}

bool equals_fold(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() && std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b;
         });
}

}  // namespace

void append_float(std::string& out, double value, char verb, int precision) {
  if (std::isnan(value)) {
    out += "NaN";
    return;
  }
  if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
    return;
  }
  if (std::signbit(value)) {
    out += '-';
    value = -value;
  }
  if (verb == 'g' || verb == 'G') {
    if (value == 0) {
      out += '0';
      return;
    }
    append_general(out, value, verb, precision);
    return;
  }
  if (verb == 'x' || verb == 'X') {
    append_hex_form(out, value, verb == 'X', precision);
    return;
  }
  char buffer[2048];
  const bool exponent = verb == 'e' || verb == 'E';
  const auto format = exponent ? std::chars_format::scientific : std::chars_format::fixed;
  // Digits beyond what the buffer holds are zeros anyway: a double has at most 1,074 of them.
  const int kept = std::min(precision, 1100);
  const auto end = precision < 0 ? std::to_chars(buffer, buffer + sizeof buffer, value, format).ptr
                                 : std::to_chars(buffer, buffer + sizeof buffer, value, format, kept).ptr;
  std::string_view text(buffer, end - buffer);
  const auto e = exponent ? text.find('e') : std::string_view::npos;
  out += text.substr(0, e);
  if (kept < precision) out.append(static_cast<std::size_t>(precision - kept), '0');
  if (e != std::string_view::npos) {
    out += verb;
    out += text.substr(e + 1);
  }
}

std::string format_float(double value, char verb, int precision) {
  std::string out;
  append_float(out, value, verb, precision);
  return out;
}

Result<double> parse_float(std::string_view text) {
  std::string_view rest = text;
  bool negative = false;
  if (!rest.empty() && (rest[0] == '+' || rest[0] == '-')) {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  const double sign = negative ? -1.0 : 1.0;
  if (equals_fold(rest, "inf") || equals_fold(rest, "infinity")) {
    return sign * std::numeric_limits<double>::infinity();
  }
  if (equals_fold(rest, "nan") && rest.size() == text.size()) return std::numeric_limits<double>::quiet_NaN();
  const bool hex = rest.size() > 2 && rest[0] == '0' && (rest[1] == 'x' || rest[1] == 'X');
  if (hex) rest.remove_prefix(2);
  const int base = hex ? 16 : 10;
  // Checks the form that Go asks for; from_chars is more liberal in some places.
  std::size_t i = 0;
  std::size_t digits = 0;
  bool point = false;
  for (; i < rest.size(); ++i) {
    if (rest[i] == '.' && !point) {
      point = true;
    } else if (is_digit_of(rest[i], base)) {
      ++digits;
    } else {
      break;
    }
  }
  if (digits == 0) return number_error("ParseFloat", text, "invalid syntax");
  const bool has_exponent =
      i < rest.size() && (hex ? rest[i] == 'p' || rest[i] == 'P' : rest[i] == 'e' || rest[i] == 'E');
  if (has_exponent) {
    ++i;
    if (i < rest.size() && (rest[i] == '+' || rest[i] == '-')) ++i;
    const std::size_t first = i;
    while (i < rest.size() && is_digit_of(rest[i], 10)) ++i;
    if (i == first) return number_error("ParseFloat", text, "invalid syntax");
  }
  if (i != rest.size() || (hex && !has_exponent)) return number_error("ParseFloat", text, "invalid syntax");
  double value = 0;
  const auto format = hex ? std::chars_format::hex : std::chars_format::general;
  const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), value, format);
  if (parsed.ec == std::errc::result_out_of_range) {
    // Too small is 0 for Go, too large an error: tell them apart by the exponent's sign.
    const auto e = rest.find_first_of(hex ? "pP" : "eE");
    const bool small =
        e != std::string_view::npos ? e + 1 < rest.size() && rest[e + 1] == '-' : rest[0] == '0' || rest[0] == '.';
    if (small) return sign * 0.0;
    return number_error("ParseFloat", text, "value out of range");
  }
  if (parsed.ec != std::errc()) return number_error("ParseFloat", text, "invalid syntax");
  return sign * value;
}

Result<std::int64_t> parse_int(std::string_view text) {
  std::string_view rest = text;
  const bool plus = !rest.empty() && rest[0] == '+';
  if (plus) rest.remove_prefix(1);
  std::int64_t value = 0;
  const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (rest.empty() || (plus && rest[0] == '-') || parsed.ec == std::errc::invalid_argument ||
      parsed.ptr != rest.data() + rest.size()) {
    return number_error("ParseInt", text, "invalid syntax");
  }
  if (parsed.ec == std::errc::result_out_of_range) return number_error("ParseInt", text, "value out of range");
  return value;
}

}  // namespace tocayo::templates
