// SPDX-License-Identifier: Apache-2.0
// The write side of the API: remote write 1.0 and 2.0, and import of text exposition. Negotiates the format, decodes on
// the compute pool into a pooled arena, hands the rows to the store and says exactly what became of them.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/pool.h"
#include "core/registry.h"
#include "core/time.h"
#include "http/message.h"
#include "metrics/api/limits.h"
#include "metrics/api/rate_limit.h"
#include "metrics/appender.h"
#include "metrics/ingest_rows.h"
#include "metrics/remote_write.h"

namespace tocayo::metrics::api {

struct PushOptions {
  std::size_t max_recv_msg_size = 100 << 20;  // decompressed, bytes
  std::size_t max_inflight_push_requests_bytes = 512
                                                 << 20;  // bodies, compressed and not, of all requests being worked on
  std::size_t max_inflight_push_requests = 2000;         // 0: no limit
  std::chrono::milliseconds tenant_idle_timeout = std::chrono::minutes(30);  // then what is kept for one is freed
};

// Thread-safe. Borrows everything it is given.
class PushHandler {
 public:
  PushHandler(Appender& appender, Pool& compute, LimitsLookup limits, Registry& registry, PushOptions options = {},
              const Clock& clock = Clock::system());
  ~PushHandler();

  // POST /api/v1/push and its other paths. The body must come raw (RouteOptions::raw_body).
  Task<http::Response> remote_write(http::Request& request);
  // POST /api/v1/import/prometheus: text exposition 0.0.4 or OpenMetrics; `timestamp` (ms) for lines that have none,
  // `extra_label=name=value` for every series.
  Task<http::Response> import_text(http::Request& request);

 private:
  struct Tenant;
  class Inflight;
  struct Arena;

  // Shared: a request under way keeps its tenant's state when that is given up for being idle.
  std::shared_ptr<Tenant> tenant(std::string_view name);
  void evict_idle(TimestampMs now);  // with tenants_mutex_ held
  std::unique_ptr<Arena> take_arena();
  void return_arena(std::unique_ptr<Arena> arena);
  // Appends what the arena holds and renders the outcome.
  Task<http::Response> store(http::Request& request, Tenant& tenant, const ApiLimits& limits, Arena& arena);
  std::optional<http::Response> check_request_rate(const http::Request& request, Tenant& tenant,
                                                   const ApiLimits& limits);

  Appender& appender_;
  Pool& compute_;
  LimitsLookup limits_;
  Registry& registry_;
  const PushOptions options_;
  const Clock& clock_;

  std::atomic<std::size_t> inflight_bytes_{0};
  std::atomic<std::size_t> inflight_requests_{0};
  mutable std::mutex tenants_mutex_;
  std::unordered_map<std::string, std::shared_ptr<Tenant>> tenants_;
  TimestampMs next_eviction_ = 0;
  std::mutex arenas_mutex_;
  std::vector<std::unique_ptr<Arena>> arenas_;
  Counter& unsorted_series_;
  Gauge& inflight_gauge_;
};

// What the Content-Type header names. nullopt text: the version; else what is wrong (415).
struct WriteFormat {
  RemoteWriteVersion version = RemoteWriteVersion::v1;
  std::string problem;
};
WriteFormat negotiate_write_format(std::string_view content_type);

// Seconds for Retry-After: 6 s doubled per attempt (the sender's Retry-Attempt header), at most 96 s, ± 50 % by
// `jitter` in [0, 1).
int retry_after_seconds(std::string_view retry_attempt, double jitter);

}  // namespace tocayo::metrics::api
