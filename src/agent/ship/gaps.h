// SPDX-License-Identifier: Apache-2.0
// Private to ship: what a queue had to drop and has not yet told its server.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/time.h"

namespace tocayo::agent {

struct Gap {
  std::string id;  // of this queue's gaps; a gap told twice is known by it
  std::string reason;
  std::uint64_t rows = 0;
  TimestampMs from = 0, to = 0;
  bool told = false;  // was in a request: it may not change any more
};

// Thread-safe. Drops of one reason become one gap until it is told, then the next begins. Of one reason a new gap is
// told at most once a minute.
//
// File: lines "gap1 <id> <reason> <rows> <from> <to> <told> <crc32c>", replaced as a whole; damaged lines are skipped.
class GapBook {
 public:
  using Steady = std::chrono::steady_clock;
  explicit GapBook(std::string path) : path_(std::move(path)) {}
  void load();
  void add(std::string_view reason, std::uint64_t rows, TimestampMs from, TimestampMs to);
  // What should be told now, those told before without an answer first; marks them as told.
  std::vector<Gap> due(Steady::time_point now);
  // The server has these.
  void recorded(std::span<const std::string> ids);
  // Writes the file if something changed. Not fsynced: a gap that a power cut forgets was counted and logged.
  Result<> save();
  std::size_t size() const;

 private:
  const std::string path_;
  mutable std::mutex mutex_;
  std::vector<Gap> gaps_;
  std::vector<std::pair<std::string, Steady::time_point>> last_told_;  // by reason
  bool dirty_ = false;
};

// The request header that tells it. `host` is cut to what a header can carry.
std::string gap_header(const Gap& gap, std::string_view signal, std::string_view host);

}  // namespace tocayo::agent
