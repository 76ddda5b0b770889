// SPDX-License-Identifier: Apache-2.0
#include "syslog/syslog_message.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>

namespace tocayo::syslog {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::size_t kMostParameters = 256;

constexpr std::array<std::string_view, 24> kFacilities = {"kern",   "user",   "mail",   "daemon", "auth",     "syslog",
                                                          "lpr",    "news",   "uucp",   "cron",   "authpriv", "ftp",
                                                          "ntp",    "audit",  "alert",  "clock",  "local0",   "local1",
                                                          "local2", "local3", "local4", "local5", "local6",   "local7"};
constexpr std::array<std::string_view, 8> kSeverities = {"emerg",   "alert",  "crit", "error",
                                                         "warning", "notice", "info", "debug"};
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

bool digit(char c) { return c >= '0' && c <= '9'; }

// Takes from the front of a text.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}
  std::string_view rest() const { return rest_; }
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // Exactly `count` digits.
  bool number(std::size_t count, int& out) {
    if (rest_.size() < count) return false;
    out = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (!digit(rest_[i])) return false;
      out = out * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(count);
    return true;
  }
  // Up to the next space or the end; false when empty.
  bool word(std::string_view& out) {
    out = rest_.substr(0, rest_.find(' '));
    rest_.remove_prefix(out.size());
    return !out.empty();
  }
  void skip_spaces() {
    while (take(' ')) {
    }
  }

 private:
  std::string_view rest_;
};

bool time_of_day(Reader& in, std::int64_t& seconds) {
  int hour = 0;
  int minute = 0;
  int second = 0;
  if (!in.number(2, hour) || !in.take(':') || !in.number(2, minute) || !in.take(':') || !in.number(2, second))
    return false;
  if (hour > 23 || minute > 59 || second > 60) return false;
  seconds = hour * 3600 + minute * 60 + second;
  return true;
}

// Up to nine digits behind a point.
std::int64_t fraction(Reader& in) {
  if (!in.take('.')) return 0;
  std::int64_t ns = 0;
  int count = 0;
  for (int value = 0; in.number(1, value); ++count) {
    if (count < 9) ns = ns * 10 + value;
  }
  for (; count < 9; ++count) ns *= 10;
  return ns;
}

bool days_of(int year, int month, int day, std::int64_t& days) {
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || year < 1678 || year > 2261) return false;
  days = std::chrono::sys_days(date).time_since_epoch().count();
  return true;
}

