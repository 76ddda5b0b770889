// SPDX-License-Identifier: Apache-2.0
// Links between machines: infiniband, fibrechannel, bonding, ipvs.
#include <arpa/inet.h>

#include <array>
#include <cmath>
#include <map>

#include "agent/host/collectors.h"
#include "agent/host/fabric.h"
#include "agent/host/sysfs_numbers.h"

namespace tocayo::agent {

// "0A00000A:0050" or "[2001:…]:0050", all hexadecimal (net/netfilter/ipvs/ip_vs_ctl.c).
bool parse_ipvs_address(std::string_view text, std::string& address, std::uint64_t& port) {
  std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  auto number = scan::to_u64(text.substr(colon + 1), 16);
  if (!number || *number > 65535 || text.size() - colon != 5) return false;
  port = *number;
  std::string_view host = text.substr(0, colon);
  char shown[INET6_ADDRSTRLEN] = {};
  if (host.size() == 8) {
    auto bits = scan::to_u64(host, 16);
    if (!bits) return false;
    in_addr four{htonl(static_cast<std::uint32_t>(*bits))};
    ::inet_ntop(AF_INET, &four, shown, sizeof shown);
  } else if (host.size() == 41 && host.front() == '[' && host.back() == ']') {
    in6_addr six{};
    if (::inet_pton(AF_INET6, std::string(host.substr(1, 39)).c_str(), &six) != 1) return false;
    ::inet_ntop(AF_INET6, &six, shown, sizeof shown);
  } else {
    return false;
  }
  address = shown;
  return true;
}

namespace {

class InfinibandCollector final : public Collector {
 public:
  InfinibandCollector(const HostContext& context, Writer& out)
      : base_(context.sys("class/infiniband")),
        filter_(context.options.filter("infiniband.device")),
        // Data counters count 4-octet words.
        counters_(out, "node_infiniband_",
                  {{"excessive_buffer_overrun_errors", "excessive_buffer_overrun_errors_total"},
                   {"link_downed", "link_downed_total"},
                   {"link_error_recovery", "link_error_recovery_total"},
                   {"local_link_integrity_errors", "local_link_integrity_errors_total"},
                   {"multicast_rcv_packets", "multicast_packets_received_total"},
                   {"multicast_xmit_packets", "multicast_packets_transmitted_total"},
                   {"port_rcv_constraint_errors", "port_constraint_errors_received_total"},
                   {"port_xmit_constraint_errors", "port_constraint_errors_transmitted_total"},
                   {"port_rcv_data", "port_data_received_bytes_total", FamilyType::counter, 4},
                   {"port_xmit_data", "port_data_transmitted_bytes_total", FamilyType::counter, 4},
                   {"port_rcv_discards", "port_discards_received_total"},
                   {"port_xmit_discards", "port_discards_transmitted_total"},
                   {"port_rcv_errors", "port_errors_received_total"},
                   {"port_rcv_packets", "port_packets_received_total"},
                   {"port_xmit_packets", "port_packets_transmitted_total"},
                   {"port_xmit_wait", "port_transmit_wait_total"},
                   {"unicast_rcv_packets", "unicast_packets_received_total"},
                   {"unicast_xmit_packets", "unicast_packets_transmitted_total"},
                   {"port_rcv_remote_physical_errors", "port_receive_remote_physical_errors_total"},
                   {"port_rcv_switch_relay_errors", "port_receive_switch_relay_errors_total"},
                   {"symbol_error", "symbol_error_total"},
                   {"VL15_dropped", "vl15_dropped_total"}},
                  {"device", "port"}),
        legacy_(out, "node_infiniband_legacy_",
                {{"port_multicast_rcv_packets", "multicast_packets_received_total"},
                 {"port_multicast_xmit_packets", "multicast_packets_transmitted_total"},
                 {"port_rcv_data_64", "data_received_bytes_total", FamilyType::counter, 4},
                 {"port_rcv_packets_64", "packets_received_total"},
                 {"port_unicast_rcv_packets", "unicast_packets_received_total"},
                 {"port_unicast_xmit_packets", "unicast_packets_transmitted_total"},
                 {"port_xmit_data_64", "data_transmitted_bytes_total", FamilyType::counter, 4},
                 {"port_xmit_packets_64", "packets_transmitted_total"}},
                {"device", "port"}),
        hardware_(out, "node_infiniband_",
                  {{"duplicate_request", "duplicate_requests_packets_total"},
                   {"implied_nak_seq_err", "implied_nak_seq_errors_total"},
                   {"local_ack_timeout_err", "local_ack_timeout_errors_total"},
                   {"np_cnp_sent", "np_cnp_packets_sent_total"},
                   {"np_ecn_marked_roce_packets", "np_ecn_marked_roce_packets_received_total"},
                   {"out_of_buffer", "out_of_buffer_drops_total"},
                   {"out_of_sequence", "out_of_sequence_packets_received_total"},
                   {"packet_seq_err", "packet_sequence_errors_total"},
                   {"req_cqe_error", "req_cqes_errors_total"},
                   {"req_cqe_flush_error", "req_cqes_flush_errors_total"},
                   {"req_remote_access_errors", "req_remote_access_errors_total"},
                   {"req_remote_invalid_request", "req_remote_invalid_request_errors_total"},
                   {"resp_cqe_error", "resp_cqes_errors_total"},
                   {"resp_cqe_flush_error", "resp_cqes_flush_errors_total"},
                   {"resp_local_length_error", "resp_local_length_errors_total"},
                   {"resp_remote_access_errors", "resp_remote_access_errors_total"},
                   {"rnr_nak_retry_err", "rnr_nak_retry_packets_received_total"},
                   {"roce_adp_retrans", "roce_adp_retransmits_total"},
                   {"roce_adp_retrans_to", "roce_adp_retransmits_timeout_total"},
                   {"roce_slow_restart", "roce_slow_restart_used_total"},
                   {"roce_slow_restart_cnps", "roce_slow_restart_cnps_total"},
                   {"roce_slow_restart_trans", "roce_slow_restart_total"},
                   {"rp_cnp_handled", "rp_cnp_packets_handled_total"},
                   {"rp_cnp_ignored", "rp_cnp_ignored_packets_received_total"},
                   {"rx_atomic_requests", "rx_atomic_requests_total"},
                   {"rx_dct_connect", "rx_dct_connect_requests_total"},
                   {"rx_read_requests", "rx_read_requests_total"},
                   {"rx_write_requests", "rx_write_requests_total"},
                   {"rx_icrc_encapsulated", "rx_icrc_encapsulated_errors_total"}},
                  {"device", "port"}),
        info_(out.gauge("node_infiniband_info", "Properties of an InfiniBand device that are no numbers.",
                        {"device", "board_id", "firmware_version", "hca_type"})),
        state_(out.gauge("node_infiniband_state_id", "Logical state of the port.", {"device", "port"})),
        physical_state_(
            out.gauge("node_infiniband_physical_state_id", "Physical state of the port.", {"device", "port"})),
        rate_(out.gauge("node_infiniband_rate_bytes_per_second", "Signalling rate of the port.", {"device", "port"})),
        lifespan_(out.gauge("node_infiniband_lifespan_seconds", "Period in which counters may repeat.",
                            {"device", "port"})) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto devices = TRY(list_directory(base_));
    for (const std::string& device : devices) {
      if (filter_.ignored(device)) continue;
      std::string directory = base_ + "/" + device;
      auto text = [&](const char* file) {
        auto read = read_trimmed(directory + file, buffer);
        return read ? std::string(*read) : std::string();
      };
      std::string board = text("/board_id"), firmware = text("/fw_ver"), type = text("/hca_type");
      out.put(info_, {device, board, firmware, type}, 1);
      auto ports = list_directory(directory + "/ports");
      if (!ports) continue;
      for (const std::string& port : *ports) {
        if (scan::to_u64(port)) put_port(out, buffer, device, port, directory + "/ports/" + port);
      }
    }
    return {};
  }

