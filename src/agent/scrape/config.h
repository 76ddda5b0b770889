// SPDX-License-Identifier: Apache-2.0
// `global` and `scrape_configs` of a Prometheus configuration file.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/scrape/http_settings.h"
#include "core/error.h"
#include "core/labels.h"
#include "core/relabel.h"

namespace YAML {
class Node;
}

namespace tocayo::agent {

// Some targets with labels they share, and where they were found (a file, an URL): later finds of one source replace
// the former.
struct TargetGroup {
  std::vector<Labels> targets;  // each at least __address__
  Labels labels;
  std::string source;
  bool operator==(const TargetGroup&) const = default;
};

struct FileDiscoveryConfig {
  std::vector<std::string> files;  // paths, `*` allowed in the last part
  std::chrono::milliseconds refresh_interval{300'000};
  bool operator==(const FileDiscoveryConfig&) const = default;
};
struct HttpDiscoveryConfig {
  std::string url;
  std::chrono::milliseconds refresh_interval{60'000};
  HttpSettings http;
  bool operator==(const HttpDiscoveryConfig&) const = default;
};
struct DnsDiscoveryConfig {
  std::vector<std::string> names;
  std::string type = "SRV";  // A AAAA MX NS SRV
  int port = 0;              // for all but SRV
  std::chrono::milliseconds refresh_interval{30'000};
  bool operator==(const DnsDiscoveryConfig&) const = default;
};

struct ScrapeConfig {
  std::string job_name;
  std::chrono::milliseconds interval{60'000}, timeout{10'000};
  std::string metrics_path = "/metrics", scheme = "http";
  std::map<std::string, std::vector<std::string>> params;
  std::vector<std::string> protocols;  // PrometheusProto OpenMetricsText1.0.0 …, in order of preference
  std::string fallback_protocol;
  bool honor_labels = false, honor_timestamps = true, track_timestamps_staleness = false;
  bool enable_compression = true;
  std::uint64_t body_size_limit = 0;  // bytes, 0 = none
  std::size_t sample_limit = 0, label_limit = 0, label_name_length_limit = 0, label_value_length_limit = 0,
              target_limit = 0;
  std::size_t keep_dropped_targets = 0;  // 0 = all
  std::size_t native_histogram_bucket_limit = 0;
  double native_histogram_min_bucket_factor = 0;
  bool scrape_native_histograms = false, always_scrape_classic_histograms = false,
       convert_classic_histograms_to_nhcb = false;
  bool utf8_names = true;                // metric_name_validation_scheme
  std::string escaping = "allow-utf-8";  // metric_name_escaping_scheme
  // scrape_timeout_seconds, scrape_sample_limit and scrape_body_size_bytes beside the other reports. Unlike Prometheus
  // on by default.
  bool extra_scrape_metrics = true;
  std::string failure_log_file;  // absolute, "" = none
  HttpSettings http;
  std::vector<RelabelRule> relabel, metric_relabel;
  std::vector<TargetGroup> static_groups;
  std::vector<FileDiscoveryConfig> file_discovery;
  std::vector<HttpDiscoveryConfig> http_discovery;
  std::vector<DnsDiscoveryConfig> dns_discovery;
  std::string yaml;  // as given, secrets hidden: for /api/v1/scrape_pools/config
  std::uint64_t fingerprint =
      0;  // equal for equal configurations, what is inherited from `global` and secrets included
};

struct ScrapeFile {
  std::vector<ScrapeConfig> jobs;
  Labels external_labels;
  std::vector<std::string> files;     // that scrape_config_files led to
  std::vector<std::string> warnings;  // parts that somebody else is in charge of (rules, alerting, remote_write …)
};

// Relative paths are taken from `directory`; the files of scrape_config_files are read. Errors "<file>:<line>:<column>:
// …".
Result<ScrapeFile> parse_scrape_file(std::string_view text, std::string_view file, const std::string& directory);

// The same of a document that was parsed before.
Result<ScrapeFile> parse_scrape_node(const YAML::Node& root, const std::string& file, const std::string& directory);

// The Accept header for these protocols, with Prometheus' weights.
std::string accept_header(const ScrapeConfig& config);

}  // namespace tocayo::agent
