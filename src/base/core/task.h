// SPDX-License-Identifier: Apache-2.0
// Task<T>: a lazy coroutine with one consumer. It starts when awaited (or by spawn / sync_wait) and resumes its awaiter
// on whatever thread finished it; `co_await pool.schedule()` (core/pool.h) is the one visible way to change threads. A
// task must be awaited or destroyed before it started; exceptions inside a task terminate the program (errors are
// Results).
#pragma once

#include <condition_variable>
#include <coroutine>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

namespace tocayo {

template <typename T = void>
class Task;

namespace detail {

struct TaskPromiseBase {
  std::coroutine_handle<> continuation = std::noop_coroutine();

  struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    template <typename Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> handle) noexcept {
      return handle.promise().continuation;
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() noexcept { return {}; }
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { std::terminate(); }
};

template <typename T>
struct TaskPromise : TaskPromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <typename U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() { return std::move(*value); }
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
  Task<void> get_return_object();
  void return_void() noexcept {}
  void take() noexcept {}
};

}  // namespace detail

template <typename T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::TaskPromise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task() = default;
  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  auto operator co_await() && noexcept {
    struct Awaiter {
      Handle handle;
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
        handle.promise().continuation = awaiting;
        return handle;
      }
      T await_resume() { return handle.promise().take(); }
    };
    return Awaiter{handle_};
  }

 private:
  Handle handle_;
};

namespace detail {

template <typename T>
Task<T> TaskPromise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<TaskPromise<T>>::from_promise(*this));
}
inline Task<void> TaskPromise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<TaskPromise<void>>::from_promise(*this));
}

// Self-destroying coroutine that drives a task to its end.
struct Detached {
  struct promise_type {
    Detached get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

template <typename T>
Detached drive(Task<T> task, std::move_only_function<void(T)> done) {
  done(co_await std::move(task));
}
inline Detached drive(Task<void> task, std::move_only_function<void()> done) {
  co_await std::move(task);
  if (done) done();
}

}  // namespace detail

// Starts the task on the calling thread; `done` runs on the thread that finishes it.
template <typename T>
void spawn(Task<T> task, std::move_only_function<void(T)> done) {
  detail::drive<T>(std::move(task), std::move(done));
}
inline void spawn(Task<void> task, std::move_only_function<void()> done = {}) {
  detail::drive(std::move(task), std::move(done));
}

// Blocks the calling thread until the task is done. Never on an io thread.
template <typename T>
T sync_wait(Task<T> task) {
  std::mutex mutex;
  std::condition_variable ready;
  std::optional<T> result;
  spawn<T>(std::move(task), [&](T value) {
    std::lock_guard lock(mutex);
    result.emplace(std::move(value));
    ready.notify_one();
  });
  std::unique_lock lock(mutex);
  ready.wait(lock, [&] { return result.has_value(); });
  return std::move(*result);
}
inline void sync_wait(Task<void> task) {
  std::mutex mutex;
  std::condition_variable ready;
  bool finished = false;
  spawn(std::move(task), [&] {
    std::lock_guard lock(mutex);
    finished = true;
    ready.notify_one();
  });
  std::unique_lock lock(mutex);
  ready.wait(lock, [&] { return finished; });
}

// Suspends until somebody calls complete(value): the bridge from callbacks to coroutines.
//   co_await completion<T>([&](auto complete) { start_async([complete](T v) mutable { complete(std::move(v)); }); });
// `complete` is copyable and must be called exactly once, from any thread.
template <typename T, typename Start>
auto completion(Start start) {
  struct Awaiter {
    Start start;
    std::optional<T> value;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      // `start` may complete on another thread before it returns and destroy this awaiter: run it from the stack.
      auto local = std::move(start);
      local([this, handle](T result) {
        value.emplace(std::move(result));
        handle.resume();
      });
    }
    T await_resume() { return std::move(*value); }
  };
  return Awaiter{std::move(start), std::nullopt};
}

}  // namespace tocayo
