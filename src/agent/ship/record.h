// SPDX-License-Identifier: Apache-2.0
// What one append leaves in a destination's queue: a record that can be read alone (its label table is inside), so that
// a restart may begin at any of them. Layout: README.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/labels.h"
#include "core/relabel.h"
#include "core/time.h"
#include "metrics/appender.h"

namespace tocayo::agent {

inline constexpr std::uint8_t kRowsRecord = 1;  // journal record kind

// What can be told of a record without unpacking it.
struct RecordHead {
  std::uint64_t rows = 0;  // floats, histograms and exemplars
  std::uint64_t metadata = 0;
  TimestampMs min_time = 0, max_time = 0;  // of the rows; 0 without any
};

// What is changed or left out on the way into the queue.
struct RecordRules {
  Labels external_labels;            // a series' own label of the name wins, as in Prometheus
  std::vector<RelabelRule> relabel;  // write_relabel_configs
  bool exemplars = true;
  bool native_histograms = true;
  bool metadata = true;
};

// Appends the record to `out`. A head without rows and metadata means that nothing was left: then `out` is unchanged.
// Every series must have its labels.
RecordHead encode_record(const metrics::AppendBatch& batch, const RecordRules& rules, std::string& out);

// One record in memory. Not movable: `symbols` point into `body`.
struct RecordRows {
  struct Series {
    std::uint32_t label_begin, label_count;  // pairs in `labels`
    std::uint32_t float_begin, float_count, histogram_begin, histogram_count, exemplar_begin, exemplar_count;
  };
  struct Exemplar {
    std::uint32_t label_begin, label_count;
    double value;
    TimestampMs time;
  };
  RecordRows() = default;
  RecordRows(const RecordRows&) = delete;
  RecordRows& operator=(const RecordRows&) = delete;

  std::string body;
  std::vector<std::string_view> symbols;
  std::vector<std::uint32_t> labels;  // name, value, name, value …: indices into `symbols`, all valid
  std::vector<metrics::FloatRow> floats;
  std::vector<metrics::HistogramRow> histograms;
  std::vector<Exemplar> exemplars;
  std::vector<Series> series;
  std::vector<metrics::MetadataRow> metadata;

  // Of the label set; the same in every record and run.
  std::uint64_t series_hash(const Series& series) const;
  Labels label_set(std::uint32_t begin, std::uint32_t count) const;
};

// bad_input for bytes that encode_record() cannot have made.
Result<RecordHead> decode_head(std::string_view payload);
Result<std::unique_ptr<RecordRows>> decode_record(std::string_view payload);

}  // namespace tocayo::agent
