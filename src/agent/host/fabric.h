// SPDX-License-Identifier: Apache-2.0
// Scanner of IPVS addresses, for the collector and its tests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tocayo::agent {

// "C0A80016:0CEA" is 192.168.0.22 and 3306; also "[…]:port" with a full IPv6 address. False for anything else.
bool parse_ipvs_address(std::string_view text, std::string& address, std::uint64_t& port);

}  // namespace tocayo::agent
