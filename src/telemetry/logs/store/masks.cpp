// SPDX-License-Identifier: Apache-2.0
#include "logs/store/masks.h"

#include <algorithm>

#include "logs/head/label_bytes.h"

namespace tocayo::logs {

DeleteMask::DeleteMask(std::span<const std::shared_ptr<const Tombstone>> tombstones, std::int64_t after,
                       std::string_view label_bytes) {
  for (const auto& tombstone : tombstones) {
    if (tombstone->record.sequence <= after || !matches_all(tombstone->filter.matchers, label_bytes)) continue;
    tombstones_.push_back(tombstone.get());
    if (tombstone->filter.row) needs_row_ = true;
  }
  if (needs_row_) labels_ = decode_labels(label_bytes);
}

bool DeleteMask::touches(TimestampNs min_time, TimestampNs max_time) const {
  return std::any_of(tombstones_.begin(), tombstones_.end(), [&](const Tombstone* tombstone) {
    return tombstone->record.start <= max_time && tombstone->record.end >= min_time;
  });
}

bool DeleteMask::hides(const Row& row, std::int64_t after) const {
  return std::any_of(tombstones_.begin(), tombstones_.end(), [&](const Tombstone* tombstone) {
    const TombstoneRecord& record = tombstone->record;
    return record.sequence > after && row.time >= record.start && row.time <= record.end &&
           (!tombstone->filter.row || tombstone->filter.row(labels_, row));
  });
}

}  // namespace tocayo::logs
