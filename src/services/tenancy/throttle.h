// SPDX-License-Identifier: Apache-2.0
// Slows password guessing down, per (account, address) and per address, without letting a stranger lock an account's
// owner out.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/time.h"

namespace tocayo::tenancy {

// In memory, bounded. Thread-safe.
class LoginThrottle {
 public:
  struct Options {
    int free_failures = 5;                        // per (account, address) before waiting begins
    int free_failures_per_address = 30;           // over all accounts
    std::chrono::milliseconds first_wait{2'000};  // doubles with every further failure
    std::chrono::milliseconds longest_wait{15 * 60'000};
    std::chrono::milliseconds forget_after{60 * 60'000};  // without a failure
    std::size_t max_entries = 20'000;
  };
  explicit LoginThrottle(Clock& clock) : LoginThrottle(clock, Options()) {}
  LoginThrottle(Clock& clock, Options options) : clock_(clock), options_(options) {}

  // How long to wait before the next attempt; 0: now, and the attempt counts as failed until success() says otherwise
  // (so that attempts side by side cannot slip through).
  std::chrono::milliseconds attempt(std::string_view account, std::string_view address);
  void success(std::string_view account, std::string_view address);

  // "10.0.0.1:5000" is 10.0.0.1; an IPv6 address counts as its /64.
  static std::string address_key(std::string_view remote_address);

 private:
  struct Entry {
    int failures = 0;
    TimestampMs last_ms = 0;
    TimestampMs not_before_ms = 0;
  };
  std::chrono::milliseconds wait_of(const std::string& key, TimestampMs now);
  void fail(const std::string& key, int free, TimestampMs now);
  void make_room(TimestampMs now);

  Clock& clock_;
  Options options_;
  std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace tocayo::tenancy
