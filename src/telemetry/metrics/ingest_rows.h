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
#include <deque>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/labels.h"
#include "metrics/appender.h"
#include "metrics/ingest_histogram.h"
#include "metrics/ingest_limits.h"
#include "metrics/ingest_series_cache.h"

namespace tocayo::metrics {

// One label as it was sent.
struct LabelView {
  std::string_view name;
  std::string_view value;
  bool known_utf8 = false;  // both were checked before (symbols of remote write 2.0)
};

// Reads the labels of a series again from the bytes they were sent in; the decoder of the wire format implements it.
class EncodedLabels {
 public:
  virtual ~EncodedLabels() = default;
  // Appends them in the order sent. The views live as long as the request's body.
  virtual void read(std::string_view encoded, std::vector<LabelView>& out) = 0;
};

class IngestRows final : public LabelSource {
 public:
  using LabelView = metrics::LabelView;

  // Forgets everything, keeps the memory. `now` judges timestamps too far in the future or past; `tenant` is what
  // relabelling sees.
  void reset(const IngestLimits& limits, TimestampMs now, std::string_view tenant = {});
  // Exemplars that break a rule make the request fail (remote write 2.0) or are only counted (all else).
  void set_strict_exemplars(bool strict) { strict_exemplars_ = strict; }
  // Needed for known(); borrowed until the batch was appended.
  void set_encoded_labels(EncodedLabels* encoded) { encoded_ = encoded; }

  // One series. Between begin and end: its labels in any order, then its rows. end_series() checks labels; when they
  // are refused, the rows of the series are dropped and counted.
  void begin_series();
  void label(LabelView label) { label_scratch_.push_back(label); }
  // The series was accepted before, with labels sent as `encoded`: no label() calls then. `encoded` is only looked at
  // when a message must name the series, or its reference is no longer valid.
  void known(const SeriesCache::Known& series, std::string_view encoded);
  // Under this key the series may be remembered, see seen().
  void remember(const SeriesCache::Key& key) { open_seen_.key = key; }
  void sample(TimestampMs time, double value, TimestampMs start_time = 0) {
    ++samples_received_;
    ++open_rows_;
    ++open_floats_;
    floats_.push_back({.time = time, .value = value, .start_time = start_time});
  }
  // For parts that are refused the row is dropped and counted, the series stays.
  void histogram(TimestampMs time, const HistogramParts& parts, TimestampMs start_time = 0);
  void exemplar(std::span<const LabelView> labels, double value, TimestampMs time);
  // Refuses the series for a reason of the wire format (bad symbol references …) when end_series() comes.
  void refuse_series(std::string_view reason, std::string text);
  // Remote write 2.0: a series must carry samples or histograms, and not both.
  void require_one_kind() { require_one_kind_ = true; }
  void end_series();
  // Whether the series just ended was accepted.
  bool last_kept() const { return last_kept_; }

  // Metadata of a metric family; equal rows of one request are kept once. Help is cut, names and units over the limit
  // refused.
  void metadata(std::string_view metric, std::string_view type, std::string_view help, std::string_view unit);
  // The same as one that this request had before.
  void metadata_again() { ++metadata_received_; }

  // Valid until the next reset() or change. Call once, when everything is decoded.
  AppendBatch batch();
  // After the batch was appended: its series in order, for SeriesCache::learn(). Empty when there is nothing to learn.
  std::span<const SeriesCache::Seen> seen();
  const Labels* labels(std::size_t index) override;

  bool empty() const { return slots_.empty() && metadata_.empty(); }
  std::size_t samples_received() const { return samples_received_; }  // floats, refused ones included
  std::size_t histograms_received() const { return histograms_received_; }
  std::size_t exemplars_received() const { return exemplars_received_; }
  std::size_t metadata_received() const { return metadata_received_; }
  std::size_t unsorted_series() const { return unsorted_series_; }
  // Samples and histograms that relabelling took away: no error.
  std::size_t relabelled_away() const { return relabelled_away_; }
  Rejections& rejections() { return rejections_; }
  const Rejections& rejections() const { return rejections_; }
  // About how much memory the arena holds, for the budget of bodies in flight.
  std::size_t memory_bytes() const;

 private:
  static constexpr std::uint32_t kNoLabels = UINT32_MAX;
  struct Slot {  // one accepted series
    // Ends of its rows; they begin where the previous slot's end.
    std::uint32_t floats_end = 0, histograms_end = 0, exemplars_end = 0;
    std::uint32_t labels = kNoLabels;  // in labels_; kNoLabels when it is known
    std::uint32_t seen = 0;            // in seen_
    std::string_view encoded;
  };

  bool in_time(TimestampMs time);
  void drop_late_and_early();
  bool sort_labels();
  bool check_labels(std::size_t rows);
  bool check_label(const LabelView& label, std::size_t rows);
  bool check_text(const LabelView& label, std::size_t rows);
  bool refuse_duplicate(const LabelView& label, std::size_t rows);
  SeriesCache::Fate apply_rules(bool& valid, std::size_t rows);
  bool check_kind();
  void end_dropped();
  std::string series_text();
  void drop_rows();
  Slot begin_of_open() const { return slots_.empty() ? Slot{} : slots_.back(); }

  IngestLimits limits_;
  TimestampMs now_ = 0;
  std::string tenant_;
  bool strict_exemplars_ = false;
  bool require_one_kind_ = false;
  EncodedLabels* encoded_ = nullptr;

  std::vector<LabelView> label_scratch_, text_scratch_;
  Labels relabelled_;  // what label_scratch_ points into after rules were applied
  bool open_known_ = false;
  bool at_end_ = false;  // the labels are judged, relabelled if need be
  std::string_view open_encoded_;
  SeriesCache::Seen open_seen_;
  std::string_view refuse_reason_;
  std::string refuse_text_;
  std::size_t open_rows_ = 0;  // rows of the open series that were sent, kept or not
  std::size_t open_floats_ = 0, open_histograms_ = 0;

  std::vector<Slot> slots_;
  std::vector<Labels> labels_;
  std::vector<SeriesCache::Seen> seen_;
  std::vector<FloatRow> floats_;
  std::vector<HistogramRow> histograms_;
  std::vector<ExemplarRow> exemplars_;
  std::vector<MetadataRow> metadata_;
  std::unordered_set<std::uint64_t> metadata_seen_;
  std::vector<SeriesRows> series_;
  std::vector<std::uint32_t> series_slots_;  // the slot of each of series_
  std::deque<Labels> late_labels_;           // made for labels()

  std::size_t samples_received_ = 0, histograms_received_ = 0, exemplars_received_ = 0, metadata_received_ = 0;
  std::size_t unsorted_series_ = 0, relabelled_away_ = 0;
  bool last_kept_ = false;
  Rejections rejections_;
};

// `name` without the suffix that a series of a histogram or summary family carries: rpc_seconds_bucket of type
// histogram is family rpc_seconds.
std::string_view metric_family_of(std::string_view name, std::string_view type);

}  // namespace tocayo::metrics
