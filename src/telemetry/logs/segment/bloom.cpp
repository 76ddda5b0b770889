// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/bloom.h"

#include <algorithm>
#include <cstring>

namespace tocayo::logs {

namespace {
constexpr std::size_t kBlock = 32;
constexpr std::uint32_t kSalts[8] = {0x47b6137bU, 0x44974d91U, 0x8824ad5bU, 0xa2b7289dU,
                                     0x705495c7U, 0x2df1424bU, 0x9efc4947U, 0x5c6bfb31U};
std::size_t block_of(std::uint64_t hash, std::size_t blocks) {
  return static_cast<std::size_t>(((hash >> 32) * blocks) >> 32);
}
}  // namespace

void build_bloom(std::span<const std::uint64_t> hashes, std::string& out) {
  const std::size_t blocks = std::max<std::size_t>(1, (hashes.size() * 10 + 255) / 256);
  const std::size_t start = out.size();
  out.resize(start + blocks * kBlock);
  for (std::uint64_t hash : hashes) {
    char* block = out.data() + start + block_of(hash, blocks) * kBlock;
    for (int i = 0; i < 8; ++i) {
      std::uint32_t word = 0;
      std::memcpy(&word, block + i * 4, 4);
      word |= 1U << ((static_cast<std::uint32_t>(hash) * kSalts[i]) >> 27);
      std::memcpy(block + i * 4, &word, 4);
    }
  }
}

bool bloom_may_hold(std::string_view filter, std::uint64_t hash) {
  const std::size_t blocks = filter.size() / kBlock;
  if (blocks == 0) return true;
  const char* block = filter.data() + block_of(hash, blocks) * kBlock;
  for (int i = 0; i < 8; ++i) {
    std::uint32_t word = 0;
    std::memcpy(&word, block + i * 4, 4);
    if ((word & (1U << ((static_cast<std::uint32_t>(hash) * kSalts[i]) >> 27))) == 0) return false;
  }
  return true;
}

}  // namespace tocayo::logs
