// SPDX-License-Identifier: Apache-2.0
#include "tests/support/web_socket_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

namespace tocayo::testing {

using Steady = std::chrono::steady_clock;

WebSocketClient::WebSocketClient(const std::string& address, const std::string& path, const HttpHeaders& headers) {
  const auto colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
  inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return;
  std::string request = "GET " + path + " HTTP/1.1\r\nHost: " + address +
                        "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  for (const auto& [name, value] : headers) request += name + ": " + value + "\r\n";
  request += "\r\n";
  if (::send(fd_, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) return;
  const auto deadline = Steady::now() + std::chrono::seconds(20);
  while (bytes_.find("\r\n\r\n") == std::string::npos && fill(deadline)) {
  }
  status_ = bytes_.size() > 12 ? std::atoi(bytes_.c_str() + 9) : 0;
  if (const auto end = bytes_.find("\r\n\r\n"); end != std::string::npos) bytes_.erase(0, end + 4);
}

WebSocketClient::~WebSocketClient() {
  if (fd_ >= 0) ::close(fd_);
}

bool WebSocketClient::fill(Steady::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Steady::now()).count();
  pollfd wait{.fd = fd_, .events = POLLIN, .revents = 0};
  if (left <= 0 || ::poll(&wait, 1, static_cast<int>(left)) <= 0) return false;
  char buffer[65536];
  const auto got = ::recv(fd_, buffer, sizeof buffer, 0);
  if (got <= 0) {
    closed_ = true;
    return false;
  }
  bytes_.append(buffer, static_cast<std::size_t>(got));
  return true;
}

std::optional<std::string> WebSocketClient::receive(std::chrono::milliseconds within) {
  const auto deadline = Steady::now() + within;
  std::string message;
  while (!closed_) {
    // A frame of a server is never masked.
    std::size_t header = 2;
    std::uint64_t size = 0;
    bool whole = bytes_.size() >= 2;
    if (whole) {
      size = static_cast<unsigned char>(bytes_[1]) & 0x7F;
      const std::size_t more = size == 126 ? 2 : size == 127 ? 8 : 0;
      whole = bytes_.size() >= 2 + more;
      if (whole && more != 0) {
        size = 0;
        for (std::size_t i = 0; i < more; ++i) size = size * 256 + static_cast<unsigned char>(bytes_[2 + i]);
      }
      header += more;
      whole = whole && bytes_.size() >= header + size;
    }
    if (!whole) {
      if (!fill(deadline)) return std::nullopt;
      continue;
    }
    const auto first = static_cast<unsigned char>(bytes_[0]);
    const std::string payload = bytes_.substr(header, size);
    bytes_.erase(0, header + size);
    const int kind = first & 0x0F;
    if (kind == 8) {
      closed_ = true;
      if (payload.size() >= 2)
        close_code_ = static_cast<unsigned char>(payload[0]) * 256 + static_cast<unsigned char>(payload[1]);
      if (payload.size() > 2) close_reason_ = payload.substr(2);
      return std::nullopt;
    }
    if (kind > 2) continue;  // ping, pong
    message += payload;
    if ((first & 0x80) != 0) return message;
  }
  return std::nullopt;
}

}  // namespace tocayo::testing
