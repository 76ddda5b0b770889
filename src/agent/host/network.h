// SPDX-License-Identifier: Apache-2.0
// Scanners of the socket tables, for the collectors and their tests.
#pragma once

#include <cstdint>
#include <string_view>

namespace tocayo::agent {

struct SocketLine {
  std::uint64_t state = 0, tx = 0, rx = 0;  // queues in bytes
};
// One line of /proc/net/{tcp,tcp6,udp,udp6} below the heading; false when it is none.
bool parse_socket_line(std::string_view line, SocketLine& socket);
// "established" for 1, …; "unknown" for what is none of the eleven states.
std::string_view tcp_state_name(std::uint64_t state);

}  // namespace tocayo::agent
