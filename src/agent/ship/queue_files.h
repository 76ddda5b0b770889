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

// Totals are over the life of the queue, restarts included.
struct Cursor {
  std::uint64_t position = 0;  // of the first record that is not wholly settled
  std::uint64_t delivered = 0, dropped = 0;
};

// nullopt when there is none or it is damaged (logged).
std::optional<Cursor> load_cursor(const std::string& path);
// Atomic and on stable storage when it returns.
Result<> save_cursor(const std::string& path, const Cursor& cursor);

// JSON lines, one per series and refusal, in `path`; at half of the limit the file becomes `path`.old, replacing the
// one before. One thread.
class DeadLetters {
 public:
  DeadLetters(std::string path, std::uint64_t limit) : path_(std::move(path)), limit_(limit) {}
  Result<> add(const Item& item, int status, std::string_view reason, TimestampMs now);

 private:
  std::string path_;
  std::uint64_t limit_;
};

}  // namespace tocayo::agent
