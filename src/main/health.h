// SPDX-License-Identifier: Apache-2.0
// Checks of the program's own health, for Home and /api/ui/home.
#pragma once

#include <string>
#include <vector>

#include "main/store_gate.h"
#include "ui/home.h"

namespace tocayo {

struct HealthInputs {
  const StoreGate& store;
  std::string data_dir;
  std::uint64_t memory_limit = 0;  // bytes
  std::string reload_error;        // of the last reload, "" = it went well
};

std::vector<ui::HealthItem> check_health(const HealthInputs& inputs);

// 75 % of the cgroup's or the host's memory.
std::uint64_t default_memory_limit();
std::uint64_t resident_bytes();

}  // namespace tocayo
