// SPDX-License-Identifier: Apache-2.0
// For tests: a TCP server on a free port of this machine that treats each connection as it is told, well or badly.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>

namespace tocayo::agent {

class RawServer {
 public:
  // Called with each connection, on a thread of its own; must end soon after `stopping` is true. The socket is closed
  // behind it.
  using Handler = std::function<void(int socket, const std::atomic<bool>& stopping)>;

  explicit RawServer(Handler handler) : handler_(std::move(handler)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      std::abort();
    }
    port_ = ntohs(address.sin_port);
    accepter_ = std::thread([this] { accept_all(); });
  }
  ~RawServer() {
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    accepter_.join();
    {
      std::lock_guard lock(mutex_);
      for (int socket : open_) ::shutdown(socket, SHUT_RDWR);
    }
    for (auto& thread : threads_) thread.join();
    ::close(listener_);
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  // Reads a request's header and as much body as Content-Length says; false when the peer went away.
  static bool read_request(int socket) {
    std::string text;
    char buffer[65536];
    for (;;) {
      auto end = text.find("\r\n\r\n");
      if (end != std::string::npos) {
        auto at = text.find("Content-Length: ");
        std::size_t body = at < end ? std::strtoul(text.c_str() + at + 16, nullptr, 10) : 0;
        if (text.size() >= end + 4 + body) return true;
      }
      ssize_t n = ::recv(socket, buffer, sizeof buffer, 0);
      if (n <= 0) return false;
      text.append(buffer, static_cast<std::size_t>(n));
    }
  }
  static bool write(int socket, std::string_view text) {
    while (!text.empty()) {
      ssize_t n = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

 private:
  void accept_all() {
    while (!stopping_) {
      int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (socket < 0) continue;
      std::lock_guard lock(mutex_);
      open_.push_back(socket);
      threads_.emplace_back([this, socket] {
        handler_(socket, stopping_);
        std::lock_guard guard(mutex_);
        open_.remove(socket);
        ::close(socket);
      });
    }
  }

  Handler handler_;
  int listener_ = -1;
  unsigned port_ = 0;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::list<int> open_;
  std::list<std::thread> threads_;
  std::thread accepter_;
};

}  // namespace tocayo::agent
