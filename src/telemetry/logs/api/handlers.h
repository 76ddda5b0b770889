// SPDX-License-Identifier: Apache-2.0
// Private to this room: what the handlers share, and the handlers, by file.
#pragma once

#include <memory>
#include <string>

#include "logs/api/api.h"
#include "logs/api/json_out.h"
#include "logs/api/params.h"
#include "logs/api/tail.h"

namespace tocayo::logs::api {

struct ApiCore {
  explicit ApiCore(ApiDependencies dependencies)
      : deps(std::move(dependencies)),
        push(*deps.store, *deps.compute, deps.limits, *deps.registry, deps.push, *deps.clock),
        tail(*deps.store, *deps.engine, *deps.compute, deps.limits, *deps.registry, *deps.clock) {}
  ApiDependencies deps;
  PushHandler push;
  TailHub tail;

  TimestampNs now() const { return deps.clock->now_ms() * 1'000'000; }
  std::shared_ptr<const LogLimits> limits(const http::Request& request) const {
    return deps.limits(request.identity.tenant);
  }
  // What the request may read: its tenant, or the union of those that `a|b` names.
  Result<std::shared_ptr<const Querier>> querier(const http::Request& request) const;
};

using Handled = Task<http::Response>;
using Function = Handled (*)(ApiCore& core, http::Request& request);

// Loki's error shape: the bare message as text. bad_input and limit are 400.
http::Response error_text(const Error& error);
// Runs `answer` on the compute pool and turns its error into a response.
Handled on_compute(ApiCore& core, std::move_only_function<Result<http::Response>()> answer);

// query_handlers.cpp
Handled handle_query(ApiCore& core, http::Request& request);
Handled handle_query_range(ApiCore& core, http::Request& request);
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
Handled handle_flush(ApiCore& core, http::Request& request);

}  // namespace tocayo::logs::api
