// SPDX-License-Identifier: Apache-2.0
// A segment: an immutable file of log rows of one tenant, one UTC day and one stream group, encoded as templates and
// typed slots so that a literal is found without rebuilding lines. This header is all that the rest of the store knows
// of the format; docs/formats/segment-logs.md describes the bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/context.h"
#include "core/error.h"
#include "core/labels.h"
#include "logs/columns.h"
#include "logs/entry.h"
#include "logs/querier.h"

namespace tocayo::logs {

struct SegmentOptions {
  std::string tenant;
  std::uint32_t level = 0;         // 0 cut, 1 hour, 2 day: how hard to compress (zstd 3, 6, 12)
  std::uint64_t group_hash = 0;    // stream group
  std::uint64_t journal_from = 0;  // rows of these journal positions are in here (makes replay idempotent)
  std::uint64_t journal_to = 0;
  bool by_group = false;  // the order of its streams: by stream_place() and labels, or by labels alone
};

struct SegmentInfo {
  SegmentOptions options;
  TimestampNs min_time = 0;
  TimestampNs max_time = 0;
  std::uint64_t rows = 0;
  std::uint64_t raw_bytes = 0;  // of the lines
  std::uint64_t file_bytes = 0;
  std::uint32_t streams = 0;
  std::uint32_t groups = 0;  // row groups
};

// Writes one file. Not thread-safe. Dropping it before finish() removes the unfinished file.
class SegmentWriter {
 public:
  // Creates `path` + ".tmp"; finish() fsyncs, renames and fsyncs the directory.
  static Result<SegmentWriter> create(std::filesystem::path path, SegmentOptions options);
  SegmentWriter(SegmentWriter&&) noexcept;
  SegmentWriter& operator=(SegmentWriter&&) noexcept;
  ~SegmentWriter();

  // Starts a stream; its rows follow in ascending (time, order). Streams come in the order that the
  // options name, each once.
  Result<> start_stream(const Labels& labels);
  // Copies what it needs. `order` is kept by position: rows of equal time keep the sequence of the calls.
  Result<> add(const EntryRow& row);
  Result<SegmentInfo> finish();

 private:
  struct Impl;
  explicit SegmentWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What a stream has in a segment, from the stream table alone.
struct SegmentStream {
  Labels labels;
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
  TimestampNs min_time = 0;
  TimestampNs max_time = 0;
};

struct SegmentGroup {
  std::uint32_t first_stream = 0;  // a run of neighbouring streams
  std::uint32_t stream_count = 0;
  TimestampNs min_time = 0;
  TimestampNs max_time = 0;
  std::uint32_t rows = 0;
};

// Where the bytes of a segment are.
struct SegmentReport {
  SegmentInfo info;
  struct Part {
    std::string name;           // of a column type or a part of the index
    std::uint64_t columns = 0;  // 0: no columns
    std::uint64_t values = 0;
    std::uint64_t raw_bytes = 0;   // before zstd
    std::uint64_t file_bytes = 0;  // its share of the blocks it lies in
  };
  std::vector<Part> parts;  // most bytes first; their file_bytes add up to nearly all of the file
  struct Template {
    std::string pattern;
    std::uint64_t rows = 0;
    std::uint64_t file_bytes = 0;
  };
  std::uint64_t templates = 0;
  std::uint64_t text_rows = 0;            // kept as whole lines
  std::vector<Template> worst_templates;  // most bytes first
  std::uint64_t dictionary_values = 0;
};
std::string to_text(const SegmentReport& report);

// A Selection whose filters are compiled once per query.
class CompiledSelection;
Result<std::shared_ptr<const CompiledSelection>> compile(const Selection& selection);

// Maps one file. Immutable, thread-safe, shared by the queries that use it; the file may be unlinked meanwhile. Every
// read is checked against bounds and checksums: a damaged part is an `internal` error naming file and part, and does
// not hinder the others.
class SegmentReader {
 public:
  // bad_input: not a segment, of a newer version, or damaged in its footer.
  static Result<std::shared_ptr<SegmentReader>> open(const std::filesystem::path& path);
  ~SegmentReader();

  const SegmentInfo& info() const;
  std::span<const SegmentStream> streams() const;
  std::span<const SegmentGroup> groups() const;

  // Visits the rows of one row group that the selection chooses, in ascending (stream, time, order). `stream_map` gives
  // for each stream of the file the number to put into Row::stream, or kSkipStream. Row::order is the position in the
  // file.
  static constexpr std::uint32_t kSkipStream = 0xFFFFFFFF;
  Result<> scan(std::uint32_t group, const CompiledSelection& selection, std::span<const std::uint32_t> stream_map,
                TimestampNs start, TimestampNs end, const Context& context, const Scan::Visitor& visit,
                ScanStats& stats) const;
  // The same rows by column, in one call when there are any. `first_order` is added to the positions in the file.
  Result<> scan_columns(std::uint32_t group, const CompiledSelection& selection,
                        std::span<const std::uint32_t> stream_map, TimestampNs start, TimestampNs end,
                        std::uint64_t first_order, const Context& context, const Scan::ColumnVisitor& visit,
                        ScanStats& stats) const;

  // False: by the index alone no row of the group passes the filters. Takes microseconds; reads no rows.
  bool may_match(std::uint32_t group, const CompiledSelection& selection) const;
  // Of any group.
  bool may_match(const CompiledSelection& selection) const;
  // Counts the rows that the group has of some streams (by number in the file) as covered and left out.
  void count_skipped(std::uint32_t group, std::span<const char> wanted, ScanStats& stats) const;

  // What the streams have for a label. Views live as long as this.
  struct LabelFacts {
    std::vector<std::string_view> values;  // ascending, each once
    bool everywhere = false;               // no stream lacks it
  };
  const LabelFacts& label(std::string_view name) const;

  // Gives the memory that the row group's blocks take in this process back to the system, which reads them from the
  // file again when they are asked for: for who reads everything once.
  void release(std::uint32_t group) const;

  // Exact rows and bytes of each stream (index into streams()) within [start, end).
  Result<> volume(
      std::span<const std::uint32_t> streams, TimestampNs start, TimestampNs end,
      const std::function<void(std::uint32_t stream, std::uint64_t rows, std::uint64_t bytes)>& visit) const;
  // Every row again: checksums, decoding, order. The first damage found.
  Result<> verify() const;

  // `worst`: how many templates to name. Reads the index, no rows.
  Result<SegmentReport> report(std::size_t worst = 10) const;

  // For pattern queries: `visit` with each chosen row and its template, slots as <_>; `loose` with the line of rows
  // that have no template. Needs metadata (the level), no lines.
  using PatternVisitor = std::function<void(std::string_view text, std::string_view level, TimestampNs time)>;
  Result<> patterns(std::uint32_t group, const CompiledSelection& selection, std::span<const std::uint32_t> stream_map,
                    TimestampNs start, TimestampNs end, const Context& context, const PatternVisitor& visit,
                    const PatternVisitor& loose) const;

 private:
  struct Impl;
  struct Chosen;
  Result<> choose(std::uint32_t group, const CompiledSelection& selection, std::span<const std::uint32_t> stream_map,
                  TimestampNs start, TimestampNs end, const Context& context,
                  const std::function<Result<>(const Chosen&)>& take, ScanStats& stats) const;
  explicit SegmentReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tocayo::logs
