// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/labels.h"
#include "core/time.h"
#include "metrics/histogram.h"

namespace tocayo::metrics::api {

struct FederatedSample {
  std::string name;
  std::vector<Label> labels;  // without __name__; external labels come last and may be empty
  TimestampMs time = 0;
  double value = 0;
  HistogramPtr histogram;  // instead of the value when not null
};

// Samples sorted by name as untyped or histogram families: text 0.0.4 (exponential histograms must have been taken out)
// or delimited io.prometheus.client.MetricFamily.
std::string render_federation(std::span<const FederatedSample> samples, bool protobuf);

// Whether an Accept header prefers the delimited protobuf form to text.
bool accepts_delimited_protobuf(std::string_view accept);

}  // namespace tocayo::metrics::api
