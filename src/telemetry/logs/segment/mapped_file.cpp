// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace tocayo::logs {

namespace {
std::unexpected<Error> system_error(const char* what, const std::filesystem::path& path) {
  return fail(ErrorKind::unavailable, fmt::format("{} {}: {}", what, path.string(), std::strerror(errno)));
}
}  // namespace

Result<std::unique_ptr<MappedFile>> MappedFile::open(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return system_error("cannot open", path);
  struct stat status{};
  if (::fstat(fd, &status) != 0) {
    ::close(fd);
    return system_error("cannot stat", path);
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  const char* data = nullptr;
  if (size != 0) {
    void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) {
      ::close(fd);
      return system_error("cannot map", path);
    }
    data = static_cast<const char*>(mapped);
  }
  ::close(fd);
  return std::unique_ptr<MappedFile>(new MappedFile(data, size));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

void MappedFile::release(std::size_t offset, std::size_t size) const {
  if (data_ == nullptr || offset >= size_) return;
  static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  size = std::min(size, size_ - offset);
  const auto begin = offset / page * page;
  // Shared and never written, so that nothing is lost.
  (void)::madvise(const_cast<char*>(data_) + begin, offset + size - begin, MADV_DONTNEED);
}

Result<std::unique_ptr<FileWriter>> FileWriter::create(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (fd < 0) return system_error("cannot create", path);
  return std::unique_ptr<FileWriter>(new FileWriter(fd, path));
}

FileWriter::~FileWriter() { ::close(fd_); }

Result<std::uint64_t> FileWriter::write(std::string_view bytes) {
  const auto at = size_;
  size_ += bytes.size();
  buffer_.append(bytes);
  if (buffer_.size() >= (1U << 20)) TRY(flush());
  return at;
}

Result<> FileWriter::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const auto written = ::write(fd_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error("cannot write", path_);
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  buffer_.clear();
  return {};
}

Result<> FileWriter::sync() {
  TRY(flush());
  if (::fsync(fd_) != 0) return system_error("cannot sync", path_);
  return {};
}

Result<> sync_directory(const std::filesystem::path& directory) {
  const int fd = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error("cannot open", directory);
  const int failed = ::fsync(fd);
  ::close(fd);
  if (failed != 0) return system_error("cannot sync", directory);
  return {};
}

}  // namespace tocayo::logs
