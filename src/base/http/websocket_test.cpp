// SPDX-License-Identifier: Apache-2.0
#include "http/websocket.h"

#include "http/detail/test_support.h"

namespace tocayo::http::test {
namespace {

// Speaks RFC 6455 by hand, so that every odd frame can be sent.
class RawWebSocket {
 public:
  struct Frame {
    int opcode = -1;  // -1: the connection ended
    bool final = true;
    std::string payload;
    int close_code() const {
      return payload.size() < 2 ? 0
                                : static_cast<unsigned char>(payload[0]) * 256 + static_cast<unsigned char>(payload[1]);
    }
  };

  explicit RawWebSocket(std::uint16_t port, std::string_view path = "/ws", std::string_view fields = {},
                        int receive_buffer = 0)
      : raw(port, receive_buffer) {
    response = raw.get(path,
                       "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
                           std::string(fields));
  }

  static std::string frame(int opcode, std::string_view payload, bool final = true, bool masked = true) {
    std::string out;
    out += static_cast<char>((final ? 0x80 : 0) | opcode);
    auto mask_bit = masked ? 0x80 : 0;
    if (payload.size() < 126) {
      out += static_cast<char>(mask_bit | static_cast<int>(payload.size()));
    } else if (payload.size() < 65536) {
      out += static_cast<char>(mask_bit | 126);
      for (int shift : {8, 0}) out += static_cast<char>(payload.size() >> shift);
    } else {
      out += static_cast<char>(mask_bit | 127);
      for (int shift : {56, 48, 40, 32, 24, 16, 8, 0}) out += static_cast<char>(payload.size() >> shift);
    }
    constexpr std::string_view kMask = "\x12\x34\x56\x78";
    if (masked) out += kMask;
    for (std::size_t i = 0; i < payload.size(); ++i)
      out += masked ? static_cast<char>(payload[i] ^ kMask[i % 4]) : payload[i];
    return out;
  }
  void send(int opcode, std::string_view payload, bool final = true) { raw.send(frame(opcode, payload, final)); }

  Frame receive(std::chrono::milliseconds limit = 10s) {
    auto need = [&](std::size_t size) {
      while (buffer.size() < size) {
        auto bytes = raw.receive_some(limit);
        if (!bytes) return false;
        buffer += *bytes;
      }
      return true;
    };
    Frame frame;
    if (!need(2)) return frame;
    auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(buffer[i])); };
    std::size_t size = byte(1) & 127U;
    std::size_t at = 2;
    std::size_t extra = size == 126 ? 2 : size == 127 ? 8 : 0;
    if (!need(at + extra)) return frame;
    if (extra > 0) {
      size = 0;
      for (std::size_t i = 0; i < extra; ++i) size = size << 8U | byte(at + i);
      at += extra;
    }
    if (!need(at + size)) return frame;
    frame.opcode = static_cast<int>(byte(0) & 15U);
    frame.final = (byte(0) & 128U) != 0;
    frame.payload = buffer.substr(at, size);
    buffer.erase(0, at + size);
    return frame;
  }

  RawClient raw;
  RawResponse response;
  std::string buffer;
};

Task<void> echo(Request&, WebSocket& socket) {
  while (auto message = co_await socket.receive()) {
    if (message->data == "bye") {
      socket.close(4001, "as you wish");
      continue;
    }
    if (!co_await socket.send(std::move(*message))) break;
  }
}

class WebSocketTest : public ServerTest {
 protected:
  void start_echo() {
    router.add_websocket("/ws", {"v2.live", "v1.live"}, echo);
    start();
  }
};

