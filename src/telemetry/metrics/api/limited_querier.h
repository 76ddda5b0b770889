// SPDX-License-Identifier: Apache-2.0
// A tenant's querier with its limits applied: what is selected is counted, what is too old is not seen, and a selector
// over too long a time is refused.
#pragma once

#include <chrono>
#include <memory>

#include "core/time.h"
#include "metrics/querier.h"

namespace tocayo::metrics::api {

struct QuerierLimits {
  TimestampMs oldest = INT64_MIN;               // nothing before it is seen (max_query_lookback)
  std::chrono::milliseconds longest_select{0};  // max_partial_query_length; 0 = no limit
};

// `meter` must outlive the querier and its sets.
std::shared_ptr<const Querier> limit_querier(std::shared_ptr<const Querier> inner, QuerierLimits limits,
                                             QueryMeter& meter);

}  // namespace tocayo::metrics::api
