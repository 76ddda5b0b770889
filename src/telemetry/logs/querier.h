// SPDX-License-Identifier: Apache-2.0
// How the query engine (and every reader) sees the log store: streams chosen by matchers, rows chosen by filters that
// the store decides on its own encodings, handed over in batches. The head and the segments implement it; so does the
// plain in-memory store of the tests. Ranges are [start, end) in nanoseconds.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/context.h"
#include "core/error.h"
#include "core/labels.h"
#include "core/time.h"
#include "logs/entry.h"
#include "logs/line_filter.h"

namespace tocayo {
class Pool;
}

namespace tocayo::logs {

enum class Direction : unsigned char { forward, backward };

// Which rows, and what of them. All filters must hold; they are decided exactly.
struct Selection {
  std::vector<Matcher> matchers;  // of the stream's labels
  TimestampNs start = 0;          // inclusive
  TimestampNs end = 0;            // exclusive
  std::vector<LineFilter> line_filters;
  // Label filters that stand before any parser: the value is the stream's label of that name, else the row's metadata,
  // else empty.
  std::vector<Matcher> label_filters;
  // Few rows are looked for: select() asks the indexes first, on `pool` too if given, and leaves out what by them alone
  // has none. Not for queries that keep what they made of a morsel.
  bool probe = false;
  Pool* pool = nullptr;
  bool want_line = true;      // false: Row::line is left empty
  bool want_length = true;    // false: Row::length may be 0 where the line is not wanted either
  bool want_metadata = true;  // false: Row::metadata is left empty
};

struct Row {
  TimestampNs time = 0;
  std::uint64_t order = 0;   // arrival: of two rows of one stream with one time the smaller came first
  std::uint32_t stream = 0;  // index into Scan::streams()
  std::uint32_t length = 0;  // bytes of the line
  std::string_view line;
  std::span<const LabelView> metadata;  // sorted by name
};

// What a scan has covered (logical) and touched; summed into the statistics of the answer.
struct ScanStats {
  std::uint64_t rows = 0;            // rows covered by stream and time
  std::uint64_t bytes = 0;           // bytes of their lines
  std::uint64_t metadata_bytes = 0;  // of their structured metadata
  std::uint64_t rows_selected = 0;   // left after the filters
  std::uint64_t bytes_read = 0;      // really decoded
  std::uint64_t segments = 0;        // chosen by time
  std::uint64_t groups = 0;          // row groups looked at
  std::uint64_t groups_skipped = 0;  // … decided without their rows
  std::uint64_t head_rows = 0;       // rows covered that came from the head
  void add(const ScanStats& other);
};

class ColumnGroup;

// A piece of work for one thread. Rows of a morsel come in ascending (stream, time, order) within one stream.
struct Morsel {
  TimestampNs min_time = 0;
  TimestampNs max_time = 0;  // inclusive
  std::uint64_t rows = 0;    // at most
};

// One consistent snapshot of what a Selection chose. Thread-safe: scan() of different morsels may run concurrently.
class Scan {
 public:
  // Gets batches of at most 2,048 rows whose bytes are valid during the call. false ends this morsel early.
  using Visitor = std::function<Result<bool>(std::span<const Row>)>;

  virtual ~Scan() = default;
  virtual std::span<const Labels> streams() const = 0;
  virtual std::span<const Morsel> morsels() const = 0;
  // Rows of the morsel with time in [start, end), which may be narrower than the Selection's range.
  virtual Result<> scan(std::size_t morsel, TimestampNs start, TimestampNs end, const Context& context,
                        const Visitor& visit, ScanStats& stats) const = 0;
  // As scan(), for who can read columns (columns.h): what is kept so goes to `columns`, all the rest to `visit`.
  using ColumnVisitor = std::function<Result<>(ColumnGroup&)>;
  virtual Result<> scan_columns(std::size_t morsel, TimestampNs start, TimestampNs end, const Context& context,
                                const ColumnVisitor& columns, const Visitor& visit, ScanStats& stats) const {
    (void)columns;
    return scan(morsel, start, end, context, visit, stats);
  }
  // A number that stands for all rows of a morsel, now and in later scans with the same matchers and filters; nullopt
  // when they may change.
  virtual std::optional<std::uint64_t> identity(std::size_t morsel) const {
    (void)morsel;
    return std::nullopt;
  }
  // What select() itself covered: rows that it left out by the indexes are in no morsel.
  virtual ScanStats covered() const { return {}; }
  // What could not be read (a quarantined row group), naming range and streams: warnings of the answer.
  virtual std::vector<std::string> warnings() const = 0;
};

struct NameList {
  std::vector<std::string> names;  // sorted
  bool truncated = false;
};

// Exact numbers of one stream within a range.
struct StreamVolume {
  Labels labels;
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
};

// A kind of line, with how often it occurred.
struct Pattern {
  std::string text;  // slots print as <_>; usable after |>
  std::string level;
  std::vector<std::pair<TimestampNs, std::uint64_t>> samples;  // start of the step, count; ascending, no zero counts
};

// Reads of one tenant at one moment. Thread-safe.
class Querier {
 public:
  virtual ~Querier() = default;
  virtual Result<std::unique_ptr<Scan>> select(const Selection& selection, const Context& context) const = 0;
  // Streams with a row in the range that match every matcher of any of the sets (none = all).
  virtual Result<std::vector<Labels>> series(std::span<const std::vector<Matcher>> matcher_sets, TimestampNs start,
                                             TimestampNs end, const Context& context) const = 0;
  virtual Result<NameList> label_names(std::span<const std::vector<Matcher>> matcher_sets, TimestampNs start,
                                       TimestampNs end, const Context& context) const = 0;
  virtual Result<NameList> label_values(const std::string& name, std::span<const std::vector<Matcher>> matcher_sets,
                                        TimestampNs start, TimestampNs end, const Context& context) const = 0;
  virtual Result<std::vector<StreamVolume>> volume(std::span<const Matcher> matchers, TimestampNs start,
                                                   TimestampNs end, const Context& context) const = 0;
};

}  // namespace tocayo::logs
