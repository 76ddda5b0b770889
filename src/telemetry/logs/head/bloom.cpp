// SPDX-License-Identifier: Apache-2.0
#include "logs/head/bloom.h"

#include <algorithm>
#include <array>

namespace tocayo::logs {
namespace {

constexpr std::array<unsigned char, 256> kFold = [] {
  std::array<unsigned char, 256> table{};
  for (unsigned i = 0; i < 256; ++i) table[i] = static_cast<unsigned char>(i >= 'A' && i <= 'Z' ? i + 32 : i);
  return table;
}();

std::uint32_t bit_of(std::uint32_t gram) { return (gram * 0x9E3779B1U) >> 16; }

template <typename Visit>
void for_each_gram(std::string_view text, const Visit& visit) {
  if (text.size() < 3) return;
  std::uint32_t gram = kFold[static_cast<unsigned char>(text[0])] << 8 | kFold[static_cast<unsigned char>(text[1])];
  for (std::size_t i = 2; i < text.size(); ++i) {
    gram = (gram << 8 | kFold[static_cast<unsigned char>(text[i])]) & 0xFFFFFF;
    if (!visit(bit_of(gram))) return;
  }
}

}  // namespace

void HeadBloom::add(std::string_view lines) {
  for_each_gram(lines, [&](std::uint32_t bit) {
    bits_[bit / 64] |= std::uint64_t{1} << (bit % 64);
    return true;
  });
}

bool HeadBloom::may_contain(std::string_view literal) const {
  bool possible = true;
  for_each_gram(literal, [&](std::uint32_t bit) {
    possible = (bits_[bit / 64] >> (bit % 64) & 1) != 0;
    return possible;
  });
  return possible;
}

bool HeadBloom::may_match(const LineMatcher::Required& required) const {
  return required.any_of.empty() || std::any_of(required.any_of.begin(), required.any_of.end(),
                                                [&](const std::string& literal) { return may_contain(literal); });
}

}  // namespace tocayo::logs
