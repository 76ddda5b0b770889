// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/time_layout.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "logs/segment/digits.h"

namespace tocayo::logs {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kDay = 86400;
constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";

int number(std::string_view text, std::size_t at, std::size_t count) {
  int value = 0;
  for (std::size_t i = 0; i < count; ++i) value = value * 10 + (text[at + i] - '0');
  return value;
}
int month_at(std::string_view text, std::size_t at) {
  if (at + 3 > text.size()) return 0;
  for (std::size_t m = 0; m < 12; ++m) {
    if (text.substr(at, 3) == kMonths.substr(m * 3, 3)) return static_cast<int>(m) + 1;
  }
  return 0;
}

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

std::int64_t units_in_second(const SlotKind& kind) {
  std::int64_t units = 1;
  for (int i = 0; i < kind.fraction_digits; ++i) units *= 10;
  return units;
}
// What a time is counted from: the row's own time in units of the slot.
std::int64_t row_units(const SlotKind& kind, TimestampNs row_time) {
  return floor_div(row_time, kSecond / units_in_second(kind));
}

struct Parts {
  std::optional<int> year;
  int month = 0;  // 0: there is no date
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  std::int64_t fraction = 0;

  bool sensible() const {
    return (month == 0 || (month <= 12 && day >= 1 && day <= 31)) && hour <= 24 && minute <= 59 && second <= 60;
  }
};

// Reads text[at…] by the layout, the fraction apart; the end, or 0 when it reads otherwise.
std::size_t read(std::string_view layout, std::string_view text, std::size_t at, Parts& parts) {
  const auto two = [&](int& to) {
    if (!digits(text, at, 2)) return false;
    to = number(text, at, 2);
    at += 2;
    return true;
  };
  for (const char c : layout) {
    bool good = true;
    switch (c) {
      case 'Y':
        good = digits(text, at, 4);
        if (good) parts.year = number(text, at, 4);
        at += 4;
        break;
      case 'y': {
        int year = 0;
        good = two(year);
        parts.year = year + (year < 70 ? 2000 : 1900);
        break;
      }
      case 'm': good = two(parts.month); break;
      case 'd': good = two(parts.day); break;
      case 'b':
        parts.month = month_at(text, at);
        good = parts.month != 0;
        at += 3;
        break;
      case 'e':
        if (is_at(text, at, ' ') && digits(text, at + 1, 1)) {
          parts.day = number(text, at + 1, 1);
          at += 2;
        } else {
          good = two(parts.day);
        }
        break;
      case 'H': good = two(parts.hour); break;
      case 'M': good = two(parts.minute); break;
      case 'S': good = two(parts.second); break;
      case 'F': break;
      default: good = is_at(text, at++, c); break;
    }
    if (!good) return 0;
  }
  return at;
}

std::size_t fraction(std::string_view line, std::size_t at, SlotKind& kind) {
  if (at >= line.size() || (line[at] != '.' && line[at] != ',' && line[at] != ':')) return at;
  std::size_t count = 0;
  while (count < 9 && at + 1 + count < line.size() && digit(line[at + 1 + count])) ++count;
  const std::size_t end = at + 1 + count;
  if (count == 0 || (end < line.size() && digit(line[end]))) return at;
  // 15:04:05:123, but not one more pair of something else.
  if (line[at] == ':' && (count % 3 != 0 || is_at(line, end, ':'))) return at;
  kind.fraction_separator = line[at];
  kind.fraction_digits = static_cast<std::uint8_t>(count);
  return end;
}

std::size_t named_at(std::string_view line, std::size_t at, std::string_view names, SlotKind& kind) {
  for (const char name : names) {
    const auto& layout = kNamedLayouts[name - 'a'];
    Parts parts;
    const std::size_t end = read(layout.text, line, at, parts);
    if (end == 0 || !parts.sensible() || (parts.month == 0)) continue;
    kind.family = SlotKind::Family::layout;
    kind.date_separator = name;
    return fraction(line, end, kind);
  }
  return 0;
}

// The day that a date without a year means: that of the year nearest to the row's, where there is such a day.
std::optional<std::int64_t> nearest_day(int month, int day, std::int64_t row_second) {
  const auto row_date = date_from(floor_div(row_second, kDay));
  std::optional<std::int64_t> best;
  for (std::int64_t year = row_date.year - 1; year <= row_date.year + 1; ++year) {
    const std::int64_t found = days_from(year, month, day);
    const auto date = date_from(found);
    if (date.month != month || date.day != day) continue;
    if (!best || std::abs(found * kDay - row_second) < std::abs(*best * kDay - row_second)) best = found;
  }
  return best;
}

char* put_two(char* to, std::int64_t value) {
  to[0] = static_cast<char>('0' + value / 10 % 10);
  to[1] = static_cast<char>('0' + value % 10);
  return to + 2;
}

// What stands before the time of day; at most 16 bytes.
char* put_date(std::string_view layout, std::int64_t day, char* to) {
  if (layout.empty()) return to;
  const auto date = date_from(day);
  for (const char c : layout) {
    switch (c) {
      case 'Y': to = put_two(put_two(to, date.year / 100), date.year % 100); break;
      case 'y': to = put_two(to, date.year % 100); break;
      case 'm': to = put_two(to, date.month); break;
      case 'd': to = put_two(to, date.day); break;
      case 'b': to += kMonths.substr(static_cast<std::size_t>(date.month - 1) * 3, 3).copy(to, 3); break;
      case 'e':
        to = put_two(to, date.day);
        if (date.day < 10) to[-2] = ' ';
        break;
      default: *to++ = c; break;
    }
  }
  return to;
}

}  // namespace

