// SPDX-License-Identifier: Apache-2.0
// Translations between rooms that must not know each other: configuration to options, tenancy's limits to the stores'.
#pragma once

#include <memory>
#include <string>

#include "core/config.h"
#include "main/store_gate.h"
#include "metrics/api/api.h"
#include "metrics/store.h"
#include "promql/engine.h"
#include "tenancy/limits.h"

namespace tocayo {

Result<promql::EngineOptions> engine_options(const Config& config);
Result<metrics::StoreOptions> store_options(const Config& config);
metrics::StoreLimits store_limits(const tenancy::Limits& limits, std::chrono::milliseconds default_retention);
metrics::api::ApiLimits api_limits(const tenancy::Limits& limits);
// Everything that reads the store for the API; reads answer `unavailable` while it is starting.
void connect_store(metrics::api::ApiDependencies& api, StoreGate& store);

}  // namespace tocayo
