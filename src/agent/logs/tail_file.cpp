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

std::unique_ptr<Decompressor> unpacker(int fd, Compression compression) {
  switch (compression) {
    case Compression::none: return nullptr;
    case Compression::gzip: return Decompressor::gzip(fd);
    case Compression::zstd: return Decompressor::zstd(fd);
  }
  return nullptr;
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
  return begins_like(fd, remembered, Compression::none);
}

bool begins_like(int fd, const FileIdentity& remembered, Compression compression) {
  std::string bytes;
  if (compression == Compression::none) {
    bytes = first_bytes(fd, remembered.fingerprint_size);
  } else {
    bytes.resize(remembered.fingerprint_size);
    std::size_t done = 0;
    const auto unpack = unpacker(fd, compression);
    while (done < bytes.size()) {
      const auto got = unpack->read(bytes.data() + done, bytes.size() - done);
      if (!got || *got == 0) break;
      done += *got;
    }
    bytes.resize(done);
  }
  return bytes.size() == remembered.fingerprint_size && hash64(bytes) == remembered.fingerprint;
}

TailFile::TailFile(std::string path, int fd, FileIdentity identity, TailOptions options)
    : path_(std::move(path)),
      fd_(fd),
      identity_(identity),
      real_identity_(identity),
      options_(std::move(options)),
      unpacker_(unpacker(fd, options_.compression)) {}

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
  TailFile file(std::move(path), fd, *identity, std::move(options));
  file.encoding_ = TRY(Encoding::of(file.options_.encoding));
  if (file.unpacker_ != nullptr) {
    // There is no other way to a place in it than through what stands before.
    std::string skipped(kChunk, '\0');
    while (file.offset_ < offset) {
      const auto got = TRY(file.unpacker_->read(skipped.data(), std::min<std::size_t>(kChunk, offset - file.offset_)));
      if (got == 0) break;
      file.offset_ += got;
    }
  } else {
    file.offset_ = offset > static_cast<std::uint64_t>(status.st_size) ? 0 : offset;
  }
  return file;
}

TailFile::TailFile(TailFile&& other) noexcept : fd_(-1) { *this = std::move(other); }

TailFile& TailFile::operator=(TailFile&& other) noexcept {
  if (this == &other) return *this;
  if (fd_ >= 0) ::close(fd_);
  path_ = std::move(other.path_);
  fd_ = std::exchange(other.fd_, -1);
  identity_ = other.identity_;
  real_identity_ = other.real_identity_;
  offset_ = other.offset_;
  options_ = std::move(other.options_);
  encoding_ = std::move(other.encoding_);
  unpacker_ = std::move(other.unpacker_);
  pending_ = std::move(other.pending_);
  pending_since_ = other.pending_since_;
  truncations_ = other.truncations_;
  cut_identity_ = other.cut_identity_;
  cut_offset_ = other.cut_offset_;
  return *this;
}

TailFile::~TailFile() {
  if (fd_ >= 0) ::close(fd_);
}

