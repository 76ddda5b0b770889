// SPDX-License-Identifier: Apache-2.0
#include "http/detail/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace tocayo::http::detail {
namespace {

struct Block4 {
  std::uint32_t network;
  int bits;
};

constexpr std::uint32_t ip4(std::uint32_t a, std::uint32_t b, std::uint32_t c) { return a << 24U | b << 16U | c << 8U; }

// IANA IPv4 Special-Purpose Address Registry, and multicast and class E.
constexpr auto kClosed4 = std::to_array<Block4>({{ip4(0, 0, 0), 8},
                                                 {ip4(10, 0, 0), 8},
                                                 {ip4(100, 64, 0), 10},
                                                 {ip4(127, 0, 0), 8},
                                                 {ip4(169, 254, 0), 16},
                                                 {ip4(172, 16, 0), 12},
                                                 {ip4(192, 0, 0), 24},
                                                 {ip4(192, 0, 2), 24},
                                                 {ip4(192, 88, 99), 24},
                                                 {ip4(192, 168, 0), 16},
                                                 {ip4(198, 18, 0), 15},
                                                 {ip4(198, 51, 100), 24},
                                                 {ip4(203, 0, 113), 24},
                                                 {ip4(224, 0, 0), 4},
                                                 {ip4(240, 0, 0), 4}});

bool public4(std::uint32_t address) {
  return std::ranges::none_of(kClosed4,
                              [&](const Block4& block) { return (address ^ block.network) >> (32 - block.bits) == 0; });
}

std::uint32_t read32(const unsigned char* bytes) {
  return std::uint32_t{bytes[0]} << 24U | std::uint32_t{bytes[1]} << 16U | std::uint32_t{bytes[2]} << 8U | bytes[3];
}

bool public6(const unsigned char* bytes) {
  static constexpr unsigned char kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  static constexpr unsigned char kNat64[12] = {0x00, 0x64, 0xFF, 0x9B};  // RFC 6052
  if (std::memcmp(bytes, kMapped, 12) == 0 || std::memcmp(bytes, kNat64, 12) == 0) return public4(read32(bytes + 12));
  auto head = read32(bytes);
  if (head >> 29U != 1) return false;                 // only 2000::/3 is global unicast
  if (head >> 9U == 0x20010000U >> 9U) return false;  // 2001::/23: Teredo, benchmarking, ORCHID
  if (head == 0x20010DB8U) return false;              // documentation
  if (head >> 16U == 0x2002U) return false;           // 6to4
  if (head >> 12U == 0x3FFF0U) return false;          // documentation (RFC 9637)
  return true;
}

}  // namespace

bool is_public_address(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return public4(ntohl(v4.sin_addr.s_addr));
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    return public6(v6.sin6_addr.s6_addr);
  }
  return false;
}

}  // namespace tocayo::http::detail
