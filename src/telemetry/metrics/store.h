// SPDX-License-Identifier: Apache-2.0
// The time-series store of one process: tenants, each with a head in memory (sharded by series) and sealed segments on
// disk.
//
//   auto store = TRY(Store::open({.dir = "data/metrics"}));
//   co_await store->append("anonymous", batch);
//   auto querier = store->querier("anonymous");          // hand it to promql::Engine
//
// Life cycle: open() loads the last checkpoint and replays the journal behind it; a background thread seals,
// checkpoints, demotes idle series and applies retention; close() writes a checkpoint, so that the next open() replays
// nothing. Killing the process at any moment loses nothing that append() acknowledged in WAL mode `batch`
// (docs/formats/metrics-segment.md, journal.md). Everything here is thread-safe unless it says otherwise.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/pool.h"
#include "core/time.h"
#include "journal/local_journal.h"
#include "metrics/appender.h"
#include "metrics/querier.h"

namespace tocayo::metrics {

// What a tenant may hold; keys and meanings are Mimir's. 0 switches a count limit off.
struct StoreLimits {
  std::size_t max_global_series_per_user = 0;
  std::size_t max_global_series_per_metric = 0;
  std::size_t max_global_exemplars_per_user = 100'000;  // 0: exemplars are not kept
  std::size_t max_global_metadata_per_user = 0;         // metric names with metadata
  std::size_t max_global_metadata_per_metric = 0;  // distinct (type, help, unit) per name; at most 10 are kept anyway
  std::chrono::milliseconds out_of_order_time_window = std::chrono::hours(2);
  std::chrono::milliseconds creation_grace_period = std::chrono::minutes(10);  // 0: no check
  std::chrono::milliseconds past_grace_period{0};                              // 0: no check
  bool ignore_ooo_exemplars = false;
  std::chrono::milliseconds retention{0};  // 0: StoreOptions::retention
};

class LimitsProvider {
 public:
  virtual ~LimitsProvider() = default;
  // Called for every append: must be cheap. Thread-safe.
  virtual StoreLimits store_limits(std::string_view tenant) const = 0;
};

// How far open() is, for /ready and /api/v1/status/walreplay; may be read while open() runs.
struct ReplayProgress {
  std::atomic<std::uint64_t> first{0};    // oldest journal byte to replay, over all shards
  std::atomic<std::uint64_t> last{0};     // newest
  std::atomic<std::uint64_t> current{0};  // done so far
  std::atomic<bool> done{false};
};

struct StoreOptions {
  std::string dir;
  std::size_t shards = 0;  // power of two; 0 = number of cores; fixed once the directory exists
  journal::SyncMode wal_mode = journal::SyncMode::batch;
  std::uint64_t wal_segment_size = 64ULL << 20;
  std::chrono::milliseconds wal_batch_delay{2};
  std::chrono::milliseconds wal_interval{1000};
  std::chrono::milliseconds checkpoint_interval = std::chrono::minutes(5);
  std::uint64_t checkpoint_bytes = 256ULL << 20;  // of journal since the last checkpoint, over all shards
  std::chrono::milliseconds head_window = std::chrono::hours(2);  // the head is sealed when it spans so much
  std::chrono::milliseconds head_idle_timeout = std::chrono::minutes(20);
  std::chrono::milliseconds head_stale_timeout = std::chrono::minutes(10);
  std::uint64_t head_sample_bytes = 0;  // seal earlier when samples in memory pass this; 0 = no such limit
  std::chrono::milliseconds retention = std::chrono::hours(24 * 15);  // 0: for ever
  std::uint64_t memory_limit = 0;                                     // of the process; 0: no memory guard
  std::function<std::uint64_t()> memory_used;                         // empty: resident set from /proc/self/statm
  std::shared_ptr<const LimitsProvider> limits;                       // null: StoreLimits{} for everybody
  Clock* clock = nullptr;                                             // null: the system's
  Pool* pool = nullptr;                      // appends resume here after the journal; null: on the journal's thread
  bool background = true;                    // false: nothing happens but by maintain() (tests)
  journal::Faults* faults = nullptr;         // of the journal, for tests
  std::shared_ptr<ReplayProgress> progress;  // optional
};

struct ExemplarSeries {
  Labels labels;
  std::vector<ExemplarRow> exemplars;  // ascending by time
};

// For /api/v1/status/tsdb.
struct HeadStats {
  struct Count {
    std::string name;
    std::uint64_t value;
  };
  std::uint64_t series = 0;
  std::uint64_t label_pairs = 0;
  std::uint64_t chunks = 0;
  TimestampMs min_time = 0, max_time = 0;  // 0, 0 when the head is empty
  std::vector<Count> series_by_metric;     // each: the `limit` largest, descending
  std::vector<Count> values_by_label;
  std::vector<Count> bytes_by_label;
  std::vector<Count> series_by_pair;  // "name=value"
};

// One sealed segment, for /api/v1/status/tsdb/blocks.
struct BlockStats {
  std::uint64_t sequence = 0;  // grows with the order of sealing; unique in the store
  TimestampMs min_time = 0, max_time = 0;
  std::uint64_t samples = 0;
  std::uint64_t series = 0;  // each has one chunk
  std::uint64_t bytes = 0;   // of its file
};

struct MemoryUse {  // bytes
  std::uint64_t symbols = 0, labels = 0, postings = 0, series = 0, open = 0, exemplars = 0;
  std::uint64_t total() const { return symbols + labels + postings + series + open + exemplars; }
};

class Store : public Appender {
 public:
  // Errors: `conflict` when another process has the directory open; `internal` when it is of a newer format; errno
  // ones.
  static Result<std::unique_ptr<Store>> open(StoreOptions options);
  ~Store() override = default;

