// SPDX-License-Identifier: Apache-2.0
// For this room's tests: a raw HTTP client that shows every byte, and a server with an authenticator that tests can
// steer.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "core/log.h"
#include "core/pool.h"
#include "core/registry.h"
#include "http/detail/text.h"
#include "http/server.h"

namespace tocayo::http::test {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

// Polls until the condition holds; false after `limit`.
template <typename Condition>
bool eventually(Condition condition, std::chrono::milliseconds limit = 10s) {
  auto end = Steady::now() + limit;
  while (!condition()) {
    if (Steady::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

struct RawResponse {
  int status = 0;
  Headers headers;
  std::string body;       // without chunk framing
  bool complete = false;  // the framing said so (length reached, last chunk seen)
  std::size_t chunks = 0;
};

// Value of one of the program's own metrics, 0 when it does not exist yet.
inline double metric(std::string_view name, const Labels& labels = {}) {
  for (const auto& family : Registry::global().collect()) {
    for (const auto& sample : family.samples) {
      if (family.name + std::string(sample.suffix) == name && sample.labels == labels) return sample.value;
    }
  }
  return 0;
}

class RawClient {
 public:
  explicit RawClient(std::uint16_t port, int receive_buffer = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    int one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void reset() {
    linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  void shutdown_send() { ::shutdown(fd_, SHUT_WR); }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // Some bytes; nullopt at the end of the stream, a reset or after `limit` (told apart by `timed_out`).
  std::optional<std::string> receive_some(std::chrono::milliseconds limit = 10s, std::size_t most = 64 << 10) {
    pollfd wait{fd_, POLLIN, 0};
    timed_out = false;
    if (::poll(&wait, 1, static_cast<int>(limit.count())) <= 0) {
      timed_out = true;
      return std::nullopt;
    }
    std::string bytes(most, '\0');
    auto got = ::recv(fd_, bytes.data(), bytes.size(), 0);
    was_reset = got < 0;
    if (got <= 0) return std::nullopt;
    bytes.resize(static_cast<std::size_t>(got));
    return bytes;
  }
  // Everything until the end of the stream.
  std::string receive_all(std::chrono::milliseconds limit = 10s) {
    while (auto bytes = receive_some(limit)) buffer_ += *bytes;
    return std::exchange(buffer_, {});
  }
  bool closed_by_peer(std::chrono::milliseconds limit = 10s) {
    while (receive_some(limit)) {
    }
    return !timed_out;
  }

  // One response; `head` when it has no body whatever its header says.
  RawResponse receive(bool head = false, std::chrono::milliseconds limit = 10s) {
    RawResponse response;
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!more(limit)) return response;
    }
    parse_header(std::string_view(buffer_).substr(0, end + 2), response);
    buffer_.erase(0, end + 4);
    if (head || response.status == 204 || response.status == 304 || response.status < 200) {
      response.complete = true;
    } else if (detail::iequals(response.headers.get("Transfer-Encoding"), "chunked")) {
      receive_chunks(response, limit);
    } else if (response.headers.has("Content-Length")) {
      auto length = std::stoul(std::string(response.headers.get("Content-Length")));
      while (buffer_.size() < length && more(limit)) {
      }
      response.complete = buffer_.size() >= length;
      response.body = buffer_.substr(0, length);
      buffer_.erase(0, length);
    } else {
      while (more(limit)) {
      }
      response.body = std::exchange(buffer_, {});
      response.complete = !timed_out && !was_reset;
    }
    return response;
  }
  RawResponse request(std::string_view text) {
    send(text);
    return receive(text.starts_with("HEAD "));
  }
  RawResponse get(std::string_view path, std::string_view fields = {}) {
    return request("GET " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n" + std::string(fields) + "\r\n");
  }
  RawResponse post(std::string_view path, std::string_view body, std::string_view fields = {}) {
    return request("POST " + std::string(path) + " HTTP/1.1\r\nHost: test\r\nContent-Length: " +
                   std::to_string(body.size()) + "\r\n" + std::string(fields) + "\r\n" + std::string(body));
  }

  bool timed_out = false;
  bool was_reset = false;

 private:
  bool more(std::chrono::milliseconds limit) {
    auto bytes = receive_some(limit);
    if (bytes) buffer_ += *bytes;
    return bytes.has_value();
  }
  static void parse_header(std::string_view text, RawResponse& response) {
    auto line_end = text.find("\r\n");
    response.status = std::stoi(std::string(text.substr(9, 3)));
    text.remove_prefix(line_end + 2);
    while (!text.empty()) {
      line_end = text.find("\r\n");
      auto line = text.substr(0, line_end);
      auto colon = line.find(':');
      response.headers.add(std::string(line.substr(0, colon)), std::string(detail::trim(line.substr(colon + 1))));
      text.remove_prefix(line_end + 2);
    }
  }
  void receive_chunks(RawResponse& response, std::chrono::milliseconds limit) {
    while (true) {
      std::size_t end = 0;
      while ((end = buffer_.find("\r\n")) == std::string::npos) {
        if (!more(limit)) return;
      }
      auto size = std::stoul(buffer_.substr(0, end), nullptr, 16);
      while (buffer_.size() < end + 2 + size + 2) {
        if (!more(limit)) return;
      }
      response.body += buffer_.substr(end + 2, size);
      buffer_.erase(0, end + 2 + size + 2);
      if (size == 0) {
        response.complete = true;
        return;
      }
      ++response.chunks;
    }
  }

  int fd_ = -1;
  bool connected_ = false;
  std::string buffer_;
};

// Lets everything through unless told otherwise.
class TestAuthenticator final : public Authenticator {
 public:
  std::function<Task<Result<>>(Request&, const RouteOptions&)> check;
  Task<Result<>> authenticate(Request& request, const RouteOptions& options) override {
    if (check) co_return co_await check(request, options);
    co_return Result<>{};
  }
};

// Routes first, then start().
class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override { log::set_level(log::Level::error); }
  void start() {
    if (options.listen == ServerOptions{}.listen) options.listen = "127.0.0.1:0";
    auto started = Server::start(options, router, authenticator);
    ASSERT_TRUE(started) << started.error().message;
    server = std::move(*started);
  }
  void TearDown() override { server.reset(); }
  std::uint16_t port() const { return server->port(); }

  ServerOptions options;
  Router router;
  TestAuthenticator authenticator;
  Pool pool{"test", 2};
  std::unique_ptr<Server> server;
};

}  // namespace tocayo::http::test
