// SPDX-License-Identifier: Apache-2.0
// Layouts and durations of Go's time package.
#include "template/go_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/labels.h"

namespace tocayo::templates {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"January",   "February", "March",    "April",
                                                      "May",       "June",     "July",     "August",
                                                      "September", "October",  "November", "December"};
constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};

enum class Piece : unsigned char {
  none,
  long_month,
  month,
  number_month,
  zero_month,
  long_weekday,
  weekday,
  day,
  under_day,
  zero_day,
  under_year_day,
  zero_year_day,
  hour,
  hour12,
  zero_hour12,
  minute,
  zero_minute,
  second,
  zero_second,
  long_year,
  year,
  upper_pm,
  lower_pm,
  zone_name,
  iso_zone,
  iso_zone_colon,
  iso_zone_short,
  number_zone,
  number_zone_colon,
  number_zone_short,
  iso_zone_seconds,
  iso_zone_colon_seconds,
  number_zone_seconds,
  number_zone_colon_seconds,
  fraction0,
  fraction9
};

struct Chunk {
  std::string_view before;
  Piece piece = Piece::none;
  std::string_view text;  // of the piece
  std::string_view after;
};

bool lower_follows(std::string_view text) { return !text.empty() && text[0] >= 'a' && text[0] <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

struct Known {
  std::string_view text;
  Piece piece;
};
// Longer texts before their beginnings.
constexpr Known kKnown[] = {
    {"January", Piece::long_month},
    {"Monday", Piece::long_weekday},
    {"MST", Piece::zone_name},
    {"002", Piece::zero_year_day},
    {"01", Piece::zero_month},
    {"02", Piece::zero_day},
    {"03", Piece::zero_hour12},
    {"04", Piece::zero_minute},
    {"05", Piece::zero_second},
    {"06", Piece::year},
    {"15", Piece::hour},
    {"1", Piece::number_month},
    {"2006", Piece::long_year},
    {"2", Piece::day},
    {"__2", Piece::under_year_day},
    {"_2", Piece::under_day},
    {"3", Piece::hour12},
    {"4", Piece::minute},
    {"5", Piece::second},
    {"PM", Piece::upper_pm},
    {"pm", Piece::lower_pm},
    {"-07:00:00", Piece::number_zone_colon_seconds},
    {"-070000", Piece::number_zone_seconds},
    {"-07:00", Piece::number_zone_colon},
    {"-0700", Piece::number_zone},
    {"-07", Piece::number_zone_short},
    {"Z07:00:00", Piece::iso_zone_colon_seconds},
    {"Z070000", Piece::iso_zone_seconds},
    {"Z07:00", Piece::iso_zone_colon},
    {"Z0700", Piece::iso_zone},
    {"Z07", Piece::iso_zone_short},
};

Chunk next_chunk(std::string_view layout) {
  for (std::size_t i = 0; i < layout.size(); ++i) {
    const std::string_view rest = layout.substr(i);
    const auto found = [&](Piece piece, std::size_t size) {
      return Chunk{layout.substr(0, i), piece, rest.substr(0, size), rest.substr(size)};
    };
    if (rest.starts_with("_2006")) {  // a literal underscore before the year
      ++i;
      return Chunk{layout.substr(0, i), Piece::long_year, layout.substr(i, 4), layout.substr(i + 4)};
    }
    for (const Known& known : kKnown) {
      if (rest.starts_with(known.text)) return found(known.piece, known.text.size());
    }
    if (rest.starts_with("Jan") && !lower_follows(rest.substr(3))) return found(Piece::month, 3);
    if (rest.starts_with("Mon") && !lower_follows(rest.substr(3))) return found(Piece::weekday, 3);
    if ((rest[0] == '.' || rest[0] == ',') && rest.size() > 1 && (rest[1] == '0' || rest[1] == '9')) {
      const std::size_t end = std::min(rest.find_first_not_of(rest[1], 1), rest.size());
      if (end == rest.size() || !is_digit(rest[end])) {
        return found(rest[1] == '0' ? Piece::fraction0 : Piece::fraction9, end);
      }
    }
  }
  return {layout, Piece::none, {}, {}};
}

void append_offset(std::string& out, Piece piece, int offset) {
  const bool iso = piece == Piece::iso_zone || piece == Piece::iso_zone_colon || piece == Piece::iso_zone_short ||
                   piece == Piece::iso_zone_seconds || piece == Piece::iso_zone_colon_seconds;
  if (iso && offset == 0) {
    out += 'Z';
    return;
  }
  out += offset < 0 ? '-' : '+';
  const int seconds = offset < 0 ? -offset : offset;
  fmt::format_to(std::back_inserter(out), "{:02}", seconds / 3600);
  if (piece == Piece::iso_zone_short || piece == Piece::number_zone_short) return;
  const bool colon = piece == Piece::iso_zone_colon || piece == Piece::number_zone_colon ||
                     piece == Piece::iso_zone_colon_seconds || piece == Piece::number_zone_colon_seconds;
  if (colon) out += ':';
  fmt::format_to(std::back_inserter(out), "{:02}", seconds / 60 % 60);
  if (piece == Piece::iso_zone_seconds || piece == Piece::number_zone_seconds ||
      piece == Piece::iso_zone_colon_seconds || piece == Piece::number_zone_colon_seconds) {
    if (colon) out += ':';
    fmt::format_to(std::back_inserter(out), "{:02}", seconds % 60);
  }
}

void append_piece(std::string& out, const Chunk& chunk, const Time& time, const Civil& c) {
  const auto number = [&out](std::int64_t value, int width, char fill) {
    const std::string text = std::to_string(value);
    if (static_cast<int>(text.size()) < width) out.append(width - text.size(), fill);
    out += text;
  };
  const int hour12 = c.hour % 12 == 0 ? 12 : c.hour % 12;
  switch (chunk.piece) {
    case Piece::none: break;
    case Piece::long_month: out += kMonths[c.month - 1]; break;
    case Piece::month: out += kMonths[c.month - 1].substr(0, 3); break;
    case Piece::number_month: number(c.month, 0, '0'); break;
    case Piece::zero_month: number(c.month, 2, '0'); break;
    case Piece::long_weekday: out += kDays[c.weekday]; break;
    case Piece::weekday: out += kDays[c.weekday].substr(0, 3); break;
    case Piece::day: number(c.day, 0, '0'); break;
    case Piece::under_day: number(c.day, 2, ' '); break;
    case Piece::zero_day: number(c.day, 2, '0'); break;
    case Piece::under_year_day: number(c.year_day, 3, ' '); break;
    case Piece::zero_year_day: number(c.year_day, 3, '0'); break;
    case Piece::hour: number(c.hour, 2, '0'); break;
    case Piece::hour12: number(hour12, 0, '0'); break;
    case Piece::zero_hour12: number(hour12, 2, '0'); break;
    case Piece::minute: number(c.minute, 0, '0'); break;
    case Piece::zero_minute: number(c.minute, 2, '0'); break;
    case Piece::second: number(c.second, 0, '0'); break;
    case Piece::zero_second: number(c.second, 2, '0'); break;
    case Piece::long_year:
      if (c.year < 0) out += '-';
      number(c.year < 0 ? -c.year : c.year, 4, '0');
      break;
    case Piece::year: number(((c.year % 100) + 100) % 100, 2, '0'); break;
    case Piece::upper_pm: out += c.hour >= 12 ? "PM" : "AM"; break;
    case Piece::lower_pm: out += c.hour >= 12 ? "pm" : "am"; break;
    case Piece::zone_name:
      if (!c.offset.abbreviation.empty()) {
        out += c.offset.abbreviation;
      } else {
        append_offset(out, c.offset.seconds % 3600 == 0 ? Piece::number_zone_short : Piece::number_zone,
                      c.offset.seconds);
      }
      break;
    case Piece::fraction0:
    case Piece::fraction9: {
      std::string digits = fmt::format("{:09}", time.nanoseconds);
      digits.resize(std::min<std::size_t>(chunk.text.size() - 1, 9));
      if (chunk.piece == Piece::fraction9) {
        while (!digits.empty() && digits.back() == '0') digits.pop_back();
        if (digits.empty()) break;
      }
      out += chunk.text[0];
      out += digits;
      break;
    }
    default: append_offset(out, chunk.piece, c.offset.seconds);
  }
}

// What was read so far.
struct Reading {
  std::int64_t year = 0;
  int month = -1, day = -1, year_day = -1;
  int hour = 0, minute = 0, second = 0;
  std::uint32_t nanoseconds = 0;
  bool pm = false, pm_set = false;
  std::optional<int> offset;
  std::string zone_name;
};

// Takes between `least` and `most` digits.
bool take_number(std::string_view& text, int least, int most, int& out) {
  int count = 0;
  out = 0;
  while (count < most && count < static_cast<int>(text.size()) && is_digit(text[count]))
    out = out * 10 + (text[count++] - '0');
  if (count < least) return false;
  text.remove_prefix(count);
  return true;
}

template <std::size_t N>
bool take_name(std::string_view& text, const std::array<std::string_view, N>& names, bool whole, int& index) {
  for (std::size_t i = 0; i < N; ++i) {
    const std::string_view name = whole ? names[i] : names[i].substr(0, 3);
    if (text.size() >= name.size() &&
        std::equal(name.begin(), name.end(), text.begin(), [](char a, char b) { return (a | 0x20) == (b | 0x20); })) {
      text.remove_prefix(name.size());
      index = static_cast<int>(i);
      return true;
    }
  }
  return false;
}

bool take_offset(std::string_view& text, Piece piece, Reading& r) {
  const bool iso = piece == Piece::iso_zone || piece == Piece::iso_zone_colon || piece == Piece::iso_zone_short ||
                   piece == Piece::iso_zone_seconds || piece == Piece::iso_zone_colon_seconds;
  if (iso && text.starts_with('Z')) {
    text.remove_prefix(1);
    r.offset = 0;
    return true;
  }
  if (text.empty() || (text[0] != '+' && text[0] != '-')) return false;
  const int sign = text[0] == '-' ? -1 : 1;
  text.remove_prefix(1);
  int hours = 0, minutes = 0, seconds = 0;
  if (!take_number(text, 2, 2, hours) || hours > 24) return false;
  const bool colon = piece == Piece::iso_zone_colon || piece == Piece::number_zone_colon ||
                     piece == Piece::iso_zone_colon_seconds || piece == Piece::number_zone_colon_seconds;
  const bool with_seconds = piece == Piece::iso_zone_seconds || piece == Piece::number_zone_seconds ||
                            piece == Piece::iso_zone_colon_seconds || piece == Piece::number_zone_colon_seconds;
  const auto part = [&](int& out) {
    if (colon) {
      if (!text.starts_with(':')) return false;
      text.remove_prefix(1);
    }
    return take_number(text, 2, 2, out) && out < 60;
  };
  if (piece != Piece::iso_zone_short && piece != Piece::number_zone_short) {
    if (!part(minutes) || (with_seconds && !part(seconds))) return false;
  }
  r.offset = sign * (hours * 3600 + minutes * 60 + seconds);
  return true;
}

bool take_fraction(std::string_view& text, std::size_t digits, bool any, Reading& r) {
  if (text.size() < 2 || (text[0] != '.' && text[0] != ',') || !is_digit(text[1])) return any;
  std::size_t count = 0;
  while (count + 1 < text.size() && is_digit(text[count + 1])) ++count;
  if (!any) {
    if (count < digits) return false;
    count = digits;
  }
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 9; ++i) value = value * 10 + (i < count ? text[1 + i] - '0' : 0);
  r.nanoseconds = value;
  text.remove_prefix(count + 1);
  return true;
}

