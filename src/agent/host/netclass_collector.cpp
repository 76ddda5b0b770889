// SPDX-License-Identifier: Apache-2.0
// node_network_* properties (collector netclass): rtnetlink for what it tells, sysfs once per device for what it does
// not; sysfs alone when the tree is not this machine's own or netlink is switched off.
#include <linux/netlink.h>
#include <net/if.h>

#include <array>
#include <map>
#include <optional>

#include "agent/host/collectors.h"
#include "agent/host/netlink.h"
#include "agent/host/scan.h"

namespace tocayo::agent {
namespace {

constexpr std::array<std::string_view, 7> kOperStates = {"unknown", "notpresent", "down", "lowerlayerdown",
                                                         "testing", "dormant",    "up"};

struct Property {
  std::string_view name;
  std::string_view file;  // in /sys/class/net/<device>
  FamilyType type;
};
enum PropertyId : std::size_t {
  kAddressAssign,
  kCarrier,
  kCarrierChanges,
  kCarrierUp,
  kCarrierDown,
  kDeviceId,
  kDormant,
  kFlags,
  kIfaceId,
  kIfaceLink,
  kLinkMode,
  kMtu,
  kNameAssign,
  kGroup,
  kQueue,
  kProtocol,
  kPropertyCount
};
constexpr std::array<Property, kPropertyCount> kProperties = {{
    {"address_assign_type", "addr_assign_type", FamilyType::gauge},
    {"carrier", "carrier", FamilyType::gauge},
    {"carrier_changes_total", "carrier_changes", FamilyType::counter},
    {"carrier_up_changes_total", "carrier_up_count", FamilyType::counter},
    {"carrier_down_changes_total", "carrier_down_count", FamilyType::counter},
    {"device_id", "dev_id", FamilyType::gauge},
    {"dormant", "dormant", FamilyType::gauge},
    {"flags", "flags", FamilyType::gauge},
    {"iface_id", "ifindex", FamilyType::gauge},
    {"iface_link", "iflink", FamilyType::gauge},
    {"iface_link_mode", "link_mode", FamilyType::gauge},
    {"mtu_bytes", "mtu", FamilyType::gauge},
    {"name_assign_type", "name_assign_type", FamilyType::gauge},
    {"net_dev_group", "netdev_group", FamilyType::gauge},
    {"transmit_queue_length", "tx_queue_len", FamilyType::gauge},
    {"protocol_type", "type", FamilyType::gauge},
}};

constexpr std::uint32_t kDormantFlag = 1u << 17;  // IFF_DORMANT; its header does not go together with <net/if.h>
constexpr int kRereadEvery = 20;                  // collections: a bond's speed changes without its carrier

std::string hardware_address(std::span<const std::byte> bytes) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (std::byte byte : bytes) {
    if (!text.empty()) text += ':';
    text += kHex[static_cast<unsigned>(byte) >> 4];
    text += kHex[static_cast<unsigned>(byte) & 15];
  }
  return text;
}

class NetclassCollector final : public Collector {
 public:
  NetclassCollector(const HostContext& context, Writer& out)
      : base_(context.sys("class/net")),
        filter_(context.options.filter("netclass.device")),
        netlink_on_(context.options.live() && context.options.feature("netclass.netlink")),
        ignore_invalid_speed_(context.options.feature("netclass.ignore-invalid-speed")),
        socket_(NETLINK_ROUTE),
        up_(out.gauge("node_network_up", "Whether the operational state is up.", {"device"})),
        info_(out.gauge("node_network_info", "Properties of a network device that are no numbers.",
                        {"device", "address", "broadcast", "duplex", "operstate", "adminstate", "ifalias"})),
        speed_(out.gauge("node_network_speed_bytes", "Speed of the link in bytes per second.", {"device"})) {
    for (std::size_t i = 0; i < kPropertyCount; ++i) {
      families_[i] = &out.family("node_network_" + std::string(kProperties[i].name), kProperties[i].type,
                                 "Property " + std::string(kProperties[i].file) + " of a network device.", {"device"});
    }
  }

  Result<> collect(Writer& out, Buffer& buffer) override {
    if (!netlink_on_) return collect_files(out, buffer);
    ++round_;
    auto dumped = dump_links(socket_, [&](const LinkInfo& link) {
      if (!filter_.ignored(link.name)) put_link(out, buffer, link);
    });
    std::erase_if(devices_, [&](const auto& entry) { return entry.second.round != round_; });
    return dumped;
  }

 private:
  // What rtnetlink does not tell; read when the device appears or its carrier changes.
  struct Device {
    std::int32_t index = 0;
    std::uint32_t carrier_changes = 0;
    std::uint32_t flags = 0;
    std::optional<std::int64_t> speed;  // Mbit/s
    std::optional<std::uint64_t> address_assign, name_assign, device_id;
    std::string duplex;
    std::uint64_t round = 0;
    int age = kRereadEvery;
  };

