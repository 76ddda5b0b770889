// SPDX-License-Identifier: Apache-2.0
#include "logql/pipeline/json_scan.h"

#include "core/utf8.h"
#include "logql/pipeline/label_state.h"

namespace tocayo::logql::json {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool unicode_escape(std::string_view text, std::uint32_t& out) {
  if (text.size() < 6 || text[0] != '\\') return false;
  out = 0;
  for (int i = 2; i < 6; ++i) {
    const int digit = hex_value(text[i]);
    if (digit < 0) return false;
    out = out << 4 | static_cast<std::uint32_t>(digit);
  }
  return true;
}

std::size_t encode(std::uint32_t rune, char* out) {
  if (rune > 0x10FFFF || (rune >= 0xD800 && rune < 0xE000)) rune = 0xFFFD;
  if (rune < 0x80) {
    out[0] = static_cast<char>(rune);
    return 1;
  }
  if (rune < 0x800) {
    out[0] = static_cast<char>(0xC0 | rune >> 6);
    out[1] = static_cast<char>(0x80 | (rune & 0x3F));
    return 2;
  }
  if (rune < 0x10000) {
    out[0] = static_cast<char>(0xE0 | rune >> 12);
    out[1] = static_cast<char>(0x80 | (rune >> 6 & 0x3F));
    out[2] = static_cast<char>(0x80 | (rune & 0x3F));
    return 3;
  }
  out[0] = static_cast<char>(0xF0 | rune >> 18);
  out[1] = static_cast<char>(0x80 | (rune >> 12 & 0x3F));
  out[2] = static_cast<char>(0x80 | (rune >> 6 & 0x3F));
  out[3] = static_cast<char>(0x80 | (rune & 0x3F));
  return 4;
}

}  // namespace

const char* block_end(const char* at, const char* end, char open, char close) {
  int level = 0;
  while (at < end) {
    const char c = *at;
    if (c == '"') {
      const String string = find_string_end(at + 1, end);
      if (string.end == nullptr) return nullptr;
      at = string.end;
    } else if (c == open) {
      ++level;
    } else if (c == close && --level == 0) {
      return at + 1;
    }
    ++at;
  }
  return nullptr;
}

const char* value_end(const char* at, const char* end) {
  if (at >= end) return nullptr;
  switch (*at) {
    case '"': {
      const String string = find_string_end(at + 1, end);
      return string.end == nullptr ? nullptr : string.end + 1;
    }
    case '{': return block_end(at, end, '{', '}');
    case '[': return block_end(at, end, '[', ']');
    default: return token_end(at, end);
  }
}

bool unescape(std::string_view text, templates::Arena& arena, std::string_view& out) {
  char* bytes = static_cast<char*>(arena.allocate(text.size(), 1));  // never grows: \uXXXX is six bytes for three
  std::size_t size = 0;
  while (!text.empty()) {
    const auto slash = std::min(text.find('\\'), text.size());
    std::memcpy(bytes + size, text.data(), slash);
    size += slash;
    text.remove_prefix(slash);
    if (text.empty()) break;
    if (text.size() < 2) return false;
    static constexpr std::string_view kFrom = "\"\\/bfnrt";
    static constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
    if (const auto simple = kFrom.find(text[1]); simple != std::string_view::npos) {
      bytes[size++] = kTo[simple];
      text.remove_prefix(2);
      continue;
    }
    std::uint32_t rune = 0;
    if (text[1] != 'u' || !unicode_escape(text, rune)) return false;
    text.remove_prefix(6);
    if (rune >= 0xD800 && rune < 0xE000) {  // the first half of a pair
      std::uint32_t low = 0;
      if (!unicode_escape(text, low) || low < 0xDC00) return false;
      text.remove_prefix(6);
      rune = 0x10000 + ((rune - 0xD800) << 10) + (low - 0xDC00);
    }
    size += encode(rune, bytes + size);
  }
  out = {bytes, size};
  return true;
}

std::string_view label_value(std::string_view raw, bool escaped, templates::Arena& arena) {
  if (escaped) {
    std::string_view resolved;
    if (!unescape(raw, arena, resolved)) return {};
    raw = resolved;
  }
  return without_bad_utf8(raw, arena);
}

}  // namespace tocayo::logql::json