bool take_piece(std::string_view& text, const Chunk& chunk, Reading& r) {
  int number = 0;
  const auto take = [&](int least, int most, int low, int high, int& out) {
    return take_number(text, least, most, out) && out >= low && out <= high;
  };
  switch (chunk.piece) {
    case Piece::none: return true;
    case Piece::long_year:
      if (!take_number(text, 4, 4, number)) return false;
      r.year = number;
      return true;
    case Piece::year:
      if (!take_number(text, 2, 2, number)) return false;
      r.year = number >= 69 ? number + 1900 : number + 2000;
      return true;
    case Piece::long_month: return take_name(text, kMonths, true, r.month) && ++r.month;
    case Piece::month: return take_name(text, kMonths, false, r.month) && ++r.month;
    case Piece::number_month: return take(1, 2, 1, 12, r.month);
    case Piece::zero_month: return take(2, 2, 1, 12, r.month);
    case Piece::long_weekday: return take_name(text, kDays, true, number);
    case Piece::weekday: return take_name(text, kDays, false, number);
    case Piece::under_day:
      if (text.starts_with(' ')) text.remove_prefix(1);
      [[fallthrough]];
    case Piece::day: return take(1, 2, 1, 31, r.day);
    case Piece::zero_day: return take(2, 2, 1, 31, r.day);
    case Piece::under_year_day:
      while (text.starts_with(' ')) text.remove_prefix(1);
      return take(1, 3, 1, 366, r.year_day);
    case Piece::zero_year_day: return take(3, 3, 1, 366, r.year_day);
    case Piece::hour: return take(1, 2, 0, 23, r.hour);
    case Piece::hour12: return take(1, 2, 0, 12, r.hour);
    case Piece::zero_hour12: return take(2, 2, 0, 12, r.hour);
    case Piece::minute: return take(1, 2, 0, 59, r.minute);
    case Piece::zero_minute: return take(2, 2, 0, 59, r.minute);
    case Piece::second:
    case Piece::zero_second:
      if (!take(chunk.piece == Piece::second ? 1 : 2, 2, 0, 59, r.second)) return false;
      // A fraction after the seconds is taken even if the layout has none.
      if (text.size() >= 2 && (text[0] == '.' || text[0] == ',') && is_digit(text[1])) {
        const Piece next = next_chunk(chunk.after).before.empty() ? next_chunk(chunk.after).piece : Piece::none;
        if (next != Piece::fraction0 && next != Piece::fraction9) return take_fraction(text, 0, true, r);
      }
      return true;
    case Piece::upper_pm:
    case Piece::lower_pm: {
      if (text.size() < 2) return false;
      const std::string_view half = text.substr(0, 2);
      const bool upper = chunk.piece == Piece::upper_pm;
      if (half != (upper ? "AM" : "am") && half != (upper ? "PM" : "pm")) return false;
      r.pm = (half[0] | 0x20) == 'p';
      r.pm_set = true;
      text.remove_prefix(2);
      return true;
    }
    case Piece::zone_name: {
      if (text.starts_with("UTC")) {
        text.remove_prefix(3);
        r.offset = 0;
        return true;
      }
      std::size_t n = 0;
      while (n < text.size() && n < 5 && text[n] >= 'A' && text[n] <= 'Z') ++n;
      if (n < 3) return false;
      r.zone_name = text.substr(0, n);
      text.remove_prefix(n);
      return true;
    }
    case Piece::fraction0: return take_fraction(text, chunk.text.size() - 1, false, r);
    case Piece::fraction9: return take_fraction(text, 0, true, r);
    default: return take_offset(text, chunk.piece, r);
  }
}

