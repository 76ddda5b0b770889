// SPDX-License-Identifier: Apache-2.0
// The streams that a query chose, gathered from heads and segments, each once.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/labels.h"

namespace tocayo::logs {

// Not thread-safe.
class StreamSet {
 public:
  static constexpr std::uint32_t kNot = 0xFFFFFFFF;

  // Number of the stream; adds it when it is new.
  std::uint32_t add(std::uint64_t hash, std::string_view label_bytes);
  // What is known of the hash: the number, kNot when it is known not to match, or nullopt.
  const std::uint32_t* known(std::uint64_t hash) const {
    auto found = by_hash_.find(hash);
    return found == by_hash_.end() ? nullptr : &found->second;
  }
  void reject(std::uint64_t hash) { by_hash_.emplace(hash, kNot); }

  std::size_t size() const { return labels_.size(); }
  const std::string& label_bytes(std::uint32_t stream) const { return labels_[stream]; }

 private:
  std::unordered_map<std::uint64_t, std::uint32_t> by_hash_;
  std::vector<std::string> labels_;
};

}  // namespace tocayo::logs
