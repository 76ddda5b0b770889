// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <mutex>

namespace tocayo::metrics::api {

// Token bucket. The rate is given with each call, so that a reloaded limit counts at once. Thread-safe.
class RateLimiter {
 public:
  using Steady = std::chrono::steady_clock;

  // Takes `amount` tokens if they are there. A rate of 0 is no limit. An amount over the burst is never let through.
  bool allow(double amount, double rate, double burst, Steady::time_point now = Steady::now()) {
    if (rate <= 0) return true;
    std::lock_guard lock(mutex_);
    if (!started_) {
      tokens_ = burst;
      started_ = true;
    } else {
      const double elapsed = std::chrono::duration<double>(now - last_).count();
      tokens_ = std::min(burst, tokens_ + std::max(0.0, elapsed) * rate);
    }
    last_ = std::max(last_, now);
    if (tokens_ < amount) return false;
    tokens_ -= amount;
    return true;
  }

 private:
  std::mutex mutex_;
  bool started_ = false;
  double tokens_ = 0;
  Steady::time_point last_{};
};

}  // namespace tocayo::metrics::api
