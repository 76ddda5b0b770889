// SPDX-License-Identifier: Apache-2.0
// Where targets come from. A provider is asked again and again; what it found last stays when a look-up fails.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "agent/scrape/config.h"
#include "core/context.h"
#include "core/error.h"
#include "http/client.h"

namespace tocayo::agent {

// One thread at a time. Blocking calls: on a thread of its own, or for what looks only at files on one they share.
class Discovery {
 public:
  virtual ~Discovery() = default;
  // The groups as they are now. An error leaves the caller with the former ones; it is logged and counted there. Where
  // there are several sources (files, names) and one fails, its former groups are in the result (logged and counted
  // here).
  virtual Result<std::vector<TargetGroup>> look(const Context& context) = 0;
  // When to look again.
  virtual std::chrono::milliseconds interval() const = 0;
  // True when there is reason to look before the interval is over (a file changed). Cheap.
  virtual bool changed() { return false; }
  virtual std::string_view kind() const = 0;  // "file", "http", "dns"
  // Whether look() waits for others over the network, and so must not hold up anybody.
  virtual bool may_hang() const { return true; }
};

// All but the static groups, which need no looking.
std::vector<std::unique_ptr<Discovery>> make_discoveries(const ScrapeConfig& config, http::Client& client);

// The JSON of file and HTTP discovery: [{"targets": ["host:port"], "labels": {"a": "b"}}].
Result<std::vector<TargetGroup>> parse_target_groups_json(std::string_view text, const std::string& source);
// The YAML of file discovery. Errors are located.
Result<std::vector<TargetGroup>> parse_target_groups_yaml(std::string_view text, const std::string& source);

// A DNS message with the answer for `name`, as it came from the network. Records of other types than the configured are
// skipped.
Result<TargetGroup> parse_dns_answer(std::string_view answer, const DnsDiscoveryConfig& config,
                                     const std::string& name);

}  // namespace tocayo::agent
