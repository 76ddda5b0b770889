// SPDX-License-Identifier: Apache-2.0
// The labels of the row that is being worked on: three ordered small vectors (stream, structured metadata, parsed) over
// borrowed bytes, and the names they use, interned once per processor.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/labels.h"
#include "logs/entry.h"
#include "template/value.h"

namespace tocayo::logql {

inline constexpr std::string_view kDuplicateSuffix = "_extracted";

// A label name. The marks belong to one processor and are compared with the running row or stream, so that nothing has
// to be cleared between rows.
struct Name {
  std::string text;
  std::uint32_t id = 0;
  bool wanted = true;               // parsers must look for it
  bool is_error = false;            // __error__
  bool is_details = false;          // __error_details__
  bool required = false;            // is one of the labels whose finding may end parsing
  std::int16_t watch = -1;          // filters that decide on it right after the parser
  std::uint64_t extracted_row = 0;  // the row in which a stage has set it
  std::uint64_t stream_serial = 0;  // the stream for which `in_stream` was found out
  std::int32_t in_stream = -1;      // place among the stream's labels, -1: none
  Name* duplicate = nullptr;        // NAME_extracted
};

class NameTable {
 public:
  // `configure` is called once for each new name and sets wanted, required and watch.
  using Configure = void (*)(const void* context, Name& name);
  NameTable(Configure configure, const void* context) : configure_(configure), context_(context) {}
  Name* intern(std::string_view text);
  Name* duplicate(Name* name);
  std::size_t size() const { return names_.size(); }

 private:
  Configure configure_;
  const void* context_;
  std::deque<Name> names_;
  std::unordered_map<std::string_view, Name*> index_;
};

// [A-Za-z0-9_]: other characters become _, a leading digit gets one in front (if `first`), outer white space goes.
std::string sanitized_name(std::string_view key, bool first = true);
// Each U+FFFD and each byte that is not UTF-8 becomes a space (Loki's rule for label values). `text` itself when there
// is none.
std::string_view without_bad_utf8(std::string_view text, templates::Arena& arena);

class LabelState {
 public:
  enum class Category : unsigned char { stream, metadata, parsed };
  struct Entry {
    Name* name;
    std::string_view value;
    bool live = true;  // stream labels: not deleted, not replaced
  };

  explicit LabelState(NameTable& names) : names_(names) {}

  void set_stream(const Labels& labels);
  // Starts a row; metadata goes in by Loki's rule (a name of the stream gets _extracted, error labels set the error).
  void begin_row(std::span<const logs::LabelView> metadata);

  bool stream_has(Name* name);
  bool metadata_has(const Name* name) const;
  bool extracted(const Name* name) const { return name->extracted_row == row_; }
  // The name under which a parser stores a key: NAME, or NAME_extracted when stream or metadata have it.
  Name* free_name(Name* name) {
    return stream_has(name) || (!metadata_.empty() && metadata_has(name)) ? names_.duplicate(name) : name;
  }

  // Value of a live label of any category; error labels by their names.
  std::optional<std::string_view> get(Name* name);
  // Sets a parsed label; it takes the name from the other categories. The bytes must outlive the row.
  void set_parsed(Name* name, std::string_view value);
  void remove(Name* name);
  // Takes back what was set after there were `count` parsed labels.
  void truncate_parsed(std::size_t count);

  std::span<const Entry> stream() const { return stream_; }
  std::span<const Entry> metadata() const { return metadata_; }
  std::span<const Entry> parsed() const { return parsed_; }
  // Nothing was added or deleted: the labels are the stream's.
  bool unchanged() const { return metadata_.empty() && parsed_.empty() && !stream_touched_; }
  bool stream_touched() const { return stream_touched_; }
  // Of the live stream labels, while they are untouched.
  std::uint64_t stream_hash() const { return stream_hash_; }

  bool has_error() const { return !error_.empty(); }
  std::string_view error() const { return error_; }
  std::string_view error_details() const { return details_; }
  void set_error(std::string_view error) { error_ = error; }  // static text
  void set_error_details(std::string_view details) { details_.assign(details); }
  void set_error_copy(std::string_view error) {
    error_copy_.assign(error);
    error_ = error_copy_;
  }
  void clear_error() { error_ = {}; }
  void clear_error_details() { details_.clear(); }

  std::size_t required_found() const { return required_found_; }
  // How many required names the stream does not have.
  std::size_t required_missing(std::span<Name* const> required);

  NameTable& names() { return names_; }

 private:
  void touch_stream(std::int32_t place) {
    if (!stream_[place].live) return;
    stream_[place].live = false;
    stream_touched_ = true;
  }

  NameTable& names_;
  std::vector<Entry> stream_;
  std::vector<Entry> metadata_;
  std::vector<Entry> parsed_;
  bool stream_touched_ = false;
  std::uint64_t stream_serial_ = 0;
  std::uint64_t stream_hash_ = 0;
  std::uint64_t row_ = 0;
  std::size_t required_found_ = 0;
  std::string_view error_;
  std::string error_copy_;
  std::string details_;
};

std::uint64_t label_hash(const Name* name, std::string_view value, LabelState::Category category);

}  // namespace tocayo::logql
