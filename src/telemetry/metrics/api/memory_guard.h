// SPDX-License-Identifier: Apache-2.0
// Keeps queries from using up the memory of the process. Each running query is registered here with what it holds;
// while any runs, the memory in use is watched: over `cancel_at` of the budget the query that holds the most is
// stopped, over `refuse_at` no new one begins. Ingest has a guard of its own in the store.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "core/context.h"
#include "core/error.h"
#include "core/registry.h"
#include "metrics/querier_meter.h"

namespace tocayo::metrics::api {

struct MemoryGuardOptions {
  std::uint64_t limit = 0;              // bytes of the process; 0: never cancels, never refuses
  std::function<std::uint64_t()> used;  // empty: resident memory without file pages
  double cancel_at = 0.90, refuse_at = 0.95;
  std::chrono::milliseconds interval{20};  // between looks while queries run; no thread wakes otherwise
  std::function<void()> give_back;         // after a stopped query is gone: returns free memory to the system
};

// Resident memory of this process that is not pages of files.
std::uint64_t anonymous_bytes();

// Thread-safe. Queries may outlive it; nobody watches them then.
class MemoryGuard {
 public:
  MemoryGuard(MemoryGuardOptions options, Registry& registry);
  ~MemoryGuard();
  MemoryGuard(const MemoryGuard&) = delete;
  MemoryGuard& operator=(const MemoryGuard&) = delete;

  struct State;

  // A query from its admission until nothing of its result is left.
  class Query {
   public:
    ~Query();
    Query(const Query&) = delete;
    Query& operator=(const Query&) = delete;
    QueryMeter& meter() { return meter_; }
    // Stops with the request, and when the guard stops the query.
    const Context& context() const { return context_; }
    // `error`, or why the guard stopped the query when that is behind it.
    Error cause(Error error) const;

   private:
    friend class MemoryGuard;
    Query(MemoryGuard& guard, std::string tenant, QueryMeterLimits limits, const Context& request);
    std::shared_ptr<State> state_;  // shared: the last of a query may go on a pool's thread after the guard has gone
    std::string tenant_;
    QueryMeter meter_;
    std::stop_source stop_;
    std::stop_callback<std::function<void()>> on_request_, on_meter_;
    Context context_;
  };

  // unavailable (503) while the process is over `refuse_at`. `request` is the context that the query lives in.
  Result<std::shared_ptr<Query>> admit(std::string tenant, QueryMeterLimits limits, const Context& request);

  std::size_t running() const;
  std::uint64_t tracked_bytes() const;  // of all running queries

 private:
  void run(const std::stop_token& stop);
  void cancel_biggest(std::uint64_t used);
  double part_used() const;

  const MemoryGuardOptions options_;
  Registry& registry_;
  Counter &stopped_, &refused_;
  std::shared_ptr<State> state_;
  std::jthread thread_;
};

}  // namespace tocayo::metrics::api
