// SPDX-License-Identifier: Apache-2.0
// timestamp: the line's time from a field.
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <list>
#include <unordered_map>

#include "agent/logs/stage.h"
#include "agent/logs/stage_parsers.h"
#include "template/go_format.h"
#include "template/go_time.h"

namespace tocayo::agent {
namespace {

using templates::Zone;
constexpr std::size_t kMaxStreams = 10'000;  // whose last time is remembered

// A Go layout, or one of the names that count as one.
struct Format {
  enum class Kind : unsigned char { layout, rfc3339_nano, unix_seconds, unix_ms, unix_us, unix_ns } kind = Kind::layout;
  std::string layout;
  bool has_year = true;
};

Format format_of(const std::string& text) {
  using Kind = Format::Kind;
  static const std::map<std::string, std::string, std::less<>> kLayouts = {
      {"ANSIC", "Mon Jan _2 15:04:05 2006"},          {"UnixDate", "Mon Jan _2 15:04:05 MST 2006"},
      {"RubyDate", "Mon Jan 02 15:04:05 -0700 2006"}, {"RFC822", "02 Jan 06 15:04 MST"},
      {"RFC822Z", "02 Jan 06 15:04 -0700"},           {"RFC850", "Monday, 02-Jan-06 15:04:05 MST"},
      {"RFC1123", "Mon, 02 Jan 2006 15:04:05 MST"},   {"RFC1123Z", "Mon, 02 Jan 2006 15:04:05 -0700"},
      {"RFC3339", "2006-01-02T15:04:05Z07:00"},
  };
  static const std::map<std::string, Kind, std::less<>> kKinds = {{"RFC3339Nano", Kind::rfc3339_nano},
                                                                  {"Unix", Kind::unix_seconds},
                                                                  {"UnixMs", Kind::unix_ms},
                                                                  {"UnixUs", Kind::unix_us},
                                                                  {"UnixNs", Kind::unix_ns}};
  if (const auto kind = kKinds.find(text); kind != kKinds.end()) return {.kind = kind->second, .layout = {}};
  if (const auto layout = kLayouts.find(text); layout != kLayouts.end()) return {.layout = layout->second};
  return {.layout = text, .has_year = text.find("06") != std::string::npos};
}

std::optional<std::int64_t> whole(std::string_view text) {
  const auto value = templates::parse_int(text);
  return value ? std::optional(*value) : std::nullopt;
}

std::optional<TimestampNs> scaled(std::string_view text, std::int64_t unit) {
  const auto value = whole(text);
  std::int64_t out = 0;
  if (!value || __builtin_mul_overflow(*value, unit, &out)) return std::nullopt;
  return out;
}

std::optional<TimestampNs> unix_seconds(std::string_view text) {
  const auto dot = text.find('.');
  if (dot == std::string_view::npos || text.find('.', dot + 1) != std::string_view::npos)
    return scaled(text, 1'000'000'000);
  const auto seconds = scaled(text.substr(0, dot), 1'000'000'000);
  const auto digits = text.substr(dot + 1);
  const auto fraction = whole(digits);
  if (!seconds || !fraction) return std::nullopt;
  const double nanoseconds = static_cast<double>(*fraction) * std::pow(10.0, 9.0 - static_cast<double>(digits.size()));
  return *seconds + static_cast<std::int64_t>(nanoseconds);
}

std::optional<TimestampNs> without_year(const std::string& layout, std::string_view text, const Zone* zone,
                                        TimestampNs now) {
  const auto parsed = templates::parse_time(layout, text, zone);
  if (!parsed) return std::nullopt;
  auto civil = templates::civil_of(*parsed);
  if (civil.year != 0) return std::nullopt;  // it does have a year
  const auto today = templates::civil_of(templates::time_from_ns(now));
  std::int64_t year = today.year;
  if (civil.month == 12 && today.month == 1) --year;
  if (civil.month == 1 && today.month == 12) ++year;
  const auto seconds =
      templates::unix_seconds(year, civil.month, civil.day, civil.hour, civil.minute, civil.second, parsed->zone);
  return seconds * 1'000'000'000 + static_cast<std::int64_t>(parsed->nanoseconds);
}

std::optional<TimestampNs> read_time(const Format& format, std::string_view text, const Zone* zone, TimestampNs now) {
  switch (format.kind) {
    case Format::Kind::rfc3339_nano: return parse_rfc3339_nano(text);
    case Format::Kind::unix_seconds: return unix_seconds(text);
    case Format::Kind::unix_ms: return scaled(text, 1'000'000);
    case Format::Kind::unix_us: return scaled(text, 1'000);
    case Format::Kind::unix_ns: return scaled(text, 1);
    case Format::Kind::layout: break;
  }
  if (!format.has_year) return without_year(format.layout, text, zone, now);
  const auto parsed = templates::parse_time(format.layout, text, zone);
  if (!parsed) return std::nullopt;
  // Outside 1678…2262 there are no nanoseconds.
  if (parsed->seconds > 9'223'372'035 || parsed->seconds < -9'223'372'035) return std::nullopt;
  return templates::unix_nanoseconds(*parsed);
}

struct TimestampSettings {
  std::string source;
  std::vector<Format> formats;  // the first is `format`, the others fallback_formats
  const Zone* zone = nullptr;
  bool fudge = true;  // a line without a time gets that of the one before and a nanosecond
};

class TimestampStage final : public PlainStage {
 public:
  TimestampStage(std::shared_ptr<const TimestampSettings> settings, const StageContext& context)
      : settings_(std::move(settings)), context_(context) {}

 protected:
  bool work(LogLine& line) override {
    std::string scratch;
    std::optional<TimestampNs> time;
    if (const auto text = line.fields.text(settings_->source, scratch)) {
      for (const Format& format : settings_->formats) {
        time = read_time(format, *text, settings_->zone, context_.wall());
        if (time) break;
      }
    }
    if (!settings_->fudge) {
      if (time) line.time = *time;
      return true;
    }
    if (!time) {
      const auto* last = find(line.labels->hash());
      if (last == nullptr) return true;
      time = *last + 1;
    }
    line.time = *time;
    remember(line.labels->hash(), *time);
    return true;
  }

 private:
  const TimestampNs* find(std::uint64_t stream) {
    const auto found = places_.find(stream);
    return found == places_.end() ? nullptr : &found->second->second;
  }
  void remember(std::uint64_t stream, TimestampNs time) {
    if (const auto found = places_.find(stream); found != places_.end()) {
      found->second->second = time;
      recent_.splice(recent_.begin(), recent_, found->second);
      return;
    }
    recent_.emplace_front(stream, time);
    places_[stream] = recent_.begin();
    if (recent_.size() <= kMaxStreams) return;
    places_.erase(recent_.back().first);
    recent_.pop_back();
  }

  std::shared_ptr<const TimestampSettings> settings_;
  const StageContext& context_;
  std::list<std::pair<std::uint64_t, TimestampNs>> recent_;  // last times by stream, the latest first
  std::unordered_map<std::uint64_t, std::list<std::pair<std::uint64_t, TimestampNs>>::iterator> places_;
};

bool two_digits(std::string_view text, std::size_t at, int& out) {
  const char a = text[at], b = text[at + 1];
  if (a < '0' || a > '9' || b < '0' || b > '9') return false;
  out = (a - '0') * 10 + (b - '0');
  return true;
}

}  // namespace

std::optional<TimestampNs> parse_rfc3339_nano(std::string_view text) {
  // 2006-01-02T15:04:05[.999999999](Z|±07:00)
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':')
    return std::nullopt;
  int century = 0, year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (!two_digits(text, 0, century) || !two_digits(text, 2, year) || !two_digits(text, 5, month) ||
      !two_digits(text, 8, day) || !two_digits(text, 11, hour) || !two_digits(text, 14, minute) ||
      !two_digits(text, 17, second))
    return std::nullopt;
  year += century * 100;
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (month < 1 || month > 12 || day < 1 || day > kDays[month - 1] + (month == 2 && leap ? 1 : 0) || hour > 23 ||
      minute > 59 || second > 59 || year < 1678 || year > 2261)
    return std::nullopt;
  std::size_t at = 19;
  std::int64_t nanoseconds = 0;
  if (text[at] == '.' || text[at] == ',') {
    std::int64_t unit = 100'000'000;
    const auto first = ++at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
      nanoseconds += (text[at] - '0') * unit;
      unit /= 10;
    }
    if (at == first || at == text.size()) return std::nullopt;
  }
  std::int64_t offset = 0;
  if (text[at] == 'Z') {
    if (at + 1 != text.size()) return std::nullopt;
  } else {
    int hours = 0, minutes = 0;
    if (text.size() != at + 6 || (text[at] != '+' && text[at] != '-') || text[at + 3] != ':' ||
        !two_digits(text, at + 1, hours) || !two_digits(text, at + 4, minutes) || hours > 24 || minutes > 59)
      return std::nullopt;
    offset = (hours * 60 + minutes) * 60 * (text[at] == '-' ? -1 : 1);
  }
  const auto days = templates::days_from_civil(year, month, day);
  return (days * 86'400 + hour * 3600 + minute * 60 + second - offset) * 1'000'000'000 + nanoseconds;
}

Result<StageFactory> parse_timestamp_stage(const YAML::Node& name, const YAML::Node& config, const std::string& file) {
  yaml::Fields fields(config, file);
  TRY(fields.open());
  auto settings = std::make_shared<TimestampSettings>();
  std::string format, location, action = "fudge";
  std::vector<std::string> fallbacks;
  TRY(fields.read("source", settings->source));
  TRY(fields.read("format", format));
  TRY(fields.read("fallback_formats", fallbacks));
  TRY(fields.read("location", location));
  TRY(fields.read("action_on_failure", action));
  TRY(fields.finish());
  if (settings->source.empty()) return stage_error(name, file, "timestamp: source is missing");
  if (format.empty()) return stage_error(name, file, "timestamp: format is missing");
  if (action != "fudge" && action != "skip")
    return std::unexpected(fields.error("action_on_failure", "fudge or skip is expected"));
  auto zone = Zone::load(location);
  if (!zone) return std::unexpected(fields.error("location", zone.error().message));
  settings->zone = *zone;
  settings->fudge = action == "fudge";
  settings->formats.push_back(format_of(format));
  for (const auto& fallback : fallbacks) settings->formats.push_back(format_of(fallback));
  return [settings](const StageContext& context) -> std::unique_ptr<Stage> {
    return std::make_unique<TimestampStage>(settings, context);
  };
}

}  // namespace tocayo::agent
