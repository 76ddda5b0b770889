// SPDX-License-Identifier: Apache-2.0
// The collectors' factories, for the table in registry.cpp and for tests of one collector.
#pragma once

#include "agent/host/collector.h"

namespace tocayo::agent {

#define TOCAYO_COLLECTOR(name) std::unique_ptr<Collector> make_##name(const HostContext& context, Writer& out)
TOCAYO_COLLECTOR(cpu);
TOCAYO_COLLECTOR(diskstats);
TOCAYO_COLLECTOR(entropy);
TOCAYO_COLLECTOR(filefd);
TOCAYO_COLLECTOR(filesystem);
TOCAYO_COLLECTOR(kernel_hung);
TOCAYO_COLLECTOR(loadavg);
TOCAYO_COLLECTOR(meminfo);
TOCAYO_COLLECTOR(netdev);
TOCAYO_COLLECTOR(process);
TOCAYO_COLLECTOR(stat);
TOCAYO_COLLECTOR(time);
TOCAYO_COLLECTOR(timex);
TOCAYO_COLLECTOR(uname);
TOCAYO_COLLECTOR(vmstat);
#undef TOCAYO_COLLECTOR

}  // namespace tocayo::agent
