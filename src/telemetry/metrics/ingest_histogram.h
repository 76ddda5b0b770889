// SPDX-License-Identifier: Apache-2.0
// Native histograms at the door: from the wire's parts (deltas or counts, spans) to a checked FloatHistogram. The rules
// are those of Prometheus' model/histogram Validate, the error ids Mimir's.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/histogram.h"
#include "metrics/ingest_limits.h"

namespace tocayo::metrics {

// Parts as they come off the wire; cleared and reused from histogram to histogram.
struct HistogramParts {
  bool is_float = false;
  std::uint64_t count_int = 0;
  double count_float = 0;
  double sum = 0;
  std::int32_t schema = 0;
  double zero_threshold = 0;
  std::uint64_t zero_count_int = 0;
  double zero_count_float = 0;
  std::vector<Span> positive_spans, negative_spans;
  std::vector<std::int64_t> positive_deltas, negative_deltas;
  std::vector<double> positive_counts, negative_counts;
  std::vector<double> custom_values;
  ResetHint hint = ResetHint::unknown;

  void clear();
};

struct HistogramProblem {
  std::string_view reason;  // snake case, static: "native_histogram_count_mismatch"
  std::string_view id;      // "native-histogram-count-mismatch"
  std::string text;         // one clause, without id and series
};

// The histogram, or what is wrong with it. Schemas 9..52 are reduced to 8, histograms over the bucket limit are reduced
// as far as needed. Stale markers (sum is kStaleNaN) pass as an empty histogram with that sum.
std::expected<std::shared_ptr<const FloatHistogram>, HistogramProblem> check_histogram(const HistogramParts& parts,
                                                                                       const IngestLimits& limits);

}  // namespace tocayo::metrics
