// SPDX-License-Identifier: Apache-2.0
#include "metrics/querier.h"

namespace tocayo::metrics {

void SampleColumns::clear() {
  times.clear();
  values.clear();
  start_times.clear();
  histogram_times.clear();
  histograms.clear();
  histogram_start_times.clear();
}

}  // namespace tocayo::metrics
