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
#include "syslog/tls.h"

namespace tocayo::syslog {

// What a message's fields become.
enum class FieldNames : unsigned char {
  plain,    // labels host, app … as far as label_fields says, the rest structured metadata
  promtail  // labels __syslog_message_…, for rules that come behind
};

struct ListenerConfig {
  bool tcp = true;
  std::string host;  // "" for all addresses
  std::uint16_t port = 0;
  TlsSettings tls;  // of tcp
  std::string tenant = "anonymous";
  Labels labels;                                                                 // of every stream
  std::vector<std::string> label_fields{"host", "app", "facility", "severity"};  // fields that become labels
  FieldNames names = FieldNames::plain;
  bool label_data = false;     // promtail: structured data becomes labels, too
  bool keep_time = true;       // else lines have the time of arrival
  bool whole_message = false;  // the line is the message as it came
  Format format = Format::any;
  std::chrono::milliseconds idle_timeout{120'000};  // of a TCP connection
  std::size_t max_message = 64 << 10;
  std::size_t max_connections = 1'000;
};

// bad_input with the place of the mistake.
Result<std::vector<ListenerConfig>> parse_config(std::string_view yaml, std::string_view file);

}  // namespace tocayo::syslog
