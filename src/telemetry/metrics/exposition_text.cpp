// SPDX-License-Identifier: Apache-2.0
#include "metrics/exposition_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "core/hash.h"
#include "core/labels.h"
#include "core/text.h"
#include "metrics/histogram.h"

namespace tocayo::metrics {

namespace {

constexpr std::array<bool, 256> table(bool colon, bool digits) {
  std::array<bool, 256> result{};
  for (int c = 'a'; c <= 'z'; ++c) result[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) result[static_cast<std::size_t>(c)] = true;
  result['_'] = true;
  result[':'] = colon;
  if (digits) {
    for (int c = '0'; c <= '9'; ++c) result[static_cast<std::size_t>(c)] = true;
  }
  return result;
}
constexpr auto kNameStart = table(true, false);
constexpr auto kNameRest = table(true, true);
constexpr auto kLabelStart = table(false, false);
constexpr auto kLabelRest = table(false, true);

constexpr std::size_t kShownBytes = 60;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

// Go's strconv.ParseFloat without 'p' and '_', as Prometheus' text parsers use it.
std::optional<double> parse_value(std::string_view token) {
  if (token.size() == 1 && token[0] >= '0' && token[0] <= '9') return token[0] - '0';
  std::string_view digits = token;
  bool negative = false;
  if (!digits.empty() && (digits[0] == '+' || digits[0] == '-')) {
    negative = digits[0] == '-';
    digits.remove_prefix(1);
  }
  if (digits.empty()) return {};
  if ((digits[0] >= '0' && digits[0] <= '9') || digits[0] == '.') {
    double value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (end != digits.data() + digits.size()) return {};
    if (error == std::errc::result_out_of_range) {
      // Too small is zero, too big is an error.
      value = std::strtod(std::string(digits).c_str(), nullptr);
      if (std::isinf(value)) return {};
    } else if (error != std::errc{} || std::isinf(value)) {
      return {};
    }
    return negative ? -value : value;
  }
  const std::string word = to_lower(digits);
  if (word == "inf" || word == "infinity") {
    return negative ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  }
  if (word == "nan" && digits.size() == token.size()) return std::numeric_limits<double>::quiet_NaN();
  return {};
}

}  // namespace

std::string openmetrics_number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  std::string text = format_shortest(value);
  if (text.find_first_of("e.") == std::string::npos) text += ".0";
  return text;
}

std::optional<ExpositionFormat> exposition_format(std::string_view content_type) {
  const auto parts = split(content_type, ';');
  const std::string media = to_lower(trim(parts.empty() ? std::string_view{} : parts[0]));
  if (media == "text/plain") return ExpositionFormat::text;
  if (media == "application/openmetrics-text") return ExpositionFormat::openmetrics;
  if (media == "application/vnd.google.protobuf") return ExpositionFormat::protobuf;
  return {};
}

ExpositionTextParser::ExpositionTextParser(std::string_view body, ExpositionTextOptions options)
    : body_(body), options_(options) {}

std::unexpected<Error> ExpositionTextParser::error(std::size_t at, std::string_view what) const {
  const std::size_t place = std::min(at, body_.size());
  const auto line = 1 + std::count(body_.begin(), body_.begin() + static_cast<std::ptrdiff_t>(place), '\n');
  const std::size_t newline = place == 0 ? std::string_view::npos : body_.rfind('\n', place - 1);
  const std::size_t line_start = newline == std::string_view::npos ? 0 : newline + 1;
  std::string_view shown = body_.substr(line_start);
  shown = shown.substr(0, std::min({shown.find('\n'), shown.size(), kShownBytes}));
  return fail(ErrorKind::bad_input, fmt::format("line {}, column {}: {} while parsing: {}", line,
                                                place - line_start + 1, what, go_quote(shown)));
}

void ExpositionTextParser::skip_blanks() {
  while (at_ < body_.size() && is_blank(body_[at_])) ++at_;
}

