// SPDX-License-Identifier: Apache-2.0
#include "promql/testfile_engine.h"

namespace tocayo::promql::testing {
namespace {

Result<TestOutcome> outcome_of(const std::string& expr, QueryOutcome result) {
  if (!result) return std::unexpected(std::move(result.error().error));
  auto texts = result->annotations.texts(expr);
  return TestOutcome{std::move(result->value), std::move(texts.warnings), std::move(texts.infos)};
}

}  // namespace

EngineOptions conformance_engine_options() {
  EngineOptions options;
  options.max_samples = 10'000;
  options.timeout = std::chrono::seconds(100);
  options.features.experimental_functions = true;
  options.features.duration_expressions = true;
  options.features.extended_ranges = true;
  options.features.fill_modifiers = true;
  options.features.delayed_name_removal = true;
  options.features.use_start_timestamps = true;
  return options;
}

Result<> EngineTarget::clear() {
  storage_.clear();
  return {};
}

Result<> EngineTarget::load(std::span<const TestSeries> series) {
  storage_.add(series);
  return {};
}

Result<TestOutcome> EngineTarget::instant(const std::string& expr, TimestampMs time) {
  return outcome_of(expr, engine_.instant(storage_, expr, time));
}

Result<TestOutcome> EngineTarget::range(const std::string& expr, TimestampMs start, TimestampMs end, Duration step) {
  return outcome_of(expr, engine_.range(storage_, expr, start, end, step));
}

}  // namespace tocayo::promql::testing
