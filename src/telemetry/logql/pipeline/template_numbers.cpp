// SPDX-License-Identifier: Apache-2.0
// Arithmetic of templates: anything is taken as a number if it can be, and is 0 if not (sprig's rule).
#include "logql/pipeline/template_numbers.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <optional>

#include "template/go_format.h"

namespace tocayo::logql {
namespace {

using namespace templates;

std::unexpected<Error> bad(std::string message) { return fail(ErrorKind::bad_input, std::move(message)); }

std::int64_t truncated(double value) {
  if (!(value > -9.3e18 && value < 9.3e18)) return INT64_MIN;
  return value >= 9223372036854775807.0 || value < -9223372036854775808.0 ? INT64_MIN
                                                                          : static_cast<std::int64_t>(value);
}

// strconv.ParseInt(text, 0, 0) after ".00" was cut off; 0 when it is no number.
std::int64_t integer_of(std::string_view text) {
  if (const auto point = text.find('.'); point != std::string_view::npos && point > 0 &&
                                         text.find_first_not_of('0', point + 1) == std::string_view::npos) {
    text = text.substr(0, point);
  }
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
    text.remove_prefix(mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1);
  }
  std::uint64_t magnitude = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), magnitude, base);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return 0;
  if (magnitude > (1ULL << 63) - (negative ? 0 : 1)) return 0;
  return static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude);
}

std::int64_t to_int(const Value& value) {
  switch (value.kind) {
    case Kind::boolean: return value.boolean ? 1 : 0;
    case Kind::integer:
    case Kind::duration: return value.integer;
    case Kind::unsigned_integer: return static_cast<std::int64_t>(value.unsigned_integer);
    case Kind::floating: return truncated(value.floating);
    case Kind::string: return integer_of(value.string());
    default: return 0;
  }
}

double to_float(const Value& value) {
  switch (value.kind) {
    case Kind::boolean: return value.boolean ? 1 : 0;
    case Kind::integer:
    case Kind::duration: return static_cast<double>(value.integer);
    case Kind::unsigned_integer: return static_cast<double>(value.unsigned_integer);
    case Kind::floating: return value.floating;
    case Kind::string: return parse_float(value.string()).value_or(0);
    default: return 0;
  }
}

// A decimal number: mantissa × 10^exponent. Floats go in by their shortest text, so that 0.1 + 0.2 is 0.3.
struct Decimal {
  __int128 mantissa = 0;
  int exponent = 0;
};

constexpr __int128 kMostMantissa = static_cast<__int128>(1) << 120;

std::optional<Decimal> decimal_of(double value) {
  if (!std::isfinite(value)) return std::nullopt;
  const std::string text = format_float(value, 'e', -1);
  Decimal d;
  bool negative = false;
  bool point = false;
  std::size_t i = 0;
  for (; i < text.size() && text[i] != 'e'; ++i) {
    if (text[i] == '-') {
      negative = true;
    } else if (text[i] == '.') {
      point = true;
    } else {
      d.mantissa = d.mantissa * 10 + (text[i] - '0');
      if (point) --d.exponent;
    }
  }
  if (i < text.size()) {
    int exponent = 0;
    const char* start = text.data() + i + 1 + (text[i + 1] == '+' ? 1 : 0);
    std::from_chars(start, text.data() + text.size(), exponent);
    d.exponent += exponent;
  }
  if (negative) d.mantissa = -d.mantissa;
  return d;
}

bool scale_to(Decimal& d, int exponent) {
  while (d.exponent > exponent) {
    if (d.mantissa > kMostMantissa / 10 || d.mantissa < -kMostMantissa / 10) return false;
    d.mantissa *= 10;
    --d.exponent;
  }
  return true;
}

