// SPDX-License-Identifier: Apache-2.0
// How samples get into the store in-process: rows of one tenant, one status per rejected row. Remote write, scraping,
// the embedded collectors and self-metrics all end here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/labels.h"
#include "core/task.h"
#include "core/time.h"
#include "metrics/histogram.h"

namespace tocayo::metrics {

// A series named once by a writer that will send it again (a scrape target, a collector). Opaque; 0 = not known yet.
using SeriesRef = std::uint64_t;

struct FloatRow {
  TimestampMs time;
  double value;                // kStaleNaN marks the series as gone
  TimestampMs start_time = 0;  // created/start timestamp, 0 = unknown
};
struct HistogramRow {
  TimestampMs time;
  std::shared_ptr<const FloatHistogram>
      histogram;        // integer histograms are converted before; shared with the reader side
  bool integer = true;  // came as integer counts (kept for exact re-encoding)
  TimestampMs start_time = 0;
};
struct ExemplarRow {
  Labels labels;
  double value;
  TimestampMs time;
};
struct MetadataRow {
  std::string metric;
  std::string type;  // counter gauge histogram gaugehistogram summary info stateset unknown
  std::string help;
  std::string unit;
};

// One series with its rows. Borrowed: must live until append() has finished.
struct SeriesRows {
  SeriesRef ref = 0;  // when known and still valid, `labels` may be null
  const Labels* labels = nullptr;
  std::span<const FloatRow> floats;
  std::span<const HistogramRow> histograms;
  std::span<const ExemplarRow> exemplars;
};

// Labels of series that come with a reference only, asked for when the reference turns out not to be valid any more.
class LabelSource {
 public:
  virtual ~LabelSource() = default;
  // Of AppendBatch::series[index]; null when they are not known. Called within append(), before its first suspension,
  // by one thread. The result must live until append() has finished.
  virtual const Labels* labels(std::size_t index) = 0;
};

struct AppendBatch {
  std::span<SeriesRows> series;  // refs are filled in
  std::span<const MetadataRow> metadata;
  LabelSource* source = nullptr;  // optional; borrowed
};

struct AppendResult {
  std::size_t floats_written = 0;
  std::size_t histograms_written = 0;
  std::size_t exemplars_written = 0;
  struct Rejected {
    std::string_view reason;  // snake case, static: "sample_out_of_order", "sample_duplicate_timestamp", …
    std::size_t count;
  };
  std::vector<Rejected> rejected;
  // Indices into AppendBatch::series whose `ref` was not valid (any more) and whose labels nobody knew: nothing of them
  // was written or counted. Append them again with labels.
  std::vector<std::uint32_t> unresolved;
  std::optional<Error>
      first_error;  // full text with "(err-mimir-…)" of the first rejected row; kind bad_input or limit
};

// Per tenant, thread-safe. A failed Result (unavailable: WAL, disk, memory guard) means that nothing of the batch is
// readable. The task resumes when the batch is as durable as the configured WAL mode promises.
class Appender {
 public:
  virtual ~Appender() = default;
  virtual Task<Result<AppendResult>> append(std::string_view tenant, AppendBatch batch) = 0;
};

}  // namespace tocayo::metrics
