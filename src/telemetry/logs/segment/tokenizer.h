// SPDX-License-Identifier: Apache-2.0
// Cuts a line into constant text and variable slots. The cut is a guess about what will repeat; it never changes the
// line, which is constants and slot texts put together again.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"

namespace tocayo::logs {

// How a slot is written. A time slot is the date and time part of a known layout without its zone.
struct SlotKind {
  enum class Family : char {
    token = 't',      // characters of [A-Za-z0-9_.+-] and bytes from 0x80
    date_time = 'd',  // 2006-01-02T15:04:05.000 with the given separators
    month_day = 'm',  // Jan _2 15:04:05
    apache = 'a',     // 02/Jan/2006:15:04:05
    clock = 'c',      // 15:04:05.000
    layout = 'l',     // one of kNamedLayouts
  };
  Family family = Family::token;
  char date_separator = '0';      // date_time: one of "-/."; layout: its name
  char middle = '0';              // date_time: one of "T _:-"
  char fraction_separator = '0';  // '.', ',', ':' or '0' for no fraction
  std::uint8_t fraction_digits = 0;
  bool operator==(const SlotKind&) const = default;
};

struct Token {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  bool variable = false;
  // Of a variable token the slot: the rest of it (a prefix such as `blk_`, a unit such as `ms`) stays constant.
  std::uint32_t slot_begin = 0;
  std::uint32_t slot_end = 0;
  SlotKind kind;
};

// Replaces `out` by the variable tokens of the line in order (with `all` also the constant ones). Between two slots
// there is always at least one constant byte.
void tokenize(std::string_view line, bool all, std::vector<Token>& out);

bool is_token_byte(unsigned char c);

// A template is written as its constant text with this byte and four more (the kind) in the place of each slot.
inline constexpr char kSlotMark = '\x11';
inline constexpr std::size_t kSlotMarkSize = 5;
void append_slot_mark(const SlotKind& kind, std::string& out);
// Reads the mark at text[at]; false when the bytes are none.
bool read_slot_mark(std::string_view text, std::size_t at, SlotKind& kind);

// The time slot `text` as a count of its smallest unit relative to the row's time, and back. to_offset is false when
// the text does not read as such a time.
bool time_to_offset(const SlotKind& kind, std::string_view text, TimestampNs row_time, std::int64_t& offset);
void append_time(const SlotKind& kind, std::int64_t offset, TimestampNs row_time, std::string& out);

// The date part as last written, since neighbours share it.
struct DayCache {
  std::int64_t day = INT64_MIN;
  char text[16] = {};
  std::size_t size = 0;
  char between = ':';  // hours and minutes; 'M': nothing
};
inline constexpr std::size_t kMostTimeBytes = 40;
// As append_time; returns the end. `to` has room for kMostTimeBytes. The cache is of this kind alone.
char* write_time(const SlotKind& kind, std::int64_t offset, TimestampNs row_time, DayCache& cache, char* to);

}  // namespace tocayo::logs
