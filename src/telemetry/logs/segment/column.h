// SPDX-License-Identifier: Apache-2.0
// Columns of texts: the cheapest typed form that gives every byte back, and reading it again.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"
#include "logs/segment/format.h"
#include "logs/segment/string_table.h"
#include "logs/segment/tokenizer.h"

namespace tocayo::logs {

// Where encoded bytes go: blocks of a group. Packed numbers and text are kept in different blocks.
class BlockSink {
 public:
  virtual ~BlockSink() = default;
  // Sets block and offset of `column`, whose size is the size of `bytes`.
  virtual void put(format::Column& column, std::string_view bytes, bool text) = 0;
};

struct EncodeContext {
  BlockSink* sink = nullptr;
  StringTable* dictionary = nullptr;
  std::vector<std::uint32_t>* dictionary_ids = nullptr;  // used ids are appended
  std::string scratch;
  std::vector<std::int64_t> numbers;
};

// `times` are the rows' times (for time slots), as long as values.
format::Column encode_column(std::span<const std::string_view> values, const SlotKind& kind,
                             std::span<const TimestampNs> times, EncodeContext& context);
format::Column encode_numbers(std::span<const std::int64_t> values, EncodeContext& context);
// Whether equality is answered by the token filter of the group.
bool has_token_filter(format::ColumnType type);

std::uint8_t byte_mask(std::string_view text);

// The dictionary of a segment as a reader sees it.
class DictionaryView {
 public:
  virtual ~DictionaryView() = default;
  virtual std::string_view at(std::uint32_t id) const = 0;  // "" when there is none such
};

// A column read whole. Index < count everywhere.
class DecodedColumn {
 public:
  // False when the bytes are damaged. `bytes` must outlive the column.
  bool decode(const format::Column& column, std::string_view bytes, std::size_t count, const SlotKind& kind,
              const DictionaryView& dictionary);
  std::size_t count() const { return count_; }
  // `times[i]` is needed by time slots only.
  void append(std::size_t i, TimestampNs time, std::string& out) const;
  // The text, in `scratch` when it has to be made.
  std::string_view text(std::size_t i, TimestampNs time, std::string& scratch) const;
  // Numbers behind an integer or dictionary column.
  std::span<const std::int64_t> numbers() const { return numbers_; }

 private:
  format::Column column_{};
  SlotKind kind_;
  std::string_view bytes_;
  std::size_t count_ = 0;
  std::vector<std::int64_t> numbers_;
  std::vector<std::uint32_t> starts_;  // raw, counted
  const DictionaryView* dictionary_ = nullptr;
};

}  // namespace tocayo::logs
