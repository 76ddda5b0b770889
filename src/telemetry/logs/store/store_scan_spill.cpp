// SPDX-License-Identifier: Apache-2.0
// What a scan does about spilled streams: their rows carry some of their labels, so what is asked of those labels is
// asked of the rows, and a row's stream is known when it is read.
#include <algorithm>
#include <map>

#include "logs/head/bloom.h"
#include "logs/head/label_bytes.h"
#include "logs/store/store_scan_impl.h"

namespace tocayo::logs {

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

}  // namespace tocayo::logs
