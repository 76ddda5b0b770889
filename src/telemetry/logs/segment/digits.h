// SPDX-License-Identifier: Apache-2.0
// Private to segment: looking at the bytes of a text by place.
#pragma once

#include <cstddef>
#include <string_view>

namespace tocayo::logs {

inline bool digit(char c) { return c >= '0' && c <= '9'; }
// Whether `count` digits stand there.
inline bool digits(std::string_view text, std::size_t at, std::size_t count) {
  if (at + count > text.size()) return false;
  for (std::size_t i = 0; i < count; ++i) {
    if (!digit(text[at + i])) return false;
  }
  return true;
}
inline bool is_at(std::string_view text, std::size_t at, char c) { return at < text.size() && text[at] == c; }

}  // namespace tocayo::logs
