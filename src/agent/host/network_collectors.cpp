// SPDX-License-Identifier: Apache-2.0
// The network stack's own tables: netstat, sockstat, softnet, conntrack, arp, udp_queues, tcpstat.
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "agent/host/collectors.h"
#include "agent/host/line_table.h"
#include "agent/host/netlink.h"
#include "agent/host/network.h"
#include "agent/host/scan.h"

namespace tocayo::agent {

// Columns after blanks: sl local remote st tx:rx … (net/ipv4/tcp_ipv4.c, udp.c).
bool parse_socket_line(std::string_view line, SocketLine& socket) {
  scan::next_word(line);
  scan::next_word(line);
  scan::next_word(line);
  auto state = scan::to_u64(scan::next_word(line), 16);
  std::string_view queues = scan::next_word(line);
  std::size_t colon = queues.find(':');
  if (!state || colon == std::string_view::npos) return false;
  auto tx = scan::to_u64(queues.substr(0, colon), 16);
  auto rx = scan::to_u64(queues.substr(colon + 1), 16);
  if (!tx || !rx) return false;
  socket = {*state, *tx, *rx};
  return true;
}

std::string_view tcp_state_name(std::uint64_t state) {
  constexpr std::array<std::string_view, 12> kNames = {"",           "established", "syn_sent",  "syn_recv",
                                                       "fin_wait1",  "fin_wait2",   "time_wait", "close",
                                                       "close_wait", "last_ack",    "listen",    "closing"};
  return state >= 1 && state < kNames.size() ? kNames[state] : "unknown";
}

namespace {

// Pairs of lines, names then values, in /proc/net/{netstat,snmp}; one name a line in snmp6.
class NetstatCollector final : public Collector {
 public:
  NetstatCollector(const HostContext& context, Writer&)
      : files_{KeptFile(context.proc("net/netstat")), KeptFile(context.proc("net/snmp"))},
        snmp6_(context.proc("net/snmp6")),
        fields_(context.options.filter("netstat.fields")) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      auto text = TRY(files_[i].read(buffer));
      if (auto put = put_pairs(out, files_[i].path(), text, tables_[i]); !put) return put;
    }
    auto text = snmp6_.read(buffer);
    if (!text) return text.error().kind == ErrorKind::not_found ? Result<>{} : std::unexpected(std::move(text.error()));
    lines_.rewind();
    std::string_view line;
    while (scan::next_line(*text, line)) {
      std::string_view key = scan::next_word(line);
      std::size_t six = key.find('6');
      auto value = scan::to_double(scan::next_word(line));
      if (six == std::string_view::npos || !value || lines_.full()) continue;
      const Family*& family =
          lines_.find(key, [&] { return declare(out, key.substr(0, six + 1), key.substr(six + 1)); });
      if (family != nullptr) out.put(*family, *value);
    }
    return {};
  }

 private:
  struct Table {
    std::string header;
    std::vector<const Family*> columns;  // null: not wanted
  };

  Result<> put_pairs(Writer& out, const std::string& path, std::string_view text, std::vector<Table>& tables) {
    std::string_view names, values;
    for (std::size_t pair = 0; scan::next_line(text, names) && pair < 64; ++pair) {
      if (!scan::next_line(text, values))
        return fail(ErrorKind::internal, path + ": line of names without a line of values");
      if (pair == tables.size()) tables.emplace_back();
      Table& table = tables[pair];
      if (table.header != names) table = read_header(out, names);
      scan::next_word(values);
      for (const Family* family : table.columns) {
        std::string_view word = scan::next_word(values);
        if (word.empty()) return fail(ErrorKind::internal, path + ": fewer values than names");
        if (family == nullptr) continue;
        auto value = scan::to_double(word);
        if (!value) return fail(ErrorKind::internal, path + ": not a number: " + std::string(word.substr(0, 32)));
        out.put(*family, *value);
      }
    }
    return {};
  }

