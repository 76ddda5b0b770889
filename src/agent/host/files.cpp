// SPDX-License-Identifier: Apache-2.0
#include "agent/host/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>

#include "agent/host/scan.h"

namespace tocayo::agent {

Result<std::string_view> read_fd(int fd, Buffer& buffer, bool one_read) {
  std::size_t size = 0;
  std::vector<char>& bytes = buffer.bytes_;
  for (;;) {
    if (size == bytes.size()) {
      if (bytes.size() >= Buffer::kMaxFile) return fail(ErrorKind::unavailable, "file is larger than 16 MiB");
      bytes.resize(bytes.size() * 2);
    }
    ssize_t n = ::pread(fd, bytes.data() + size, bytes.size() - size, static_cast<off_t>(size));
    if (n < 0) {
      if (errno == EINTR) continue;
      return std::unexpected(error_from_errno("read", errno));
    }
    size += static_cast<std::size_t>(n);
    if (n == 0 || (one_read && size < bytes.size())) break;
  }
  return std::string_view(bytes.data(), size);
}

KeptFile& KeptFile::operator=(KeptFile&& other) noexcept {
  if (this != &other) {
    close();
    path_ = std::move(other.path_);
    one_read_ = other.one_read_;
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

namespace {

// Descriptors kept by all KeptFiles: connections and queues need theirs too.
std::atomic<long> kept_count{0};

bool may_keep() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return true;
  return kept_count.load(std::memory_order_relaxed) < static_cast<long>(limit.rlim_cur / 8);
}

}  // namespace

void KeptFile::close() {
  if (fd_ < 0) return;
  ::close(std::exchange(fd_, -1));
  --kept_count;
}

Result<std::string_view> KeptFile::read(Buffer& buffer) {
  bool fresh = fd_ < 0;
  for (;;) {
    if (fd_ < 0) {
      // O_NONBLOCK: a fixture tree may hold a FIFO, and a driver may offer it.
      fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
      if (fd_ < 0) return std::unexpected(error_from_errno(path_, errno));
      ++kept_count;
    }
    auto text = read_fd(fd_, buffer, one_read_);
    if (text) {
      if (fresh && !may_keep()) close();
      return text;
    }
    close();
    if (fresh) return std::unexpected(std::move(text.error()).with_context(path_));
    fresh = true;
  }
}

Result<std::string_view> read_file(const std::string& path, Buffer& buffer) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return std::unexpected(error_from_errno(path, errno));
  auto text = read_fd(fd, buffer);
  ::close(fd);
  if (!text) return std::unexpected(std::move(text.error()).with_context(path));
  return text;
}

std::optional<std::string_view> read_trimmed(const std::string& path, Buffer& buffer) {
  auto text = read_file(path, buffer);
  if (!text) return std::nullopt;
  return scan::trim(*text);
}

std::optional<std::uint64_t> read_u64(const std::string& path, Buffer& buffer) {
  auto text = read_trimmed(path, buffer);
  return text ? scan::to_u64_any(*text) : std::nullopt;
}

std::optional<std::int64_t> read_i64(const std::string& path, Buffer& buffer) {
  auto text = read_trimmed(path, buffer);
  return text ? scan::to_i64(*text) : std::nullopt;
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return std::unexpected(error_from_errno(path, errno));
  std::vector<std::string> names;
  while (dirent* entry = ::readdir(directory)) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(directory);
  std::ranges::sort(names);
  return names;
}

bool path_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

std::string read_link(const std::string& path) {
  char target[PATH_MAX];
  ssize_t n = ::readlink(path.c_str(), target, sizeof target);
  return n < 0 ? std::string() : std::string(target, static_cast<std::size_t>(n));
}

}  // namespace tocayo::agent
