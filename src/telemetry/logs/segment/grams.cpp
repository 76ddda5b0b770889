// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/grams.h"

#include <bit>

namespace tocayo::logs {

void write_grams(const std::vector<std::uint64_t>& bits, std::string& out) {
  if (bits.empty()) return;
  std::vector<std::uint64_t> folded = bits;
  auto count = [&] {
    std::size_t set = 0;
    for (auto word : folded) set += static_cast<std::size_t>(std::popcount(word));
    return set;
  };
  std::size_t set = count();
  if (set * 2 > folded.size() * 64) return;
  while (folded.size() > 1 && set * 6 < folded.size() * 64) {
    const std::size_t half = folded.size() / 2;
    for (std::size_t i = 0; i < half; ++i) folded[i] |= folded[i + half];
    folded.resize(half);
    set = count();
  }
  out.append(reinterpret_cast<const char*>(folded.data()), folded.size() * 8);
}

bool grams_may_hold(std::string_view filter, std::string_view text) {
  const std::size_t bits = filter.size() * 8;
  if (bits == 0 || !std::has_single_bit(bits)) return true;
  for (std::size_t i = 0; i + 4 <= text.size(); ++i) {
    const auto bit = gram_hash(text.data() + i) % bits;
    if ((static_cast<unsigned char>(filter[bit / 8]) & (1U << (bit % 8))) == 0) return false;
  }
  return true;
}

}  // namespace tocayo::logs
