// SPDX-License-Identifier: Apache-2.0
// What one target exposed last time: the bytes of each series line lead to its reference in the store, so that a series
// known from the last scrape costs one hash and no label parsing. Also the memory of staleness: who was there and is
// gone.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/scrape/config.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/labels.h"
#include "metrics/appender.h"
#include "metrics/exposition_text.h"
#include "metrics/ingest_histogram.h"

namespace tocayo::agent {

// The rows of one scrape, ready for the appender. They borrow from the cache until its next read() or vanish().
struct ScrapeRows {
  std::vector<metrics::SeriesRows> series;
  std::vector<metrics::MetadataRow> metadata;  // what is new or changed
  std::size_t scraped = 0;                     // samples in the body
  std::size_t kept = 0;                        // after metric relabelling
  std::size_t added = 0;                       // series that the cache did not know
  std::size_t duplicates = 0;     // left out: the series came before in this body, without a timestamp of its own
  std::size_t out_of_bounds = 0;  // left out: more than ten minutes ahead of the scrape
};

// Why a body was refused, for the counters.
enum class ScrapeRefusal : unsigned char { none, other, sample_limit, bucket_limit, label_limit };

// One per target; one thread at a time.
class SeriesCache {
 public:
  SeriesCache(std::shared_ptr<const ScrapeConfig> config, Labels target_labels);
  ~SeriesCache();
  SeriesCache(const SeriesCache&) = delete;
  SeriesCache& operator=(const SeriesCache&) = delete;

  // Reads a body; an empty one is a scrape without samples. Series that were there at the last scrape and are not now
  // get a stale marker at `time`. On an error (syntax, a limit) no rows are in `out`, only its counts: call vanish()
  // next.
  Result<> read(std::string_view body, metrics::ExpositionFormat format, TimestampMs time, ScrapeRows& out);
  // Everything that was there is gone: stale markers at `time` (failed scrape, target removed). Series that `successor`
  // has too (the cache of a target with the same labels) go on there and get none. Keeps the counts in `out`.
  void vanish(TimestampMs time, ScrapeRows& out, const SeriesCache* successor = nullptr);
  // The rows were stored, the appender filled in references. When storing failed do not call it: new series count as
  // not there.
  void remember(const ScrapeRows& rows);
  // The series that report on the scrape itself (up …): the target's labels and the name.
  void add_report(std::string_view name, TimestampMs time, double value, ScrapeRows& out);

  ScrapeRefusal refusal() const { return refusal_; }  // of the last read()
  std::size_t size() const { return entries_.size(); }
  // Metadata as last seen, for /api/v1/targets/metadata.
  std::vector<metrics::MetadataRow> metadata() const;
  // Changes whenever metadata() does.
  std::uint64_t metadata_version() const { return metadata_version_; }

 private:
  struct Entry;
  struct Pending;   // a row waiting for its final place
  struct Metadata;  // of a family
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return hash64(text); }
  };

  using Series = std::unordered_map<std::string, std::unique_ptr<Entry>, Hash, std::equal_to<>>;

  template <typename Parser>
  Result<> read_with(Parser& parser, TimestampMs time);
  template <typename Parser>
  Result<> read_all(Parser& parser, TimestampMs time);
  template <typename Parser>
  Result<> read_sample(Parser& parser, bool is_histogram, TimestampMs time);
  template <typename Parser>
  void add_exemplars(const Parser& parser, TimestampMs time);
  Result<bool> add_histogram(const metrics::HistogramParts& parts, std::string_view name, TimestampMs at,
                             TimestampMs start);
  Result<std::unique_ptr<Labels>> final_labels(std::string_view name, std::span<const metrics::ExpositionLabel> labels);
  Result<> check_labels(const Labels& labels);
  void note_metadata(metrics::ExpositionEvent event, std::string_view family, std::string_view text);
  void begin();
  Series::iterator set_aside(Series::iterator it);
  void add_markers(std::vector<Entry*> candidates, TimestampMs time, const SeriesCache* successor);
  void make_rows(ScrapeRows& out);
  void forget_absent();
  void forget_old_metadata();

  std::shared_ptr<const ScrapeConfig> config_;  // shared with the pool: a reload may replace it there
  Labels target_labels_;
  std::int32_t max_schema_;  // native_histogram_min_bucket_factor
  std::uint64_t round_ = 0;
  bool failed_ = false;              // the last read() was refused: its round is not over
  std::size_t successful_size_ = 0;  // of the cache after the last good scrape
  Series entries_;
  std::vector<std::unique_ptr<Entry>> gone_;  // no longer in the cache, but the rows of this round borrow their labels
  std::map<std::string, std::unique_ptr<Entry>, std::less<>> reports_;
  std::map<std::string, std::unique_ptr<Metadata>, std::less<>> metadata_;
  std::uint64_t metadata_version_ = 0;
  bool metadata_pending_ = false;  // some family has changes that were not stored yet
  std::vector<Pending> pending_;
  std::vector<metrics::FloatRow> floats_;
  std::deque<metrics::FloatRow> report_floats_;  // a deque: rows point into it while it grows
  std::vector<metrics::HistogramRow> histograms_;
  std::vector<metrics::ExemplarRow> exemplars_;
  ScrapeRows counts_;        // of the body being read
  std::size_t samples_ = 0;  // that count against sample_limit
  ScrapeRefusal refusal_ = ScrapeRefusal::none;
};

}  // namespace tocayo::agent
