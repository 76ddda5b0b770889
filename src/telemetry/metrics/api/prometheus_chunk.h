// SPDX-License-Identifier: Apache-2.0
// Samples in the chunk encodings of Prometheus' store (tsdb/docs/format/chunks.md): XOR for floats, the float histogram
// encoding for histograms. What remote read's STREAMED_XOR_CHUNKS carries.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/error.h"
#include "core/time.h"
#include "metrics/querier.h"

namespace tocayo::metrics::api {

struct PrometheusChunk {
  enum class Encoding : std::uint8_t { xor_floats = 1, float_histogram = 3 };  // the numbers of prompb.Chunk
  Encoding encoding;
  TimestampMs min_time, max_time;
  std::string bytes;
};

inline constexpr std::size_t kChunkSamples = 120;

// Cuts the samples into chunks of at most kChunkSamples, ascending by time and not overlapping: floats and histograms
// take turns where the series changes between them. A histogram begins a new chunk when its layout differs or its
// counters were reset. Stops at the sink's first error and returns it.
Result<> each_chunk(const SampleColumns& samples, const std::function<Result<>(PrometheusChunk&&)>& sink);

}  // namespace tocayo::metrics::api
