// SPDX-License-Identifier: Apache-2.0
#include "agent/host/options.h"

#include <algorithm>

#include "agent/host/collector.h"

namespace tocayo::agent {
namespace {

// Where a flag's value goes: the stem of a filter and which half of it.
struct FilterFlag {
  std::string_view flag;
  std::string_view stem;
  bool include;
};

constexpr FilterFlag kFilterFlags[] = {
    {"arp.device-include", "arp.device", true},
    {"arp.device-exclude", "arp.device", false},
    {"cpu.info.flags-include", "cpu.info.flags", true},
    {"cpu.info.bugs-include", "cpu.info.bugs", true},
    {"diskstats.device-include", "diskstats.device", true},
    {"diskstats.device-exclude", "diskstats.device", false},
    {"diskstats.ignored-devices", "diskstats.device", false},
    {"filesystem.mount-points-include", "filesystem.mount-points", true},
    {"filesystem.mount-points-exclude", "filesystem.mount-points", false},
    {"filesystem.ignored-mount-points", "filesystem.mount-points", false},
    {"filesystem.fs-types-include", "filesystem.fs-types", true},
    {"filesystem.fs-types-exclude", "filesystem.fs-types", false},
    {"filesystem.ignored-fs-types", "filesystem.fs-types", false},
    {"hwmon.chip-include", "hwmon.chip", true},
    {"hwmon.chip-exclude", "hwmon.chip", false},
    {"hwmon.sensor-include", "hwmon.sensor", true},
    {"hwmon.sensor-exclude", "hwmon.sensor", false},
    {"infiniband.device-include", "infiniband.device", true},
    {"infiniband.device-exclude", "infiniband.device", false},
    {"interrupts.name-include", "interrupts.name", true},
    {"interrupts.name-exclude", "interrupts.name", false},
    {"netclass.ignored-devices", "netclass.device", false},
    {"netdev.device-include", "netdev.device", true},
    {"netdev.device-exclude", "netdev.device", false},
    {"netdev.device-whitelist", "netdev.device", true},
    {"netdev.device-blacklist", "netdev.device", false},
    {"netstat.fields", "netstat.fields", true},
    {"powersupply.ignored-supplies", "powersupply.supplies", false},
    {"systemd.unit-include", "systemd.unit", true},
    {"systemd.unit-exclude", "systemd.unit", false},
    {"tapestats.ignored-devices", "tapestats.device", false},
    {"vmstat.fields", "vmstat.fields", true},
};

constexpr std::string_view kFeatures[] = {
    "arp.netlink",
    "bcache.priorityStats",
    "cpu.guest",
    "cpu.info",
    "interrupts.include-zeros",
    "netclass.ignore-invalid-speed",
    "netclass.netlink",
    "netdev.netlink",
    "rapl.enable-zone-label",
    "stat.softirq",
    "systemd.enable-restarts-metrics",
    "systemd.enable-start-time-metrics",
    "systemd.enable-task-metrics",
    "systemd.all-units",  // ours: node_systemd_unit_state for every unit, as node_exporter does
};

// Collectors of node_exporter that are not there yet: switching one off is fine, switching it on says so.
constexpr std::string_view kOthers[] = {"bcachefs",    "buddyinfo",     "cgroups", "cpu_vulnerabilities",
                                        "dmmultipath", "drbd",          "drm",     "ethtool",
                                        "ksmd",        "lnstat",        "logind",  "meminfo_numa",
                                        "mountstats",  "network_route", "ntp",     "nvmesubsystem",
                                        "pcidevice",   "perf",          "qdisc",   "runit",
                                        "slabinfo",    "supervisord",   "swap",    "sysctl",
                                        "watchdog",    "wifi",          "xfrm",    "zoneinfo"};

// Both halves of these may be set together (a unit must match one and not the other).
bool halves_combine(std::string_view stem) { return stem == "systemd.unit"; }

const FilterFlag* find_filter_flag(std::string_view name) {
  auto found = std::ranges::find(kFilterFlags, name, &FilterFlag::flag);
  return found == std::end(kFilterFlags) ? nullptr : found;
}

}  // namespace

// Defaults of node_exporter 1.12; netstat's fields widened by the three that Node Exporter Full reads besides.
HostOptions::HostOptions() {
  filters["diskstats.device"].exclude = R"(^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$)";
  filters["filesystem.mount-points"].exclude =
      R"(^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/))";
  filters["filesystem.fs-types"].exclude =
      "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|"
      "overlay|proc|"
      "procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$";
  filters["netclass.device"].exclude = "^$";
  filters["netstat.fields"].include =
      "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)|TcpExt_(Listen.*|"
      "Syncookies.*|"
      "TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|"
      "RetransSegs|"
      "CurrEstab|MaxConn)|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$";
  filters["powersupply.supplies"].exclude = "^$";
  filters["systemd.unit"] = {".+", R"(.+\.(automount|device|mount|scope|slice|target))"};
  filters["tapestats.device"].exclude = "^$";
  filters["vmstat.fields"].include = "^(oom_kill|pgpg|pswp|pg.*fault).*";
  features = {"arp.netlink", "cpu.guest", "interrupts.include-zeros", "netclass.netlink", "netdev.netlink"};
}

const FilterOption& HostOptions::filter(std::string_view stem) const {
  static const FilterOption kNone;
  auto found = filters.find(stem);
  return found == filters.end() ? kNone : found->second;
}

Result<> HostOptions::apply_flag(std::string_view flag, const std::string* next, bool* used_next) {
  if (used_next != nullptr) *used_next = false;
  std::string_view body = flag;
  if (body.starts_with("--")) body.remove_prefix(2);
  std::size_t equals = body.find('=');
  std::string_view name = body.substr(0, equals);
  auto value = [&]() -> Result<std::string> {
    if (equals != std::string_view::npos) return std::string(body.substr(equals + 1));
    if (next == nullptr) return fail(ErrorKind::bad_input, std::string(flag) + " needs a value");
    if (used_next != nullptr) *used_next = true;
    return *next;
  };

  if (name == "path.procfs") return procfs = TRY(value()), Result<>{};
  if (name == "path.sysfs") return sysfs = TRY(value()), Result<>{};
  if (name == "path.rootfs") return rootfs = TRY(value()), Result<>{};
  if (name == "path.udev.data") return udev_data = TRY(value()), Result<>{};
  if (name == "collector.disable-defaults") {
    for (const CollectorSpec& spec : collector_specs()) collectors.try_emplace(std::string(spec.name), false);
    return {};
  }
  bool on = !name.starts_with("no-");
  if (!on) name.remove_prefix(3);
  if (!name.starts_with("collector.")) return fail(ErrorKind::bad_input, "unknown flag " + std::string(flag));
  name.remove_prefix(10);

  if (std::ranges::find(collector_specs(), name, &CollectorSpec::name) != collector_specs().end()) {
    if (equals != std::string_view::npos && body.substr(equals + 1) == "false") on = !on;
    collectors[std::string(name)] = on;
    return {};
  }
  if (std::ranges::find(kOthers, name) != std::end(kOthers)) {
    if (equals != std::string_view::npos && body.substr(equals + 1) == "false") on = !on;
    if (!on) return {};
    return fail(ErrorKind::bad_input, std::string(flag) + ": this collector is not supported");
  }
  if (std::ranges::find(kFeatures, name) != std::end(kFeatures)) {
    if (equals != std::string_view::npos && body.substr(equals + 1) == "false") on = !on;
    if (on) {
      features.emplace(name);
    } else if (auto found = features.find(name); found != features.end()) {
      features.erase(found);
    }
    return {};
  }
  if (name == "textfile.directory") {
    textfile_directories.push_back(TRY(value()));
    return {};
  }
  if (const FilterFlag* known = find_filter_flag(name); known != nullptr && on) {
    FilterOption option = filter(known->stem);
    static const HostOptions kDefaults;
    (known->include ? option.include : option.exclude) = TRY(value());
    if (!halves_combine(known->stem)) {
      // A default of the other half gives way; one that was asked for contradicts.
      std::string& other = known->include ? option.exclude : option.include;
      const FilterOption& preset = kDefaults.filter(known->stem);
      if (other == (known->include ? preset.exclude : preset.include)) other.clear();
    }
    for (const FilterOption& half : {FilterOption{option.include, {}}, FilterOption{{}, option.exclude}}) {
      if (auto valid = Filter::check(half, "--collector." + std::string(known->stem)); !valid) return valid;
    }
    if (!halves_combine(known->stem)) {
      if (auto valid = Filter::check(option, "--collector." + std::string(known->stem)); !valid) return valid;
    }
    filters[std::string(known->stem)] = std::move(option);
    return {};
  }
  return fail(ErrorKind::bad_input, "unknown flag " + std::string(flag));
}

}  // namespace tocayo::agent
