// SPDX-License-Identifier: Apache-2.0
// `json name="path", …`.
#include <fmt/format.h>

#include <charconv>

#include "logql/pipeline/json_scan.h"
#include "logql/pipeline/parsers.h"

namespace tocayo::logql {
namespace {

constexpr unsigned kMaxDepth = 500;

bool starts_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// field, ["key"], [0], joined by dots.
Result<std::vector<JsonPaths::Part>> parse_path(std::string_view text) {
  std::vector<JsonPaths::Part> parts;
  const auto bad = [](std::string what) { return fail(ErrorKind::bad_input, std::move(what)); };
  std::size_t i = 0;
  const auto skip = [&] {
    while (i < text.size() && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n')) ++i;
  };
  const auto unexpected = [&]() -> std::unexpected<Error> {
    if (i >= text.size()) return bad("syntax error: unexpected $end");
    return bad(fmt::format("syntax error: unexpected {}", text[i]));
  };
  bool dot = false;
  for (skip(); i < text.size() || dot || parts.empty(); skip()) {
    if (i >= text.size()) return unexpected();
    if (starts_name(text[i]) && (parts.empty() || dot)) {
      const std::size_t start = i;
      while (i < text.size() && (starts_name(text[i]) || is_digit(text[i]))) ++i;
      parts.push_back({std::string(text.substr(start, i - start)), -1});
      dot = false;
    } else if (text[i] == '.' && !parts.empty() && !dot) {
      dot = true;
      ++i;
    } else if (text[i] == '[' && !dot) {
      ++i;
      skip();
      if (i < text.size() && text[i] == '"') {
        const std::size_t close = text.find_first_of("\"]", i + 1);
        if (close == std::string_view::npos) return bad("syntax error: unexpected $end, expecting RSB");
        parts.push_back({std::string(text.substr(i + 1, close - i - 1)), -1});
        i = close + 1;
        if (text[close] == ']') return bad("syntax error: unexpected $end, expecting RSB");
      } else if (i < text.size() && is_digit(text[i])) {
        std::int64_t index = 0;
        const auto parsed = std::from_chars(text.data() + i, text.data() + text.size(), index);
        if (parsed.ec != std::errc()) return bad("value out of range");
        i = static_cast<std::size_t>(parsed.ptr - text.data());
        if (i < text.size() && text[i] == '.') return bad("cannot use float as array index");
        if (i < text.size() && text[i] != ']' && text[i] != ' ' && text[i] != '\t' && text[i] != '\n') {
          return bad(fmt::format("non-integer value: {}", text[i]));
        }
        parts.push_back({{}, index});
      } else {
        return unexpected();
      }
      skip();
      if (i >= text.size() || text[i] != ']') return unexpected();
      ++i;
    } else {
      return unexpected();
    }
  }
  return parts;
}

}  // namespace

Result<std::vector<JsonPaths::Path>> JsonPaths::compile(std::span<const Extraction> extractions) {
  std::vector<Path> paths;
  for (const Extraction& extraction : extractions) {
    auto parts = parse_path(extraction.expression);
    if (!parts) {
      return fail(ErrorKind::bad_input,
                  fmt::format("cannot parse expression [{}]: {}", extraction.expression, parts.error().message));
    }
    paths.push_back({extraction.name, std::move(*parts)});
  }
  return paths;
}

JsonPaths::JsonPaths(std::span<const Path> paths, NameTable& names) : all_(paths) {
  for (const Path& path : paths) names_.push_back(names.intern(path.name));
}

void JsonPaths::run(std::string_view line, ParserContext& context) {
  if (line.empty() || context.expect.no_labels) return;
  if (line[0] != '"' && line[0] != '{' && line[0] != '[') {
    context.labels.set_error(kJsonError);
    return;
  }
  std::size_t found = 0;
  for (first_ = 0; first_ < all_.size(); first_ += 64) {
    paths_ = all_.subspan(first_, std::min<std::size_t>(64, all_.size() - first_));
    found_ = 0;
    at_ = line.data();
    end_ = at_ + line.size();
    value(paths_.size() == 64 ? ~0ULL : (1ULL << paths_.size()) - 1, 0, context, 0);
    found += static_cast<std::size_t>(__builtin_popcountll(found_));
  }
  if (found == all_.size()) return;
  for (Name* name : names_) {
    if (!context.labels.get(name)) context.labels.set_parsed(name, {});
  }
}

// Stores the value at at_ for the paths of the mask that end here. false: damage.
bool JsonPaths::emit(std::uint64_t mask, ParserContext& context) {
  const char* end = json::value_end(at_, end_);
  if (end == nullptr || end == at_) return false;
  std::string_view raw(at_, end - at_);
  std::string_view text;
  if (raw[0] == '"') {
    raw = raw.substr(1, raw.size() - 2);
    text = json::label_value(raw, raw.find('\\') != std::string_view::npos, context.arena);
  } else if (raw[0] == '{') {
    text = raw;
  } else if (raw != "null") {
    text = json::label_value(raw, raw.find('\\') != std::string_view::npos, context.arena);
  }
  for (std::size_t i = 0; i < paths_.size(); ++i) {
    if ((mask >> i & 1) == 0) continue;
    context.labels.set_parsed(context.labels.free_name(names_[first_ + i]), text);
  }
  return true;
}

// at_ stands before a value; looks for the paths of the mask below it. Leaves at_ behind the value.
bool JsonPaths::value(std::uint64_t mask, std::size_t level, ParserContext& context, unsigned depth) {
  at_ = json::skip_space(at_, end_);
  if (at_ == end_) return false;
  if (mask != 0 && depth < kMaxDepth) {
    if (*at_ == '{') return members(mask, level, context, depth + 1);
    if (*at_ == '[') return elements(mask, level, context, depth + 1);
  }
  const char* end = json::value_end(at_, end_);
  if (end == nullptr || end == at_) return false;
  at_ = end;
  return true;
}

bool JsonPaths::members(std::uint64_t mask, std::size_t level, ParserContext& context, unsigned depth) {
  const std::uint64_t all = paths_.size() == 64 ? ~0ULL : (1ULL << paths_.size()) - 1;
  at_ = json::skip_space(at_ + 1, end_);
  while (at_ < end_ && *at_ != '}') {
    if (*at_ != '"') return false;
    const char* start = at_ + 1;
    const json::String key = json::find_string_end(start, end_);
    if (key.end == nullptr) return false;
    std::string_view name(start, key.end - start);
    if (key.escaped && !json::unescape(name, context.arena, name)) return false;
    at_ = json::skip_space(key.end + 1, end_);
    if (at_ == end_ || *at_ != ':') return false;
    at_ = json::skip_space(at_ + 1, end_);
    std::uint64_t here = 0;
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < paths_.size(); ++i) {
      if ((mask >> i & 1) == 0 || (found_ >> i & 1) != 0) continue;
      const Part& part = paths_[i].parts[level];
      if (part.index >= 0 || part.key != name) continue;
      (paths_[i].parts.size() == level + 1 ? here : below) |= 1ULL << i;
    }
    if (here != 0) {
      if (!emit(here, context)) return false;
      found_ |= here;
      if (found_ == all) return true;
    }
    if (!value(below, level + 1, context, depth)) return false;
    if (found_ == all) return true;
    at_ = json::skip_space(at_, end_);
    if (at_ < end_ && *at_ == ',') at_ = json::skip_space(at_ + 1, end_);
  }
  if (at_ >= end_) return false;
  ++at_;
  return true;
}

bool JsonPaths::elements(std::uint64_t mask, std::size_t level, ParserContext& context, unsigned depth) {
  at_ = json::skip_space(at_ + 1, end_);
  for (std::int64_t index = 0; at_ < end_ && *at_ != ']'; ++index) {
    std::uint64_t here = 0;
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < paths_.size(); ++i) {
      if ((mask >> i & 1) == 0 || (found_ >> i & 1) != 0 || paths_[i].parts[level].index != index) continue;
      (paths_[i].parts.size() == level + 1 ? here : below) |= 1ULL << i;
    }
    if (here != 0) {
      if (!emit(here, context)) return false;
      found_ |= here;
    }
    if (!value(below, level + 1, context, depth)) return false;
    at_ = json::skip_space(at_, end_);
    if (at_ < end_ && *at_ == ',') at_ = json::skip_space(at_ + 1, end_);
  }
  if (at_ >= end_) return false;
  ++at_;
  return true;
}

}  // namespace tocayo::logql
