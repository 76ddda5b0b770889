// SPDX-License-Identifier: Apache-2.0
// Content codings: gzip, deflate and zstd for request bodies, gzip and zstd for responses (RFC 9110 §8.4, RFC 8878).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"

namespace tocayo::http::detail {

enum class Coding : unsigned char { identity, gzip, deflate, zstd, unknown };

// Of a Content-Encoding field with one coding; "" is identity. A chain of codings is `unknown`.
Coding parse_coding(std::string_view content_encoding);
std::string_view to_string(Coding coding);

// The best coding we can produce that the client accepts; zstd before gzip at equal weight, identity when neither is
// wanted.
Coding negotiate(std::string_view accept_encoding);
// Is this media type worth compressing?
bool compressible(std::string_view content_type);

// Asked before the output grows by so many bytes; false refuses (memory budget).
using GrowCheck = std::function<bool(std::size_t)>;
// Undoes a coding. too_large: over `limit` (found before the bytes are kept); unavailable: `grow` refused; bad_input:
// broken or truncated data, trailing garbage. A frame that asks for a zstd window over 8 MiB is refused (RFC 8878
// §3.1.1.1.2).
Result<std::string> decompress(Coding coding, std::string_view input, std::size_t limit, const GrowCheck& grow = {});

// Streaming compressor for one body. Not thread-safe.
class Encoder {
 public:
  static std::unique_ptr<Encoder> create(Coding coding);  // gzip or zstd
  virtual ~Encoder() = default;
  // Compressed form of the bytes so far; everything given is decodable by the peer from what was returned.
  virtual std::string write(std::string_view bytes) = 0;
  // Remaining bytes and the trailer; the end. `bytes` may hold the whole body.
  virtual std::string finish(std::string_view bytes) = 0;
};

}  // namespace tocayo::http::detail
