// SPDX-License-Identifier: Apache-2.0
// The log store of one process: tenants, each with a head in memory and segments on disk.
//
//   auto store = TRY(Store::open({.dir = "data/logs", .database = &database}));
//   co_await store->append("fake", streams);
//   auto querier = store->querier("fake");          // hand it to the LogQL engine
//
// Life cycle: open() reads the catalogue and replays the journal; a background thread cuts heads into segments, merges
// segments, applies retention and deletes; close() cuts what is in memory, so that the next open() replays nothing.
// Killing the process at any moment loses nothing that append() acknowledged in journal mode `batch`, and doubles
// nothing. Everything here is thread-safe unless it says otherwise.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/pool.h"
#include "core/time.h"
#include "db/database.h"
#include "db/migrations.h"
#include "journal/local_journal.h"
#include "logs/entry.h"
#include "logs/querier.h"
#include "logs/store/disk_reserve.h"
#include "logs/store/limits.h"

namespace tocayo::logs {

// Which rows a delete request means. Immutable and thread-safe.
struct DeleteFilter {
  std::vector<Matcher> matchers;  // of the stream's labels
  // Whether the row goes too, given its stream; empty: every row of the streams.
  std::function<bool(const Labels&, const Row&)> row;
};

struct DeleteRequest {
  std::string id;
  TimestampNs start = 0;  // inclusive
  TimestampNs end = 0;    // inclusive
  std::string query;      // as it was sent
  enum class State : unsigned char { received, processing, processed } state = State::received;
  int percent = 0;  // of the affected segments that are written again
  TimestampMs created = 0;
};

// Lines of one stream that were just acknowledged.
struct TailBatch {
  const Labels* labels = nullptr;
  std::span<const Row> rows;  // in order of arrival; Row::order as queries give it, Row::stream is 0
};

struct StoreOptions {
  std::string dir;
  db::Database* database = nullptr;  // borrowed, outlives the store; holds the catalogue
  journal::SyncMode journal_mode = journal::SyncMode::batch;
  std::uint64_t journal_segment_size = 64ULL << 20;
  std::chrono::milliseconds journal_batch_delay{5};
  std::chrono::milliseconds journal_interval{1000};
  int journal_compression = 1;             // zstd level of records
  std::uint64_t cut_bytes = 128ULL << 20;  // of lines in a tenant's head
  std::chrono::milliseconds cut_age = std::chrono::minutes(30);
  // Age of a head that gets blooms: one that fills within seconds is on disk before anybody searches it often.
  std::chrono::milliseconds bloom_age = std::chrono::seconds(20);
  // Memory of all heads: at three quarters the largest is cut, from here on appends wait for cuts up to 5 s, at 1.5
  // times they fail.
  std::uint64_t head_memory = 512ULL << 20;
  std::uint64_t group_bytes = 64ULL << 20;    // a head is divided into stream groups of about this size
  std::uint64_t merge_bytes = 1ULL << 30;     // raw size of a segment of an hour …
  std::uint64_t day_bytes = 4ULL << 30;       // … and of a day
  std::uint64_t stretch_bytes = 64ULL << 20;  // of lines that merged segments of a stretch of the day have at least
  std::size_t merge_count = 4;                // segments of a day and level that are worth a merge …
  std::chrono::milliseconds merge_settle = std::chrono::minutes(1);  // … when no other one came for so long
  std::uint64_t disk_reserve = 0;  // bytes that appends leave free; 0: a hundredth of the disk, at least 256 MiB
  std::function<Result<DiskSpace>()> disk_space;  // empty: of the file system that holds `dir`
  std::chrono::milliseconds delete_delay{0};      // between a delete request and rewriting (it hides rows at once)
  std::chrono::milliseconds stream_idle = std::chrono::minutes(30);  // a stream without lines is forgotten
  LimitsOf limits;                                                   // empty: TenantLimits{} for everybody
  // Compiles the text of a delete request, when it comes and again at each start. Empty: deletes are refused.
  std::function<Result<DeleteFilter>(std::string_view tenant, std::string_view query)> compile_delete;
  Clock* clock = nullptr;             // null: the system's
  Pool* pool = nullptr;               // appends resume here after the journal; null: on the journal's thread
  bool background = true;             // false: nothing happens but by maintain() and flush() (tests)
  journal::Faults* faults = nullptr;  // of the journal, for tests
  // For tests: called with the name of each step that a crash may hit; an error ends the operation there.
  std::function<Result<>(std::string_view step)> step;
};

// Removing it ends the calls; none is running any more when the destructor has returned.
class Subscription {
 public:
  virtual ~Subscription() = default;
  virtual std::uint64_t dropped() const = 0;  // lines that came faster than the callback took them
};

struct TenantStats {
  std::uint64_t streams = 0;  // in memory
  std::uint64_t head_rows = 0;
  std::uint64_t head_bytes = 0;  // of lines
  std::uint64_t segments = 0;
  std::uint64_t segment_rows = 0;
  std::uint64_t segment_raw_bytes = 0;
  std::uint64_t segment_file_bytes = 0;
};

// A label that gets very many values.
struct LabelGrowth {
  std::string label;
  std::uint64_t values = 0;  // that came since midnight (UTC) and were not in memory; about, once it is spilled
  std::string sender;        // address that sent the newest of them, if it is known
  TimestampMs spilled = 0;   // since when the label is kept with each row and splits no streams; 0: it splits them
};

struct RetentionPreview {
  Labels labels;
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
};

class Store : public Appender {
 public:
  // Errors: `conflict` when another process has the directory open, errno ones, those of the database.
  static Result<std::unique_ptr<Store>> open(StoreOptions options);
  ~Store() override = default;

