// SPDX-License-Identifier: Apache-2.0
// Is this request meant for us, and does it come from our own page? Host defeats DNS rebinding, Origin defeats foreign
// pages.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "http/message.h"

namespace tocayo::tenancy {

struct HostPort {
  std::string host;  // lower case, without brackets and trailing dot
  std::optional<std::uint16_t> port;
};
// "example.org", "example.org:80", "[::1]:4600". nullopt when malformed.
std::optional<HostPort> parse_host_port(std::string_view text);
// 127.0.0.0/8, ::1, "localhost".
bool is_loopback_host(std::string_view host);
bool is_ip_literal(std::string_view host);

class OriginPolicy {
 public:
  struct Options {
    std::string listen = "127.0.0.1:4600";  // server.listen
    std::string external_url;               // server.external_url, may be empty
    std::vector<std::string> cors_origins;  // exact origins whose pages may call us
    std::string machine_name;               // this machine's host name, for listening on all addresses
  };
  // bad_input when listen or external_url is malformed.
  static Result<OriginPolicy> create(const Options& options);

  // Loopback names, the listen host and the host of external_url; with `login_required` also any IP address and the
  // machine's name (rebinding needs a foreign name, and carries no cookie of ours).
  Result<> check_host(const http::Request& request, bool login_required) const;
  // Origin absent, our own (the request's Host, or external_url), or configured. Also Sec-Fetch-Site and, for writes
  // without Origin, Referer. WebSocket handshakes are checked the same way.
  Result<> check_origin(const http::Request& request) const;
  // Whether the request comes from a page of an origin that cors_origins names.
  bool is_configured_origin(std::string_view origin) const;
  bool external_is_https() const { return external_ && external_->scheme == "https"; }

 private:
  struct Origin {
    std::string scheme;
    HostPort at;
  };
  static std::optional<Origin> parse_origin(std::string_view text);
  bool is_own(const Origin& origin, const http::Request& request) const;

  std::string listen_host_;
  std::optional<Origin> external_;
  std::vector<std::string> cors_origins_;
  std::string machine_name_;
};

bool is_write(const http::Request& request);      // any method but GET, HEAD, OPTIONS
bool is_websocket(const http::Request& request);  // Upgrade: websocket

}  // namespace tocayo::tenancy
