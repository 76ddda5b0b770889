// SPDX-License-Identifier: Apache-2.0
// Numbers, durations and strings, after Go's rules.
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

#include "core/utf8.h"
#include "promql/parser_internal.h"

namespace tocayo::promql::detail {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex_digit(char c) { return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f'); }

// Underscores only between digits or after a base prefix.
bool underscores_ok(std::string_view text) {
  char saw = '^';
  std::size_t i = 0;
  bool hex = false;
  if (text.size() >= 2 && text[0] == '0' && (lower(text[1]) == 'b' || lower(text[1]) == 'o' || lower(text[1]) == 'x')) {
    hex = lower(text[1]) == 'x';
    i = 2;
    saw = '0';
  }
  for (; i < text.size(); ++i) {
    if (is_digit(text[i]) || (hex && is_hex_digit(text[i]))) {
      saw = '0';
    } else if (text[i] == '_') {
      if (saw != '0') return false;
      saw = '_';
    } else {
      if (saw == '_') return false;
      saw = '!';
    }
  }
  return saw != '_';
}

std::string without_underscores(std::string_view text) {
  std::string result;
  for (char c : text) {
    if (c != '_') result += c;
  }
  return result;
}

// strconv.ParseInt with base 0: prefixes 0x 0o 0b and the old octal "017".
std::optional<std::int64_t> parse_integer(std::string_view text) {
  if (text.empty() || !underscores_ok(text)) return std::nullopt;
  bool negative = text[0] == '-';
  if (text[0] == '-' || text[0] == '+') text.remove_prefix(1);
  std::string digits = without_underscores(text);
  int base = 10;
  std::size_t skip = 0;
  if (digits.size() >= 3 && digits[0] == '0' && lower(digits[1]) == 'x')
    base = 16, skip = 2;
  else if (digits.size() >= 3 && digits[0] == '0' && lower(digits[1]) == 'b')
    base = 2, skip = 2;
  else if (digits.size() >= 3 && digits[0] == '0' && lower(digits[1]) == 'o')
    base = 8, skip = 2;
  else if (digits.size() >= 2 && digits[0] == '0')
    base = 8, skip = 1;
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(digits.data() + skip, digits.data() + digits.size(), value, base);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value > kMax + (negative ? 1 : 0)) return std::nullopt;
  return negative ? static_cast<std::int64_t>(0 - value) : static_cast<std::int64_t>(value);
}

}  // namespace

Result<double> parse_number_text(std::string_view text) {
  if (auto integer = parse_integer(text)) return static_cast<double>(*integer);
  auto bad = [&](std::string_view why) {
    return tocayo::fail(ErrorKind::bad_input,
                        fmt::format("error parsing number: strconv.ParseFloat: parsing {}: {}", go_quote(text), why));
  };
  std::string_view rest = text;
  bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  std::string name;
  for (char c : rest) name += lower(c);
  if (name == "inf" || name == "infinity")
    return negative ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  if (name == "nan" && rest.size() == text.size()) return std::numeric_limits<double>::quiet_NaN();
  if (rest.empty() || (!is_digit(rest[0]) && rest[0] != '.') || name.starts_with("0x") || !underscores_ok(rest))
    return bad("invalid syntax");
  std::string digits = without_underscores(rest);
  double value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (end != digits.data() + digits.size()) return bad("invalid syntax");
  if (error == std::errc::result_out_of_range) {
    // Too small counts as zero in Go, only too large is an error. from_chars does not say which it was.
    value = std::strtod(digits.c_str(), nullptr);
    if (std::isinf(value)) return bad("value out of range");
  } else if (error != std::errc()) {
    return bad("invalid syntax");
  }
  return negative ? -value : value;
}

