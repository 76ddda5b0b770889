// SPDX-License-Identifier: Apache-2.0
// Equal queries that are under way at the same time share one execution: a dashboard that many people look at costs as
// if one did.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "core/context.h"
#include "core/pool.h"
#include "core/task.h"
#include "http/message.h"

namespace tocayo::logs::api {

// Thread-safe. Must outlive what it runs.
class QueryShare {
 public:
  explicit QueryShare(Pool& pool) : pool_(pool) {}

  // One execution. Thread-safe.
  class Flight {
   public:
    // Ends when nobody waits for the answer any more, or at the time limit.
    const Context& context() const { return context_; }
    // From now on the data is being read: whoever comes with a newer version waits for another execution.
    void begin();

   private:
    friend class QueryShare;
    struct Waiter;
    std::mutex mutex_;
    std::stop_source stop_;
    Context context_;
    std::uint64_t version_ = 0;
    bool begun_ = false;
    std::function<Task<http::Response>(std::shared_ptr<Flight>)> work_;  // kept: a coroutine may use what it captured
    std::list<std::shared_ptr<Waiter>> waiters_;
  };
  using Work = std::function<Task<http::Response>(std::shared_ptr<Flight>)>;

  // Runs `work`, or waits for an equal one that is under way. `key` says all that the answer depends on but the data;
  // `version` changes with the data, so that nobody gets an answer from before what was acknowledged to him. `work` may
  // outlive the request it came with. A status of 499 when `context` is canceled first; this leaves at once, and the
  // work is stopped when it was the last. Resumes on the pool, or on the caller's thread.
  Task<http::Response> run(std::string key, std::uint64_t version, Context context, std::chrono::milliseconds timeout,
                           Work work);

  std::size_t running() const;  // executions
  std::size_t waiting() const;  // requests that wait for them

 private:
  void finish(const std::string& key, const std::shared_ptr<Flight>& flight, http::Response response);
  void leave(const std::string& key, const std::shared_ptr<Flight>& flight, std::shared_ptr<Flight::Waiter> one);

  Pool& pool_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Flight>, std::less<>> flights_;  // that may be joined
  std::size_t running_ = 0;
  std::size_t waiting_ = 0;
};

}  // namespace tocayo::logs::api
