// SPDX-License-Identifier: Apache-2.0
#include "http/detail/stream_sink.h"

#include <charconv>

namespace tocayo::http::detail {
namespace {

std::string frame(std::string payload, bool last) {
  std::string out;
  if (!payload.empty()) {
    char size[16];
    auto end = std::to_chars(size, size + sizeof size, payload.size(), 16).ptr;
    out.reserve(payload.size() + 32);
    out.append(size, end);
    out += "\r\n";
    out += payload;
    out += "\r\n";
  }
  if (last) out += "0\r\n\r\n";
  return out;
}

}  // namespace

struct StreamSink::Room {
  StreamSink& sink;
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> handle) {
    std::lock_guard lock(sink.mutex_);
    if (sink.closed_ || sink.bytes_ <= kLowWater) return false;
    sink.writer_ = handle;
    return true;
  }
  void await_resume() const noexcept {}
};

StreamSink::StreamSink(bool chunked, Coding coding, std::function<void()> wake)
    : chunked_(chunked), wake_(std::move(wake)) {
  if (coding != Coding::identity) encoder_ = Encoder::create(coding);
}

void StreamSink::enqueue(std::string payload, bool last) {
  if (chunked_) payload = frame(std::move(payload), last);
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    if (!payload.empty()) {
      bytes_ += payload.size();
      queue_.push_back(std::move(payload));
    }
    wake = !woken_ && !queue_.empty();
    woken_ = woken_ || wake;
  }
  if (wake) wake_();
}

Task<Result<>> StreamSink::write(std::string chunk) {
  if (encoder_ && !chunk.empty()) chunk = encoder_->write(chunk);
  if (!chunk.empty()) enqueue(std::move(chunk), false);
  bool full = false;
  {
    std::lock_guard lock(mutex_);
    full = bytes_ > kHighWater;
  }
  if (full) co_await Room{*this};
  std::lock_guard lock(mutex_);
  if (closed_) co_return fail(ErrorKind::canceled, "the client went away");
  co_return Result<>{};
}

void StreamSink::finish() {
  std::string rest;
  if (encoder_) rest = encoder_->finish({});
  enqueue(std::move(rest), true);
}

std::deque<std::string> StreamSink::take() {
  std::lock_guard lock(mutex_);
  woken_ = false;
  return std::exchange(queue_, {});
}

std::coroutine_handle<> StreamSink::written(std::size_t bytes) {
  std::lock_guard lock(mutex_);
  bytes_ -= bytes;
  return bytes_ <= kLowWater ? std::exchange(writer_, {}) : std::coroutine_handle<>{};
}

std::coroutine_handle<> StreamSink::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  queue_.clear();
  return std::exchange(writer_, {});
}

std::size_t StreamSink::queued() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace tocayo::http::detail
