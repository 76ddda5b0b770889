// SPDX-License-Identifier: Apache-2.0
// The one outgoing HTTP client (libcurl stops at this door). Used by scraping, shipping, discovery and later by
// notifications.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/error.h"
#include "core/task.h"
#include "http/message.h"

namespace tocayo::http {

struct ClientRequest {
  std::string method = "GET";
  std::string url;
  Headers headers;
  std::string body;
  std::chrono::milliseconds timeout{30'000};  // whole exchange
  std::chrono::milliseconds connect_timeout{10'000};
  std::size_t max_response_bytes = 64 << 20;  // after decompression; over it too_large
  bool follow_redirects = true;
  bool accept_compressed = true;  // gzip (and zstd where libcurl has it), undone transparently
  bool http2 = true;
  // TLS and proxy, as in Prometheus' HTTP client block.
  std::string ca_file, cert_file, key_file, server_name, min_tls_version;  // file paths; TLS10 … TLS13
  std::string ca_pem, cert_pem, key_pem;                                   // inline alternatives
  bool insecure_skip_verify = false;
  std::string proxy_url, no_proxy;
  bool proxy_from_environment = false;
  std::string basic_user, basic_password;
  std::string unix_socket;  // path; connects there instead of the URL's host
};

struct ClientResponse {
  int status = 0;
  Headers headers;
  std::string body;
  std::string final_url;
  std::size_t wire_bytes = 0;
};

// SSRF guard: what addresses may be connected to. Checked on the resolved address of every connection, redirects
// included.
enum class Reach : unsigned char {
  anywhere,     // operator-configured targets (scraping, remote write)
  public_only,  // URLs that users give: no loopback, link-local, private, multicast, metadata addresses
};

// Thread-safe; keeps connections alive per host. One event thread (curl multi), no thread per request.
class Client {
 public:
  static std::unique_ptr<Client> create(Reach reach = Reach::anywhere);
  virtual ~Client() = default;  // cancels what runs
  // Resumes on the client's event thread: hop to a pool before computing. Errors: timeout, canceled, too_large,
  // unavailable (connect, TLS, reset), bad_input (URL), forbidden (guard). An HTTP error status is a response, not an
  // error.
  virtual Task<Result<ClientResponse>> send(ClientRequest request, Context context = {}) = 0;
};

}  // namespace tocayo::http
