// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/int_page.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "logs/segment/bytes.h"

namespace tocayo::logs {

namespace {

constexpr std::uint8_t kDelta = 0x80;  // beside the width
constexpr std::size_t kMostPatches = 255;

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
  std::size_t i = 0;
  // While eight bytes can be read at once and hold the whole value.
  if (width <= 56 && size >= 8) {
    const std::size_t safe = std::min(count, ((size - 8) * 8) / width + 1);
    for (; i < safe; ++i) {
      const std::size_t bit = i * width;
      std::uint64_t value = 0;
      std::memcpy(&value, from + bit / 8, 8);
      out[i] = value >> (bit % 8) & mask;
    }
  }
  for (; i < count; ++i) {
    const std::size_t bit = i * width;
    const std::size_t byte = bit / 8;
    const unsigned shift = bit % 8;
    std::uint64_t value = 0;
    std::memcpy(&value, from + byte, std::min<std::size_t>(8, size - byte));
    value >>= shift;
    if (shift + width > 64) value |= static_cast<std::uint64_t>(from[byte + 8]) << (64 - shift);
    out[i] = value & mask;
  }
}

// How wide to pack values that are counted from `base`: the few that are wider are patched in afterwards.
struct Packing {
  std::uint64_t base = 0;
  unsigned width = 0;
  std::size_t patches = 0;
  std::size_t bytes = 0;
};
Packing packing(std::span<const std::uint64_t> values, std::uint64_t base) {
  std::size_t of_width[65] = {};
  unsigned widest = 0;
  for (auto value : values) {
    const auto width = static_cast<unsigned>(std::bit_width(value - base));
    ++of_width[width];
    widest = std::max(widest, width);
  }
  Packing best{.base = base, .bytes = static_cast<std::size_t>(-1)};
  std::size_t wider = 0;
  for (unsigned width = widest;; --width) {
    // A patch is its distance to the one before and the bits above the width.
    std::size_t patch_bytes = 0;
    for (unsigned more = width + 1; more <= widest; ++more)
      patch_bytes += of_width[more] * (1 + (more - width + 6) / 7);
    const std::size_t bytes = (values.size() * width + 7) / 8 + patch_bytes;
    if (bytes <= best.bytes) best = {.base = base, .width = width, .patches = wider, .bytes = bytes};
    wider += of_width[width];
    if (width == 0 || wider > kMostPatches) break;
  }
  return best;
}
// A base that leaves what lies far below to the patches.
std::uint64_t usual_low(std::span<const std::uint64_t> values) {
  std::int64_t sample[32];
  const std::size_t step = (values.size() + 31) / 32;
  std::size_t count = 0;
  for (std::size_t i = 0; i < values.size(); i += step) sample[count++] = static_cast<std::int64_t>(values[i]);
  std::sort(sample, sample + count);
  return static_cast<std::uint64_t>(sample[count / 16]);
}

void put_packed(std::span<std::uint64_t> values, const Packing& how, std::string& out) {
  ByteWriter writer(out);
  writer.varint(zigzag(static_cast<std::int64_t>(how.base)));
  for (auto& value : values) value -= how.base;
  if (how.patches == 0) {
    pack(values, how.width, out);
    return;
  }
  std::string patches;
  ByteWriter patch_writer(patches);
  const std::uint64_t mask = (1ULL << how.width) - 1;  // nothing is wider than 64 bits
  std::size_t before = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] <= mask) continue;
    patch_writer.varint(i - before);
    patch_writer.varint(values[i] >> how.width);
    values[i] &= mask;
    before = i;
  }
  pack(values, how.width, out);
  out += patches;
}

