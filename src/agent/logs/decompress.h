// SPDX-License-Identifier: Apache-2.0
// Reading compressed log files from their beginning.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/error.h"

namespace tocayo::agent {

// Not thread-safe. Borrows the descriptor; reads with pread from 0.
class Decompressor {
 public:
  virtual ~Decompressor() = default;
  static std::unique_ptr<Decompressor> gzip(int fd);  // one member after another
  static std::unique_ptr<Decompressor> zstd(int fd);

  // Up to `size` bytes; 0: the end of what is there by now (a file that is still being written goes on later).
  // bad_input: the bytes are damaged.
  virtual Result<std::size_t> read(char* to, std::size_t size) = 0;
  // The last frame is whole and nothing stands behind it.
  virtual bool at_end() const = 0;
};

}  // namespace tocayo::agent
