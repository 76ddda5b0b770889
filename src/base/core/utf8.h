// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tocayo::utf8 {

struct Rune {
  std::uint32_t code_point = 0xfffd;
  std::uint8_t size = 1;  // bytes taken; 1 for an invalid byte, so that decoding always advances
  bool valid = false;
};

// First code point of non-empty `bytes`; strict (no overlong forms, surrogates, or values over U+10FFFF).
Rune decode(std::string_view bytes);
// Appends a code point; surrogates and too large values become U+FFFD.
void append(std::string& out, std::uint32_t code_point);
// Whether Go's strconv.Quote prints it as it is (controls, format characters, separators but the space, surrogates and
// unassigned noncharacters are not).
bool is_printable(std::uint32_t code_point);

}  // namespace tocayo::utf8
