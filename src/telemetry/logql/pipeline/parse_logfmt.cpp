// SPDX-License-Identifier: Apache-2.0
// `logfmt`: key=value pairs.
#include <fmt/format.h>

#include <algorithm>

#include "core/labels.h"
#include "core/utf8.h"
#include "logql/pipeline/parsers.h"

namespace tocayo::logql {
namespace {

bool has_bad_utf8(std::string_view text) {
  while (!text.empty()) {
    const auto rune = utf8::decode(text);
    if (!rune.valid || rune.code_point == 0xFFFD) return true;
    text.remove_prefix(rune.size);
  }
  return false;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool unicode_escape(std::string_view text, std::uint32_t& rune) {
  if (text.size() < 6 || text[0] != '\\' || text[1] != 'u') return false;
  rune = 0;
  for (int i = 2; i < 6; ++i) {
    const int digit = hex_value(text[i]);
    if (digit < 0) return false;
    rune = rune << 4 | static_cast<std::uint32_t>(digit);
  }
  return true;
}

// The text between the quotes with its escapes resolved; bytes that are not UTF-8 become U+FFFD. false: a wrong escape.
bool unquote(std::string_view text, templates::Arena& arena, std::string_view& out) {
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] != '\\') {
      const auto rune = utf8::decode(text.substr(i));
      if (rune.valid) {
        plain += text.substr(i, rune.size);
      } else {
        plain += "\xEF\xBF\xBD";
      }
      i += rune.size;
      continue;
    }
    if (++i >= text.size()) return false;
    static constexpr std::string_view kFrom = "\"\\/'bfnrt";
    static constexpr std::string_view kTo = "\"\\/'\b\f\n\r\t";
    if (const auto simple = kFrom.find(text[i]); simple != std::string_view::npos) {
      plain += kTo[simple];
      ++i;
      continue;
    }
    std::uint32_t rune = 0;
    if (text[i] != 'u' || !unicode_escape(text.substr(i - 1), rune)) return false;
    i += 5;
    if (rune >= 0xD800 && rune < 0xE000) {
      std::uint32_t low = 0;
      if (rune < 0xDC00 && unicode_escape(text.substr(i), low) && low >= 0xDC00 && low < 0xE000) {
        rune = 0x10000 + ((rune - 0xD800) << 10) + (low - 0xDC00);
        i += 6;
      } else {
        rune = 0xFFFD;
      }
    }
    utf8::append(plain, rune);
  }
  out = arena.copy(plain);
  return true;
}

bool is_space(char c) { return static_cast<unsigned char>(c) <= ' '; }

}  // namespace

bool LogfmtDecoder::bad(std::string_view what) {
  failed_ = true;
  message_ = fmt::format("logfmt syntax error at pos {} : {}", at_ + 1, what);
  return false;
}

bool LogfmtDecoder::unexpected(char c) {
  return bad(fmt::format("unexpected '{}'", c == '\'' ? std::string("\\'") : std::string(1, c)));
}

bool LogfmtDecoder::skip_value() {
  while (at_ < line_.size() && !is_space(line_[at_])) ++at_;
  return false;
}

bool LogfmtDecoder::end_key(std::size_t start, bool multibyte) {
  if (at_ > start) {
    key_ = line_.substr(start, at_ - start);
    if (multibyte && has_bad_utf8(key_)) return bad("invalid key");
  }
  return true;
}

bool LogfmtDecoder::next() {
  key_ = value_ = {};
  while (at_ < line_.size() && is_space(line_[at_])) ++at_;
  if (at_ >= line_.size()) return false;
  const std::size_t start = at_;
  bool multibyte = false;
  for (; at_ < line_.size(); ++at_) {
    const char c = line_[at_];
    if (c == '=') break;
    if (c == '"') {
      unexpected(c);
      return skip_value();
    }
    if (is_space(c)) return end_key(start, multibyte);
    multibyte |= c < 0;
  }
  if (at_ >= line_.size()) return end_key(start, multibyte);
  if (!end_key(start, multibyte)) return skip_value();
  if (key_.empty()) {
    unexpected('=');
    return skip_value();
  }
  if (++at_ >= line_.size() || is_space(line_[at_])) return true;
  if (line_[at_] == '"') return quoted_value();
  const std::size_t value = at_;
  for (; at_ < line_.size(); ++at_) {
    const char c = line_[at_];
    if (c == '=' || c == '"') {
      unexpected(c);
      return skip_value();
    }
    if (is_space(c)) break;
  }
  value_ = line_.substr(value, at_ - value);
  return true;
}