  // Whether `ref` names a stream of this tenant: then its lines may come without labels. May turn false at any time.
  virtual bool valid(std::string_view tenant, StreamRef ref) const = 0;
  // What is readable now. An unknown tenant is an empty one. Keep it for the length of one query.
  virtual std::shared_ptr<const Querier> querier(std::string_view tenant) = 0;
  // Kinds of lines among those a selection chooses, most frequent first, counted per step (ns, at least 1).
  virtual Result<std::vector<Pattern>> patterns(std::string_view tenant, const Selection& selection, TimestampNs step,
                                                std::size_t limit, const Context& context) = 0;

  // Calls back on a thread of the store after lines were acknowledged, in order per stream, one call at a time. A slow
  // callback delays no append; beyond 64 MiB waiting the oldest lines are dropped and counted.
  virtual std::unique_ptr<Subscription> subscribe(std::string_view tenant,
                                                  std::function<void(const TailBatch&)> callback) = 0;

  // Hides the rows that `query` means from now on and has them removed. Returns the id. bad_input: the query.
  virtual Result<std::string> add_delete(std::string_view tenant, std::string_view query, TimestampNs start,
                                         TimestampNs end) = 0;
  virtual Result<std::vector<DeleteRequest>> deletes(std::string_view tenant) const = 0;  // oldest first
  // not_found; conflict when rows are gone already and not `force`.
  virtual Result<> cancel_delete(std::string_view tenant, std::string_view id, bool force) = 0;
  // What the given rules would remove now, by stream, largest first.
  virtual Result<std::vector<RetentionPreview>> preview_retention(std::string_view tenant, const TenantLimits& limits,
                                                                  const Context& context) = 0;

  virtual std::vector<std::string> tenants() const = 0;  // sorted
  virtual TenantStats stats(std::string_view tenant) const = 0;
  // Labels with at least `least` new values today, and the spilled ones, by name.
  virtual std::vector<LabelGrowth> label_growth(std::string_view tenant, std::uint64_t least) const = 0;
  // Names the sender of lines whose refs stayed 0: they have spilled labels.
  virtual void note_sender(std::string_view tenant, const Labels& labels, std::string_view address) = 0;
  // ok, or why appends fail at present.
  virtual Result<> health() const = 0;

  // Writes the heads (of one tenant; "" = all) to segments and trims the journal.
  virtual Result<> flush(std::string_view tenant = {}) = 0;
  // One round of what the background thread does.
  virtual void maintain() = 0;
  // Ends background work and flushes. No append may be under way or follow.
  virtual Result<> close() = 0;
};

// Schema of the catalogue; open() applies it.
std::span<const db::Migration> migrations();

}  // namespace tocayo::logs
