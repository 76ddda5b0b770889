// SPDX-License-Identifier: Apache-2.0
// `json`: every member becomes a label; objects flatten.
#include <algorithm>

#include "logql/pipeline/json_scan.h"
#include "logql/pipeline/parsers.h"

namespace tocayo::logql {
namespace {

constexpr unsigned kMaxDepth = 200;  // deeper objects are passed over
constexpr std::size_t kMaxKeys = 50'000;

constexpr std::string_view kMalformedObject = "Value looks like object, but can't find closing '}' symbol";
constexpr std::string_view kMalformedJson = "Malformed JSON error";
constexpr std::string_view kMalformedArray = "Value is array, but can't find closing ']' symbol";
constexpr std::string_view kMalformedString = "Value is string, but can't find closing '\"' symbol";
constexpr std::string_view kMalformedEscape = "Encountered an invalid escape sequence in a string";
constexpr std::string_view kUnknownType = "Unknown value type";

}  // namespace

bool Expectation::wants_prefix(std::string_view prefix) const {
  return required.empty() || std::any_of(required.begin(), required.end(),
                                         [prefix](const std::string& name) { return name.starts_with(prefix); });
}

KeyNode& KeyTree::find(KeyNode& parent, KeyNode* previous, std::string_view raw, ParserContext& context) {
  KeyNode*& guess = previous != nullptr ? previous->next_seen : parent.first_child;
  if (guess != nullptr && guess->raw == raw) return *guess;
  if (const auto known = parent.children.find(raw); known != parent.children.end()) {
    guess = known->second.get();
    return *guess;
  }
  auto node = std::make_unique<KeyNode>();
  node->raw = raw;
  const bool first = parent.path.empty();
  const std::string own = sanitized_name(raw, first);
  node->path = first ? own : own.empty() ? parent.path : parent.path + "_" + own;
  if (!node->path.empty()) node->name = context.labels.names().intern(node->path);
  node->prefix_wanted = context.expect.wants_prefix(node->path);
  guess = node.get();
  parent.children.emplace(guess->raw, std::move(node));
  ++size_;
  return *guess;
}

void KeyTree::clear() {
  root_.children.clear();
  root_.first_child = nullptr;
  size_ = 0;
}

void KeyTree::limit() {
  if (size_ > kMaxKeys) clear();
}

bool JsonParser::skip_space() {
  at_ = json::skip_space(at_, end_);
  return at_ < end_;
}

bool JsonParser::run(std::string_view line, ParserContext& context) {
  if (context.expect.no_labels || context.expect.all_found(context.labels)) return true;
  keys_.limit();
  at_ = line.data();
  end_ = at_ + line.size();
  nested_drop_ = false;
  switch (object(keys_.root(), 0, context)) {
    case Outcome::ok:
    case Outcome::stop: return true;
    case Outcome::drop: return false;
    case Outcome::error:
      context.labels.set_error(kJsonError);
      context.labels.set_error_details(why_);
      return true;
  }
  return true;
}

// at_ stands before the opening brace.
JsonParser::Outcome JsonParser::object(KeyNode& node, unsigned depth, ParserContext& context) {
  if (!skip_space() || *at_ != '{') return fail(kMalformedObject);
  ++at_;
  if (!skip_space()) return fail(kMalformedJson);
  KeyNode* previous = nullptr;
  while (true) {
    if (*at_ == '}') {
      ++at_;
      return Outcome::ok;
    }
    if (*at_ != '"') return fail(kMalformedObject);
    const char* start = ++at_;
    const json::String key = json::find_string_end(start, end_);
    if (key.end == nullptr) return fail(kMalformedJson);
    std::string_view raw(start, key.end - start);
    at_ = key.end + 1;
    if (key.escaped && !json::unescape(raw, context.arena, raw)) return fail(kMalformedEscape);
    if (!skip_space() || *at_ != ':') return fail(kMalformedJson);
    ++at_;
    if (!skip_space()) return fail(kMalformedJson);
    KeyNode& found = keys_.find(node, previous, raw, context);
    previous = &found;
    const Outcome outcome = member(found, depth, context);
    if (outcome != Outcome::ok) return outcome;
    if (!skip_space()) return fail(kMalformedArray);
    if (*at_ == ',') {
      ++at_;
      if (!skip_space()) return fail(kMalformedArray);
    } else if (*at_ != '}') {
      return fail(kMalformedObject);
    }
  }
}

JsonParser::Outcome JsonParser::member(KeyNode& key, unsigned depth, ParserContext& context) {
  switch (*at_) {
    case '"': {
      const char* start = ++at_;
      const json::String string = json::find_string_end(start, end_);
      if (string.end == nullptr) return fail(kMalformedString);
      at_ = string.end + 1;
      if (key.name == nullptr) return Outcome::ok;
      Name* name = context.labels.free_name(key.name);
      if (!name->wanted || context.labels.extracted(name)) return Outcome::ok;
      const std::string_view raw(start, string.end - start);
      return store(key, json::label_value(raw, string.escaped, context.arena), depth, context);
    }
    case '{': return nested(key, depth, context);
    case '[': {
      const char* end = json::block_end(at_, end_, '[', ']');
      if (end == nullptr) return fail(kMalformedArray);
      at_ = end;
      return Outcome::ok;
    }
    default: return scalar(key, depth, context);
  }
}

JsonParser::Outcome JsonParser::scalar(KeyNode& key, unsigned depth, ParserContext& context) {
  const char* start = at_;
  at_ = json::token_end(at_, end_);
  const std::string_view text(start, at_ - start);
  if (text.empty()) return fail(kUnknownType);
  const char c = text[0];
  if (c == 't' || c == 'f') {
    if (text != "true" && text != "false") return fail(kUnknownType);
  } else if (c == 'n' || c == 'u') {
    return text == "null" ? Outcome::ok : fail(kUnknownType);
  } else if ((c < '0' || c > '9') && c != '-') {
    return fail(kUnknownType);
  }
  return store(key, text, depth, context);
}

JsonParser::Outcome JsonParser::store(KeyNode& key, std::string_view value, unsigned depth, ParserContext& context) {
  if (key.name == nullptr) return Outcome::ok;
  Name* name = context.labels.free_name(key.name);
  if (!name->wanted || context.labels.extracted(name)) return Outcome::ok;
  context.labels.set_parsed(name, value);
  if (name->watch >= 0 && context.expect.fails(*name, value, context.parser)) {
    if (depth == 0) return Outcome::drop;
    nested_drop_ = true;  // only if the object around it turns out to be closed
  }
  return context.expect.all_found(context.labels) ? Outcome::stop : Outcome::ok;
}

JsonParser::Outcome JsonParser::nested(KeyNode& key, unsigned depth, ParserContext& context) {
  const char* start = at_;
  if (depth >= kMaxDepth || !key.prefix_wanted) {
    const char* end = json::block_end(at_, end_, '{', '}');
    if (end == nullptr) return fail(kMalformedObject);
    at_ = end;
    return Outcome::ok;
  }
  const std::size_t before = context.labels.parsed().size();
  const Outcome outcome = object(key, depth + 1, context);
  if (depth > 0) return outcome;
  // An object that is not closed gives no labels at all; only now it is known whether it is.
  if (outcome != Outcome::ok && json::block_end(start, end_, '{', '}') == nullptr) {
    context.labels.truncate_parsed(before);
    nested_drop_ = false;
    return fail(kMalformedObject);
  }
  if (nested_drop_) return Outcome::drop;
  return outcome;
}

bool UnpackParser::run(std::string_view& line, ParserContext& context) {
  if (line.empty()) return true;
  const auto failed = [&context](std::string_view why) {
    if (!context.expect.no_labels) {
      context.labels.set_error(kJsonError);
      context.labels.set_error_details(why);
    }
    return true;
  };
  if (line[0] != '{') return failed("expecting json object(6), but it is not");
  keys_.limit();
  pairs_.clear();
  const char* at = line.data() + 1;
  const char* end = line.data() + line.size();
  KeyNode* previous = nullptr;
  bool packed = false;
  std::string_view entry;
  at = json::skip_space(at, end);
  if (at == end) return failed(kMalformedJson);
  while (*at != '}') {
    if (*at != '"') return failed(kMalformedObject);
    const json::String key = json::find_string_end(at + 1, end);
    if (key.end == nullptr) return failed(kMalformedJson);
    std::string_view raw(at + 1, key.end - at - 1);
    if (key.escaped && !json::unescape(raw, context.arena, raw)) return failed(kMalformedEscape);
    at = json::skip_space(key.end + 1, end);
    if (at == end || *at != ':') return failed(kMalformedJson);
    at = json::skip_space(at + 1, end);
    const char* after = json::value_end(at, end);
    if (after == nullptr || after == at) return failed(kUnknownType);
    if (*at == '"') {
      const std::string_view text(at + 1, after - at - 2);
      const bool escaped = text.find('\\') != std::string_view::npos;
      if (raw == "_entry") {
        entry = text;
        if (escaped && !json::unescape(text, context.arena, entry)) return failed(kMalformedEscape);
        packed = true;
      } else {
        KeyNode& node = keys_.find(keys_.root(), previous, raw, context);
        previous = &node;
        Name* name = node.name == nullptr ? nullptr : context.labels.free_name(node.name);
        if (name != nullptr && name->wanted && !context.expect.no_labels && !context.labels.extracted(name)) {
          pairs_.push_back({name, json::label_value(text, escaped, context.arena)});
        }
      }
    }
    at = json::skip_space(after, end);
    if (at == end) return failed(kMalformedArray);
    if (*at == ',') {
      at = json::skip_space(at + 1, end);
      if (at == end) return failed(kMalformedArray);
    } else if (*at != '}') {
      return failed(kMalformedObject);
    }
  }
  if (!packed) return true;
  line = entry;
  for (const Pair& pair : pairs_) {
    context.labels.set_parsed(pair.name, pair.value);
    if (pair.name->watch >= 0 && context.expect.fails(*pair.name, pair.value, context.parser)) return false;
  }
  return true;
}

}  // namespace tocayo::logql
