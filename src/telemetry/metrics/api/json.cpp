// SPDX-License-Identifier: Apache-2.0
#include "metrics/api/json.h"

#include <cmath>
#include <cstring>

#include "core/utf8.h"

namespace tocayo::metrics::api {

namespace {

// Shortest digits and decimal exponent: value = d.ddd × 10^exponent.
struct Digits {
  char text[20];
  int count;
  int exponent;
  bool negative;
};

Digits shortest_digits(double value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  Digits digits{};
  const char* at = buffer;
  if (*at == '-') {
    digits.negative = true;
    ++at;
  }
  for (; at != end && *at != 'e'; ++at) {
    if (*at != '.') digits.text[digits.count++] = *at;
  }
  ++at;  // 'e'
  if (*at == '+') ++at;
  std::from_chars(at, end, digits.exponent);
  return digits;
}

// std::to_chars writes big doubles in fixed notation with all their digits; Go pads the shortest digits with zeros.
void append_fixed(std::string& out, const Digits& digits) {
  if (digits.negative) out.push_back('-');
  const int point = digits.exponent + 1;  // digits before the point
  if (point <= 0) {
    out.append("0.");
    out.append(static_cast<std::size_t>(-point), '0');
    out.append(digits.text, static_cast<std::size_t>(digits.count));
    return;
  }
  if (digits.count <= point) {
    out.append(digits.text, static_cast<std::size_t>(digits.count));
    out.append(static_cast<std::size_t>(point - digits.count), '0');
    return;
  }
  out.append(digits.text, static_cast<std::size_t>(point));
  out.push_back('.');
  out.append(digits.text + point, static_cast<std::size_t>(digits.count - point));
}

template <typename T>
void append_integer(std::string& out, T value) {
  char buffer[24];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  out.append(buffer, end);
}

constexpr bool needs_escape(unsigned char c) { return c < 0x20 || c == '"' || c == '\\' || c >= 0x80; }

void append_escaped(std::string& out, unsigned char c) {
  static constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"': out.append("\\\""); break;
    case '\\': out.append("\\\\"); break;
    case '\n': out.append("\\n"); break;
    case '\r': out.append("\\r"); break;
    case '\t': out.append("\\t"); break;
    default:
      out.append("\\u00");
      out.push_back(kHex[c >> 4]);
      out.push_back(kHex[c & 15]);
  }
}

}  // namespace

void append_float(std::string& out, double value) {
  if (std::isnan(value)) return void(out.append("NaN"));
  if (std::isinf(value)) return void(out.append(value > 0 ? "+Inf" : "-Inf"));
  const double magnitude = std::fabs(value);
  if (magnitude < 9007199254740992.0 && value == std::trunc(value) && (value != 0 || !std::signbit(value))) {
    return append_integer(out, static_cast<std::int64_t>(value));  // most samples are whole numbers
  }
  if (magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21)) {
    char buffer[32];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
    return void(out.append(buffer, end));
  }
  append_fixed(out, shortest_digits(value));
}

void append_timestamp(std::string& out, TimestampMs time) {
  // The magnitude of the smallest integer has no signed form.
  const std::uint64_t magnitude = time < 0 ? 0 - static_cast<std::uint64_t>(time) : static_cast<std::uint64_t>(time);
  if (time < 0) out.push_back('-');
  append_integer(out, magnitude / 1000);
  const auto fraction = static_cast<unsigned>(magnitude % 1000);
  if (fraction == 0) return;
  out.push_back('.');
  out.push_back(static_cast<char>('0' + fraction / 100));
  out.push_back(static_cast<char>('0' + fraction / 10 % 10));
  out.push_back(static_cast<char>('0' + fraction % 10));
}

void append_json_string(std::string& out, std::string_view text) {
  out.push_back('"');
  std::size_t start = 0;
  std::size_t i = 0;
  while (i < text.size()) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (!needs_escape(c)) {
      ++i;
      continue;
    }
    if (c >= 0x80) {
      const utf8::Rune rune = utf8::decode(text.substr(i));
      if (rune.valid) {
        i += rune.size;
        continue;
      }
      out.append(text.substr(start, i - start));
      out.append("\\ufffd");
    } else {
      out.append(text.substr(start, i - start));
      append_escaped(out, c);
    }
    start = ++i;
  }
  out.append(text.substr(start));
  out.push_back('"');
}

void JsonWriter::integer(std::int64_t value) { append_integer(out_, value); }
void JsonWriter::unsigned_integer(std::uint64_t value) { append_integer(out_, value); }

void JsonWriter::labels(const Labels& labels) {
  out_.push_back('{');
  bool first = true;
  for (const Label& label : labels) {
    if (!first) out_.push_back(',');
    first = false;
    string(label.name);
    out_.push_back(':');
    string(label.value);
  }
  out_.push_back('}');
}

void JsonWriter::histogram(const FloatHistogram& histogram) {
  out_.append("{\"count\":");
  value(histogram.count);
  out_.append(",\"sum\":");
  value(histogram.sum);
  bool any = false;
  BucketCursor cursor(histogram, BucketCursor::Order::ascending);
  while (cursor.next()) {
    const Bucket& bucket = cursor.bucket();
    if (bucket.count == 0) continue;
    out_.append(any ? "," : ",\"buckets\":[");
    any = true;
    // 0 lower open, 1 upper open, 2 both open, 3 both closed.
    const char rule =
        bucket.lower_inclusive ? (bucket.upper_inclusive ? '3' : '1') : (bucket.upper_inclusive ? '0' : '2');
    out_.push_back('[');
    out_.push_back(rule);
    out_.push_back(',');
    value(bucket.lower);
    out_.push_back(',');
    value(bucket.upper);
    out_.push_back(',');
    value(bucket.count);
    out_.push_back(']');
  }
  if (any) out_.push_back(']');
  out_.push_back('}');
}

void JsonWriter::point(TimestampMs time, double sample) {
  out_.push_back('[');
  timestamp(time);
  out_.push_back(',');
  value(sample);
  out_.push_back(']');
}

void JsonWriter::point(TimestampMs time, const FloatHistogram& sample) {
  out_.push_back('[');
  timestamp(time);
  out_.push_back(',');
  histogram(sample);
  out_.push_back(']');
}

}  // namespace tocayo::metrics::api
