// SPDX-License-Identifier: Apache-2.0
#include "metrics/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace tocayo::metrics {

Result<> write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(error_from_errno("write " + path, errno));
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<> sync_directory(const std::string& dir) {
  const int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return std::unexpected(error_from_errno("open " + dir, errno));
  const int failed = ::fsync(fd) != 0 ? errno : 0;
  ::close(fd);
  if (failed != 0) return std::unexpected(error_from_errno("fsync " + dir, failed));
  return {};
}

Result<std::string> read_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::unexpected(error_from_errno("open " + path, errno));
  std::string content;
  char buffer[64 * 1024];
  for (;;) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    const int failed = errno;
    if (n <= 0) {
      ::close(fd);
      if (n < 0) return std::unexpected(error_from_errno("read " + path, failed));
      return content;
    }
    content.append(buffer, static_cast<std::size_t>(n));
  }
}

Result<> replace_file(const std::string& path, std::string_view content) {
  const std::string temporary = path + ".tmp";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (fd < 0) return std::unexpected(error_from_errno("create " + temporary, errno));
  auto done = write_all(fd, content, temporary);
  if (done && ::fsync(fd) != 0) done = std::unexpected(error_from_errno("fsync " + temporary, errno));
  ::close(fd);
  if (done && ::rename(temporary.c_str(), path.c_str()) != 0)
    done = std::unexpected(error_from_errno("rename " + path, errno));
  if (!done) {
    ::unlink(temporary.c_str());
    return done;
  }
  return sync_directory(std::filesystem::path(path).parent_path().string());
}

}  // namespace tocayo::metrics