  Table read_header(Writer& out, std::string_view names) {
    Table table{std::string(names), {}};
    std::string_view protocol = scan::next_word(names);
    if (protocol.ends_with(':')) protocol.remove_suffix(1);
    for (auto name = scan::next_word(names); !name.empty() && table.columns.size() < 1024;
         name = scan::next_word(names)) {
      table.columns.push_back(declare(out, protocol, name));
    }
    return table;
  }

  const Family* declare(Writer& out, std::string_view protocol, std::string_view name) {
    std::string key = std::string(protocol) + "_" + std::string(name);
    if (fields_.ignored(key)) return nullptr;
    return &out.family("node_netstat_" + key, FamilyType::untyped, "Counter " + key + " of the network stack.");
  }

  std::array<KeptFile, 2> files_;
  KeptFile snmp6_;
  Filter fields_;
  std::array<std::vector<Table>, 2> tables_;
  LineTable<const Family*> lines_;
};

class SockstatCollector final : public Collector {
 public:
  SockstatCollector(const HostContext& context, Writer& out)
      : files_{KeptFile(context.proc("net/sockstat")), KeptFile(context.proc("net/sockstat6"))},
        used_(out.gauge("node_sockstat_sockets_used", "IPv4 sockets in use.")),
        page_size_(static_cast<double>(::sysconf(_SC_PAGESIZE))) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    keys_.rewind();
    for (KeptFile& file : files_) {
      auto text = file.read(buffer);
      if (!text) {
        if (text.error().kind == ErrorKind::not_found) continue;  // that protocol is switched off
        return std::unexpected(std::move(text.error()));
      }
      std::string_view line;
      while (scan::next_line(*text, line)) put_line(out, line);
    }
    return {};
  }

 private:
  struct Key {
    const Family* value;
    const Family* bytes;
  };

  void put_line(Writer& out, std::string_view line) {
    std::string_view protocol = scan::next_word(line);
    if (!protocol.ends_with(':')) return;
    protocol.remove_suffix(1);
    for (auto name = scan::next_word(line); !name.empty(); name = scan::next_word(line)) {
      auto value = scan::to_i64(scan::next_word(line));
      if (!value) return;
      if (protocol == "sockets") {
        if (name == "used") out.put(used_, static_cast<double>(*value));
        continue;
      }
      key_.assign(protocol).append("_").append(name);
      if (keys_.full()) return;
      const Key& key = keys_.find(key_, [&]() -> Key {
        static constexpr std::string_view kKnown[] = {"inuse", "orphan", "tw", "alloc", "mem", "memory"};
        if (std::find(std::begin(kKnown), std::end(kKnown), name) == std::end(kKnown)) return {nullptr, nullptr};
        const Family& plain = out.gauge("node_sockstat_" + key_, "Sockets: " + key_ + ".");
        return {&plain, name == "mem"
                            ? &out.gauge("node_sockstat_" + key_ + "_bytes", "Bytes held by sockets: " + key_ + ".")
                            : nullptr};
      });
      if (key.value != nullptr) out.put(*key.value, static_cast<double>(*value));
      if (key.bytes != nullptr) out.put(*key.bytes, static_cast<double>(*value) * page_size_);
    }
  }

  std::array<KeptFile, 2> files_;
  const Family& used_;
  double page_size_;
  LineTable<Key> keys_;
  std::string key_;
};

