// SPDX-License-Identifier: Apache-2.0
// The limits of one tenant that act in this room. Values come from services/tenancy; the wiring in src/main copies them
// over.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string_view>

#include "metrics/ingest_limits.h"

namespace tocayo::metrics::api {

// 0 switches a limit off.
struct ApiLimits {
  IngestLimits ingest;
  // Writes.
  double request_rate = 0;  // requests per second
  std::size_t request_burst_size = 0;
  double ingestion_rate = 0;  // samples, exemplars and metadata per second
  std::size_t ingestion_burst_size = 0;
  double ingestion_burst_factor = 0;           // > 0: the burst is rate × factor
  bool overload_status_on_rate_limit = false;  // 529 instead of 429
  // Reads.
  std::size_t max_query_expression_size_bytes = 0;
  std::chrono::milliseconds max_total_query_length{0};  // of a range query, start to end
  std::chrono::milliseconds max_labels_query_length{0};
  std::chrono::milliseconds max_query_lookback{0};  // older data is not looked at
  std::size_t max_series_query_limit = 0;           // of /series, also when no limit was asked for
};

// Thread-safe, cheap: called once per request.
using LimitsLookup = std::function<ApiLimits(std::string_view tenant)>;

}  // namespace tocayo::metrics::api