int days_in(std::int64_t year, int month) {
  const std::int64_t next = month == 12 ? days_from_civil(year + 1, 1, 1) : days_from_civil(year, month + 1, 1);
  return static_cast<int>(next - days_from_civil(year, month, 1));
}

std::unexpected<Error> duration_error(std::string_view what, std::string_view text) {
  return fail(ErrorKind::bad_input, fmt::format("time: {} {}", what, go_quote(text)));
}

}  // namespace

std::int64_t days_from_civil(std::int64_t year, int month, int day) {
  // Howard Hinnant's algorithm: days since 1970-01-01 in the proleptic Gregorian calendar.
  year -= month <= 2;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t year_of_era = year - era * 400;
  const std::int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const std::int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

Civil civil_of(const Time& time) {
  Civil c;
  if (time.zone != nullptr) c.offset = time.zone->at(time.seconds);
  const std::int64_t local = time.seconds + c.offset.seconds;
  std::int64_t days = local / 86400;
  std::int64_t second = local % 86400;
  if (second < 0) {
    second += 86400;
    --days;
  }
  c.hour = static_cast<int>(second / 3600);
  c.minute = static_cast<int>(second / 60 % 60);
  c.second = static_cast<int>(second % 60);
  c.weekday = static_cast<int>(((days + 4) % 7 + 7) % 7);
  const std::int64_t z = days + 719468;
  const std::int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  const std::int64_t day_of_era = z - era * 146097;
  const std::int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted = (5 * day_of_year + 2) / 153;
  c.day = static_cast<int>(day_of_year - (153 * shifted + 2) / 5 + 1);
  c.month = static_cast<int>(shifted < 10 ? shifted + 3 : shifted - 9);
  c.year = year_of_era + era * 400 + (c.month <= 2);
  c.year_day = static_cast<int>(days - days_from_civil(c.year, 1, 1)) + 1;
  return c;
}

std::int64_t unix_seconds(std::int64_t year, int month, int day, int hour, int minute, int second, const Zone* zone) {
  std::int64_t m = month - 1;
  year += m / 12;
  m %= 12;
  if (m < 0) {
    m += 12;
    --year;
  }
  const std::int64_t local =
      (days_from_civil(year, static_cast<int>(m) + 1, 1) + day - 1) * 86400 + hour * 3600LL + minute * 60LL + second;
  if (zone == nullptr) return local;
  // Try the offset in force around it; near a change the second look decides.
  std::int64_t seconds = local - zone->at(local).seconds;
  const int offset = zone->at(seconds).seconds;
  if (local - offset != seconds) seconds = local - offset;
  return seconds;
}

Time time_from_ns(std::int64_t nanoseconds) {
  std::int64_t seconds = nanoseconds / 1'000'000'000;
  std::int64_t rest = nanoseconds % 1'000'000'000;
  if (rest < 0) {
    rest += 1'000'000'000;
    --seconds;
  }
  return {seconds, static_cast<std::uint32_t>(rest), nullptr};
}

std::int64_t unix_nanoseconds(const Time& time) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(time.seconds) * 1'000'000'000ULL + time.nanoseconds);
}

