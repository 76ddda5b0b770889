// SPDX-License-Identifier: Apache-2.0
// The bounded queue between a streaming handler (any thread) and its connection (io thread).
#pragma once

#include <coroutine>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "http/detail/compress.h"
#include "http/message.h"

namespace tocayo::http::detail {

class StreamSink final : public BodySink {
 public:
  static constexpr std::size_t kHighWater = 256 << 10;  // a writer over it waits …
  static constexpr std::size_t kLowWater = 64 << 10;    // … until the queue is down to this

  // `wake` tells the connection (from any thread) that there is something to take. `chunked`: frame by RFC 9112 §7.1.
  StreamSink(bool chunked, Coding coding, std::function<void()> wake);

  Task<Result<>> write(std::string chunk) override;
  // Writer's side: the compressor's rest and the last chunk.
  void finish();

  // Connection's side.
  std::deque<std::string> take();  // everything queued
  // Both return the writer that waited, if it may go on now: resume it, not on the io thread.
  [[nodiscard]] std::coroutine_handle<> written(std::size_t bytes);
  [[nodiscard]] std::coroutine_handle<> close();  // the client is gone: write() answers `canceled` from now on
  std::size_t queued() const;

 private:
  struct Room;  // awaitable: the queue is below kLowWater, or closed
  void enqueue(std::string payload, bool last);

  const bool chunked_;
  std::unique_ptr<Encoder> encoder_;
  std::function<void()> wake_;
  mutable std::mutex mutex_;
  std::deque<std::string> queue_;
  std::size_t bytes_ = 0;  // queued or taken, not yet written
  std::coroutine_handle<> writer_;
  bool woken_ = false;
  bool closed_ = false;
};

}  // namespace tocayo::http::detail
