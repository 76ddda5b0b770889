// SPDX-License-Identifier: Apache-2.0
#include "metrics/codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace tocayo::metrics {
namespace {

enum Codec : std::uint8_t { kSame = 0, kConst = 1, kInt = 2, kDecimal = 3, kXor = 4, kRaw = 5 };

constexpr std::uint8_t kHasStart = 0x80;
constexpr unsigned kSeeded = 65;  // + width: the first row stands by itself before the columns
constexpr unsigned kMaxSeededWidth = 62;
constexpr double kMaxExactInt = 9007199254740992.0;  // 2^53
constexpr int kMaxExponent = 12;
constexpr double kPowersOfTen[kMaxExponent + 1] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12};

std::uint64_t bits_of(double v) { return std::bit_cast<std::uint64_t>(v); }

unsigned width_of(std::uint64_t v) { return 64U - static_cast<unsigned>(std::countl_zero(v)); }

std::size_t packed_size(std::size_t count, unsigned width) { return (count * width + 7) / 8; }

std::size_t pack(const std::uint64_t* values, std::size_t count, unsigned width, std::uint8_t* out) {
  unsigned __int128 pending = 0;
  unsigned filled = 0;
  std::uint8_t* p = out;
  for (std::size_t i = 0; i < count; ++i) {
    pending |= static_cast<unsigned __int128>(values[i]) << filled;
    for (filled += width; filled >= 8; filled -= 8, pending >>= 8) *p++ = static_cast<std::uint8_t>(pending);
  }
  if (filled > 0) *p++ = static_cast<std::uint8_t>(pending);
  return static_cast<std::size_t>(p - out);
}

void unpack(const std::uint8_t* in, std::size_t count, unsigned width, std::uint64_t* out) {
  if (width == 0) {
    std::memset(out, 0, count * sizeof *out);
    return;
  }
  const std::uint64_t mask = width == 64 ? ~0ULL : (1ULL << width) - 1;
  unsigned __int128 pending = 0;
  unsigned filled = 0;
  for (std::size_t i = 0; i < count; ++i) {
    for (; filled < width; filled += 8) pending |= static_cast<unsigned __int128>(*in++) << filled;
    out[i] = static_cast<std::uint64_t>(pending) & mask;
    pending >>= width;
    filled -= width;
  }
}

// The value as an integer that gives the same bits back when divided by `scale`.
bool to_scaled(double value, double scale, std::int64_t& out) {
  const double scaled = value * scale;
  if (!(std::fabs(scaled) < kMaxExactInt)) return false;
  const double rounded = std::nearbyint(scaled);
  out = static_cast<std::int64_t>(rounded);
  return bits_of(static_cast<double>(out) / scale) == bits_of(value);
}

std::int64_t scaled_or_zero(double value, double scale) {
  std::int64_t out;
  return to_scaled(value, scale, out) ? out : 0;
}

bool try_scaled(std::span<const Row> rows, double scale, std::int64_t* out) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!to_scaled(rows[i].value, scale, out[i])) return false;
  }
  return true;
}

// The exponent at which all values are integers, or -1.
int find_exponent(std::span<const Row> rows, std::int64_t* out) {
  if (try_scaled(rows, 1, out)) return 0;
  for (const Row& row : rows) {
    if (!std::isfinite(row.value) || bits_of(row.value) == bits_of(-0.0)) return -1;
  }
  for (int e = 1; e <= kMaxExponent; ++e) {
    std::int64_t probe;
    if (!to_scaled(rows.back().value, kPowersOfTen[e], probe)) continue;
    if (try_scaled(rows, kPowersOfTen[e], out)) return e;
  }
  return -1;
}

// base (zigzag varint), width, packed differences to the base.
std::size_t encode_deltas(const std::int64_t* ints, std::size_t count, std::int64_t previous, std::uint8_t* out) {
  std::int64_t deltas[kMaxBlockRows];
  std::int64_t base = INT64_MAX;
  for (std::size_t i = 0; i < count; ++i) {
    deltas[i] = ints[i] - previous;
    previous = ints[i];
    base = std::min(base, deltas[i]);
  }
  std::uint64_t packed[kMaxBlockRows];
  std::uint64_t all = 0;
  for (std::size_t i = 0; i < count; ++i) all |= packed[i] = static_cast<std::uint64_t>(deltas[i] - base);
  std::uint8_t* p = out;
  p += put_varint(p, zigzag(base));
  const unsigned width = width_of(all);
  *p++ = static_cast<std::uint8_t>(width);
  p += pack(packed, count, width, p);
  return static_cast<std::size_t>(p - out);
}

