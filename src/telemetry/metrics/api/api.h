// SPDX-License-Identifier: Apache-2.0
// The HTTP surface of metrics: Prometheus' API (and the push path of Mimir) over the store and the query engine.
// src/main fills ApiDependencies, makes one MetricsApi and mounts it. Everything borrowed must outlive the API; the API
// must outlive the server.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/context.h"
#include "core/error.h"
#include "core/fair_gate.h"
#include "core/labels.h"
#include "core/pool.h"
#include "core/registry.h"
#include "core/time.h"
#include "http/router.h"
#include "metrics/api/limits.h"
#include "metrics/api/memory_guard.h"
#include "metrics/api/notifications.h"
#include "metrics/api/push.h"
#include "metrics/api/query_limits.h"
#include "metrics/api/sequence.h"
#include "metrics/api/targets.h"
#include "metrics/appender.h"
#include "metrics/querier.h"
#include "promql/engine.h"

namespace tocayo::metrics::api {

// Reads of one tenant as they stand at the moment of the call. Thread-safe; called on the compute pool.
using QuerierFactory = std::function<Result<std::shared_ptr<const Querier>>(std::string_view tenant)>;

struct ExemplarSeries {
  Labels labels;
  std::vector<ExemplarRow> exemplars;  // ascending by time
};
// Exemplars in [start, end] of series that match every matcher of any of the sets, sorted by labels.
using ExemplarReader = std::function<Result<std::vector<ExemplarSeries>>(
    std::string_view tenant, std::span<const std::vector<Matcher>> matcher_sets, TimestampMs start, TimestampMs end,
    const Context& context)>;

// All metadata of one metric family ("" = of every one), sorted by metric.
using MetadataReader =
    std::function<Result<std::vector<MetadataRow>>(std::string_view tenant, std::string_view metric)>;

// status/tsdb. Lists are sorted by count, biggest first, at most `limit` long.
struct HeadStatus {
  using Counts = std::vector<std::pair<std::string, std::uint64_t>>;
  std::uint64_t series = 0;
  std::uint64_t label_pairs = 0;
  std::uint64_t chunks = 0;
  TimestampMs min_time = 0, max_time = 0;
  Counts series_by_metric, values_by_label, memory_by_label, series_by_label_pair;  // the pair as "name=value"
};
using HeadStatusReader = std::function<Result<HeadStatus>(std::string_view tenant, std::size_t limit)>;

// status/tsdb/blocks.
struct BlockInfo {
  std::string ulid;
  TimestampMs min_time = 0, max_time = 0;
  std::uint64_t samples = 0, series = 0, chunks = 0;
  int level = 1;
};
using BlocksReader = std::function<Result<std::vector<BlockInfo>>(std::string_view tenant)>;

struct ReplayProgress {
  std::int64_t min = 0, max = 0, current = 0;
};

struct ApiDependencies {
  Appender* appender = nullptr;
  QuerierFactory querier;
  const promql::Engine* engine = nullptr;
  Pool* compute = nullptr;
  Pool* queries = nullptr;                                             // what may take long; null: `compute`
  LimitsLookup limits = [](std::string_view) { return ApiLimits{}; };  // of writes
  QueryLimitsLookup query_limits = [](std::string_view) { return std::make_shared<const QueryLimits>(); };  // of reads
  MemoryGuardOptions memory;
  Registry* registry = &Registry::global();
  const Clock* clock = &Clock::system();

  // What may be absent answers validly empty.
  ExemplarReader exemplars;
  MetadataReader metadata;
  HeadStatusReader head_status;
  BlocksReader blocks;
  TargetProvider* targets = nullptr;  // filled by the agent
  NotificationHub* notifications = nullptr;
  SequenceLog* sequences = nullptr;  // of collectors that number their requests; null: these pass like any other
  GapRecorder record_gap;            // what collectors say they lost
  std::function<ReplayProgress()> replay;
  std::function<bool()> ready;               // false while replaying; absent = always
  std::function<std::string()> config_yaml;  // without secrets
  std::vector<std::pair<std::string, std::string>> flags;
  std::function<TimestampMs()> last_config_reload;
  std::string storage_retention;                                     // "15d"
  std::vector<std::pair<std::string, std::string>> external_labels;  // of /federate
  std::string version = "3.14.0";  // of the Prometheus whose API this is: clients switch features by it
  std::string tocayo_version = "0.1.0", revision, build_date;

  PushOptions push;
  std::size_t query_concurrency = 0;  // 0: twice the cores
  std::size_t query_queue = 128;      // waiting, per tenant
};

// One query of a tenant, from its admission until its result is gone.
struct Reading {
  std::shared_ptr<MemoryGuard::Query> query;  // shared: by the handler and the stream of its result
  std::shared_ptr<const QueryLimits> limits;
  std::shared_ptr<const Querier> querier;  // limited; reads from `query`'s meter
};

class MetricsApi {
 public:
  explicit MetricsApi(ApiDependencies dependencies);
  ~MetricsApi();

  // Adds all routes: below /api/v1, /prometheus/api/v1, /as/prometheus/api/v1 and /as/mimir/prometheus/api/v1,
  // /federate, and the write paths.
  void mount(http::Router& router);
  // /-/healthy, /-/ready, /ready and /metrics of the program itself.
  void mount_operations(http::Router& router);

  PushHandler& push();
  // For rooms that read the store themselves: admits a query that lives in `context`, under the limits that the
  // tenant's queries have here. unavailable when memory is short or the store is not there.
  Result<Reading> read(std::string_view tenant, const Context& context);
  // Waits until one more query of the tenant may run, in the fair queue that queries over HTTP stand in, and resumes on
  // the pool of queries. Hold the permit while it runs. limit: the tenant's queue is full; canceled or timeout: the
  // context ended first.
  Task<Result<FairGate::Permit>> enter(std::string tenant, Context context);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tocayo::metrics::api