double double_of(Decimal d) {
  std::string text;
  const bool negative = d.mantissa < 0;
  unsigned __int128 magnitude =
      negative ? -static_cast<unsigned __int128>(d.mantissa) : static_cast<unsigned __int128>(d.mantissa);
  do {
    text.insert(text.begin(), static_cast<char>('0' + static_cast<int>(magnitude % 10)));
    magnitude /= 10;
  } while (magnitude != 0);
  text += fmt::format("e{}", d.exponent);
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return negative ? -value : value;
}

std::optional<Decimal> added(Decimal a, Decimal b) {
  const int exponent = std::min(a.exponent, b.exponent);
  if (!scale_to(a, exponent) || !scale_to(b, exponent)) return std::nullopt;
  return Decimal{a.mantissa + b.mantissa, exponent};
}

std::optional<Decimal> multiplied(Decimal a, Decimal b) {
  __int128 product = 0;
  if (__builtin_mul_overflow(a.mantissa, b.mantissa, &product)) return std::nullopt;
  return Decimal{product, a.exponent + b.exponent};
}

// To 16 places, halves away from zero.
std::optional<Decimal> divided(Decimal a, Decimal b) {
  const int exponent = a.exponent - b.exponent;  // of mantissa / mantissa
  __int128 top = a.mantissa;
  __int128 bottom = b.mantissa;
  for (int i = exponent; i > -16; --i) {
    if (top > kMostMantissa / 10 || top < -kMostMantissa / 10) return std::nullopt;
    top *= 10;
  }
  for (int i = exponent; i < -16; ++i) {
    if (bottom > kMostMantissa / 10 || bottom < -kMostMantissa / 10) return std::nullopt;
    bottom *= 10;
  }
  __int128 quotient = top / bottom;
  const __int128 rest = top % bottom;
  const auto magnitude = [](__int128 x) { return x < 0 ? -x : x; };
  if (magnitude(rest) * 2 >= magnitude(bottom)) quotient += (top < 0) != (bottom < 0) ? -1 : 1;
  return Decimal{quotient, -16};
}

// Decimal arithmetic as long as it fits 120 bits, else that of floats.
Result<Value> decimal_fold(Call& call, double first, std::size_t from, char operation) {
  auto total = decimal_of(first);
  double plain = first;
  for (std::size_t i = from; i < call.arguments.size(); ++i) {
    const double x = to_float(call[i]);
    const auto d = decimal_of(x);
    if (operation == '/' && x == 0) return bad("decimal division by 0");
    std::optional<Decimal> next;
    if (total && d) {
      switch (operation) {
        case '+': next = added(*total, *d); break;
        case '-': next = added(*total, {-d->mantissa, d->exponent}); break;
        case '*': next = multiplied(*total, *d); break;
        default: next = divided(*total, *d);
      }
    }
    total = next;
    plain = next               ? double_of(*next)
            : operation == '+' ? plain + x
            : operation == '-' ? plain - x
            : operation == '*' ? plain * x
                               : plain / x;
  }
  return Value::of(plain);
}

Result<Value> round_to(Call& call) {
  double turn = 0.5;
  if (call.arguments.size() > 2) turn = call[2].floating;
  const double power = std::pow(10, static_cast<double>(call[1].integer));
  const double digits = power * to_float(call[0]);
  double whole = 0;
  const double part = std::modf(digits, &whole);
  return Value::of((part >= turn ? std::ceil(digits) : std::floor(digits)) / power);
}

std::int64_t wrapped(std::uint64_t value) { return static_cast<std::int64_t>(value); }

