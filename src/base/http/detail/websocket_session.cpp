// SPDX-License-Identifier: Apache-2.0
#include "http/detail/websocket_session.h"

namespace tocayo::http::detail {
namespace {

// Received and not yet taken by the handler; beyond it the socket is not read, so that the peer feels the
// back-pressure.
constexpr std::size_t kMaxInboxBytes = 1 << 20;
constexpr std::size_t kMaxInboxMessages = 64;

}  // namespace

struct WebSocketSession::ReceiveAwaiter {
  WebSocketSession& session;
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> handle) {
    std::lock_guard lock(session.mutex_);
    if (!session.inbox_.empty() || session.closed_) return false;
    session.receiver_ = handle;
    return true;
  }
  void await_resume() const noexcept {}
};

struct WebSocketSession::SendAwaiter {
  WebSocketSession& session;
  Message message;
  bool written = false;
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> handle) {
    // After the lock is given back this awaiter may be gone.
    auto& target = session;
    auto size = message.data.size();
    {
      std::lock_guard lock(target.mutex_);
      if (target.closed_ || target.close_wanted_) return false;
      target.queued_.fetch_add(size, std::memory_order_relaxed);
      target.outbox_.push_back({.message = std::move(message), .sender = handle, .written = &written});
      target.wake();
    }
    return true;
  }
  bool await_resume() const noexcept { return written; }
};

WebSocketSession::WebSocketSession(std::shared_ptr<ServerState> state, std::shared_ptr<Loop> loop,
                                   std::shared_ptr<Exchange> exchange, std::string subprotocol,
                                   std::function<void(int)> opened, std::function<void()> ended)
    : state_(std::move(state)),
      loop_(std::move(loop)),
      exchange_(std::move(exchange)),
      subprotocol_(std::move(subprotocol)),
      opened_(std::move(opened)),
      ended_(std::move(ended)) {}

void WebSocketSession::start(std::unique_ptr<WebSocketChannel> channel, const Headers& response_fields) {
  channel_ = std::move(channel);
  channel_->accept(exchange_->request, response_fields,
                   [self = shared_from_this()](Io status) { self->on_open(status); });
  if (aborted_) channel_->abort();
}

void WebSocketSession::on_open(Io status) {
  opened_(status == Io::ok ? 101 : 400);
  if (status != Io::ok) {
    handler_done_ = true;
    channel_->abort();
    return on_closed();
  }
  open_ = true;
  state_->websockets_gauge.add(1);
  state_->handler_started();
  read();
  spawn(exchange_->route->websocket(exchange_->request, *this), [self = shared_from_this()] {
    auto state = self->state_;
    auto* loop = self->loop_.get();
    loop->post([self] {
      self->handler_done_ = true;
      self->close(1000, "");
      self->end_if_done();
    });
    state->handler_ended();
  });
  write();
}

void WebSocketSession::read() {
  if (reading_ || closed_) return;
  reading_ = true;
  channel_->read([self = shared_from_this()](WebSocketChannel::Event event) { self->on_event(std::move(event)); });
}

void WebSocketSession::on_event(WebSocketChannel::Event event) {
  reading_ = false;
  if (event.status != Io::ok) return on_closed();
  std::coroutine_handle<> receiver;
  bool room = false;
  {
    std::lock_guard lock(mutex_);
    inbox_bytes_ += event.data.size();
    inbox_.push_back({.data = std::move(event.data), .binary = event.binary});
    receiver = std::exchange(receiver_, {});
    room = inbox_bytes_ <= kMaxInboxBytes && inbox_.size() < kMaxInboxMessages;
  }
  resume_later(receiver);
  if (room) read();
}

void WebSocketSession::resume_later(std::coroutine_handle<> handle) {
  if (handle) state_->post_work([handle] { handle.resume(); });
}

