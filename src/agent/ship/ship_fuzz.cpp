// SPDX-License-Identifier: Apache-2.0
// Queue records as they may lie on a damaged disk, and what is made of them.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "agent/ship/window.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo::agent;
  auto rows = decode_record({reinterpret_cast<const char*>(data), size});
  if (!rows) return 0;
  Window window;
  window.records.push_back(std::move(*rows));
  window.deal(3, 10, 1000);
  for (Lane& lane : window.lanes) {
    for (Batch& batch : lane.batches) {
      (void)encode_request(tocayo::metrics::RemoteWriteVersion::v1, batch.items, {});
      (void)encode_request(tocayo::metrics::RemoteWriteVersion::v2, batch.items, {});
      if (batch.weight() > 1) (void)split(std::move(batch));
    }
  }
  return 0;
}
