// SPDX-License-Identifier: Apache-2.0
// `tocayo serve`: all rooms, wired. The one place that knows them all.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/config.h"
#include "core/error.h"

namespace tocayo {

struct ProgramOptions {
  Config config;
  // Reads file, environment and --set again; used by SIGHUP and POST /-/reload.
  std::function<Result<Config>()> reload;
  std::string port_file;  // the address is written here once the port answers; "" = nowhere
};

// Life cycle: start(), then reload() at will, stop() once. Thread-safe between those.
class Program {
 public:
  // Opens what is small, answers on the port, then opens the store behind it and starts the agent. Errors say what to
  // do.
  static Result<std::unique_ptr<Program>> start(ProgramOptions options);
  virtual ~Program() = default;
  // All or nothing: on an error the old configuration stays, and a notification says so.
  virtual Result<> reload() = 0;
  // Agent, server, store, in this order; a checkpoint is written.
  virtual Result<> stop() = 0;
  virtual std::string address() const = 0;
};

std::string version_text();  // "0.1.0"
std::string compatible_prometheus_version();
std::string host_name();

}  // namespace tocayo
