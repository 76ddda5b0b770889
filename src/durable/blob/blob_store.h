// SPDX-License-Identifier: Apache-2.0
// Immutable objects under a key: the second of the three durable things (sealed blocks, uploads, exports). The
// interface is what a local directory and an S3 bucket both can promise;
// docs/decisions/0001-three-durable-interfaces.md says how each call maps.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/task.h"
#include "core/time.h"

namespace tocayo::blob {

struct BlobInfo {
  std::string key;
  std::uint64_t size = 0;       // bytes
  TimestampMs modified_ms = 0;  // when it became visible, by the store's clock
};

struct ListPage {
  std::vector<BlobInfo> blobs;  // ascending by key, bytewise
  std::string next;             // pass as `start_after` for the next page; empty: that was the last
};

enum class PutMode : unsigned char {
  replace,      // the last complete put wins
  create_only,  // conflict when the key exists; of two concurrent puts exactly one succeeds
};

// A key is segments joined by '/', 1-900 bytes in all, each segment 1-200 bytes of [A-Za-z0-9!_.*'()=@+,:~-], not "."
// or "..". No key may continue another one ("a" and "a/b": conflict), so that every key can be a file. bad_input names
// what is wrong.
Result<> check_key(std::string_view key);

// Thread-safe. Tasks resume on a thread of the store: hop to a pool before computing, and never block there.
// Errors: bad_input (key, range), not_found, conflict, unavailable (disk full, store unreachable; retry later),
// internal.
class BlobStore {
 public:
  virtual ~BlobStore() = default;

  // When it succeeds, the object is on stable storage and visible as a whole; before that, and after a failure or a
  // crash, a reader sees the former object (or none), never a part.
  virtual Task<Result<>> put(std::string key, std::string bytes, PutMode mode = PutMode::replace) = 0;
  // The same from a file, which belongs to the store from the call on (moved where possible, gone when the put
  // succeeded; on failure it is still there). For big objects: the bytes never pass through memory as a whole.
  virtual Task<Result<>> put_file(std::string key, std::filesystem::path file, PutMode mode = PutMode::replace) = 0;

  virtual Task<Result<std::string>> get(std::string key) = 0;
  // Bytes [offset, offset + length), cut at the end of the object. bad_input when offset is beyond the end.
  virtual Task<Result<std::string>> get_range(std::string key, std::uint64_t offset, std::uint64_t length) = 0;
  virtual Task<Result<BlobInfo>> stat(std::string key) = 0;

  // Objects whose key starts with `prefix` (any bytes of a key, need not end at a '/'; "" is all) and is greater than
  // `start_after`; at most `limit` (1-1000) per page.
  virtual Task<Result<ListPage>> list(std::string prefix, std::string start_after = {}, std::size_t limit = 1000) = 0;

  // Durable when it succeeds. Removing what is not there succeeds too, so that a retry is harmless.
  virtual Task<Result<>> remove(std::string key) = 0;

  // Where the object lies as a file, for readers that map it; nullopt when the store has no files (then fetch into a
  // cache) or the key is not valid. Says nothing about existence. The file never changes in place; it may be unlinked
  // while it is open.
  virtual std::optional<std::filesystem::path> local_path(std::string_view key) const = 0;
};

}  // namespace tocayo::blob