std::uint64_t TailFile::size() const {
  struct stat status{};
  return ::fstat(fd_, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

std::uint64_t TailFile::lag() const {
  if (unpacker_ != nullptr) return 0;
  const auto now = size();
  return now > offset() ? now - offset() : 0;
}

void TailFile::stand_for(const FileIdentity& identity) { identity_ = identity; }

bool TailFile::moved() const {
  struct stat now{};
  if (::stat(path_.c_str(), &now) != 0) return true;
  return now.st_dev != real_identity_.device || now.st_ino != real_identity_.inode;
}

// Cut (copytruncate), or written anew from its beginning.
Result<bool> TailFile::was_cut() {
  const auto now = size();
  if (now < offset_) return true;
  if (now == offset_ || identity_ != real_identity_) return false;
  return !begins_like(fd_, real_identity_, Compression::none);
}

Result<std::size_t> TailFile::next_bytes(std::string& chunk) {
  chunk.resize(kChunk);
  if (unpacker_ != nullptr) return unpacker_->read(chunk.data(), chunk.size());
  for (;;) {
    const auto got = ::pread(fd_, chunk.data(), chunk.size(), static_cast<off_t>(offset_));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return fail(ErrorKind::unavailable, fmt::format("{}: {}", path_, std::strerror(errno)));
  }
}

// One line as it stands in the file, `end_size` bytes of line end behind it.
void TailFile::hand_over(std::string_view raw, std::uint64_t begin, std::size_t end_size, const Line& line) {
  std::string converted;
  const auto one = [&](std::string_view part, std::size_t behind) {
    const std::uint64_t end = begin + part.size() + behind;
    if (encoding_.plain()) {
      if (behind > 0 && part.ends_with('\r')) part.remove_suffix(1);
      line(part, begin, end);
    } else {
      converted = encoding_.convert(part);
      if (behind > 0 && converted.ends_with('\r')) converted.pop_back();
      line(converted, begin, end);
    }
    begin = end;
  };
  const std::size_t most = options_.max_line - options_.max_line % encoding_.unit();
  for (; raw.size() > most; raw.remove_prefix(most)) one(raw.substr(0, most), 0);
  one(raw, end_size);
}

Result<std::size_t> TailFile::read(std::size_t most, std::chrono::steady_clock::time_point now, const Line& line) {
  if (unpacker_ == nullptr && TRY(was_cut())) {
    if (options_.once) return std::size_t{0};
    ++truncations_;
    cut_identity_ = real_identity_;
    cut_offset_ = offset();
    offset_ = 0;
    pending_.clear();
    identity_ = real_identity_ = TRY(identify(fd_));
  }
  std::size_t taken = 0;
  std::string chunk;
  const std::size_t unit = encoding_.unit();
  while (taken < most) {
    const auto got = TRY(next_bytes(chunk));
    if (got == 0) break;
    std::uint64_t at = offset_ - pending_.size();  // of the line that is being put together
    offset_ += got;
    taken += got;
    std::string_view rest(chunk.data(), got);
    if (!pending_.empty()) {
      // The chunk may begin in the middle of a character: it is looked at together with what came before.
      const auto from = pending_.size() - pending_.size() % unit;
      pending_.append(rest);
      rest = pending_;
      std::size_t begin = 0;
      for (auto end = encoding_.find_end(rest, from); end != std::string_view::npos;
           end = encoding_.find_end(rest, begin)) {
        hand_over(rest.substr(begin, end - begin), at, unit, line);
        at += end - begin + unit;
        begin = end + unit;
      }
      pending_.erase(0, begin);
    } else {
      for (auto end = encoding_.find_end(rest, 0); end != std::string_view::npos; end = encoding_.find_end(rest, 0)) {
        hand_over(rest.substr(0, end), at, unit, line);
        at += end + unit;
        rest.remove_prefix(end + unit);
      }
      pending_.assign(rest);
    }
    if (!pending_.empty()) {
      pending_since_ = now;
      const std::size_t piece = options_.max_line - options_.max_line % unit;
      while (pending_.size() > piece) {
        hand_over(std::string_view(pending_).substr(0, piece), at, 0, line);
        at += piece;
        pending_.erase(0, piece);
      }
    }
  }
  if (real_identity_.fingerprint_size < kFingerprint && taken != 0) {
    const bool own = identity_ == real_identity_;
    real_identity_ = TRY(identify(fd_));
    if (own) identity_ = real_identity_;
  }
  if (taken == 0 && !pending_.empty() && now - pending_since_ >= options_.partial_after) finish(line);
  return taken;
}

void TailFile::finish(const Line& line) {
  if (pending_.empty()) return;
  const std::string last = std::exchange(pending_, {});
  hand_over(last, offset_ - last.size(), 0, line);
}

}  // namespace tocayo::agent
