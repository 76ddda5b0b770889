// SPDX-License-Identifier: Apache-2.0
// A row group read by column: for queries that ask the same of many rows and so need not see each line. The rows are
// those that a selection chose; what a column cannot say, fetch() does.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/time.h"
#include "logs/querier.h"

namespace tocayo::logs {

// One value a row (of a template, or of the rows that have a key).
class ColumnValues {
 public:
  virtual ~ColumnValues() = default;
  // Whether codes() tells equal texts; else most of the values differ.
  virtual bool coded() const = 0;
  // Equal for equal texts, and only for them; empty: all values are equal. Indexed as text().
  virtual std::span<const std::int64_t> codes() const = 0;
  // The codes are the decimal numbers that the texts are.
  virtual bool integers() const = 0;
  // `time` is the row's; `scratch` holds what has to be made.
  virtual std::string_view text(std::size_t i, TimestampNs time, std::string& scratch) const = 0;
};

// A variable part of a template, as far as this row group goes.
struct SlotFacts {
  bool word = false;    // never empty, and without white space, quotes, = and backslash
  bool quoted = false;  // without quotes, backslash and bytes outside ASCII: inert in a quoted string
  bool number = false;  // always a number as JSON writes it
};

// A line is constants[0], slot 0, constants[1], slot 1, …, constants[n].
struct TemplateFacts {
  std::span<const std::string_view> constants;
  std::span<const SlotFacts> slots;
};

// Belongs to one thread; everything it hands out lives as long as it does. Fails with `internal` where the file is
// damaged.
class ColumnGroup {
 public:
  struct Run {
    std::uint32_t end = 0;     // one beyond the last row
    std::uint32_t stream = 0;  // as Row::stream
  };

  virtual ~ColumnGroup() = default;
  // The rows chosen, ascending; numbers within the group.
  virtual std::span<const std::uint32_t> rows() const = 0;
  virtual Result<std::span<const TimestampNs>> times() = 0;  // of every row of the group
  virtual std::span<const Run> runs() const = 0;             // the group's rows by stream
  virtual std::uint64_t first_order() const = 0;             // Row::order of row 0
  // Of each chosen row, in their order, the bytes of its line.
  virtual Result<std::span<const std::uint32_t>> lengths() = 0;

  virtual std::size_t template_count() const = 0;
  // For every row its template; template_count() for a row that is kept as text.
  virtual Result<std::span<const std::int64_t>> template_ids() = 0;
  // For every row its place among the rows of its template: the index into the columns of slots.
  virtual Result<std::span<const std::uint32_t>> places() = 0;
  virtual const TemplateFacts& facts(std::size_t number) = 0;
  virtual Result<const ColumnValues*> slot(std::size_t number, std::size_t slot) = 0;

  virtual std::size_t key_count() const = 0;  // of structured metadata
  virtual std::string_view key(std::size_t number) const = 0;
  // For every row its index into the key's column, -1 for none; empty: the row itself.
  virtual Result<std::span<const std::int32_t>> key_places(std::size_t number) = 0;
  virtual Result<const ColumnValues*> key_values(std::size_t number) = 0;

  // Rows (ascending) as Scan::scan() hands them over, with line and metadata. Valid until the next call.
  virtual Result<std::span<const Row>> fetch(std::span<const std::uint32_t> numbers) = 0;
};

}  // namespace tocayo::logs
