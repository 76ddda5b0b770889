// SPDX-License-Identifier: Apache-2.0
#include "agent/logs/decompress.h"

#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>

namespace tocayo::agent {
namespace {

constexpr std::size_t kChunk = 64 << 10;

// Bytes of the file in order.
class Bytes {
 public:
  explicit Bytes(int fd) : fd_(fd), buffer_(kChunk, '\0') {}
  // More of the file when all is used up; false: there is none at present.
  Result<bool> more() {
    if (at_ < end_) return true;
    ssize_t got = 0;
    do got = ::pread(fd_, buffer_.data(), buffer_.size(), static_cast<off_t>(offset_));
    while (got < 0 && errno == EINTR);
    if (got < 0) return std::unexpected(error_from_errno("read", errno));
    at_ = 0;
    end_ = static_cast<std::size_t>(got);
    offset_ += end_;
    return end_ > 0;
  }
  char* data() { return buffer_.data() + at_; }
  std::size_t size() const { return end_ - at_; }
  void take(std::size_t count) { at_ += count; }

 private:
  int fd_;
  std::string buffer_;
  std::uint64_t offset_ = 0;
  std::size_t at_ = 0, end_ = 0;
};

class Gzip final : public Decompressor {
 public:
  explicit Gzip(int fd) : bytes_(fd) { ready_ = ::inflateInit2(&stream_, 15 + 16) == Z_OK; }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
  ~Gzip() override { ::inflateEnd(&stream_); }

  Result<std::size_t> read(char* to, std::size_t size) override {
    if (!ready_) return fail(ErrorKind::unavailable, "no memory to decompress");
    std::size_t done = 0;
    while (done < size) {
      if (!TRY(bytes_.more())) break;
      if (between_) {
        ::inflateReset(&stream_);
        between_ = false;
      }
      stream_.next_in = reinterpret_cast<unsigned char*>(bytes_.data());
      stream_.avail_in = static_cast<unsigned>(bytes_.size());
      stream_.next_out = reinterpret_cast<unsigned char*>(to + done);
      stream_.avail_out = static_cast<unsigned>(size - done);
      const int state = ::inflate(&stream_, Z_NO_FLUSH);
      bytes_.take(bytes_.size() - stream_.avail_in);
      done = size - stream_.avail_out;
      if (state == Z_STREAM_END)
        between_ = true;
      else if (state != Z_OK && state != Z_BUF_ERROR)
        return fail(ErrorKind::bad_input, "damaged gzip data");
      else if (state == Z_BUF_ERROR && done < size && bytes_.size() > 0)
        return fail(ErrorKind::bad_input, "damaged gzip data");
    }
    return done;
  }
  bool at_end() const override { return between_ && bytes_.size() == 0; }

 private:
  Bytes bytes_;
  z_stream stream_{};
  bool ready_ = false, between_ = false;
};

class Zstd final : public Decompressor {
 public:
  explicit Zstd(int fd) : bytes_(fd), stream_(::ZSTD_createDStream()) {}
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;
  ~Zstd() override { ::ZSTD_freeDStream(stream_); }

  Result<std::size_t> read(char* to, std::size_t size) override {
    if (stream_ == nullptr) return fail(ErrorKind::unavailable, "no memory to decompress");
    ZSTD_outBuffer out{to, size, 0};
    for (;;) {
      // What the decoder still holds comes out without input.
      const bool fed = TRY(bytes_.more());
      if (!fed && !pending_) break;
      ZSTD_inBuffer in{bytes_.data(), fed ? bytes_.size() : 0, 0};
      const auto before = out.pos;
      const auto state = ::ZSTD_decompressStream(stream_, &out, &in);
      if (::ZSTD_isError(state) != 0) return fail(ErrorKind::bad_input, "damaged zstd data");
      bytes_.take(in.pos);
      between_ = state == 0;
      pending_ = out.pos == out.size && !between_;
      if (out.pos == out.size || (in.pos == 0 && out.pos == before)) break;
    }
    return out.pos;
  }
  bool at_end() const override { return between_ && bytes_.size() == 0; }

 private:
  Bytes bytes_;
  ZSTD_DStream* stream_;
  bool between_ = false, pending_ = false;
};

}  // namespace

std::unique_ptr<Decompressor> Decompressor::gzip(int fd) { return std::make_unique<Gzip>(fd); }
std::unique_ptr<Decompressor> Decompressor::zstd(int fd) { return std::make_unique<Zstd>(fd); }

}  // namespace tocayo::agent
