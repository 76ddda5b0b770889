// SPDX-License-Identifier: Apache-2.0
// Queue records as they may lie on a damaged disk, and what is made of them.
#include <zstd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/ship/window.h"

namespace {

std::string packed(std::uint8_t rows, std::uint8_t metadata, const std::string& body) {
  auto varint = [](std::string& out, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
    out += static_cast<char>(value);
  };
  std::string out = "\x01";
  for (std::uint64_t value :
       {std::uint64_t{rows}, std::uint64_t{metadata}, std::uint64_t{2}, std::uint64_t{4}, body.size()})
    varint(out, value);
  std::string frame(ZSTD_compressBound(body.size()), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), body.data(), body.size(), 1));
  return out + frame;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo::agent;
  std::string payload(reinterpret_cast<const char*>(data), size);
  // Odd first byte: what would lie in the compressed body, which no mutation finds by itself.
  if (size >= 3 && (data[0] & 1) != 0) payload = packed(data[1], data[2], payload.substr(3));
  auto rows = decode_record(payload);
  if (!rows) return 0;
  Window window;
  window.records.push_back(std::move(*rows));
  window.deal(3, 10, 1000);
  for (Lane& lane : window.lanes) {
    for (Batch& batch : lane.batches) {
      (void)encode_request(tocayo::metrics::RemoteWriteVersion::v1, batch.items, {});
      (void)encode_request(tocayo::metrics::RemoteWriteVersion::v2, batch.items, {});
      if (batch.weight() > 1) (void)take_half(batch.items);
    }
  }
  return 0;
}
