// SPDX-License-Identifier: Apache-2.0
// How many queries run at once. Beyond that they wait: each tenant's own in order of arrival, and of the tenants that
// wait the one goes first that has had the least, weighed by what its queries cost. A tenant whose queue is full is
// refused at once, so that one dashboard wall cannot starve the others or pile up memory.
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "core/context.h"
#include "core/error.h"
#include "core/pool.h"
#include "core/task.h"

namespace tocayo {

// Thread-safe. Must outlive its permits; nobody may be waiting when it is destroyed.
class FairGate {
 public:
  // `slots` queries at once, `queue` waiting per tenant. Waiters are resumed on `pool`.
  FairGate(std::size_t slots, std::size_t queue, Pool& pool);

  // Holds a slot until destroyed.
  class Permit {
   public:
    Permit() = default;
    explicit Permit(FairGate* gate) : gate_(gate) {}
    Permit(Permit&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Permit& operator=(Permit&& other) noexcept {
      std::swap(gate_, other.gate_);
      return *this;
    }
    ~Permit() {
      if (gate_) gate_->release();
    }

   private:
    FairGate* gate_ = nullptr;
  };

  // `cost` in any unit that is the same for all, > 0: a tenant of dear queries gets fewer turns.
  // limit: the tenant's queue is full. canceled or timeout: the context ended while waiting (an expired waiter is found
  // when the next slot frees; running queries have deadlines themselves). Resumes on the caller's thread or on the
  // pool.
  Task<Result<Permit>> acquire(std::string tenant, Context context, double cost = 1);

  std::size_t running() const;
  std::size_t waiting() const;
  std::size_t slots() const { return slots_; }

 private:
  struct Waiter;
  struct Queue {
    std::list<std::shared_ptr<Waiter>> waiters;
    double had = 0;  // costs of its turns, and what the others had had when it began to wait
  };

  void release();
  std::shared_ptr<Waiter> next_waiter();
  void forget(std::shared_ptr<Waiter> waiter);

  const std::size_t slots_;
  const std::size_t queue_limit_;
  Pool& pool_;
  mutable std::mutex mutex_;
  std::size_t running_ = 0;
  std::size_t waiting_ = 0;
  std::map<std::string, Queue, std::less<>> queues_;  // of tenants that wait
  double level_ = 0;  // what a tenant that begins to wait is taken to have had: as much as the last that was served
};

}  // namespace tocayo
