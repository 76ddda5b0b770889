// SPDX-License-Identifier: Apache-2.0
// Walks over all rows of a segment in order, holding one row group in memory.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "logs/store/view.h"

namespace tocayo::logs {

// Not thread-safe.
class SegmentCursor {
 public:
  // Stands at the first row.
  static Result<SegmentCursor> open(std::shared_ptr<SegmentEntry> entry);

  bool at_end() const { return ended_; }
  const Labels& labels() const { return open_->reader->streams()[rows_[at_].stream].labels; }
  std::uint32_t stream() const { return rows_[at_].stream; }
  bool by_group() const { return open_->reader->info().options.by_group; }
  std::uint64_t place() const { return places_[rows_[at_].stream]; }  // 0 for all when the order is by labels alone
  // Line and metadata are valid until the cursor moves.
  const Row& row() const { return rows_[at_]; }
  Result<> next();
  const SegmentEntry& entry() const { return *entry_; }

 private:
  SegmentCursor(std::shared_ptr<SegmentEntry> entry, std::shared_ptr<const OpenSegment> open,
                std::shared_ptr<const CompiledSelection> everything);
  Result<> load();  // the next group that has rows

  std::shared_ptr<SegmentEntry> entry_;
  std::shared_ptr<const OpenSegment> open_;
  std::shared_ptr<const CompiledSelection> everything_;
  std::vector<std::uint32_t> map_;
  std::vector<std::uint64_t> places_;  // by stream
  std::uint32_t group_ = 0;
  std::vector<Row> rows_;
  std::vector<std::unique_ptr<std::string>> bytes_;
  std::vector<std::unique_ptr<std::vector<LabelView>>> pairs_;
  std::size_t at_ = 0;
  bool ended_ = false;
};

}  // namespace tocayo::logs
