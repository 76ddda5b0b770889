// SPDX-License-Identifier: Apache-2.0
// Series descriptions: labels, then values with repetitions, steps, gaps and native histograms.
#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "promql/parser_internal.h"
#include "promql/testfile.h"

namespace tocayo::promql::testing {
namespace {

using metrics::FloatHistogram;

constexpr std::uint64_t kMostRepetitions = 10'000'000;

bool is_space(char c) { return c == ' ' || c == '\t'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::unexpected<Error> bad(std::string message) { return fail(ErrorKind::bad_input, std::move(message)); }

// End of the `{…}` that starts at `at`, quotes heeded; npos when it is not closed.
std::size_t end_of_braces(std::string_view text, std::size_t at) {
  char quote = 0;
  for (; at < text.size(); ++at) {
    char c = text[at];
    if (quote) {
      if (c == '\\' && quote != '`')
        ++at;
      else if (c == quote)
        quote = 0;
    } else if (c == '"' || c == '\'' || c == '`') {
      quote = c;
    } else if (c == '}') {
      return at + 1;
    }
  }
  return std::string_view::npos;
}

class SequenceParser {
 public:
  explicit SequenceParser(std::string_view text) : text_(text) {}

  Result<std::vector<SequenceValue>> run() {
    std::vector<SequenceValue> values;
    for (;;) {
      skip_spaces();
      if (at_end()) return values;
      auto item_result = item(values);
      if (!item_result) return std::unexpected(std::move(item_result.error()));
      if (!at_end() && !is_space(text_[at_])) return unexpected_here("series values");
    }
  }

 private:
  bool at_end() const { return at_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool take(char c) {
    if (peek() != c || at_end()) return false;
    ++at_;
    return true;
  }
  void skip_spaces() {
    while (!at_end() && is_space(text_[at_])) ++at_;
  }
  std::unexpected<Error> unexpected_here(std::string_view where) const {
    return bad(at_end() ? fmt::format("unexpected end of {}", where)
                        : fmt::format("unexpected character '{}' in {} at column {}", text_[at_], where, at_ + 1));
  }

  Result<std::uint64_t> repetitions() {
    std::uint64_t count = 0;
    auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), count);
    if (error != std::errc() || count > kMostRepetitions) return bad("invalid repetition in series values");
    at_ = static_cast<std::size_t>(end - text_.data());
    return count;
  }

  // Unsigned: decimal with exponent and underscores, a duration ("1m" is 60), Inf, NaN. Ends before `x`, a sign, a
  // space or `]`.
  Result<double> unsigned_number() {
    std::size_t begin = at_;
    if (is_digit(peek()) || peek() == '.') {
      while (!at_end() && (is_digit(peek()) || peek() == '.' || peek() == '_')) ++at_;
      if ((peek() == 'e' || peek() == 'E') && at_ + 1 < text_.size()) {
        std::size_t after = at_ + 1;
        if (text_[after] == '+' || text_[after] == '-') ++after;
        if (after < text_.size() && is_digit(text_[after])) {
          at_ = after;
          while (!at_end() && is_digit(peek())) ++at_;
        }
      }
      if (std::string_view("smhdwy").find(peek()) != std::string_view::npos && !at_end()) {
        while (!at_end() && (is_digit(peek()) || std::string_view("smhdwy").find(peek()) != std::string_view::npos))
          ++at_;
        auto duration = detail::parse_duration_literal_text(text_.substr(begin, at_ - begin));
        if (!duration) return std::unexpected(std::move(duration.error()));
        return static_cast<double>(duration->count()) / 1000;
      }
    } else {
      while (!at_end() && std::isalpha(static_cast<unsigned char>(peek())) && peek() != 'x') ++at_;
    }
    if (at_ == begin) return unexpected_here("number");
    return detail::parse_number_text(text_.substr(begin, at_ - begin));
  }

  Result<double> signed_number() {
    bool negative = take('-');
    if (!negative) take('+');
    double value = TRY(unsigned_number());
    return negative ? -value : value;
  }

  Result<> item(std::vector<SequenceValue>& values) {
    if (text_.substr(at_).starts_with("{{")) return histogram_item(values);
    if (take('_')) {
      std::uint64_t count = 1;
      if (take('x')) count = TRY(repetitions());
      values.insert(values.end(), count, SequenceValue{.omitted = true});
      return {};
    }
    if (text_.substr(at_).starts_with("stale")) {
      at_ += 5;
      return repeat(values, SequenceValue{.value = metrics::kStaleNaN});
    }
    double value = TRY(signed_number());
    if (peek() != '+' && peek() != '-') return repeat(values, SequenceValue{.value = value});
    double step = TRY(signed_number());
    if (!take('x')) return unexpected_here("series values");
    std::uint64_t count = TRY(repetitions());
    for (std::uint64_t i = 0; i <= count; ++i, value += step) values.push_back({.value = value});
    return {};
  }

  // The value once, or N more times with `xN`.
  Result<> repeat(std::vector<SequenceValue>& values, SequenceValue value) {
    std::uint64_t count = 0;
    if (take('x')) count = TRY(repetitions());
    values.insert(values.end(), count + 1, value);
    return {};
  }

  Result<> histogram_item(std::vector<SequenceValue>& values) {
    bool hint_set = false;
    FloatHistogram base = TRY(histogram(hint_set));
    if (peek() != '+' && peek() != '-') {
      return repeat(values,
                    {.histogram = std::make_shared<const FloatHistogram>(std::move(base)), .hint_set = hint_set});
    }
    bool subtract = text_[at_++] == '-';
    if (!text_.substr(at_).starts_with("{{")) return unexpected_here("series values");
    // As in Prometheus, the flag of the second one holds for all.
    FloatHistogram step = TRY(histogram(hint_set));
    if (!take('x')) return unexpected_here("series values");
    std::uint64_t count = TRY(repetitions());
    FloatHistogram current = std::move(base);
    for (std::uint64_t i = 0;; ++i) {
      values.push_back({.histogram = std::make_shared<const FloatHistogram>(current), .hint_set = hint_set});
      if (i == count) return {};
      if (current.schema > step.schema) {
        return bad(
            fmt::format("error combining histograms: cannot merge from schema {} to {}", step.schema, current.schema));
      }
      auto outcome = subtract ? current.subtract(step) : current.add(step);
      if (outcome.incompatible) return bad("error combining histograms: exponential and custom buckets");
    }
  }

  struct BucketList {
    std::vector<double> counts;
    std::int64_t offset = 0;
    std::vector<metrics::Span> spans() const {
      if (counts.empty()) return {};
      return {{static_cast<std::int32_t>(offset), static_cast<std::uint32_t>(counts.size())}};
    }
  };

  Result<FloatHistogram> histogram(bool& hint_set) {
    at_ += 2;
    FloatHistogram result;
    BucketList positive, negative;
    std::vector<std::string> seen;
    hint_set = false;
    for (;;) {
      skip_spaces();
      if (text_.substr(at_).starts_with("}}")) {
        at_ += 2;
        break;
      }
      std::size_t begin = at_;
      while (!at_end() && (std::isalpha(static_cast<unsigned char>(peek())) || peek() == '_')) ++at_;
      std::string key(text_.substr(begin, at_ - begin));
      if (key.empty() || !take(':')) return unexpected_here("histogram description");
      if (std::find(seen.begin(), seen.end(), key) != seen.end())
        return bad(fmt::format("duplicate key \"{}\" in histogram", key));
      if (key == "counter_reset_hint") hint_set = true;
      auto read = field(key, result, positive, negative);
      if (!read) return std::unexpected(std::move(read.error()));
      seen.push_back(std::move(key));
      if (!is_space(peek()) && peek() != '}') return unexpected_here("histogram description");
    }
    result.positive_spans = positive.spans();
    result.positive_buckets = std::move(positive.counts);
    result.negative_spans = negative.spans();
    result.negative_buckets = std::move(negative.counts);
    return result;
  }

  Result<> field(const std::string& key, FloatHistogram& result, BucketList& positive, BucketList& negative) {
    if (key == "schema")
      result.schema = static_cast<std::int32_t>(TRY(integer()));
    else if (key == "sum")
      result.sum = TRY(signed_number());
    else if (key == "count")
      result.count = TRY(signed_number());
    else if (key == "z_bucket")
      result.zero_count = TRY(signed_number());
    else if (key == "z_bucket_w")
      result.zero_threshold = TRY(unsigned_number());
    else if (key == "custom_values")
      result.custom_values = TRY(list());
    else if (key == "buckets")
      positive.counts = TRY(list());
    else if (key == "offset")
      positive.offset = TRY(integer());
    else if (key == "n_buckets")
      negative.counts = TRY(list());
    else if (key == "n_offset")
      negative.offset = TRY(integer());
    else if (key == "counter_reset_hint")
      result.hint = TRY(reset_hint());
    else
      return bad(fmt::format("bad histogram descriptor found: \"{}\"", key));
    return {};
  }

  Result<std::int64_t> integer() {
    std::int64_t value = 0;
    auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc() || value > INT32_MAX || value < INT32_MIN) return unexpected_here("integer");
    at_ = static_cast<std::size_t>(end - text_.data());
    return value;
  }

