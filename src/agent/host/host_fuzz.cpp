// SPDX-License-Identifier: Apache-2.0
// Every scanner of the host collectors. The first byte selects: a scanner that takes text, or a collector whose one
// file gets the rest of the input as its content (in a tree in memory, beside the fixture's other files).
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <span>
#include <string>
#include <string_view>

#include "agent/host/collectors.h"
#include "agent/host/fabric.h"
#include "agent/host/filesystem.h"
#include "agent/host/hwmon.h"
#include "agent/host/netlink.h"
#include "agent/host/network.h"
#include "agent/host/scan.h"
#include "agent/host/storage.h"
#include "agent/host/system.h"
#include "agent/host/textfile.h"

namespace {

using namespace tocayo::agent;

struct Target {
  CollectorFactory make;
  const char* file;
};
constexpr Target kTargets[] = {
    {make_cpu, "proc/stat"},
    {make_stat, "proc/stat"},
    {make_meminfo, "proc/meminfo"},
    {make_vmstat, "proc/vmstat"},
    {make_diskstats, "proc/diskstats"},
    {make_diskstats, "udev/b8:0"},
    {make_loadavg, "proc/loadavg"},
    {make_filefd, "proc/sys/fs/file-nr"},
    {make_netdev, "proc/net/dev"},
    {make_netstat, "proc/net/netstat"},
    {make_netstat, "proc/net/snmp"},
    {make_netstat, "proc/net/snmp6"},
    {make_sockstat, "proc/net/sockstat"},
    {make_softnet, "proc/net/softnet_stat"},
    {make_conntrack, "proc/net/stat/nf_conntrack"},
    {make_arp, "proc/net/arp"},
    {make_udp_queues, "proc/net/udp"},
    {make_tcpstat, "proc/net/tcp"},
    {make_schedstat, "proc/schedstat"},
    {make_pressure, "proc/pressure/io"},
    {make_interrupts, "proc/interrupts"},
    {make_softirqs, "proc/softirqs"},
    {make_processes, "proc/11/task/12/stat"},
    {make_mdadm, "proc/mdstat"},
    {make_ipvs, "proc/net/ip_vs_stats"},
    {make_ipvs, "proc/net/ip_vs"},
    {make_nfs, "proc/net/rpc/nfs"},
    {make_nfsd, "proc/net/rpc/nfsd"},
    {make_zfs, "proc/spl/kstat/zfs/arcstats"},
    {make_zfs, "proc/spl/kstat/zfs/tank/io"},
    {make_zfs, "proc/spl/kstat/zfs/tank/objset-36"},
    {make_zfs, "proc/spl/kstat/zfs/tank/state"},
    {make_xfs, "sys/fs/xfs/sda1/stats/stats"},
    {make_btrfs, "sys/fs/btrfs/0abb23a9-579b-43e6-ad30-227ef47fcb9d/commit_stats"},
    {make_bcache, "sys/fs/bcache/deaddd54-c735-46d5-868e-f331c5fd7c74/bdev0/writeback_rate_debug"},
    {make_os, "etc/os-release"},
    {make_cpu, "sys/devices/system/cpu/isolated"},
    {make_cpufreq, "sys/devices/system/cpu/cpu0/cpufreq/scaling_available_governors"},
    {make_hwmon, "sys/class/hwmon/hwmon1/name"},
    {make_hwmon, "sys/class/hwmon/hwmon1/temp1_input"},
    {make_edac, "sys/devices/system/edac/mc/mc0/csrow0/ch0_dimm_label"},
    {make_rapl, "sys/class/powercap/intel-rapl:0/name"},
    {make_infiniband, "sys/class/infiniband/mlx4_0/ports/1/rate"},
    {make_bonding, "sys/class/net/bonding_masters"},
    {make_netclass, "sys/class/net/eth0/flags"},
    {make_time, "sys/devices/system/clocksource/clocksource0/available_clocksource"},
};
constexpr std::size_t kFunctions = 9;

class Tree {
 public:
  Tree() {
    std::string name = "/dev/shm/tocayo-fuzz-XXXXXX";
    root_ = ::mkdtemp(name.data());
    std::filesystem::copy(std::string(TOCAYO_SOURCE_DIR) + "/src/agent/host/testdata/big", root_,
                          std::filesystem::copy_options::recursive | std::filesystem::copy_options::copy_symlinks);
    context.options.procfs = root_ + "/proc";
    context.options.sysfs = root_ + "/sys";
    context.options.rootfs = root_;
    context.options.udev_data = root_ + "/udev";
  }
  ~Tree() { std::filesystem::remove_all(root_); }

  void run(const Target& target, std::string_view content) {
    std::string path = root_ + "/" + target.file;
    std::string before = read(path);
    write(path, content);
    Writer writer{tocayo::Labels()};
    Buffer buffer;
    auto collector = target.make(context, writer);
    for (int i = 0; i < 2; ++i) {
      writer.begin(i);
      (void)collector->collect(writer, buffer);
    }
    write(path, before);
  }

  HostContext context;

 private:
  static std::string read(const std::string& path) {
    Buffer buffer;
    auto text = read_file(path, buffer);
    return text ? std::string(*text) : std::string();
  }
  static void write(const std::string& path, std::string_view content) {
    int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ::write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size())) std::abort();
    ::close(fd);
  }
  std::string root_;
};

void run_function(std::size_t which, std::string_view text) {
  auto bytes = std::as_bytes(std::span(text));
  switch (which) {
    case 0: (void)parse_text_file(text); break;
    case 1: {
      MountLine mount;
      std::string_view line;
      while (scan::next_line(text, line)) parse_mountinfo_line(line, mount);
      break;
    }
    case 2: {
      LinkInfo link;
      parse_link(bytes, link);
      break;
    }
    case 3:
      for_each_message(bytes,
                       [](std::uint16_t, std::uint16_t, std::uint32_t, std::span<const std::byte>) { return true; });
      break;
    case 4: {
      SensorName name;
      split_sensor_name(text, name);
      (void)clean_metric_name(text);
      break;
    }
    case 5: (void)parse_human_size(text); break;
    case 6: {
      ProcessStat stat;
      parse_process_stat(text, stat);
      break;
    }
    case 7: scan::each_of_list(text, [](std::uint64_t) {}); break;
    default: {
      std::string address;
      std::uint64_t port = 0;
      parse_ipvs_address(text, address, port);
      break;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 64 * 1024) return 0;
  static Tree tree;
  std::size_t which = data[0];
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (which < kFunctions)
    run_function(which, text);
  else
    tree.run(kTargets[(which - kFunctions) % std::size(kTargets)], text);
  return 0;
}
