// SPDX-License-Identifier: Apache-2.0
// How times are written in lines. A layout is a text in which some letters stand for a part of the time and everything
// else for itself:
//   Y year, y its last two digits, m month, d day, b month's name, e day without leading zero (padded by a space),
//   H M S hour, minute, second, F fraction of a second with its separator (as the slot says; nothing when it has none)
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "logs/segment/tokenizer.h"

namespace tocayo::logs {

// A date as far as it goes, then H, M, S and F.
struct TimeLayout {
  char text[24] = {};
  std::uint8_t size = 0;
  std::uint8_t clock = 0;  // where H stands
  std::string_view view() const { return {text, size}; }
};
// Of a time slot; size 0: it is none, or of no layout that is known.
TimeLayout layout_of(const SlotKind& kind);

// The layouts of SlotKind::Family::layout by their names.
struct NamedLayout {
  char name;
  std::string_view text;
};
inline constexpr NamedLayout kNamedLayouts[] = {
    {'a', "md H:M:SF"},      // glog, klog: behind the letter of the severity
    {'b', "b d H:M:SF"},     // Jan 02 15:04:05 (ISC, Apache's error log)
    {'c', "b d Y H:M:SF"},   //
    {'d', "b e Y H:M:SF"},   //
    {'e', "b d, Y H:M:SF"},  // java.util.logging
    {'f', "d b Y H:M:SF"},   // Redis, RFC 1123
    {'g', "d-b-Y H:M:SF"},   // Tomcat, BIND
    {'h', "d/b/Y H:M:SF"},   //
    {'i', "d-b-y H:M:SF"},   // RFC 850
    {'j', "d-b-Y:H:M:SF"},   //
    {'k', "m/d/Y H:M:SF"},   // United States
    {'l', "d/m/Y H:M:SF"},   //
    {'m', "d.m.Y H:M:SF"},   //
    {'n', "d-m-Y H:M:SF"},   //
    {'o', "y/m/d H:M:SF"},   // Hadoop, Spark
    {'p', "y-m-d H:M:SF"},   //
    {'q', "Ymd HMSF"},       //
    {'r', "YmdTHMSF"},       // ISO 8601, short
    {'s', "Ymd-HMSF"},       //
    {'t', "Ymd_HMSF"},       //
    {'u', "Ymd H:M:SF"},     //
    {'v', "Ymd-H:M:SF"},     //
    {'w', "YmdTH:M:SF"},     //
    {'x', "ymd HMSF"},       // HDFS
    {'y', "ymd H:M:SF"},     // MySQL 5
    {'z', "Y-m-d-H.M.SF"},   // DB2
};

// The end of a time that begins at line[at], or 0. A time of numbers alone is one only at the start of a line where
// others would be likely. `kind` says how it is written.
std::size_t time_at(std::string_view line, std::size_t at, SlotKind& kind);

}  // namespace tocayo::logs
