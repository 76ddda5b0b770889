// SPDX-License-Identifier: Apache-2.0
#include "core/labels.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <cstring>

#include "core/hash.h"
#include "core/utf8.h"

namespace tocayo {

Labels::Labels(std::vector<Label> labels) : labels_(std::move(labels)) {
  std::stable_sort(labels_.begin(), labels_.end(), [](const Label& a, const Label& b) { return a.name < b.name; });
  // Of equal names the last one given wins.
  auto out = labels_.begin();
  for (auto it = labels_.begin(); it != labels_.end(); ++it) {
    if (auto next = std::next(it); next != labels_.end() && next->name == it->name) continue;
    if (it->value.empty()) continue;
    if (out != it) *out = std::move(*it);
    ++out;
  }
  labels_.erase(out, labels_.end());
}

Labels Labels::from_sorted(std::vector<Label> labels) {
  assert(std::is_sorted(labels.begin(), labels.end(), [](const Label& a, const Label& b) { return a.name < b.name; }));
  Labels result;
  result.labels_ = std::move(labels);
  return result;
}

std::string_view Labels::get(std::string_view name) const {
  if (labels_.size() <= 8) {
    for (const Label& label : labels_) {
      if (label.name == name) return label.value;
    }
    return {};
  }
  auto it = std::lower_bound(labels_.begin(), labels_.end(), name,
                             [](const Label& label, std::string_view wanted) { return label.name < wanted; });
  return it != labels_.end() && it->name == name ? std::string_view(it->value) : std::string_view();
}

void Labels::set(std::string_view name, std::string_view value) {
  auto it = std::lower_bound(labels_.begin(), labels_.end(), name,
                             [](const Label& label, std::string_view wanted) { return label.name < wanted; });
  bool found = it != labels_.end() && it->name == name;
  if (value.empty()) {
    if (found) labels_.erase(it);
  } else if (found) {
    it->value = value;
  } else {
    labels_.insert(it, Label{std::string(name), std::string(value)});
  }
}

Labels Labels::keep(std::span<const std::string> names) const {
  Labels result;
  for (const Label& label : labels_) {
    if (std::find(names.begin(), names.end(), label.name) != names.end()) result.labels_.push_back(label);
  }
  return result;
}

Labels Labels::drop(std::span<const std::string> names) const {
  Labels result;
  for (const Label& label : labels_) {
    if (std::find(names.begin(), names.end(), label.name) == names.end()) result.labels_.push_back(label);
  }
  return result;
}

std::uint64_t Labels::hash() const {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  for (const Label& label : labels_) {
    // The terminators (never valid UTF-8) keep ("a","bc") and ("ab","c") apart.
    XXH3_64bits_update(&state, label.name.data(), label.name.size());
    XXH3_64bits_update(&state, "\xff", 1);
    XXH3_64bits_update(&state, label.value.data(), label.value.size());
    XXH3_64bits_update(&state, "\xfe", 1);
  }
  return XXH3_64bits_digest(&state);
}

std::string Labels::to_string(bool metric_style) const {
  std::string out;
  std::string_view name = metric_style ? get(kMetricName) : std::string_view();
  bool bare_name = !name.empty() && is_classic_metric_name(name);
  if (bare_name) out = name;
  bool any = false;
  for (const Label& label : labels_) {
    if (bare_name && label.name == kMetricName) continue;
    out += any ? ", " : "{";
    any = true;
    if (metric_style && label.name == kMetricName) {
      out += go_quote(label.value);
      continue;
    }
    out += is_classic_label_name(label.name) ? label.name : go_quote(label.name);
    out += '=';
    out += go_quote(label.value);
  }
  if (any)
    out += '}';
  else if (!bare_name)
    out += "{}";
  return out;
}

namespace {

// "a|b|c" without any other operator, else nullopt. Escapes of punctuation ("a\.b") count as literals.
std::optional<std::vector<std::string>> literal_alternatives(std::string_view pattern) {
  if (pattern.size() >= 2 && pattern.front() == '(' && pattern.back() == ')') {
    std::string_view inner = pattern.substr(1, pattern.size() - 2);
    if (inner.starts_with("?:")) inner.remove_prefix(2);
    if (inner.find_first_of("()") == std::string_view::npos) pattern = inner;
  }
  std::vector<std::string> result(1);
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    if (c == '|') {
      result.emplace_back();
    } else if (c == '\\') {
      if (i + 1 >= pattern.size() || !std::ispunct(static_cast<unsigned char>(pattern[i + 1]))) return std::nullopt;
      result.back() += pattern[++i];
    } else if (std::string_view("()[]{}*+?.^$").find(c) != std::string_view::npos) {
      return std::nullopt;
    } else {
      result.back() += c;
    }
  }
  return result;
}

}  // namespace

