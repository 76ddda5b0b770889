// SPDX-License-Identifier: Apache-2.0
// Rows that exist but must not be seen any more.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "logs/store/spill.h"
#include "logs/store/view.h"

namespace tocayo::logs {

// The delete requests that concern one stream. Holds references into the view it was made from.
class DeleteMask {
 public:
  DeleteMask() = default;
  // Requests with a sequence above `after`.
  DeleteMask(std::span<const std::shared_ptr<const Tombstone>> tombstones, std::int64_t after,
             std::string_view label_bytes);

  bool empty() const { return tombstones_.empty(); }
  // Whether one of them looks at more than the time.
  bool needs_row() const { return needs_row_; }
  bool touches(TimestampNs min_time, TimestampNs max_time) const;
  bool hides(const Row& row) const { return !tombstones_.empty() && hides(row, 0); }
  // The same for requests with a sequence above `after`.
  bool hides(const Row& row, std::int64_t after) const;

 private:
  std::vector<const Tombstone*> tombstones_;
  Labels labels_;  // for the filters; only when there are any
  bool needs_row_ = false;
};

// What retention and delete requests leave of one stream, for those who write it again. Of a spilled stream each row is
// judged by the labels that were pushed.
class RowRules {
 public:
  // `limits` null: no retention. Both are borrowed.
  RowRules(std::span<const std::shared_ptr<const Tombstone>> tombstones, const TenantLimits* limits, TimestampNs now,
           std::string_view label_bytes);

  // Delete requests with a sequence up to `after` have no say.
  bool drops(const Row& row, std::int64_t after = 0);

 private:
  struct Rule {
    TimestampNs floor;
    DeleteMask mask;
  };
  Rule rule(std::string_view label_bytes) const;

  std::span<const std::shared_ptr<const Tombstone>> tombstones_;
  const TenantLimits* limits_;
  TimestampNs now_;
  Rule plain_;
  std::optional<SpilledStream> spilled_;
  std::unordered_map<std::uint64_t, Rule> by_key_;
};

}  // namespace tocayo::logs
