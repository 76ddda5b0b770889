// SPDX-License-Identifier: Apache-2.0
// How the query engine (and every reader) sees the store. The head implements it; so does the small in-memory store of
// the promqltest runner. Times are milliseconds; ranges are closed [start, end].
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/error.h"
#include "core/labels.h"
#include "core/time.h"
#include "metrics/histogram.h"
#include "metrics/querier_meter.h"

namespace tocayo::metrics {

// Samples of one series, ascending by time, floats and histograms apart (a timestamp occurs in one of them only).
struct SampleColumns {
  std::vector<TimestampMs> times;
  std::vector<double> values;            // as long as times; stale markers are the NaN kStaleNaN
  std::vector<TimestampMs> start_times;  // empty, or as long as times (0 = unknown)
  std::vector<TimestampMs> histogram_times;
  std::vector<std::shared_ptr<const FloatHistogram>> histograms;  // stale markers have a kStaleNaN sum
  std::vector<TimestampMs> histogram_start_times;                 // empty, or as long as histogram_times
  void clear();
};

struct SelectHints {
  TimestampMs start = 0;  // only samples in [start, end] are of interest
  TimestampMs end = 0;
  std::int64_t step = 0;        // of the query, 0 for instant
  std::int64_t range = 0;       // of a matrix selector, else 0
  std::string function;         // enclosing function or aggregation, "" when none
  std::size_t limit = 0;        // at most so many series are needed; 0 = all
  QueryMeter* meter = nullptr;  // counts what is selected and may refuse it; null = nobody does. Outlives the set.
};

// The series a selector chose, sorted by labels, on one consistent snapshot. read() may be called from several threads.
class SeriesSet {
 public:
  virtual ~SeriesSet() = default;
  virtual std::size_t size() const = 0;
  virtual const Labels& labels(std::size_t index) const = 0;
  // Replaces `out` by the samples of series `index` within the hints' range.
  virtual Result<> read(std::size_t index, SampleColumns& out) const = 0;
};

// Names or values with what had to be left out.
struct NameList {
  std::vector<std::string> names;  // sorted
  bool truncated = false;
};

// Reads of one tenant at one moment. Thread-safe.
class Querier {
 public:
  virtual ~Querier() = default;
  virtual Result<std::unique_ptr<SeriesSet>> select(std::span<const Matcher> matchers, const SelectHints& hints,
                                                    const Context& context) const = 0;
  // Label names / values among series with a sample in [start, end] that match every matcher of any of the sets (none =
  // all).
  virtual Result<NameList> label_names(std::span<const std::vector<Matcher>> matcher_sets, TimestampMs start,
                                       TimestampMs end, std::size_t limit, const Context& context) const = 0;
  virtual Result<NameList> label_values(const std::string& name, std::span<const std::vector<Matcher>> matcher_sets,
                                        TimestampMs start, TimestampMs end, std::size_t limit,
                                        const Context& context) const = 0;
};

}  // namespace tocayo::metrics
