// SPDX-License-Identifier: Apache-2.0
// Private to this room: what the handlers share, and the handlers, by file. Each handler starts on an io thread, reads
// its parameters there and does the rest on the compute pool.
#pragma once

#include <memory>
#include <string>

#include "core/fair_gate.h"
#include "metrics/api/api.h"
#include "metrics/api/memory_guard.h"
#include "metrics/api/quantiles.h"
#include "metrics/api/query_limits.h"

namespace tocayo::metrics::api {

struct ApiCore {
  explicit ApiCore(ApiDependencies dependencies);
  ~ApiCore();

  ApiDependencies deps;
  MemoryGuard memory;
  FairGate gate;
  QueryFrequency frequency;
  PushHandler push;
  SequenceDoor sequences;  // before `push`
  QueryDurations durations;
  Counter& samples_read;
  Counter& api_queries;
  Histogram &queue_seconds, &queried_series, &queried_samples, &queried_exemplars, &retries;  // Mimir's names
  TimestampMs started;

  std::shared_ptr<const QueryLimits> limits(const http::Request& request) const {
    return deps.query_limits(request.identity.tenant);
  }
  // Admits a query that lives in `context`. unavailable when memory is short or the store is not there.
  Result<Reading> begin(std::string_view tenant, const Context& context);
  Result<Reading> begin(const http::Request& request, const Context& context) {
    return begin(request.identity.tenant, context);
  }
  Result<Reading> begin(const http::Request& request) { return begin(request, request.context); }
};

using Core = const std::shared_ptr<ApiCore>&;
using Handled = Task<http::Response>;

// sequence.cpp
Handled handle_remote_write(ApiCore& core, http::Request& request);
// query_handlers.cpp
Handled handle_query(ApiCore& core, http::Request& request);
Handled handle_query_range(ApiCore& core, http::Request& request);
// expression_handlers.cpp
Handled handle_format_query(ApiCore& core, http::Request& request);
Handled handle_parse_query(ApiCore& core, http::Request& request);
Handled handle_query_exemplars(ApiCore& core, http::Request& request);
// series_handlers.cpp
Handled handle_series(ApiCore& core, http::Request& request);
Handled handle_labels(ApiCore& core, http::Request& request);
Handled handle_label_values(ApiCore& core, http::Request& request);
Handled handle_metadata(ApiCore& core, http::Request& request);
// status_handlers.cpp
Handled handle_status_config(ApiCore& core, http::Request& request);
Handled handle_status_flags(ApiCore& core, http::Request& request);
Handled handle_status_runtimeinfo(ApiCore& core, http::Request& request);
Handled handle_status_buildinfo(ApiCore& core, http::Request& request);
Handled handle_status_tsdb(ApiCore& core, http::Request& request);
Handled handle_status_tsdb_blocks(ApiCore& core, http::Request& request);
Handled handle_status_walreplay(ApiCore& core, http::Request& request);
Handled handle_status_self_metrics(ApiCore& core, http::Request& request);
Handled handle_features(ApiCore& core, http::Request& request);
Handled handle_notifications(ApiCore& core, http::Request& request);
Handled handle_notifications_live(ApiCore& core, http::Request& request);
Handled handle_healthy(ApiCore& core, http::Request& request);
Handled handle_ready(ApiCore& core, http::Request& request);
Handled handle_self_metrics_text(ApiCore& core, http::Request& request);
// target_handlers.cpp
Handled handle_targets(ApiCore& core, http::Request& request);
Handled handle_targets_metadata(ApiCore& core, http::Request& request);
Handled handle_relabel_steps(ApiCore& core, http::Request& request);
Handled handle_scrape_pools(ApiCore& core, http::Request& request);
Handled handle_scrape_pool_config(ApiCore& core, http::Request& request);
Handled handle_rules(ApiCore& core, http::Request& request);
Handled handle_alerts(ApiCore& core, http::Request& request);
Handled handle_alertmanagers(ApiCore& core, http::Request& request);
Handled handle_admin_unavailable(ApiCore& core, http::Request& request);
// federate.cpp
Handled handle_federate(ApiCore& core, http::Request& request);
// remote_read.cpp
Handled handle_remote_read(ApiCore& core, http::Request& request);

// The earliest instant that a query of this tenant may look at (max_query_lookback).
TimestampMs clamp_start(const ApiCore& core, const QueryLimits& limits, TimestampMs start);

}  // namespace tocayo::metrics::api
