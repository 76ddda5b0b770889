// SPDX-License-Identifier: Apache-2.0
// Mini-blocks: 1 to 32 float samples as a self-delimiting, byte-aligned piece of a chunk. Lossless for every bit
// pattern. Byte layout: docs/formats/metrics-segment.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/time.h"

namespace tocayo::metrics {

struct Row {
  TimestampMs time;
  double value;
  TimestampMs start = 0;
};

// What a block builds on: the last row of the block before it. Starts as all zero.
struct BlockState {
  TimestampMs time = 0;
  std::int64_t delta = 0;
  double value = 0;
  TimestampMs start = 0;
};

inline constexpr std::size_t kMaxBlockRows = 32;
inline constexpr std::size_t kMaxBlockBytes = 40 + 3 * (kMaxBlockRows * 8 + 12);

// Encodes rows (1 … 32, ascending times) and moves `state` on. Returns the bytes written to `out`, which holds
// kMaxBlockBytes.
std::size_t encode_block(std::span<const Row> rows, BlockState& state, std::uint8_t* out);

// Decodes the block at `bytes` into `out` (room for 32) and moves `state` on. Returns how many bytes it took and sets
// `count`; 0 when the bytes are no valid block.
std::size_t decode_block(std::span<const std::uint8_t> bytes, BlockState& state, Row* out, std::size_t& count);

// Little-endian base-128 integers, shared by all formats of this room.
inline std::uint64_t zigzag(std::int64_t v) {
  return (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63);
}
inline std::int64_t unzigzag(std::uint64_t v) {
  return static_cast<std::int64_t>(v >> 1) ^ -static_cast<std::int64_t>(v & 1);
}
std::size_t put_varint(std::uint8_t* out, std::uint64_t value);  // at most 10 bytes
// False at the end of the bytes or beyond 64 bits; else advances `bytes`.
bool get_varint(std::span<const std::uint8_t>& bytes, std::uint64_t& value);

}  // namespace tocayo::metrics