  // As Appender says. Failing to write the journal gives `unavailable`.
  Task<Result<AppendResult>> append(std::string_view tenant, AppendBatch batch) override = 0;
  // Whether `ref` still names a series of this tenant: then a row may come without labels. May turn false at any time.
  virtual bool valid(std::string_view tenant, SeriesRef ref) const = 0;

  // What is readable now, all or nothing of each request. An unknown tenant is an empty one. Keep it for the length of
  // one query.
  virtual std::shared_ptr<const Querier> querier(std::string_view tenant) = 0;

  // Exemplars in [start, end] of series that match all matchers of any set, sorted by labels.
  virtual Result<std::vector<ExemplarSeries>> exemplars(std::string_view tenant,
                                                        std::span<const std::vector<Matcher>> matcher_sets,
                                                        TimestampMs start, TimestampMs end) const = 0;
  // Sorted by metric; several rows per metric when writers disagree (latest first). `metric` "" = all; `limit` counts
  // metrics, 0 = all; `limit_per_metric` 0 = all.
  virtual std::vector<MetadataRow> metadata(std::string_view tenant, std::string_view metric, std::size_t limit,
                                            std::size_t limit_per_metric) const = 0;
  virtual HeadStats head_stats(std::string_view tenant, std::size_t limit) const = 0;
  // In order of sealing.
  virtual std::vector<BlockStats> blocks(std::string_view tenant) const = 0;
  virtual std::vector<std::string> tenants() const = 0;  // sorted
  // Time of the tenant's newest accepted sample, 0 when it has none. O(1).
  virtual TimestampMs newest_sample(std::string_view tenant) const = 0;
  virtual MemoryUse memory() const = 0;
  // ok, or why appends fail at present.
  virtual Result<> health() const = 0;

  // One round of what the background thread does (seal, demote, retention, checkpoint as they fall due).
  virtual void maintain() = 0;
  // Moves everything in the head to segments now / writes a checkpoint now.
  virtual Result<> seal() = 0;
  virtual Result<> checkpoint() = 0;
  // Ends background work and writes a checkpoint. No append may be under way or follow. Without it (kill -9) the
  // journal is replayed at the next open.
  virtual Result<> close() = 0;
};

}  // namespace tocayo::metrics
