// SPDX-License-Identifier: Apache-2.0
// A live socket ends when the one who opened it may not read any more, also when the page sends nothing.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <chrono>

#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

// Just enough of a WebSocket client to listen.
class LiveSocket {
 public:
  LiveSocket(const std::string& address, const HttpHeaders& headers) {
    const auto colon = address.rfind(':');
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
    inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return;
    std::string request = "GET /api/live/v1/ws HTTP/1.1\r\nHost: " + address +
                          "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: tocayo.live.v1\r\n";
    for (const auto& [name, value] : headers) request += name + ": " + value + "\r\n";
    request += "\r\n";
    if (::send(fd_, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) return;
    while (received_.find("\r\n\r\n") == std::string::npos && receive(Steady::now() + 10s)) {
    }
    status_ = received_.size() > 12 ? std::atoi(received_.c_str() + 9) : 0;
    received_.erase(0, received_.find("\r\n\r\n") + 4);
  }
  ~LiveSocket() {
    if (fd_ >= 0) ::close(fd_);
  }
  LiveSocket(const LiveSocket&) = delete;
  LiveSocket& operator=(const LiveSocket&) = delete;

  int status() const { return status_; }
  struct Frame {
    int opcode = 0;
    std::string data;
  };
  // The next frame, or opcode -1 when the connection ended or the deadline passed.
  Frame next(Steady::time_point deadline) {
    for (;;) {
      if (received_.size() >= 2) {
        std::size_t size = static_cast<unsigned char>(received_[1]) & 0x7f, header = 2;
        if (size == 126 && received_.size() >= 4) {
          size = static_cast<unsigned char>(received_[2]) * 256u + static_cast<unsigned char>(received_[3]);
          header = 4;
        }
        if (received_.size() >= header + size && (size != 126 || header == 4)) {
          Frame frame{received_[0] & 0x0f, received_.substr(header, size)};
          received_.erase(0, header + size);
          return frame;
        }
      }
      if (!receive(deadline)) return {-1, ""};
    }
  }
  // The status code that the server closes with; 0 when it does not within `limit`.
  int closed_with(std::chrono::milliseconds limit) {
    const auto deadline = Steady::now() + limit;
    for (;;) {
      Frame frame = next(deadline);
      if (frame.opcode == -1) return 0;
      if (frame.opcode != 8 || frame.data.size() < 2) continue;
      return static_cast<unsigned char>(frame.data[0]) * 256 + static_cast<unsigned char>(frame.data[1]);
    }
  }
  // Whether two heartbeats come: the server has asked at least once meanwhile.
  bool alive() {
    for (int beats = 0; beats < 2;) {
      Frame frame = next(Steady::now() + 20s);
      if (frame.opcode != 1) return false;
      if (frame.data.find("\"hb\"") != std::string::npos) ++beats;
    }
    return true;
  }

 private:
  bool receive(Steady::time_point deadline) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Steady::now()).count();
    pollfd wait{fd_, POLLIN, 0};
    if (left <= 0 || ::poll(&wait, 1, static_cast<int>(left)) <= 0) return false;
    char buffer[4096];
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
    if (got <= 0) return false;
    received_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }

  int fd_ = -1;
  int status_ = 0;
  std::string received_;
};

class LiveAccess : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(server_.start());
    const std::string log = server_.log();
    const auto at = log.find("/setup?token=");
    ASSERT_NE(at, std::string::npos) << log;
    const std::string token = log.substr(at + 13, log.find_first_of(" \n\"", at + 13) - at - 13);
    auto made = http_request(
        "POST", server_.url("/api/ui/setup"),
        R"({"token":")" + token + R"(","login":"ana","name":"Ana","password":"correct horse battery"})", headers());
    ASSERT_EQ(made.status, 200) << made.body;
    const std::string& set = made.headers["set-cookie"];
    cookie_ = set.substr(0, set.find(';'));
  }
  HttpHeaders headers() const {
    HttpHeaders out{
        {"Content-Type", "application/json"}, {"X-Tocayo-Csrf", "1"}, {"Origin", "http://" + server_.address()}};
    if (!cookie_.empty()) out.emplace_back("Cookie", cookie_);
    return out;
  }

  static Server::Options options() {
    Server::Options out;
    out.sets = {"auth.mode=required"};
    return out;
  }
  Server server_{options()};
  std::string cookie_;
};

TEST_F(LiveAccess, ARevokedTokenClosesItsSocket) {
  auto made = http_request("POST", server_.url("/tenancy/api/v1/tokens"),
                           R"({"name":"t","tenant":"anonymous","scopes":["metrics:read"]})", headers());
  ASSERT_EQ(made.status, 201) << made.body;
  const json::value token = json::parse(made.body);
  const HttpHeaders bearer{{"Authorization", "Bearer " + std::string(token.at("token").as_string())}};
  LiveSocket socket(server_.address(), bearer);
  ASSERT_EQ(socket.status(), 101);
  ASSERT_TRUE(socket.alive());
  auto removed = http_request(
      "DELETE", server_.url("/tenancy/api/v1/tokens/" + std::to_string(token.at("id").as_int64())), "", headers());
  ASSERT_EQ(removed.status, 204) << removed.body;
  EXPECT_EQ(socket.closed_with(10s), 1008);  // asked every 2 s; the rest is for a loaded machine
  LiveSocket again(server_.address(), bearer);
  EXPECT_EQ(again.status(), 401);
}

TEST_F(LiveAccess, SigningOutClosesItsSocket) {
  const HttpHeaders page{{"Cookie", cookie_}, {"Origin", "http://" + server_.address()}};
  LiveSocket socket(server_.address(), page);
  ASSERT_EQ(socket.status(), 101);
  ASSERT_TRUE(socket.alive());
  ASSERT_EQ(http_request("POST", server_.url("/api/ui/logout"), "", headers()).status, 204);
  EXPECT_EQ(socket.closed_with(10s), 1008);
}

}  // namespace
}  // namespace tocayo::testing
