// SPDX-License-Identifier: Apache-2.0
// The collectors' factories, for the table in registry.cpp and for tests of one collector.
#pragma once

#include "agent/host/collector.h"

namespace tocayo::agent {

#define TOCAYO_COLLECTOR(name) std::unique_ptr<Collector> make_##name(const HostContext& context, Writer& out)
TOCAYO_COLLECTOR(arp);
TOCAYO_COLLECTOR(bcache);
TOCAYO_COLLECTOR(bonding);
TOCAYO_COLLECTOR(btrfs);
TOCAYO_COLLECTOR(conntrack);
TOCAYO_COLLECTOR(cpu);
TOCAYO_COLLECTOR(cpufreq);
TOCAYO_COLLECTOR(diskstats);
TOCAYO_COLLECTOR(dmi);
TOCAYO_COLLECTOR(edac);
TOCAYO_COLLECTOR(entropy);
TOCAYO_COLLECTOR(fibrechannel);
TOCAYO_COLLECTOR(filefd);
TOCAYO_COLLECTOR(filesystem);
TOCAYO_COLLECTOR(hwmon);
TOCAYO_COLLECTOR(infiniband);
TOCAYO_COLLECTOR(interrupts);
TOCAYO_COLLECTOR(ipvs);
TOCAYO_COLLECTOR(kernel_hung);
TOCAYO_COLLECTOR(loadavg);
TOCAYO_COLLECTOR(mdadm);
TOCAYO_COLLECTOR(meminfo);
TOCAYO_COLLECTOR(netclass);
TOCAYO_COLLECTOR(netdev);
TOCAYO_COLLECTOR(netstat);
TOCAYO_COLLECTOR(nfs);
TOCAYO_COLLECTOR(nfsd);
TOCAYO_COLLECTOR(nvme);
TOCAYO_COLLECTOR(os);
TOCAYO_COLLECTOR(powersupplyclass);
TOCAYO_COLLECTOR(pressure);
TOCAYO_COLLECTOR(process);
TOCAYO_COLLECTOR(processes);
TOCAYO_COLLECTOR(rapl);
TOCAYO_COLLECTOR(schedstat);
TOCAYO_COLLECTOR(selinux);
TOCAYO_COLLECTOR(sockstat);
TOCAYO_COLLECTOR(softirqs);
TOCAYO_COLLECTOR(softnet);
TOCAYO_COLLECTOR(stat);
TOCAYO_COLLECTOR(systemd);
TOCAYO_COLLECTOR(tapestats);
TOCAYO_COLLECTOR(tcpstat);
TOCAYO_COLLECTOR(textfile);
TOCAYO_COLLECTOR(thermal_zone);
TOCAYO_COLLECTOR(time);
TOCAYO_COLLECTOR(timex);
TOCAYO_COLLECTOR(udp_queues);
TOCAYO_COLLECTOR(uname);
TOCAYO_COLLECTOR(vmstat);
TOCAYO_COLLECTOR(xfs);
TOCAYO_COLLECTOR(zfs);
#undef TOCAYO_COLLECTOR

}  // namespace tocayo::agent