std::size_t encode_xor(std::span<const Row> rows, double previous, std::uint8_t* out) {
  std::uint64_t packed[kMaxBlockRows];
  std::uint64_t all = 0;
  std::uint64_t last = bits_of(previous);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    all |= packed[i] = bits_of(rows[i].value) ^ last;
    last = bits_of(rows[i].value);
  }
  const unsigned zeros = all == 0 ? 0 : static_cast<unsigned>(std::countr_zero(all));
  for (std::size_t i = 0; i < rows.size(); ++i) packed[i] >>= zeros;
  const unsigned width = width_of(all >> zeros);
  out[0] = static_cast<std::uint8_t>(zeros);
  out[1] = static_cast<std::uint8_t>(width);
  return 2 + pack(packed, rows.size(), width, out + 2);
}

std::uint8_t encode_values(std::span<const Row> rows, double previous, std::uint8_t*& p) {
  const std::uint64_t first = bits_of(rows[0].value);
  bool equal = true;
  for (const Row& row : rows) equal = equal && bits_of(row.value) == first;
  if (equal && first == bits_of(previous)) return kSame;
  std::int64_t ints[kMaxBlockRows];
  const int exponent = find_exponent(rows, ints);
  if (exponent >= 0) {
    if (exponent > 0) *p++ = static_cast<std::uint8_t>(exponent);
    p += encode_deltas(ints, rows.size(), scaled_or_zero(previous, kPowersOfTen[exponent]), p);
    return exponent > 0 ? kDecimal : kInt;
  }
  if (equal) {
    std::memcpy(p, &first, 8);
    p += 8;
    return kConst;
  }
  p += encode_xor(rows, previous, p);
  return kXor;
}

bool decode_deltas(std::span<const std::uint8_t>& in, std::size_t count, double scale, double previous, Row* out) {
  std::uint64_t base;
  if (!get_varint(in, base) || in.empty()) return false;
  const unsigned width = in[0];
  if (width > 64) return false;
  const std::size_t size = packed_size(count, width);
  if (in.size() < 1 + size) return false;
  std::uint64_t packed[kMaxBlockRows];
  unpack(in.data() + 1, count, width, packed);
  in = in.subspan(1 + size);
  // Unsigned: damaged bytes must not overflow.
  auto value = static_cast<std::uint64_t>(scaled_or_zero(previous, scale));
  const auto step = static_cast<std::uint64_t>(unzigzag(base));
  for (std::size_t i = 0; i < count; ++i) {
    value += step + packed[i];
    out[i].value = static_cast<double>(static_cast<std::int64_t>(value)) / scale;
  }
  return true;
}

bool decode_values(std::uint8_t codec, std::span<const std::uint8_t>& in, std::size_t count, double previous,
                   Row* out) {
  switch (codec) {
    case kSame:
      for (std::size_t i = 0; i < count; ++i) out[i].value = previous;
      return true;
    case kConst: {
      if (in.size() < 8) return false;
      double value;
      std::memcpy(&value, in.data(), 8);
      for (std::size_t i = 0; i < count; ++i) out[i].value = value;
      in = in.subspan(8);
      return true;
    }
    case kInt: return decode_deltas(in, count, 1, previous, out);
    case kDecimal: {
      if (in.empty() || in[0] > kMaxExponent) return false;
      const double scale = kPowersOfTen[in[0]];
      in = in.subspan(1);
      return decode_deltas(in, count, scale, previous, out);
    }
    case kXor: {
      if (in.size() < 2) return false;
      const unsigned zeros = in[0];
      const unsigned width = in[1];
      const std::size_t size = packed_size(count, width);
      if (zeros > 63 || width + zeros > 64 || in.size() < 2 + size) return false;
      std::uint64_t packed[kMaxBlockRows];
      unpack(in.data() + 2, count, width, packed);
      std::uint64_t bits = bits_of(previous);
      for (std::size_t i = 0; i < count; ++i) {
        bits ^= packed[i] << zeros;
        out[i].value = std::bit_cast<double>(bits);
      }
      in = in.subspan(2 + size);
      return true;
    }
    case kRaw:
      if (in.size() < 8 * count) return false;
      for (std::size_t i = 0; i < count; ++i) std::memcpy(&out[i].value, in.data() + 8 * i, 8);
      in = in.subspan(8 * count);
      return true;
    default: return false;
  }
}

}  // namespace

