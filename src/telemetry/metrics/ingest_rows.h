// SPDX-License-Identifier: Apache-2.0
// The rows of one incoming request, whatever its format: an arena that remote write, text and protobuf bodies are
// decoded into, row by row, with the checks that the door makes. Reused from request to request; nothing is allocated
// per sample.
//
//   IngestRows rows;                       // one per connection or from a pool
//   rows.reset(limits, now);
//   rows.begin_series(); rows.label(…); rows.sample(…); rows.end_series();
//   appender.append(tenant, rows.batch());
//
// Not thread-safe. What label() and friends are given may go away after end_series().
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/labels.h"
#include "metrics/appender.h"
#include "metrics/ingest_histogram.h"
#include "metrics/ingest_limits.h"

namespace tocayo::metrics {

class IngestRows {
 public:
  struct LabelView {
    std::string_view name;
    std::string_view value;
    bool known_utf8 = false;  // both were checked before (symbols of remote write 2.0)
  };

  // Forgets everything, keeps the memory. `now` judges timestamps too far in the future or past.
  void reset(const IngestLimits& limits, TimestampMs now);
  // Exemplars that break a rule make the request fail (remote write 2.0) or are only counted (all else).
  void set_strict_exemplars(bool strict) { strict_exemplars_ = strict; }

  // One series. Between begin and end: its labels in any order, then its rows. end_series() checks labels; when they
  // are refused, the rows of the series are dropped and counted.
  void begin_series();
  void label(LabelView label) { label_scratch_.push_back(label); }
  void sample(TimestampMs time, double value, TimestampMs start_time = 0);
  // For parts that are refused the row is dropped and counted, the series stays.
  void histogram(TimestampMs time, const HistogramParts& parts, TimestampMs start_time = 0);
  void exemplar(std::span<const LabelView> labels, double value, TimestampMs time);
  // Refuses the series for a reason of the wire format (bad symbol references …) when end_series() comes.
  void refuse_series(std::string_view reason, std::string text);
  // Remote write 2.0: a series must carry samples or histograms, and not both.
  void require_one_kind() { require_one_kind_ = true; }
  void end_series();
  // Value of `__name__` of the series just ended, "" when it was refused. Valid until the next begin_series().
  std::string_view last_metric_name() const;

  // Metadata of a metric family; equal rows of one request are kept once. Help is cut, names and units over the limit
  // refused.
  void metadata(std::string_view metric, std::string_view type, std::string_view help, std::string_view unit);

  // Valid until the next reset() or change. Call once, when everything is decoded.
  AppendBatch batch();

  bool empty() const { return slots_.empty() && metadata_.empty(); }
  std::size_t samples_received() const { return samples_received_; }  // floats, refused ones included
  std::size_t histograms_received() const { return histograms_received_; }
  std::size_t exemplars_received() const { return exemplars_received_; }
  std::size_t metadata_received() const { return metadata_received_; }
  std::size_t unsorted_series() const { return unsorted_series_; }
  Rejections& rejections() { return rejections_; }
  const Rejections& rejections() const { return rejections_; }
  // About how much memory the arena holds, for the budget of bodies in flight.
  std::size_t memory_bytes() const;

 private:
  struct Slot {  // ends of this series' rows; they begin where the previous slot's end
    std::size_t floats_end, histograms_end, exemplars_end;
  };

  bool check_time(TimestampMs time);
  bool check_labels(std::size_t rows);
  bool check_label(const LabelView& label, std::size_t rows);
  std::string series_text() const;
  void drop_rows();

  IngestLimits limits_;
  TimestampMs now_ = 0;
  bool strict_exemplars_ = false;
  bool require_one_kind_ = false;

  std::vector<LabelView> label_scratch_;
  std::string_view refuse_reason_;
  std::string refuse_text_;
  std::size_t open_rows_ = 0;  // rows of the open series that were sent, kept or not
  std::size_t open_floats_ = 0, open_histograms_ = 0;

  std::vector<Slot> slots_;
  std::vector<Labels> labels_;
  std::vector<FloatRow> floats_;
  std::vector<HistogramRow> histograms_;
  std::vector<ExemplarRow> exemplars_;
  std::vector<MetadataRow> metadata_;
  std::unordered_set<std::uint64_t> metadata_seen_;
  std::vector<SeriesRows> series_;

  std::size_t samples_received_ = 0, histograms_received_ = 0, exemplars_received_ = 0, metadata_received_ = 0;
  std::size_t unsorted_series_ = 0;
  bool last_kept_ = false;
  Rejections rejections_;
};

// `name` without the suffix that a series of a histogram or summary family carries: rpc_seconds_bucket of type
// histogram is family rpc_seconds.
std::string_view metric_family_of(std::string_view name, std::string_view type);

}  // namespace tocayo::metrics
