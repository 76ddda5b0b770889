// SPDX-License-Identifier: Apache-2.0
// Private to this room: what the handlers share, and the handlers, by file.
#pragma once

#include <memory>
#include <string>

#include "core/fair_gate.h"
#include "logs/api/api.h"
#include "logs/api/json_out.h"
#include "logs/api/params.h"
#include "logs/api/query_share.h"
#include "logs/api/tail.h"

namespace tocayo::logs::api {

struct ApiCore {
  explicit ApiCore(ApiDependencies dependencies);
  ~ApiCore();
  ApiDependencies deps;
  FairGate gate;  // how many queries run at once
  QueryShare share;
  PushHandler push;
  TailHub tail;
  Counter& refused;  // queries that found the queue full
  Histogram& queue_seconds;

  TimestampNs now() const { return deps.clock->now_ms() * 1'000'000; }
  // Of the request's tenant; of several the smallest.
  std::shared_ptr<const LogLimits> limits(const http::Request& request) const {
    return limits(request.identity.tenant);
  }
  std::shared_ptr<const LogLimits> limits(std::string_view tenant) const;
  // What the request may read: its tenant, or the union of those that `a|b` names.
  Result<std::shared_ptr<const Querier>> querier(const http::Request& request) const;
  // Changes with what can be read.
  std::uint64_t version(std::string_view tenant) const;
};

using Handled = Task<http::Response>;
using Function = Handled (*)(ApiCore& core, http::Request& request);

// Loki's error shape: the bare message as text. bad_input and limit are 400.
http::Response error_text(const Error& error);
// Runs `answer` on the compute pool and turns its error into a response.
Handled on_compute(ApiCore& core, std::move_only_function<Result<http::Response>()> answer);

// As on_compute, when it is the request's turn; beyond the queue 429. `cost` as of FairGate.
Handled in_turn(ApiCore& core, http::Request& request, double cost,
                std::move_only_function<Result<http::Response>()> answer);
// 429: the tenant's queue is full.
http::Response too_many_requests();

// query_handlers.cpp
Handled handle_query(ApiCore& core, http::Request& request);
Handled handle_query_range(ApiCore& core, http::Request& request);
Handled handle_export(ApiCore& core, http::Request& request);
Handled handle_format_query(ApiCore& core, http::Request& request);
// index_handlers.cpp
Handled handle_labels(ApiCore& core, http::Request& request);
Handled handle_label_values(ApiCore& core, http::Request& request);
Handled handle_series(ApiCore& core, http::Request& request);
Handled handle_index_stats(ApiCore& core, http::Request& request);
Handled handle_index_shards(ApiCore& core, http::Request& request);
Handled handle_volume(ApiCore& core, http::Request& request);
Handled handle_volume_range(ApiCore& core, http::Request& request);
Handled handle_patterns(ApiCore& core, http::Request& request);
// field_handlers.cpp
Handled handle_detected_fields(ApiCore& core, http::Request& request);
Handled handle_detected_field_values(ApiCore& core, http::Request& request);
Handled handle_detected_labels(ApiCore& core, http::Request& request);
// admin_handlers.cpp
Handled handle_add_delete(ApiCore& core, http::Request& request);
Handled handle_list_deletes(ApiCore& core, http::Request& request);
Handled handle_cancel_delete(ApiCore& core, http::Request& request);
Handled handle_buildinfo(ApiCore& core, http::Request& request);
Handled handle_limits_yaml(ApiCore& core, http::Request& request);
Handled handle_drilldown_limits(ApiCore& core, http::Request& request);
Handled handle_label_growth(ApiCore& core, http::Request& request);
Handled handle_flush(ApiCore& core, http::Request& request);

}  // namespace tocayo::logs::api
