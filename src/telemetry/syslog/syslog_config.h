// SPDX-License-Identifier: Apache-2.0
// `logs.syslog` of the configuration: a list of listeners.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/labels.h"
#include "syslog/syslog_message.h"

namespace tocayo::syslog {

struct ListenerConfig {
  bool tcp = true;
  std::string host;  // "" for all addresses
  std::uint16_t port = 0;
  std::string tenant = "anonymous";
  Labels labels;                                                                 // of every stream
  std::vector<std::string> label_fields{"host", "app", "facility", "severity"};  // fields that become labels
  Format format = Format::any;
  std::chrono::milliseconds idle_timeout{120'000};  // of a TCP connection
  std::size_t max_message = 64 << 10;
  std::size_t max_connections = 1'000;
};

// bad_input with the place of the mistake.
Result<std::vector<ListenerConfig>> parse_config(std::string_view yaml, std::string_view file);

}  // namespace tocayo::syslog
