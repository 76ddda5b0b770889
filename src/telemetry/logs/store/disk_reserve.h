// SPDX-License-Identifier: Apache-2.0
// Keeps the last part of the disk for what frees space: cuts, merges and retention may use it, appends may not.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "core/error.h"

namespace tocayo::logs {

struct DiskSpace {
  std::uint64_t total = 0;  // bytes of the file system
  std::uint64_t free = 0;   // of them, for this process
};

// Of the file system that holds `path`.
Result<DiskSpace> disk_space(const std::string& path);

// Thread-safe.
class DiskReserve {
 public:
  using Probe = std::function<Result<DiskSpace>()>;
  // `reserve` in bytes; 0: a hundredth of the disk, at least 256 MiB.
  DiskReserve(Probe probe, std::uint64_t reserve) : probe_(std::move(probe)), reserve_(reserve) {}

  // `unavailable` while less than the reserve is free, until an eighth more than it is free again. Asks the system at
  // most ten times a second.
  Result<> check();
  bool full() const { return full_.load(std::memory_order_relaxed); }
  // Bytes that may still be written in all, the reserve included. A disk that cannot be asked counts as empty.
  std::uint64_t left() const;

 private:
  Probe probe_;
  std::uint64_t reserve_;
  std::atomic<std::chrono::steady_clock::rep> asked_{0};
  std::atomic<bool> full_{false};
  std::atomic<std::uint64_t> free_{0};
  std::atomic<std::uint64_t> needed_{0};
};

}  // namespace tocayo::logs
