// SPDX-License-Identifier: Apache-2.0
// A file mapped for reading.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "core/error.h"

namespace tocayo::logs {

class MappedFile {
 public:
  static Result<std::unique_ptr<MappedFile>> open(const std::filesystem::path& path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();
  std::string_view bytes() const { return {data_, size_}; }
  // The pages of these bytes need not stay in memory; they stay readable.
  void release(std::size_t offset, std::size_t size) const;

 private:
  MappedFile(const char* data, std::size_t size) : data_(data), size_(size) {}
  const char* data_;
  std::size_t size_;
};

// Appends to a new file through a buffer.
class FileWriter {
 public:
  static Result<std::unique_ptr<FileWriter>> create(const std::filesystem::path& path);
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;
  ~FileWriter();
  std::uint64_t size() const { return size_; }
  Result<std::uint64_t> write(std::string_view bytes);  // returns where they begin
  Result<> sync();                                      // flushes and fsyncs

 private:
  FileWriter(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}
  Result<> flush();
  int fd_;
  std::filesystem::path path_;
  std::string buffer_;
  std::uint64_t size_ = 0;
};

Result<> sync_directory(const std::filesystem::path& directory);

}  // namespace tocayo::logs
