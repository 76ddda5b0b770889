// SPDX-License-Identifier: Apache-2.0
#include "blob/blob_store.h"

namespace tocayo::blob {

namespace {

constexpr std::size_t kMaxKeyBytes = 900;      // S3 allows 1024 with the bucket's own prefix
constexpr std::size_t kMaxSegmentBytes = 200;  // file names may have 255

bool is_key_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!_.*'()=@+,:~-").find(c) != std::string_view::npos;
}

}  // namespace

Result<> check_key(std::string_view key) {
  if (key.empty()) return fail(ErrorKind::bad_input, "a blob key must not be empty");
  if (key.size() > kMaxKeyBytes) {
    return fail(ErrorKind::bad_input, "a blob key has at most 900 bytes, this one has " + std::to_string(key.size()));
  }
  std::size_t start = 0;
  while (start <= key.size()) {
    std::size_t end = key.find('/', start);
    if (end == std::string_view::npos) end = key.size();
    std::string_view segment = key.substr(start, end - start);
    if (segment.empty()) return fail(ErrorKind::bad_input, "a blob key must not have an empty segment");
    if (segment == "." || segment == "..") {
      return fail(ErrorKind::bad_input, "a blob key must not have the segment '" + std::string(segment) + "'");
    }
    if (segment.size() > kMaxSegmentBytes) {
      return fail(ErrorKind::bad_input, "a segment of a blob key has at most 200 bytes");
    }
    for (std::size_t i = 0; i < segment.size(); ++i) {
      if (!is_key_byte(segment[i])) {
        return fail(ErrorKind::bad_input, "byte " + std::to_string(start + i) + " of the blob key is not allowed");
      }
    }
    start = end + 1;
  }
  return {};
}

}  // namespace tocayo::blob
