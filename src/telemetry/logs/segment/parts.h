// SPDX-License-Identifier: Apache-2.0
// Compressed parts of the tail of a segment file: varint raw size, then a zstd frame.
#pragma once

#include <string>
#include <string_view>

#include "core/error.h"

namespace tocayo::logs {

std::string compress_part(std::string_view raw, int level);
// bad_input when damaged; `limit` bounds the raw size.
Result<std::string> decompress_part(std::string_view part, std::size_t limit);

}  // namespace tocayo::logs
