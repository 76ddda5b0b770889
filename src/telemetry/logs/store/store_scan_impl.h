// SPDX-License-Identifier: Apache-2.0
// The scan of a tenant's heads and segments, cut into morsels. Internal to store_scan.cpp and store_scan_spill.cpp.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/hash.h"
#include "logs/head/head_scan.h"
#include "logs/store/masks.h"
#include "logs/store/store_scan.h"
#include "logs/store/stream_set.h"

namespace tocayo::logs {

class StoreScan final : public Scan {
 public:
  StoreScan(std::shared_ptr<Tenant> tenant, std::shared_ptr<const View> view, StreamChoice choice = {})
      : tenant_(std::move(tenant)), view_(std::move(view)), choice_(std::move(choice)) {}
  Result<> prepare(const Selection& selection, const TenantLimits& limits, TimestampNs now, const Context& context);

  std::span<const Labels> streams() const override { return streams_; }
  std::span<const Morsel> morsels() const override { return morsels_; }
  Result<> scan(std::size_t morsel, TimestampNs start, TimestampNs end, const Context& context, const Visitor& visit,
                ScanStats& stats) const override;
  Result<> scan_columns(std::size_t morsel, TimestampNs start, TimestampNs end, const Context& context,
                        const ColumnVisitor& columns, const Visitor& visit, ScanStats& stats) const override;
  std::optional<std::uint64_t> identity(std::size_t morsel) const override {
    const Work& work = work_[morsel];
    if (work.entry == nullptr || work.masked) return std::nullopt;
    const auto id = static_cast<std::uint64_t>(work.entry->record().id);
    return hash64({reinterpret_cast<const char*>(&id), sizeof id}, work.group);
  }
  ScanStats covered() const override { return covered_; }
  // All kinds of lines; rows that are only in memory, or some of which are hidden, are looked at one by one.
  Result<> patterns(const Selection& selection, const Context& context, PatternTally& tally, PatternCache& cache);
  std::vector<std::string> warnings() const override {
    std::lock_guard lock(mutex_);
    return warnings_;
  }

 private:
  // Filters for spilled streams whose rows carry the same ones of the labels that the selection names.
  struct SpillClass {
    Names names;
    Selection selection;
    std::optional<RowFilter> filter;
    std::shared_ptr<const CompiledSelection> compiled;  // made for the first segment
    bool narrows = false;                               // wants few of the rows: an equality on what they carry
  };
  // What a morsel is made of: pieces of the heads, or a row group of a segment.
  struct Work {
    std::size_t first_piece = 0;
    std::size_t piece_count = 0;
    const SegmentEntry* entry = nullptr;
    std::shared_ptr<const OpenSegment> open;
    std::uint32_t group = 0;
    std::uint64_t order_base = 0;
    std::shared_ptr<const std::vector<std::uint32_t>> map;  // shared by the groups of the segment
    bool masked = false;                                    // some row may be hidden
    bool full = false;                                      // and the mask looks at line or metadata
    const SpillClass* spill = nullptr;                      // of spilled streams: Row::stream is one of `spilled_`
  };
  struct HeadPart {
    std::uint64_t order_base;
    HeadPiece piece;
  };

  Result<SpillClass*> spill_class(const Selection& selection, const SpilledStream& stream);
  std::uint32_t spilled_number(std::string_view label_bytes, const SpilledStream& stream);
  void add_pushed(const Selection& selection, const SpilledStream& stream, std::span<const LabelView> pairs,
                  std::uint64_t key, StreamSet& set);
  Result<> add_spilled_heads(const Selection& selection, StreamSet& set);
  Result<> add_spilled_segment(const Selection& selection, const SegmentEntry& entry,
                               const std::shared_ptr<const OpenSegment>& open, StreamSet& set, const Context& context);
  void add_groups(const SegmentEntry& entry, const std::shared_ptr<const OpenSegment>& open,
                  const std::shared_ptr<const std::vector<std::uint32_t>>& map, const SpillClass* spill,
                  std::span<const char> chosen = {});
  Result<> count_patterns(std::size_t morsel, std::uint64_t question, const Context& context, LineTemplate& templates,
                          PatternTally& tally, PatternCache& cache) const;
  void add_heads(const Selection& selection, StreamSet& set);
  void add_head_pieces(std::span<const HeadPiece> pieces, std::uint64_t first_order, Work& work, Morsel& morsel);
  Result<> add_segments(const Selection& selection, StreamSet& set, const Context& context);
  void finish_streams(const StreamSet& set, const TenantLimits& limits, TimestampNs now);
  void close_head_morsel(Work& work, Morsel& morsel);
  void decide_masks();
  void warn(std::string text) const {
    std::lock_guard lock(mutex_);
    if (std::find(warnings_.begin(), warnings_.end(), text) == warnings_.end()) warnings_.push_back(std::move(text));
  }
  // Gives a spilled row the stream it was pushed with; false when that is not chosen.
  bool as_pushed(Row& row) const {
    const SpilledStream& stream = spilled_[row.stream].second;
    const std::size_t count = spilled_pairs(row.metadata);
    const auto found = pushed_.find(stream.key(row.metadata.first(count)));
    if (found == pushed_.end()) return false;
    row.stream = found->second;
    row.metadata = row.metadata.subspan(count);
    return true;
  }
  bool hidden(const Row& row, std::int64_t tombstone) const {
    return (!floors_.empty() && row.time < floors_[row.stream]) ||
           (!masks_.empty() && masks_[row.stream].hides(row, tombstone));
  }
  Result<> scan_segment(const Work& work, TimestampNs start, TimestampNs end, const Context& context,
                        const Visitor& visit, ScanStats& stats) const;
  void leave_out(const Work& work, const Error& error) const;

  std::shared_ptr<Tenant> tenant_;    // the stripes of its locks
  std::shared_ptr<const View> view_;  // keeps heads and files
  StreamChoice choice_;
  TimestampNs start_ = 0;
  TimestampNs end_ = 0;
  bool want_line_ = true;
  bool want_metadata_ = true;
  std::optional<RowFilter> filter_;
  std::optional<RowFilter> full_filter_;
  std::shared_ptr<const CompiledSelection> compiled_;
  std::shared_ptr<const CompiledSelection> full_compiled_;
  std::shared_ptr<const CompiledSelection> without_lines_;  // of a pattern query
  std::vector<Labels> streams_;
  std::vector<TimestampNs> floors_;  // of retention, by stream; empty without
  std::vector<DeleteMask> masks_;    // by stream; empty without
  std::vector<std::unique_ptr<SpillClass>> classes_;
  std::vector<std::pair<std::string, SpilledStream>> spilled_;  // label bytes as stored
  std::unordered_map<std::uint64_t, std::uint32_t> pushed_;     // SpilledStream::key(): number of the stream
  std::vector<HeadPart> parts_;
  std::vector<Work> work_;
  std::vector<Morsel> morsels_;
  ScanStats covered_;  // by prepare()
  mutable std::mutex mutex_;
  mutable std::vector<std::string> warnings_;
};

}  // namespace tocayo::logs
