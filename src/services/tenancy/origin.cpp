// SPDX-License-Identifier: Apache-2.0
#include "tenancy/origin.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "core/text.h"

namespace tocayo::tenancy {

namespace {

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

std::uint16_t default_port(std::string_view scheme) { return scheme == "https" ? 443 : 80; }

}  // namespace

std::optional<HostPort> parse_host_port(std::string_view text) {
  if (text.empty() || text.size() > 300) return std::nullopt;
  HostPort out;
  std::string_view rest;
  if (text.front() == '[') {
    std::size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    out.host = to_lower(text.substr(1, close - 1));
    in6_addr address;
    if (::inet_pton(AF_INET6, out.host.c_str(), &address) != 1) return std::nullopt;
    rest = text.substr(close + 1);
  } else {
    std::size_t colon = text.find(':');
    out.host = to_lower(text.substr(0, colon));
    if (out.host.ends_with('.')) out.host.pop_back();
    if (out.host.empty() || !std::all_of(out.host.begin(), out.host.end(), is_name_byte)) return std::nullopt;
    if (colon != std::string_view::npos) rest = text.substr(colon);
  }
  if (rest.empty()) return out;
  if (rest.front() != ':') return std::nullopt;
  std::uint16_t port = 0;
  auto parsed = std::from_chars(rest.data() + 1, rest.data() + rest.size(), port);
  if (parsed.ec != std::errc() || parsed.ptr != rest.data() + rest.size()) return std::nullopt;
  out.port = port;
  return out;
}

bool is_ip_literal(std::string_view host) {
  std::string text(host);
  in6_addr address;
  return ::inet_pton(AF_INET, text.c_str(), &address) == 1 || ::inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

bool is_loopback_host(std::string_view host) {
  if (host == "localhost" || host == "::1") return true;
  return host.starts_with("127.") && is_ip_literal(host);
}

bool is_write(const http::Request& request) {
  return request.method != "GET" && request.method != "HEAD" && request.method != "OPTIONS";
}

bool is_websocket(const http::Request& request) { return to_lower(request.headers.get("Upgrade")) == "websocket"; }

std::optional<OriginPolicy::Origin> OriginPolicy::parse_origin(std::string_view text) {
  std::size_t slashes = text.find("://");
  if (slashes == std::string_view::npos) return std::nullopt;
  Origin out;
  out.scheme = to_lower(text.substr(0, slashes));
  if (out.scheme != "http" && out.scheme != "https") return std::nullopt;
  std::string_view authority = text.substr(slashes + 3);
  authority = authority.substr(0, authority.find('/'));
  if (authority.find('@') != std::string_view::npos) return std::nullopt;
  auto at = parse_host_port(authority);
  if (!at) return std::nullopt;
  out.at = std::move(*at);
  return out;
}

Result<OriginPolicy> OriginPolicy::create(const Options& options) {
  OriginPolicy out;
  auto listen = parse_host_port(options.listen.starts_with(':') ? "0.0.0.0" + options.listen : options.listen);
  if (!listen) return fail(ErrorKind::bad_input, "server.listen: '" + options.listen + "' is not host:port");
  out.listen_host_ = listen->host;
  if (!options.external_url.empty()) {
    out.external_ = parse_origin(options.external_url);
    if (!out.external_)
      return fail(ErrorKind::bad_input, "server.external_url: '" + options.external_url + "' is not an http(s) URL");
  }
  out.cors_origins_ = options.cors_origins;
  out.machine_name_ = to_lower(options.machine_name);
  return out;
}

Result<> OriginPolicy::check_host(const http::Request& request, bool login_required) const {
  std::string_view header = request.headers.get("Host");
  auto at = parse_host_port(header);
  if (!at) return fail(ErrorKind::forbidden, "the Host header is missing or malformed");
  const std::string& host = at->host;
  if (is_loopback_host(host) || host == listen_host_ || (external_ && host == external_->at.host)) return {};
  if (login_required && (is_ip_literal(host) || (!machine_name_.empty() && host == machine_name_))) return {};
  return fail(ErrorKind::forbidden,
              "this server is not known as '" + host + "': set server.external_url to the address that is used");
}

bool OriginPolicy::is_configured_origin(std::string_view origin) const {
  return std::find(cors_origins_.begin(), cors_origins_.end(), origin) != cors_origins_.end();
}

bool OriginPolicy::is_own(const Origin& origin, const http::Request& request) const {
  // Ports count: a page of another program on this machine is a foreign page. The scheme does not: a proxy may have
  // ended TLS.
  std::uint16_t port = origin.at.port.value_or(default_port(origin.scheme));
  if (external_ && origin.at.host == external_->at.host &&
      port == external_->at.port.value_or(default_port(external_->scheme))) {
    return true;
  }
  auto host = parse_host_port(request.headers.get("Host"));
  if (!host || host->host != origin.at.host) return false;
  return host->port ? *host->port == port : port == default_port(origin.scheme);
}

Result<> OriginPolicy::check_origin(const http::Request& request) const {
  auto foreign = [] { return fail(ErrorKind::forbidden, "requests from pages of other origins are not accepted"); };
  std::string_view header = request.headers.get("Origin");
  if (!header.empty()) {
    if (is_configured_origin(header)) return {};
    auto origin = parse_origin(header);  // "null" (sandboxed pages) is none
    if (!origin || !is_own(*origin, request)) return foreign();
    return {};
  }
  // Links from other pages are navigations; images, scripts and the like of other pages are not ours to serve.
  std::string_view site = request.headers.get("Sec-Fetch-Site");
  if (!site.empty() && site != "same-origin" && site != "none") {
    bool navigation = request.headers.get("Sec-Fetch-Mode") == "navigate" && !is_write(request);
    if (!navigation) return foreign();
  }
  if (is_write(request)) {
    std::string_view referer = request.headers.get("Referer");
    if (!referer.empty()) {
      auto origin = parse_origin(referer);
      if (!origin || !is_own(*origin, request)) return foreign();
    }
  }
  return {};
}

}  // namespace tocayo::tenancy
