// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/int_page.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "logs/segment/bytes.h"

namespace tocayo::logs {

namespace {

constexpr std::uint8_t kDelta = 0x80;  // beside the width

std::uint64_t minus(std::int64_t a, std::int64_t b) {
  return static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b);
}

void pack(std::span<const std::uint64_t> values, unsigned width, std::string& out) {
  if (width == 0) return;
  const std::size_t at = out.size();
  out.resize(at + (values.size() * width + 7) / 8);
  auto* to = reinterpret_cast<unsigned char*>(out.data()) + at;
  std::uint64_t held = 0;
  unsigned bits = 0;
  for (std::uint64_t value : values) {
    held |= value << bits;
    if (bits + width >= 64) {
      std::memcpy(to, &held, 8);
      to += 8;
      const unsigned taken = 64 - bits;
      held = taken < 64 ? value >> taken : 0;
      bits = width - taken;
    } else {
      bits += width;
    }
  }
  std::memcpy(to, &held, (bits + 7) / 8);
}

void unpack(const unsigned char* from, std::size_t size, std::size_t count, unsigned width, std::uint64_t* out) {
  const std::uint64_t mask = width == 64 ? ~0ULL : (1ULL << width) - 1;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t bit = i * width;
    const std::size_t byte = bit / 8;
    const unsigned shift = bit % 8;
    std::uint64_t value = 0;
    if (byte + 8 <= size) {
      std::memcpy(&value, from + byte, 8);
    } else {
      std::memcpy(&value, from + byte, size - byte);
    }
    value >>= shift;
    if (shift + width > 64) value |= static_cast<std::uint64_t>(from[byte + 8]) << (64 - shift);
    out[i] = value & mask;
  }
}

void encode_frame(std::span<const std::int64_t> values, std::string& out) {
  const auto [low, high] = std::ranges::minmax(values);
  const unsigned plain_width = std::bit_width(minus(high, low));
  std::uint64_t widest = 0;
  for (std::size_t i = 1; i < values.size(); ++i) {
    widest |= zigzag(static_cast<std::int64_t>(minus(values[i], values[i - 1])));
  }
  const unsigned delta_width = std::bit_width(widest);
  std::uint64_t packed[kIntFrame];
  ByteWriter writer(out);
  if (delta_width < plain_width) {
    writer.plain(static_cast<std::uint8_t>(kDelta | delta_width));
    writer.varint(zigzag(values[0]));
    for (std::size_t i = 1; i < values.size(); ++i) {
      packed[i - 1] = zigzag(static_cast<std::int64_t>(minus(values[i], values[i - 1])));
    }
    pack({packed, values.size() - 1}, delta_width, out);
    return;
  }
  writer.plain(static_cast<std::uint8_t>(plain_width));
  writer.varint(zigzag(low));
  for (std::size_t i = 0; i < values.size(); ++i) packed[i] = minus(values[i], low);
  pack({packed, values.size()}, plain_width, out);
}

}  // namespace

void encode_ints(std::span<const std::int64_t> values, std::string& out) {
  for (std::size_t i = 0; i < values.size(); i += kIntFrame) {
    encode_frame(values.subspan(i, std::min(kIntFrame, values.size() - i)), out);
  }
}

bool decode_ints(std::string_view bytes, std::size_t count, std::vector<std::int64_t>& out) {
  out.resize(count);
  ByteReader reader(bytes);
  std::uint64_t packed[kIntFrame];
  for (std::size_t i = 0; i < count; i += kIntFrame) {
    const std::size_t n = std::min(kIntFrame, count - i);
    const auto control = reader.plain<std::uint8_t>();
    const unsigned width = control & 0x7F;
    const std::int64_t base = unzigzag(reader.varint());
    const bool delta = (control & kDelta) != 0;
    const std::size_t stored = delta ? n - 1 : n;
    const auto body = reader.take((stored * width + 7) / 8);
    if (!reader.ok() || width > 64) return false;
    if (width == 0) {
      std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(i), n, base);
      continue;
    }
    unpack(reinterpret_cast<const unsigned char*>(body.data()), body.size(), stored, width, packed);
    if (delta) {
      auto value = static_cast<std::uint64_t>(base);
      out[i] = base;
      for (std::size_t k = 1; k < n; ++k) {
        value += static_cast<std::uint64_t>(unzigzag(packed[k - 1]));
        out[i + k] = static_cast<std::int64_t>(value);
      }
    } else {
      for (std::size_t k = 0; k < n; ++k) {
        out[i + k] = static_cast<std::int64_t>(static_cast<std::uint64_t>(base) + packed[k]);
      }
    }
  }
  return reader.ok();
}

}  // namespace tocayo::logs
