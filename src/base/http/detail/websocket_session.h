// SPDX-License-Identifier: Apache-2.0
// The WebSocket a handler sees, over a channel on the io thread.
#pragma once

#include <atomic>
#include <coroutine>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "http/detail/exchange.h"
#include "http/detail/net.h"
#include "http/websocket.h"

namespace tocayo::http::detail {

inline constexpr std::size_t kMaxWebSocketMessage = 1 << 20;
inline constexpr std::size_t kMaxWebSocketQueue =
    16 << 20;  // posted and not yet written; over it the peer is dropped with 1013

// Waiting coroutines are resumed on the room's work pool.
class WebSocketSession final : public WebSocket, public std::enable_shared_from_this<WebSocketSession> {
 public:
  // `opened` is called once, with 101 or 400; `ended` once, after the handler and the channel are done; both on the
  // loop.
  WebSocketSession(std::shared_ptr<ServerState> state, std::shared_ptr<Loop> loop, std::shared_ptr<Exchange> exchange,
                   std::string subprotocol, std::function<void(int)> opened, std::function<void()> ended);

  // These three on the loop; abort() and close() may come before start().
  void start(std::unique_ptr<WebSocketChannel> channel, const Headers& response_fields);
  void sweep(Steady::time_point now);
  void abort();

  Task<Result<Message>> receive() override;
  Task<Result<>> send(Message message) override;
  std::size_t post(Message message) override;
  std::size_t queued_bytes() const override { return queued_.load(std::memory_order_relaxed); }
  void close(unsigned short code, std::string reason) override;
  std::string_view subprotocol() const override { return subprotocol_; }

 private:
  struct Outgoing {
    Message message;
    std::coroutine_handle<> sender;  // resumed when written or closed
    bool* written = nullptr;
  };
  struct ReceiveAwaiter;
  struct SendAwaiter;

  void on_open(Io status);
  void read();
  void on_event(WebSocketChannel::Event event);
  void write();
  void on_written(Io status);
  void start_close();
  void on_closed();
  void run_handler();
  void end_if_done();
  void shed();
  void drop(std::deque<Outgoing>& unsent);
  void wake();
  void resume_later(std::coroutine_handle<> handle);

  const std::shared_ptr<ServerState> state_;
  const std::shared_ptr<Loop> loop_;
  const std::shared_ptr<Exchange> exchange_;
  std::unique_ptr<WebSocketChannel> channel_;  // from start() on
  const std::string subprotocol_;
  std::function<void(int)> opened_;
  std::function<void()> ended_;

  // io thread
  bool open_ = false;  // the handshake went well
  bool reading_ = false;
  bool writing_ = false;
  bool closing_ = false;
  bool aborted_ = false;
  bool handler_done_ = false;
  Steady::time_point write_start_;
  Outgoing current_;  // being written

  std::atomic<std::size_t> queued_{0};
  mutable std::mutex mutex_;
  std::deque<Message> inbox_;
  std::size_t inbox_bytes_ = 0;
  std::coroutine_handle<> receiver_;
  std::deque<Outgoing> outbox_;
  bool close_wanted_ = false;
  unsigned short close_code_ = 1000;
  std::string close_reason_;
  bool closed_ = false;
};

}  // namespace tocayo::http::detail