std::size_t put_varint(std::uint8_t* out, std::uint64_t value) {
  std::size_t n = 0;
  for (; value >= 0x80; value >>= 7) out[n++] = static_cast<std::uint8_t>(value | 0x80);
  out[n++] = static_cast<std::uint8_t>(value);
  return n;
}

bool get_varint(std::span<const std::uint8_t>& bytes, std::uint64_t& value) {
  value = 0;
  for (std::size_t i = 0; i < bytes.size() && i < 10; ++i) {
    const std::uint8_t byte = bytes[i];
    if (i == 9 && byte > 1) return false;
    value |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * i);
    if ((byte & 0x80) == 0) {
      bytes = bytes.subspan(i + 1);
      return true;
    }
  }
  return false;
}

namespace {

// Differences of differences of the times, zigzag; returns all of them or-ed. They wrap as unsigned: times may lie at
// both ends of the range.
std::uint64_t time_steps(std::span<const Row> rows, BlockState& state, std::uint64_t* out) {
  std::uint64_t all = 0;
  auto time = static_cast<std::uint64_t>(state.time);
  auto delta = static_cast<std::uint64_t>(state.delta);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::uint64_t next = static_cast<std::uint64_t>(rows[i].time) - time;
    all |= out[i] = zigzag(static_cast<std::int64_t>(next - delta));
    delta = next;
    time = static_cast<std::uint64_t>(rows[i].time);
  }
  state.time = rows.back().time;
  state.delta = static_cast<std::int64_t>(delta);
  return all;
}

// The first row by itself, so that a start or a gap does not widen the columns of the rows behind it.
std::uint8_t* put_seed(std::span<const Row> rows, BlockState& state, std::uint8_t* p) {
  auto difference = [](TimestampMs a, TimestampMs b) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
  };
  p += put_varint(p, zigzag(difference(rows[0].time, state.time)));
  state.delta = rows.size() > 1 ? difference(rows[1].time, rows[0].time) : 0;
  p += put_varint(p, zigzag(state.delta));
  std::int64_t integer = 0;
  if (to_scaled(rows[0].value, 1, integer)) {
    *p++ = 0;
    p += put_varint(p, zigzag(integer));
  } else {
    *p++ = 1;
    std::memcpy(p, &rows[0].value, 8);
    p += 8;
  }
  state.time = rows[0].time;
  state.value = rows[0].value;
  return p;
}

bool get_seed(std::span<const std::uint8_t>& in, BlockState& state, Row& row) {
  std::uint64_t time = 0;
  std::uint64_t delta = 0;
  if (!get_varint(in, time) || !get_varint(in, delta) || in.empty()) return false;
  const std::uint8_t tag = in[0];
  in = in.subspan(1);
  if (tag == 0) {
    std::uint64_t integer = 0;
    if (!get_varint(in, integer)) return false;
    row.value = static_cast<double>(unzigzag(integer));
  } else {
    if (tag != 1 || in.size() < 8) return false;
    std::memcpy(&row.value, in.data(), 8);
    in = in.subspan(8);
  }
  row.time =
      static_cast<TimestampMs>(static_cast<std::uint64_t>(state.time) + static_cast<std::uint64_t>(unzigzag(time)));
  row.start = 0;
  state.time = row.time;
  state.delta = unzigzag(delta);
  state.value = row.value;
  return true;
}

}  // namespace

