// SPDX-License-Identifier: Apache-2.0
#include "metrics/symbols.h"

#include <algorithm>
#include <cstring>

#include "core/hash.h"

namespace tocayo::metrics {
namespace {
constexpr std::size_t kBlockSize = 32 * 1024;
}

Symbol SymbolTable::find(std::string_view text) const {
  if (table_.empty()) return kNoSymbol;
  const auto hash = static_cast<std::uint32_t>(hash64(text));
  const std::size_t mask = table_.size() - 1;
  for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
    const Symbol id = table_[at];
    if (id == kNoSymbol) return kNoSymbol;
    if (entries_[id].hash == hash && this->text(id) == text) return id;
  }
}

Symbol SymbolTable::intern(std::string_view text) {
  if ((entries_.size() + 1) * 4 > table_.size() * 3) grow();
  const auto hash = static_cast<std::uint32_t>(hash64(text));
  const std::size_t mask = table_.size() - 1;
  std::size_t at = hash & mask;
  for (;; at = (at + 1) & mask) {
    const Symbol id = table_[at];
    if (id == kNoSymbol) break;
    if (entries_[id].hash == hash && this->text(id) == text) return id;
  }
  const auto id = static_cast<Symbol>(entries_.size());
  entries_.push_back({store(text), static_cast<std::uint32_t>(text.size()), hash});
  table_[at] = id;
  return id;
}

const char* SymbolTable::store(std::string_view text) {
  if (block_used_ + text.size() > block_size_) {
    block_size_ = std::max(blocks_.empty() ? kBlockSize / 16 : kBlockSize, text.size());
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(block_size_));
    block_used_ = 0;
    arena_bytes_ += block_size_;
  }
  char* place = blocks_.back().get() + block_used_;
  if (!text.empty()) std::memcpy(place, text.data(), text.size());
  block_used_ += text.size();
  return place;
}

void SymbolTable::grow() {
  std::vector<Symbol> bigger(std::max<std::size_t>(64, table_.size() * 2), kNoSymbol);
  const std::size_t mask = bigger.size() - 1;
  for (Symbol id = 0; id < entries_.size(); ++id) {
    std::size_t at = entries_[id].hash & mask;
    while (bigger[at] != kNoSymbol) at = (at + 1) & mask;
    bigger[at] = id;
  }
  table_ = std::move(bigger);
}

std::size_t SymbolTable::memory_bytes() const {
  return arena_bytes_ + entries_.capacity() * sizeof(Entry) + table_.capacity() * sizeof(Symbol);
}

}  // namespace tocayo::metrics
