// SPDX-License-Identifier: Apache-2.0
// Split-block bloom filter: 256-bit blocks, eight bits a key, about 10 bits a key for under 1 % false answers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tocayo::logs {

// Appends a filter that holds the hashes (duplicates cost room: give each once).
void build_bloom(std::span<const std::uint64_t> hashes, std::string& out);
// Whether `hash` may be in the filter; true for an empty one (nothing is known).
bool bloom_may_hold(std::string_view filter, std::uint64_t hash);

}  // namespace tocayo::logs
