// SPDX-License-Identifier: Apache-2.0
// One source of host metrics. To add one: a class in a *.cpp of this folder with a make_… function, and a row in
// registry.cpp.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string_view>

#include "agent/host/files.h"
#include "agent/host/options.h"
#include "agent/host/series.h"

namespace tocayo::agent {

// Shared by all collectors of one set; outlives them.
struct HostContext {
  HostOptions options;
  std::string proc(std::string_view path) const { return options.procfs + "/" + std::string(path); }
  std::string sys(std::string_view path) const { return options.sysfs + "/" + std::string(path); }
};

// Created with its Writer, in which it declares its families; both are used by one thread at a time, not always the
// same one.
class Collector {
 public:
  virtual ~Collector() = default;
  // Puts this moment's samples. not_found = this machine does not have the thing (no log line); any other error is
  // logged once. After an error the samples put so far count all the same, as node_exporter's do. `buffer` is the
  // reading thread's.
  virtual Result<> collect(Writer& out, Buffer& buffer) = 0;
};

using CollectorFactory = std::unique_ptr<Collector> (*)(const HostContext& context, Writer& out);

// `guarded`: reads drivers, devices or locks that can stall; runs on the helper thread and is left behind after a
// second.
enum class Lane : unsigned char { direct, guarded };

struct CollectorSpec {
  std::string_view name;  // as in node_exporter
  bool default_on;
  Lane lane;
  CollectorFactory make;
};

// Every collector, sorted by name. At most 128.
std::span<const CollectorSpec> collector_specs();

}  // namespace tocayo::agent
