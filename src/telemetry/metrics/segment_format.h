// SPDX-License-Identifier: Apache-2.0
// Constants and fixed-width records of segment files. Little endian, unaligned.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace tocayo::metrics::segment_format {

inline constexpr std::string_view kMagic = "TCSG";
inline constexpr std::string_view kEndMagic = "TCSGEND\n";
inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::size_t kHeaderSize = 16;   // magic, version u32, zero u64
inline constexpr std::size_t kTrailerSize = 20;  // footer xxh3 u64, footer length u32, end magic
inline constexpr std::size_t kSectionCount = 4;  // symbols, series, labels, postings
inline constexpr std::size_t kSeriesRowSize =
    56;  // hash u64, chunk offset u64, size u32, xxh3 low u32, min i64, max i64,
         // labels offset u32, label count u16, zero u16, floats u32, histograms u32
inline constexpr std::size_t kPairSize = 16;  // name u32, value u32, body offset u32, count u32

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <typename T>
T get(const std::uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

}  // namespace tocayo::metrics::segment_format
