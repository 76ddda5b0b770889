// SPDX-License-Identifier: Apache-2.0
// Which runs of three bytes (ASCII case folded) occur in the lines of a page of the head, so that a needle skips pages.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "logs/line_filter.h"

namespace tocayo::logs {

class HeadBloom {
 public:
  static constexpr std::uint32_t kRows = 16 << 10;  // a page closes at so many lines …
  static constexpr std::size_t kBytes = 2 << 20;    // … or bytes of lines

  explicit HeadBloom(std::uint32_t slabs) : slabs_(slabs) {}
  // Slabs of the page; the bloom hangs on its first one.
  std::uint32_t slabs() const { return slabs_; }
  void add(std::string_view lines);
  // False only when no line of the page holds the literal. Short literals may be anywhere.
  bool may_contain(std::string_view literal) const;
  // False only when the filter's operands cannot be found in the page.
  bool may_match(const LineMatcher::Required& required) const;

 private:
  static constexpr std::uint32_t kBits = 1 << 16;
  std::uint32_t slabs_;
  std::uint64_t bits_[kBits / 64] = {};
};

}  // namespace tocayo::logs
