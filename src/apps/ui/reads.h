// SPDX-License-Identifier: Apache-2.0
// The page's own reads of metrics (Home, search, live panels), under the limits that the tenant's queries have over the
// API.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/context.h"
#include "core/error.h"
#include "core/time.h"
#include "metrics/api/api.h"
#include "promql/engine.h"

namespace tocayo::ui {

struct ReadDependencies {
  const promql::Engine& engine;
  metrics::api::QueryLimitsLookup limits;
  // Admits one query of a tenant (metrics::api::MetricsApi::read).
  std::function<Result<metrics::api::Reading>(std::string_view tenant, const Context& context)> admit;
  Pool* queries = nullptr;  // helps with what is big; null: nobody does
};

// Thread-safe. Synchronous: on a compute thread. Each call is one query: fetch limits count per call.
class Reads {
 public:
  explicit Reads(ReadDependencies dependencies) : dependencies_(std::move(dependencies)) {}

  // Whether the tenant may ask this, every `interval` (0 = once): its size, what an operator has blocked or limited,
  // functions that are not enabled, and whether it parses. bad_input or limit, with the text that the API answers.
  Result<> check(std::string_view tenant, std::string_view expr, std::chrono::milliseconds interval) const;

  // As the engine's. Errors of limits carry kind `limit` or `bad_input`.
  promql::QueryOutcome instant(std::string_view tenant, std::string_view expr, TimestampMs time,
                               const Context& context) const;
  promql::QueryOutcome range(std::string_view tenant, std::string_view expr, TimestampMs start, TimestampMs end,
                             std::chrono::milliseconds step, const Context& context) const;

  // Values of a label anywhere in the time that this tenant may look at. `now` is the clock of the caller.
  Result<std::vector<std::string>> label_values(std::string_view tenant, const std::string& label,
                                                std::span<const std::vector<Matcher>> matchers, TimestampMs now,
                                                const Context& context) const;

  std::shared_ptr<const metrics::api::QueryLimits> limits(std::string_view tenant) const {
    return dependencies_.limits(tenant);
  }

 private:
  template <typename Evaluate>
  promql::QueryOutcome run(std::string_view tenant, std::string_view expr, const Context& context,
                           Evaluate evaluate) const;
  Result<promql::QueryOptions> options_for(const metrics::api::QueryLimits& limits, std::string_view expr) const;

  ReadDependencies dependencies_;
};

}  // namespace tocayo::ui
