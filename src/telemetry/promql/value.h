// SPDX-License-Identifier: Apache-2.0
// What a query evaluates to. Plain data; times are Unix milliseconds.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/labels.h"
#include "core/time.h"
#include "metrics/histogram.h"

namespace tocayo::promql {

struct FloatPoint {
  TimestampMs time;
  double value;
  bool operator==(const FloatPoint&) const = default;
};
struct HistogramPoint {
  TimestampMs time;
  metrics::HistogramPtr histogram;  // never null
};

// One element of an instant vector: a float, or a histogram when `histogram` is not null.
struct Sample {
  Labels labels;
  double value = 0;
  metrics::HistogramPtr histogram;
};

// One line of a matrix; both point lists ascend by time, a time occurs in one of them only.
struct Series {
  Labels labels;
  std::vector<FloatPoint> floats;
  std::vector<HistogramPoint> histograms;
};

struct ScalarValue {
  TimestampMs time = 0;
  double value = 0;
};
struct StringValue {
  TimestampMs time = 0;
  std::string text;
};
// In the order the expression gives (sort(), topk()); otherwise unspecified but the same at every run.
struct VectorValue {
  TimestampMs time = 0;
  std::vector<Sample> samples;
};
// Sorted by labels.
struct MatrixValue {
  std::vector<Series> series;
};

using Value = std::variant<ScalarValue, StringValue, VectorValue, MatrixValue>;

}  // namespace tocayo::promql
