// SPDX-License-Identifier: Apache-2.0
#include "logs/store/masks.h"

#include <algorithm>
#include <limits>

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

RowRules::RowRules(std::span<const std::shared_ptr<const Tombstone>> tombstones, const TenantLimits* limits,
                   TimestampNs now, std::string_view label_bytes)
    : tombstones_(tombstones),
      limits_(limits != nullptr && retention_set(*limits) ? limits : nullptr),
      now_(now),
      plain_{std::numeric_limits<TimestampNs>::min(), {}} {
  if (tombstones_.empty() && limits_ == nullptr) return;
  if (is_spilled(label_bytes)) {
    spilled_.emplace(label_bytes);
  } else {
    plain_ = rule(label_bytes);
  }
}

RowRules::Rule RowRules::rule(std::string_view label_bytes) const {
  return {limits_ != nullptr ? retention_floor(*limits_, label_bytes, now_) : std::numeric_limits<TimestampNs>::min(),
          DeleteMask(tombstones_, 0, label_bytes)};
}

bool RowRules::drops(const Row& row, std::int64_t after) {
  if (!spilled_) return row.time < plain_.floor || plain_.mask.hides(row, after);
  constexpr std::size_t kRemembered = 10'000;
  const std::size_t count = spilled_pairs(row.metadata);
  const auto pairs = row.metadata.first(count);
  const std::uint64_t key = spilled_->key(pairs);
  auto known = by_key_.find(key);
  if (known == by_key_.end()) {
    if (by_key_.size() >= kRemembered) by_key_.clear();
    std::string bytes;
    spilled_->fold(pairs, bytes);
    known = by_key_.emplace(key, rule(bytes)).first;
  }
  Row pushed = row;
  pushed.metadata = row.metadata.subspan(count);
  return row.time < known->second.floor || known->second.mask.hides(pushed, after);
}

}  // namespace tocayo::logs
