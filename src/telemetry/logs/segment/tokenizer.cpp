// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/tokenizer.h"

#include <algorithm>
#include <array>

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
bool digit(char c) { return c >= '0' && c <= '9'; }
bool hex(char c) { return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool digits(std::string_view text, std::size_t at, std::size_t count) {
  if (at + count > text.size()) return false;
  for (std::size_t i = 0; i < count; ++i) {
    if (!digit(text[at + i])) return false;
  }
  return true;
}
bool is_at(std::string_view text, std::size_t at, char c) { return at < text.size() && text[at] == c; }

// hh:mm:ss
bool clock_at(std::string_view line, std::size_t at) {
  return digits(line, at, 2) && is_at(line, at + 2, ':') && digits(line, at + 3, 2) && is_at(line, at + 5, ':') &&
         digits(line, at + 6, 2);
}

std::size_t fraction(std::string_view line, std::size_t at, SlotKind& kind) {
  if (at >= line.size() || (line[at] != '.' && line[at] != ',')) return at;
  std::size_t count = 0;
  while (count < 9 && at + 1 + count < line.size() && digit(line[at + 1 + count])) ++count;
  if (count == 0 || (at + 1 + count < line.size() && digit(line[at + 1 + count]))) return at;
  kind.fraction_separator = line[at];
  kind.fraction_digits = static_cast<std::uint8_t>(count);
  return at + 1 + count;
}

constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
int month_at(std::string_view text, std::size_t at) {
  if (at + 3 > text.size()) return 0;
  for (std::size_t m = 0; m < 12; ++m) {
    if (text.substr(at, 3) == kMonths.substr(m * 3, 3)) return static_cast<int>(m) + 1;
  }
  return 0;
}

// The end of a time that starts at `at`, or 0.
std::size_t time_at(std::string_view line, std::size_t at, SlotKind& kind) {
  const char c = line[at];
  if (digit(c)) {
    if (digits(line, at, 4) && at + 10 < line.size() && (line[at + 4] == '-' || line[at + 4] == '/') &&
        digits(line, at + 5, 2) && line[at + 7] == line[at + 4] && digits(line, at + 8, 2) &&
        (line[at + 10] == 'T' || line[at + 10] == ' ') && clock_at(line, at + 11)) {
      kind.family = SlotKind::Family::date_time;
      kind.date_separator = line[at + 4];
      kind.middle = line[at + 10];
      return fraction(line, at + 19, kind);
    }
    if (digits(line, at, 2) && is_at(line, at + 2, '/') && month_at(line, at + 3) != 0 && is_at(line, at + 6, '/') &&
        digits(line, at + 7, 4) && is_at(line, at + 11, ':') && clock_at(line, at + 12)) {
      kind.family = SlotKind::Family::apache;
      return at + 20;
    }
    if (clock_at(line, at)) {
      kind.family = SlotKind::Family::clock;
      return fraction(line, at + 8, kind);
    }
    return 0;
  }
  if (c >= 'A' && c <= 'S' && month_at(line, at) != 0 && is_at(line, at + 3, ' ') && at + 15 <= line.size() &&
      (digit(line[at + 4]) || line[at + 4] == ' ') && digit(line[at + 5]) && line[at + 6] == ' ' &&
      clock_at(line, at + 7)) {
    kind.family = SlotKind::Family::month_day;
    return at + 15;
  }
  return 0;
}

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
    if (const auto end = time_at(line, begin, kind);
        end != 0 &&
        (end == size || kClasses[static_cast<unsigned char>(line[end])] == kPlain || skip_zone(line, end) > end)) {
      const auto at = static_cast<std::uint32_t>(begin);
      const auto to = static_cast<std::uint32_t>(end);
      out.push_back({.begin = at, .end = to, .variable = true, .slot_begin = at, .slot_end = to, .kind = kind});
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
  out.push_back(kind.fraction_digits == 0
                    ? '0'
                    : static_cast<char>((kind.fraction_separator == '.' ? 'a' : 'A') + kind.fraction_digits));
}

bool read_slot_mark(std::string_view text, std::size_t at, SlotKind& kind) {
  if (at + kSlotMarkSize > text.size() || text[at] != kSlotMark) return false;
  kind = {};
  kind.family = static_cast<SlotKind::Family>(text[at + 1]);
  if (std::string_view("tdmac").find(text[at + 1]) == std::string_view::npos) return false;
  kind.date_separator = text[at + 2];
  kind.middle = text[at + 3];
  const char f = text[at + 4];
  if (f != '0') {
    const char base = f >= 'a' ? 'a' : 'A';
    const int count = f - base;
    if (count < 1 || count > 9) return false;
    kind.fraction_separator = base == 'a' ? '.' : ',';
    kind.fraction_digits = static_cast<std::uint8_t>(count);
  }
  return true;
}

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kDay = 86400;

// Days since 1970-01-01 of a proleptic Gregorian date, and back (Howard Hinnant's algorithms).
std::int64_t days_from(std::int64_t y, int m, int d) {
  y -= m <= 2;
  const std::int64_t era = (y >= 0 ? y : y - 399) / 400;
  const auto yoe = static_cast<unsigned>(y - era * 400);
  const unsigned doy = (153U * static_cast<unsigned>(m > 2 ? m - 3 : m + 9) + 2) / 5 + static_cast<unsigned>(d) - 1;
  const unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + static_cast<std::int64_t>(doe) - 719468;
}
struct Date {
  std::int64_t year;
  int month;
  int day;
};
Date date_from(std::int64_t z) {
  z += 719468;
  const std::int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  const auto doe = static_cast<unsigned>(z - era * 146097);
  const unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const unsigned mp = (5 * doy + 2) / 153;
  const int day = static_cast<int>(doy - (153 * mp + 2) / 5 + 1);
  const int month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
  return {static_cast<std::int64_t>(yoe) + era * 400 + (month <= 2 ? 1 : 0), month, day};
}
std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

int number(std::string_view text, std::size_t at, std::size_t count) {
  int value = 0;
  for (std::size_t i = 0; i < count; ++i) value = value * 10 + (text[at + i] - '0');
  return value;
}
int clock_seconds(std::string_view text, std::size_t at) {
  return number(text, at, 2) * 3600 + number(text, at + 3, 2) * 60 + number(text, at + 6, 2);
}
void put(std::string& out, int value, int width) {
  char digits_of[8];
  for (int i = width - 1; i >= 0; --i) {
    digits_of[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  out.append(digits_of, static_cast<std::size_t>(width));
}
std::int64_t units_in_second(const SlotKind& kind) {
  std::int64_t units = 1;
  for (int i = 0; i < kind.fraction_digits; ++i) units *= 10;
  return units;
}

// What a time is counted from: the row's own time in units of the slot.
std::int64_t row_units(const SlotKind& kind, TimestampNs row_time) {
  return floor_div(row_time, kSecond / units_in_second(kind));
}

}  // namespace

bool time_to_offset(const SlotKind& kind, std::string_view text, TimestampNs row_time, std::int64_t& offset) {
  const std::int64_t row_second = floor_div(row_time, kSecond);
  std::int64_t second = 0;
  std::size_t clock = 0;
  switch (kind.family) {
    case SlotKind::Family::date_time:
      if (text.size() < 19) return false;
      second = days_from(number(text, 0, 4), number(text, 5, 2), number(text, 8, 2)) * kDay;
      clock = 11;
      break;
    case SlotKind::Family::apache:
      if (text.size() != 20) return false;
      second = days_from(number(text, 7, 4), month_at(text, 3), number(text, 0, 2)) * kDay;
      clock = 12;
      break;
    case SlotKind::Family::month_day: {
      if (text.size() != 15) return false;
      const int day = text[4] == ' ' ? text[5] - '0' : number(text, 4, 2);
      // The year that is nearest to the row's.
      const auto row_date = date_from(floor_div(row_second, kDay));
      std::int64_t best = 0;
      bool first = true;
      for (std::int64_t year = row_date.year - 1; year <= row_date.year + 1; ++year) {
        const std::int64_t at = days_from(year, month_at(text, 0), day) * kDay;
        if (first || std::abs(at - row_second) < std::abs(best - row_second)) best = at;
        first = false;
      }
      second = best;
      clock = 7;
      break;
    }
    case SlotKind::Family::clock:
      if (text.size() < 8) return false;
      second = floor_div(row_second, kDay) * kDay;
      break;
    case SlotKind::Family::token: return false;
  }
  second += clock_seconds(text, clock);
  const std::int64_t units = units_in_second(kind);
  const int part = kind.fraction_digits == 0 ? 0 : number(text, clock + 9, kind.fraction_digits);
  if (second > INT64_MAX / kSecond || second < INT64_MIN / kSecond) return false;
  offset = second * units + part - row_units(kind, row_time);
  // The proof: 24:00:00, the 31st of February and the like do not come back.
  std::string again;
  append_time(kind, offset, row_time, again);
  return again == text;
}

namespace {

// What stands before the time of day.
void put_date(const SlotKind& kind, std::int64_t day, std::string& out) {
  if (kind.family == SlotKind::Family::clock || kind.family == SlotKind::Family::token) return;
  const auto date = date_from(day);
  const auto month = kMonths.substr(static_cast<std::size_t>(date.month - 1) * 3, 3);
  switch (kind.family) {
    case SlotKind::Family::date_time:
      put(out, static_cast<int>(date.year), 4);
      out.push_back(kind.date_separator);
      put(out, date.month, 2);
      out.push_back(kind.date_separator);
      put(out, date.day, 2);
      out.push_back(kind.middle);
      break;
    case SlotKind::Family::apache:
      put(out, date.day, 2);
      out.push_back('/');
      out.append(month);
      out.push_back('/');
      put(out, static_cast<int>(date.year), 4);
      out.push_back(':');
      break;
    case SlotKind::Family::month_day:
      out.append(month);
      out.push_back(' ');
      if (date.day < 10) {
        out.push_back(' ');
        put(out, date.day, 1);
      } else {
        put(out, date.day, 2);
      }
      out.push_back(' ');
      break;
    case SlotKind::Family::clock:
    case SlotKind::Family::token: break;
  }
}

char* put_two(char* to, std::int64_t value) {
  to[0] = static_cast<char>('0' + value / 10);
  to[1] = static_cast<char>('0' + value % 10);
  return to + 2;
}

}  // namespace

char* write_time(const SlotKind& kind, std::int64_t offset, TimestampNs row_time, DayCache& cache, char* to) {
  const std::int64_t units = units_in_second(kind);
  const auto at = static_cast<std::int64_t>(static_cast<std::uint64_t>(row_units(kind, row_time)) +
                                            static_cast<std::uint64_t>(offset));
  const std::int64_t second = floor_div(at, units);
  std::int64_t part = at - second * units;
  const std::int64_t day = floor_div(second, kDay);
  const std::int64_t second_of_day = second - day * kDay;
  if (cache.day != day) {
    std::string date;
    put_date(kind, day, date);
    cache.size = date.copy(cache.text, sizeof cache.text);
    cache.day = day;
  }
  for (std::size_t i = 0; i < cache.size; ++i) *to++ = cache.text[i];
  to = put_two(to, second_of_day / 3600);
  *to++ = ':';
  to = put_two(to, second_of_day / 60 % 60);
  *to++ = ':';
  to = put_two(to, second_of_day % 60);
  if (kind.fraction_digits != 0) {
    *to++ = kind.fraction_separator;
    for (int i = kind.fraction_digits - 1; i >= 0; --i) {
      to[i] = static_cast<char>('0' + part % 10);
      part /= 10;
    }
    to += kind.fraction_digits;
  }
  return to;
}

void append_time(const SlotKind& kind, std::int64_t offset, TimestampNs row_time, std::string& out) {
  DayCache cache;
  char text[kMostTimeBytes];
  out.append(text, write_time(kind, offset, row_time, cache, text));
}

}  // namespace tocayo::logs
