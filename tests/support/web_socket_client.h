// SPDX-License-Identifier: Apache-2.0
// A small WebSocket client for tests: reads what the server sends.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "tests/support/server_process.h"

namespace tocayo::testing {

class WebSocketClient {
 public:
  WebSocketClient(const std::string& address, const std::string& path, const HttpHeaders& headers = {});
  ~WebSocketClient();
  WebSocketClient(const WebSocketClient&) = delete;
  WebSocketClient& operator=(const WebSocketClient&) = delete;

  int status() const { return status_; }  // of the upgrade: 101
  // The next text or binary message; nullopt at the deadline or when it was closed.
  std::optional<std::string> receive(std::chrono::milliseconds within = std::chrono::seconds(10));
  bool closed() const { return closed_; }
  int close_code() const { return close_code_; }
  const std::string& close_reason() const { return close_reason_; }

 private:
  bool fill(std::chrono::steady_clock::time_point deadline);
  int fd_ = -1;
  int status_ = 0;
  std::string bytes_;
  bool closed_ = false;
  int close_code_ = 0;
  std::string close_reason_;
};

}  // namespace tocayo::testing
