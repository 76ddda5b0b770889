// SPDX-License-Identifier: Apache-2.0
#include "core/fair_gate.h"

#include <functional>
#include <optional>
#include <stop_token>
#include <utility>

namespace tocayo {

struct FairGate::Waiter {
  std::string tenant;
  Context context;
  double cost = 1;
  std::function<void(Result<>)> complete;
  bool queued = false;  // under the gate's mutex
  std::optional<std::stop_callback<std::function<void()>>> on_stop;
};

FairGate::FairGate(std::size_t slots, std::size_t queue, Pool& pool)
    : slots_(slots), queue_limit_(queue), pool_(pool) {}

Task<Result<FairGate::Permit>> FairGate::acquire(std::string tenant, Context context, double cost) {
  CO_TRY_VOID(context.check());
  auto shared = std::make_shared<Waiter>();  // shared by the queue, the stop callback and this frame
  shared->tenant = std::move(tenant);
  shared->context = std::move(context);
  shared->cost = cost;
  auto granted = co_await completion<Result<>>([this, waiter = std::move(shared)](auto complete) {
    enum class Start { run, refuse, wait } start;
    {
      std::lock_guard lock(mutex_);
      if (running_ < slots_) {
        ++running_;
        start = Start::run;
      } else if (auto known = queues_.find(waiter->tenant);
                 (known == queues_.end() ? 0 : known->second.waiters.size()) >= queue_limit_) {
        start = Start::refuse;
      } else {
        waiter->complete = complete;
        waiter->queued = true;
        auto [queue, first] = queues_.try_emplace(waiter->tenant);
        if (first) queue->second.had = level_;
        queue->second.waiters.push_back(waiter);
        ++waiting_;
        start = Start::wait;
      }
    }
    if (start == Start::run) return complete(Result<>{});
    if (start == Start::refuse) return complete(Result<>(fail(ErrorKind::limit, "too many outstanding requests")));
    // From here on the waiting frame may run, and be gone, at any moment; `waiter` is this function's own.
    std::weak_ptr<Waiter> weak = waiter;
    waiter->on_stop.emplace(waiter->context.stop_token(), std::function<void()>([this, weak] {
                              if (auto stopped = weak.lock()) forget(std::move(stopped));
                            }));
  });
  if (!granted) co_return std::unexpected(std::move(granted.error()));
  co_return Permit(this);
}

// The next in turn, taken out of its queue; those whose time is over are sent home on the way. Called under the mutex.
std::shared_ptr<FairGate::Waiter> FairGate::next_waiter() {
  while (!queues_.empty()) {
    auto turn = queues_.begin();
    for (auto queue = queues_.begin(); queue != queues_.end(); ++queue) {
      if (queue->second.had < turn->second.had) turn = queue;
    }
    auto& queue = turn->second;
    auto waiter = std::move(queue.waiters.front());
    queue.waiters.pop_front();
    level_ = queue.had;
    queue.had += waiter->cost;
    if (queue.waiters.empty()) queues_.erase(turn);
    waiter->queued = false;
    --waiting_;
    auto alive = waiter->context.check();
    if (alive) return waiter;
    pool_.post(
        [waiter = std::move(waiter), error = std::move(alive.error())] { waiter->complete(std::unexpected(error)); });
  }
  return nullptr;
}

void FairGate::release() {
  std::shared_ptr<Waiter> next;
  {
    std::lock_guard lock(mutex_);
    next = next_waiter();
    if (!next) {
      --running_;
      return;
    }
  }
  pool_.post([next = std::move(next)] { next->complete(Result<>{}); });
}

void FairGate::forget(std::shared_ptr<Waiter> waiter) {
  {
    std::lock_guard lock(mutex_);
    if (!waiter->queued) return;
    waiter->queued = false;
    --waiting_;
    const auto queue = queues_.find(waiter->tenant);
    queue->second.waiters.remove(waiter);
    if (queue->second.waiters.empty()) queues_.erase(queue);
  }
  // Posted, also so that the stop callback that runs this is not destroyed by itself.
  pool_.post([waiter = std::move(waiter)] {
    waiter->complete(Result<>(fail(ErrorKind::canceled, "the request was canceled while it waited for its turn")));
  });
}

std::size_t FairGate::running() const {
  std::lock_guard lock(mutex_);
  return running_;
}

std::size_t FairGate::waiting() const {
  std::lock_guard lock(mutex_);
  return waiting_;
}

}  // namespace tocayo