std::size_t encode_block(std::span<const Row> rows, BlockState& state, std::uint8_t* out) {
  std::uint8_t* p = out + 2;
  std::uint64_t packed[kMaxBlockRows];
  BlockState after = state;
  unsigned width = width_of(time_steps(rows, after, packed));
  std::span<const Row> rest = rows;
  unsigned mark = width;
  if (width > 20) {
    BlockState seeded = state;
    std::uint8_t* behind_seed = put_seed(rows, seeded, p);
    BlockState seeded_after = seeded;
    const unsigned narrow = rows.size() > 1 ? width_of(time_steps(rows.subspan(1), seeded_after, packed)) : 0;
    if (narrow <= kMaxSeededWidth) {
      p = behind_seed;
      rest = rows.subspan(1);
      state = seeded;
      after = seeded_after;
      width = narrow;
      mark = kSeeded + narrow;
    } else {
      after = state;
      time_steps(rows, after, packed);
    }
  }
  if (width > 0 && !rest.empty()) p += pack(packed, rest.size(), width, p);
  const std::uint8_t codec = rest.empty() ? std::uint8_t{kSame} : encode_values(rest, state.value, p);
  const bool has_start = std::any_of(rows.begin(), rows.end(), [](const Row& row) { return row.start != 0; });
  out[0] = static_cast<std::uint8_t>(codec | ((rows.size() - 1) << 3));
  out[1] = static_cast<std::uint8_t>(mark | (has_start ? kHasStart : 0));
  if (has_start) {
    std::uint64_t all = 0;
    auto start = static_cast<std::uint64_t>(state.start);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      all |= packed[i] = zigzag(static_cast<std::int64_t>(static_cast<std::uint64_t>(rows[i].start) - start));
      start = static_cast<std::uint64_t>(rows[i].start);
    }
    width = width_of(all);
    *p++ = static_cast<std::uint8_t>(width);
    p += pack(packed, rows.size(), width, p);
    after.start = rows.back().start;
  }
  after.value = rows.back().value;
  state = after;
  return static_cast<std::size_t>(p - out);
}

std::size_t decode_block(std::span<const std::uint8_t> bytes, BlockState& state, Row* out, std::size_t& count) {
  if (bytes.size() < 2) return 0;
  const std::uint8_t codec = bytes[0] & 7;
  count = static_cast<std::size_t>(bytes[0] >> 3) + 1;
  unsigned width = bytes[1] & 0x7f;
  const bool has_start = (bytes[1] & kHasStart) != 0;
  std::span<const std::uint8_t> in = bytes.subspan(2);
  std::size_t done = 0;
  if (width >= kSeeded) {
    width -= kSeeded;
    if (!get_seed(in, state, out[0])) return 0;
    done = 1;
  }
  const std::size_t rest = count - done;
  std::size_t size = packed_size(rest, width);
  if (width > 64 || in.size() < size) return 0;
  std::uint64_t packed[kMaxBlockRows];
  unpack(in.data(), rest, width, packed);
  in = in.subspan(size);
  auto time = static_cast<std::uint64_t>(state.time);
  auto delta = static_cast<std::uint64_t>(state.delta);
  for (std::size_t i = 0; i < rest; ++i) {
    delta += static_cast<std::uint64_t>(unzigzag(packed[i]));
    time += delta;
    out[done + i].time = static_cast<TimestampMs>(time);
    out[done + i].start = 0;
  }
  if (rest > 0 && !decode_values(codec, in, rest, state.value, out + done)) return 0;
  if (has_start) {
    if (in.empty()) return 0;
    width = in[0];
    size = packed_size(count, width);
    if (width > 64 || in.size() < 1 + size) return 0;
    unpack(in.data() + 1, count, width, packed);
    in = in.subspan(1 + size);
    auto start = static_cast<std::uint64_t>(state.start);
    for (std::size_t i = 0; i < count; ++i) {
      start += static_cast<std::uint64_t>(unzigzag(packed[i]));
      out[i].start = static_cast<TimestampMs>(start);
    }
    state.start = out[count - 1].start;
  }
  state.time = out[count - 1].time;
  state.delta = static_cast<std::int64_t>(delta);
  state.value = out[count - 1].value;
  return bytes.size() - in.size();
}

}  // namespace tocayo::metrics
