// SPDX-License-Identifier: Apache-2.0
// The filter of four-byte runs without regard to ASCII case: one bit per run in a table that is folded while it stays
// sparse.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace tocayo::logs {

inline constexpr std::size_t kGramBits = 1U << 19;
inline constexpr std::size_t kGramToken = 8;  // only longer tokens are in the filter

inline std::uint32_t gram_hash(const char* at) {
  std::uint32_t bytes = 0;
  std::memcpy(&bytes, at, 4);
  // Lower case, four bytes at once: 0x20 for each byte of A-Z.
  const std::uint32_t low = bytes & 0x7F7F7F7FU;
  const std::uint32_t capital = (low + 0x3F3F3F3FU) & ~(low + 0x25252525U) & ~bytes & 0x80808080U;
  bytes |= capital >> 2;
  return (bytes * 2654435761U) ^ ((bytes * 2654435761U) >> 15);
}
inline void add_grams(std::string_view token, std::vector<std::uint64_t>& bits) {
  if (bits.empty()) bits.resize(kGramBits / 64);
  for (std::size_t i = 0; i + 4 <= token.size(); ++i) {
    const auto bit = gram_hash(token.data() + i) % kGramBits;
    bits[bit / 64] |= 1ULL << (bit % 64);
  }
}
// Appends the filter; nothing when it would say too little.
void write_grams(const std::vector<std::uint64_t>& bits, std::string& out);
// Whether all runs of `text` may be there; true for an empty filter.
bool grams_may_hold(std::string_view filter, std::string_view text);

}  // namespace tocayo::logs
