// SPDX-License-Identifier: Apache-2.0
// Reading /proc and /sys. Text is read into a reused buffer; a view into it is good until the next read with that
// buffer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"

namespace tocayo::agent {

// Grows to the largest file read, at most kMaxFile.
class Buffer {
 public:
  static constexpr std::size_t kMaxFile = 16u << 20;

 private:
  friend Result<std::string_view> read_fd(int fd, Buffer& buffer, bool one_read);
  std::vector<char> bytes_ = std::vector<char>(16384);
};

// Reads an open file from its start. `one_read`: the file answers in one read (sysfs attributes), so no second call
// looks for the end. EAGAIN, EIO, ENODEV … are errors with that errno in words; unavailable when the file is over
// kMaxFile.
Result<std::string_view> read_fd(int fd, Buffer& buffer, bool one_read = false);

// A file that is read at every collection: its descriptor stays open. Opens on the first read, and again after an
// error (a device that came back). Not thread-safe.
class KeptFile {
 public:
  KeptFile() = default;
  explicit KeptFile(std::string path, bool one_read = false) : path_(std::move(path)), one_read_(one_read) {}
  KeptFile(KeptFile&& other) noexcept
      : path_(std::move(other.path_)), one_read_(other.one_read_), fd_(std::exchange(other.fd_, -1)) {}
  KeptFile& operator=(KeptFile&& other) noexcept;
  ~KeptFile() { close(); }

  Result<std::string_view> read(Buffer& buffer);
  const std::string& path() const { return path_; }

 private:
  void close();

  std::string path_;
  bool one_read_ = false;
  int fd_ = -1;
};

// Opens, reads, closes. Trimmed of blanks at both ends for the second form, nullopt when it cannot be read.
Result<std::string_view> read_file(const std::string& path, Buffer& buffer);
std::optional<std::string_view> read_trimmed(const std::string& path, Buffer& buffer);
std::optional<std::uint64_t> read_u64(const std::string& path, Buffer& buffer);
std::optional<std::int64_t> read_i64(const std::string& path, Buffer& buffer);

// Names in a directory without "." and "..", sorted; not_found when there is none.
Result<std::vector<std::string>> list_directory(const std::string& path);
bool path_exists(const std::string& path);
// Target of a symbolic link, empty when it is none.
std::string read_link(const std::string& path);

}  // namespace tocayo::agent
