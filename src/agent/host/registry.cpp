// SPDX-License-Identifier: Apache-2.0
#include "agent/host/collectors.h"

namespace tocayo::agent {
namespace {

// Names and defaults are node_exporter's, except that processes, systemd and tcpstat are on. `process` is this program
// itself (process_*), which every exporter has built in.
constexpr CollectorSpec kSpecs[] = {
    {"arp", true, Lane::guarded, make_arp},
    {"bcache", true, Lane::guarded, make_bcache},
    {"bonding", true, Lane::guarded, make_bonding},
    {"btrfs", true, Lane::guarded, make_btrfs},
    {"conntrack", true, Lane::direct, make_conntrack},
    {"cpu", true, Lane::direct, make_cpu},
    {"cpufreq", true, Lane::guarded, make_cpufreq},
    {"diskstats", true, Lane::direct, make_diskstats},
    {"dmi", true, Lane::guarded, make_dmi},
    {"edac", true, Lane::guarded, make_edac},
    {"entropy", true, Lane::direct, make_entropy},
    {"fibrechannel", true, Lane::guarded, make_fibrechannel},
    {"filefd", true, Lane::direct, make_filefd},
    {"filesystem", true, Lane::direct, make_filesystem},
    {"hwmon", true, Lane::guarded, make_hwmon},
    {"infiniband", true, Lane::guarded, make_infiniband},
    {"interrupts", false, Lane::direct, make_interrupts},
    {"ipvs", true, Lane::guarded, make_ipvs},
    {"kernel_hung", true, Lane::direct, make_kernel_hung},
    {"loadavg", true, Lane::direct, make_loadavg},
    {"mdadm", true, Lane::guarded, make_mdadm},
    {"meminfo", true, Lane::direct, make_meminfo},
    {"netclass", true, Lane::guarded, make_netclass},
    {"netdev", true, Lane::guarded, make_netdev},
    {"netstat", true, Lane::direct, make_netstat},
    {"nfs", true, Lane::guarded, make_nfs},
    {"nfsd", true, Lane::guarded, make_nfsd},
    {"nvme", true, Lane::guarded, make_nvme},
    {"os", true, Lane::guarded, make_os},
    {"powersupplyclass", true, Lane::guarded, make_powersupplyclass},
    {"pressure", true, Lane::direct, make_pressure},
    {"process", true, Lane::direct, make_process},
    {"processes", true, Lane::guarded, make_processes},
    {"rapl", true, Lane::guarded, make_rapl},
    {"schedstat", true, Lane::direct, make_schedstat},
    {"selinux", true, Lane::guarded, make_selinux},
    {"sockstat", true, Lane::direct, make_sockstat},
    {"softirqs", false, Lane::direct, make_softirqs},
    {"softnet", true, Lane::direct, make_softnet},
    {"stat", true, Lane::direct, make_stat},
    {"systemd", true, Lane::guarded, make_systemd},
    {"tapestats", true, Lane::guarded, make_tapestats},
    {"tcpstat", true, Lane::guarded, make_tcpstat},
    {"textfile", true, Lane::guarded, make_textfile},
    {"thermal_zone", true, Lane::guarded, make_thermal_zone},
    {"time", true, Lane::direct, make_time},
    {"timex", true, Lane::direct, make_timex},
    {"udp_queues", true, Lane::direct, make_udp_queues},
    {"uname", true, Lane::direct, make_uname},
    {"vmstat", true, Lane::direct, make_vmstat},
    {"xfs", true, Lane::guarded, make_xfs},
    {"zfs", true, Lane::guarded, make_zfs},
};
static_assert(std::size(kSpecs) <= 128);

}  // namespace

std::span<const CollectorSpec> collector_specs() { return kSpecs; }

}  // namespace tocayo::agent
