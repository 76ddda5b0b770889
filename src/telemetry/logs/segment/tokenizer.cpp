// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/tokenizer.h"

#include <algorithm>
#include <array>

#include "logs/segment/digits.h"
#include "logs/segment/time_layout.h"

namespace tocayo::logs {

namespace {

enum : std::uint8_t { kPlain = 0, kLetter = 1, kDigit = 2, kJoin = 4 };  // kJoin: _ . + - and bytes from 0x80

constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> classes{};
  for (int c = 'a'; c <= 'z'; ++c) classes[static_cast<std::size_t>(c)] = kLetter;
  for (int c = 'A'; c <= 'Z'; ++c) classes[static_cast<std::size_t>(c)] = kLetter;
  for (int c = '0'; c <= '9'; ++c) classes[static_cast<std::size_t>(c)] = kDigit;
  for (char c : {'_', '.', '+', '-'}) classes[static_cast<std::size_t>(c)] = kJoin;
  for (std::size_t c = 0x80; c < 256; ++c) classes[c] = kJoin;
  return classes;
}
constexpr auto kClasses = make_classes();

std::uint8_t class_of(char c) { return kClasses[static_cast<unsigned char>(c)]; }
bool hex(char c) { return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// The zone behind a time, which stays constant text.
std::size_t skip_zone(std::string_view line, std::size_t at) {
  if (is_at(line, at, 'Z')) return at + 1;
  if (at < line.size() && (line[at] == '+' || line[at] == '-') && digits(line, at + 1, 2)) {
    if (is_at(line, at + 3, ':') && digits(line, at + 4, 2)) return at + 6;
    if (digits(line, at + 3, 2)) return at + 5;
  }
  return at;
}

// Cuts a constant prefix (`blk_`, `host-`, `0x`, `user`) or a unit (`12ms`) off a token that holds digits.
void cut(std::string_view line, Token& token) {
  const std::size_t begin = token.begin;
  const std::size_t end = token.end;
  if (end - begin > 3 && line[begin] == '0' && line[begin + 1] == 'x') {
    bool all = true;
    for (std::size_t i = begin + 2; i < end; ++i) all = all && hex(line[i]);
    if (all) {
      token.slot_begin = static_cast<std::uint32_t>(begin + 2);
      return;
    }
  }
  std::size_t first = begin;
  while (first < end && !digit(line[first])) ++first;
  std::size_t last = first;
  while (last < end && (digit(line[last]) || line[last] == '.')) ++last;
  if (last == end) {  // letters, then a number up to the end
    if (first > begin && line[first - 1] == '-' && (first - 1 == begin || class_of(line[first - 2]) == kJoin)) --first;
    token.slot_begin = static_cast<std::uint32_t>(first);
    if (line[end - 1] == '.' && end - first > 1)
      token.slot_end = static_cast<std::uint32_t>(end - 1);  // end of a sentence
    return;
  }
  if (first == begin || (first == begin + 1 && (line[begin] == '-' || line[begin] == '+'))) {
    if (end - last <= 3 &&
        std::all_of(line.begin() + static_cast<std::ptrdiff_t>(last), line.begin() + static_cast<std::ptrdiff_t>(end),
                    [](char c) { return class_of(c) == kLetter; }) &&
        !std::all_of(line.begin() + static_cast<std::ptrdiff_t>(last), line.begin() + static_cast<std::ptrdiff_t>(end),
                     hex)) {
      token.slot_end = static_cast<std::uint32_t>(last);
    }
  }
}

bool follows_assignment(std::string_view line, std::size_t at) {
  if (at == 0) return false;
  if (line[at - 1] == '=' || line[at - 1] == ':') return true;
  return at >= 2 && (line[at - 1] == '"' || line[at - 1] == '\'') && (line[at - 2] == '=' || line[at - 2] == ':');
}

}  // namespace

bool is_token_byte(unsigned char c) { return kClasses[c] != kPlain; }

void tokenize(std::string_view line, bool all, std::vector<Token>& out) {
  out.clear();
  const std::size_t size = line.size();
  std::size_t i = 0;
  while (i < size) {
    if (class_of(line[i]) == kPlain) {
      ++i;
      continue;
    }
    const std::size_t begin = i;
    SlotKind kind;
    // glog puts the letter of the severity before the time.
    const bool marked = i + 1 < size && digit(line[i + 1]) && std::string_view("IWEFD").contains(line[i]);
    const std::size_t begin_of_time = marked ? begin + 1 : begin;
    if (const auto end = time_at(line, begin_of_time, kind);
        end != 0 &&
        (end == size || kClasses[static_cast<unsigned char>(line[end])] == kPlain || skip_zone(line, end) > end)) {
      const auto at = static_cast<std::uint32_t>(begin_of_time);
      const auto to = static_cast<std::uint32_t>(end);
      out.push_back({.begin = static_cast<std::uint32_t>(begin),
                     .end = to,
                     .variable = true,
                     .slot_begin = at,
                     .slot_end = to,
                     .kind = kind});
      i = skip_zone(line, end);
      while (i < size && class_of(line[i]) != kPlain) ++i;  // a time always ends its token
      continue;
    }
    std::uint8_t seen = 0;
    bool all_hex = true;
    do {
      seen |= class_of(line[i]);
      all_hex = all_hex && hex(line[i]);
      ++i;
    } while (i < size && class_of(line[i]) != kPlain);
    const bool variable = (seen & kDigit) != 0 || ((seen & kLetter) != 0 && follows_assignment(line, begin)) ||
                          (all_hex && i - begin >= 8);
    if (!variable && !all) continue;
    Token token{.begin = static_cast<std::uint32_t>(begin), .end = static_cast<std::uint32_t>(i), .variable = variable};
    token.slot_begin = token.begin;
    token.slot_end = token.end;
    if ((seen & kDigit) != 0) cut(line, token);
    out.push_back(token);
  }
}

void append_slot_mark(const SlotKind& kind, std::string& out) {
  out.push_back(kSlotMark);
  out.push_back(static_cast<char>(kind.family));
  out.push_back(kind.date_separator);
  out.push_back(kind.middle);
  char fraction = '0';
  if (kind.fraction_digits != 0) {
    const char base = kind.fraction_separator == '.' ? 'a' : kind.fraction_separator == ',' ? 'A' : '0';
    fraction = static_cast<char>(base + kind.fraction_digits);
  }
  out.push_back(fraction);
}

bool read_slot_mark(std::string_view text, std::size_t at, SlotKind& kind) {
  if (at + kSlotMarkSize > text.size() || text[at] != kSlotMark) return false;
  kind = {};
  kind.family = static_cast<SlotKind::Family>(text[at + 1]);
  if (std::string_view("tdmacl").find(text[at + 1]) == std::string_view::npos) return false;
  kind.date_separator = text[at + 2];
  kind.middle = text[at + 3];
  const char f = text[at + 4];
  if (f != '0') {
    const char base = f >= 'a' ? 'a' : f >= 'A' ? 'A' : '0';
    const int count = f - base;
    if (count < 1 || count > 9) return false;
    kind.fraction_separator = base == 'a' ? '.' : base == 'A' ? ',' : ':';
    kind.fraction_digits = static_cast<std::uint8_t>(count);
  }
  return kind.family != SlotKind::Family::layout || layout_of(kind).size != 0;
}

}  // namespace tocayo::logs
