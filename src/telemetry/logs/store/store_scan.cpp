// SPDX-License-Identifier: Apache-2.0
#include "logs/store/store_scan_impl.h"

#include <algorithm>
#include <atomic>

#include "core/pool.h"
#include "core/registry.h"
#include "logs/head/bloom.h"
#include "logs/head/label_bytes.h"
#include "logs/store/segment_choice.h"

namespace tocayo::logs {
namespace {

std::string_view level_of(const Row& row) {
  for (const LabelView& pair : row.metadata) {
    if (pair.name == "detected_level") return pair.value;
  }
  return {};
}

}  // namespace

Result<> StoreScan::prepare(const Selection& selection, const TenantLimits& limits, TimestampNs now,
                            const Context& context) {
  start_ = selection.start;
  end_ = selection.end;
  want_line_ = selection.want_line;
  want_metadata_ = selection.want_metadata;
  filter_ = TRY(RowFilter::create(selection));
  if (start_ >= end_) return {};
  StreamSet set;
  add_heads(selection, set);
  TRY(add_spilled_heads(selection, set));
  TRY(add_segments(selection, set, context));
  finish_streams(set, limits, now);
  decide_masks();
  const bool full = std::any_of(work_.begin(), work_.end(), [](const Work& work) { return work.full; });
  if (full && !(want_line_ && want_metadata_)) {
    Selection whole = selection;
    whole.want_line = whole.want_metadata = true;
    full_filter_ = TRY(RowFilter::create(whole));
    full_compiled_ = TRY(compile(whole));
  }
  return {};
}

void StoreScan::close_head_morsel(Work& work, Morsel& morsel) {
  if (work.piece_count == 0) return;
  morsels_.push_back(morsel);
  work_.push_back(work);
  work.piece_count = 0;
  morsel = {};
}

void StoreScan::add_heads(const Selection& selection, StreamSet& set) {
  Work work;
  Morsel morsel;
  std::vector<HeadPiece> pieces;
  for_each_head_stream(*tenant_, *view_, selection.matchers, [&](const Head& head, const HeadStream& rows) {
    if (choice_ && !choice_(rows.stream().labels)) return;
    pieces.clear();
    add_pieces(rows, 0, start_, end_, pieces);
    if (pieces.empty()) return;
    const std::uint32_t stream = set.add(rows.stream().hash, rows.stream().labels);
    for (HeadPiece& piece : pieces) piece.stream = stream;
    add_head_pieces(pieces, head_order(head.sequence()), work, morsel);
  });
  close_head_morsel(work, morsel);
}

void StoreScan::add_head_pieces(std::span<const HeadPiece> pieces, std::uint64_t first_order, Work& work,
                                Morsel& morsel) {
  for (const HeadPiece& piece : pieces) {
    if (work.piece_count == 0) {
      work.first_piece = parts_.size();
      morsel = {piece.min_time, piece.max_time, 0};
    }
    parts_.push_back({first_order, piece});
    ++work.piece_count;
    morsel.min_time = std::min(morsel.min_time, piece.min_time);
    morsel.max_time = std::max(morsel.max_time, piece.max_time);
    morsel.rows += piece.end_row - piece.first_row;
    if (morsel.rows >= HeadBloom::kRows) {
      close_head_morsel(work, morsel);
    }
  }
}

void StoreScan::add_groups(const SegmentEntry& entry, const std::shared_ptr<const OpenSegment>& open,
                           const std::shared_ptr<const std::vector<std::uint32_t>>& map, const SpillClass* spill,
                           std::span<const char> chosen) {
  const auto groups = open->reader->groups();
  for (std::uint32_t g = 0; g < groups.size(); ++g) {
    if (!chosen.empty() && chosen[g] == 0) continue;
    const SegmentGroup& group = groups[g];
    if (group.max_time < start_ || group.min_time >= end_) continue;
    bool wanted = false;
    for (std::uint32_t i = 0; i < group.stream_count && !wanted; ++i) {
      wanted = (*map)[group.first_stream + i] != SegmentReader::kSkipStream;
    }
    if (!wanted) continue;
    Work work;
    work.entry = &entry;
    work.open = open;
    work.group = g;
    work.order_base = segment_order(entry.record().rank);
    work.map = map;
    work.spill = spill;
    work.masked = spill != nullptr;
    work_.push_back(std::move(work));
    morsels_.push_back({group.min_time, group.max_time, group.rows});
  }
}

Result<> StoreScan::add_segments(const Selection& selection, StreamSet& set, const Context& context) {
  SegmentChooser chooser(selection, choice_, [](const Labels& labels) { return is_spilled(labels); });
  std::vector<ChosenSegment> chosen;
  for (const auto& entry : view_->segments) {
    if (!entry->overlaps(start_, end_)) continue;
    TRY(context.check());
    auto open = entry->open();
    if (!open) {
      warn(unreadable(*entry, open.error()));
      continue;
    }
    ++covered_.segments;
    if ((*open)->has_spilled()) TRY(add_spilled_segment(selection, *entry, *open, set, context));
    if (!compiled_) compiled_ = TRY(compile(selection));
    if (auto segment = chooser.choose(*entry, *open)) chosen.push_back(std::move(*segment));
  }
  const bool filtered = !selection.line_filters.empty() || !selection.label_filters.empty();
  if (selection.probe && filtered && !chosen.empty()) TRY(probe(chosen, selection, *compiled_, context, covered_));
  for (const ChosenSegment& segment : chosen) {
    const auto map = number_streams(segment, selection, set);
    if (map) add_groups(*segment.entry, segment.open, map, nullptr, segment.groups);
  }
  return {};
}

void StoreScan::finish_streams(const StreamSet& set, const TenantLimits& limits, TimestampNs now) {
  const bool retention = retention_set(limits);
  const bool deletes = !view_->tombstones.empty();
  streams_.reserve(set.size());
  for (std::uint32_t i = 0; i < set.size(); ++i) {
    streams_.push_back(decode_labels(set.label_bytes(i)));
    if (retention) floors_.push_back(retention_floor(limits, set.label_bytes(i), now));
    if (deletes) masks_.emplace_back(view_->tombstones, 0, set.label_bytes(i));
  }
}

void StoreScan::decide_masks() {
  if (floors_.empty() && masks_.empty()) return;
  for (std::size_t m = 0; m < work_.size(); ++m) {
    Work& work = work_[m];
    if (work.spill != nullptr) continue;  // looked at row by row in any case
    auto look = [&](std::uint32_t stream) {
      if (!floors_.empty() && morsels_[m].min_time < floors_[stream]) work.masked = true;
      if (!masks_.empty() && masks_[stream].touches(morsels_[m].min_time, morsels_[m].max_time)) {
        work.masked = true;
        work.full = work.full || masks_[stream].needs_row();
      }
    };
    if (work.entry == nullptr) {
      for (std::size_t p = 0; p < work.piece_count; ++p) look(parts_[work.first_piece + p].piece.stream);
      continue;
    }
    const SegmentGroup& group = work.open->reader->groups()[work.group];
    for (std::uint32_t i = 0; i < group.stream_count; ++i) {
      const std::uint32_t stream = (*work.map)[group.first_stream + i];
      if (stream != SegmentReader::kSkipStream) look(stream);
    }
  }
}

Result<> StoreScan::scan(std::size_t index, TimestampNs start, TimestampNs end, const Context& context,
                         const Visitor& visit, ScanStats& stats) const {
  start = std::max(start, start_);
  end = std::min(end, end_);
  if (start >= end) return {};
  const Work& work = work_[index];
  const std::int64_t tombstone = work.entry == nullptr ? 0 : work.entry->tombstone();
  std::vector<Row> left;
  const Visitor filtered = [&](std::span<const Row> rows) -> Result<bool> {
    left.clear();
    for (Row row : rows) {
      if (work.spill != nullptr && !as_pushed(row)) continue;
      if (hidden(row, tombstone)) continue;
      Row& kept = left.emplace_back(row);
      if (!want_line_) kept.line = {};
      if (!want_metadata_) kept.metadata = {};
    }
    stats.rows_selected -= rows.size() - left.size();
    if (left.empty()) return true;
    return visit(left);
  };
  const Visitor& sink = work.masked ? filtered : visit;
  if (work.entry != nullptr) return scan_segment(work, start, end, context, sink, stats);
  const RowFilter& filter = work.spill != nullptr       ? *work.spill->filter
                            : work.full && full_filter_ ? *full_filter_
                                                        : *filter_;
  for (std::size_t p = 0; p < work.piece_count; ++p) {
    const HeadPart& part = parts_[work.first_piece + p];
    if (part.piece.max_time < start || part.piece.min_time >= end) continue;
    auto more = scan_piece(part.piece, filter, part.order_base, start, end, context, sink, stats);
    if (!more) return std::unexpected(std::move(more.error()));
    if (!*more) return {};
  }
  return {};
}

Result<> StoreScan::scan_segment(const Work& work, TimestampNs start, TimestampNs end, const Context& context,
                                 const Visitor& visit, ScanStats& stats) const {
  const CompiledSelection& compiled = work.spill != nullptr         ? *work.spill->compiled
                                      : work.full && full_compiled_ ? *full_compiled_
                                                                    : *compiled_;
  std::vector<Row> ordered;
  bool visitor_failed = false;
  const Visitor place = [&](std::span<const Row> rows) -> Result<bool> {
    ordered.assign(rows.begin(), rows.end());
    for (Row& row : ordered) row.order += work.order_base;
    auto more = visit(ordered);
    if (!more) visitor_failed = true;
    return more;
  };
  auto scanned = work.open->reader->scan(work.group, compiled, *work.map, start, end, context, place, stats);
  if (scanned || visitor_failed || scanned.error().kind != ErrorKind::internal) return scanned;
  leave_out(work, scanned.error());
  return {};
}

Result<> StoreScan::scan_columns(std::size_t index, TimestampNs start, TimestampNs end, const Context& context,
                                 const ColumnVisitor& columns, const Visitor& visit, ScanStats& stats) const {
  const Work& work = work_[index];
  if (work.entry == nullptr || work.masked) return scan(index, start, end, context, visit, stats);
  start = std::max(start, start_);
  end = std::min(end, end_);
  if (start >= end) return {};
  // Columns are decoded while the visitor is at work, so only it can tell its own failures from the file's: an
  // `internal` one is the file's.
  auto scanned = work.open->reader->scan_columns(work.group, *compiled_, *work.map, start, end, work.order_base,
                                                 context, columns, stats);
  if (scanned || scanned.error().kind != ErrorKind::internal) return scanned;
  leave_out(work, scanned.error());
  return {};
}

// The group is damaged: the rest of the answer stands, and says what it lacks.
void StoreScan::leave_out(const Work& work, const Error& error) const {
  const SegmentGroup& group = work.open->reader->groups()[work.group];
  std::string names;
  for (std::uint32_t i = 0; i < group.stream_count; ++i) {
    const std::uint32_t stream = (*work.map)[group.first_stream + i];
    if (stream == SegmentReader::kSkipStream) continue;
    if (names.size() > 300) {
      names += ", …";
      break;
    }
    const Labels& labels = work.spill == nullptr ? streams_[stream] : decode_labels(spilled_[stream].second.plain());
    names += (names.empty() ? "" : ", ") + labels.to_string(false);
  }
  Registry::global()
      .counter("tocayo_logs_damaged_groups_total",
               "Row groups that queries had to leave out because they cannot be read.")
      .add();
  work.entry->exclude();
  warn("log lines of " + names + " between " + format_rfc3339(group.min_time / 1'000'000) + " and " +
       format_rfc3339(group.max_time / 1'000'000) + " are left out: " + error.message);
}

// What a morsel adds to the kinds of lines.
Result<> StoreScan::count_patterns(std::size_t morsel, std::uint64_t question, const Context& context,
                                   LineTemplate& templates, PatternTally& tally, PatternCache& cache) const {
  const Work& work = work_[morsel];
  if (const auto group = identity(morsel); group && work.spill == nullptr) {
    const Morsel& rows = morsels_[morsel];
    const bool whole = rows.min_time >= start_ && rows.max_time < end_;
    const PatternCache::Key key{*group, question};
    if (const auto known = whole ? cache.find(key) : nullptr) {
      tally.add(*known);
      return {};
    }
    auto counted_here = std::make_shared<PatternTally>(tally.step());  // of a damaged row group nothing counts
    PatternTally& found = *counted_here;
    auto counted = work.open->reader->patterns(
        work.group, *without_lines_, *work.map, start_, end_, context,
        [&](std::string_view pattern, std::string_view level, TimestampNs time) { found.add(pattern, level, time); },
        [&](std::string_view line, std::string_view level, TimestampNs time) {
          found.add(templates.of(line), level, time);
        });
    if (counted) tally.add(found);
    if (counted && whole) cache.keep(key, std::move(counted_here));
    if (counted || counted.error().kind != ErrorKind::internal) return counted;
  }
  ScanStats stats;
  return scan(
      morsel, start_, end_, context,
      [&](std::span<const Row> rows) -> Result<bool> {
        for (const Row& row : rows) tally.add(templates.of(row.line), level_of(row), row.time);
        return true;
      },
      stats);
}

Result<> StoreScan::patterns(const Selection& selection, const Context& context, PatternTally& tally,
                             PatternCache& cache) {
  std::string asked = std::to_string(tally.step());
  for (const Matcher& matcher : selection.matchers) asked += '\0' + matcher.to_string();
  const std::uint64_t question = hash64(asked);
  Selection bare = selection;
  bare.want_line = false;
  without_lines_ = TRY(compile(bare));
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  Result<> outcome;
  const auto work = [&](std::size_t) {
    LineTemplate templates;
    PatternTally mine(tally.step());
    Result<> went;
    for (std::size_t m = next++; went && m < work_.size(); m = next++) {
      went = context.check();
      if (went) went = count_patterns(m, question, context, templates, mine, cache);
    }
    std::lock_guard lock(mutex);
    tally.add(mine);
    if (!went && outcome) outcome = std::move(went);
  };
  if (selection.pool != nullptr && work_.size() > 1) {
    selection.pool->parallel_for(std::min(work_.size(), selection.pool->thread_count()), work);
  } else {
    work(0);
  }
  return outcome;
}

Result<> scan_patterns(std::shared_ptr<Tenant> tenant, std::shared_ptr<const View> view,
                       std::shared_ptr<const TenantLimits> limits, TimestampNs now, const Selection& selection,
                       const Context& context, PatternTally& tally, PatternCache& cache) {
  StoreScan scan(std::move(tenant), std::move(view));
  TRY(scan.prepare(selection, *limits, now, context));
  return scan.patterns(selection, context, tally, cache);
}

Result<std::unique_ptr<Scan>> make_scan(std::shared_ptr<Tenant> tenant, std::shared_ptr<const View> view,
                                        std::shared_ptr<const TenantLimits> limits, TimestampNs now,
                                        const Selection& selection, const Context& context,
                                        const StreamChoice& choice) {
  auto scan = std::make_unique<StoreScan>(std::move(tenant), std::move(view), choice);
  TRY(scan->prepare(selection, *limits, now, context));
  return std::unique_ptr<Scan>(std::move(scan));
}

}  // namespace tocayo::logs
