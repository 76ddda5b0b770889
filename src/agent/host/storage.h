// SPDX-License-Identifier: Apache-2.0
// Scanners of the storage collectors, for them and their tests.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace tocayo::agent {

struct MdDevice {  // views into the text
  std::string_view name, state;
  double required = 0, active = 0, failed = 0, spare = 0;
  double blocks = 0, synced = 0;  // of 1 KiB
};
// /proc/mdstat. False when a device's lines are not understood; those before it are in `devices`.
bool parse_mdstat(std::string_view text, std::vector<MdDevice>& devices);

// "512", "1.5k", "-3.2M": bytes as bcache writes them.
std::optional<double> parse_human_size(std::string_view text);

}  // namespace tocayo::agent
