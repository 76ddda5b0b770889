// SPDX-License-Identifier: Apache-2.0
// The embedded agent: watches this machine and this program, and appends to the store in-process, without HTTP and
// without a WAL of its own.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "agent/host/host_collectors.h"
#include "core/error.h"
#include "core/registry.h"
#include "core/time.h"
#include "metrics/appender.h"

namespace tocayo::agent {

struct HostAgentOptions {
  HostOptions host;  // constant_labels are set by the agent: job and instance
  std::string tenant = "anonymous";
  std::string job = "node";
  std::string self_job = "tocayo";
  std::string instance;  // empty: the host name
  // Collectors that run every `fast_interval`; all others, and these too, run every `interval` (a multiple of it).
  std::vector<std::string> fast_collectors = {"cpu", "diskstats", "loadavg", "meminfo", "netdev"};
  // Families of the program's own registry that are written every `fast_interval`.
  std::vector<std::string> self_fast_names;
  std::chrono::milliseconds fast_interval{1000};
  std::chrono::milliseconds interval{15000};
};

// Life cycle: create, start, (collectors() for /metrics at any time), stop. One thread of its own, and the collectors'
// helper. Time stamps are aligned to the interval. Every series of a job carries job and instance; beside them, as for
// a scraped target: up, scrape_duration_seconds, scrape_samples_scraped, scrape_samples_post_metric_relabeling,
// scrape_series_added. A series that is gone gets a stale marker at the next collection of its source, all get one at
// stop().
//
// An append that has not finished when the next tick comes makes that tick skip
// (tocayo_agent_skipped_collections_total); nothing queues up. The appender, registry and clock must outlive the agent.
class HostAgent {
 public:
  // bad_input when a filter does not compile or an interval or collector name makes no sense.
  static Result<std::unique_ptr<HostAgent>> create(HostAgentOptions options, metrics::Appender& appender,
                                                   Registry& registry = Registry::global(),
                                                   Clock& clock = Clock::system());
  virtual ~HostAgent() = default;  // stops

  // Starts the thread; the first collection, a full one, is made at once.
  virtual void start() = 0;
  // Ends the thread, writes the stale markers and waits for that append, all in at most about five seconds. Idempotent.
  virtual void stop() = 0;

  // One collection at this time without the thread: what start() does at each tick. Not while the thread runs. False
  // when it was skipped because an append is still under way.
  virtual bool collect_once(TimestampMs time, bool full) = 0;

  virtual HostCollectors& collectors() = 0;
};

}  // namespace tocayo::agent
