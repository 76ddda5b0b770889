// SPDX-License-Identifier: Apache-2.0
// node_network_*_total (collector netdev): rtnetlink statistics, folded into the columns of /proc/net/dev; that file
// itself when the tree is not this machine's own or netlink is switched off.
#include <linux/netlink.h>

#include <array>

#include "agent/host/collectors.h"
#include "agent/host/netlink.h"
#include "agent/host/scan.h"

namespace tocayo::agent {
namespace {

// Columns of /proc/net/dev in file order, and nohandler, which only netlink knows.
constexpr std::array<std::string_view, 17> kNames = {
    "receive_bytes",       "receive_packets",    "receive_errs",      "receive_drop",   "receive_fifo",
    "receive_frame",       "receive_compressed", "receive_multicast", "transmit_bytes", "transmit_packets",
    "transmit_errs",       "transmit_drop",      "transmit_fifo",     "transmit_colls", "transmit_carrier",
    "transmit_compressed", "receive_nohandler"};
constexpr std::size_t kFileColumns = 16;

class NetdevCollector final : public Collector {
 public:
  NetdevCollector(const HostContext& context, Writer& out)
      : file_(context.proc("net/dev")),
        filter_(context.options.filter("netdev.device")),
        netlink_on_(context.options.live() && context.options.feature("netdev.netlink")),
        socket_(NETLINK_ROUTE) {
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      families_[i] = &out.counter("node_network_" + std::string(kNames[i]) + "_total",
                                  "Statistic " + std::string(kNames[i]) + " of a network device.", {"device"});
    }
  }

  Result<> collect(Writer& out, Buffer& buffer) override {
    if (netlink_on_) {
      return dump_links(socket_, [&](const LinkInfo& link) {
        if (link.has_stats && !filter_.ignored(link.name)) put_link(out, link);
      });
    }
    auto text = TRY(file_.read(buffer));
    std::string_view line;
    scan::next_line(text, line);
    scan::next_line(text, line);
    while (scan::next_line(text, line)) {
      // The name ends at the last colon: an alias holds one itself.
      std::size_t colon = line.rfind(':');
      if (colon == std::string_view::npos) return fail(ErrorKind::internal, file_.path() + ": line without a colon");
      std::string_view device = scan::trim(line.substr(0, colon));
      line.remove_prefix(colon + 1);
      if (filter_.ignored(device)) continue;
      for (std::size_t i = 0; i < kFileColumns; ++i) {
        std::uint64_t value = 0;
        if (!scan::next_u64(line, value)) return fail(ErrorKind::internal, file_.path() + ": line is too short");
        out.put(*families_[i], {device}, static_cast<double>(value));
      }
    }
    return {};
  }

 private:
  void put_link(Writer& out, const LinkInfo& link) {
    const std::uint64_t* s = link.stats;
    using L = LinkInfo;
    // The kernel's own folding for /proc/net/dev (net/core/net-procfs.c).
    const std::uint64_t values[] = {
        s[L::rx_bytes],
        s[L::rx_packets],
        s[L::rx_errors],
        s[L::rx_dropped] + s[L::rx_missed_errors],
        s[L::rx_fifo_errors],
        s[L::rx_frame_errors] + s[L::rx_length_errors] + s[L::rx_over_errors] + s[L::rx_crc_errors],
        s[L::rx_compressed],
        s[L::multicast],
        s[L::tx_bytes],
        s[L::tx_packets],
        s[L::tx_errors],
        s[L::tx_dropped],
        s[L::tx_fifo_errors],
        s[L::collisions],
        s[L::tx_carrier_errors] + s[L::tx_aborted_errors] + s[L::tx_heartbeat_errors] + s[L::tx_window_errors],
        s[L::tx_compressed],
        s[L::rx_nohandler]};
    for (std::size_t i = 0; i < kNames.size(); ++i) out.put(*families_[i], {link.name}, static_cast<double>(values[i]));
  }

  KeptFile file_;
  Filter filter_;
  bool netlink_on_;
  Netlink socket_;
  std::array<const Family*, kNames.size()> families_;
};

}  // namespace

std::unique_ptr<Collector> make_netdev(const HostContext& context, Writer& out) {
  return std::make_unique<NetdevCollector>(context, out);
}

}  // namespace tocayo::agent
