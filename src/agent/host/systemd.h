// SPDX-License-Identifier: Apache-2.0
// The systemd collector with a bus of the caller's choice, for tests.
#pragma once

#include <functional>
#include <memory>

#include "agent/host/collector.h"

struct sd_bus;

namespace tocayo::agent {

// Returns 0 and a connection that the collector owns, or -errno.
using BusOpener = std::function<int(sd_bus** bus)>;
// `direct`: the connection leads straight to the manager, without a bus daemon between.
std::unique_ptr<Collector> make_systemd_with(const HostContext& context, Writer& out, BusOpener open, bool direct);

}  // namespace tocayo::agent
