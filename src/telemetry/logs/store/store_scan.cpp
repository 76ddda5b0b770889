// SPDX-License-Identifier: Apache-2.0
#include "logs/store/store_scan.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "core/hash.h"
#include "core/pool.h"
#include "core/registry.h"
#include "logs/head/bloom.h"
#include "logs/head/head_scan.h"
#include "logs/head/label_bytes.h"
#include "logs/store/masks.h"
#include "logs/store/segment_choice.h"
#include "logs/store/stream_set.h"

namespace tocayo::logs {
namespace {

std::string_view level_of(const Row& row) {
  for (const LabelView& pair : row.metadata) {
    if (pair.name == "detected_level") return pair.value;
  }
  return {};
}

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

// The filters for a spilled stream: what the selection asks of labels that its rows carry is asked of the rows.
Result<StoreScan::SpillClass*> StoreScan::spill_class(const Selection& selection, const SpilledStream& stream) {
  Names names;
  for (const auto* list : {&selection.matchers, &selection.label_filters}) {
    for (const Matcher& matcher : *list) {
      if (stream.has(matcher.name())) names.insert(matcher.name());
    }
  }
  for (const auto& known : classes_) {
    if (known->names == names) return known.get();
  }
  auto made = std::make_unique<SpillClass>();
  Selection& own = made->selection;
  own = selection;
  own.matchers.clear();
  own.label_filters.clear();
  auto stored = [](const Matcher& matcher) {
    return Matcher::create(matcher.type(), kReserved + matcher.name(), matcher.value());
  };
  for (const Matcher& matcher : selection.matchers) {
    if (!names.contains(matcher.name())) continue;
    own.label_filters.push_back(TRY(stored(matcher)));
    if (!matcher.negative() && !matcher.matches_empty() &&
        (matcher.type() == Matcher::Type::equal || matcher.literals())) {
      made->narrows = true;
    }
  }
  for (const Matcher& matcher : selection.label_filters) {
    own.label_filters.push_back(names.contains(matcher.name()) ? TRY(stored(matcher)) : matcher);
  }
  own.want_metadata = true;
  own.want_line = own.want_line || std::any_of(view_->tombstones.begin(), view_->tombstones.end(),
                                               [](const auto& tombstone) { return bool(tombstone->filter.row); });
  made->names = std::move(names);
  made->filter = TRY(RowFilter::create(own));
  return classes_.emplace_back(std::move(made)).get();
}

std::uint32_t StoreScan::spilled_number(std::string_view label_bytes, const SpilledStream& stream) {
  for (std::uint32_t i = 0; i < spilled_.size(); ++i) {
    if (spilled_[i].first == label_bytes) return i;
  }
  spilled_.emplace_back(label_bytes, stream);
  return static_cast<std::uint32_t>(spilled_.size() - 1);
}

// A stream as it was pushed.
void StoreScan::add_pushed(const Selection& selection, const SpilledStream& stream, std::span<const LabelView> pairs,
                           std::uint64_t key, StreamSet& set) {
  if (pushed_.contains(key) || !stream.row_matches(selection.matchers, pairs)) return;
  std::string bytes;
  stream.fold(pairs, bytes);
  pushed_.emplace(key, set.add(hash64(bytes), bytes));
}

Result<> StoreScan::add_spilled_heads(const Selection& selection, StreamSet& set) {
  Work work;
  Morsel morsel;
  std::vector<HeadPiece> pieces;
  std::vector<std::string> names;  // that the rows of the morsel carry
  Result<> outcome;
  auto add = [&](const Head& head, const HeadStream& rows, const SpilledStream& stream) -> Result<> {
    if (choice_ && !choice_(rows.stream().labels)) return {};
    pieces.clear();
    add_pieces(rows, spilled_number(rows.stream().labels, stream), start_, end_, pieces);
    if (pieces.empty()) return {};
    const SpillClass* filters = TRY(spill_class(selection, stream));
    // As in segments: those whose rows carry different labels are read apart.
    if (work.spill != filters || names != stream.names()) close_head_morsel(work, morsel);
    names = stream.names();
    work.spill = filters;
    work.masked = true;
    add_head_pieces(pieces, head_order(head.sequence()) + kSpilledOrder, work, morsel);
    // After the pieces: so no row of theirs is missing.
    for_each_spilled(rows, stream, start_, end_, [&](std::span<const LabelView> pairs, std::uint64_t key, TimestampNs) {
      add_pushed(selection, stream, pairs, key, set);
    });
    return {};
  };
  for_each_spilled_head_stream(*tenant_, *view_, selection.matchers,
                               [&](const Head& head, const HeadStream& rows, const SpilledStream& stream) {
                                 if (outcome) outcome = add(head, rows, stream);
                               });
  close_head_morsel(work, morsel);
  return outcome;
}

Result<> StoreScan::add_spilled_segment(const Selection& selection, const SegmentEntry& entry,
                                        const std::shared_ptr<const OpenSegment>& open, StreamSet& set,
                                        const Context& context) {
  const SegmentReader& reader = *open->reader;
  const auto streams = reader.streams();
  // Those whose rows carry different labels are read apart: some of them may be one stream as it was pushed.
  using Kind = std::pair<SpillClass*, std::vector<std::string>>;
  std::map<Kind, std::shared_ptr<std::vector<std::uint32_t>>> maps;
  std::string bytes;
  for (std::size_t i = 0; i < streams.size() && is_spilled(streams[i].labels); ++i) {
    if (streams[i].max_time < start_ || streams[i].min_time >= end_) continue;
    bytes.clear();
    encode_labels(streams[i].labels, bytes);
    const SpilledStream stream(bytes);
    if ((choice_ && !choice_(bytes)) || !stream.plain_matches(selection.matchers)) continue;
    auto& map = maps[{TRY(spill_class(selection, stream)), stream.names()}];
    if (!map) map = std::make_shared<std::vector<std::uint32_t>>(streams.size(), SegmentReader::kSkipStream);
    (*map)[i] = spilled_number(bytes, stream);
  }
  std::vector<LabelView> scratch;
  for (const auto& [kind, map] : maps) {
    SpillClass* const filters = kind.first;
    TRY(context.check());
    if (!filters->compiled) filters->compiled = TRY(compile(filters->selection));
    auto sets = open->known_spilled();
    if (!sets && !filters->narrows) sets = TRY(open->spilled());
    if (sets) {
      for (const SpilledSets::Set& one : sets->sets) {
        if ((*map)[one.stream] == SegmentReader::kSkipStream || one.max_time < start_ || one.min_time >= end_) continue;
        add_pushed(selection, sets->streams.at(one.stream), sets->pairs(one, scratch), one.key, set);
      }
    } else {
      // Few rows are wanted: they are found faster than all sets of the segment are gathered.
      auto take = [&](std::span<const Row> rows) -> Result<bool> {
        for (const Row& row : rows) {
          const SpilledStream& stream = spilled_[row.stream].second;
          const auto pairs = row.metadata.first(spilled_pairs(row.metadata));
          add_pushed(selection, stream, pairs, stream.key(pairs), set);
        }
        return true;
      };
      const auto groups = reader.groups();
      for (std::uint32_t g = 0; g < groups.size() && is_spilled(streams[groups[g].first_stream].labels); ++g) {
        ScanStats ignored;
        auto done = reader.scan(g, *filters->compiled, *map, start_, end_, context, take, ignored);
        if (!done && done.error().kind != ErrorKind::internal) return done;  // damage is told when it is read again
      }
    }
    add_groups(entry, open, map, filters);
  }
  return {};
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

}  // namespace

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
