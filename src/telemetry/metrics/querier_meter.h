// SPDX-License-Identifier: Apache-2.0
// What one query takes: series, chunks and bytes fetched from the store, and the memory it holds. The store adds what
// it selects while it selects it (SelectHints::meter), the engine adds its intermediate results, so that a query that
// asks for everything ends before it has it.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <unordered_set>

#include "core/error.h"
#include "core/labels.h"

namespace tocayo::metrics {

// Per-query limits of Mimir; 0 switches one off.
struct QueryMeterLimits {
  std::uint64_t max_series = 0;       // max_fetched_series_per_query: distinct ones over all selectors
  std::uint64_t max_chunks = 0;       // max_fetched_chunks_per_query
  std::uint64_t max_chunk_bytes = 0;  // max_fetched_chunk_bytes_per_query
  std::uint64_t max_memory = 0;       // max_estimated_memory_consumption_per_query
};

// Thread-safe. Lives as long as the query, its result included.
class QueryMeter {
 public:
  // A part of a query that runs before its turn, and may yet be thrown away, has a meter of its own: what it holds
  // shows in the memory() of `shown_by` (which outlives it), but counts against no limit there before absorb().
  explicit QueryMeter(QueryMeterLimits limits = {}, QueryMeter* shown_by = nullptr)
      : limits_(limits), shown_by_(shown_by) {}
  ~QueryMeter() { show(0 - memory_.load(std::memory_order_relaxed)); }
  QueryMeter(const QueryMeter&) = delete;
  QueryMeter& operator=(const QueryMeter&) = delete;

  // One batch of selected series, by hash of their labels, with the chunks they have in the range, the bytes of those,
  // and the memory that the selection itself takes. `limit` with Mimir's text when the query may not have them;
  // otherwise why it was stopped.
  Result<> fetch(std::span<const std::uint64_t> series, std::uint64_t chunks, std::uint64_t chunk_bytes,
                 std::uint64_t memory);
  // Memory. take() counts also when it fails.
  Result<> take(std::uint64_t bytes);
  void give_back(std::uint64_t bytes) {
    memory_.fetch_sub(bytes, std::memory_order_relaxed);
    show(0 - bytes);
  }

  // Whether nothing that `part` counted would have been refused here, coming now. Nobody counts in either meanwhile.
  bool fits(const QueryMeter& part) const;
  // Counts what `part` has counted: its selections with their memory, and its peak. Results are the caller's to move.
  void absorb(const QueryMeter& part);

  // The selections are gone: what fetch() counted as memory is given back.
  void release_selections() { give_back(selected_.exchange(0, std::memory_order_relaxed)); }

  // Ends the query from outside, with the error its caller gets: its next fetch() or take() fails, and stop_token()
  // stops what checks its context. The first reason counts.
  void stop(Error reason);
  std::optional<Error> stopped() const;
  std::stop_token stop_token() const { return stop_.get_token(); }

  std::uint64_t memory() const {
    return memory_.load(std::memory_order_relaxed) + beside_.load(std::memory_order_relaxed);
  }
  std::uint64_t peak_memory() const { return peak_.load(std::memory_order_relaxed); }
  std::uint64_t chunks() const { return chunks_.load(std::memory_order_relaxed); }
  std::uint64_t series() const { return series_.load(std::memory_order_relaxed); }
  const QueryMeterLimits& limits() const { return limits_; }

 private:
  void show(std::uint64_t change) {
    if (shown_by_ != nullptr) shown_by_->beside_.fetch_add(change, std::memory_order_relaxed);
  }

  const QueryMeterLimits limits_;
  QueryMeter* const shown_by_;
  std::atomic<std::uint64_t> beside_{0};  // held by parts
  std::atomic<std::uint64_t> memory_{0}, peak_{0}, selected_{0}, series_{0}, chunks_{0}, chunk_bytes_{0};
  std::stop_source stop_;
  mutable std::mutex mutex_;
  std::optional<Error> reason_;
  std::unordered_set<std::uint64_t> hashes_;  // of the series seen, while there is a limit of series
};

// What Mimir counts as one chunk: so many samples of one series.
inline constexpr std::uint64_t kSamplesPerChunk = 120;

// Heap and object bytes of a label set, about.
std::uint64_t memory_bytes(const Labels& labels);

}  // namespace tocayo::metrics
