// SPDX-License-Identifier: Apache-2.0
// What `tocayo agent` is told: its arguments and files, made one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/agent_file.h"
#include "main/agent_command.h"

namespace tocayo {

struct AgentConfig {
  agent::ScrapeFile scrape;
  std::vector<agent::Destination> destinations;
  agent::LogsConfig logs;
  std::optional<agent::LogJob> otlp;
  bool machine_logs = false;  // those of `logs` are then followed by the machine's own
  bool host_metrics = false;
  agent::HostOptions host;                                 // also without host_metrics: for --node-exporter-compat
  std::string host_job = "node", instance, host_settings;  // the last: equal for equal settings of the three
  std::string log_level;                                   // "": as it is
  std::string yaml;                                        // as given, without secrets
  std::vector<std::string> files;                          // that a change of which means another configuration
};

// Errors "<file>:<line>:<column>: …", or name the argument.
Result<AgentConfig> read_agent_config(const AgentArguments& arguments);

}  // namespace tocayo