void encode_frame(std::span<const std::int64_t> values, std::string& out) {
  std::uint64_t plain[kIntFrame];
  std::uint64_t steps[kIntFrame];
  const std::size_t n = values.size();
  const auto [low, high] = std::ranges::minmax(values);
  const unsigned range = std::bit_width(minus(high, low));
  for (std::size_t i = 0; i < n; ++i) plain[i] = static_cast<std::uint64_t>(values[i]);
  const std::span<std::uint64_t> plain_values(plain, n);
  Packing best = {.base = static_cast<std::uint64_t>(low), .width = range, .patches = 0, .bytes = (n * range + 7) / 8};
  bool delta = false;
  // Few bits: nothing to win by looking closer.
  if (range > 3) {
    if (range > 8) {
      if (const auto patched = packing(plain_values, usual_low(plain_values)); patched.bytes < best.bytes)
        best = patched;
    }
    if (n > 1) {
      auto step_low = static_cast<std::int64_t>(minus(values[1], values[0]));
      for (std::size_t i = 1; i < n; ++i) {
        steps[i - 1] = minus(values[i], values[i - 1]);
        step_low = std::min(step_low, static_cast<std::int64_t>(steps[i - 1]));
      }
      const std::span<const std::uint64_t> step_values(steps, n - 1);
      auto by_step = packing(step_values, static_cast<std::uint64_t>(step_low));
      if (by_step.width > 0) {
        if (const auto patched = packing(step_values, usual_low(step_values)); patched.bytes < by_step.bytes)
          by_step = patched;
      }
      if (by_step.bytes + 4 < best.bytes) {
        best = by_step;
        delta = true;
      }
    }
  }
  ByteWriter writer(out);
  writer.plain(static_cast<std::uint8_t>((delta ? kDelta : 0) | best.width));
  writer.plain(static_cast<std::uint8_t>(best.patches));
  if (delta) {
    writer.varint(zigzag(values[0]));
    put_packed({steps, n - 1}, best, out);
  } else {
    put_packed(plain_values, best, out);
  }
}

}  // namespace

void encode_ints(std::span<const std::int64_t> values, std::string& out) {
  for (std::size_t i = 0; i < values.size(); i += kIntFrame) {
    encode_frame(values.subspan(i, std::min(kIntFrame, values.size() - i)), out);
  }
}

bool decode_ints(std::string_view bytes, std::size_t count, Numbers& out) {
  out.resize(count);
  ByteReader reader(bytes);
  std::uint64_t packed[kIntFrame];
  for (std::size_t i = 0; i < count; i += kIntFrame) {
    const std::size_t n = std::min(kIntFrame, count - i);
    const auto control = reader.plain<std::uint8_t>();
    const auto patches = reader.plain<std::uint8_t>();
    const unsigned width = control & 0x7F;
    const bool delta = (control & kDelta) != 0;
    const std::int64_t first = delta ? unzigzag(reader.varint()) : 0;
    const auto base = static_cast<std::uint64_t>(unzigzag(reader.varint()));
    const std::size_t stored = delta ? n - 1 : n;
    const auto body = reader.take((stored * width + 7) / 8);
    if (!reader.ok() || width > 64) return false;
    if (width == 0) {
      std::fill_n(packed, stored, 0);
    } else {
      unpack(reinterpret_cast<const unsigned char*>(body.data()), body.size(), stored, width, packed);
    }
    std::uint64_t place = 0;
    for (unsigned k = 0; k < patches; ++k) {
      place += reader.varint();
      const auto above = reader.varint();
      if (!reader.ok() || place >= stored || width == 64) return false;
      packed[place] |= above << width;
    }
    auto* to = out.data() + i;
    if (delta) {
      auto value = static_cast<std::uint64_t>(first);
      to[0] = first;
      for (std::size_t k = 1; k < n; ++k) {
        value += base + packed[k - 1];
        to[k] = static_cast<std::int64_t>(value);
      }
    } else {
      for (std::size_t k = 0; k < n; ++k) to[k] = static_cast<std::int64_t>(base + packed[k]);
    }
  }
  return reader.ok();
}

}  // namespace tocayo::logs
