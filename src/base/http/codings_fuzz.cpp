// SPDX-License-Identifier: Apache-2.0
// Compressed bodies from outside: any bytes, any coding, within the limit; and what we compress must come back.
#include <cstdint>
#include <cstdlib>

#include "http/detail/compress.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo::http::detail;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  constexpr std::size_t kLimit = 1 << 20;
  for (auto coding : {Coding::gzip, Coding::deflate, Coding::zstd}) {
    auto plain = decompress(coding, text, kLimit);
    if (plain && plain->size() > kLimit) std::abort();
    if (coding == Coding::deflate) continue;
    auto encoder = Encoder::create(coding);
    auto packed = encoder->write(text.substr(0, size / 2));
    packed += encoder->finish(text.substr(size / 2));
    auto back = decompress(coding, packed, size);
    if (!back || *back != text) std::abort();
  }
  return 0;
}
