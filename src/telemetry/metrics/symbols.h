// SPDX-License-Identifier: Apache-2.0
// Interned strings: label names and values of one head shard, each kept once.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace tocayo::metrics {

using Symbol = std::uint32_t;
inline constexpr Symbol kNoSymbol = UINT32_MAX;

// Ids are dense, in order of arrival, and never change. Not synchronised. Texts live as long as the table.
class SymbolTable {
 public:
  Symbol intern(std::string_view text);
  Symbol find(std::string_view text) const;  // kNoSymbol when absent
  std::string_view text(Symbol id) const { return {entries_[id].data, entries_[id].size}; }
  std::size_t size() const { return entries_.size(); }
  std::size_t memory_bytes() const;

 private:
  struct Entry {
    const char* data;
    std::uint32_t size;
    std::uint32_t hash;
  };
  const char* store(std::string_view text);
  void grow();

  std::vector<Entry> entries_;
  std::vector<Symbol> table_;  // open addressing, kNoSymbol = free
  std::vector<std::unique_ptr<char[]>> blocks_;
  std::size_t block_used_ = 0, block_size_ = 0, arena_bytes_ = 0;
};

}  // namespace tocayo::metrics
