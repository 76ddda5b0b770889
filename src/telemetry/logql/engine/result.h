// SPDX-License-Identifier: Apache-2.0
// What a LogQL query answers. Times are nanoseconds.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/labels.h"
#include "core/time.h"
#include "logql/pipeline/pipeline.h"
#include "logs/querier.h"

namespace tocayo::logql {

struct ScalarValue {
  TimestampNs time = 0;
  double value = 0;
};

struct VectorSample {
  Labels labels;
  TimestampNs time = 0;
  double value = 0;
};
// Sorted by labels, or by value when the query says sort.
struct VectorValue {
  std::vector<VectorSample> samples;
};

struct Point {
  TimestampNs time = 0;
  double value = 0;
};
struct MatrixSeries {
  Labels labels;
  std::vector<Point> points;  // ascending; steps without a value are left out; never empty
};
// Sorted by labels.
struct MatrixValue {
  std::vector<MatrixSeries> series;
};

// One line after the pipeline.
struct LogLine {
  TimestampNs time = 0;
  std::string line;
  std::shared_ptr<const LabelResult> labels;  // shared by the lines that have the same ones
};

// Where a page of lines ended: the next one begins after `skip` lines of `time` in the order of the query. Rows of one
// time are ordered by stream and arrival, so a cursor stays valid while nothing new arrives at that very nanosecond.
struct Cursor {
  TimestampNs time = 0;
  std::uint64_t skip = 0;
};

// In the order of the query's direction: by time, then by the labels of the stream, then by arrival.
struct LogValue {
  std::vector<LogLine> lines;
  std::optional<Cursor> next;  // the limit was reached: there may be more
};

using Value = std::variant<ScalarValue, VectorValue, MatrixValue, LogValue>;

// Lines by stream, as query_range answers them.
struct ResultStream {
  // The labels that name the stream. Sorted by name; a value may be empty (`json x="absent"`).
  std::vector<Label> labels;
  std::vector<const LogLine*> lines;  // into the LogValue, in its order
};
// `categorize`: streams are named by the stream's labels alone (then LabelResult::metadata and ::parsed of each line
// are its third member); else all labels name them. Sorted by labels.
std::vector<ResultStream> group_streams(const LogValue& value, bool categorize);

struct QueryStats {
  logs::ScanStats scan;
  std::uint64_t lines_kept = 0;        // left after the pipeline ("post filter lines")
  std::uint64_t entries_returned = 0;  // lines, or points of all series
  std::uint64_t peak_memory = 0;       // bytes
  std::uint64_t spilled_bytes = 0;     // of states that did not fit into memory and went to disk
  double exec_seconds = 0;
};

struct QueryResult {
  Value value;
  QueryStats stats;
  std::vector<std::string> warnings;
};

}  // namespace tocayo::logql
