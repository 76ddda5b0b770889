// SPDX-License-Identifier: Apache-2.0
// A log store that is nothing but its rows in memory: no index, no encoding, every row decided by looking at it. Tests
// of the engine run on it, and it is the oracle that the real store is compared with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/labels.h"
#include "logs/entry.h"
#include "logs/querier.h"

namespace tocayo::logql {

// Reads are thread-safe while nobody adds. One tenant.
class PlainStore final : public logs::Querier {
 public:
  // `morsel_rows`: rows of one morsel at most; small ones give the engine many pieces to put together.
  explicit PlainStore(std::size_t morsel_rows = 1'000) : morsel_rows_(morsel_rows) {}

  // Copies. An entry equal to a stored one in stream, time, line and metadata is not stored again.
  void add(const Labels& stream, std::span<const logs::EntryRow> entries);
  void add(std::span<const logs::StreamRows> streams);
  std::size_t row_count() const { return rows_; }

  Result<std::unique_ptr<logs::Scan>> select(const logs::Selection& selection, const Context& context) const override;
  Result<std::vector<Labels>> series(std::span<const std::vector<Matcher>> matcher_sets, TimestampNs start,
                                     TimestampNs end, const Context& context) const override;
  Result<logs::NameList> label_names(std::span<const std::vector<Matcher>> matcher_sets, TimestampNs start,
                                     TimestampNs end, const Context& context) const override;
  Result<logs::NameList> label_values(const std::string& name, std::span<const std::vector<Matcher>> matcher_sets,
                                      TimestampNs start, TimestampNs end, const Context& context) const override;
  Result<std::vector<logs::StreamVolume>> volume(std::span<const Matcher> matchers, TimestampNs start, TimestampNs end,
                                                 const Context& context) const override;

 private:
  struct Entry {
    TimestampNs time = 0;
    std::uint64_t order = 0;
    std::string line;
    std::vector<Label> metadata;
  };
  struct Stream {
    Labels labels;
    std::vector<Entry> entries;  // ascending (time, order)
  };
  class PlainScan;

  std::vector<const Stream*> matching(std::span<const std::vector<Matcher>> matcher_sets, TimestampNs start,
                                      TimestampNs end) const;

  std::size_t morsel_rows_;
  std::map<Labels, Stream> streams_;
  std::size_t rows_ = 0;
  std::uint64_t next_order_ = 0;
};

}  // namespace tocayo::logql
