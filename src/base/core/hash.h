// SPDX-License-Identifier: Apache-2.0
// Hashes of bytes. xxh3 for tables and checksums of pages, CRC-32C for framed records (journal, WAL, Prometheus
// blocks).
#pragma once

#define XXH_INLINE_ALL  // short keys: no call, and constant sizes fold
#include <xxhash.h>

#include <cstdint>
#include <string_view>

namespace tocayo {

inline std::uint64_t hash64(std::string_view bytes, std::uint64_t seed = 0) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

// CRC-32C (Castagnoli), continuing from `crc` (0 to start). Hardware instruction where the CPU has it.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t crc = 0);

}  // namespace tocayo
