// SPDX-License-Identifier: Apache-2.0
// Reading the samples of one series for a selector. Private to the room.
#pragma once

#include "promql/eval.h"

namespace tocayo::promql::eval {

// Fills worker.samples with series `index`. Safe on any worker thread.
Outcome<> read_series(Evaluator& evaluator, const metrics::SeriesSet& set, std::size_t index, bool stats_only,
                      Worker& worker);
// Reduces histograms to count and sum, with the reset hint their buckets imply.
void keep_only_stats(metrics::SampleColumns& samples);
// Removes stale markers.
void drop_stale(metrics::SampleColumns& samples);

}  // namespace tocayo::promql::eval