// A metric name (with colons) or a label name; empty when there is none here.
std::string_view ExpositionTextParser::take_classic_name(bool colon) {
  const auto& start = colon ? kNameStart : kLabelStart;
  const auto& rest = colon ? kNameRest : kLabelRest;
  const std::size_t begin = at_;
  if (at_ >= body_.size() || !start[static_cast<unsigned char>(body_[at_])]) return {};
  ++at_;
  while (at_ < body_.size() && rest[static_cast<unsigned char>(body_[at_])]) ++at_;
  return body_.substr(begin, at_ - begin);
}

void ExpositionTextParser::Arena::clear() {
  block_ = used_ = 0;
  if (blocks_.size() > 1) blocks_.erase(blocks_.begin(), blocks_.end() - 1);  // the last is the biggest
}

char* ExpositionTextParser::Arena::reserve(std::size_t size) {
  if (blocks_.empty() || blocks_[block_].size() - used_ < size) {
    if (!blocks_.empty()) ++block_;
    used_ = 0;
    if (block_ == blocks_.size()) {
      const std::size_t last = blocks_.empty() ? 512 : blocks_.back().size();
      blocks_.emplace_back(std::max(size, 2 * last));
    }
  }
  return blocks_[block_].data() + used_;
}

std::string_view ExpositionTextParser::Arena::commit(std::size_t size) {
  const std::string_view text(blocks_[block_].data() + used_, size);
  used_ += size;
  return text;
}

// `\\`, `\n` and (in label values) `\"` undone; any other backslash stays.
std::string_view ExpositionTextParser::unescape(std::string_view raw, bool quotes) {
  if (raw.find('\\') == std::string_view::npos) return raw;
  char* const out = arena_.reserve(raw.size());
  std::size_t size = 0;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] == '\\' && i + 1 < raw.size()) {
      const char next = raw[i + 1];
      if (next == '\\' || next == 'n' || (next == '"' && quotes)) {
        out[size++] = next == 'n' ? '\n' : next;
        ++i;
        continue;
      }
    }
    out[size++] = raw[i];
  }
  return arena_.commit(size);
}

// A string in double quotes at the cursor, which ends up behind it. Raw: escapes are not undone.
Result<std::string_view> ExpositionTextParser::quoted(bool newline_allowed) {
  const std::size_t begin = ++at_;
  while (at_ < body_.size()) {
    const char c = body_[at_];
    if (c == '"') {
      const std::string_view raw = body_.substr(begin, at_ - begin);
      ++at_;
      if (!is_valid_utf8(raw)) return error(begin, "invalid UTF-8 in quoted string");
      return raw;
    }
    if (c == '\n' && !newline_allowed) break;
    at_ += c == '\\' ? 2 : 1;
  }
  return error(begin - 1, "unterminated quoted string");
}

Result<ExpositionEvent> ExpositionTextParser::next() {
  if (finished_) return ExpositionEvent::end;
  start_time_ = 0;
  auto event = options_.openmetrics ? next_openmetrics() : next_text();
  if (!event) {
    finished_ = true;
    return event;
  }
  if (*event == ExpositionEvent::end) finished_ = true;
  return event;
}

Result<ExpositionEvent> ExpositionTextParser::next_text() {
  for (;;) {
    skip_blanks();
    if (at_end()) return ExpositionEvent::end;
    const char c = peek();
    if (c == '\n') {
      ++at_;
      continue;
    }
    if (c != '#') return sample();
    const std::size_t begin = at_;
    ++at_;
    if (is_blank(peek())) {
      skip_blanks();
      for (const std::string_view keyword : {"HELP", "TYPE"}) {
        if (body_.substr(at_).starts_with(keyword) && at_ + 4 < body_.size() && is_blank(body_[at_ + 4])) {
          at_ += 4;
          skip_blanks();
          return metadata(keyword);
        }
      }
    }
    const std::size_t end = std::min(body_.find('\n', at_), body_.size());
    text_ = body_.substr(begin, end - begin);
    at_ = std::min(end + 1, body_.size());
    return ExpositionEvent::comment;
  }
}

