// SPDX-License-Identifier: Apache-2.0
// What one target exposed last time: the bytes of each series line lead to its reference in the store, so that a series known
// from the last scrape costs one hash and no label parsing. Also the memory of staleness: who was there and is gone.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
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

namespace tocayo::agent {

// The rows of one scrape, ready for the appender. Valid until the cache changes.
struct ScrapeRows {
  std::vector<metrics::SeriesRows> series;
  std::vector<metrics::MetadataRow> metadata;
  std::size_t scraped = 0;       // samples in the body
  std::size_t kept = 0;          // after metric relabelling
  std::size_t added = 0;         // series that were not there last time
};

// One per target; one thread at a time.
class SeriesCache {
 public:
  SeriesCache(std::shared_ptr<const ScrapeConfig> config, Labels target_labels);
  ~SeriesCache();

  // Reads a body. Series that were there at the last scrape and are not now get a stale marker at `time`. On an error (syntax, a
  // limit) nothing of the body is in `out`: call vanish() instead.
  Result<> read(std::string_view body, metrics::ExpositionFormat format, TimestampMs time, ScrapeRows& out);
  // Everything that was there is gone: stale markers at `time` (failed scrape, target removed).
  void vanish(TimestampMs time, ScrapeRows& out);
  // The appender filled in references: keep them.
  void remember(const ScrapeRows& rows);
  // The series that report on the scrape itself (up …): the target's labels and the name.
  void add_report(std::string_view name, TimestampMs time, double value, ScrapeRows& out);

  std::size_t size() const { return entries_.size(); }
  // Metadata as last seen, for /api/v1/targets/metadata.
  std::vector<metrics::MetadataRow> metadata() const;

 private:
  struct Entry;
  struct Pending;  // a row waiting for its final place
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return hash64(text); }
  };

  template <typename Parser>
  Result<> read_all(Parser& parser, TimestampMs time);
  template <typename Parser>
  Result<Entry*> find(const Parser& parser);
  template <typename Parser>
  void add_exemplars(const Parser& parser, std::size_t row, TimestampMs time);
  Result<std::unique_ptr<Labels>> final_labels(std::string_view name, std::span<const metrics::ExpositionLabel> labels) const;
  void note_metadata(metrics::ExpositionEvent event, std::string_view family, std::string_view text);
  void finish(TimestampMs time, ScrapeRows& out);

  std::shared_ptr<const ScrapeConfig> config_;  // shared with the pool: a reload may replace it there
  Labels target_labels_;
  std::uint64_t round_ = 0;
  std::unordered_map<std::string, std::unique_ptr<Entry>, Hash, std::equal_to<>> entries_;
  std::map<std::string, std::unique_ptr<Entry>, std::less<>> reports_;
  std::map<std::string, metrics::MetadataRow, std::less<>> metadata_;
  std::vector<std::string> metadata_changed_;
  std::vector<Pending> pending_;
  std::vector<metrics::FloatRow> floats_;
  std::vector<metrics::HistogramRow> histograms_;
  std::vector<metrics::ExemplarRow> exemplars_;
  std::size_t scraped_ = 0, kept_ = 0, added_ = 0;
};

}  // namespace tocayo::agent
