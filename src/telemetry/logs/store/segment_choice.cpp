// SPDX-License-Identifier: Apache-2.0
#include "logs/store/segment_choice.h"

#include <algorithm>
#include <atomic>

#include "core/pool.h"
#include "logs/head/label_bytes.h"

namespace tocayo::logs {

std::optional<ChosenSegment> SegmentChooser::choose(const SegmentEntry& entry,
                                                    std::shared_ptr<const OpenSegment> open) {
  ChosenSegment segment{.entry = &entry, .open = std::move(open), .streams = {}, .groups = {}};
  if (!choose_streams(segment)) return std::nullopt;
  const auto groups = segment.open->reader->groups();
  segment.groups.resize(groups.size());
  bool any = false;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const SegmentGroup& group = groups[g];
    if (group.max_time < selection_.start || group.min_time >= selection_.end) continue;
    const auto first = segment.streams.begin() + group.first_stream;
    const bool has = std::any_of(first, first + group.stream_count, [](char chosen) { return chosen != 0; });
    segment.groups[g] = has ? 1 : 0;
    any = any || has;
  }
  return any ? std::optional(std::move(segment)) : std::nullopt;
}

// False: none is chosen.
bool SegmentChooser::choose_streams(ChosenSegment& segment) {
  constexpr std::size_t kMostValues = 1024;  // of a label, to be asked about before the streams are
  const auto& reader = *segment.open->reader;
  const auto streams = reader.streams();
  bool all = !wanted_ && !streams.empty() && !apart_(streams[0].labels);
  for (const Matcher& matcher : selection_.matchers) {
    const auto& label = reader.label(matcher.name());
    if (label.values.size() > kMostValues) {
      all = false;
      continue;
    }
    std::size_t match = 0;
    for (const auto value : label.values) match += matcher.matches(value) ? 1 : 0;
    const bool absent = !label.everywhere && matcher.matches_empty();
    if (match == 0 && !absent) return false;
    all = all && match == label.values.size() && (label.everywhere || absent);
  }
  segment.streams.assign(streams.size(), all ? 1 : 0);
  if (all) return true;
  bool any = false;
  for (std::size_t i = 0; i < streams.size(); ++i) {
    if (apart_(streams[i].labels)) continue;
    const auto [known, fresh] = decided_.try_emplace(segment.open->hashes[i], false);
    if (fresh) known->second = decide(segment, i);
    segment.streams[i] = known->second ? 1 : 0;
    any = any || known->second;
  }
  return any;
}

bool SegmentChooser::decide(const ChosenSegment& segment, std::size_t stream) {
  const Labels& labels = segment.open->reader->streams()[stream].labels;
  for (const Matcher& matcher : selection_.matchers) {
    if (!matcher.matches(labels.get(matcher.name()))) return false;
  }
  if (!wanted_) return true;
  std::string bytes;
  encode_labels(labels, bytes);
  return wanted_(bytes);
}

Result<> probe(std::vector<ChosenSegment>& segments, const Selection& selection, const CompiledSelection& compiled,
               const Context& context, ScanStats& covered) {
  constexpr std::size_t kSample = 32;
  constexpr std::size_t kPiece = 32;
  struct Place {
    ChosenSegment* segment;
    std::uint32_t group;
    bool may_match() const { return segment->groups[group] != 0; }
  };
  const auto ask = [&](const Place& place) { return place.segment->open->reader->may_match(place.group, compiled); };
  std::vector<Place> places;
  for (ChosenSegment& segment : segments) {
    const auto groups = segment.open->reader->groups();
    for (std::uint32_t g = 0; g < groups.size(); ++g) {
      // What is in the range in part is left to the scan, which counts what it covers row by row.
      const bool whole = groups[g].min_time >= selection.start && groups[g].max_time < selection.end;
      if (segment.groups[g] != 0 && whole) places.push_back({&segment, g});
    }
  }
  if (places.size() > 4 * kSample) {
    std::size_t held = 0;
    for (std::size_t i = 0; i < kSample; ++i) held += ask(places[i * places.size() / kSample]) ? 1 : 0;
    if (held > kSample / 2) return {};
  }
  const std::size_t pieces = (places.size() + kPiece - 1) / kPiece;
  std::atomic<std::size_t> next{0};
  const auto work = [&](std::size_t) {
    for (std::size_t piece = next++; piece < pieces && context.check(); piece = next++) {
      const auto end = std::min(places.size(), (piece + 1) * kPiece);
      for (std::size_t i = piece * kPiece; i < end; ++i) {
        places[i].segment->groups[places[i].group] = ask(places[i]) ? 1 : 0;
      }
    }
  };
  if (selection.pool != nullptr && pieces > 1) {
    selection.pool->parallel_for(std::min(pieces, selection.pool->thread_count()), work);
  } else {
    work(0);
  }
  TRY(context.check());
  for (const Place& place : places) {
    if (!place.may_match()) place.segment->open->reader->count_skipped(place.group, place.segment->streams, covered);
  }
  return {};
}

std::shared_ptr<const std::vector<std::uint32_t>> number_streams(const ChosenSegment& segment,
                                                                 const Selection& selection, StreamSet& set) {
  const auto groups = segment.open->reader->groups();
  const auto streams = segment.open->reader->streams();
  std::shared_ptr<std::vector<std::uint32_t>> map;
  std::string bytes;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (segment.groups[g] == 0) continue;
    if (!map) map = std::make_shared<std::vector<std::uint32_t>>(streams.size(), SegmentReader::kSkipStream);
    for (std::uint32_t i = groups[g].first_stream; i < groups[g].first_stream + groups[g].stream_count; ++i) {
      if (segment.streams[i] == 0 || (*map)[i] != SegmentReader::kSkipStream) continue;
      if (streams[i].max_time < selection.start || streams[i].min_time >= selection.end) continue;
      bytes.clear();
      encode_labels(streams[i].labels, bytes);
      (*map)[i] = set.add(segment.open->hashes[i], bytes);
    }
  }
  return map;
}

}  // namespace tocayo::logs
