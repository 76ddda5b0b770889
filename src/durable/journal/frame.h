// SPDX-License-Identifier: Apache-2.0
// The bytes of a journal segment: a 16-byte segment header, then frames. Specified in docs/formats/journal.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tocayo::journal {

inline constexpr std::string_view kSegmentMagic = "TCJ1";
inline constexpr std::size_t kSegmentHeaderSize = 16;  // magic, version u32, position of the first frame u64
inline constexpr std::uint32_t kSegmentVersion = 1;
inline constexpr std::size_t kFrameHeaderSize =
    16;  // marker u16, kind u8, reserved u8, length u32, position low u32, crc32c u32
inline constexpr std::uint16_t kFrameMarker = 0xC71A;
inline constexpr std::size_t kMaxRecordSize = 256U << 20;

std::string encode_segment_header(std::uint64_t first_position);
// False when the bytes are no header of a version this program knows.
bool decode_segment_header(std::string_view bytes, std::uint64_t& first_position);

// Appends one frame to `out`. `position` is the journal position of the frame's first byte; its low half goes into the
// frame, so that a frame left over from other data is never taken for one of this place.
void append_frame(std::string& out, std::uint8_t kind, std::string_view payload, std::uint64_t position);

enum class FrameState : unsigned char { valid, torn, corrupt };
struct FrameView {
  FrameState state = FrameState::corrupt;
  std::uint8_t kind = 0;
  std::string_view payload;
  std::size_t size = 0;  // whole frame; only for valid
};
// Judges the frame that should begin at bytes[0], at journal position `position`. `torn`: the bytes end before the
// frame does and what is there is plausible.
FrameView decode_frame(std::string_view bytes, std::uint64_t position);

// Offset of the next valid frame at or after `from`, or bytes.size() when there is none. `base` is the position of
// bytes[0].
std::size_t find_frame(std::string_view bytes, std::size_t from, std::uint64_t base);

}  // namespace tocayo::journal
