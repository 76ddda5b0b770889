// SPDX-License-Identifier: Apache-2.0
// What every request carries into the engines: until when, and whether anybody still waits for the answer.
#pragma once

#include <chrono>
#include <stop_token>

#include "core/error.h"

namespace tocayo {

// Cheap to copy. Thread-safe. A default context never ends.
class Context {
 public:
  using Steady = std::chrono::steady_clock;

  Context() = default;
  Context(std::stop_token stop, Steady::time_point deadline) : stop_(std::move(stop)), deadline_(deadline) {}

  // The same stop, and the earlier of both deadlines.
  Context with_timeout(std::chrono::milliseconds timeout) const {
    auto limit = Steady::now() + timeout;
    return Context(stop_, limit < deadline_ ? limit : deadline_);
  }

  // ok, canceled or timeout. Engines call it once per batch (about every 10,000 samples), so that cores are free within
  // 20 ms.
  Result<> check() const {
    if (stop_.stop_requested()) return fail(ErrorKind::canceled, "the request was canceled");
    if (deadline_ != Steady::time_point::max() && Steady::now() >= deadline_) {
      return fail(ErrorKind::timeout, "the request took longer than its time limit");
    }
    return {};
  }

  const std::stop_token& stop_token() const { return stop_; }
  Steady::time_point deadline() const { return deadline_; }

 private:
  std::stop_token stop_;
  Steady::time_point deadline_ = Steady::time_point::max();
};

}  // namespace tocayo
