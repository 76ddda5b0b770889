// SPDX-License-Identifier: Apache-2.0
// Translations between rooms that must not know each other: configuration to options, tenancy's limits to the stores'.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/config.h"
#include "main/store_gate.h"
#include "metrics/api/api.h"
#include "metrics/store.h"
#include "promql/engine.h"
#include "tenancy/limits.h"
#include "tenancy/overrides.h"

namespace tocayo {

Result<promql::EngineOptions> engine_options(const Config& config);
Result<metrics::StoreOptions> store_options(const Config& config);
metrics::StoreLimits store_limits(const tenancy::Limits& limits, std::chrono::milliseconds default_retention);
metrics::api::ApiLimits api_limits(const tenancy::Limits& limits);
metrics::api::QueryLimits query_limits(const tenancy::Limits& limits);

// query_limits() of a tenant, made once for each version of its limits. Thread-safe.
class QueryLimitsCache {
 public:
  explicit QueryLimitsCache(const tenancy::LimitsService& limits) : limits_(limits) {}
  std::shared_ptr<const metrics::api::QueryLimits> get(std::string_view tenant);

 private:
  static constexpr std::size_t kMaxVersions = 4096;
  struct Entry {
    std::shared_ptr<const tenancy::Limits> from;  // kept, so that its address names it
    std::shared_ptr<const metrics::api::QueryLimits> compiled;
  };
  const tenancy::LimitsService& limits_;
  std::mutex mutex_;
  std::unordered_map<const tenancy::Limits*, Entry> known_;
};

// Everything that reads the store for the API; reads answer `unavailable` while it is starting.
void connect_store(metrics::api::ApiDependencies& api, StoreGate& store);

}  // namespace tocayo
