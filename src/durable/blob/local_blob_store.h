// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>

#include "blob/blob_store.h"
#include "core/pool.h"

namespace tocayo::blob {

// Objects as files of one directory:
//   <root>/objects/<key>   the objects; a key's segments are directories
//   <root>/tmp/            objects being written; emptied at open (what a crash left behind)
//   <root>/LOCK            flock of the one process that uses the store
// A put writes to tmp, fsyncs the file, renames it into place and fsyncs the directory (and every directory it had to
// make).
class LocalBlobStore final : public BlobStore {
 public:
  // Creates what is missing. unavailable when another process has the store open. `pool` runs the file calls (a
  // blocking pool) and must outlive the store; do not sync_wait on a thread of that pool.
  static Result<std::unique_ptr<LocalBlobStore>> open(std::filesystem::path root, Pool& pool);
  ~LocalBlobStore() override;

  Task<Result<>> put(std::string key, std::string bytes, PutMode mode) override;
  Task<Result<>> put_file(std::string key, std::filesystem::path file, PutMode mode) override;
  Task<Result<std::string>> get(std::string key) override;
  Task<Result<std::string>> get_range(std::string key, std::uint64_t offset, std::uint64_t length) override;
  Task<Result<BlobInfo>> stat(std::string key) override;
  Task<Result<ListPage>> list(std::string prefix, std::string start_after, std::size_t limit) override;
  Task<Result<>> remove(std::string key) override;
  std::optional<std::filesystem::path> local_path(std::string_view key) const override;

 private:
  struct Impl;
  explicit LocalBlobStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tocayo::blob