class SoftnetCollector final : public Collector {
 public:
  SoftnetCollector(const HostContext& context, Writer& out) : file_(context.proc("net/softnet_stat")) {
    auto add = [&](std::size_t column, const Family& family) { columns_[column] = &family; };
    add(0, out.counter("node_softnet_processed_total", "Packets processed.", {"cpu"}));
    add(1, out.counter("node_softnet_dropped_total", "Packets dropped.", {"cpu"}));
    add(2, out.counter("node_softnet_times_squeezed_total", "Times processing ran out of quota.", {"cpu"}));
    add(8, out.counter("node_softnet_cpu_collision_total", "Collisions on a device lock.", {"cpu"}));
    add(9, out.counter("node_softnet_received_rps_total", "Times woken up by receive packet steering.", {"cpu"}));
    add(10, out.counter("node_softnet_flow_limit_count_total", "Times the flow limit was reached.", {"cpu"}));
    add(11, out.gauge("node_softnet_backlog_len", "Length of the backlog.", {"cpu"}));
  }

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto text = TRY(file_.read(buffer));
    std::string_view line;
    std::uint64_t number = 0;
    for (; scan::next_line(text, line); ++number) {
      std::array<std::uint64_t, 13> values{};
      std::size_t count = 0;
      for (; count < values.size(); ++count) {
        std::string_view word = scan::next_word(line);
        if (word.empty()) break;
        auto value = scan::to_u64(word, 16);
        if (!value) return fail(ErrorKind::internal, file_.path() + ": not a hexadecimal number");
        values[count] = *value;
      }
      if (count < 3) return fail(ErrorKind::internal, file_.path() + ": line is too short");
      scan::NumberText cpu(count > 12 ? values[12] : number);
      for (std::size_t i = 0; i < columns_.size(); ++i) {
        if (columns_[i] != nullptr) out.put(*columns_[i], {cpu}, static_cast<double>(values[i]));
      }
    }
    return {};
  }

 private:
  KeptFile file_;
  std::array<const Family*, 12> columns_{};
};

class ConntrackCollector final : public Collector {
 public:
  ConntrackCollector(const HostContext& context, Writer& out)
      : count_file_(context.proc("sys/net/netfilter/nf_conntrack_count")),
        limit_file_(context.proc("sys/net/netfilter/nf_conntrack_max")),
        stat_file_(context.proc("net/stat/nf_conntrack")),
        entries_(out.gauge("node_nf_conntrack_entries", "Flows being tracked.")),
        limit_(out.gauge("node_nf_conntrack_entries_limit", "Most flows that can be tracked.")) {
    auto add = [&](std::size_t column, std::string_view name) {
      columns_.push_back({column, &out.gauge("node_nf_conntrack_stat_" + std::string(name),
                                             "Connection tracking: " + std::string(name) + ".")});
    };
    add(2, "found");
    add(4, "invalid");
    add(5, "ignore");
    add(8, "insert");
    add(9, "insert_failed");
    add(10, "drop");
    add(11, "early_drop");
    add(16, "search_restart");
  }

  Result<> collect(Writer& out, Buffer& buffer) override {
    for (auto [file, family] : {std::pair{&count_file_, &entries_}, {&limit_file_, &limit_}}) {
      auto text = TRY(file->read(buffer));
      auto value = scan::to_u64(scan::trim(text));
      if (!value) return fail(ErrorKind::internal, file->path() + ": is no number");
      out.put(*family, static_cast<double>(*value));
    }
    auto text = TRY(stat_file_.read(buffer));
    std::array<std::uint64_t, 17> sums{};
    std::string_view line;
    scan::next_line(text, line);           // names
    while (scan::next_line(text, line)) {  // one per CPU
      for (std::uint64_t& sum : sums) {
        std::string_view word = scan::next_word(line);
        if (word.empty()) break;
        auto value = scan::to_u64(word, 16);
        if (!value) return fail(ErrorKind::internal, stat_file_.path() + ": not a hexadecimal number");
        sum += *value;
      }
    }
    for (const auto& [column, family] : columns_) out.put(*family, static_cast<double>(sums[column]));
    return {};
  }

 private:
  KeptFile count_file_, limit_file_, stat_file_;
  const Family &entries_, &limit_;
  std::vector<std::pair<std::size_t, const Family*>> columns_;
};

