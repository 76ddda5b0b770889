// SPDX-License-Identifier: Apache-2.0
// Strings numbered by first use: templates and dictionary values while a segment is written.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/hash.h"

namespace tocayo::logs {

class StringTable {
 public:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  std::uint32_t size() const { return static_cast<std::uint32_t>(ends_.size()); }
  std::size_t bytes() const { return text_.size(); }
  std::string_view at(std::uint32_t id) const {
    const std::size_t begin = id == 0 ? 0 : ends_[id - 1];
    return std::string_view(text_).substr(begin, ends_[id] - begin);
  }
  std::uint32_t find(std::string_view text) const {
    if (slots_.empty()) return kNone;
    return slots_[place(text, hash64(text))].id;
  }
  std::uint32_t add(std::string_view text) {
    if ((ends_.size() + 1) * 2 > slots_.size()) grow();
    const auto hash = hash64(text);
    auto& slot = slots_[place(text, hash)];
    if (slot.id == kNone) {
      slot = {.tag = static_cast<std::uint32_t>(hash >> 32), .id = size()};
      text_.append(text);
      ends_.push_back(text_.size());
    }
    return slot.id;
  }
  void clear() {
    text_.clear();
    ends_.clear();
    slots_.clear();
  }

 private:
  struct Slot {
    std::uint32_t tag = 0;
    std::uint32_t id = kNone;
  };
  std::size_t place(std::string_view text, std::uint64_t hash) const {
    const std::size_t mask = slots_.size() - 1;
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    std::size_t i = hash & mask;
    while (slots_[i].id != kNone && (slots_[i].tag != tag || at(slots_[i].id) != text)) i = (i + 1) & mask;
    return i;
  }
  void grow() {
    std::vector<Slot> old(slots_.empty() ? 64 : slots_.size() * 2);
    old.swap(slots_);
    for (std::uint32_t id = 0; id < size(); ++id) {
      const auto hash = hash64(at(id));
      slots_[place(at(id), hash)] = {.tag = static_cast<std::uint32_t>(hash >> 32), .id = id};
    }
  }
  std::string text_;
  std::vector<std::size_t> ends_;
  std::vector<Slot> slots_;
};

}  // namespace tocayo::logs
