// SPDX-License-Identifier: Apache-2.0
// Scrapes like Prometheus: discovery, relabelling, spread but stable scrape times, staleness, reports.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/scrape/config.h"
#include "core/error.h"
#include "core/pool.h"
#include "core/time.h"
#include "http/client.h"
#include "metrics/appender.h"

namespace tocayo::agent {

struct TargetStatus {
  Labels discovered, labels;
  std::string pool, url, last_error, health;  // unknown, up, down
  TimestampMs last_scrape = 0;                // 0: never
  double last_duration = 0;                   // seconds
  std::chrono::milliseconds interval{0}, timeout{0};
  std::size_t series = 0;  // known from the last scrapes
};
struct DroppedStatus {
  Labels discovered;
  std::string pool;
};

struct ScraperOptions {
  std::string tenant = "anonymous";
  std::string user_agent = "Tocayo";
};

// Life cycle: create, apply(file) as often as the configuration changes, stop. Thread-safe. One thread plans scrapes,
// one looks for targets in files, each discovery over the network has one; bodies are read on `compute`. What a reload
// does not change goes on without a missed scrape.
class Scraper {
 public:
  static std::unique_ptr<Scraper> create(ScraperOptions options, http::Client& client, metrics::Appender& appender,
                                         Pool& compute, Clock& clock = Clock::system());
  virtual ~Scraper() = default;  // stops

  virtual void apply(ScrapeFile file) = 0;
  virtual void stop() = 0;

  virtual std::vector<std::string> pools() const = 0;
  virtual std::vector<TargetStatus> active() const = 0;
  virtual std::vector<DroppedStatus> dropped() const = 0;
  virtual std::vector<std::pair<std::string, std::size_t>> dropped_counts() const = 0;
  // Metadata by target, "" = of all metrics.
  virtual std::vector<std::pair<Labels, metrics::MetadataRow>> metadata(std::string_view metric) const = 0;
  // not_found when there is no such pool.
  virtual Result<ScrapeConfig> pool_config(std::string_view pool) const = 0;
};

}  // namespace tocayo::agent
