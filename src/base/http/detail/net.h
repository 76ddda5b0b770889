// SPDX-License-Identifier: Apache-2.0
// The firewall around Asio, Beast and OpenSSL: everything the connection logic needs of them, without their headers.
// Implemented by net.cpp, the one unit that instantiates them. Unless said otherwise all of this is for the loop's own
// thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"
#include "http/message.h"

namespace tocayo::http::detail {

// One io thread with its event loop.
class Loop {
 public:
  static std::shared_ptr<Loop> create(std::string thread_name);
  virtual ~Loop() = default;
  virtual void post(std::move_only_function<void()> work) = 0;  // thread-safe
  virtual bool on_this_thread() const = 0;                      // thread-safe
  // Calls `tick` every `interval` until the loop stops. Thread-safe.
  virtual void every(std::chrono::milliseconds interval, std::function<void()> tick) = 0;
  // Lets what is under way run out (close everything before), then ends the thread. Later posts are dropped. Not from
  // the loop's thread. Idempotent.
  virtual void stop() = 0;
};

enum class Io : unsigned char { ok, eof, failed };

// A plain or TLS connection. Handlers are called later, never from inside the call; closing ends pending calls with
// `failed`. The transport must live until its pending handlers ran: let them own what owns it.
class Transport {
 public:
  using Done = std::move_only_function<void(Io)>;
  using ReadDone = std::move_only_function<void(Io, std::string_view)>;  // the bytes are valid during the call only
  using WriteDone = std::move_only_function<void(Io, std::size_t)>;

  virtual ~Transport() = default;
  virtual bool tls() const = 0;
  virtual const std::string& remote_address() const = 0;
  virtual void handshake(Done done) = 0;
  virtual void read(ReadDone done) = 0;  // one at a time
  // Writes some of the parts (at most 16 are looked at); one at a time. The bytes must stay until `done`.
  virtual void write(std::span<const std::string_view> parts, WriteDone done) = 0;
  // close_notify and end of stream to the peer.
  virtual void shutdown(Done done) = 0;
  // Idempotent. `reset` lets the peer see a reset instead of an orderly end.
  virtual void close(bool reset) = 0;
};

// An open WebSocket, owner of its transport. Same rules as Transport; one read, one write and one close at a time.
class WebSocketChannel {
 public:
  struct Event {
    Io status = Io::failed;
    std::string data;
    bool binary = false;
  };
  virtual ~WebSocketChannel() = default;
  virtual void accept(const Request& request, const Headers& response_fields, Transport::Done done) = 0;
  virtual void read(std::move_only_function<void(Event)> done) = 0;
  virtual void write(std::string_view data, bool binary, Transport::Done done) = 0;  // the bytes must stay until `done`
  virtual void close(unsigned short code, std::string_view reason, Transport::Done done) = 0;
  virtual void abort() = 0;
};

// `leftover`: bytes already read behind the request. A silent peer is pinged, and dropped after `idle_timeout`.
std::unique_ptr<WebSocketChannel> make_websocket(std::unique_ptr<Transport> transport, std::string leftover,
                                                 std::size_t max_message, std::chrono::milliseconds idle_timeout);

class TlsContext;  // certificate and key, TLS 1.2 or newer
Result<std::shared_ptr<TlsContext>> load_tls(const std::string& certificate_file, const std::string& key_file);

class Listener {
 public:
  // Binds every address that the host part names, on one port. Thread-safe.
  static Result<std::unique_ptr<Listener>> open(const std::string& listen, std::shared_ptr<Loop> loop);
  virtual ~Listener() = default;
  virtual std::string address() const = 0;
  virtual std::uint16_t port() const = 0;

  struct Hooks {
    std::function<Loop&()> choose;                                    // which loop gets the next connection
    std::function<std::shared_ptr<TlsContext>()> tls;                 // nullptr: plain
    std::function<void(Loop&, std::unique_ptr<Transport>)> accepted;  // on the chosen loop
  };
  virtual void start(Hooks hooks) = 0;  // thread-safe, once
  virtual void close() = 0;             // on the loop
};

// Header fields and body framing of one request after another (RFC 9112); body bytes go to `on_body` without their
// framing.
class RequestParser {
 public:
  enum class Status : unsigned char { ok, need_more, bad, header_too_large, refused };
  struct Progress {
    std::size_t consumed = 0;
    Status status = Status::ok;
    std::string message;  // for `bad`
  };
  struct Head {
    std::string method;
    std::string target;
    int minor_version = 1;
    Headers headers;
    std::optional<std::uint64_t> content_length;
    bool chunked = false;
    bool keep_alive = true;
    bool upgrade = false;
  };

  static std::unique_ptr<RequestParser> create(std::size_t max_header_bytes);
  virtual ~RequestParser() = default;
  virtual void reset() = 0;  // for the next request
  // `need_more`: call again with the unconsumed bytes and new ones behind them. Stops after the header.
  virtual Progress put(std::string_view bytes) = 0;
  virtual bool header_done() const = 0;
  virtual bool done() const = 0;
  virtual bool saw_request_line() const = 0;
  virtual Head& head() = 0;
  // Called with each piece of the body; false stops with `refused`.
  std::function<bool(std::string_view)> on_body;
};

}  // namespace tocayo::http::detail