Result<ExpositionEvent> ExpositionTextParser::next_openmetrics() {
  for (;;) {
    if (at_end()) return error(at_, "data does not end with # EOF");
    if (peek() != '#') {
      auto event = sample();
      if (!event || peeking_ || !options_.created_as_start_time) return event;
      if (is_created_sample()) continue;
      find_start_time();
      return event;
    }
    const std::string_view rest = body_.substr(at_);
    if (rest.starts_with("# EOF")) {
      const std::size_t after = at_ + 5;
      if (after == body_.size() || (body_[after] == '\n' && after + 1 == body_.size())) {
        if (!peeking_) at_ = body_.size();
        return ExpositionEvent::end;
      }
      return error(after, "unexpected data after # EOF");
    }
    for (const std::string_view keyword : {"HELP", "TYPE", "UNIT"}) {
      if (rest.size() > 7 && rest.starts_with("# ") && rest.substr(2, 4) == keyword && rest[6] == ' ') {
        at_ += 7;
        return metadata(keyword);
      }
    }
    return error(at_, "expected # HELP, # TYPE, # UNIT, # EOF or a sample");
  }
}

// The family's name at the cursor, plain or quoted.
Result<> ExpositionTextParser::metadata_name(std::string_view keyword) {
  if (peek() == '"') {
    const std::string_view raw = TRY(quoted(!options_.openmetrics));
    family_ = unescape(raw, true);
  } else {
    family_ = take_classic_name(true);
  }
  if (family_.empty()) return error(at_, fmt::format("expected metric name after {}", keyword));
  return {};
}

Result<ExpositionEvent> ExpositionTextParser::metadata(std::string_view keyword) {
  arena_.clear();
  if (auto name = metadata_name(keyword); !name) return std::unexpected(std::move(name.error()));
  const std::size_t end = std::min(body_.find('\n', at_), body_.size());
  if (options_.openmetrics && (end == body_.size() || body_[at_] != ' '))
    return error(at_, fmt::format("expected text in {}", keyword));
  const std::size_t begin = at_;
  // One separator, then the text as it stands.
  const std::string_view raw = end > begin ? body_.substr(begin + 1, end - begin - 1) : std::string_view{};
  at_ = std::min(end + 1, body_.size());
  start_identity_ = 0;
  family_without_created_ = false;
  if (keyword == "HELP") {
    if (!is_valid_utf8(raw)) return error(begin + 1, "help text is not a valid UTF-8 string");
    text_ = unescape(raw, options_.openmetrics);
    return ExpositionEvent::help;
  }
  if (keyword == "UNIT") {
    if (!raw.empty() &&
        !(family_.size() > raw.size() && family_.ends_with(raw) && family_[family_.size() - raw.size() - 1] == '_')) {
      return error(begin + 1, fmt::format("unit {} not a suffix of metric {}", go_quote(raw), go_quote(family_)));
    }
    text_ = raw;
    return ExpositionEvent::unit;
  }
  struct Named {
    std::string_view name;
    Type type;
    bool text, openmetrics;
  };
  static constexpr Named kTypes[] = {
      {"counter", Type::counter, true, true},
      {"gauge", Type::gauge, true, true},
      {"histogram", Type::histogram, true, true},
      {"summary", Type::summary, true, true},
      {"untyped", Type::unknown, true, false},
      {"unknown", Type::unknown, false, true},
      {"info", Type::info, false, true},
      {"stateset", Type::stateset, false, true},
      {"gaugehistogram", Type::gaugehistogram, false, true},
  };
  for (const Named& known : kTypes) {
    if (known.name != raw || !(options_.openmetrics ? known.openmetrics : known.text)) continue;
    type_ = known.type;
    text_ = known.type == Type::unknown ? "unknown" : known.name;
    return ExpositionEvent::type;
  }
  return error(begin + 1, fmt::format("invalid metric type {}", go_quote(raw)));
}

