// SPDX-License-Identifier: Apache-2.0
// Reads the system's time zone files (TZif, RFC 8536).
#include <algorithm>
#include <charconv>
#include <map>
#include <mutex>

#include "core/text.h"
#include "template/go_time.h"

namespace tocayo::templates {
namespace {

std::int64_t big_endian(std::string_view bytes, std::size_t at, int size) {
  std::uint64_t value = 0;
  for (int i = 0; i < size; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  if (size == 4) return static_cast<std::int32_t>(value);
  return static_cast<std::int64_t>(value);
}

// One rule of a POSIX TZ text: "M3.2.0/2", "J60", "59".
struct Rule {
  char kind = 'M';
  int month = 1;
  int week = 1;
  int day = 0;
  int seconds = 7200;
};

class PosixZone {
 public:
  explicit PosixZone(std::string_view text) : text_(text) {
    valid_ = name(standard_name_) && offset(standard_offset_);
    if (!valid_ || text_.empty()) return;
    has_daylight_ = name(daylight_name_);
    daylight_offset_ = standard_offset_ + 3600;
    if (has_daylight_ && !text_.empty() && text_[0] != ',') has_daylight_ = offset(daylight_offset_);
    has_daylight_ = has_daylight_ && rule(start_) && rule(end_);
  }

  bool valid() const { return valid_; }
  bool has_daylight() const { return has_daylight_; }
  const std::string& standard_name() const { return standard_name_; }
  const std::string& daylight_name() const { return daylight_name_; }
  int standard_offset() const { return standard_offset_; }
  int daylight_offset() const { return daylight_offset_; }
  // Unix seconds at which daylight saving begins and ends in a year.
  std::int64_t begins(std::int64_t year) const { return moment(start_, year) - standard_offset_; }
  std::int64_t ends(std::int64_t year) const { return moment(end_, year) - daylight_offset_; }

 private:
  bool name(std::string& out) {
    std::size_t n = 0;
    if (!text_.empty() && text_[0] == '<') {
      n = text_.find('>');
      if (n == std::string_view::npos) return false;
      out = text_.substr(1, n - 1);
      text_.remove_prefix(n + 1);
      return true;
    }
    while (n < text_.size() && ((text_[n] | 0x20) >= 'a' && (text_[n] | 0x20) <= 'z')) ++n;
    out = text_.substr(0, n);
    text_.remove_prefix(n);
    return n >= 3;
  }
  bool number(int& out) {
    const auto parsed = std::from_chars(text_.data(), text_.data() + text_.size(), out);
    if (parsed.ec != std::errc()) return false;
    text_.remove_prefix(parsed.ptr - text_.data());
    return true;
  }
  bool clock(int& seconds) {
    bool negative = false;
    if (!text_.empty() && (text_[0] == '-' || text_[0] == '+')) {
      negative = text_[0] == '-';
      text_.remove_prefix(1);
    }
    int part = 0;
    if (!number(part)) return false;
    seconds = part * 3600;
    for (const int unit : {60, 1}) {
      if (text_.empty() || text_[0] != ':') break;
      text_.remove_prefix(1);
      if (!number(part)) return false;
      seconds += part * unit;
    }
    if (negative) seconds = -seconds;
    return true;
  }
  // POSIX counts west of Greenwich as positive.
  bool offset(int& out) {
    if (!clock(out)) return false;
    out = -out;
    return true;
  }
  bool rule(Rule& out) {
    if (text_.empty() || text_[0] != ',') return false;
    text_.remove_prefix(1);
    if (!text_.empty() && text_[0] == 'M') {
      text_.remove_prefix(1);
      if (!number(out.month) || text_.empty()) return false;
      text_.remove_prefix(1);
      if (!number(out.week) || text_.empty()) return false;
      text_.remove_prefix(1);
      if (!number(out.day)) return false;
    } else {
      out.kind = !text_.empty() && text_[0] == 'J' ? 'J' : 'N';
      if (out.kind == 'J') text_.remove_prefix(1);
      if (!number(out.day)) return false;
    }
    if (!text_.empty() && text_[0] == '/') {
      text_.remove_prefix(1);
      return clock(out.seconds);
    }
    return true;
  }
  static std::int64_t moment(const Rule& rule, std::int64_t year) {
    std::int64_t day = 0;
    if (rule.kind == 'M') {
      const std::int64_t first = days_from_civil(year, rule.month, 1);
      const int weekday = static_cast<int>(((first + 4) % 7 + 7) % 7);
      day = first + (rule.day - weekday + 7) % 7 + 7 * (rule.week - 1);
      const std::int64_t next =
          rule.month == 12 ? days_from_civil(year + 1, 1, 1) : days_from_civil(year, rule.month + 1, 1);
      if (day >= next) day -= 7;
    } else {
      const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
      day =
          days_from_civil(year, 1, 1) + (rule.kind == 'J' ? rule.day - 1 + (leap && rule.day >= 60 ? 1 : 0) : rule.day);
    }
    return day * 86400 + rule.seconds;
  }

  std::string_view text_;
  bool valid_ = false;
  bool has_daylight_ = false;
  std::string standard_name_;
  std::string daylight_name_;
  int standard_offset_ = 0;
  int daylight_offset_ = 0;
  Rule start_;
  Rule end_;
};

std::unexpected<Error> unknown(std::string_view name) {
  return fail(ErrorKind::bad_input, "unknown time zone " + std::string(name));
}

}  // namespace

class ZoneLoader {
 public:
  static Result<std::unique_ptr<Zone>> read(std::string_view name) {
    if (name.empty() || name[0] == '/' || name.find("..") != std::string_view::npos ||
        name.find('\\') != std::string_view::npos || name.find('\0') != std::string_view::npos || name.size() > 200) {
      return unknown(name);
    }
    auto file = read_file("/usr/share/zoneinfo/" + std::string(name), 1 << 20);
    if (!file || file->size() < 44 || !file->starts_with("TZif")) return unknown(name);
    auto zone = std::make_unique<Zone>();
    zone->name_ = name;
    if (!parse(*file, *zone)) return unknown(name);
    return zone;
  }