TEST_F(WebSocketTest, HandshakeAndEcho) {
  start_echo();
  RawWebSocket socket(port(), "/ws", "Sec-WebSocket-Protocol: other, v1.live, v2.live\r\n");
  ASSERT_EQ(socket.response.status, 101);
  EXPECT_EQ(socket.response.headers.get("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");  // RFC 6455 §1.3
  EXPECT_EQ(socket.response.headers.get("Sec-WebSocket-Protocol"), "v1.live");
  for (std::size_t size : {0U, 1U, 125U, 126U, 65'535U, 65'536U, 1U << 20U}) {
    std::string text(size, 't');
    socket.send(1, text);
    auto frame = socket.receive();
    EXPECT_EQ(frame.opcode, 1);
    EXPECT_EQ(frame.payload, text);
  }
  socket.send(2, std::string("\xFF\x00\xFE", 3));
  auto binary = socket.receive();
  EXPECT_EQ(binary.opcode, 2);
  EXPECT_EQ(binary.payload, std::string("\xFF\x00\xFE", 3));
}

TEST_F(WebSocketTest, FirstFrameMayComeWithTheHandshake) {
  start_echo();
  RawClient raw(port());
  raw.send(
      "GET /ws HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" +
      RawWebSocket::frame(1, "early"));
  EXPECT_TRUE(eventually([&, all = std::string()]() mutable {
    if (auto bytes = raw.receive_some()) all += *bytes;
    return all.ends_with(
        "\x81\x05"
        "early");
  }));
}

TEST_F(WebSocketTest, FragmentsPingsAndTheClosingHandshake) {
  start_echo();
  RawWebSocket socket(port());
  socket.send(1, "one ", false);
  socket.send(9, "are you there");
  socket.send(0, "two ", false);
  socket.send(0, "three", true);
  auto pong = socket.receive();
  EXPECT_EQ(pong.opcode, 10);
  EXPECT_EQ(pong.payload, "are you there");
  EXPECT_EQ(socket.receive().payload, "one two three");
  socket.send(8, std::string("\x03\xE8", 2));
  auto close = socket.receive();
  EXPECT_EQ(close.opcode, 8);
  EXPECT_EQ(close.close_code(), 1000);
  EXPECT_EQ(socket.receive().opcode, -1);
  EXPECT_FALSE(socket.raw.timed_out);
  EXPECT_TRUE(
      eventually([] { return metric("tocayo_http_websockets") == 0 && metric("tocayo_http_connections") == 0; }));
}

TEST_F(WebSocketTest, ServerCloses) {
  start_echo();
  RawWebSocket socket(port());
  socket.send(1, "bye");
  auto close = socket.receive();
  EXPECT_EQ(close.opcode, 8);
  EXPECT_EQ(close.close_code(), 4001);
  EXPECT_EQ(close.payload.substr(2), "as you wish");
  socket.send(8, close.payload);
  EXPECT_EQ(socket.receive().opcode, -1);
}

TEST_F(WebSocketTest, BreachesOfProtocolAreClosedWithTheirCode) {
  start_echo();
  {
    RawWebSocket oversized(port());
    oversized.send(1, std::string((1 << 20) + 1, 'x'));
    EXPECT_EQ(oversized.receive().close_code(), 1009);
  }
  {
    RawWebSocket fragments(port());  // each small, together too much
    for (int i = 0; i < 5; ++i) fragments.send(i == 0 ? 1 : 0, std::string(300'000, 'x'), false);
    EXPECT_EQ(fragments.receive().close_code(), 1009);
  }
  {
    RawWebSocket unmasked(port());
    unmasked.raw.send(RawWebSocket::frame(1, "x", true, false));
    EXPECT_EQ(unmasked.receive().close_code(), 1002);
  }
  {
    RawWebSocket not_utf8(port());
    not_utf8.send(1, "\xC3\x28");
    EXPECT_EQ(not_utf8.receive().close_code(), 1007);
  }
  EXPECT_TRUE(eventually([] { return metric("tocayo_http_connections") == 0; }));
}

TEST_F(WebSocketTest, BadHandshakes) {
  start_echo();
  RawClient plain(port());
  auto response = plain.get("/ws");
  EXPECT_EQ(response.status, 426);
  EXPECT_EQ(response.headers.get("Upgrade"), "websocket");
  RawClient no_key(port());
  EXPECT_EQ(no_key.get("/ws", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n").status,
            400);
  EXPECT_TRUE(no_key.closed_by_peer());
  RawClient old(port());
  EXPECT_NE(old.get("/ws",
                    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
                .status,
            101);
  RawWebSocket elsewhere(port(), "/nothing");
  EXPECT_EQ(elsewhere.response.status, 404);
  EXPECT_TRUE(eventually([] { return metric("tocayo_http_websockets") == 0; }));
}

TEST_F(WebSocketTest, AuthenticatorSeesTheOrigin) {
  authenticator.check = [this](Request& request, const RouteOptions&) -> Task<Result<>> {
    co_await pool.schedule();
    if (request.headers.get("Origin") != "https://own.example") co_return fail(ErrorKind::forbidden, "foreign origin");
    co_return Result<>{};
  };
  start_echo();
  RawWebSocket foreign(port(), "/ws", "Origin: https://evil.example\r\n");
  EXPECT_EQ(foreign.response.status, 403);
  RawWebSocket own(port(), "/ws", "Origin: https://own.example\r\n");
  ASSERT_EQ(own.response.status, 101);
  own.send(1, "hello");
  EXPECT_EQ(own.receive().payload, "hello");
}

TEST_F(WebSocketTest, PostsFromAnywhereInOrderAndShedsTheSlow) {
  std::atomic<WebSocket*> shared = nullptr;
  std::atomic<bool> over = false;
  router.add_websocket("/ws", {}, [&](Request&, WebSocket& socket) -> Task<void> {
    shared = &socket;
    while (co_await socket.receive()) {
    }
    over = true;
  });
  options.write_timeout = 30s;
  start();
  RawWebSocket socket(port(), "/ws", {}, 16 << 10);
  ASSERT_TRUE(eventually([&] { return shared.load() != nullptr; }));
  for (int i = 0; i < 1000; ++i) shared.load()->post({.data = std::to_string(i), .binary = false});
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(socket.receive().payload, std::to_string(i));
  EXPECT_TRUE(eventually([&] { return shared.load()->queued_bytes() == 0; }));
  // Nobody reads any more: the queue is bounded, then the peer is let go.
  std::size_t most = 0;
  for (int i = 0; i < 200; ++i)
    most = std::max(most, shared.load()->post({.data = std::string(256 << 10, 'x'), .binary = true}));
  EXPECT_LT(most, std::size_t{18} << 20);
  EXPECT_GT(most, std::size_t{1} << 20);
  RawWebSocket::Frame frame;
  while ((frame = socket.receive()).opcode == 2) {
  }
  EXPECT_EQ(frame.close_code(), 1013);
  socket.send(8, frame.payload);
  EXPECT_TRUE(eventually([&] { return over.load(); }));
}

TEST_F(WebSocketTest, AStalledReaderIsDropped) {
  std::atomic<bool> over = false;
  options.write_timeout = 150ms;
  router.add_websocket("/ws", {}, [&](Request&, WebSocket& socket) -> Task<void> {
    while (co_await socket.send({.data = std::string(1 << 20, 'x'), .binary = true})) {
    }
    over = true;
  });
  start();
  RawWebSocket socket(port(), "/ws", {}, 16 << 10);
  EXPECT_TRUE(eventually([&] { return over.load(); }));
  EXPECT_TRUE(eventually([] { return metric("tocayo_http_connections") == 0; }));
}

TEST_F(WebSocketTest, SilentPeersArePingedThenDropped) {
  options.websocket_idle_timeout = 200ms;
  start_echo();
  RawWebSocket alive(port());
  for (int i = 0; i < 3; ++i) {
    auto ping = alive.receive();
    ASSERT_EQ(ping.opcode, 9);
    alive.send(10, ping.payload);
  }
  alive.send(1, "still here");
  RawWebSocket::Frame frame;
  while ((frame = alive.receive()).opcode == 9) alive.send(10, frame.payload);
  EXPECT_EQ(frame.payload, "still here");
  while (alive.receive().opcode == 9) {  // no pong from now on
  }
  EXPECT_FALSE(alive.raw.timed_out);
}

TEST_F(WebSocketTest, ABackpressuredInboxStopsReading) {
  std::atomic<bool> go = false;
  std::atomic<int> taken = 0;
  router.add_websocket("/ws", {}, [&](Request&, WebSocket& socket) -> Task<void> {
    co_await pool.schedule();
    while (!go) std::this_thread::yield();
    while (co_await socket.receive()) ++taken;
  });
  start();
  RawWebSocket socket(port());
  auto frame = RawWebSocket::frame(2, std::string(100'000, 'x'));
  std::thread sender([&] {
    for (int i = 0; i < 200; ++i) EXPECT_TRUE(socket.raw.send(frame));  // 20 MB; blocks while the handler does not take
  });
  go = true;
  sender.join();
  EXPECT_TRUE(eventually([&] { return taken == 200; }));
}

TEST_F(WebSocketTest, DisconnectCancelsTheContextAndStopSaysGoingAway) {
  std::atomic<bool> canceled = false;
  router.add_websocket("/watch", {}, [&](Request& request, WebSocket&) -> Task<void> {
    co_await pool.schedule();
    while (request.context.check()) std::this_thread::yield();
    canceled = true;
  });
  start_echo();
  {
    RawWebSocket socket(port(), "/watch");
    ASSERT_EQ(socket.response.status, 101);
  }
  EXPECT_TRUE(eventually([&] { return canceled.load(); }));
  RawWebSocket socket(port());
  socket.send(1, "x");
  EXPECT_EQ(socket.receive().payload, "x");
  std::thread stopper([&] { server->stop(5s); });
  auto close = socket.receive();
  EXPECT_EQ(close.opcode, 8);
  EXPECT_EQ(close.close_code(), 1001);
  socket.send(8, close.payload);
  stopper.join();
  EXPECT_EQ(socket.receive().opcode, -1);
}

TEST_F(WebSocketTest, StopDropsPeersThatDoNotAnswer) {
  start_echo();
  RawWebSocket socket(port());
  ASSERT_EQ(socket.response.status, 101);
  auto began = Steady::now();
  server->stop(100ms);
  EXPECT_LT(Steady::now() - began, 5s);
}

}  // namespace
}  // namespace tocayo::http::test