void add_integers(FunctionTable& table) {
  table.add("int", {Type::any}, [](Call& c) -> Result<Value> { return Value::of_int(to_int(c[0])); });
  table.add_variadic("add", {Type::any}, [](Call& c) -> Result<Value> {
    std::uint64_t sum = 0;
    for (const Value& value : c.arguments) sum += static_cast<std::uint64_t>(to_int(value));
    return Value::of_int64(wrapped(sum));
  });
  table.add("sub", {Type::any, Type::any}, [](Call& c) -> Result<Value> {
    return Value::of_int64(
        wrapped(static_cast<std::uint64_t>(to_int(c[0])) - static_cast<std::uint64_t>(to_int(c[1]))));
  });
  table.add_variadic("mul", {Type::any, Type::any}, [](Call& c) -> Result<Value> {
    std::uint64_t product = 1;
    for (const Value& value : c.arguments) product *= static_cast<std::uint64_t>(to_int(value));
    return Value::of_int64(wrapped(product));
  });
  const auto divide = [](Call& c, bool rest) -> Result<Value> {
    const std::int64_t a = to_int(c[0]);
    const std::int64_t b = to_int(c[1]);
    if (b == 0) return bad("runtime error: integer divide by zero");
    if (b == -1) return Value::of_int64(rest ? 0 : wrapped(0 - static_cast<std::uint64_t>(a)));
    return Value::of_int64(rest ? a % b : a / b);
  };
  table.add("div", {Type::any, Type::any}, [divide](Call& c) { return divide(c, false); });
  table.add("mod", {Type::any, Type::any}, [divide](Call& c) { return divide(c, true); });
  const auto extreme = [](Call& c, bool most) -> Result<Value> {
    std::int64_t out = to_int(c[0]);
    for (const Value& value : c.arguments.subspan(1)) {
      out = most ? std::max(out, to_int(value)) : std::min(out, to_int(value));
    }
    return Value::of_int64(out);
  };
  table.add_variadic("max", {Type::any, Type::any}, [extreme](Call& c) { return extreme(c, true); });
  table.add_variadic("min", {Type::any, Type::any}, [extreme](Call& c) { return extreme(c, false); });
}

void add_floats(FunctionTable& table) {
  table.add("float64", {Type::any}, [](Call& c) -> Result<Value> { return Value::of(to_float(c[0])); });
  table.add_variadic("addf", {Type::any}, [](Call& c) { return decimal_fold(c, 0, 0, '+'); });
  table.add_variadic("subf", {Type::any, Type::any}, [](Call& c) { return decimal_fold(c, to_float(c[0]), 1, '-'); });
  table.add_variadic("mulf", {Type::any, Type::any}, [](Call& c) { return decimal_fold(c, to_float(c[0]), 1, '*'); });
  table.add_variadic("divf", {Type::any, Type::any}, [](Call& c) { return decimal_fold(c, to_float(c[0]), 1, '/'); });
  const auto extreme = [](Call& c, bool most) -> Result<Value> {
    double out = to_float(c[0]);
    for (const Value& value : c.arguments.subspan(1)) {
      const double x = to_float(value);
      if (std::isnan(out) || std::isnan(x)) {
        out = std::nan("");
      } else {
        out = most ? std::max(out, x) : std::min(out, x);
      }
    }
    return Value::of(out);
  };
  table.add_variadic("maxf", {Type::any, Type::any}, [extreme](Call& c) { return extreme(c, true); });
  table.add_variadic("minf", {Type::any, Type::any}, [extreme](Call& c) { return extreme(c, false); });
  table.add("ceil", {Type::any}, [](Call& c) -> Result<Value> { return Value::of(std::ceil(to_float(c[0]))); });
  table.add("floor", {Type::any}, [](Call& c) -> Result<Value> { return Value::of(std::floor(to_float(c[0]))); });
  table.add_variadic("round", {Type::any, Type::integer, Type::float64}, round_to);
}

}  // namespace

double duration_seconds(std::int64_t nanoseconds) {
  return static_cast<double>(nanoseconds / 1'000'000'000) + static_cast<double>(nanoseconds % 1'000'000'000) / 1e9;
}

void add_number_functions(FunctionTable& table) {
  add_integers(table);
  add_floats(table);
  table.add_variadic("default", {Type::any, Type::any}, [](Call& c) -> Result<Value> {
    if (c.arguments.size() < 2) return c[0];
    const bool given = c[1].kind == Kind::time || (c[1].truth() && !c[1].is_none());
    return given ? c[1] : c[0];
  });
}

}  // namespace tocayo::logql
