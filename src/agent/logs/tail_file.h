// SPDX-License-Identifier: Apache-2.0
// One log file being read: whole lines, once each, over rotation by rename, truncation and deletion.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "agent/logs/decompress.h"
#include "agent/logs/encoding.h"
#include "core/error.h"

namespace tocayo::agent {

enum class Compression : unsigned char { none, gzip, zstd };

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
// Whether it begins with the same bytes, its inode may be another: a copy. With `compression` what it unpacks to.
bool begins_like(int fd, const FileIdentity& remembered, Compression compression);
// Of an open file.
Result<FileIdentity> identify(int fd);

struct TailOptions {
  std::size_t max_line = 1 << 20;                 // longer lines are handed over in pieces
  std::chrono::milliseconds partial_after{5000};  // an unfinished line is handed over when so long nothing was added
  Compression compression = Compression::none;    // offsets count what it unpacks to
  std::string encoding;                           // known to Encoding::of
  bool once = false;                              // a copy of a file: what comes after it is cut is another one's
};

// Not thread-safe.
class TailFile {
 public:
  // A line without its end, and where it stands in the file: bytes [begin, end), its end included.
  using Line = std::function<void(std::string_view text, std::uint64_t begin, std::uint64_t end)>;

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
  // What is not read yet, as far as it can be told (of compressed files: nothing).
  std::uint64_t lag() const;
  const FileIdentity& identity() const { return identity_; }
  // The rest of a file that is read from a copy of it: goes by the file's identity.
  void stand_for(const FileIdentity& identity);
  // Whether its path leads to another file (or nowhere) by now.
  bool moved() const;
  // A compressed file that was read to its end.
  bool complete() const { return unpacker_ != nullptr && unpacker_->at_end(); }
  std::uint64_t truncations() const { return truncations_; }
  // What the file was before it was last cut, and up to where it was read.
  const FileIdentity& cut_identity() const { return cut_identity_; }
  std::uint64_t cut_offset() const { return cut_offset_; }

 private:
  TailFile(std::string path, int fd, FileIdentity identity, TailOptions options);
  Result<bool> was_cut();
  Result<std::size_t> next_bytes(std::string& chunk);
  void hand_over(std::string_view raw, std::uint64_t begin, std::size_t end_size, const Line& line);

  std::string path_;
  int fd_ = -1;
  FileIdentity identity_, real_identity_;  // the second is the open file's own
  std::uint64_t offset_ = 0;               // read up to here
  TailOptions options_;
  Encoding encoding_;
  std::unique_ptr<Decompressor> unpacker_;
  std::string pending_;  // an unfinished line
  std::chrono::steady_clock::time_point pending_since_{};
  std::uint64_t truncations_ = 0;
  FileIdentity cut_identity_;
  std::uint64_t cut_offset_ = 0;
};

}  // namespace tocayo::agent
