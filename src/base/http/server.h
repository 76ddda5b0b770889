// SPDX-License-Identifier: Apache-2.0
// The one port. Owns the io threads, connections, TLS, limits and slow-client defence.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "http/message.h"
#include "http/router.h"

namespace tocayo::http {

// Declared here, implemented by services/tenancy. Called on an io thread after the route is known and before the body
// is read.
class Authenticator {
 public:
  virtual ~Authenticator() = default;
  // Fills request.identity, or refuses: unauthorized (401), forbidden (403), limit (429). Also checks Host, Origin and
  // CSRF.
  virtual Task<Result<>> authenticate(Request& request, const RouteOptions& options) = 0;
};

struct ServerOptions {
  std::string listen = "127.0.0.1:4600";  // "host:port", "[::1]:4600", port 0 picks a free one
  std::string base_path;                  // "" or "/tocayo"
  std::size_t io_threads = 1;
  std::string tls_certificate_file;  // PEM chain; empty = plain
  std::string tls_key_file;
  std::size_t max_connections = 20'000;
  std::size_t max_header_bytes = 64 << 10;
  std::chrono::milliseconds header_timeout{10'000};  // slow-loris defence: whole header
  std::chrono::milliseconds body_timeout{60'000};    // no progress in the body
  std::chrono::milliseconds idle_timeout{300'000};   // keep-alive
  std::chrono::milliseconds write_timeout{60'000};   // no progress of the reader
  std::vector<std::pair<std::string, std::string>>
      default_headers;                              // added to every response that lacks them (nosniff …)
  std::vector<std::string> cors_origins;            // exact origins; empty = CORS off
  std::size_t max_inflight_body_bytes = 512 << 20;  // of all requests; over it 503
  std::chrono::milliseconds websocket_idle_timeout{
      60'000};                   // a silent peer is pinged at half of it, dropped at the whole
  std::size_t work_threads = 2;  // for (de)compression of large bodies and resuming streaming handlers
};

class Server {
 public:
  // Binds (unavailable / bad_input when it cannot) and starts the io threads; requests are answered from then on.
  // `router` and `authenticator` must outlive the server.
  static Result<std::unique_ptr<Server>> start(ServerOptions options, const Router& router,
                                               Authenticator& authenticator);
  virtual ~Server() = default;

  virtual std::string address() const = 0;  // "127.0.0.1:4600", with the real port
  virtual std::uint16_t port() const = 0;
  // Re-reads the certificate files; on an error the old ones stay. Thread-safe.
  virtual Result<> reload_tls() = 0;
  // Stops accepting, ends idle connections, gives running requests up to `grace`, then cancels them. Blocks. Call once.
  virtual void stop(std::chrono::milliseconds grace) = 0;
};

}  // namespace tocayo::http
