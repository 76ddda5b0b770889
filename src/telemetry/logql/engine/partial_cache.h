// SPDX-License-Identifier: Apache-2.0
// What a range aggregation made of row groups that will never change, kept for the next query of the same kind: a
// dashboard that refreshes reads what is new, and puts the rest together from here.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/labels.h"
#include "logql/engine/accumulator.h"
#include "logs/querier.h"

namespace tocayo::logql::detail {

// The states of one row group by series, on a grid without ends: steps of the same phase and length as the query's,
// however many there are.
struct Partial {
  struct Series {
    Labels labels;
    bool error = false;
    std::unique_ptr<const SeriesStates> states;
  };
  std::vector<Series> series;
  TimestampNs grid_start = 0;
  logs::ScanStats stats;
  std::uint64_t kept = 0;
  std::size_t memory_bytes() const;
};

// The least recently used go first when there is no room. Thread-safe.
class PartialCache {
 public:
  explicit PartialCache(std::size_t budget) : budget_(budget) {}

  // `query` says all that the states depend on but the rows, `rows` which these are.
  std::shared_ptr<const Partial> find(std::uint64_t query, std::uint64_t rows);
  void put(std::uint64_t query, std::uint64_t rows, std::shared_ptr<const Partial> partial);
  std::size_t memory_bytes() const;
  std::size_t size() const;

 private:
  using Key = std::pair<std::uint64_t, std::uint64_t>;
  struct KeyHash {
    std::size_t operator()(const Key& key) const { return key.first ^ (key.second * 0x9E3779B97F4A7C15ULL); }
  };
  struct Entry {
    Key key;
    std::shared_ptr<const Partial> partial;
    std::size_t bytes = 0;
  };

  const std::size_t budget_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // the last used in front
  std::unordered_map<Key, std::list<Entry>::iterator, KeyHash> index_;
  std::size_t bytes_ = 0;
};

}  // namespace tocayo::logql::detail
