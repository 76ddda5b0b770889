// SPDX-License-Identifier: Apache-2.0
// Where samples are sent: `remote_write` of a Prometheus configuration file, with two keys more for the queue on disk.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/scrape/http_settings.h"
#include "agent/ship/record.h"
#include "core/error.h"
#include "metrics/remote_write.h"

namespace tocayo::agent {

enum class WhenFull : unsigned char {
  drop_oldest,  // the oldest queued rows make room
  block,        // new rows are refused until there is room
};

struct QueueSettings {
  std::size_t min_shards = 1, max_shards = 50;  // requests under way at once; a series always uses the same lane
  std::size_t max_samples_per_send = 2000;
  std::size_t capacity = 10'000;  // accepted as Prometheus has it; the queue is on disk
  std::chrono::milliseconds batch_send_deadline{5000};
  std::chrono::milliseconds min_backoff{30}, max_backoff{5000};
  bool retry_on_http_429 = true;
  std::chrono::milliseconds sample_age_limit{0};  // 0: none
  std::uint64_t max_disk = 0;                     // bytes; 0: a tenth of the volume, at most 8 GiB
  WhenFull when_full = WhenFull::drop_oldest;
};

struct Destination {
  std::string name;  // of the metrics' label and, made safe, of the directory; defaults to the URL without its secrets
  std::string url;
  metrics::RemoteWriteVersion version = metrics::RemoteWriteVersion::v1;
  bool negotiate = false;  // begin with 2.0, change to 1.0 when the server answers 415
  std::chrono::milliseconds timeout{30'000};
  std::map<std::string, std::string> headers;
  HttpSettings http;
  RecordRules rules;
  QueueSettings queue;
  std::string yaml;  // as given, secrets hidden
};

// The part `remote_write` (and global.external_labels) of the file; other parts are not looked at. Relative paths are
// taken from `directory`. Errors "<file>:<line>:<column>: …"; two destinations of one name are one.
Result<std::vector<Destination>> parse_remote_write(std::string_view text, std::string_view file,
                                                    const std::string& directory);

// The same of a document that was parsed before.
Result<std::vector<Destination>> parse_remote_write_node(const YAML::Node& root, const std::string& file,
                                                         const std::string& directory);

// Name of the destination's directory: readable, and unique because a hash follows what was replaced.
std::string directory_name(const Destination& destination);
std::string directory_name(std::string_view name);

// URL without user, password and query.
std::string public_url(std::string_view url);

// The file with all that looks like a secret replaced by <secret>.
Result<std::string> without_secrets(std::string_view text, std::string_view file);

// Replaces ${NAME} and ${NAME:-default} by environment variables. A name that is not set and has no default stays as it
// is: it may be a group of a relabelling replacement.
std::string expand_environment(std::string_view text);

}  // namespace tocayo::agent
