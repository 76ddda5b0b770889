// SPDX-License-Identifier: Apache-2.0
#include "metrics/snappy_block.h"

#include <fmt/format.h>
#include <snappy.h>

namespace tocayo::metrics {

namespace {
constexpr std::string_view kStreamIdentifier("\xff\x06\x00\x00sNaPpY", 10);
// A copy element of three bytes can produce at most 64 bytes: no block expands by more than this factor. An announced
// length beyond it is a lie, found out without allocating.
constexpr std::size_t kMaxExpansion = 64;
}  // namespace

bool is_framed_snappy(std::string_view bytes) { return bytes.starts_with(kStreamIdentifier); }

Result<std::size_t> snappy_block_length(std::string_view bytes) {
  std::size_t length = 0;
  if (!snappy::GetUncompressedLength(bytes.data(), bytes.size(), &length)) {
    return fail(ErrorKind::bad_input, "snappy: the block has no valid length header");
  }
  return length;
}

Result<> snappy_block_decode(std::string_view bytes, std::size_t max_bytes, std::string& out) {
  const std::size_t length = TRY(snappy_block_length(bytes));
  if (length > max_bytes) {
    return fail(
        ErrorKind::too_large,
        fmt::format("the decompressed body of {} bytes is larger than the allowed {} bytes", length, max_bytes));
  }
  if (length / kMaxExpansion > bytes.size()) return fail(ErrorKind::bad_input, "snappy: corrupt input");
  out.resize(length);
  if (!snappy::RawUncompress(bytes.data(), bytes.size(), out.data())) {
    return fail(ErrorKind::bad_input, "snappy: corrupt input");
  }
  return {};
}

std::string snappy_block_encode(std::string_view bytes) {
  std::string out;
  snappy::Compress(bytes.data(), bytes.size(), &out);
  return out;
}

}  // namespace tocayo::metrics
