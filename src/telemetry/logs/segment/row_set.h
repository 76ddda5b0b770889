// SPDX-License-Identifier: Apache-2.0
// A set of the rows of one group.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace tocayo::logs {

class RowSet {
 public:
  explicit RowSet(std::size_t rows, bool all = false) : rows_(rows), words_((rows + 63) / 64, all ? ~0ULL : 0) {
    trim();
  }
  std::size_t rows() const { return rows_; }
  bool has(std::size_t row) const { return (words_[row / 64] >> (row % 64) & 1) != 0; }
  void add(std::size_t row) { words_[row / 64] |= 1ULL << (row % 64); }
  void add_range(std::size_t begin, std::size_t end) {
    for (; begin < end && begin % 64 != 0; ++begin) add(begin);
    for (; begin + 64 <= end; begin += 64) words_[begin / 64] = ~0ULL;
    for (; begin < end; ++begin) add(begin);
  }
  void remove(std::size_t row) { words_[row / 64] &= ~(1ULL << (row % 64)); }
  bool empty() const {
    for (auto word : words_) {
      if (word != 0) return false;
    }
    return true;
  }
  std::size_t count() const {
    std::size_t sum = 0;
    for (auto word : words_) sum += static_cast<std::size_t>(std::popcount(word));
    return sum;
  }
  RowSet& operator&=(const RowSet& other) {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
    return *this;
  }
  RowSet& operator|=(const RowSet& other) {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
    return *this;
  }
  RowSet& operator-=(const RowSet& other) {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= ~other.words_[i];
    return *this;
  }
  // Calls visit(row) in order.
  template <class Visit>
  void each(Visit visit) const {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      for (auto word = words_[i]; word != 0; word &= word - 1)
        visit(i * 64 + static_cast<std::size_t>(std::countr_zero(word)));
    }
  }

 private:
  void trim() {
    if (rows_ % 64 != 0 && !words_.empty()) words_.back() &= (1ULL << (rows_ % 64)) - 1;
  }
  std::size_t rows_;
  std::vector<std::uint64_t> words_;
};

}  // namespace tocayo::logs
