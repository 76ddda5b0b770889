// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/tail_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/hash.h"

namespace tocayo::agent {

namespace {
constexpr std::size_t kFingerprint = 256;
constexpr std::size_t kChunk = 64 << 10;

std::string first_bytes(int fd, std::size_t size) {
  std::string bytes(size, '\0');
  const auto got = ::pread(fd, bytes.data(), bytes.size(), 0);
  bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return bytes;
}
}  // namespace

Result<FileIdentity> identify(int fd) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return fail(ErrorKind::unavailable, std::strerror(errno));
  const auto bytes = first_bytes(fd, kFingerprint);
  return FileIdentity{.device = status.st_dev,
                      .inode = status.st_ino,
                      .fingerprint = hash64(bytes),
                      .fingerprint_size = static_cast<std::uint32_t>(bytes.size())};
}

bool is_same_file(int fd, const FileIdentity& remembered) {
  struct stat status{};
  if (::fstat(fd, &status) != 0 || status.st_dev != remembered.device || status.st_ino != remembered.inode)
    return false;
  const auto bytes = first_bytes(fd, remembered.fingerprint_size);
  return bytes.size() == remembered.fingerprint_size && hash64(bytes) == remembered.fingerprint;
}

Result<TailFile> TailFile::open(std::string path, std::uint64_t offset, TailOptions options) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return fail(ErrorKind::unavailable, fmt::format("{}: {}", path, std::strerror(errno)));
  struct stat status{};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    return fail(ErrorKind::unavailable, fmt::format("{}: no regular file", path));
  }
  auto identity = identify(fd);
  if (!identity) {
    ::close(fd);
    return std::unexpected(std::move(identity.error()));
  }
  if (offset > static_cast<std::uint64_t>(status.st_size)) offset = 0;
  return TailFile(std::move(path), fd, *identity, offset, options);
}

TailFile::TailFile(TailFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      identity_(other.identity_),
      offset_(other.offset_),
      options_(other.options_),
      pending_(std::move(other.pending_)),
      pending_since_(other.pending_since_),
      truncations_(other.truncations_) {}

TailFile& TailFile::operator=(TailFile&& other) noexcept {
  if (this == &other) return *this;
  if (fd_ >= 0) ::close(fd_);
  path_ = std::move(other.path_);
  fd_ = std::exchange(other.fd_, -1);
  identity_ = other.identity_;
  offset_ = other.offset_;
  options_ = other.options_;
  pending_ = std::move(other.pending_);
  pending_since_ = other.pending_since_;
  truncations_ = other.truncations_;
  return *this;
}

TailFile::~TailFile() {
  if (fd_ >= 0) ::close(fd_);
}

std::uint64_t TailFile::size() const {
  struct stat status{};
  return ::fstat(fd_, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

bool TailFile::moved() const {
  struct stat now{};
  if (::stat(path_.c_str(), &now) != 0) return true;
  return now.st_dev != identity_.device || now.st_ino != identity_.inode;
}

Result<std::size_t> TailFile::read(std::size_t most, std::chrono::steady_clock::time_point now, const Line& line) {
  if (size() < offset_) {  // cut (copytruncate): what was not read of it is gone
    ++truncations_;
    offset_ = 0;
    pending_.clear();
    identity_ = TRY(identify(fd_));
  }
  std::size_t taken = 0;
  std::string chunk;
  while (taken < most) {
    chunk.resize(kChunk);
    const auto got = ::pread(fd_, chunk.data(), chunk.size(), static_cast<off_t>(offset_));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(ErrorKind::unavailable, fmt::format("{}: {}", path_, std::strerror(errno)));
    if (got == 0) break;
    offset_ += static_cast<std::uint64_t>(got);
    taken += static_cast<std::size_t>(got);
    std::string_view rest(chunk.data(), static_cast<std::size_t>(got));
    for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
      auto text = rest.substr(0, end);
      rest.remove_prefix(end + 1);
      if (!pending_.empty()) {
        pending_.append(text);
        text = pending_;
      }
      if (text.ends_with('\r')) text.remove_suffix(1);
      for (; text.size() > options_.max_line; text.remove_prefix(options_.max_line))
        line(text.substr(0, options_.max_line));
      line(text);
      pending_.clear();
    }
    if (!rest.empty()) {
      pending_.append(rest);
      pending_since_ = now;
      while (pending_.size() > options_.max_line) {
        line(std::string_view(pending_).substr(0, options_.max_line));
        pending_.erase(0, options_.max_line);
      }
    }
  }
  if (identity_.fingerprint_size < kFingerprint && taken != 0) identity_ = TRY(identify(fd_));
  if (taken == 0 && !pending_.empty() && now - pending_since_ >= options_.partial_after) finish(line);
  return taken;
}

void TailFile::finish(const Line& line) {
  if (pending_.empty()) return;
  line(pending_);
  pending_.clear();
}

}  // namespace tocayo::agent
