// SPDX-License-Identifier: Apache-2.0
// What logs are collected: a promtail file, or the same keys below `logs:` of our own file or Grafana Agent's.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/logs/pipeline.h"
#include "agent/logs/push_config.h"
#include "agent/logs/tail_file.h"
#include "agent/scrape/config.h"
#include "agent/ship/log_destination.h"
#include "core/error.h"
#include "core/labels.h"
#include "core/relabel.h"

namespace tocayo::agent {

struct JournalSettings {
  std::string path;  // a directory of journal files; "": the machine's journal
  bool json = false;
  std::chrono::nanoseconds max_age = std::chrono::hours(7);
  Labels labels;
  std::vector<std::string> matches;  // FIELD=value, all must hold
};

class LogInbox;

struct LogJob {
  std::string name;
  PipelinePlan pipeline;
  std::vector<RelabelRule> relabel;
  std::vector<Labels> targets;  // of static_configs, with __address__ and, for files, __path__
  std::vector<FileDiscoveryConfig> file_discovery;
  std::optional<JournalSettings> journal;
  std::optional<PushSettings> push;
  // Of a job with `push`: where its lines come in, made by who listens (shared with the requests under way). Without it
  // nothing comes.
  std::shared_ptr<LogInbox> inbox;
  // Ours: directories in which container runtimes keep logs. Their layout gives labels, their lines are read as cri and
  // docker do.
  std::string pods, containers;
  std::string encoding;  // "": UTF-8, any bytes
  Compression compression = Compression::none;
  std::chrono::milliseconds initial_delay{0};  // of compressed files: they are being written at first
  std::uint64_t fingerprint = 0;               // equal for equal configurations
};

struct LogLimits {
  double rate = 0;  // lines a second over all jobs; 0: none
  std::int64_t burst = 10'000;
  bool rate_drop = true;            // else reading waits
  std::uint64_t max_line_size = 0;  // bytes; 0: none
  bool truncate = false;            // longer lines are cut, else left out
  std::int64_t max_streams = 0;     // 0: any number
  bool operator==(const LogLimits&) const = default;
};

struct LogsConfig {
  std::vector<LogJob> jobs;
  std::vector<LogDestination> destinations;
  std::string positions_file;  // promtail's, to begin with; ours is in the data directory
  LogLimits limits;
};

// The keys clients (or client), positions, scrape_configs, target_config, limits_config of a mapping; other keys are
// not looked at. Relative paths are taken from `directory`. Errors "<file>:<line>:<column>: …".
Result<LogsConfig> parse_logs_node(const YAML::Node& node, const std::string& file, const std::string& directory,
                                   std::vector<std::string>& warnings);

// A target before and after relabelling. nullopt: it was dropped, is another machine's (__host__) or has no labels
// left.
std::optional<Labels> log_target(const LogJob& job, Labels discovered, std::string_view host);

}  // namespace tocayo::agent
