// SPDX-License-Identifier: Apache-2.0
// The reader of segments on arbitrary bytes: it ends, stays inside, and every record it yields has a valid checksum.
#include <cstdlib>
#include <string>

#include "journal/frame.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tocayo::journal;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::uint64_t first = 0;
  if (decode_segment_header(bytes, first)) bytes.remove_prefix(kSegmentHeaderSize);
  std::size_t at = 0;
  while (at < bytes.size()) {
    const FrameView frame = decode_frame(bytes.substr(at), first + at);
    if (frame.state == FrameState::valid) {
      std::string again;
      append_frame(again, frame.kind, frame.payload, first + at);
      // The reserved byte is under the checksum but free.
      if (again.size() != frame.size) std::abort();
      at += frame.size;
      continue;
    }
    const std::size_t next = find_frame(bytes, at + 1, first);
    if (next <= at) std::abort();
    at = next;
  }
  // What is written is read back, whatever it is.
  std::string framed;
  append_frame(framed, 3, bytes, 12345);
  if (decode_frame(framed, 12345).payload != bytes) std::abort();
  return 0;
}