std::string format_time(const Time& time, std::string_view layout) {
  const Civil civil = civil_of(time);
  std::string out;
  while (!layout.empty()) {
    const Chunk chunk = next_chunk(layout);
    out += chunk.before;
    if (chunk.piece == Piece::none) break;
    append_piece(out, chunk, time, civil);
    layout = chunk.after;
  }
  return out;
}

std::string format_time(const Time& time) { return format_time(time, "2006-01-02 15:04:05.999999999 -0700 MST"); }

Result<Time> parse_time(std::string_view layout, std::string_view text, const Zone* zone) {
  const std::string_view whole_layout = layout;
  const std::string_view whole_text = text;
  const auto bad = [&](std::string_view rest, std::string_view piece) {
    return fail(ErrorKind::bad_input, fmt::format("parsing time {} as {}: cannot parse {} as {}", go_quote(whole_text),
                                                  go_quote(whole_layout), go_quote(rest), go_quote(piece)));
  };
  Reading r;
  while (true) {
    const Chunk chunk = next_chunk(layout);
    if (!text.starts_with(chunk.before)) return bad(text, chunk.before);
    text.remove_prefix(chunk.before.size());
    if (chunk.piece == Piece::none) break;
    const std::string_view rest = text;
    if (!take_piece(text, chunk, r)) return bad(rest, chunk.text);
    layout = chunk.after;
  }
  if (!text.empty()) {
    return fail(ErrorKind::bad_input,
                fmt::format("parsing time {}: extra text: {}", go_quote(whole_text), go_quote(text)));
  }
  if (r.pm_set) {
    if (r.pm && r.hour < 12) r.hour += 12;
    if (!r.pm && r.hour == 12) r.hour = 0;
  }
  if (r.year_day >= 0) {
    Time start{days_from_civil(r.year, 1, 1) * 86400 + (r.year_day - 1) * 86400LL, 0, nullptr};
    const Civil c = civil_of(start);
    r.month = c.month;
    r.day = c.day;
  }
  if (r.month < 0) r.month = 1;
  if (r.day < 0) r.day = 1;
  if (r.day > days_in(r.year, r.month)) {
    return fail(ErrorKind::bad_input, fmt::format("parsing time {}: day out of range", go_quote(whole_text)));
  }
  Time time;
  time.nanoseconds = r.nanoseconds;
  if (r.offset) {
    time.seconds = unix_seconds(r.year, r.month, r.day, r.hour, r.minute, r.second, nullptr) - *r.offset;
    if (zone != nullptr && zone->at(time.seconds).seconds == *r.offset) time.zone = zone;
  } else {
    time.seconds = unix_seconds(r.year, r.month, r.day, r.hour, r.minute, r.second, zone);
    time.zone = zone;
  }
  return time;
}

