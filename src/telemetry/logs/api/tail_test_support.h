// SPDX-License-Identifier: Apache-2.0
// Watchers without sockets, for tests and the benchmark of the tail hub.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/task.h"
#include "http/message.h"
#include "http/websocket.h"
#include "logs/api/tail.h"

namespace tocayo::logs::api::testing {

// Keeps what is posted, or hands it to `on_message`; receive() ends when close() is called.
class FakeSocket final : public http::WebSocket {
 public:
  std::function<void(const std::string&)> on_message;  // set before it is served

  Task<Result<Message>> receive() override {
    (void)co_await completion<bool>([this](auto complete) {
      std::unique_lock lock(mutex_);
      if (!closed_) {
        complete_ = std::move(complete);
        return;
      }
      lock.unlock();
      complete(true);
    });
    co_return fail(ErrorKind::canceled, "closed");
  }
  Task<Result<>> send(Message message) override {
    post(std::move(message));
    co_return Result<>();
  }
  std::size_t post(Message message) override {
    if (on_message) {
      on_message(message.data);
      return 0;
    }
    std::scoped_lock lock(mutex_);
    messages_.push_back(std::move(message.data));
    return 0;
  }
  std::size_t queued_bytes() const override { return queued.load(); }
  void close(unsigned short code, std::string reason) override {
    std::function<void(bool)> complete;
    {
      std::scoped_lock lock(mutex_);
      if (closed_) return;
      closed_ = true;
      code_ = code;
      reason_ = std::move(reason);
      complete = std::move(complete_);
    }
    if (complete) complete(true);
  }
  std::string_view subprotocol() const override { return {}; }

  std::vector<std::string> messages() const {
    std::scoped_lock lock(mutex_);
    return messages_;
  }
  int code() const {
    std::scoped_lock lock(mutex_);
    return code_;
  }
  std::string reason() const {
    std::scoped_lock lock(mutex_);
    return reason_;
  }
  std::atomic<std::size_t> queued{0};

 private:
  mutable std::mutex mutex_;
  bool closed_ = false;
  int code_ = 0;
  std::string reason_;
  std::function<void(bool)> complete_;
  std::vector<std::string> messages_;
};

// A socket that is being served.
class FakeWatcher {
 public:
  FakeWatcher(TailHub& hub, std::string tenant, std::string query,
              std::function<void(const std::string&)> on_message = {})
      : hub_(hub) {
    socket.on_message = std::move(on_message);
    request_.identity.tenant = std::move(tenant);
    request_.query.add("query", std::move(query));
    spawn(hub_.serve(request_, socket), [this] {
      std::scoped_lock lock(mutex_);
      ended_ = true;
      changed_.notify_all();
    });
  }
  ~FakeWatcher() {
    socket.close(1000, "");
    wait_end();
  }
  void wait_end() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ended_; });
  }
  FakeSocket socket;

 private:
  TailHub& hub_;
  http::Request request_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
};

}  // namespace tocayo::logs::api::testing