  void put_speed(Writer& out, std::string_view device, std::optional<std::int64_t> megabits) {
    if (!megabits || (*megabits < 0 && ignore_invalid_speed_)) return;
    out.put(speed_, {device}, static_cast<double>(*megabits * 1000 * 1000 / 8));
  }

  void read_rest(Device& device, std::string_view name, Buffer& buffer) {
    std::string directory = base_ + "/" + std::string(name) + "/";
    device.speed = read_i64(directory + "speed", buffer);
    auto duplex = read_trimmed(directory + "duplex", buffer);
    device.duplex = duplex ? *duplex : std::string_view();
    device.address_assign = read_u64(directory + "addr_assign_type", buffer);
    device.name_assign = read_u64(directory + "name_assign_type", buffer);
    device.device_id = read_u64(directory + "dev_id", buffer);
  }

  void put_link(Writer& out, Buffer& buffer, const LinkInfo& link) {
    auto found = devices_.find(link.name);
    if (found == devices_.end()) found = devices_.emplace(std::string(link.name), Device{}).first;
    Device& device = found->second;
    if (++device.age > kRereadEvery || device.index != link.index || device.carrier_changes != link.carrier_changes ||
        device.flags != link.flags) {
      device.age = 0;
      device.index = link.index;
      device.carrier_changes = link.carrier_changes;
      device.flags = link.flags;
      read_rest(device, link.name, buffer);
    }
    device.round = round_;

    bool admin_up = (link.flags & IFF_UP) != 0;
    std::string_view operstate = link.operstate < kOperStates.size() ? kOperStates[link.operstate] : "unknown";
    out.put(up_, {link.name}, operstate == "up" ? 1 : 0);
    out.put(info_,
            {link.name, hardware_address(link.address), hardware_address(link.broadcast), device.duplex, operstate,
             admin_up ? "up" : "down", link.alias},
            1);
    auto put = [&](PropertyId id, double value) { out.put(*families_[id], {link.name}, value); };
    if (device.address_assign) put(kAddressAssign, static_cast<double>(*device.address_assign));
    if (admin_up) put(kCarrier, link.carrier);  // sysfs refuses these two for a device that is down
    if (link.has_carrier_changes) put(kCarrierChanges, link.carrier_changes);
    if (link.has_carrier_up) {
      put(kCarrierUp, link.carrier_up);
      put(kCarrierDown, link.carrier_down);
    }
    if (device.device_id) put(kDeviceId, static_cast<double>(*device.device_id));
    if (admin_up) put(kDormant, (link.flags & kDormantFlag) != 0 ? 1 : 0);
    // rtnetlink hides promiscuity that the kernel asked for and adds bits of the operational state; the file has the
    // device's own.
    auto flags = read_u64(base_ + "/" + std::string(link.name) + "/flags", buffer);
    put(kFlags, static_cast<double>(flags.value_or(link.flags)));
    put(kIfaceId, link.index);
    put(kIfaceLink, link.link != 0 ? link.link : static_cast<std::uint32_t>(link.index));
    put(kLinkMode, link.linkmode);
    put(kMtu, link.mtu);
    if (device.name_assign) put(kNameAssign, static_cast<double>(*device.name_assign));
    put(kGroup, link.group);
    put_speed(out, link.name, device.speed);
    put(kQueue, link.tx_queue);
    put(kProtocol, link.type);
  }

  Result<> collect_files(Writer& out, Buffer& buffer) {
    auto names = TRY(list_directory(base_));
    for (const std::string& name : names) {
      std::string directory = base_ + "/" + name + "/";
      if (filter_.ignored(name) || !path_exists(directory + "ifindex")) continue;  // bonding_masters lies there too
      auto read = [&](const char* file) {
        auto text = read_trimmed(directory + file, buffer);
        return text ? std::string(*text) : std::string();
      };
      std::string operstate = read("operstate"), address = read("address"), broadcast = read("broadcast"),
                  duplex = read("duplex"), alias = read("ifalias");
      auto flags = read_u64(directory + "flags", buffer);
      std::string_view admin = !flags ? "unknown" : (*flags & IFF_UP) != 0 ? "up" : "down";
      out.put(up_, {name}, operstate == "up" ? 1 : 0);
      out.put(info_, {name, address, broadcast, duplex, operstate, admin, alias}, 1);
      for (std::size_t i = 0; i < kPropertyCount; ++i) {
        if (auto value = read_u64(directory + std::string(kProperties[i].file), buffer)) {
          out.put(*families_[i], {name}, static_cast<double>(*value));
        }
      }
      put_speed(out, name, read_i64(directory + "speed", buffer));
    }
    return {};
  }

  std::string base_;
  Filter filter_;
  bool netlink_on_, ignore_invalid_speed_;
  Netlink socket_;
  const Family &up_, &info_, &speed_;
  std::array<const Family*, kPropertyCount> families_;
  std::map<std::string, Device, std::less<>> devices_;
  std::uint64_t round_ = 0;
};

}  // namespace

std::unique_ptr<Collector> make_netclass(const HostContext& context, Writer& out) {
  return std::make_unique<NetclassCollector>(context, out);
}

}  // namespace tocayo::agent
