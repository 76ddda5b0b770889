// SPDX-License-Identifier: Apache-2.0
// Snappy's block format, as remote write and remote read use it (the framed stream format is another one and is
// refused).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/error.h"

namespace tocayo::metrics {

// Whether the bytes begin like a snappy *stream* (frames), which senders confuse with the block format.
bool is_framed_snappy(std::string_view bytes);

// Length after decompression as the block's header announces it. bad_input when there is no header.
Result<std::size_t> snappy_block_length(std::string_view bytes);

// Decompresses into `out` (its capacity is reused). The announced length is compared with `max_bytes` before anything
// is allocated: too_large. bad_input when the block is damaged or truncated.
Result<> snappy_block_decode(std::string_view bytes, std::size_t max_bytes, std::string& out);

std::string snappy_block_encode(std::string_view bytes);

}  // namespace tocayo::metrics
