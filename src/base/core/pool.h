// SPDX-License-Identifier: Apache-2.0
// Thread pools. The program has four kinds: io (inside http: network and timers only), compute (decoding, sealing,
// short answers), queries (what may take long; of lower priority, so that asking never holds up what comes in) and
// blocking (SQLite, files that may stall). Changing pools is one visible call: `co_await pool.schedule()`.
#pragma once

#include <condition_variable>
#include <coroutine>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tocayo {

// Fixed number of threads over one FIFO queue. Thread-safe. The destructor runs what is queued, then joins.
class Pool {
 public:
  // `name` names the threads (at most 15 bytes are kept by the kernel); `niceness` 0 to 19 gives way to other threads.
  Pool(std::string name, std::size_t threads, int niceness = 0);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  void post(std::move_only_function<void()> work);
  // The same, but only while fewer are running or waiting than there are processors: for work that its owner does
  // himself when nobody else has time. False when it was not taken.
  bool post_if_idle(std::move_only_function<void()> work);
  std::size_t thread_count() const { return threads_.size(); }
  std::size_t queued() const;  // waiting, not running

  // co_await pool.schedule(): continue on one of this pool's threads.
  auto schedule() {
    struct Awaiter {
      Pool& pool;
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> handle) {
        pool.post([handle] { handle.resume(); });
      }
      void await_resume() const noexcept {}
    };
    return Awaiter{*this};
  }

  // Runs body(i) for i in [0, count) on the calling thread and on idle ones of the pool, while that has less running
  // than there are processors; returns when all are done. The calling thread may itself belong to this pool (it works
  // too, so there is no deadlock).
  void parallel_for(std::size_t count, const std::function<void(std::size_t)>& body);

 private:
  void run(std::stop_token stop);
  std::size_t idle() const;  // processors that nothing of this pool is meant for; under mutex_

  std::string name_;
  mutable std::mutex mutex_;
  std::condition_variable_any ready_;
  std::deque<std::move_only_function<void()>> queue_;
  std::size_t running_ = 0;  // guarded by mutex_
  std::vector<std::jthread> threads_;
};

}  // namespace tocayo