std::string format_duration_go(std::int64_t nanoseconds) {
  if (nanoseconds == 0) return "0s";
  const bool negative = nanoseconds < 0;
  std::uint64_t n = negative ? 0 - static_cast<std::uint64_t>(nanoseconds) : static_cast<std::uint64_t>(nanoseconds);
  std::string out = negative ? "-" : "";
  const auto fraction = [&out](std::uint64_t value, std::uint64_t unit, int digits) {
    out += std::to_string(value / unit);
    std::string text = fmt::format("{:0{}}", value % unit, digits);
    while (!text.empty() && text.back() == '0') text.pop_back();
    if (!text.empty()) out += "." + text;
  };
  if (n < 1000) {
    out += fmt::format("{}ns", n);
  } else if (n < 1'000'000) {
    fraction(n, 1000, 3);
    out += "µs";
  } else if (n < 1'000'000'000) {
    fraction(n, 1'000'000, 6);
    out += "ms";
  } else {
    const std::uint64_t hours = n / 3'600'000'000'000ULL;
    const std::uint64_t minutes = n / 60'000'000'000ULL % 60;
    if (hours > 0) out += fmt::format("{}h", hours);
    if (hours > 0 || minutes > 0) out += fmt::format("{}m", minutes);
    fraction(n % 60'000'000'000ULL, 1'000'000'000, 9);
    out += "s";
  }
  return out;
}

