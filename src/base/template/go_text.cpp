// SPDX-License-Identifier: Apache-2.0
#include "template/go_text.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>

#include "core/utf8.h"

namespace tocayo::templates {
namespace {

using Rune = std::uint32_t;

bool pairs_even_upper(Rune c) {  // alphabets whose capital letters are the even code points
  return (c >= 0x100 && c <= 0x137) || (c >= 0x14A && c <= 0x177) || (c >= 0x1E00 && c <= 0x1E95) ||
         (c >= 0x1EA0 && c <= 0x1EFF) || (c >= 0x460 && c <= 0x481) || (c >= 0x48A && c <= 0x4BF) ||
         (c >= 0x4D0 && c <= 0x52F);
}
bool pairs_odd_upper(Rune c) { return (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E); }

Rune upper(Rune c) {
  if (c < 0x80) return c >= 'a' && c <= 'z' ? c - 32 : c;
  if (c == 0xB5) return 0x39C;
  if (c == 0xFF) return 0x178;
  if ((c >= 0xE0 && c <= 0xFE && c != 0xF7) || (c >= 0x3B1 && c <= 0x3CB && c != 0x3C2) || (c >= 0x430 && c <= 0x44F) ||
      (c >= 0xFF41 && c <= 0xFF5A)) {
    return c - 32;
  }
  if (c == 0x131) return 'I';
  if (c == 0x138 || c == 0x149) return c;
  if (c == 0x17F) return 'S';
  if (c == 0x3C2) return 0x3A3;
  if (c == 0x3AC) return 0x386;
  if (c >= 0x3AD && c <= 0x3AF) return c - 37;
  if (c == 0x3CC) return 0x38C;
  if (c == 0x3CD || c == 0x3CE) return c - 63;
  if (c >= 0x450 && c <= 0x45F) return c - 80;
  if (c >= 0x561 && c <= 0x586) return c - 48;
  if (pairs_even_upper(c)) return c & ~1U;
  if (pairs_odd_upper(c)) return c % 2 == 0 ? c - 1 : c;
  return c;
}

Rune lower(Rune c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  if ((c >= 0xC0 && c <= 0xDE && c != 0xD7) || (c >= 0x391 && c <= 0x3AB && c != 0x3A2) || (c >= 0x410 && c <= 0x42F) ||
      (c >= 0xFF21 && c <= 0xFF3A)) {
    return c + 32;
  }
  if (c == 0x130) return 'i';
  if (c == 0x138 || c == 0x149) return c;
  if (c == 0x178) return 0xFF;
  if (c == 0x386) return 0x3AC;
  if (c >= 0x388 && c <= 0x38A) return c + 37;
  if (c == 0x38C) return 0x3CC;
  if (c == 0x38E || c == 0x38F) return c + 63;
  if (c >= 0x400 && c <= 0x40F) return c + 80;
  if (c >= 0x531 && c <= 0x556) return c + 48;
  if (c == 0x1E9E) return 0xDF;
  if (pairs_even_upper(c)) return c | 1U;
  if (pairs_odd_upper(c)) return c % 2 == 1 ? c + 1 : c;
  return c;
}

template <typename F>
std::string mapped(std::string_view text, F change) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto rune = utf8::decode(text);
    utf8::append(out, change(rune.valid ? rune.code_point : 0xFFFD));
    text.remove_prefix(rune.size);
  }
  return out;
}

bool is_space(Rune c) {
  return c == ' ' || (c >= 9 && c <= 13) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

// Where words end for strings.Title.
bool is_separator(Rune c) {
  if (c < 0x80) return !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_');
  return is_space(c);
}

bool contains_rune(std::string_view set, std::string_view rune) { return set.find(rune) != std::string_view::npos; }

std::size_t last_rune(std::string_view text) {
  std::size_t start = text.size() - 1;
  while (start > 0 && text.size() - start < 4 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
  return utf8::decode(text.substr(start)).size == text.size() - start ? start : text.size() - 1;
}

std::size_t rune_width(std::string_view text, std::size_t at) {
  return at < text.size() ? utf8::decode(text.substr(at)).size : 0;
}

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

// Go's expansion of $1, ${1}, $name, ${name}, $$.
void expand(std::string& out, const RE2& regex, std::string_view with, const std::vector<re2::StringPiece>& groups) {
  while (!with.empty()) {
    const auto dollar = std::min(with.find('$'), with.size());
    out += with.substr(0, dollar);
    with.remove_prefix(dollar);
    if (with.empty()) return;
    with.remove_prefix(1);
    if (with.starts_with('$')) {
      out += '$';
      with.remove_prefix(1);
      continue;
    }
    const bool brace = with.starts_with('{');
    std::size_t start = brace ? 1 : 0;
    std::size_t end = start;
    while (end < with.size() && is_word(with[end])) ++end;
    if (end == start || (brace && (end >= with.size() || with[end] != '}'))) {
      out += '$';
      continue;
    }
    const std::string name(with.substr(start, end - start));
    with.remove_prefix(end + (brace ? 1 : 0));
    int group = -1;
    if (std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; }) && name.size() < 9 &&
        (name.size() == 1 || name[0] != '0')) {
      group = std::stoi(name);
    } else if (const auto found = regex.NamedCapturingGroups().find(name);
               found != regex.NamedCapturingGroups().end()) {
      group = found->second;
    }
    if (group >= 0 && group < static_cast<int>(groups.size())) out.append(groups[group].data(), groups[group].size());
  }
}