class ArpCollector final : public Collector {
 public:
  ArpCollector(const HostContext& context, Writer& out)
      : file_(context.proc("net/arp")),
        filter_(context.options.filter("arp.device")),
        entries_(out.gauge("node_arp_entries", "ARP entries.", {"device"})),
        netlink_on_(context.options.live() && context.options.feature("arp.netlink")),
        socket_(NETLINK_ROUTE) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    counts_.clear();
    if (netlink_on_) {
      if (auto asked = ask(); !asked) return asked;
    } else {
      auto text = TRY(file_.read(buffer));
      std::string_view line;
      scan::next_line(text, line);
      while (scan::next_line(text, line)) {
        std::string_view device;
        for (int i = 0; i < 6; ++i) device = scan::next_word(line);
        if (!device.empty()) add(device);
      }
    }
    for (const auto& [device, count] : counts_) {
      if (!filter_.ignored(device)) out.put(entries_, {device}, count);
    }
    return {};
  }

 private:
  void add(std::string_view device) {
    auto found = counts_.find(device);
    if (found == counts_.end())
      counts_.emplace(std::string(device), 1);
    else
      ++found->second;
  }

  Result<> ask() {
    ndmsg request{};
    request.ndm_family = AF_INET;
    int last_index = 0;
    char name[IF_NAMESIZE] = {};
    return socket_.dump(RTM_GETNEIGH, std::as_bytes(std::span(&request, 1)),
                        [&](std::uint16_t type, std::span<const std::byte> body) {
                          ndmsg message{};
                          if (type != RTM_NEWNEIGH || body.size() < sizeof message) return;
                          std::memcpy(&message, body.data(), sizeof message);
                          if ((message.ndm_state & NUD_NOARP) != 0) return;
                          if (message.ndm_ifindex != last_index) {
                            last_index = message.ndm_ifindex;
                            if (::if_indextoname(static_cast<unsigned>(last_index), name) == nullptr) name[0] = '\0';
                          }
                          if (name[0] != '\0') add(name);
                        });
  }

  KeptFile file_;
  Filter filter_;
  const Family& entries_;
  bool netlink_on_;
  Netlink socket_;
  std::map<std::string, double, std::less<>> counts_;
};

class UdpQueuesCollector final : public Collector {
 public:
  UdpQueuesCollector(const HostContext& context, Writer& out)
      : files_{KeptFile(context.proc("net/udp")), KeptFile(context.proc("net/udp6"))},
        queues_(out.gauge("node_udp_queues", "Bytes that wait in UDP sockets.", {"queue", "ip"})) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    bool any = false;
    for (std::size_t i = 0; i < files_.size(); ++i) {
      auto text = files_[i].read(buffer);
      if (!text) {
        if (text.error().kind == ErrorKind::not_found) continue;
        return std::unexpected(std::move(text.error()));
      }
      any = true;
      double tx = 0, rx = 0;
      std::string_view line;
      scan::next_line(*text, line);
      while (scan::next_line(*text, line)) {
        SocketLine socket;
        if (!parse_socket_line(line, socket))
          return fail(ErrorKind::internal, files_[i].path() + ": line is not understood");
        tx += static_cast<double>(socket.tx);
        rx += static_cast<double>(socket.rx);
      }
      std::string_view version = i == 0 ? "v4" : "v6";
      out.put(queues_, {"tx", version}, tx);
      out.put(queues_, {"rx", version}, rx);
    }
    if (!any) return fail(ErrorKind::not_found, "no UDP table");
    return {};
  }

 private:
  std::array<KeptFile, 2> files_;
  const Family& queues_;
};

