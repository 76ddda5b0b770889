// SPDX-License-Identifier: Apache-2.0
// Private to logs: from jobs to files and their labels.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/logs/log_config.h"
#include "agent/logs/positions.h"

namespace tocayo::agent {

// Files that match a pattern, with the labels that their lines get.
struct LogTarget {
  std::string pattern, exclude;
  Labels labels;  // before filename
};

// What a job's targets are, after relabelling. `groups`: those that discoveries found.
std::vector<LogTarget> targets_of(const LogJob& job, const std::vector<TargetGroup>& groups, std::string_view host);

struct LogFile {
  std::string path;
  Labels labels;  // filename included
};
// The files that there are.
std::vector<LogFile> files_of(const LogJob& job, const std::vector<LogTarget>& targets, std::string_view host);
// The labels of a file that may be gone; nullopt: no target covers it.
std::optional<Labels> labels_of_path(const LogJob& job, const std::vector<LogTarget>& targets, std::string_view host,
                                     const std::string& path);

// /var/log/pods/<namespace>_<pod>_<uid>/<container>/<n>.log → labels and __meta_kubernetes_*.
std::optional<Labels> pod_labels(std::string_view root, std::string_view path);
// <root>/<id>/<id>-json.log → labels and __meta_docker_*, of config.v2.json beside it.
std::optional<Labels> container_labels(std::string_view root, std::string_view path);
// "api-7d4b9c6f5-x2x9z" → "api", "db-0" → "db".
std::string app_of_pod(std::string_view pod);

// Where the rest of a file is that was read up to `position` and is no longer where it was: renamed, copied, or
// compressed.
struct Remainder {
  std::string path;
  Compression compression = Compression::none;
  bool same_inode = false;
};
std::optional<Remainder> find_remainder(const Position& position);

std::string machine_name();

}  // namespace tocayo::agent
