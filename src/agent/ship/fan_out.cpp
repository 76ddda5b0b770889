// SPDX-License-Identifier: Apache-2.0
#include "agent/ship/fan_out.h"

#include <utility>

namespace tocayo::agent {

void FanOut::set(Queues queues) {
  auto fresh = std::make_shared<const Queues>(std::move(queues));
  std::lock_guard lock(mutex_);
  queues_.swap(fresh);  // the old list is let go outside the lock
}

std::shared_ptr<const FanOut::Queues> FanOut::queues() const {
  std::lock_guard lock(mutex_);
  return queues_;
}

Task<Result<metrics::AppendResult>> FanOut::append(std::string_view tenant, metrics::AppendBatch batch) {
  auto list = queues();
  Result<metrics::AppendResult> best = fail(ErrorKind::unavailable, "there is no destination");
  for (const auto& queue : *list) {
    co_await compute_.schedule();
    auto result = co_await queue->append(tenant, batch);
    if (result || !best) best = std::move(result);
  }
  // Back from the journal's thread, and let go of queues there is no other owner of.
  co_await compute_.schedule();
  co_return best;
}

}  // namespace tocayo::agent