Result<ExpositionEvent> ExpositionTextParser::sample() {
  const std::size_t begin = at_;
  arena_.clear();
  labels_.clear();
  if (!peeking_) has_exemplar_ = false;
  name_ = take_classic_name(true);
  name_set_ = !name_.empty();
  if (name_set_ && !options_.openmetrics) {
    // Blanks may stand between name and brace.
    std::size_t brace = at_;
    while (brace < body_.size() && is_blank(body_[brace])) ++brace;
    if (brace < body_.size() && body_[brace] == '{') at_ = brace;
  }
  if (peek() == '{') {
    ++at_;
    if (options_.openmetrics) {
      if (auto read = labels_openmetrics(labels_, false); !read) return std::unexpected(std::move(read.error()));
    } else if (auto read = labels_text(); !read) {
      return std::unexpected(std::move(read.error()));
    }
  } else if (!name_set_) {
    return error(begin, "expected a metric name, { or a comment");
  }
  if (!name_set_) return error(begin, "metric name not set");
  series_ = body_.substr(begin, at_ - begin);
  if (type_ == Type::histogram || type_ == Type::summary) normalize_bounds();
  auto end = options_.openmetrics ? end_of_sample_openmetrics() : end_of_sample_text();
  if (!end) return std::unexpected(std::move(end.error()));
  return ExpositionEvent::sample;
}

// `"value"` behind a label's `=`.
Result<> ExpositionTextParser::label_pair(std::string_view name, std::vector<ExpositionLabel>& out) {
  if (peek() != '"') return error(at_, "expected label value");
  const std::string_view raw = TRY(quoted(!options_.openmetrics));
  out.push_back({name, unescape(raw, true)});
  return {};
}

// Inside the braces; blanks anywhere, commas between labels optional, as Prometheus reads the old format.
Result<> ExpositionTextParser::labels_text() {
  for (;;) {
    skip_blanks();
    if (at_end()) return error(at_, "expected label name, got end of data");
    if (peek() == '}') {
      ++at_;
      return {};
    }
    const std::size_t begin = at_;
    std::string_view name;
    const bool is_quoted = peek() == '"';
    if (is_quoted) {
      const std::string_view raw = TRY(quoted(true));
      name = unescape(raw, true);
    } else {
      name = take_classic_name(false);
      if (name.empty()) return error(at_, "expected label name");
    }
    skip_blanks();
    if (is_quoted && (peek() == ',' || peek() == '}')) {
      if (name_set_) return error(begin, "metric name already set");
      name_ = name;
      name_set_ = !name.empty();
      if (!name_set_) return error(begin, "metric name is empty");
      if (peek() == ',') ++at_;
      continue;
    }
    if (peek() != '=') return error(at_, "expected equal");
    ++at_;
    skip_blanks();
    if (auto pair = label_pair(name, labels_); !pair) return pair;
    skip_blanks();
    if (peek() == ',') ++at_;
  }
}

// Inside the braces of a series or an exemplar; no blanks, commas required.
Result<> ExpositionTextParser::labels_openmetrics(std::vector<ExpositionLabel>& out, bool exemplar) {
  if (peek() == '}') {
    ++at_;
    return {};
  }
  for (;;) {
    const std::size_t begin = at_;
    std::string_view name;
    const bool is_quoted = peek() == '"';
    if (is_quoted) {
      const std::string_view raw = TRY(quoted(false));
      name = unescape(raw, true);
    } else {
      name = take_classic_name(false);
      if (name.empty()) return error(at_, "expected label name");
    }
    if (is_quoted && !exemplar && (peek() == ',' || peek() == '}')) {
      if (name_set_) return error(begin, "metric name already set");
      if (name.empty()) return error(begin, "metric name is empty");
      name_ = name;
      name_set_ = true;
    } else {
      if (peek() != '=') return error(at_, "expected equal");
      ++at_;
      if (auto pair = label_pair(name, out); !pair) return pair;
    }
    if (peek() == '}') {
      ++at_;
      return {};
    }
    if (peek() != ',') return error(at_, "expected comma or brace close");
    ++at_;
    if (peek() == '}') {  // a trailing comma is allowed
      ++at_;
      return {};
    }
  }
}

