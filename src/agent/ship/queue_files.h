// SPDX-License-Identifier: Apache-2.0
// The small files beside a destination's journal: how far the server has acknowledged, and what it will never take.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/ship/request.h"
#include "core/error.h"

namespace tocayo::agent {

// How a window of records is cut into requests. It is on disk before the first of them leaves, so that after a crash
// the same requests leave again, and a server that numbers them knows which it has.
struct Plan {
  std::uint64_t window = 0;  // ascending
  std::uint64_t nonce = 0;   // of this window; 0: none is under way
  std::uint64_t end = 0;     // position behind its last record
  std::uint32_t lanes = 0;
  std::uint64_t rows_per_batch = 0;
  TimestampMs oldest = 0;  // rows before are left out
};

// Totals are over the life of the queue, restarts included, without those of the window that is under way.
struct Cursor {
  std::uint64_t position = 0;  // of the first record that is not wholly settled
  std::uint64_t delivered = 0, dropped = 0;
  std::string queue;  // its name for servers that number requests: 32 hex digits; empty: none yet
  Plan plan;
};

// What a queue may keep on disk: `wanted`, or when that is 0 a tenth of the volume that holds `dir`, at most 8 GiB.
std::uint64_t disk_budget(std::uint64_t wanted, const std::string& dir);
// Of the queue's journal. Room is given back a segment at a time: small ones for a small budget.
std::uint64_t segment_size(std::uint64_t budget);

// nullopt when there is none or it is damaged (logged).
std::optional<Cursor> load_cursor(const std::string& path);
// Atomic and on stable storage when it returns.
Result<> save_cursor(const std::string& path, const Cursor& cursor);
// The same for any small file; with `sync` on stable storage.
Result<> replace_file(const std::string& path, std::string_view bytes, bool sync);

// JSON lines, one per series and refusal, in `path`; at half of the limit the file becomes `path`.old, replacing the
// one before. One thread.
class DeadLetters {
 public:
  DeadLetters(std::string path, std::uint64_t limit) : path_(std::move(path)), limit_(limit) {}
  Result<> add(const Item& item, int status, std::string_view reason, TimestampMs now);
  // One line of JSON, with its newline.
  Result<> add_text(std::string_view line);

 private:
  std::string path_;
  std::uint64_t limit_;
};

}  // namespace tocayo::agent