// RFC 3339, as both kinds of messages may have it.
bool read_rfc3339(Reader& reader, TimestampNs& out) {
  Reader in = reader;
  int year = 0;
  int month = 0;
  int day = 0;
  std::int64_t days = 0;
  std::int64_t seconds = 0;
  if (!in.number(4, year) || !in.take('-') || !in.number(2, month) || !in.take('-') || !in.number(2, day)) return false;
  if (!in.take('T') || !time_of_day(in, seconds) || !days_of(year, month, day, days)) return false;
  const auto ns = fraction(in);
  std::int64_t offset = 0;
  if (!in.take('Z')) {
    const bool minus = in.take('-');
    int hours = 0;
    int minutes = 0;
    if (!minus && !in.take('+')) return false;
    if (!in.number(2, hours)) return false;
    (void)in.take(':');
    if (!in.number(2, minutes)) return false;
    offset = (hours * 60 + minutes) * 60;
    if (minus) offset = -offset;
  }
  if (!in.rest().empty() && in.rest().front() != ' ') return false;
  out = (days * 86'400 + seconds - offset) * kSecond + ns;
  reader = in;
  return true;
}

// "Nov  5 04:03:02", as RFC 3164 has it; also with a year behind the day or the time, and a fraction.
bool read_rfc3164_date(Reader& reader, TimestampNs now, TimestampNs& out) {
  Reader in = reader;
  const auto month = std::find(kMonths.begin(), kMonths.end(), in.rest().substr(0, 3)) - kMonths.begin();
  if (month == 12) return false;
  for (int i = 0; i < 3; ++i) (void)in.take(in.rest().front());
  in.skip_spaces();
  int day = 0;
  if (Reader two = in; two.number(2, day)) {
    in = two;
  } else if (!in.number(1, day)) {
    return false;
  }
  if (!in.take(' ')) return false;
  in.skip_spaces();
  int year = 0;
  if (Reader four = in; four.number(4, year) && four.take(' ')) {
    in = four;
  } else {
    year = 0;
  }
  std::int64_t seconds = 0;
  if (!time_of_day(in, seconds)) return false;
  const auto ns = fraction(in);
  if (Reader behind = in; year == 0 && behind.take(' ')) {
    int after = 0;
    if (behind.number(4, after) && after > 1970 && after < 2200 &&
        (behind.rest().empty() || behind.rest().front() == ' ' || behind.rest().front() == ':')) {
      year = after;
      in = behind;
    }
  }
  (void)in.take(':');  // Cisco
  const auto at = [&](int candidate, TimestampNs& time) {
    std::int64_t days = 0;
    if (!days_of(candidate, static_cast<int>(month) + 1, day, days)) return false;
    time = (days * 86'400 + seconds) * kSecond + ns;
    return true;
  };
  if (year != 0) {
    if (!at(year, out)) return false;
  } else {
    const std::chrono::year_month_day today{std::chrono::floor<std::chrono::days>(
        std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(now)))};
    bool found = false;
    const int this_year = static_cast<int>(today.year());
    for (int candidate = this_year - 1; candidate <= this_year + 1; ++candidate) {
      TimestampNs time = 0;
      if (!at(candidate, time)) continue;  // the 29th of February
      if (!found || std::abs(time - now) < std::abs(out - now)) out = time;
      found = true;
    }
    if (!found) return false;
  }
  reader = in;
  return true;
}

// `[id name="value" …]…` or `-`. False: not of this form.
bool read_data(Reader& reader, std::vector<Message::Parameter>& data) {
  Reader in = reader;
  if (in.take('-')) {
    reader = in;
    return true;
  }
  bool any = false;
  while (in.take('[')) {
    any = true;
    const auto id = in.rest().substr(0, in.rest().find_first_of(" ]"));
    if (id.empty() || id.size() == in.rest().size()) return false;
    for (std::size_t i = 0; i < id.size(); ++i) (void)in.take(id[i]);
    while (!in.take(']')) {
      if (!in.take(' ')) return false;
      const auto name = in.rest().substr(0, in.rest().find_first_of("= ]\""));
      if (name.empty()) {
        if (in.rest().empty()) return false;
        continue;  // more spaces than one
      }
      for (std::size_t i = 0; i < name.size(); ++i) (void)in.take(name[i]);
      if (!in.take('=') || !in.take('"')) return false;
      std::string value;
      while (!in.take('"')) {
        if (in.rest().empty()) return false;
        char c = in.rest().front();
        (void)in.take(c);
        if (c == '\\' && !in.rest().empty() &&
            (in.rest().front() == '"' || in.rest().front() == '\\' || in.rest().front() == ']')) {
          c = in.rest().front();
          (void)in.take(c);
        }
        value.push_back(c);
      }
      if (data.size() < kMostParameters) data.push_back({id, name, std::move(value)});
    }
  }
  if (!any) return false;
  reader = in;
  return true;
}

std::string_view unless_nil(std::string_view word) { return word == "-" ? std::string_view() : word; }

// Behind the priority: `1 TIME HOST APP PROC ID DATA TEXT`.
bool read_rfc5424(Reader& reader, Message& message) {
  Reader in = reader;
  if (!in.take('1') || !in.take(' ')) return false;
  Message made = message;
  std::string_view word;
  if (!read_rfc3339(in, made.time)) {
    if (!in.take('-')) return false;
  }
  for (std::string_view* part : {&made.host, &made.app, &made.process, &made.id}) {
    if (!in.take(' ') || !in.word(word)) return false;
    *part = unless_nil(word);
  }
  if (!in.take(' ') || !read_data(in, made.data)) return false;
  if (!in.rest().empty() && !in.take(' ')) return false;
  made.text = in.rest();
  if (made.text.starts_with("\xEF\xBB\xBF")) made.text.remove_prefix(3);
  message = std::move(made);
  return true;
}

// `TAG[PID]: TEXT`, and what looks like it.
void read_tag(Reader& in, Message& message) {
  const auto rest = in.rest();
  std::size_t end = 0;
  while (end < rest.size() && end < 128 && rest[end] > ' ' && rest[end] != ':' && rest[end] != '[') ++end;
  if (end == 0 || end == rest.size()) return;
  const auto tag = rest.substr(0, end);
  auto behind = rest.substr(end);
  std::string_view process;
  if (behind.front() == '[') {
    const auto close = behind.find(']');
    if (close == std::string_view::npos) return;
    process = behind.substr(1, close - 1);
    behind.remove_prefix(close + 1);
  }
  if (!behind.empty() && behind.front() == ':') {
    behind.remove_prefix(1);
  } else if (process.empty()) {
    return;  // a word of the text
  }
  if (!behind.empty() && behind.front() == ' ') behind.remove_prefix(1);
  message.app = tag;
  message.process = process;
  message.text = behind;
}

void read_rfc3164(Reader in, Message& message, TimestampNs now) {
  message.text = in.rest();
  TimestampNs time = 0;
  Reader dated = in;
  (void)dated.take('*');  // a clock that is not set, Cisco
  if (!read_rfc3164_date(dated, now, time) && !read_rfc3339(dated, time)) {
    read_tag(in, message);
    return;
  }
  message.time = time;
  dated.skip_spaces();
  message.text = dated.rest();
  // A host is a word without what ends a tag: some senders leave it out.
  Reader named = dated;
  std::string_view host;
  if (named.word(host) && host.find_first_of(":[") == std::string_view::npos && named.take(' ')) {
    message.host = host;
    named.skip_spaces();
    message.text = named.rest();
    read_tag(named, message);
    return;
  }
  // An IPv6 address is a host as well.
  if (std::count(host.begin(), host.end(), ':') > 1 && host.back() != ':' && named.take(' ')) {
    message.host = host;
    message.text = named.rest();
    read_tag(named, message);
    return;
  }
  read_tag(dated, message);
}

}  // namespace

