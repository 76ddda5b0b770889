// SPDX-License-Identifier: Apache-2.0
// ip("…") filters: an address, a CIDR prefix or a range a-b, looked for anywhere in a text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"

namespace tocayo::logql {

struct IpAddress {
  bool v4 = false;
  unsigned __int128 bits = 0;
};
// As Go's netip.ParseAddr, without zones.
std::optional<IpAddress> parse_ip(std::string_view text);

class IpFilter {
 public:
  // bad_input: `ip: invalid pattern: "…"`.
  static Result<IpFilter> create(std::string_view pattern);
  // Some address in the text is matched.
  bool found_in(std::string_view text) const;

 private:
  bool contains(const IpAddress& address) const {
    return address.v4 == first_.v4 && address.bits >= first_.bits && address.bits <= last_.bits;
  }
  IpAddress first_;
  IpAddress last_;
};

}  // namespace tocayo::logql
