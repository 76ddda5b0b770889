// SPDX-License-Identifier: Apache-2.0
#include "logs/store/disk_reserve.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "core/log.h"

namespace tocayo::logs {
namespace {

constexpr std::uint64_t kLeastReserve = 256ULL << 20;
constexpr std::uint64_t kShare = 100;  // a hundredth of the disk
constexpr auto kAskEvery = std::chrono::milliseconds(100);

}  // namespace

Result<DiskSpace> disk_space(const std::string& path) {
  struct statvfs found{};
  if (::statvfs(path.c_str(), &found) != 0) return std::unexpected(error_from_errno("statvfs " + path, errno));
  return DiskSpace{std::uint64_t{found.f_blocks} * found.f_frsize, std::uint64_t{found.f_bavail} * found.f_frsize};
}

Result<> DiskReserve::check() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  auto asked = asked_.load(std::memory_order_relaxed);
  // One of those who come at once asks.
  if (now.count() - asked >= std::chrono::steady_clock::duration(kAskEvery).count() &&
      asked_.compare_exchange_strong(asked, now.count())) {
    if (auto space = probe_()) {
      const std::uint64_t reserve =
          reserve_ != 0 ? reserve_ : std::max<std::uint64_t>(kLeastReserve, space->total / kShare);
      const bool before = full_.load();
      const bool full = space->free < (before ? reserve + reserve / 8 : reserve);
      free_.store(space->free);
      needed_.store(reserve);
      full_.store(full);
      if (full != before) {
        const std::string_view what = full ? "the disk is full: log lines are refused until space is freed"
                                           : "the disk has space again: log lines are taken";
        (full ? log::warn : log::info)("logs", what, {{"free", space->free}, {"reserve", reserve}});
      }
    }
  }
  if (!full()) return {};
  return fail(ErrorKind::unavailable,
              fmt::format("the disk is full: {} MiB are free and {} MiB are kept for compaction and retention; retry "
                          "later",
                          free_.load() >> 20, needed_.load() >> 20));
}

std::uint64_t DiskReserve::left() const {
  auto space = probe_();
  return space ? space->free : std::numeric_limits<std::uint64_t>::max();
}

}  // namespace tocayo::logs
