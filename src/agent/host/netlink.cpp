// SPDX-License-Identifier: Apache-2.0
#include "agent/host/netlink.h"

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace tocayo::agent {
namespace {

constexpr std::size_t kReceive = 64 * 1024;

template <typename T>
bool load(std::span<const std::byte> bytes, T& value) {
  if (bytes.size() < sizeof(T)) return false;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return true;
}

std::string_view text_of(std::span<const std::byte> bytes) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.substr(0, text.find('\0'));
}

constexpr std::size_t aligned(std::size_t size) { return (size + 3) & ~std::size_t{3}; }

}  // namespace

Netlink::~Netlink() { close(); }

void Netlink::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Result<> Netlink::open() {
  fd_ = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol_);
  if (fd_ < 0) return std::unexpected(error_from_errno("open a netlink socket", errno));
  timeval limit{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  int strict = 1;
  ::setsockopt(fd_, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &strict, sizeof strict);
  if (buffer_.empty()) buffer_.resize(kReceive);
  return {};
}

Result<> Netlink::dump(std::uint16_t type, std::span<const std::byte> payload,
                       const std::function<void(std::uint16_t, std::span<const std::byte>)>& each) {
  auto dumped = dump_once(type, payload, each);
  if (!dumped) close();  // what is left in the socket belongs to the broken dump
  return dumped;
}

Result<> Netlink::dump_once(std::uint16_t type, std::span<const std::byte> payload,
                            const std::function<void(std::uint16_t, std::span<const std::byte>)>& each) {
  if (fd_ < 0) {
    if (auto opened = open(); !opened) return std::unexpected(std::move(opened.error()));
  }
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + payload.size());
  header.nlmsg_type = type;
  header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  header.nlmsg_seq = ++sequence_;
  std::vector<std::byte> request(sizeof header + payload.size());
  std::memcpy(request.data(), &header, sizeof header);
  if (!payload.empty()) std::memcpy(request.data() + sizeof header, payload.data(), payload.size());
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (::sendto(fd_, request.data(), request.size(), 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel) < 0) {
    return std::unexpected(error_from_errno("send a netlink request", errno));
  }
  bool done = false;
  int failure = 0;
  while (!done) {
    ssize_t n = ::recv(fd_, buffer_.data(), buffer_.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(error_from_errno("receive a netlink answer", errno));
    for_each_message(std::span(buffer_).first(static_cast<std::size_t>(n)),
                     [&](std::uint16_t kind, std::uint16_t, std::uint32_t sequence, std::span<const std::byte> body) {
                       if (sequence != sequence_) return true;
                       if (kind == NLMSG_DONE || kind == NLMSG_ERROR) {
                         std::int32_t code = 0;
                         load(body, code);
                         if (code < 0) failure = -code;
                         done = true;
                         return false;
                       }
                       each(kind, body);
                       return true;
                     });
  }
  if (failure != 0) return std::unexpected(error_from_errno("netlink", failure));
  return {};
}

bool for_each_message(
    std::span<const std::byte> datagram,
    const std::function<bool(std::uint16_t, std::uint16_t, std::uint32_t, std::span<const std::byte>)>& each) {
  while (datagram.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    std::memcpy(&header, datagram.data(), sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > datagram.size()) return false;
    if (!each(header.nlmsg_type, header.nlmsg_flags, header.nlmsg_seq,
              datagram.subspan(sizeof header, header.nlmsg_len - sizeof header))) {
      return false;
    }
    datagram = datagram.subspan(std::min(datagram.size(), aligned(header.nlmsg_len)));
  }
  return true;
}

bool parse_link(std::span<const std::byte> payload, LinkInfo& link) {
  ifinfomsg message{};
  if (!load(payload, message)) return false;
  link.index = message.ifi_index;
  link.type = message.ifi_type;
  link.flags = message.ifi_flags;
  payload = payload.subspan(aligned(sizeof message));
  bool stats64 = false;
  while (payload.size() >= sizeof(rtattr)) {
    rtattr attribute;
    std::memcpy(&attribute, payload.data(), sizeof attribute);
    if (attribute.rta_len < sizeof attribute || attribute.rta_len > payload.size()) return false;
    std::span<const std::byte> body = payload.subspan(sizeof attribute, attribute.rta_len - sizeof attribute);
    payload = payload.subspan(std::min(payload.size(), aligned(attribute.rta_len)));
    switch (attribute.rta_type & NLA_TYPE_MASK) {
      case IFLA_IFNAME: link.name = text_of(body); break;
      case IFLA_IFALIAS: link.alias = text_of(body); break;
      case IFLA_ADDRESS: link.address = body; break;
      case IFLA_BROADCAST: link.broadcast = body; break;
      case IFLA_OPERSTATE: load(body, link.operstate); break;
      case IFLA_LINKMODE: load(body, link.linkmode); break;
      case IFLA_MTU: load(body, link.mtu); break;
      case IFLA_LINK: load(body, link.link); break;
      case IFLA_GROUP: load(body, link.group); break;
      case IFLA_TXQLEN: load(body, link.tx_queue); break;
      case IFLA_CARRIER: load(body, link.carrier); break;
      case IFLA_CARRIER_CHANGES: link.has_carrier_changes = load(body, link.carrier_changes); break;
      case IFLA_CARRIER_UP_COUNT: link.has_carrier_up = load(body, link.carrier_up); break;
      case IFLA_CARRIER_DOWN_COUNT: load(body, link.carrier_down); break;
      case IFLA_STATS64: {
        std::size_t size = std::min(body.size(), sizeof link.stats) / sizeof(std::uint64_t) * sizeof(std::uint64_t);
        if (size != 0) std::memcpy(link.stats, body.data(), size);
        stats64 = size != 0;
        link.has_stats = link.has_stats || stats64;
        break;
      }
      case IFLA_STATS:
        for (std::size_t i = 0; !stats64 && i < LinkInfo::rx_otherhost_dropped && (i + 1) * 4 <= body.size(); ++i) {
          std::uint32_t value = 0;
          std::memcpy(&value, body.data() + i * 4, 4);
          link.stats[i] = value;
          link.has_stats = true;
        }
        break;
      default: break;
    }
  }
  return !link.name.empty();
}

Result<> dump_links(Netlink& socket, const std::function<void(const LinkInfo&)>& each) {
  ifinfomsg request{};
  request.ifi_family = AF_UNSPEC;
  return socket.dump(RTM_GETLINK, std::as_bytes(std::span(&request, 1)),
                     [&](std::uint16_t type, std::span<const std::byte> body) {
                       LinkInfo link;
                       if (type == RTM_NEWLINK && parse_link(body, link)) each(link);
                     });
}

}  // namespace tocayo::agent
