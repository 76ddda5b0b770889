// SPDX-License-Identifier: Apache-2.0
// Reading a head: filters compiled once per query, pieces of streams as the unit of work.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "core/context.h"
#include "logs/head/head.h"
#include "logs/querier.h"

namespace tocayo::logs {

// The filters of a Selection, for rows in memory. Immutable, thread-safe.
class RowFilter {
 public:
  static Result<RowFilter> create(const Selection& selection);

  std::span<const LineMatcher> lines() const { return lines_; }
  // The label filters that the stream's labels do not decide; nullopt when they already say no.
  std::optional<std::vector<const Matcher*>> open_filters(std::string_view stream_labels) const;
  bool want_line() const { return want_line_; }
  bool want_metadata() const { return want_metadata_; }

 private:
  std::vector<LineMatcher> lines_;
  std::vector<Matcher> labels_;
  bool want_line_ = true;
  bool want_metadata_ = true;
};

// Rows [first_row, end_row) of a stream, beginning with the slab that holds the first.
struct HeadPiece {
  const HeadStream* rows = nullptr;
  const Slab* slab = nullptr;
  std::uint32_t first_row = 0;
  std::uint32_t end_row = 0;
  std::uint32_t stream = 0;  // goes into Row::stream
  TimestampNs min_time = 0;
  TimestampNs max_time = 0;
};

// Cuts the rows there are now into pieces of a bloom page's size; gives those that overlap [start, end).
void add_pieces(const HeadStream& rows, std::uint32_t stream, TimestampNs start, TimestampNs end,
                std::vector<HeadPiece>& out);

// Visits what the filter leaves of a piece, ascending by (time, order); order is `order_base` + number in the stream.
// False when the visitor ended it.
Result<bool> scan_piece(const HeadPiece& piece, const RowFilter& filter, std::uint64_t order_base, TimestampNs start,
                        TimestampNs end, const Context& context, const Scan::Visitor& visit, ScanStats& stats);

// Visits all rows there are now with time in [start, end), ascending by (time, order); order is the number in the
// stream.
Result<> visit_sorted(const HeadStream& rows, const RowFilter& filter, TimestampNs start, TimestampNs end,
                      const Scan::Visitor& visit);

// Exact number of rows and bytes of their lines with time in [start, end).
struct RowTotals {
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
};
bool has_rows(const HeadStream& rows, TimestampNs start, TimestampNs end);
RowTotals totals(const HeadStream& rows, TimestampNs start, TimestampNs end);

}  // namespace tocayo::logs
