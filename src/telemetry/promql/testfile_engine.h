// SPDX-License-Identifier: Apache-2.0
// The engine with an in-memory store as a target of promqltest files.
#pragma once

#include "promql/engine.h"
#include "promql/test_storage.h"
#include "promql/testfile.h"

namespace tocayo::promql::testing {

// The settings Prometheus runs its own files with: every experimental part on, lookback 5 m, 10,000 samples, subquery
// step 1 m.
EngineOptions conformance_engine_options();

class EngineTarget final : public TestTarget {
 public:
  explicit EngineTarget(EngineOptions options = conformance_engine_options()) : engine_(std::move(options)) {}

  Result<> clear() override;
  Result<> load(std::span<const TestSeries> series) override;
  Result<TestOutcome> instant(const std::string& expr, TimestampMs time) override;
  Result<TestOutcome> range(const std::string& expr, TimestampMs start, TimestampMs end, Duration step) override;

 private:
  Engine engine_;
  TestStorage storage_;
};

}  // namespace tocayo::promql::testing
