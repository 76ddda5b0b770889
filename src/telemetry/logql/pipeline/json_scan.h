// SPDX-License-Identifier: Apache-2.0
// Finding one's way in JSON text without building anything, with the leniency of the parser that Loki uses: a number is
// whatever begins like one, strings are not checked, what stands behind the outermost value is not looked at.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "template/value.h"

namespace tocayo::logql::json {

inline const char* skip_space(const char* at, const char* end) {
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) ++at;
  return at;
}

struct String {
  const char* end = nullptr;  // of the closing quote; null: there is none
  bool escaped = false;
};

// `at` stands behind the opening quote.
inline String find_string_end(const char* at, const char* end) {
  String out;
  constexpr std::uint64_t kOnes = 0x0101010101010101ULL;
  constexpr std::uint64_t kHighs = 0x8080808080808080ULL;
  while (true) {
    while (end - at >= 8) {  // eight bytes at a time while there is neither quote nor backslash
      std::uint64_t word = 0;
      std::memcpy(&word, at, 8);
      const std::uint64_t quote = word ^ (kOnes * '"');
      const std::uint64_t slash = word ^ (kOnes * '\\');
      const std::uint64_t hit = (((quote - kOnes) & ~quote) | ((slash - kOnes) & ~slash)) & kHighs;
      if (hit != 0) {
        at += __builtin_ctzll(hit) >> 3;
        break;
      }
      at += 8;
    }
    while (at < end && *at != '"' && *at != '\\') ++at;
    if (at >= end) return out;
    if (*at == '"') {
      out.end = at;
      return out;
    }
    out.escaped = true;
    at += 2;
    if (at > end) return out;
  }
}

// The end of an object or array that begins at `at`; null: it is not closed.
const char* block_end(const char* at, const char* end, char open, char close);
// The end of a number, literal or damage.
inline const char* token_end(const char* at, const char* end) {
  while (at < end && *at != ' ' && *at != '\n' && *at != '\r' && *at != '\t' && *at != ',' && *at != '}' && *at != ']')
    ++at;
  return at;
}
// The end of any value; null: damage.
const char* value_end(const char* at, const char* end);

// Resolves escapes. false: an invalid one.
bool unescape(std::string_view text, templates::Arena& arena, std::string_view& out);
// The value of a label: escapes resolved ("" if they are wrong), no U+FFFD.
std::string_view label_value(std::string_view raw, bool escaped, templates::Arena& arena);

}  // namespace tocayo::logql::json
