// SPDX-License-Identifier: Apache-2.0
// Jobs that lines are pushed to: promtail's loki_push_api and syslog, and `otlp` of our own file.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/labels.h"

namespace YAML {
class Node;
}

namespace tocayo::agent {

// Of promtail's syslog.
struct SyslogSettings {
  bool tcp = true;             // else UDP
  bool label_data = false;     // structured data becomes labels
  bool whole_message = false;  // the line is the message as it came
  bool rfc3164 = false;        // only this format is looked for
  std::size_t max_message = 8192;
  std::string client_ca_file;  // "": senders need no certificate
};

struct PushSettings {
  enum class Protocol : unsigned char { loki, otlp, syslog };
  Protocol protocol = Protocol::loki;
  std::string listen;                              // "127.0.0.1:3500"
  std::string base_path;                           // of all paths
  std::string tls_certificate_file, tls_key_file;  // "": plain
  std::size_t max_connections = 1000;
  std::chrono::milliseconds read_timeout{30'000}, write_timeout{30'000}, idle_timeout{120'000};
  Labels labels;           // of every line; they win over the sender's
  bool keep_time = false;  // the sender's; else lines get the time at which they arrive
  SyslogSettings syslog;
  bool keep_tenant = false;  // X-Scope-OrgID names the tenant that lines are shipped under
  std::string place;         // in the configuration: "<file>:<line>:<column>"

  bool udp() const { return protocol == Protocol::syslog && !syslog.tcp; }
  // Tells sockets apart.
  std::string address() const { return (udp() ? "udp://" : "") + listen; }
};

// `loki_push_api` of a job. What has no meaning here is told in `warnings`. Errors "<file>:<line>:<column>: …".
Result<PushSettings> parse_push_api(const YAML::Node& node, const std::string& file, const std::string& directory,
                                    std::vector<std::string>& warnings);

// `syslog` of a job, as above.
Result<PushSettings> parse_syslog(const YAML::Node& node, const std::string& file, const std::string& directory,
                                  std::vector<std::string>& warnings);

struct LogJob;
// `otlp` of our own file: a job of that name.
Result<LogJob> parse_otlp(const YAML::Node& node, const std::string& file, const std::string& directory);

}  // namespace tocayo::agent
