// SPDX-License-Identifier: Apache-2.0
// States of series on disk, for queries that need more than their memory: written in parts by a hash of what groups the
// series, read back part by part, so that only one part has to be in memory at a time.
//
// The files have no name (they are unlinked as soon as they are open): whatever ends the process, nothing stays behind.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/fd.h"
#include "core/labels.h"

namespace tocayo::logql::detail {

// What all running queries of an engine may have on disk. Thread-safe.
class SpillSpace {
 public:
  // Files go to `directory`, which is made when it is first needed; together they hold at most `max_bytes`, and leave
  // a twentieth of the disk, at least 512 MiB, to others (twice what the log store keeps for itself).
  // `free_bytes` replaces what the file system says of its free space (tests).
  SpillSpace(std::string directory, std::uint64_t max_bytes, std::function<std::uint64_t()> free_bytes = {})
      : directory_(std::move(directory)), max_bytes_(max_bytes), free_bytes_(std::move(free_bytes)) {}

  const std::string& directory() const { return directory_; }
  // `limit` beyond the bound, `unavailable` when the disk is too full; nothing is taken then.
  Result<> take(std::uint64_t bytes);
  void give_back(std::uint64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  const std::string directory_;
  const std::uint64_t max_bytes_;
  const std::function<std::uint64_t()> free_bytes_;
  std::atomic<std::uint64_t> used_{0};
};

// The states of one range aggregation. Thread-safe.
class SpillFile {
 public:
  static constexpr std::size_t kParts = 64;
  static Result<std::unique_ptr<SpillFile>> create(SpillSpace& space);
  ~SpillFile() { space_.give_back(bytes_.load()); }
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;

  // By the high bits of a hash.
  static std::size_t part_of(std::uint64_t hash) { return hash >> 58; }
  Result<> write(std::size_t part, std::string_view records);
  // Calls visit(records) with each write of the part. What is read is what was written, or the error is `internal`.
  Result<> read(std::size_t part, const std::function<Result<>(std::string_view records)>& visit) const;
  std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Piece {
    std::uint64_t offset;
    std::uint64_t length;
    std::uint64_t hash;
  };
  SpillFile(SpillSpace& space, Fd file) : space_(space), file_(std::move(file)) {}

  SpillSpace& space_;
  Fd file_;
  std::atomic<std::uint64_t> bytes_{0};
  std::mutex mutex_;
  std::array<std::vector<Piece>, kParts> pieces_;
};

// Records, as they are collected for one part: a series' labels and its states.
class SpillRecords {
 public:
  // `save` appends the states.
  void add(const Labels& labels, bool error, const std::function<void(std::string&)>& save);
  std::size_t size() const { return bytes_.size(); }
  Result<> write(SpillFile& file, std::size_t part);
  // false: these are no records.
  static bool parse(std::string_view records,
                    const std::function<bool(Labels labels, bool error, std::string_view states)>& visit);

 private:
  std::string bytes_;
  std::string states_;
};

}  // namespace tocayo::logql::detail