constexpr std::string_view kStandard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrlSafe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

}  // namespace

std::string to_upper(std::string_view text) { return mapped(text, upper); }
std::string to_lower(std::string_view text) { return mapped(text, lower); }

std::string to_title(std::string_view text) {
  Rune previous = ' ';
  return mapped(text, [&previous](Rune c) {
    const Rune out = is_separator(previous) ? upper(c) : c;
    previous = c;
    return out;
  });
}

std::string_view trim_space(std::string_view text) {
  while (!text.empty()) {
    const auto rune = utf8::decode(text);
    if (!rune.valid || !is_space(rune.code_point)) break;
    text.remove_prefix(rune.size);
  }
  while (!text.empty()) {
    const std::size_t start = last_rune(text);
    const auto rune = utf8::decode(text.substr(start));
    if (!rune.valid || !is_space(rune.code_point)) break;
    text = text.substr(0, start);
  }
  return text;
}

std::string_view trim_left(std::string_view text, std::string_view set) {
  while (!text.empty()) {
    const std::size_t size = utf8::decode(text).size;
    if (!contains_rune(set, text.substr(0, size))) break;
    text.remove_prefix(size);
  }
  return text;
}

std::string_view trim_right(std::string_view text, std::string_view set) {
  while (!text.empty()) {
    const std::size_t start = last_rune(text);
    if (!contains_rune(set, text.substr(start))) break;
    text = text.substr(0, start);
  }
  return text;
}

std::string replace(std::string_view text, std::string_view old, std::string_view with, std::int64_t count) {
  std::string out;
  std::size_t at = 0;
  for (std::int64_t done = 0; count < 0 || done < count; ++done) {
    std::size_t found = at;
    if (old.empty()) {  // before each rune, and at the end
      if (done > 0) {
        if (at >= text.size()) break;
        found = at + rune_width(text, at);
      }
    } else {
      found = text.find(old, at);
      if (found == std::string_view::npos) break;
    }
    out += text.substr(at, found - at);
    out += with;
    at = found + old.size();
  }
  out += text.substr(std::min(at, text.size()));
  return out;
}

std::size_t count_runes(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); at += utf8::decode(text.substr(at)).size) ++count;
  return count;
}

