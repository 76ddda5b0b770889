// SPDX-License-Identifier: Apache-2.0
// What scraping tells the API about itself. src/agent implements it; without it the endpoints answer validly empty.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/labels.h"
#include "core/time.h"
#include "metrics/appender.h"

namespace tocayo::metrics::api {

struct ScrapeTarget {
  Labels discovered_labels;
  Labels labels;
  std::string scrape_pool;
  std::string scrape_url;
  std::string global_url;
  std::string last_error;
  TimestampMs last_scrape = 0;                  // 0: never
  double last_scrape_duration = 0;              // seconds
  std::string health = "unknown";               // up, down, unknown
  std::string scrape_interval, scrape_timeout;  // "15s"
};
struct DroppedTarget {
  Labels discovered_labels;
  std::string scrape_pool;
};

struct TargetMetadata {
  Labels target;
  MetadataRow row;
};

struct RelabelStep {
  std::string rule_json;  // the rule as the API shows it: {"source_labels":[…],…}
  Labels output;
  bool keep = true;
};

// Thread-safe; snapshots.
class TargetProvider {
 public:
  virtual ~TargetProvider() = default;
  virtual std::vector<std::string> scrape_pools() const = 0;
  virtual std::vector<ScrapeTarget> active_targets() const = 0;
  virtual std::vector<DroppedTarget> dropped_targets() const = 0;
  // Dropped targets per pool; may exceed what dropped_targets() keeps.
  virtual std::vector<std::pair<std::string, std::size_t>> dropped_counts() const = 0;
  // Metadata seen on scrapes of targets, "" = of all metrics.
  virtual std::vector<TargetMetadata> metadata(std::string_view metric) const = 0;
  // YAML of the pool's scrape_config, secrets hidden. bad_input when there is none of that name.
  virtual Result<std::string> pool_config(std::string_view pool) const = 0;
  // The pool's relabelling applied to `labels`, rule by rule. bad_input as above.
  virtual Result<std::vector<RelabelStep>> relabel_steps(std::string_view pool, const Labels& labels) const = 0;
};

}  // namespace tocayo::metrics::api
