// SPDX-License-Identifier: Apache-2.0
#include "journal/frame.h"

#include <cstring>

#include "core/hash.h"

namespace tocayo::journal {
namespace {

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <typename T>
T get(const char* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

}  // namespace

std::string encode_segment_header(std::uint64_t first_position) {
  std::string out(kSegmentMagic);
  put(out, kSegmentVersion);
  put(out, first_position);
  return out;
}

bool decode_segment_header(std::string_view bytes, std::uint64_t& first_position) {
  if (bytes.size() < kSegmentHeaderSize || bytes.substr(0, 4) != kSegmentMagic) return false;
  if (get<std::uint32_t>(bytes.data() + 4) != kSegmentVersion) return false;
  first_position = get<std::uint64_t>(bytes.data() + 8);
  return true;
}

// The checksum covers everything of the header but itself, and the payload.
void append_frame(std::string& out, std::uint8_t kind, std::string_view payload, std::uint64_t position) {
  const std::size_t at = out.size();
  put(out, kFrameMarker);
  put(out, kind);
  put(out, std::uint8_t{0});
  put(out, static_cast<std::uint32_t>(payload.size()));
  put(out, static_cast<std::uint32_t>(position));
  std::uint32_t crc = crc32c(std::string_view(out).substr(at));
  crc = crc32c(payload, crc);
  put(out, crc);
  out.append(payload);
}

FrameView decode_frame(std::string_view bytes, std::uint64_t position) {
  FrameView frame;
  if (bytes.size() < 2) {
    frame.state = FrameState::torn;
    return frame;
  }
  if (get<std::uint16_t>(bytes.data()) != kFrameMarker) return frame;
  if (bytes.size() < kFrameHeaderSize) {
    frame.state = FrameState::torn;
    return frame;
  }
  const auto length = get<std::uint32_t>(bytes.data() + 4);
  if (length > kMaxRecordSize || get<std::uint32_t>(bytes.data() + 8) != static_cast<std::uint32_t>(position))
    return frame;
  if (bytes.size() < kFrameHeaderSize + length) {
    frame.state = FrameState::torn;
    return frame;
  }
  std::string_view payload = bytes.substr(kFrameHeaderSize, length);
  std::uint32_t crc = crc32c(payload, crc32c(bytes.substr(0, 12)));
  if (crc != get<std::uint32_t>(bytes.data() + 12)) return frame;
  frame.state = FrameState::valid;
  frame.kind = static_cast<std::uint8_t>(bytes[2]);
  frame.payload = payload;
  frame.size = kFrameHeaderSize + length;
  return frame;
}

std::size_t find_frame(std::string_view bytes, std::size_t from, std::uint64_t base) {
  for (std::size_t at = from; at + kFrameHeaderSize <= bytes.size(); ++at) {
    const void* hit = std::memchr(bytes.data() + at, kFrameMarker & 0xff, bytes.size() - at);
    if (hit == nullptr) break;
    at = static_cast<std::size_t>(static_cast<const char*>(hit) - bytes.data());
    if (decode_frame(bytes.substr(at), base + at).state == FrameState::valid) return at;
  }
  return bytes.size();
}

}  // namespace tocayo::journal
