// SPDX-License-Identifier: Apache-2.0
// Remote write 1.0: any bytes are refused or decoded to rows that hold what the store relies on; sent again they are
// the same rows.
#include "metrics/remote_write_fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tocayo::metrics::fuzz::run(tocayo::metrics::RemoteWriteVersion::v1, data, size);
  return 0;
}