 private:
  // "4: ACTIVE" is 4.
  static std::optional<std::uint64_t> leading_number(const std::string& path, Buffer& buffer) {
    auto text = read_trimmed(path, buffer);
    return text ? scan::to_u64(scan::trim(text->substr(0, text->find(':')))) : std::nullopt;
  }

  void put_port(Writer& out, Buffer& buffer, std::string_view device, std::string_view port,
                const std::string& directory) {
    if (auto id = leading_number(directory + "/state", buffer))
      out.put(state_, {device, port}, static_cast<double>(*id));
    if (auto id = leading_number(directory + "/phys_state", buffer))
      out.put(physical_state_, {device, port}, static_cast<double>(*id));
    if (auto text = read_trimmed(directory + "/rate", buffer)) {  // "40 Gb/sec (4X QDR)"
      if (auto gigabits = scan::to_double(scan::next_word(*text)))
        out.put(rate_, {device, port}, std::floor(*gigabits * 125000000));
    }
    counters_.put(out, buffer, directory + "/counters", {device, port});
    legacy_.put(out, buffer, directory + "/counters_ext", {device, port});
    hardware_.put(out, buffer, directory + "/hw_counters", {device, port});
    if (auto millis = read_u64(directory + "/hw_counters/lifespan", buffer)) {
      out.put(lifespan_, {device, port}, static_cast<double>(*millis / 1000));
    }
  }

