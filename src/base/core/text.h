// SPDX-License-Identifier: Apache-2.0
// Small things about text that several rooms need.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace tocayo {

// The candidate with the smallest edit distance, if it is near enough to be a typo; else "".
std::string nearest(std::string_view word, std::span<const std::string> candidates);
// "512MB" (10^6), "1GiB" (2^30), "100" bytes; case-insensitive; bad_input otherwise.
Result<std::uint64_t> parse_bytes(std::string_view text);
std::vector<std::string_view> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);
std::string to_lower(std::string_view text);
// Lower-case hex.
std::string to_hex(std::string_view bytes);
// Whole file; not_found, forbidden, too_large (over `limit`).
Result<std::string> read_file(const std::string& path, std::size_t limit = 64 << 20);
// Random bytes of the operating system.
std::string random_bytes(std::size_t count);

}  // namespace tocayo