std::string_view facility_name(int facility) {
  return facility >= 0 && facility < 24 ? kFacilities[static_cast<std::size_t>(facility)] : std::string_view();
}
std::string_view severity_name(int severity) {
  return severity >= 0 && severity < 8 ? kSeverities[static_cast<std::size_t>(severity)] : std::string_view();
}

Message parse_message(std::string_view bytes, Format format, TimestampNs now) {
  while (!bytes.empty() && (bytes.back() == '\n' || bytes.back() == '\r' || bytes.back() == '\0'))
    bytes.remove_suffix(1);
  Message message;
  message.time = now;
  message.text = bytes;
  Reader in(bytes);
  if (Reader marked = in; marked.take('<')) {
    int priority = 0;
    int value = 0;
    int count = 0;
    while (count < 3 && marked.number(1, value)) {
      priority = priority * 10 + value;
      ++count;
    }
    if (count > 0 && priority < 192 && marked.take('>')) {
      message.facility = priority / 8;
      message.severity = priority % 8;
      message.text = marked.rest();
      in = marked;
      if (format != Format::rfc3164 && read_rfc5424(in, message)) return message;
    }
  }
  if (format != Format::rfc5424) read_rfc3164(in, message, now);
  return message;
}

}  // namespace tocayo::syslog