Result<std::int64_t> parse_duration_go(std::string_view text) {
  constexpr std::uint64_t kMost = 1ULL << 63;
  std::string_view rest = text;
  bool negative = false;
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  if (rest == "0") return 0;
  if (rest.empty()) return duration_error("invalid duration", text);
  std::uint64_t total = 0;
  while (!rest.empty()) {
    std::uint64_t whole = 0;
    double scale = 1;
    std::uint64_t part = 0;
    std::size_t i = 0;
    for (; i < rest.size() && is_digit(rest[i]); ++i) {
      if (whole > kMost / 10) return duration_error("invalid duration", text);
      whole = whole * 10 + (rest[i] - '0');
      if (whole > kMost) return duration_error("invalid duration", text);
    }
    bool digits = i > 0;
    if (i < rest.size() && rest[i] == '.') {
      bool full = false;
      for (++i; i < rest.size() && is_digit(rest[i]); ++i) {
        digits = true;
        if (full || part > (kMost - 1) / 10) {
          full = true;
          continue;
        }
        const std::uint64_t next = part * 10 + (rest[i] - '0');
        if (next > kMost) {
          full = true;
          continue;
        }
        part = next;
        scale *= 10;
      }
    }
    if (!digits) return duration_error("invalid duration", text);
    std::size_t end = i;
    while (end < rest.size() && rest[end] != '.' && !is_digit(rest[end])) ++end;
    const std::string_view unit = rest.substr(i, end - i);
    rest.remove_prefix(end);
    if (unit.empty()) return duration_error("missing unit in duration", text);
    std::uint64_t size = 0;
    if (unit == "ns") {
      size = 1;
    } else if (unit == "us" || unit == "µs" || unit == "μs") {
      size = 1000;
    } else if (unit == "ms") {
      size = 1'000'000;
    } else if (unit == "s") {
      size = 1'000'000'000;
    } else if (unit == "m") {
      size = 60'000'000'000;
    } else if (unit == "h") {
      size = 3'600'000'000'000;
    } else {
      return duration_error(fmt::format("unknown unit {} in duration", go_quote(unit)), text);
    }
    if (whole > kMost / size) return duration_error("invalid duration", text);
    whole *= size;
    if (part > 0) whole += static_cast<std::uint64_t>(static_cast<double>(part) * (static_cast<double>(size) / scale));
    if (whole > kMost || total + whole > kMost) return duration_error("invalid duration", text);
    total += whole;
  }
  if (negative) return static_cast<std::int64_t>(0 - total);
  if (total > kMost - 1) return duration_error("invalid duration", text);
  return static_cast<std::int64_t>(total);
}

}  // namespace tocayo::templates