  std::string base_;
  Filter filter_;
  NumberTable counters_, legacy_, hardware_;
  const Family &info_, &state_, &physical_state_, &rate_, &lifespan_;
};

class FibreChannelCollector final : public Collector {
 public:
  FibreChannelCollector(const HostContext& context, Writer& out)
      : base_(context.sys("class/fc_host")),
        info_(out.gauge("node_fibrechannel_info", "Properties of a Fibre Channel host that are no numbers.",
                        {"fc_host", "speed", "port_state", "port_type", "port_id", "port_name", "fabric_name",
                         "symbolic_name", "supported_classes", "supported_speeds", "dev_loss_tmo"})) {
    for (auto [file, metric] : kCounters) {
      counters_.push_back({file, &out.counter("node_fibrechannel_" + std::string(metric), {}, {"fc_host"})});
    }
  }

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto hosts = TRY(list_directory(base_));
    for (const std::string& host : hosts) {
      std::string directory = base_ + "/" + host + "/";
      auto text = [&](const char* file, bool hexadecimal = false) {
        auto read = read_trimmed(directory + file, buffer);
        std::string value = read ? std::string(*read) : std::string();
        if (hexadecimal && value.size() > 2) value.erase(0, 2);  // 0x
        return value;
      };
      std::string speed = text("speed"), state = text("port_state"), type = text("port_type"),
                  id = text("port_id", true), name = text("port_name", true), fabric = text("fabric_name", true),
                  symbolic = text("symbolic_name"), classes = text("supported_classes"),
                  speeds = text("supported_speeds"), timeout = text("dev_loss_tmo");
      out.put(info_, {host, speed, state, type, id, name, fabric, symbolic, classes, speeds, timeout}, 1);
      bool known = !state.empty() && state != "Unknown";
      for (const auto& [file, family] : counters_) {
        if (!known) {
          out.put(*family, {host}, 0);
          continue;
        }
        auto value = read_u64(directory + "statistics/" + std::string(file), buffer);
        if (value && *value != ~std::uint64_t{0})
          out.put(*family, {host}, static_cast<double>(*value));  // -1: not supported
      }
    }
    return {};
  }

 private:
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 14> kCounters = {{
      {"dumped_frames", "dumped_frames_total"},
      {"error_frames", "error_frames_total"},
      {"invalid_crc_count", "invalid_crc_total"},
      {"rx_frames", "rx_frames_total"},
      {"rx_words", "rx_words_total"},
      {"tx_frames", "tx_frames_total"},
      {"tx_words", "tx_words_total"},
      {"seconds_since_last_reset", "seconds_since_last_reset_total"},
      {"invalid_tx_word_count", "invalid_tx_words_total"},
      {"link_failure_count", "link_failure_total"},
      {"loss_of_sync_count", "loss_of_sync_total"},
      {"loss_of_signal_count", "loss_of_signal_total"},
      {"nos_count", "nos_total"},
      {"fcp_packet_aborts", "fcp_packet_aborts_total"},
  }};
  std::string base_;
  const Family& info_;
  std::vector<std::pair<std::string_view, const Family*>> counters_;
};

class BondingCollector final : public Collector {
 public:
  BondingCollector(const HostContext& context, Writer& out)
      : base_(context.sys("class/net")),
        slaves_(out.gauge("node_bonding_slaves", "Slaves of the bonding interface.", {"master"})),
        active_(out.gauge("node_bonding_active", "Slaves of the bonding interface that are up.", {"master"})) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    std::string masters(TRY(read_file(base_ + "/bonding_masters", buffer)));
    std::string_view words = masters;
    for (auto master = scan::next_word(words); !master.empty(); master = scan::next_word(words)) {
      std::string directory = base_ + "/" + std::string(master);
      std::string names(TRY(read_file(directory + "/bonding/slaves", buffer)));
      double count = 0, up = 0;
      std::string_view rest = names;
      for (auto slave = scan::next_word(rest); !slave.empty(); slave = scan::next_word(rest)) {
        auto state = read_trimmed(directory + "/lower_" + std::string(slave) + "/bonding_slave/mii_status", buffer);
        if (!state)
          state = read_trimmed(directory + "/slave_" + std::string(slave) + "/bonding_slave/mii_status", buffer);
        ++count;
        if (state && *state == "up") ++up;
      }
      out.put(slaves_, {master}, count);
      out.put(active_, {master}, up);
    }
    return {};
  }

 private:
  std::string base_;
  const Family &slaves_, &active_;
};