// Counts by state. On this machine the kernel is asked for each socket's head only (INET_DIAG without extensions).
class TcpstatCollector final : public Collector {
 public:
  TcpstatCollector(const HostContext& context, Writer& out)
      : context_(context),
        files_{KeptFile(context.proc("net/tcp")), KeptFile(context.proc("net/tcp6"))},
        states_(
            out.gauge("node_tcp_connection_states", "TCP sockets by state, and bytes that wait in them.", {"state"})),
        socket_(NETLINK_SOCK_DIAG) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    counts_.fill(0);
    tx_ = rx_ = 0;
    any_ = false;
    if (auto counted = context_.options.live() ? ask() : read_files(buffer); !counted) return counted;
    for (std::size_t state = 1; state < counts_.size(); ++state) {
      if (counts_[state] > 0) out.put(states_, {tcp_state_name(state)}, counts_[state]);
    }
    if (counts_[0] > 0) out.put(states_, {"unknown"}, counts_[0]);
    if (any_) {
      out.put(states_, {"rx_queued_bytes"}, rx_);
      out.put(states_, {"tx_queued_bytes"}, tx_);
    }
    return {};
  }

 private:
  void add(std::uint64_t state, std::uint64_t tx, std::uint64_t rx) {
    ++counts_[state < counts_.size() ? state : 0];
    tx_ += static_cast<double>(tx);
    rx_ += static_cast<double>(rx);
    any_ = true;
  }

  // The request of old (TCPDIAG_GETSOCK) answers for both families in one walk over the kernel's hash table, which is
  // what costs: half a millisecond for two on a machine with much memory. Where a kernel no longer has it, each family
  // is asked for.
  Result<> ask() {
    if (both_at_once_) {
      inet_diag_req request{};
      request.idiag_states = kStates;
      if (dump(TCPDIAG_GETSOCK, std::as_bytes(std::span(&request, 1)))) return {};
      both_at_once_ = false;
    }
    for (std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
      if (family == AF_INET6 && !path_exists(files_[1].path())) continue;
      inet_diag_req_v2 request{};
      request.sdiag_family = family;
      request.sdiag_protocol = IPPROTO_TCP;
      request.idiag_states = kStates;
      if (auto asked = dump(SOCK_DIAG_BY_FAMILY, std::as_bytes(std::span(&request, 1))); !asked) return asked;
    }
    return {};
  }

  Result<> dump(std::uint16_t type, std::span<const std::byte> request) {
    return socket_.dump(type, request, [&](std::uint16_t, std::span<const std::byte> body) {
      inet_diag_msg message{};
      if (body.size() < sizeof message) return;
      std::memcpy(&message, body.data(), sizeof message);
      add(message.idiag_state, message.idiag_wqueue, message.idiag_rqueue);
    });
  }

  Result<> read_files(Buffer& buffer) {
    for (KeptFile& file : files_) {
      auto text = file.read(buffer);
      if (!text && &file != &files_[0] && text.error().kind == ErrorKind::not_found) continue;
      if (!text) return std::unexpected(std::move(text.error()));
      std::string_view line;
      scan::next_line(*text, line);
      while (scan::next_line(*text, line)) {
        SocketLine socket;
        if (!parse_socket_line(line, socket))
          return fail(ErrorKind::internal, file.path() + ": line is not understood");
        add(socket.state, socket.tx, socket.rx);
      }
    }
    return {};
  }

  static constexpr std::uint32_t kStates = 0xFFF;  // all that have a name
  const HostContext& context_;
  std::array<KeptFile, 2> files_;
  const Family& states_;
  Netlink socket_;
  std::array<double, 12> counts_{};
  double tx_ = 0, rx_ = 0;
  bool any_ = false;
  bool both_at_once_ = true;
};

}  // namespace

#define TOCAYO_MAKE(function, type)                                              \
  std::unique_ptr<Collector> function(const HostContext& context, Writer& out) { \
    return std::make_unique<type>(context, out);                                 \
  }
TOCAYO_MAKE(make_netstat, NetstatCollector)
TOCAYO_MAKE(make_sockstat, SockstatCollector)
TOCAYO_MAKE(make_softnet, SoftnetCollector)
TOCAYO_MAKE(make_conntrack, ConntrackCollector)
TOCAYO_MAKE(make_arp, ArpCollector)
TOCAYO_MAKE(make_udp_queues, UdpQueuesCollector)
TOCAYO_MAKE(make_tcpstat, TcpstatCollector)

}  // namespace tocayo::agent
