// SPDX-License-Identifier: Apache-2.0
#include "logql/pipeline/ip_filter.h"

#include <array>
#include <charconv>

#include "core/labels.h"

namespace tocayo::logql {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

std::optional<std::uint32_t> parse_v4(std::string_view text) {
  std::uint32_t address = 0;
  for (int part = 0; part < 4; ++part) {
    std::size_t n = 0;
    unsigned value = 0;
    while (n < text.size() && is_digit(text[n])) {
      if (n > 0 && value == 0) return std::nullopt;  // leading zero
      value = value * 10 + (text[n++] - '0');
      if (value > 255) return std::nullopt;
    }
    if (n == 0) return std::nullopt;
    text.remove_prefix(n);
    address = address << 8 | value;
    if (part < 3) {
      if (text.empty() || text[0] != '.') return std::nullopt;
      text.remove_prefix(1);
    }
  }
  if (!text.empty()) return std::nullopt;
  return address;
}

std::optional<unsigned __int128> parse_v6(std::string_view text) {
  std::array<std::uint16_t, 8> groups{};
  std::size_t count = 0;
  std::optional<std::size_t> gap;
  if (text.starts_with("::")) {
    gap = 0;
    text.remove_prefix(2);
    if (text.empty()) return 0;
  }
  while (count < 8) {
    std::size_t n = 0;
    while (n < text.size() && is_hex(text[n])) ++n;
    if (n == 0 || n > 4) return std::nullopt;
    if (n < text.size() && text[n] == '.') {  // ends in an IPv4 address
      if (!gap && count != 6) return std::nullopt;
      if (count > 6) return std::nullopt;
      const auto tail = parse_v4(text);
      if (!tail) return std::nullopt;
      groups[count++] = static_cast<std::uint16_t>(*tail >> 16);
      groups[count++] = static_cast<std::uint16_t>(*tail);
      text = {};
      break;
    }
    std::uint32_t value = 0;
    std::from_chars(text.data(), text.data() + n, value, 16);
    groups[count++] = static_cast<std::uint16_t>(value);
    text.remove_prefix(n);
    if (text.empty()) break;
    if (text[0] != ':' || text.size() == 1) return std::nullopt;
    text.remove_prefix(1);
    if (text[0] == ':') {
      if (gap) return std::nullopt;
      gap = count;
      text.remove_prefix(1);
      if (text.empty()) break;
    }
  }
  if (!text.empty() || (count < 8 && !gap) || (count == 8 && gap)) return std::nullopt;
  unsigned __int128 address = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    std::uint16_t group = 0;
    if (!gap || i < *gap) {
      group = groups[i];
    } else if (i >= 8 - (count - *gap)) {
      group = groups[i - (8 - count)];
    }
    address = address << 16 | group;
  }
  return address;
}

}  // namespace

std::optional<IpAddress> parse_ip(std::string_view text) {
  for (const char c : text) {
    if (c == '.') {
      const auto address = parse_v4(text);
      if (!address) return std::nullopt;
      return IpAddress{true, *address};
    }
    if (c == ':') {
      const auto address = parse_v6(text);
      if (!address) return std::nullopt;
      return IpAddress{false, *address};
    }
  }
  return std::nullopt;
}

Result<IpFilter> IpFilter::create(std::string_view pattern) {
  const auto invalid = [pattern] { return fail(ErrorKind::bad_input, "ip: invalid pattern: " + go_quote(pattern)); };
  IpFilter filter;
  if (const auto single = parse_ip(pattern)) {
    filter.first_ = filter.last_ = *single;
    return filter;
  }
  if (const auto slash = pattern.rfind('/'); slash != std::string_view::npos) {
    const auto address = parse_ip(pattern.substr(0, slash));
    const std::string_view digits = pattern.substr(slash + 1);
    unsigned bits = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    const unsigned width = address && address->v4 ? 32 : 128;
    if (!address || digits.empty() || digits.size() > 3 || parsed.ec != std::errc() ||
        parsed.ptr != digits.data() + digits.size() || bits > width || (digits.size() > 1 && digits[0] == '0')) {
      return invalid();
    }
    const unsigned __int128 all = width == 32 ? 0xFFFFFFFFU : ~static_cast<unsigned __int128>(0);
    const unsigned __int128 host = bits == width ? 0 : all >> bits;
    filter.first_ = {address->v4, address->bits & ~host};
    filter.last_ = {address->v4, (address->bits & ~host) | host};
    return filter;
  }
  const auto dash = pattern.find('-');
  if (dash == std::string_view::npos) return invalid();
  const auto first = parse_ip(pattern.substr(0, dash));
  const auto last = parse_ip(pattern.substr(dash + 1));
  if (!first || !last || first->v4 != last->v4 || first->bits > last->bits) return invalid();
  filter.first_ = *first;
  filter.last_ = *last;
  return filter;
}

bool IpFilter::found_in(std::string_view text) const {
  const std::size_t n = text.size();
  const auto at = [&](std::size_t i) { return i < n ? text[i] : '\0'; };
  for (std::size_t i = 0; i < n; ++i) {
    const char c = text[i];
    if (!is_hex(c) && c != ':') continue;
    const bool v4 = i + 3 < n && is_digit(c) && (text[i + 1] == '.' || text[i + 2] == '.' || text[i + 3] == '.');
    bool v6 = false;
    if (!v4) {
      if (c == ':') {
        v6 = at(i + 1) == ':' && is_hex(at(i + 2));
      } else {
        std::size_t digits = 1;
        while (digits < 4 && is_hex(at(i + digits))) ++digits;
        v6 = at(i + digits) == ':';
      }
    }
    if (!v4 && !v6) continue;
    std::size_t length = 0;
    while (i + length < n && (text[i + length] == '.' || is_digit(text[i + length]) ||
                              (v6 && (text[i + length] == ':' || is_hex(text[i + length]))))) {
      ++length;
    }
    const auto address = parse_ip(text.substr(i, length));
    if (address && contains(*address)) return true;
    i += length;
  }
  return false;
}

}  // namespace tocayo::logql
