// SPDX-License-Identifier: Apache-2.0
// Hands every batch to each destination's queue.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "agent/ship/ship_queue.h"
#include "core/pool.h"
#include "metrics/appender.h"

namespace tocayo::agent {

// Thread-safe. Packing is done on `compute`. The result is that of the best-off queue: an error only when none has
// taken the batch. A queue that refused has counted that itself.
class FanOut final : public metrics::Appender {
 public:
  using Queues = std::vector<std::shared_ptr<ShipQueue>>;  // shared with appends under way, which may outlive a reload

  explicit FanOut(Pool& compute) : compute_(compute) {}
  void set(Queues queues);
  std::shared_ptr<const Queues> queues() const;
  Task<Result<metrics::AppendResult>> append(std::string_view tenant, metrics::AppendBatch batch) override;

 private:
  Pool& compute_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Queues> queues_ = std::make_shared<const Queues>();
};

}  // namespace tocayo::agent
