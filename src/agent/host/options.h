// SPDX-License-Identifier: Apache-2.0
// What the host collectors read and leave out: node_exporter's flags with its defaults, as one value.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/host/filter.h"
#include "core/error.h"
#include "core/labels.h"

namespace tocayo::agent {

struct HostOptions {
  HostOptions();  // defaults: all of node_exporter's default-on list, and processes, tcpstat, systemd

  std::string procfs = "/proc";
  std::string sysfs = "/sys";
  std::string rootfs = "/";
  std::string udev_data = "/run/udev/data";

  // Collectors switched on or off against their default, by name.
  std::map<std::string, bool, std::less<>> collectors;
  // By flag stem ("diskstats.device", "filesystem.mount-points", "netstat.fields" …).
  std::map<std::string, FilterOption, std::less<>> filters;
  // Boolean flags that are on ("cpu.guest", "stat.softirq" …).
  std::set<std::string, std::less<>> features;
  std::vector<std::string> textfile_directories;
  // Added to every series (job, instance); empty for a plain exposition.
  Labels constant_labels;

  // Whether the tree is this machine's own, so that netlink and system calls tell the same story as the files.
  bool live() const { return procfs == "/proc" && sysfs == "/sys"; }
  const FilterOption& filter(std::string_view stem) const;
  bool feature(std::string_view name) const { return features.contains(name); }

  // Takes one of node_exporter's flags: "--collector.X", "--no-collector.X", "--collector.X.Y=value",
  // "--path.procfs=…",
  // "--collector.disable-defaults". A value may also follow as `next`; then *used_next is set. bad_input for an unknown
  // flag or a regular expression that does not compile; the message names the flag.
  Result<> apply_flag(std::string_view flag, const std::string* next = nullptr, bool* used_next = nullptr);
};

}  // namespace tocayo::agent
