// SPDX-License-Identifier: Apache-2.0
// Private to ship: the bytes that records of both kinds are made of.
#pragma once

#include <zstd.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace tocayo::agent::record_bytes {

inline constexpr std::size_t kMaxBody = 256U << 20;

inline void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}
inline void put_signed(std::string& out, std::int64_t value) {
  put_varint(out, (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63));
}
inline void put_text(std::string& out, std::string_view text) {
  put_varint(out, text.size());
  out += text;
}
// Its size, then one zstd frame.
inline void put_body(std::string& out, std::string_view body) {
  put_varint(out, body.size());
  const std::size_t head = out.size();
  out.resize(head + ZSTD_compressBound(body.size()));
  const std::size_t packed = ZSTD_compress(out.data() + head, out.size() - head, body.data(), body.size(), 1);
  out.resize(ZSTD_isError(packed) != 0 ? head : head + packed);  // cannot fail with a buffer of the bound's size
}

// Distances of times, which wrap around.
inline std::int64_t minus(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}
inline std::int64_t plus(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

// Reads past the end set `failed` and give zeros; callers look once in a while.
struct Input {
  std::string_view rest;
  bool failed = false;

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest.front());
      rest.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    failed = true;
    return 0;
  }
  std::int64_t signed_varint() {
    const std::uint64_t value = varint();
    return static_cast<std::int64_t>((value >> 1) ^ (~(value & 1) + 1));
  }
  std::string_view take(std::uint64_t size) {
    if (size > rest.size()) {
      failed = true;
      rest = {};
      return {};
    }
    const std::string_view bytes = rest.substr(0, size);
    rest.remove_prefix(size);
    return bytes;
  }
  std::string_view text() { return take(varint()); }
  // A count of things that take at least `least` bytes each: a damaged one cannot make us allocate more than there are
  // bytes.
  std::uint32_t count(std::size_t least = 1) {
    const std::uint64_t value = varint();
    if (value > rest.size() / least || value > std::numeric_limits<std::uint32_t>::max()) {
      failed = true;
      return 0;
    }
    return static_cast<std::uint32_t>(value);
  }
};

}  // namespace tocayo::agent::record_bytes