Result<Duration> parse_duration_literal_text(std::string_view text) {
  struct Unit {
    std::string_view name;
    std::uint64_t milliseconds;
  };
  static constexpr Unit kUnits[] = {{"y", 365ULL * 86'400'000},
                                    {"w", 7ULL * 86'400'000},
                                    {"d", 86'400'000},
                                    {"h", 3'600'000},
                                    {"m", 60'000},
                                    {"s", 1000},
                                    {"ms", 1}};
  constexpr std::uint64_t kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / 1'000'000;
  auto invalid = [&] {
    return tocayo::fail(ErrorKind::bad_input, fmt::format("not a valid duration string: {}", go_quote(text)));
  };
  if (text == "0") return Duration(0);
  if (text.empty()) return tocayo::fail(ErrorKind::bad_input, "empty duration string");
  std::uint64_t total = 0;
  std::size_t next_unit = 0;
  for (std::string_view rest = text; !rest.empty();) {
    std::uint64_t count = 0;
    auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), count);
    if (error != std::errc()) return invalid();
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    std::size_t letters = 0;
    while (letters < rest.size() && !is_digit(rest[letters])) ++letters;
    if (letters == 0) return invalid();
    std::string_view name = rest.substr(0, letters);
    rest.remove_prefix(letters);
    std::size_t unit = 0;
    while (unit < std::size(kUnits) && kUnits[unit].name != name) ++unit;
    if (unit == std::size(kUnits)) {
      return tocayo::fail(ErrorKind::bad_input,
                          fmt::format("unknown unit {} in duration {}", go_quote(name), go_quote(text)));
    }
    if (unit < next_unit) return invalid();
    next_unit = unit + 1;
    if (count > kMost / kUnits[unit].milliseconds) return tocayo::fail(ErrorKind::bad_input, "duration out of range");
    total += count * kUnits[unit].milliseconds;
    if (total > kMost) return tocayo::fail(ErrorKind::bad_input, "duration out of range");
  }
  return Duration(static_cast<std::int64_t>(total));
}

bool duration_out_of_range(double seconds) {
  constexpr double kMost = 9223372036.854775807;
  return !(seconds <= kMost && seconds >= -kMost);  // NaN neither
}

Duration duration_from_seconds(double seconds) {
  double nanoseconds = std::round(seconds * 1e9);
  constexpr double kMost = 9223372036854775807.0;
  if (!(nanoseconds > -kMost))
    return Duration(std::isnan(nanoseconds) ? 0 : std::numeric_limits<std::int64_t>::min() / 1'000'000);
  if (nanoseconds >= kMost) return Duration(std::numeric_limits<std::int64_t>::max() / 1'000'000);
  return Duration(static_cast<std::int64_t>(nanoseconds) / 1'000'000);
}

bool Parser::number_value(const Token& token, double& value) {
  if (token.type == TokenType::duration) {
    auto duration = parse_duration_literal_text(text(token));
    if (!duration) return fail(range(token), std::move(duration.error().message)), false;
    value = static_cast<double>(duration->count()) / 1000;
    return true;
  }
  auto number = parse_number_text(text(token));
  if (!number) return fail(range(token), std::move(number.error().message)), false;
  value = *number;
  return true;
}

bool Parser::string_value(const Token& token, std::string& value) {
  std::string_view body = text(token);
  char quote = body.front();
  body = body.substr(1, body.size() - 2);
  value.clear();
  if (quote == '`') {
    value = body;
    return true;
  }
  // The lexer has made sure that every escape is complete and valid.
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (body[i] != '\\') {
      value += body[i];
      continue;
    }
    char c = body[++i];
    std::size_t digits = 0;
    std::uint32_t code = 0, base = 16;
    switch (c) {
      case 'a': value += '\a'; continue;
      case 'b': value += '\b'; continue;
      case 'f': value += '\f'; continue;
      case 'n': value += '\n'; continue;
      case 'r': value += '\r'; continue;
      case 't': value += '\t'; continue;
      case 'v': value += '\v'; continue;
      case 'x': digits = 2; break;
      case 'u': digits = 4; break;
      case 'U': digits = 8; break;
      default:
        if (c >= '0' && c <= '7') {
          digits = 3;
          base = 8;
          --i;
          break;
        }
        value += c;
        continue;
    }
    for (std::size_t n = 0; n < digits; ++n) {
      char d = lower(body[++i]);
      code = code * base + static_cast<std::uint32_t>(d >= 'a' ? d - 'a' + 10 : d - '0');
    }
    if (c == 'u' || c == 'U')
      utf8::append(value, code);
    else
      value += static_cast<char>(code);
  }
  return true;
}

}  // namespace tocayo::promql::detail
