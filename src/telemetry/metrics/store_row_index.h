// SPDX-License-Identifier: Apache-2.0
// Finds rows of one request by series and time: duplicates and rows that come late are judged by what is under way.
#pragma once

#include <cstdint>
#include <vector>

#include "core/time.h"

namespace tocayo::metrics {

// An index over a vector of rows that only grows, made when it is first asked. Rows have `series` (a pointer) and
// time().
class RowIndex {
 public:
  // The first such row, or null.
  template <typename Row>
  const Row* find(const std::vector<Row>& rows, const void* series, TimestampMs time) {
    if (rows.size() <= kScanned) {
      for (const Row& row : rows) {
        if (row.series == series && row.time() == time) return &row;
      }
      return nullptr;
    }
    extend(rows);
    for (std::size_t at = hash(series, time) & mask(); slots_[at] != 0; at = (at + 1) & mask()) {
      const Row& row = rows[slots_[at] - 1];
      if (row.series == series && row.time() == time) return &row;
    }
    return nullptr;
  }

 private:
  static constexpr std::size_t kScanned = 16;

  std::size_t mask() const { return slots_.size() - 1; }
  static std::uint64_t hash(const void* series, TimestampMs time) {
    std::uint64_t x =
        reinterpret_cast<std::uintptr_t>(series) * 0x9E3779B97F4A7C15ULL ^ static_cast<std::uint64_t>(time);
    x *= 0xBF58476D1CE4E5B9ULL;
    return x ^ x >> 29;
  }
  template <typename Row>
  void extend(const std::vector<Row>& rows) {
    if (slots_.size() < rows.size() * 2) {
      std::size_t size = 64;
      while (size < rows.size() * 2) size *= 2;
      slots_.assign(size, 0);
      indexed_ = 0;
    }
    for (; indexed_ < rows.size(); ++indexed_) {
      std::size_t at = hash(rows[indexed_].series, rows[indexed_].time()) & mask();
      while (slots_[at] != 0) at = (at + 1) & mask();
      slots_[at] = static_cast<std::uint32_t>(indexed_ + 1);
    }
  }

  std::vector<std::uint32_t> slots_;  // 1 + place in the rows; 0 = free
  std::size_t indexed_ = 0;
};

}  // namespace tocayo::metrics