Task<Result<WebSocket::Message>> WebSocketSession::receive() {
  co_await ReceiveAwaiter{*this};
  std::lock_guard lock(mutex_);
  if (inbox_.empty()) co_return fail(ErrorKind::canceled, "the WebSocket is closed");
  auto message = std::move(inbox_.front());
  inbox_.pop_front();
  bool was_full = inbox_bytes_ > kMaxInboxBytes || inbox_.size() + 1 >= kMaxInboxMessages;
  inbox_bytes_ -= message.data.size();
  if (was_full) loop_->post([self = shared_from_this()] { self->read(); });
  co_return message;
}

Task<Result<>> WebSocketSession::send(Message message) {
  bool written = co_await SendAwaiter{.session = *this, .message = std::move(message)};
  if (!written) co_return fail(ErrorKind::canceled, "the WebSocket is closed");
  co_return Result<>{};
}

std::size_t WebSocketSession::post(Message message) {
  auto size = message.data.size();
  std::size_t queued = 0;
  {
    std::lock_guard lock(mutex_);
    if (closed_ || close_wanted_) return queued_.load(std::memory_order_relaxed);
    queued = queued_.fetch_add(size, std::memory_order_relaxed) + size;
    outbox_.push_back({.message = std::move(message)});
    wake();
  }
  if (queued > kMaxWebSocketQueue) shed();
  return queued;
}

// The peer cannot follow: what waits is of no use to it any more.
void WebSocketSession::shed() {
  std::deque<Outgoing> unsent;
  {
    std::lock_guard lock(mutex_);
    unsent.swap(outbox_);
  }
  drop(unsent);
  close(1013, "too slow");
}

void WebSocketSession::drop(std::deque<Outgoing>& unsent) {
  for (auto& outgoing : unsent) {
    queued_.fetch_sub(outgoing.message.data.size(), std::memory_order_relaxed);
    resume_later(outgoing.sender);
  }
}

void WebSocketSession::wake() {
  loop_->post([self = shared_from_this()] { self->write(); });
}

void WebSocketSession::write() {
  if (writing_ || closing_ || !channel_) return;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    if (outbox_.empty()) {
      if (!close_wanted_) return;
    } else {
      current_ = std::move(outbox_.front());
      outbox_.pop_front();
      writing_ = true;
    }
  }
  if (!writing_) return start_close();
  write_start_ = Steady::now();
  channel_->write(current_.message.data, current_.message.binary,
                  [self = shared_from_this()](Io status) { self->on_written(status); });
}

void WebSocketSession::on_written(Io status) {
  writing_ = false;
  auto done = std::exchange(current_, {});
  queued_.fetch_sub(done.message.data.size(), std::memory_order_relaxed);
  if (done.sender) {
    *done.written = status == Io::ok;
    resume_later(done.sender);
  }
  if (status != Io::ok) {
    channel_->abort();
    return on_closed();
  }
  write();
  end_if_done();
}

void WebSocketSession::close(unsigned short code, std::string reason) {
  std::lock_guard lock(mutex_);
  if (closed_ || close_wanted_) return;
  close_wanted_ = true;
  close_code_ = code;
  close_reason_ = std::move(reason);
  wake();
}

void WebSocketSession::start_close() {
  closing_ = true;
  channel_->close(close_code_, close_reason_, [self = shared_from_this()](Io) {
    self->closing_ = false;
    self->on_closed();
  });
}

void WebSocketSession::on_closed() {
  std::coroutine_handle<> receiver;
  std::deque<Outgoing> unsent;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    receiver = std::exchange(receiver_, {});
    unsent.swap(outbox_);
  }
  exchange_->stop.request_stop();
  resume_later(receiver);
  drop(unsent);
  end_if_done();
}

void WebSocketSession::end_if_done() {
  if (!handler_done_ || !closed_ || reading_ || writing_ || closing_ || !ended_) return;
  channel_->abort();
  if (open_) state_->websockets_gauge.add(-1);
  std::exchange(ended_, {})();
}

void WebSocketSession::sweep(Steady::time_point now) {
  if (!writing_ || now - write_start_ <= state_->options.write_timeout) return;
  state_->timeouts_write.add();
  abort();
}

void WebSocketSession::abort() {
  aborted_ = true;
  if (channel_) channel_->abort();
}

}  // namespace tocayo::http::detail
