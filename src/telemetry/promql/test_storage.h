// SPDX-License-Identifier: Apache-2.0
// A small store in memory for tests of the engine: what `load` puts in, `Querier` reads.
#pragma once

#include <map>
#include <memory>
#include <span>

#include "metrics/querier.h"
#include "promql/testfile.h"

namespace tocayo::promql::testing {

// Every select scans all series: meant for thousands, not millions. Reading is thread-safe while nobody writes; a
// SeriesSet keeps what it chose alive and unchanged even when the store is cleared or added to.
class TestStorage final : public metrics::Querier {
 public:
  // Points are merged by time; at equal times the newer one wins.
  void add(std::span<const TestSeries> series);
  void clear() { series_.clear(); }
  std::size_t size() const { return series_.size(); }

  Result<std::unique_ptr<metrics::SeriesSet>> select(std::span<const Matcher> matchers,
                                                     const metrics::SelectHints& hints,
                                                     const Context& context) const override;
  Result<metrics::NameList> label_names(std::span<const std::vector<Matcher>> matcher_sets, TimestampMs start,
                                        TimestampMs end, std::size_t limit, const Context& context) const override;
  Result<metrics::NameList> label_values(const std::string& name, std::span<const std::vector<Matcher>> matcher_sets,
                                         TimestampMs start, TimestampMs end, std::size_t limit,
                                         const Context& context) const override;

  struct Stored : TestPoint {
    metrics::HistogramPtr original;  // as loaded; `histogram` carries the hint that a store can vouch for
  };
  using Points = std::map<TimestampMs, Stored>;

 private:
  std::map<Labels, std::shared_ptr<const Points>> series_;  // shared: series sets outlive changes
};

// For stores of tests that have nothing to say about names.
class NamelessQuerier : public metrics::Querier {
 public:
  Result<metrics::NameList> label_names(std::span<const std::vector<Matcher>>, TimestampMs, TimestampMs, std::size_t,
                                        const Context&) const override {
    return metrics::NameList{};
  }
  Result<metrics::NameList> label_values(const std::string&, std::span<const std::vector<Matcher>>, TimestampMs,
                                         TimestampMs, std::size_t, const Context&) const override {
    return metrics::NameList{};
  }
};

}  // namespace tocayo::promql::testing
