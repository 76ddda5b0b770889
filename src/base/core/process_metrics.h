// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/registry.h"

namespace tocayo {

// Adds the process_* families that every Prometheus client library has (CPU, memory, descriptors, start time), read
// from /proc/self at each collection.
void add_process_metrics(Registry& registry);

}  // namespace tocayo
