// SPDX-License-Identifier: Apache-2.0
// For tests of every room that stands on db: a database in a directory of its own, and a clock that stands still.
#pragma once

#include <stdlib.h>

#include <atomic>
#include <cstdio>
#include <filesystem>

#include "core/time.h"
#include "db/sqlite_database.h"

namespace tocayo::db::testing {

class ManualClock final : public Clock {
 public:
  explicit ManualClock(TimestampMs now = 1'700'000'000'000) : now_(now) {}
  TimestampMs now_ms() const override { return now_.load(); }
  void advance(std::int64_t ms) { now_ += ms; }
  void set(TimestampMs now) { now_ = now; }

 private:
  std::atomic<TimestampMs> now_;
};

// Removed with all its files at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tocayo-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::unique_ptr<Database> open_database(const std::filesystem::path& file) {
  auto opened = SqliteDatabase::open({.file = file});
  if (!opened) {
    std::fprintf(stderr, "open %s: %s\n", file.c_str(), opened.error().message.c_str());
    std::abort();
  }
  return std::move(*opened);
}

}  // namespace tocayo::db::testing
