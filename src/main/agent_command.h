// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace tocayo {

struct AgentArguments {
  std::vector<std::string> configs;  // files; agent/agent_file.h tells which kinds
  std::string server, token, token_file;
  std::string data_dir;  // empty: /var/lib/tocayo-agent, or below the user's state directory
  std::string listen = "127.0.0.1:4610";
  std::string log_level = "info";
  std::string port_file;
  std::string instance;                                // of the host's own series; empty: the host name
  bool host_metrics = false, no_host_metrics = false;  // default: on with --server
  bool no_host_logs = false;                           // the machine's logs are on with --server otherwise
  std::string node_exporter_compat;                    // address to answer on as node_exporter does; "": nowhere
  std::vector<std::string> host_flags;                 // node_exporter's: --collector.*, --no-collector.*, --path.*
  bool check_config = false;
};

// `tocayo agent`: collects on this machine and sends it elsewhere. Returns the exit code.
int run_agent(const AgentArguments& arguments);

}  // namespace tocayo
