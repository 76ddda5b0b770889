// SPDX-License-Identifier: Apache-2.0
// Which parts of the segments a query has to look at: by labels and time first, then by the indexes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "logs/store/stream_set.h"
#include "logs/store/view.h"

namespace tocayo::logs {

// A segment with rows that may be chosen.
struct ChosenSegment {
  const SegmentEntry* entry;
  std::shared_ptr<const OpenSegment> open;
  std::vector<char> streams;  // by number in the file: whether the matchers choose it
  std::vector<char> groups;   // by row group: whether it may have rows
};

// Of one selection. Not thread-safe.
class SegmentChooser {
 public:
  // Streams that somebody else looks after; in a segment they come first.
  using Apart = bool (*)(const Labels& labels);
  // Whether a stream (by its label bytes) is wanted at all; empty: every one is.
  using Wanted = std::function<bool(std::string_view label_bytes)>;

  // Selection and `wanted` are borrowed.
  SegmentChooser(const Selection& selection, const Wanted& wanted, Apart apart)
      : selection_(selection), wanted_(wanted), apart_(apart) {}
  // nullopt: by labels and time there is nothing.
  std::optional<ChosenSegment> choose(const SegmentEntry& entry, std::shared_ptr<const OpenSegment> open);

 private:
  bool choose_streams(ChosenSegment& segment);
  bool decide(const ChosenSegment& segment, std::size_t stream);

  const Selection& selection_;
  const Wanted& wanted_;
  const Apart apart_;
  std::unordered_map<std::uint64_t, bool> decided_;  // by hash of the labels
};

// Leaves out row groups that lie in the range as a whole and by the index alone have no row that passes the filters;
// counts them in `covered`. Where most groups have what is looked for it leaves out none.
Result<> probe(std::vector<ChosenSegment>& segments, const Selection& selection, const CompiledSelection& compiled,
               const Context& context, ScanStats& covered);

// Adds the chosen streams of the groups that are left to `set`. Gives for each stream of the file its number there, or
// SegmentReader::kSkipStream; null when there is none.
std::shared_ptr<const std::vector<std::uint32_t>> number_streams(const ChosenSegment& segment,
                                                                 const Selection& selection, StreamSet& set);

}  // namespace tocayo::logs