TimeLayout layout_of(const SlotKind& kind) {
  TimeLayout out;
  const auto set = [&](std::string_view text) {
    out.size = static_cast<std::uint8_t>(text.copy(out.text, sizeof out.text));
    out.clock = static_cast<std::uint8_t>(out.view().find('H'));
  };
  switch (kind.family) {
    case SlotKind::Family::token: break;
    case SlotKind::Family::date_time: {
      char text[] = "Y-m-dTH:M:SF";
      text[1] = text[3] = kind.date_separator;
      text[5] = kind.middle;
      set(std::string_view(text, sizeof text - 1));
      break;
    }
    case SlotKind::Family::month_day: set("b e H:M:SF"); break;
    case SlotKind::Family::apache: set("d/b/Y:H:M:SF"); break;
    case SlotKind::Family::clock: set("H:M:SF"); break;
    case SlotKind::Family::layout:
      if (kind.date_separator >= 'a' && kind.date_separator <= 'z') set(kNamedLayouts[kind.date_separator - 'a'].text);
      break;
  }
  return out;
}

// Called at the start of every token: what cannot be a time is seen after a few bytes.
std::size_t time_at(std::string_view line, std::size_t at, SlotKind& kind) {
  const auto clock = [&](std::size_t from) {
    return digits(line, from, 2) && is_at(line, from + 2, ':') && digits(line, from + 3, 2) &&
           is_at(line, from + 5, ':') && digits(line, from + 6, 2);
  };
  const char c = line[at];
  if (digit(c)) {
    std::size_t count = 1;
    while (count < 9 && at + count < line.size() && digit(line[at + count])) ++count;
    if (at + count + 4 > line.size()) return 0;
    const char next = line[at + count];
    switch (count) {
      case 2:
        if (next == ':') {
          if (!clock(at)) return 0;
          kind.family = SlotKind::Family::clock;
          return fraction(line, at + 8, kind);
        }
        if (next == '/') {
          if (digit(line[at + 3])) return named_at(line, at, "klo", kind);
          if (const auto end = named_at(line, at, "h", kind); end != 0) return end;
          if (month_at(line, at + 3) != 0 && is_at(line, at + 6, '/') && digits(line, at + 7, 4) &&
              is_at(line, at + 11, ':') && clock(at + 12)) {
            kind.family = SlotKind::Family::apache;
            return fraction(line, at + 20, kind);
          }
          return 0;
        }
        if (next == '-') return named_at(line, at, digit(line[at + 3]) ? "np" : "gij", kind);
        if (next == '.') return named_at(line, at, "m", kind);
        if (next == ' ') return month_at(line, at + 3) == 0 ? 0 : named_at(line, at, "f", kind);
        return 0;
      case 4:
        if ((next == '-' || next == '/' || next == '.') && at + 10 < line.size() && digits(line, at + 5, 2) &&
            line[at + 7] == next && digits(line, at + 8, 2)) {
          const char middle = line[at + 10];
          if (clock(at + 11) && std::string_view("T _:-").contains(middle)) {
            kind.family = SlotKind::Family::date_time;
            kind.date_separator = next;
            kind.middle = middle;
            return fraction(line, at + 19, kind);
          }
          return middle == '-' && next == '-' ? named_at(line, at, "z", kind) : 0;
        }
        return next == ' ' ? named_at(line, at, "a", kind) : 0;
      case 6: return at == 0 && next == ' ' ? named_at(line, at, "xy", kind) : 0;
      case 8:
        switch (next) {
          case ' ': return named_at(line, at, at == 0 ? "uq" : "u", kind);
          case 'T': return named_at(line, at, "rw", kind);
          case '-': return named_at(line, at, "sv", kind);
          case '_': return named_at(line, at, "t", kind);
          default: return 0;
        }
      default: return 0;
    }
  }
  if (c < 'A' || c > 'S' || month_at(line, at) == 0 || !is_at(line, at + 3, ' ') || at + 15 > line.size()) return 0;
  if (const auto end = named_at(line, at, line[at + 4] == '0' ? "bce" : "cde", kind); end != 0) return end;
  Parts parts;
  const auto end = read("b e H:M:S", line, at, parts);
  if (end == 0) return 0;
  kind.family = SlotKind::Family::month_day;
  return fraction(line, end, kind);
}

