// SPDX-License-Identifier: Apache-2.0
// Rows that exist but must not be seen any more.
#pragma once

#include <memory>
#include <span>
#include <vector>

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

}  // namespace tocayo::logs