 private:
  struct Counts {
    std::int64_t utc, standard, leaps, transitions, kinds, characters;
  };
  static Counts counts(std::string_view bytes, std::size_t at) {
    return {big_endian(bytes, at + 20, 4), big_endian(bytes, at + 24, 4), big_endian(bytes, at + 28, 4),
            big_endian(bytes, at + 32, 4), big_endian(bytes, at + 36, 4), big_endian(bytes, at + 40, 4)};
  }
  static std::size_t size_of(const Counts& c, int time_size) {
    return c.transitions * (time_size + 1) + c.kinds * 6 + c.characters + c.leaps * (time_size + 4) + c.standard +
           c.utc;
  }
  static bool parse(std::string_view bytes, Zone& zone) {
    Counts c = counts(bytes, 0);
    std::size_t at = 44;
    int time_size = 4;
    if (bytes[4] >= '2') {  // the second block has 64-bit times
      at += size_of(c, 4);
      if (at + 44 > bytes.size()) return false;
      c = counts(bytes, at);
      at += 44;
      time_size = 8;
    }
    if (c.kinds <= 0 || c.kinds > 256 || c.transitions < 0 || c.transitions > 10'000 || c.characters < 0 ||
        c.characters > 10'000 || at + size_of(c, time_size) > bytes.size()) {
      return false;
    }
    for (std::int64_t i = 0; i < c.transitions; ++i) {
      zone.transitions_.push_back(big_endian(bytes, at + i * time_size, time_size));
      zone.kind_of_transition_.push_back(static_cast<unsigned char>(bytes[at + c.transitions * time_size + i]));
      if (zone.kind_of_transition_.back() >= c.kinds) return false;
    }
    const std::size_t kinds = at + c.transitions * (time_size + 1);
    const std::string_view names = bytes.substr(kinds + c.kinds * 6, c.characters);
    for (std::int64_t i = 0; i < c.kinds; ++i) {
      const auto name = static_cast<unsigned char>(bytes[kinds + i * 6 + 5]);
      if (name >= names.size()) return false;
      zone.kinds_.push_back({static_cast<std::int32_t>(big_endian(bytes, kinds + i * 6, 4)),
                             std::string(names.substr(name, names.find('\0', name) - name)),
                             bytes[kinds + i * 6 + 4] != 0});
    }
    const std::size_t footer = at + size_of(c, time_size);
    if (time_size == 8 && footer < bytes.size() && bytes[footer] == '\n') {
      extend(zone, bytes.substr(footer + 1, bytes.find('\n', footer + 1) - footer - 1));
    }
    return true;
  }
  // Turns the rule for the future into transitions up to 2200.
  static void extend(Zone& zone, std::string_view rule) {
    const PosixZone posix(rule);
    if (!posix.valid() || !posix.has_daylight() || zone.kinds_.size() > 250) return;
    zone.kinds_.push_back({posix.standard_offset(), posix.standard_name(), false});
    zone.kinds_.push_back({posix.daylight_offset(), posix.daylight_name(), true});
    const auto standard = static_cast<unsigned char>(zone.kinds_.size() - 2);
    const std::int64_t last = zone.transitions_.empty() ? 0 : zone.transitions_.back();
    std::vector<std::pair<std::int64_t, unsigned char>> added;
    for (std::int64_t year = 1970; year <= 2200; ++year) {
      added.emplace_back(posix.begins(year), static_cast<unsigned char>(standard + 1));
      added.emplace_back(posix.ends(year), standard);
    }
    std::sort(added.begin(), added.end());
    for (const auto& [time, kind] : added) {
      if (time <= last) continue;
      zone.transitions_.push_back(time);
      zone.kind_of_transition_.push_back(kind);
    }
  }
};

Result<const Zone*> Zone::load(std::string_view name) {
  if (name.empty() || name == "UTC" || name == "Local") return nullptr;
  static std::mutex mutex;
  // Leaked on purpose: times keep pointers to zones. Only names that exist are kept.
  static auto* zones = new std::map<std::string, std::unique_ptr<Zone>, std::less<>>();
  const std::lock_guard lock(mutex);
  if (const auto found = zones->find(name); found != zones->end()) return found->second.get();
  auto zone = TRY(ZoneLoader::read(name));
  return zones->emplace(std::string(name), std::move(zone)).first->second.get();
}

Zone::Offset Zone::at(std::int64_t seconds) const {
  const auto next = std::upper_bound(transitions_.begin(), transitions_.end(), seconds);
  const Kind* kind = &kinds_.front();
  if (next != transitions_.begin()) {
    kind = &kinds_[kind_of_transition_[next - transitions_.begin() - 1]];
  } else if (const auto plain = std::find_if(kinds_.begin(), kinds_.end(), [](const Kind& k) { return !k.daylight; });
             plain != kinds_.end()) {
    kind = &*plain;
  }
  return {kind->offset, kind->abbreviation};
}

}  // namespace tocayo::templates
