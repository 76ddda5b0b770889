// SPDX-License-Identifier: Apache-2.0
#include "logql/pipeline/label_state.h"

#include <algorithm>

#include "core/hash.h"
#include "core/utf8.h"
#include "logql/pipeline/pipeline.h"

namespace tocayo::logql {
namespace {

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Go's unicode.IsSpace for the start of `text`: bytes taken, 0 if none.
std::size_t space_at(std::string_view text) {
  const char c = text[0];
  if (c == ' ' || (c >= '\t' && c <= '\r')) return 1;
  if (c >= 0) return 0;
  const auto rune = utf8::decode(text);
  const auto p = rune.code_point;
  const bool space = rune.valid && (p == 0x85 || p == 0xA0 || p == 0x1680 || (p >= 0x2000 && p <= 0x200A) ||
                                    p == 0x2028 || p == 0x2029 || p == 0x202F || p == 0x205F || p == 0x3000);
  return space ? rune.size : 0;
}

std::string_view trim_space(std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = space_at(text);
    if (size == 0) break;
    text.remove_prefix(size);
  }
  while (!text.empty()) {
    std::size_t start = text.size() - 1;
    while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
    if (space_at(text.substr(start)) != text.size() - start) break;
    text.remove_suffix(text.size() - start);
  }
  return text;
}

}  // namespace

std::string sanitized_name(std::string_view key, bool first) {
  key = trim_space(key);
  std::string out;
  if (key.empty()) return out;
  out.reserve(key.size() + 1);
  if (first && key[0] >= '0' && key[0] <= '9') out += '_';
  while (!key.empty()) {
    if (is_name_character(key[0])) {
      out += key[0];
      key.remove_prefix(1);
    } else {
      out += '_';
      key.remove_prefix(utf8::decode(key).size);
    }
  }
  return out;
}

std::string_view without_bad_utf8(std::string_view text, templates::Arena& arena) {
  unsigned char bits = 0;
  for (const char c : text) bits |= static_cast<unsigned char>(c);
  if (bits < 0x80) return text;
  const auto is_bad = [](const utf8::Rune& rune) { return !rune.valid || rune.code_point == 0xFFFD; };
  std::size_t i = 0;
  while (i < text.size()) {
    const auto rune = utf8::decode(text.substr(i));
    if (is_bad(rune)) break;
    i += rune.size;
  }
  if (i == text.size()) return text;
  char* out = static_cast<char*>(arena.allocate(text.size(), 1));
  std::copy_n(text.data(), i, out);
  std::size_t size = i;
  while (i < text.size()) {
    const auto rune = utf8::decode(text.substr(i));
    if (is_bad(rune)) {
      out[size++] = ' ';
    } else {
      std::copy_n(text.data() + i, rune.size, out + size);
      size += rune.size;
    }
    i += rune.size;
  }
  return {out, size};
}

Name* NameTable::intern(std::string_view text) {
  if (const auto found = index_.find(text); found != index_.end()) return found->second;
  Name& name = names_.emplace_back();
  name.text = text;
  name.id = static_cast<std::uint32_t>(names_.size());
  name.is_error = text == kErrorLabel;
  name.is_details = text == kErrorDetailsLabel;
  configure_(context_, name);
  index_.emplace(name.text, &name);
  return &name;
}

Name* NameTable::duplicate(Name* name) {
  if (name->duplicate == nullptr) {
    const std::string text = name->text + std::string(kDuplicateSuffix);
    name->duplicate = intern(text);
  }
  return name->duplicate;
}

std::uint64_t label_hash(const Name* name, std::string_view value, LabelState::Category category) {
  return hash64(value, name->id * 4ULL + static_cast<unsigned>(category) + 1);
}

void LabelState::set_stream(const Labels& labels) {
  ++stream_serial_;
  stream_.clear();
  stream_hash_ = 0;
  std::int32_t place = 0;
  for (const Label& label : labels) {
    Name* name = names_.intern(label.name);
    name->stream_serial = stream_serial_;
    name->in_stream = place++;
    stream_.push_back({name, label.value});
    stream_hash_ = stream_hash_ * 0x9E3779B97F4A7C15ULL + label_hash(name, label.value, Category::stream);
  }
  stream_touched_ = false;
}

bool LabelState::stream_has(Name* name) {
  if (name->stream_serial != stream_serial_) {
    // Names of the stream were marked in set_stream().
    name->stream_serial = stream_serial_;
    name->in_stream = -1;
  }
  return name->in_stream >= 0;
}

bool LabelState::metadata_has(const Name* name) const {
  for (const Entry& entry : metadata_) {
    if (entry.name == name) return true;
  }
  return false;
}

std::size_t LabelState::required_missing(std::span<Name* const> required) {
  return static_cast<std::size_t>(
      std::count_if(required.begin(), required.end(), [this](Name* name) { return !stream_has(name); }));
}

void LabelState::begin_row(std::span<const logs::LabelView> metadata) {
  ++row_;
  parsed_.clear();
  metadata_.clear();
  error_ = {};
  details_.clear();
  required_found_ = 0;
  if (stream_touched_) {
    for (Entry& entry : stream_) entry.live = true;
    stream_touched_ = false;
  }
  for (const logs::LabelView& label : metadata) {
    if (label.name == kErrorLabel) {
      set_error_copy(label.value);
      continue;
    }
    if (label.name == kErrorDetailsLabel) {
      set_error_details(label.value);
      continue;
    }
    Name* name = names_.intern(label.name);
    if (stream_has(name)) name = names_.duplicate(name);
    if (!metadata_has(name)) metadata_.push_back({name, label.value});
  }
}

std::optional<std::string_view> LabelState::get(Name* name) {
  for (const Entry& entry : metadata_) {
    if (entry.name == name) return entry.value;
  }
  if (name->extracted_row == row_) {
    for (const Entry& entry : parsed_) {
      if (entry.name == name) return entry.value;
    }
  }
  if (stream_has(name) && stream_[name->in_stream].live) return stream_[name->in_stream].value;
  return std::nullopt;
}

void LabelState::set_parsed(Name* name, std::string_view value) {
  if (name->is_error || name->is_details) {
    // As with metadata: the label is the error. One that a stage has met stays.
    if (extracted(name)) return;
    name->extracted_row = row_;
    if (name->required) ++required_found_;
    if (name->is_error && error_.empty()) set_error_copy(value);
    if (name->is_details && details_.empty()) set_error_details(value);
    return;
  }
  std::erase_if(metadata_, [name](const Entry& entry) { return entry.name == name; });
  if (stream_has(name)) touch_stream(name->in_stream);
  if (name->extracted_row == row_) {
    for (Entry& entry : parsed_) {
      if (entry.name == name) {
        entry.value = value;
        return;
      }
    }
  } else {
    name->extracted_row = row_;
    if (name->required) ++required_found_;
  }
  parsed_.push_back({name, value});
}

void LabelState::remove(Name* name) {
  std::erase_if(metadata_, [name](const Entry& entry) { return entry.name == name; });
  if (name->extracted_row == row_) {
    std::erase_if(parsed_, [name](const Entry& entry) { return entry.name == name; });
  }
  if (stream_has(name)) touch_stream(name->in_stream);
}

void LabelState::truncate_parsed(std::size_t count) {
  while (parsed_.size() > count) {
    Name* name = parsed_.back().name;
    name->extracted_row = 0;
    if (name->required) --required_found_;
    parsed_.pop_back();
  }
}

}  // namespace tocayo::logql
