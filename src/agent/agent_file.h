// SPDX-License-Identifier: Apache-2.0
// A configuration file of `tocayo agent`: its own, a Prometheus file, a promtail file, or one of Grafana Agent's static
// mode. They are told apart by their keys. What cannot be honoured is an error with its place, never ignored in
// silence.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/host/options.h"
#include "agent/logs/log_config.h"
#include "agent/scrape/config.h"
#include "agent/ship/destination.h"
#include "core/error.h"

namespace tocayo::agent {

enum class AgentFileKind : unsigned char { tocayo, prometheus, grafana_agent, promtail };

// `host:` of our own file, `integrations.node_exporter` of Grafana Agent's.
struct HostSettings {
  bool enabled = true;
  std::string job = "node", instance;  // instance "": the host name
  std::vector<std::string> flags;      // of node_exporter, checked
};

// `server:` of our own file: what --server, --token and --token-file say.
struct ServerSettings {
  std::string url, token, token_file;
};

struct AgentFile {
  AgentFileKind kind = AgentFileKind::prometheus;
  ScrapeFile scrape;
  std::vector<Destination> destinations;
  std::optional<HostSettings> host;
  ServerSettings server;
  LogsConfig logs;
  std::optional<LogJob> otlp;         // of our own file
  std::optional<bool> machine_logs;   // `logs.machine` of our own file
  std::string log_level;              // "" not said
  std::vector<std::string> warnings;  // beside those of `scrape`
};

// `text` with environment variables already expanded. Relative paths are taken from `directory`. Errors
// "<file>:<line>:<column>: …".
Result<AgentFile> parse_agent_file(std::string_view text, const std::string& file, const std::string& directory);

}  // namespace tocayo::agent
