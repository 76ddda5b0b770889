// SPDX-License-Identifier: Apache-2.0
#include "agent/host/collectors.h"

namespace tocayo::agent {
namespace {

// Names and defaults are node_exporter's, except that processes, systemd and tcpstat are on. `process` is this program itself
// (process_*), which every exporter has built in.
constexpr CollectorSpec kSpecs[] = {
    {"cpu", true, Lane::direct, make_cpu},
    {"diskstats", true, Lane::direct, make_diskstats},
    {"entropy", true, Lane::direct, make_entropy},
    {"filefd", true, Lane::direct, make_filefd},
    {"filesystem", true, Lane::direct, make_filesystem},
    {"kernel_hung", true, Lane::direct, make_kernel_hung},
    {"loadavg", true, Lane::direct, make_loadavg},
    {"meminfo", true, Lane::direct, make_meminfo},
    {"netdev", true, Lane::guarded, make_netdev},
    {"process", true, Lane::direct, make_process},
    {"stat", true, Lane::direct, make_stat},
    {"time", true, Lane::direct, make_time},
    {"timex", true, Lane::direct, make_timex},
    {"uname", true, Lane::direct, make_uname},
    {"vmstat", true, Lane::direct, make_vmstat},
};
static_assert(std::size(kSpecs) <= 128);

}  // namespace

std::span<const CollectorSpec> collector_specs() { return kSpecs; }

}  // namespace tocayo::agent