class IpvsCollector final : public Collector {
 public:
  IpvsCollector(const HostContext& context, Writer& out)
      : stats_(context.proc("net/ip_vs_stats")), table_(context.proc("net/ip_vs")) {
    for (std::string_view name :
         {"connections", "incoming_packets", "outgoing_packets", "incoming_bytes", "outgoing_bytes"}) {
      totals_.push_back(&out.counter("node_ipvs_" + std::string(name) + "_total", "IPVS: " + std::string(name) + "."));
    }
    for (std::string_view name : {"connections_active", "connections_inactive", "weight"}) {
      backends_.push_back(
          &out.gauge("node_ipvs_backend_" + std::string(name), "IPVS backend: " + std::string(name) + ".",
                     {"local_address", "local_port", "remote_address", "remote_port", "proto", "local_mark"}));
    }
  }

  Result<> collect(Writer& out, Buffer& buffer) override {
    auto text = TRY(stats_.read(buffer));
    std::string_view line;
    scan::next_line(text, line);
    scan::next_line(text, line);
    if (!scan::next_line(text, line)) return fail(ErrorKind::internal, stats_.path() + ": is too short");
    for (const Family* family : totals_) {
      auto value = scan::to_u64(scan::next_word(line), 16);
      if (!value) return fail(ErrorKind::internal, stats_.path() + ": not a hexadecimal number");
      out.put(*family, static_cast<double>(*value));
    }
    return put_backends(out, buffer);
  }

 private:
  struct Key {
    std::string local, remote, protocol, mark;
    std::uint64_t local_port = 0, remote_port = 0;
    auto operator<=>(const Key&) const = default;
  };

  Result<> put_backends(Writer& out, Buffer& buffer) {
    auto text = TRY(table_.read(buffer));
    std::map<Key, std::array<double, 3>> sums;
    Key service;
    std::string_view line;
    while (scan::next_line(text, line)) {
      std::string_view first = scan::next_word(line), second = scan::next_word(line);
      if (first == "TCP" || first == "UDP") {
        service = {};
        service.protocol = first;
        if (!parse_ipvs_address(second, service.local, service.local_port))
          return fail(ErrorKind::internal, table_.path() + ": address is not understood");
      } else if (first == "FWM") {
        service = {};
        service.protocol = first;
        service.mark = second;
      } else if (first == "->" && second != "RemoteAddress:Port") {
        Key key = service;
        if (!parse_ipvs_address(second, key.remote, key.remote_port))
          return fail(ErrorKind::internal, table_.path() + ": address is not understood");
        scan::next_word(line);  // forwarding method
        auto weight = scan::to_u64(scan::next_word(line)), active = scan::to_u64(scan::next_word(line)),
             idle = scan::to_u64(scan::next_word(line));
        if (!weight || !active || !idle) continue;
        auto& sum = sums[key];
        sum[0] += static_cast<double>(*active);
        sum[1] += static_cast<double>(*idle);
        sum[2] += static_cast<double>(*weight);
      }
    }
    for (const auto& [key, sum] : sums) {
      scan::NumberText local_port(key.local_port), remote_port(key.remote_port);
      for (std::size_t i = 0; i < backends_.size(); ++i) {
        out.put(*backends_[i], {key.local, local_port, key.remote, remote_port, key.protocol, key.mark}, sum[i]);
      }
    }
    return {};
  }

  KeptFile stats_, table_;
  std::vector<const Family*> totals_, backends_;
};

}  // namespace

#define TOCAYO_MAKE(function, type)                                              \
  std::unique_ptr<Collector> function(const HostContext& context, Writer& out) { \
    return std::make_unique<type>(context, out);                                 \
  }
TOCAYO_MAKE(make_infiniband, InfinibandCollector)
TOCAYO_MAKE(make_fibrechannel, FibreChannelCollector)
TOCAYO_MAKE(make_bonding, BondingCollector)
TOCAYO_MAKE(make_ipvs, IpvsCollector)

}  // namespace tocayo::agent