std::string base64_encode(std::string_view bytes, bool url_safe) {
  const std::string_view alphabet = url_safe ? kUrlSafe : kStandard;
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t left = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 3; ++k) word = word << 8 | (k < left ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (std::size_t k = 0; k < 4; ++k) out += k <= left ? alphabet[word >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

Result<std::string> base64_decode(std::string_view text, bool url_safe) {
  const std::string_view alphabet = url_safe ? kUrlSafe : kStandard;
  std::string out;
  std::uint32_t word = 0;
  int digits = 0;
  std::size_t i = 0;
  const auto illegal = [](std::size_t at) {
    return fail(ErrorKind::bad_input, fmt::format("illegal base64 data at input byte {}", at));
  };
  const auto skip_newlines = [&] {
    while (i < text.size() && (text[i] == '\n' || text[i] == '\r')) ++i;
  };
  for (skip_newlines(); i < text.size(); skip_newlines()) {
    const char c = text[i++];
    if (c == '=') {
      if (digits < 2) return illegal(i - 1);
      skip_newlines();
      if (digits == 2) {
        if (i >= text.size()) return illegal(text.size());
        if (text[i] != '=') return illegal(i);
        ++i;
        skip_newlines();
      }
      if (i < text.size()) return illegal(i);
      word <<= 6 * (4 - digits);
      for (int k = 0; k < digits - 1; ++k) out += static_cast<char>(word >> (16 - 8 * k));
      return out;
    }
    const auto digit = alphabet.find(c);
    if (digit == std::string_view::npos) return illegal(i - 1);
    word = word << 6 | static_cast<std::uint32_t>(digit);
    if (++digits == 4) {
      for (int k = 0; k < 3; ++k) out += static_cast<char>(word >> (16 - 8 * k));
      digits = 0;
      word = 0;
    }
  }
  if (digits != 0) return illegal(text.size() - static_cast<std::size_t>(digits));
  return out;
}

RegexCache::RegexCache() = default;
RegexCache::~RegexCache() = default;
RegexCache::RegexCache(RegexCache&&) noexcept = default;
RegexCache& RegexCache::operator=(RegexCache&&) noexcept = default;

Result<const re2::RE2*> RegexCache::get(std::string_view regex) {
  std::string key(regex);
  if (const auto found = compiled_.find(key); found != compiled_.end()) return found->second.get();
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(8 << 20);
  auto compiled = std::make_unique<RE2>(key, options);
  if (!compiled->ok()) return fail(ErrorKind::bad_input, regex_error(*compiled));
  if (compiled_.size() >= 100) compiled_.clear();
  return compiled_.emplace(std::move(key), std::move(compiled)).first->second.get();
}

std::string regex_error(const re2::RE2& regex) {
  const auto phrase = [&]() -> std::string_view {
    switch (regex.error_code()) {
      case RE2::ErrorBadEscape: return "invalid escape sequence";
      case RE2::ErrorBadCharClass: return "invalid character class";
      case RE2::ErrorBadCharRange: return "invalid character class range";
      case RE2::ErrorMissingBracket: return "missing closing ]";
      case RE2::ErrorMissingParen:
        return regex.error().starts_with("unexpected") ? "unexpected )" : "missing closing )";
      case RE2::ErrorTrailingBackslash: return "trailing backslash at end of expression";
      case RE2::ErrorRepeatArgument: return "missing argument to repetition operator";
      case RE2::ErrorRepeatSize: return "invalid repeat count";
      case RE2::ErrorRepeatOp: return "invalid nested repetition operator";
      case RE2::ErrorBadPerlOp: return "invalid or unsupported Perl syntax";
      case RE2::ErrorBadUTF8: return "invalid UTF-8";
      case RE2::ErrorBadNamedCapture: return "invalid named capture";
      case RE2::ErrorPatternTooLarge: return "expression too large";
      default: return "internal error";
    }
  }();
  return fmt::format("error parsing regexp: {}: `{}`", phrase, regex.error_arg());
}

std::string regex_replace_all(const re2::RE2& regex, std::string_view text, std::string_view with, bool literal) {
  std::string out;
  std::size_t last = 0;
  std::size_t at = 0;
  std::vector<re2::StringPiece> groups(static_cast<std::size_t>(regex.NumberOfCapturingGroups()) + 1);
  while (at <= text.size() && regex.Match({text.data(), text.size()}, at, text.size(), RE2::UNANCHORED, groups.data(),
                                          static_cast<int>(groups.size()))) {
    const auto start = static_cast<std::size_t>(groups[0].data() - text.data());
    const std::size_t end = start + groups[0].size();
    out += text.substr(last, start - last);
    if (end > last || start == 0) {
      if (literal) {
        out += with;
      } else {
        expand(out, regex, with, groups);
      }
    }
    last = end;
    const std::size_t width = rune_width(text, at);
    at = at + width > end ? at + width : at + 1 > end ? at + 1 : end;
  }
  out += text.substr(std::min(last, text.size()));
  return out;
}

std::size_t regex_count(const re2::RE2& regex, std::string_view text) {
  std::size_t count = 0;
  std::size_t at = 0;
  std::size_t previous = std::string_view::npos;
  re2::StringPiece match;
  while (at <= text.size() && regex.Match({text.data(), text.size()}, at, text.size(), RE2::UNANCHORED, &match, 1)) {
    const auto start = static_cast<std::size_t>(match.data() - text.data());
    const std::size_t end = start + match.size();
    bool accept = true;
    if (end == at) {
      accept = start != previous;
      const std::size_t width = rune_width(text, at);
      at = width > 0 ? at + width : text.size() + 1;
    } else {
      at = end;
    }
    previous = end;
    count += accept ? 1 : 0;
  }
  return count;
}

}  // namespace tocayo::templates
