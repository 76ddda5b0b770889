// SPDX-License-Identifier: Apache-2.0
// Hand-written scanners over the text of /proc and /sys. Every function takes any bytes: it stops at the end of the
// view, and a number that does not fit is no number. No allocation.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tocayo::agent::scan {

inline bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'; }
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Cuts the next line (without '\n') off `text`. False at the end.
inline bool next_line(std::string_view& text, std::string_view& line) {
  if (text.empty()) return false;
  std::size_t end = text.find('\n');
  if (end == std::string_view::npos) {
    line = text;
    text = {};
  } else {
    line = text.substr(0, end);
    text.remove_prefix(end + 1);
  }
  return true;
}

// Cuts the next word (bytes between blanks; a newline is a blank too) off `text`. Empty at the end.
inline std::string_view next_word(std::string_view& text) {
  std::size_t i = 0;
  while (i < text.size() && (is_space(text[i]) || text[i] == '\n')) ++i;
  std::size_t start = i;
  while (i < text.size() && !is_space(text[i]) && text[i] != '\n') ++i;
  std::string_view word = text.substr(start, i - start);
  text.remove_prefix(i);
  return word;
}

inline std::string_view trim(std::string_view text) {
  while (!text.empty() && (is_space(text.front()) || text.front() == '\n' || text.front() == '\0'))
    text.remove_prefix(1);
  while (!text.empty() && (is_space(text.back()) || text.back() == '\n' || text.back() == '\0')) text.remove_suffix(1);
  return text;
}

// The whole of `word` as a number; nullopt otherwise.
inline std::optional<std::uint64_t> to_u64(std::string_view word, int base = 10) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, base);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}
inline std::optional<std::int64_t> to_i64(std::string_view word) {
  if (!word.empty() && word.front() == '+') word.remove_prefix(1);
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}
inline std::optional<double> to_double(std::string_view word) {
  if (!word.empty() && word.front() == '+') word.remove_prefix(1);
  double value = 0;
  auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}
// With an optional 0x prefix.
inline std::optional<std::uint64_t> to_u64_any(std::string_view word) {
  if (word.starts_with("0x") || word.starts_with("0X")) return to_u64(word.substr(2), 16);
  return to_u64(word);
}

// Cuts a decimal number off the front, after blanks on the same line. False when there is none; then `text` is only
// skipped over the blanks.
inline bool next_u64(std::string_view& text, std::uint64_t& value) {
  std::size_t i = 0;
  while (i < text.size() && is_space(text[i])) ++i;
  text.remove_prefix(i);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

// "0-3,8,10-11" (kernel list format): calls each(n). False on anything else, or on a list over 65536 entries.
template <typename Each>
bool each_of_list(std::string_view list, Each each) {
  list = trim(list);
  std::size_t total = 0;
  while (!list.empty()) {
    std::size_t comma = list.find(',');
    std::string_view part = list.substr(0, comma);
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    std::size_t dash = part.find('-');
    auto first = to_u64(part.substr(0, dash));
    auto last = dash == std::string_view::npos ? first : to_u64(part.substr(dash + 1));
    if (!first || !last || *last < *first || *last - *first >= 65536) return false;
    total += static_cast<std::size_t>(*last - *first) + 1;
    if (total > 65536) return false;
    for (std::uint64_t n = *first; n <= *last; ++n) each(n);
  }
  return true;
}

// A small number as text without allocation.
class NumberText {
 public:
  explicit NumberText(std::uint64_t value) { end_ = std::to_chars(text_, text_ + sizeof text_, value).ptr; }
  operator std::string_view() const { return {text_, static_cast<std::size_t>(end_ - text_)}; }

 private:
  char text_[24];
  char* end_;
};

}  // namespace tocayo::agent::scan