Result<Matcher> Matcher::create(Type type, std::string name, std::string value) {
  Matcher matcher(type, std::move(name), std::move(value));
  if (type == Type::regex || type == Type::not_regex) {
    RE2::Options options;
    options.set_log_errors(false);
    options.set_dot_nl(true);
    options.set_max_mem(8 << 20);
    auto regex = std::make_shared<RE2>(matcher.value_, options);
    if (!regex->ok()) {
      return fail(ErrorKind::bad_input, "error parsing regexp: " + regex->error());
    }
    matcher.literals_ = literal_alternatives(matcher.value_);
    if (!matcher.literals_) matcher.regex_ = std::move(regex);
  }
  return matcher;
}

Matcher Matcher::equal(std::string name, std::string value) {
  return Matcher(Type::equal, std::move(name), std::move(value));
}

bool Matcher::matches(std::string_view value) const {
  switch (type_) {
    case Type::equal: return value == value_;
    case Type::not_equal: return value != value_;
    case Type::regex:
    case Type::not_regex: {
      bool found = literals_ ? std::find(literals_->begin(), literals_->end(), value) != literals_->end()
                             : RE2::FullMatch(re2::StringPiece(value.data(), value.size()), *regex_);
      return found == (type_ == Type::regex);
    }
  }
  return false;
}

std::string Matcher::to_string() const {
  static constexpr std::string_view kOperators[] = {"=", "!=", "=~", "!~"};
  std::string out = is_classic_label_name(name_) ? name_ : go_quote(name_);
  out += kOperators[static_cast<int>(type_)];
  out += go_quote(value_);
  return out;
}

namespace {
bool is_classic_name(std::string_view name, bool colon) {
  if (name.empty()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    char c = name[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colon && c == ':');
    bool digit = c >= '0' && c <= '9';
    if (!letter && !(digit && i > 0)) return false;
  }
  return true;
}
}  // namespace

bool is_classic_label_name(std::string_view name) { return is_classic_name(name, false); }
bool is_classic_metric_name(std::string_view name) { return is_classic_name(name, true); }

bool is_valid_utf8(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size();) {
    // Mostly ASCII: eight bytes at a time.
    std::uint64_t word = ~std::uint64_t{0};
    if (bytes.size() - i >= sizeof word) std::memcpy(&word, bytes.data() + i, sizeof word);
    if ((word & 0x8080808080808080U) == 0) {
      i += sizeof word;
      continue;
    }
    if (static_cast<unsigned char>(bytes[i]) < 0x80) {
      ++i;
      continue;
    }
    auto rune = utf8::decode(bytes.substr(i));
    if (!rune.valid) return false;
    i += rune.size;
  }
  return true;
}

std::string go_quote(std::string_view text) {
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size();) {
    auto rune = utf8::decode(text.substr(i));
    std::string_view bytes = text.substr(i, rune.size);
    i += rune.size;
    if (!rune.valid) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes[0]));
      continue;
    }
    switch (rune.code_point) {
      case '"': out += "\\\""; continue;
      case '\\': out += "\\\\"; continue;
      case '\a': out += "\\a"; continue;
      case '\b': out += "\\b"; continue;
      case '\f': out += "\\f"; continue;
      case '\n': out += "\\n"; continue;
      case '\r': out += "\\r"; continue;
      case '\t': out += "\\t"; continue;
      case '\v': out += "\\v"; continue;
      default: break;
    }
    if (rune.code_point < 0x20 || rune.code_point == 0x7f) {
      out += fmt::format("\\x{:02x}", rune.code_point);
    } else if (utf8::is_printable(rune.code_point)) {
      out += bytes;
    } else if (rune.code_point < 0x10000) {
      out += fmt::format("\\u{:04x}", rune.code_point);
    } else {
      out += fmt::format("\\U{:08x}", rune.code_point);
    }
  }
  return out + '"';
}

}  // namespace tocayo