Result<double> ExpositionTextParser::number(std::string_view token, std::size_t at) const {
  if (const auto value = parse_value(token)) return *value;
  return error(at, fmt::format("cannot read {} as a number", go_quote(token.substr(0, kShownBytes))));
}

Result<> ExpositionTextParser::end_of_sample_text() {
  skip_blanks();
  std::size_t begin = at_;
  while (at_ < body_.size() && !is_blank(body_[at_]) && body_[at_] != '\n' && body_[at_] != '{') ++at_;
  if (begin == at_) return error(at_, "expected value after metric");
  value_ = TRY(number(body_.substr(begin, at_ - begin), begin));
  time_.reset();
  skip_blanks();
  if (!at_end() && peek() >= '0' && peek() <= '9') {
    begin = at_;
    while (at_ < body_.size() && body_[at_] >= '0' && body_[at_] <= '9') ++at_;
    TimestampMs time = 0;
    if (std::from_chars(body_.data() + begin, body_.data() + at_, time).ec != std::errc{}) {
      return error(begin, "timestamp is out of range");
    }
    time_ = time;
    skip_blanks();
    if (!at_end() && peek() != '\n') return error(at_, "expected next entry after timestamp");
  } else if (!at_end() && peek() != '\n') {
    return error(at_, "expected timestamp or new record");
  }
  if (!at_end()) ++at_;
  return {};
}

Result<TimestampMs> ExpositionTextParser::openmetrics_time(std::string_view token, std::size_t at) const {
  const double seconds = TRY(number(token, at));
  if (!std::isfinite(seconds)) return error(at, "invalid timestamp");
  const double milliseconds = seconds * 1000;
  if (std::fabs(milliseconds) >= 9.2e18) return error(at, "timestamp is out of range");
  return static_cast<TimestampMs>(milliseconds);
}

Result<> ExpositionTextParser::end_of_sample_openmetrics() {
  // " token": one blank, then anything up to the next one.
  const auto token = [&]() -> std::string_view {
    if (peek() != ' ') return {};
    const std::size_t begin = at_ + 1;
    std::size_t end = begin;
    while (end < body_.size() && body_[end] != ' ' && body_[end] != '\n') ++end;
    at_ = end;
    return body_.substr(begin, end - begin);
  };
  std::size_t begin = at_ + 1;
  std::string_view text = token();
  if (text.empty()) return error(at_, "expected value after metric");
  value_ = TRY(number(text, begin));
  time_.reset();
  if (at_end()) return error(at_, "data does not end with # EOF");
  if (peek() == ' ' && !body_.substr(at_).starts_with(" # {")) {
    begin = at_ + 1;
    text = token();
    if (text.empty()) return error(begin, "expected timestamp, exemplar or new record");
    time_ = TRY(openmetrics_time(text, begin));
    if (at_end()) return error(at_, "data does not end with # EOF");
  }
  if (peek() == ' ') {
    if (!body_.substr(at_).starts_with(" # {")) return error(at_, "expected exemplar or new record");
    at_ += 4;
    if (peeking_) {
      at_ = std::min(body_.find('\n', at_), body_.size());
      if (at_end()) return error(at_, "data does not end with # EOF");
    } else if (auto read = read_exemplar(); !read) {
      return read;
    }
  }
  if (peek() != '\n') return error(at_, "expected new record");
  ++at_;
  return {};
}

