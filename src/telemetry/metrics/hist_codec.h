// SPDX-License-Identifier: Apache-2.0
// Native histograms as bytes: the layout (schema, spans, bounds) once, then counts as differences to the row before.
// One row after the other; the same bytes serve head, journal and segments. Byte layout:
// docs/formats/metrics-segment.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/time.h"
#include "metrics/histogram.h"

namespace tocayo::metrics {

struct HistRow {
  TimestampMs time = 0;
  TimestampMs start = 0;
  bool integer = true;
  std::shared_ptr<const FloatHistogram> histogram;  // shared: rows, readers and engine hold the same immutable value
};

// The row that the next one builds on. Starts empty.
struct HistState {
  TimestampMs time = 0;
  TimestampMs start = 0;
  std::shared_ptr<const FloatHistogram> last;  // never a stale marker; null at the start
};

// A stale marker is a histogram whose sum is kStaleNaN; nothing else of it is kept.
void encode_histogram(const HistRow& row, HistState& state, std::string& out);
// The same with another hint than the histogram's own.
void encode_histogram(const HistRow& row, ResetHint hint, HistState& state, std::string& out);
// Takes one row off the front of `in`; false when the bytes are damaged.
bool decode_histogram(std::span<const std::uint8_t>& in, HistState& state, HistRow& row);

bool same_layout(const FloatHistogram& a, const FloatHistogram& b);
// Same bits everywhere, the hint aside.
bool same_histogram(const FloatHistogram& a, const FloatHistogram& b);

}  // namespace tocayo::metrics
