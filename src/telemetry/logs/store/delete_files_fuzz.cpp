// SPDX-License-Identifier: Apache-2.0
// Files of delete requests of any bytes: an error, or a request that is written as it was read.
#include <cstdlib>

#include "logs/store/delete_files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo::logs;
  auto record = decode_delete_file({reinterpret_cast<const char*>(data), size});
  if (!record) return 0;
  auto again = decode_delete_file(encode_delete_file(*record));
  if (!again || again->id != record->id || again->query != record->query || again->start != record->start) std::abort();
  return 0;
}
