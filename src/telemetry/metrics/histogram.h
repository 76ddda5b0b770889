// SPDX-License-Identifier: Apache-2.0
// Native histograms as the engine computes with them: float counts, spans of buckets. Shapes and rules: Prometheus' native
// histogram specification. The algebra (add, sub, reduce resolution, reset detection, bucket iteration) is in histogram.cpp.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <vector>

namespace tocayo::metrics {

// Bits of the NaN that marks a series as gone; never equal to a NaN that a computation yields.
inline constexpr std::uint64_t kStaleNaNBits = 0x7ff0000000000002ULL;
inline constexpr double kStaleNaN = std::bit_cast<double>(kStaleNaNBits);
inline bool is_stale(double value) { return std::bit_cast<std::uint64_t>(value) == kStaleNaNBits; }

inline constexpr std::int32_t kCustomBucketsSchema = -53;

enum class ResetHint : unsigned char { unknown, reset, not_reset, gauge };

struct Span {
  std::int32_t offset = 0;    // gap to the previous span (first: index of the first bucket)
  std::uint32_t length = 0;
  bool operator==(const Span&) const = default;
};

struct FloatHistogram {
  ResetHint hint = ResetHint::unknown;
  std::int32_t schema = 0;            // -4..8, or kCustomBucketsSchema
  double zero_threshold = 0;
  double zero_count = 0;
  double count = 0;
  double sum = 0;
  std::vector<Span> positive_spans, negative_spans;
  std::vector<double> positive_buckets, negative_buckets;  // absolute counts, not deltas
  std::vector<double> custom_values;  // upper bounds for kCustomBucketsSchema, without +Inf
};

}  // namespace tocayo::metrics
