// SPDX-License-Identifier: Apache-2.0
// Netlink dumps, and the scanners of the messages that the collectors ask for.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace tocayo::agent {

// A netlink socket that is kept open. One thread at a time.
class Netlink {
 public:
  explicit Netlink(int protocol) : protocol_(protocol) {}
  Netlink(const Netlink&) = delete;
  Netlink& operator=(const Netlink&) = delete;
  ~Netlink();

  // Sends a dump request of this type with `payload` behind the header and hands over each answering message (type,
  // payload) until the kernel says that it is done. A table that changes meanwhile may miss or repeat an entry, as in
  // /proc. The socket has a receive timeout of one second.
  Result<> dump(std::uint16_t type, std::span<const std::byte> payload,
                const std::function<void(std::uint16_t type, std::span<const std::byte> payload)>& each);

 private:
  Result<> dump_once(std::uint16_t type, std::span<const std::byte> payload,
                     const std::function<void(std::uint16_t, std::span<const std::byte>)>& each);
  Result<> open();
  void close();

  int protocol_;
  int fd_ = -1;
  std::uint32_t sequence_ = 0;
  std::vector<std::byte> buffer_;
};

// Walks the messages of one datagram; false when `each` returned false or a length does not fit.
bool for_each_message(std::span<const std::byte> datagram,
                      const std::function<bool(std::uint16_t type, std::uint16_t flags, std::uint32_t sequence,
                                               std::span<const std::byte> payload)>& each);

// What RTM_NEWLINK says of one interface. Views into the message.
struct LinkInfo {
  std::string_view name;
  std::int32_t index = 0;
  std::uint16_t type = 0;
  std::uint32_t flags = 0;
  std::uint8_t operstate = 0;
  std::uint8_t linkmode = 0;
  std::uint32_t mtu = 0, link = 0, group = 0, tx_queue = 0;
  std::uint32_t carrier_changes = 0, carrier_up = 0, carrier_down = 0;
  std::uint8_t carrier = 0;
  bool has_carrier_changes = false, has_carrier_up = false, has_stats = false;
  std::string_view alias;
  std::span<const std::byte> address, broadcast;
  // struct rtnl_link_stats64 without padding questions: 25 counters, missing ones 0.
  enum Stat {
    rx_packets,
    tx_packets,
    rx_bytes,
    tx_bytes,
    rx_errors,
    tx_errors,
    rx_dropped,
    tx_dropped,
    multicast,
    collisions,
    rx_length_errors,
    rx_over_errors,
    rx_crc_errors,
    rx_frame_errors,
    rx_fifo_errors,
    rx_missed_errors,
    tx_aborted_errors,
    tx_carrier_errors,
    tx_fifo_errors,
    tx_heartbeat_errors,
    tx_window_errors,
    rx_compressed,
    tx_compressed,
    rx_nohandler,
    rx_otherhost_dropped,
    stat_count
  };
  std::uint64_t stats[stat_count] = {};
};
// False when the payload is no link message with a name.
bool parse_link(std::span<const std::byte> payload, LinkInfo& link);

// All links of this machine.
Result<> dump_links(Netlink& socket, const std::function<void(const LinkInfo&)>& each);

}  // namespace tocayo::agent
