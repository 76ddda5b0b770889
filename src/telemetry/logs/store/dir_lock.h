// SPDX-License-Identifier: Apache-2.0
// One process at a time has a store's directory open, the offline commands included.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <utility>

#include "core/error.h"

namespace tocayo::logs {

// Holds `<dir>/LOCK` until it is destroyed.
class DirLock {
 public:
  DirLock() = default;
  // conflict when another process has it. Creates the file, not the directory.
  static Result<DirLock> take(const std::filesystem::path& dir) {
    const std::string file = (dir / "LOCK").string();
    DirLock lock;
    lock.fd_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (lock.fd_ < 0) return std::unexpected(error_from_errno("open " + file, errno));
    if (::flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) {
      return fail(ErrorKind::conflict, dir.string() + " is in use by another process");
    }
    return lock;
  }
  DirLock(DirLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  DirLock& operator=(DirLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~DirLock() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  int fd_ = -1;
};

}  // namespace tocayo::logs
