// SPDX-License-Identifier: Apache-2.0
// Where log lines are sent: `clients` of a promtail file, with two keys more for the queue on disk.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/scrape/http_settings.h"
#include "agent/ship/destination.h"
#include "core/error.h"
#include "core/labels.h"

namespace YAML {
class Node;
}

namespace tocayo::agent {

struct LogDestination {
  std::string name;    // of the metrics' label and, made safe, of the directory; defaults to the URL without secrets
  std::string url;     // of the push endpoint
  std::string tenant;  // of lines that no stage gave one; "": none is said
  std::chrono::milliseconds batch_wait{1000};
  std::uint64_t batch_size = 1 << 20;  // bytes of lines
  std::chrono::milliseconds timeout{10'000};
  std::chrono::milliseconds min_backoff{500}, max_backoff{300'000};
  std::map<std::string, std::string> headers;
  HttpSettings http;
  Labels external_labels;
  std::uint64_t max_disk = 0;  // bytes; 0: a tenth of the volume, at most 8 GiB
  // Files are their own queue, so by default a full one waits: nothing is lost that is not removed from the disk.
  WhenFull when_full = WhenFull::block;
};

// A list of clients. Relative paths are taken from `directory`. Errors "<file>:<line>:<column>: …". What has no meaning
// here is told in `warnings`.
Result<std::vector<LogDestination>> parse_log_clients(const YAML::Node& list, const std::string& file,
                                                      const std::string& directory, std::vector<std::string>& warnings);

}  // namespace tocayo::agent
