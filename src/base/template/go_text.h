// SPDX-License-Identifier: Apache-2.0
// What template functions need of Go's strings, regexp and encoding/base64.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/error.h"

namespace re2 {
class RE2;
}

namespace tocayo::templates {

// strings.ToUpper, ToLower (ASCII, Latin, Greek, Cyrillic, Armenian, full-width letters; others stay), strings.Title
// (first letter of each word), strings.TrimSpace.
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title(std::string_view text);
std::string_view trim_space(std::string_view text);
// strings.Trim and its halves, with a set of characters.
std::string_view trim_left(std::string_view text, std::string_view set);
std::string_view trim_right(std::string_view text, std::string_view set);
// strings.Replace; count -1: all.
std::string replace(std::string_view text, std::string_view old, std::string_view with, std::int64_t count = -1);
std::size_t count_runes(std::string_view text);

std::string base64_encode(std::string_view bytes, bool url_safe = false);
// bad_input: `illegal base64 data at input byte N`.
Result<std::string> base64_decode(std::string_view text, bool url_safe = false);

// Compiled regular expressions of one user (a template's executions on one thread). Not thread-safe.
class RegexCache {
 public:
  RegexCache();
  ~RegexCache();
  RegexCache(RegexCache&&) noexcept;
  RegexCache& operator=(RegexCache&&) noexcept;
  // RE2; bad_input with Go's words: "error parsing regexp: missing closing ): `(`". Valid until 100 others were asked.
  Result<const re2::RE2*> get(std::string_view regex);

 private:
  std::unordered_map<std::string, std::unique_ptr<re2::RE2>> compiled_;
};

// Go's words for why an expression did not compile.
std::string regex_error(const re2::RE2& regex);
// regexp.ReplaceAllString ($1, ${name}) or, with `literal`, ReplaceAllLiteralString.
std::string regex_replace_all(const re2::RE2& regex, std::string_view text, std::string_view with, bool literal);
// len(regexp.FindAllStringIndex(text, -1)).
std::size_t regex_count(const re2::RE2& regex, std::string_view text);

}  // namespace tocayo::templates