bool LogfmtDecoder::quoted_value() {
  const std::size_t start = at_ + 1;
  bool escaped = false;
  for (std::size_t i = start; i < line_.size(); ++i) {
    if (line_[i] == '\\') {
      escaped = true;
      ++i;
    } else if (line_[i] == '"') {
      at_ = i + 1;
      const std::string_view text = line_.substr(start, i - start);
      if (!escaped) {
        value_ = text;
      } else if (!unquote(text, arena_, value_)) {
        return bad("invalid quoted value");
      }
      return true;
    }
  }
  at_ = line_.size();
  return bad("unterminated quoted value");
}

bool LogfmtParser::run(std::string_view line, ParserContext& context) {
  const Expectation& expect = context.expect;
  if (expect.no_labels || expect.all_found(context.labels)) return true;
  keys_.limit();
  LogfmtDecoder decoder(context.arena);
  decoder.reset(line);
  KeyNode* previous = nullptr;
  while (!decoder.end()) {
    if (!decoder.next()) {
      if (strict_) break;
      continue;
    }
    KeyNode& key = keys_.find(keys_.root(), previous, decoder.key(), context);
    previous = &key;
    if (key.name == nullptr) continue;
    Name* name = context.labels.free_name(key.name);
    if (!name->wanted || context.labels.extracted(name)) continue;
    const std::string_view value = without_bad_utf8(decoder.value(), context.arena);
    if (value.empty() && !keep_empty_) continue;
    context.labels.set_parsed(name, value);
    if (name->watch >= 0 && expect.fails(*name, value, context.parser)) return false;
    if (expect.all_found(context.labels)) break;
  }
  if (strict_ && decoder.failed()) {
    context.labels.set_error(kLogfmtError);
    context.labels.set_error_details(decoder.message());
  }
  return true;
}

Result<std::vector<LogfmtPaths::Path>> LogfmtPaths::compile(std::span<const Extraction> extractions) {
  std::vector<Path> paths;
  for (const Extraction& extraction : extractions) {
    std::string_view text = extraction.expression;
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    const auto bad = [&](std::string_view what) {
      return fail(ErrorKind::bad_input, fmt::format("cannot parse expression [{}]: {}", extraction.expression, what));
    };
    if (text.empty()) return bad("syntax error: unexpected $end, expecting STRING or KEY");
    if (text[0] == '"') {
      text = text.substr(1, text.find('"', 1) - 1);
    } else {
      for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (letter || (i > 0 && c >= '0' && c <= '9')) continue;
        return bad(is_space(c) ? std::string("syntax error: unexpected KEY") : fmt::format("unexpected char {}", c));
      }
    }
    paths.push_back({extraction.name, sanitized_name(text)});
  }
  return paths;
}

LogfmtPaths::LogfmtPaths(std::span<const Path> paths, bool strict, NameTable& names) : strict_(strict) {
  for (const Path& path : paths) wanted_.push_back({path.key, names.intern(path.name)});
}

void LogfmtPaths::run(std::string_view line, ParserContext& context) {
  if (context.expect.no_labels) return;
  LabelState& labels = context.labels;
  for (const Wanted& wanted : wanted_) {
    if (labels.free_name(wanted.name) == wanted.name) labels.set_parsed(wanted.name, {});
  }
  keys_.limit();
  LogfmtDecoder decoder(context.arena);
  decoder.reset(line);
  KeyNode* previous = nullptr;
  while (!decoder.end()) {
    if (!decoder.next()) {
      if (strict_) break;
      continue;
    }
    KeyNode& key = keys_.find(keys_.root(), previous, decoder.key(), context);
    previous = &key;
    if (key.name == nullptr) continue;
    bool renamed = false;
    const auto set = [&](Name* name) {
      // A value with bytes that are not UTF-8 counts as empty here.
      labels.set_parsed(labels.free_name(name), has_bad_utf8(decoder.value()) ? std::string_view() : decoder.value());
    };
    for (const Wanted& wanted : wanted_) {
      if (wanted.key != key.path) continue;
      set(wanted.name);
      renamed = true;
    }
    if (renamed) continue;
    for (const Wanted& wanted : wanted_) {  // a key may also be called like the label itself
      if (wanted.name == key.name) set(wanted.name);
    }
  }
  if (strict_ && decoder.failed()) {
    labels.set_error(kLogfmtError);
    labels.set_error_details(decoder.message());
  }
}

}  // namespace tocayo::logql
