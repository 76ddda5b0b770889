// SPDX-License-Identifier: Apache-2.0
// One log file being read: whole lines, once each, over rotation by rename, truncation and deletion.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/error.h"

namespace tocayo::agent {

// What a file is, whatever it is called: device, inode and its first bytes (an inode may be used again).
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t fingerprint = 0;       // of the first `fingerprint_size` bytes
  std::uint32_t fingerprint_size = 0;  // at most 256; grows while the file is shorter
  bool operator==(const FileIdentity&) const = default;
};

// Whether the open file is the one remembered: the same inode, beginning with the same bytes.
bool is_same_file(int fd, const FileIdentity& remembered);
// Of an open file.
Result<FileIdentity> identify(int fd);

struct TailOptions {
  std::size_t max_line = 1 << 20;                 // longer lines are handed over in pieces
  std::chrono::milliseconds partial_after{5000};  // an unfinished line is handed over when so long nothing was added
};

// Not thread-safe.
class TailFile {
 public:
  using Line = std::function<void(std::string_view)>;

  // unavailable when it cannot be opened. Reading starts at `offset` (which may lie beyond the end: then the file was
  // cut meanwhile, and reading starts at 0).
  static Result<TailFile> open(std::string path, std::uint64_t offset, TailOptions options = {});
  TailFile(TailFile&& other) noexcept;
  TailFile& operator=(TailFile&& other) noexcept;
  ~TailFile();

  // Hands over up to about `most` bytes of whole lines. Returns how many bytes were taken; 0 = nothing new.
  Result<std::size_t> read(std::size_t most, std::chrono::steady_clock::time_point now, const Line& line);
  // Hands over what is there without its newline (the file is at its end for good).
  void finish(const Line& line);

  const std::string& path() const { return path_; }
  // Up to where lines were handed over.
  std::uint64_t offset() const { return offset_ - pending_.size(); }
  std::uint64_t size() const;  // of the file at present
  const FileIdentity& identity() const { return identity_; }
  // Whether its path leads to another file (or nowhere) by now.
  bool moved() const;
  std::uint64_t truncations() const { return truncations_; }

 private:
  TailFile(std::string path, int fd, FileIdentity identity, std::uint64_t offset, TailOptions options)
      : path_(std::move(path)), fd_(fd), identity_(identity), offset_(offset), options_(options) {}
  std::string path_;
  int fd_ = -1;
  FileIdentity identity_;
  std::uint64_t offset_ = 0;  // read up to here
  TailOptions options_;
  std::string pending_;  // an unfinished line
  std::chrono::steady_clock::time_point pending_since_{};
  std::uint64_t truncations_ = 0;
};

}  // namespace tocayo::agent
