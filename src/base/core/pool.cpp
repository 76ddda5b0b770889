// SPDX-License-Identifier: Apache-2.0
#include "core/pool.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <memory>

#include "core/thread.h"

namespace tocayo {

Pool::Pool(std::string name, std::size_t threads, int niceness) : name_(std::move(name)) {
  for (std::size_t i = 0; i < std::max<std::size_t>(threads, 1); ++i) {
    threads_.emplace_back([this, niceness](std::stop_token stop) {
      pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
      if (niceness != 0) give_way(niceness);
      run(stop);
    });
  }
}

Pool::~Pool() {
  for (auto& thread : threads_) thread.request_stop();
  ready_.notify_all();
  threads_.clear();
}

void Pool::post(std::move_only_function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(work));
  }
  ready_.notify_one();
}

std::size_t Pool::idle() const {
  const std::size_t room = std::min<std::size_t>(threads_.size(), std::max(1U, std::thread::hardware_concurrency()));
  const std::size_t busy = running_ + queue_.size();
  return room > busy ? room - busy : 0;
}

bool Pool::post_if_idle(std::move_only_function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    if (idle() == 0) return false;
    queue_.push_back(std::move(work));
  }
  ready_.notify_one();
  return true;
}

std::size_t Pool::queued() const {
  std::lock_guard lock(mutex_);
  return queue_.size();
}

void Pool::run(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    ready_.wait(lock, stop, [this] { return !queue_.empty(); });
    if (queue_.empty()) return;
    auto work = std::move(queue_.front());
    queue_.pop_front();
    ++running_;
    lock.unlock();
    work();
    work = nullptr;  // what it holds goes before the lock is taken
    lock.lock();
    --running_;
  }
}

void Pool::parallel_for(std::size_t count, const std::function<void(std::size_t)>& body) {
  if (count == 0) return;
  if (count == 1) return body(0);
  // Shared with helpers that may start only after the caller has left; they then find no work and touch nothing of the
  // caller's.
  struct State {
    std::atomic<std::size_t> next{0};
    std::atomic<std::size_t> done{0};
    std::mutex mutex;
    std::condition_variable finished;
    std::size_t count;
    const std::function<void(std::size_t)>* body;
  };
  auto state = std::make_shared<State>();
  state->count = count;
  state->body = &body;
  auto work = [state] {
    for (;;) {
      std::size_t i = state->next.fetch_add(1);
      if (i >= state->count) return;
      (*state->body)(i);
      if (state->done.fetch_add(1) + 1 == state->count) {
        std::lock_guard lock(state->mutex);
        state->finished.notify_all();
      }
    }
  };
  std::size_t helpers = 0;
  {
    std::lock_guard lock(mutex_);
    helpers = std::min(count - 1, idle());
  }
  for (std::size_t i = 0; i < helpers; ++i) post(work);
  work();
  std::unique_lock lock(state->mutex);
  state->finished.wait(lock, [&] { return state->done.load() == count; });
}

}  // namespace tocayo
