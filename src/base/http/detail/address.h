// SPDX-License-Identifier: Apache-2.0
// Which network addresses belong to the public Internet: the SSRF guard's rule.
#pragma once

struct sockaddr;

namespace tocayo::http::detail {

// False for loopback, private, shared, link-local (cloud metadata), multicast, documentation, benchmark, reserved and
// unspecified addresses of the IANA special-purpose registries, for IPv6 addresses that embed such an IPv4 address
// (mapped, NAT64), for Teredo and 6to4, and for every other family (unix sockets).
bool is_public_address(const sockaddr& address);

}  // namespace tocayo::http::detail