// Behind " # {".
Result<> ExpositionTextParser::read_exemplar() {
  exemplar_.labels.clear();
  exemplar_.time.reset();
  if (auto read = labels_openmetrics(exemplar_.labels, true); !read) return read;
  const auto token = [&]() -> std::string_view {
    const std::size_t begin = at_ + 1;
    std::size_t end = begin;
    while (end < body_.size() && body_[end] != ' ' && body_[end] != '\n') ++end;
    at_ = end;
    return body_.substr(begin, end - begin);
  };
  if (peek() != ' ') return error(at_, "expected value after exemplar labels");
  std::size_t begin = at_ + 1;
  exemplar_.value = TRY(number(token(), begin));
  if (peek() == ' ') {
    begin = at_ + 1;
    exemplar_.time = TRY(openmetrics_time(token(), begin));
  }
  if (at_end()) return error(at_, "data does not end with # EOF");
  if (peek() != '\n') return error(at_, "expected next entry after exemplar");
  has_exemplar_ = true;
  return {};
}

void ExpositionTextParser::normalize_bounds() {
  const std::string_view wanted = type_ == Type::histogram ? "le" : "quantile";
  for (ExpositionLabel& label : labels_) {
    if (label.name != wanted) continue;
    const auto value = parse_value(label.value);
    if (!value) continue;
    const std::string text = openmetrics_number(*value);
    if (text == label.value) continue;
    std::copy(text.begin(), text.end(), arena_.reserve(text.size()));
    label.value = arena_.commit(text.size());
  }
}

bool ExpositionTextParser::is_created_sample() const {
  return (type_ == Type::counter || type_ == Type::histogram || type_ == Type::summary) &&
         name_.ends_with("_created") && name_.size() > 8;
}

// Of the metric that a sample belongs to: base name and labels without le and quantile.
std::uint64_t ExpositionTextParser::series_identity(std::string_view name) const {
  std::uint64_t sum = 0;  // order of labels does not matter
  for (const ExpositionLabel& label : labels_) {
    if (type_ == Type::histogram && label.name == "le") continue;
    if (type_ == Type::summary && label.name == "quantile") continue;
    sum += hash64(label.value, hash64(label.name));
  }
  const std::uint64_t identity = hash64(name, sum);
  return identity == 0 ? 1 : identity;
}

// Looks ahead, within the family, for the `_created` sample that belongs to the sample just read.
void ExpositionTextParser::find_start_time() {
  if (family_without_created_) return;
  std::string_view base = name_;
  if (type_ == Type::counter) {
    if (base.ends_with("_total")) base.remove_suffix(6);
  } else if (type_ == Type::histogram || type_ == Type::summary) {
    for (const std::string_view suffix : {"_bucket", "_count", "_sum"}) {
      if (base.ends_with(suffix)) {
        base.remove_suffix(suffix.size());
        break;
      }
    }
  } else {
    return;
  }
  const std::uint64_t identity = series_identity(base);
  if (identity == start_identity_) {
    start_time_ = known_start_;
    return;
  }
  // A second cursor over the same body; this one's state stays as it is.
  ExpositionTextParser ahead(body_, options_);
  ahead.at_ = at_;
  ahead.type_ = type_;
  ahead.peeking_ = true;
  bool any = false;
  start_identity_ = identity;
  known_start_ = 0;
  for (;;) {
    auto event = ahead.next_openmetrics();
    if (!event || *event != ExpositionEvent::sample) break;
    if (!ahead.is_created_sample()) continue;
    any = true;
    if (ahead.series_identity(ahead.name_.substr(0, ahead.name_.size() - 8)) == identity) {
      const double milliseconds = ahead.value_ * 1000;
      if (std::fabs(milliseconds) < 9.2e18) known_start_ = static_cast<TimestampMs>(milliseconds);
    }
    break;  // the first one decides: `_created` stands directly behind its metric
  }
  family_without_created_ = !any;
  start_time_ = known_start_;
}

}  // namespace tocayo::metrics
