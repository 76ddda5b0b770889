// SPDX-License-Identifier: Apache-2.0
#include "logs/store/segment_cursor.h"

#include <limits>
#include <numeric>

#include "logs/segment/stream_order.h"

namespace tocayo::logs {

SegmentCursor::SegmentCursor(std::shared_ptr<SegmentEntry> entry, std::shared_ptr<const OpenSegment> open,
                             std::shared_ptr<const CompiledSelection> everything)
    : entry_(std::move(entry)), open_(std::move(open)), everything_(std::move(everything)) {
  map_.resize(open_->reader->streams().size());
  std::iota(map_.begin(), map_.end(), 0);
  places_.resize(map_.size());
  for (std::size_t i = 0; by_group() && i < places_.size(); ++i) {
    places_[i] = stream_place(open_->reader->streams()[i].labels);
  }
}

Result<SegmentCursor> SegmentCursor::open(std::shared_ptr<SegmentEntry> entry) {
  auto open = TRY(entry->open());
  Selection selection;
  selection.start = std::numeric_limits<TimestampNs>::min();
  selection.end = std::numeric_limits<TimestampNs>::max();
  SegmentCursor cursor(std::move(entry), std::move(open), TRY(compile(selection)));
  TRY(cursor.load());
  return cursor;
}

Result<> SegmentCursor::load() {
  rows_.clear();
  bytes_.clear();
  pairs_.clear();
  at_ = 0;
  const auto groups = open_->reader->groups();
  while (rows_.empty() && group_ < groups.size()) {
    ScanStats stats;
    // A batch's bytes are gone after the call: they are copied, batch by batch.
    auto keep = [&](std::span<const Row> batch) -> Result<bool> {
      std::size_t size = 0;
      std::size_t pair_count = 0;
      for (const Row& row : batch) {
        size += row.line.size();
        for (const LabelView& pair : row.metadata) size += pair.name.size() + pair.value.size();
        pair_count += row.metadata.size();
      }
      std::string& bytes = *bytes_.emplace_back(std::make_unique<std::string>());
      auto& pairs = *pairs_.emplace_back(std::make_unique<std::vector<LabelView>>());
      bytes.reserve(size);  // neither may move its elements
      pairs.reserve(pair_count);
      auto copy = [&](std::string_view text) {
        const std::size_t start = bytes.size();
        bytes += text;
        return std::string_view(bytes.data() + start, text.size());
      };
      for (const Row& row : batch) {
        Row& mine = rows_.emplace_back(row);
        mine.line = copy(row.line);
        const std::size_t first = pairs.size();
        for (const LabelView& pair : row.metadata) {
          const std::string_view name = copy(pair.name);
          pairs.push_back({name, copy(pair.value)});
        }
        mine.metadata = std::span<const LabelView>(pairs.data() + first, row.metadata.size());
      }
      return true;
    };
    auto scanned = open_->reader->scan(group_, *everything_, map_, std::numeric_limits<TimestampNs>::min(),
                                       std::numeric_limits<TimestampNs>::max(), {}, keep, stats);
    open_->reader->release(group_++);
    if (!scanned) {
      if (scanned.error().kind == ErrorKind::internal) entry_->exclude();
      return scanned;
    }
  }
  ended_ = rows_.empty();
  return {};
}

Result<> SegmentCursor::next() {
  if (++at_ < rows_.size()) return {};
  return load();
}

}  // namespace tocayo::logs
