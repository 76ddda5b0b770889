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
#include "logs/segment/int_page.h"
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
  // Kept for their memory.
  std::string scratch;
  std::vector<std::int64_t> numbers;
  std::vector<std::uint32_t> exceptions;
};

// `times` are the rows' times (for time slots), as long as values.
format::Column encode_column(std::span<const std::string_view> values, const SlotKind& kind,
                             std::span<const TimestampNs> times, EncodeContext& context);
format::Column encode_numbers(std::span<const std::int64_t> values, EncodeContext& context);
// Whether the texts depend on the rows' times.
inline bool needs_times(format::ColumnType type) {
  return type == format::ColumnType::time || type == format::ColumnType::epoch ||
         type == format::ColumnType::epoch_decimal;
}
// Whether equality is answered by the token filter of the group.
bool has_token_filter(format::ColumnType type);

std::uint8_t byte_mask(std::string_view text);

// The dictionary of a segment as a reader sees it.
class DictionaryView {
 public:
  virtual ~DictionaryView() = default;
  virtual std::string_view at(std::uint32_t id) const = 0;  // "" when there is none such
};

// A column read whole. For one thread. Index < count everywhere.
class DecodedColumn {
 public:
  // False when the bytes are damaged. `bytes` and the dictionary must outlive the column.
  bool decode(const format::Column& column, std::string_view bytes, std::size_t count, const SlotKind& kind,
              const DictionaryView& dictionary);
  std::size_t count() const { return count_; }
  // The texts at `places`, as views into the column, the dictionary or `arena` (which is replaced). `times[k]` is the
  // time of the row of places[k]; only columns that needs_times() look at it, others may have none.
  void texts(std::span<const std::uint32_t> places, std::span<const TimestampNs> times, std::string& arena,
             std::vector<std::string_view>& out) const;
  // The text, in `scratch` when it has to be made.
  std::string_view text(std::size_t i, TimestampNs time, std::string& scratch) const;
  // Numbers behind an integer column; of a dictionary column places in ids().
  std::span<const std::int64_t> numbers() const { return numbers_; }
  // Of a dictionary column: the ids it uses, ascending, and their texts.
  std::span<const std::uint32_t> ids() const { return ids_; }
  std::span<const std::string_view> values() const;

 private:
  bool read_front(std::string_view& bytes);
  bool read_dictionary(std::string_view bytes, const DictionaryView& dictionary);
  bool read_raw(std::string_view bytes);
  std::size_t most_bytes() const;
  char* write(std::size_t i, TimestampNs time, DayCache& day, char* to) const;

  format::Column column_{};
  SlotKind kind_;
  std::string_view bytes_;
  std::string_view prefix_;
  std::string_view suffix_;
  std::size_t count_ = 0;
  Numbers numbers_;
  std::vector<std::uint32_t> starts_;  // raw, counted
  std::vector<std::uint32_t> ids_;
  const DictionaryView* dictionary_ = nullptr;
  mutable std::vector<std::string_view> values_;  // read when they are first asked for
  std::vector<std::uint32_t> exceptions_;         // places, ascending
  std::vector<std::string_view> exception_texts_;
};

}  // namespace tocayo::logs
