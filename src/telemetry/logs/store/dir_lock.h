// SPDX-License-Identifier: Apache-2.0
// One process at a time has a store's directory open, the offline commands included.
#pragma once

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "core/error.h"
#include "core/fd.h"

namespace tocayo::logs {

// Holds `<dir>/LOCK` until it is destroyed.
class DirLock {
 public:
  DirLock() = default;
  // conflict when another process has it. Creates the file, not the directory.
  static Result<DirLock> take(const std::filesystem::path& dir) {
    const std::string file = (dir / "LOCK").string();
    DirLock lock;
    lock.fd_ = Fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
    if (!lock.fd_) return std::unexpected(error_from_errno("open " + file, errno));
    if (::flock(lock.fd_.get(), LOCK_EX | LOCK_NB) != 0) {
      return fail(ErrorKind::conflict, dir.string() + " is in use by another process");
    }
    return lock;
  }

 private:
  Fd fd_;
};

}  // namespace tocayo::logs
