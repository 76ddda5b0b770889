// SPDX-License-Identifier: Apache-2.0
// The query engine: a LogQL expression and a store's Querier in, lines or numbers out. HTTP, alert rules, dashboards
// and everybody else that asks for logs goes through it.
//
// Line filters, and label filters that stand before any parser, are handed down to the store; what is left of the
// pipeline runs over its rows, morsel by morsel, on the compute pool. Range aggregations keep one mergeable state per
// series and elementary interval (the pieces of time in which the set of windows does not change), so rows are read
// once, in any order, on any thread, and each window is the merge of neighbouring states. Log queries with a limit
// visit the morsels from the end they begin at and leave out those that cannot contribute any more.
//
// Calls are synchronous and belong on a compute thread; an engine is immutable and may be used from many threads.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/context.h"
#include "core/error.h"
#include "logql/engine/result.h"
#include "logql/syntax/ast.h"
#include "logs/querier.h"

namespace tocayo {
class Pool;
}

namespace tocayo::logql {

namespace detail {
class PartialCache;
class QueryMemory;
class SpillSpace;
}  // namespace detail

struct EngineOptions {
  std::chrono::milliseconds timeout = std::chrono::minutes(1);  // of one query, beside the caller's deadline
  std::size_t max_series = 20'000;                              // of a result: max_query_series
  std::size_t max_points = 11'000;                              // of one series
  std::size_t max_entries = 100'000;                            // largest limit: max_entries_limit_per_query
  std::size_t memory_limit = 0;                                 // bytes of one query, 0 = none
  std::size_t partial_cache = 0;                                // bytes of results by row group, 0 = not kept
  std::size_t memory_budget = 0;                                // bytes of all that run at once, 0 = none
  // Where states of metric queries go that do not fit into memory, in files without names. Empty: such a query ends.
  std::string spill_directory;
  std::uint64_t spill_bytes = 0;    // on disk, of all that run at once; the disk's last twentieth is left alone
  std::size_t spill_states_at = 0;  // tests: put states of so many bytes there although memory would do
};

// What one query may want differently. 0 = the engine's.
struct QueryOptions {
  std::chrono::milliseconds timeout{0};
  std::size_t max_series = 0;
  std::size_t max_entries = 0;
  std::size_t memory_limit = 0;
  bool unlimited_entries = false;  // no max_entries: for exports
  Pool* pool = nullptr;            // null = on the calling thread only
  std::size_t parallelism = 0;     // threads at once, 0 = all of the pool's
};

struct QueryParams {
  TimestampNs start = 0;  // log queries: inclusive; metric queries: the first step
  TimestampNs end = 0;    // log queries: exclusive; metric queries: the last step at most
  std::int64_t step_ns = 0;
  bool instant = false;  // evaluate at `end` alone; start and step are not used
  // log queries
  std::size_t limit = 100;
  logs::Direction direction = logs::Direction::backward;
  std::int64_t interval_ns = 0;  // lines at least so far apart; 0 = all
  std::optional<Cursor> cursor;  // continue a page; start and end stay those of the first one
};

class Engine {
 public:
  explicit Engine(EngineOptions options = {});

  // Errors: bad_input (syntax, parameters, a row's error in a metric query, a log query as instant query: Loki's 400),
  // limit (series, entries, memory and disk: 400 as well), unavailable (too little disk for what memory does not hold),
  // timeout, canceled, and whatever the store fails with.
  Result<QueryResult> query(const logs::Querier& querier, std::string_view query, const QueryParams& params,
                            const QueryOptions& options = {}, const Context& context = {}) const;
  Result<QueryResult> query(const logs::Querier& querier, const Expr& expr, const QueryParams& params,
                            const QueryOptions& options = {}, const Context& context = {}) const;

  const EngineOptions& options() const { return options_; }

 private:
  EngineOptions options_;
  std::shared_ptr<detail::QueryMemory> memory_;  // shared by copies of the engine
  std::shared_ptr<detail::PartialCache> partials_;
  std::shared_ptr<detail::SpillSpace> spill_;
};

// "forward" or "backward" in any case, "" is backward; bad_input "invalid direction '…'".
Result<logs::Direction> parse_direction(std::string_view text);

}  // namespace tocayo::logql
