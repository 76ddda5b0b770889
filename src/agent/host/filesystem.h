// SPDX-License-Identifier: Apache-2.0
// The parts of the filesystem collector that tests reach for: its line scanner, and a statfs that can hang on command.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "agent/host/collector.h"

struct statfs;

namespace tocayo::agent {

struct MountLine {  // views into the line
  std::string_view major, minor, mountpoint, fstype, device;
  bool readonly = false;
};
// One line of /proc/<pid>/mountinfo; false when it is none. Escapes (\040) are left as they are.
bool parse_mountinfo_line(std::string_view line, MountLine& mount);

// Fills `result` and returns 0, or returns errno. Called on a thread of its own, which it may keep for ever.
using StatfsFunction = std::function<int(const std::string& path, struct statfs& result)>;
std::unique_ptr<Collector> make_filesystem_with(const HostContext& context, Writer& out, StatfsFunction call,
                                                std::chrono::milliseconds stuck_after);

}  // namespace tocayo::agent