  Result<std::vector<double>> list() {
    if (!take('[')) return unexpected_here("bucket list");
    std::vector<double> result;
    for (;;) {
      skip_spaces();
      if (take(']')) return result;
      result.push_back(TRY(signed_number()));
      if (!is_space(peek()) && peek() != ']') return unexpected_here("bucket list");
    }
  }

  Result<metrics::ResetHint> reset_hint() {
    static constexpr std::pair<std::string_view, metrics::ResetHint> kHints[] = {
        {"unknown", metrics::ResetHint::unknown},
        {"reset", metrics::ResetHint::reset},
        {"not_reset", metrics::ResetHint::not_reset},
        {"gauge", metrics::ResetHint::gauge}};
    std::size_t begin = at_;
    while (!at_end() && (std::isalpha(static_cast<unsigned char>(peek())) || peek() == '_')) ++at_;
    std::string_view word = text_.substr(begin, at_ - begin);
    for (auto [text, hint] : kHints) {
      if (text == word) return hint;
    }
    return bad(fmt::format("error parsing counter_reset_hint: unknown value {}", word));
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

struct SignedDuration {
  std::int64_t milliseconds = 0;
  std::string_view rest;
};

// One number with its unit; `x` ends it.
Result<SignedDuration> duration_prefix(std::string_view text) {
  bool negative = text.starts_with('-');
  std::size_t begin = negative || text.starts_with('+') ? 1 : 0;
  std::size_t at = begin;
  while (at < text.size() && is_digit(text[at])) ++at;
  if (at == begin) return bad(fmt::format("expected digits in duration \"{}\"", text));
  while (at < text.size() && std::isalpha(static_cast<unsigned char>(text[at])) && text[at] != 'x') ++at;
  auto duration = detail::parse_duration_literal_text(text.substr(begin, at - begin));
  if (!duration) return std::unexpected(std::move(duration.error()));
  return SignedDuration{negative ? -duration->count() : duration->count(), text.substr(at)};
}

Result<std::uint64_t> repeat_count(std::string_view text) {
  std::uint64_t count = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count > kMostRepetitions)
    return bad("invalid repeat count");
  return count;
}

Result<> start_time_item(std::string_view item, std::vector<std::optional<std::int64_t>>& out) {
  if (item == "_") {
    out.emplace_back();
    return {};
  }
  if (item.starts_with("_x")) {
    out.insert(out.end(), TRY(repeat_count(item.substr(2))), std::nullopt);
    return {};
  }
  SignedDuration base = TRY(duration_prefix(item));
  std::int64_t step = 0;
  std::string_view rest = base.rest;
  if (!rest.empty() && rest[0] != 'x') {
    if (rest[0] != '+' && rest[0] != '-') return bad(fmt::format("unexpected character '{}' after duration", rest[0]));
    SignedDuration delta = TRY(duration_prefix(rest.substr(1)));
    step = rest[0] == '-' ? -delta.milliseconds : delta.milliseconds;
    rest = delta.rest;
    if (rest.empty() || rest[0] != 'x') return bad("expected 'x<count>' after step duration");
  }
  std::uint64_t count = rest.empty() ? 0 : TRY(repeat_count(rest.substr(1)));
  for (std::uint64_t i = 0; i <= count; ++i) out.emplace_back(base.milliseconds + static_cast<std::int64_t>(i) * step);
  return {};
}

}  // namespace

Result<SeriesDescription> parse_series_description(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  std::size_t end = text.find_first_of(" \t{");
  if (end != std::string_view::npos && text[end] == '{') {
    end = end_of_braces(text, end);
    if (end == std::string_view::npos) return bad("unexpected end of input inside braces");
  }
  std::string_view labels_text = text.substr(0, end);
  SeriesDescription result;
  if (labels_text != "{}") result.labels = TRY(parse_metric(labels_text));
  std::string_view values = end == std::string_view::npos ? std::string_view() : text.substr(end);
  if (!values.empty() && !is_space(values.front()))
    return bad(fmt::format("unexpected character '{}' after the labels", values.front()));
  result.values = TRY(SequenceParser(values).run());
  return result;
}

Result<std::vector<std::optional<std::int64_t>>> parse_start_time_sequence(std::string_view text) {
  std::vector<std::optional<std::int64_t>> result;
  for (std::size_t at = 0; at < text.size();) {
    if (is_space(text[at])) {
      ++at;
      continue;
    }
    std::size_t end = std::min(text.find_first_of(" \t", at), text.size());
    std::string_view item = text.substr(at, end - at);
    auto read = start_time_item(item, result);
    if (!read) return bad(fmt::format("invalid start time \"{}\": {}", item, read.error().message));
    at = end;
  }
  return result;
}

}  // namespace tocayo::promql::testing