bool time_to_offset(const SlotKind& kind, std::string_view text, TimestampNs row_time, std::int64_t& offset) {
  const TimeLayout layout = layout_of(kind);
  if (layout.size == 0) return false;
  Parts parts;
  const std::size_t end = read(layout.view(), text, 0, parts);
  if (end == 0) return false;
  if (kind.fraction_digits == 0
          ? end != text.size()
          : end + 1 + kind.fraction_digits != text.size() || text[end] != kind.fraction_separator ||
                !digits(text, end + 1, kind.fraction_digits)) {
    return false;
  }
  const std::int64_t row_second = floor_div(row_time, kSecond);
  std::int64_t day = floor_div(row_second, kDay);
  if (parts.month != 0 || parts.day != 0) {
    if (!parts.sensible() || parts.month == 0) return false;
    if (parts.year) {
      day = days_from(*parts.year, parts.month, parts.day);
    } else if (const auto nearest = nearest_day(parts.month, parts.day, row_second)) {
      day = *nearest;
    } else {
      return false;
    }
  }
  const std::int64_t second = day * kDay + parts.hour * 3600 + parts.minute * 60 + parts.second;
  const std::int64_t units = units_in_second(kind);
  const int part = kind.fraction_digits == 0 ? 0 : number(text, end + 1, kind.fraction_digits);
  if (second > INT64_MAX / kSecond || second < INT64_MIN / kSecond) return false;
  offset = second * units + part - row_units(kind, row_time);
  // The proof: 24:00:00, the 31st of February and the like do not come back.
  char again[kMostTimeBytes];
  DayCache cache;
  return std::string_view(again, static_cast<std::size_t>(write_time(kind, offset, row_time, cache, again) - again)) ==
         text;
}

char* write_time(const SlotKind& kind, std::int64_t offset, TimestampNs row_time, DayCache& cache, char* to) {
  const std::int64_t units = units_in_second(kind);
  const auto at = static_cast<std::int64_t>(static_cast<std::uint64_t>(row_units(kind, row_time)) +
                                            static_cast<std::uint64_t>(offset));
  const std::int64_t second = floor_div(at, units);
  std::int64_t part = at - second * units;
  const std::int64_t day = floor_div(second, kDay);
  const std::int64_t second_of_day = second - day * kDay;
  if (cache.day != day) {
    const TimeLayout layout = layout_of(kind);
    cache.size =
        static_cast<std::size_t>(put_date(layout.view().substr(0, layout.clock), day, cache.text) - cache.text);
    cache.between = layout.text[layout.clock + 1];
    cache.day = day;
  }
  for (std::size_t i = 0; i < cache.size; ++i) *to++ = cache.text[i];
  to = put_two(to, second_of_day / 3600);
  if (cache.between != 'M') *to++ = cache.between;
  to = put_two(to, second_of_day / 60 % 60);
  if (cache.between != 'M') *to++ = cache.between;
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
