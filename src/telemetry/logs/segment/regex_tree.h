// SPDX-License-Identifier: Apache-2.0
// The text of a regular expression read into a tree of byte sets.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace tocayo::logs {

struct RegexNode {
  enum class Kind : std::uint8_t {
    empty,
    bytes,     // one byte of `set`
    rune,      // one character that is not ASCII
    sequence,  // of children
    choice,    // of children
    repeat,    // children[0] from `least` to `most` times
    begin_text,
    end_text,
    begin_line,
    end_line,
    word,  // \b
    not_word,
  };
  Kind kind = Kind::empty;
  std::bitset<256> set;
  int least = 0;
  int most = -1;  // -1: without end
  std::vector<std::uint32_t> children;
};

struct RegexTree {
  std::vector<RegexNode> nodes;
  std::uint32_t root = 0;
};

// nullopt for what is not known here (\pL, \Q, characters outside ASCII in a class …). Expects a valid RE2 expression.
std::optional<RegexTree> parse_regex(std::string_view text);

}  // namespace tocayo::logs
