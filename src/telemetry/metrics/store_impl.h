// SPDX-License-Identifier: Apache-2.0
// The implementation behind Store::open(). Internal to the room; split over store_*.cpp by subject.
//
// A request's way: validated and encoded under its shards' locks → journal → (acknowledged) → applied to the head →
// answered. So nothing is readable that is not durable, and a failed request leaves no trace but unreadable journal
// records.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/registry.h"
#include "metrics/store.h"
#include "metrics/store_row_index.h"
#include "metrics/tenant.h"
#include "metrics/wal_record.h"

namespace tocayo::metrics {

// Shared by all shards' parts of one request: counts acknowledgements down.
class Commit {
 public:
  void expect() {
    std::lock_guard lock(mutex_);
    ++open_;
  }
  void acknowledge(std::uint32_t shard, Result<> result);
  // Whether that shard's record is durable.
  bool durable(std::uint32_t shard) const {
    std::lock_guard lock(mutex_);
    return (durable_ >> shard & 1) != 0;
  }
  // Calls `done` when nothing is open any more, at once or later; once.
  void when_done(std::move_only_function<void(bool)> done);
  bool finished() const {
    std::lock_guard lock(mutex_);
    return open_ == 0;
  }
  std::optional<Error> error() const {
    std::lock_guard lock(mutex_);
    return error_;
  }

 private:
  mutable std::mutex mutex_;
  int open_ = 0;
  std::uint64_t durable_ = 0;  // bit per shard
  std::optional<Error> error_;
  std::move_only_function<void(bool)> done_;
};

class StoreImpl final : public Store {
 public:
  explicit StoreImpl(StoreOptions options);
  ~StoreImpl() override;
  Result<> load();  // rest of open()

  Task<Result<AppendResult>> append(std::string_view tenant, AppendBatch batch) override;
  bool valid(std::string_view tenant, SeriesRef ref) const override;
  std::shared_ptr<const Querier> querier(std::string_view tenant) override;
  Result<std::vector<ExemplarSeries>> exemplars(std::string_view tenant,
                                                std::span<const std::vector<Matcher>> matcher_sets, TimestampMs start,
                                                TimestampMs end) const override;
  std::vector<MetadataRow> metadata(std::string_view tenant, std::string_view metric, std::size_t limit,
                                    std::size_t limit_per_metric) const override;
  HeadStats head_stats(std::string_view tenant, std::size_t limit) const override;
  std::vector<BlockStats> blocks(std::string_view tenant) const override;
  std::vector<std::string> tenants() const override;
  TimestampMs newest_sample(std::string_view tenant) const override;
  MemoryUse memory() const override;
  Result<> health() const override;
  void maintain() override;
  Result<> seal() override;
  Result<> checkpoint() override;
  Result<> close() override;

 private:
  struct PlannedRow {
    Series* series;
    const FloatRow* row;
    bool again = false;  // another request under way has the same
    TimestampMs time() const { return row->time; }
    HeadShard::Found found() const { return {row->value, nullptr}; }
  };
  struct PlannedHistogram {
    Series* series;
    HistRow row;
    bool again = false;
    TimestampMs time() const { return row.time; }
    HeadShard::Found found() const { return {0, row.histogram}; }
  };
  struct PlannedExemplar {
    Series* series;
    const ExemplarRow* row;
  };
  // What one request does to one head shard.
  struct Part final : HeadShard::Pending {
    std::optional<HeadShard::Found> at(const Series& series, TimestampMs time) override;
    void raise_accepted() override;

    std::uint32_t shard = 0;
    HeadShard* head = nullptr;
    bool recorded = false;  // its record is in the journal's hands
    journal::Position position = 0;
    std::vector<PlannedRow> rows;
    std::vector<PlannedHistogram> histograms;
    std::vector<PlannedExemplar> exemplars;
    RowIndex row_index, histogram_index;
    std::vector<Series*> defined;  // whose definition the record carries
  };
  struct Request {
    Tenant* tenant = nullptr;
    StoreLimits limits;
    TimestampMs now = 0;
    AppendBatch batch;
    AppendResult result;
    std::vector<Part> parts;
    std::vector<const MetadataRow*> metadata;
    std::optional<Error> failed;
  };
  class Encoding;  // the validation of one part, store_encode.cpp

  // store_append.cpp
  void encode(Request& request, const std::shared_ptr<Commit>& commit);
  static bool labels_known(const Request& request, std::uint32_t index);
  void encode_part(Request& request, Part& part, std::span<const std::uint32_t> rows,
                   const std::shared_ptr<Commit>& commit);
  void apply(Request& request);
  void abort(Request& request, const Commit& commit);
  void count(const Request& request);
  static void reject(AppendResult& result, std::string_view reason, std::size_t count,
                     std::move_only_function<Error()> text);
  std::optional<HeadShard::Found> find_sealed(const Tenant& tenant, const HeadShard& head, const Series& series,
                                              TimestampMs time) const;
  // Newest sealed row of a series, as far back as a row may still come; kMinTime when there is none.
  TimestampMs newest_sealed(const Tenant& tenant, const Labels& labels, const StoreLimits& limits) const;
  SeriesRef ref_of(const Tenant& tenant, std::uint32_t shard, SeriesId id) const;
  bool split_ref(const Tenant& tenant, SeriesRef ref, std::uint32_t& shard, SeriesId& id) const;
  std::uint32_t shard_of(std::uint64_t hash) const {
    return shard_count_ == 1 ? 0 : static_cast<std::uint32_t>(hash >> (64 - shard_bits_));
  }
  StoreLimits limits_of(std::string_view tenant) const;
  TimestampMs now() const { return clock_->now_ms(); }

  // store.cpp
  std::shared_ptr<Tenant> find_tenant(std::string_view name) const;
  std::shared_ptr<Tenant> get_tenant(std::string_view name);
  std::vector<std::shared_ptr<Tenant>> all_tenants() const;
  Result<> open_directory();
  void register_metrics();
  void run_background(std::stop_token stop);

  // store_recovery.cpp
  Result<> load_segments();
  Result<> load_checkpoint();
  Result<> load_checkpoint_shard(std::uint64_t number, std::uint32_t shard);
  Result<> replay();
  Result<> replay_shard(std::uint32_t shard);
  Result<> write_checkpoint();
  Result<> save_shard(std::uint64_t number, std::uint32_t shard);
  void save_tenant_side(const Tenant& tenant, std::string& out) const;
  bool load_tenant_side(std::string_view payload);

  // store_maintain.cpp
  enum class SealWhat : unsigned char { everything, idle };
  Result<> seal_tenant(Tenant& tenant, SealWhat what);
  bool idle(const Series& series, std::uint32_t now_seconds) const;
  std::size_t demote(Tenant& tenant);
  std::size_t count_idle(const Tenant& tenant) const;
  bool seal_due(const Tenant& tenant) const;
  void apply_retention(Tenant& tenant);
  std::string segment_dir(const Tenant& tenant) const;
  double memory_pressure() const;  // share of the limit in use, 0 without one

  struct Metrics {
    Counter& floats;
    Counter& histograms;
    Counter& exemplars;
    Counter& out_of_order;
    Counter& created;
    Counter& removed;
    Counter& prometheus_floats;
    Counter& prometheus_histograms;
    Counter& prometheus_created;
    Counter& prometheus_removed;
    Counter& prometheus_out_of_order;
    Counter& seals;
    Counter& seal_failures;
    Counter& checkpoints;
    Counter& checkpoint_failures;
    Counter& unknown_series;
    Gauge& replay_seconds;
  };

  StoreOptions options_;
  Clock* clock_;
  std::size_t shard_count_ = 1;
  unsigned shard_bits_ = 0;
  std::uint64_t epoch_ = 1;  // of this process, in refs
  int lock_fd_ = -1;
  Metrics metrics_;
  std::unique_ptr<journal::Journal> journal_;
  std::vector<std::unique_ptr<journal::Partition>> partitions_;
  mutable std::shared_mutex tenants_mutex_;
  std::map<std::string, std::shared_ptr<Tenant>, std::less<>> tenants_;
  std::atomic<std::uint64_t> next_segment_{1};
  std::uint64_t checkpoint_number_ = 0;
  bool clean_start_ = false;  // the last checkpoint had everything: nothing was replayed
  std::vector<journal::Position> checkpoint_positions_;
  std::chrono::steady_clock::time_point last_checkpoint_;
  std::atomic<bool> aborts_noted_{false};
  std::atomic<double> pressure_{0};
  TimestampMs last_idle_look_ = kMinTime / 2;
  std::mutex maintenance_mutex_;  // seal, checkpoint, retention: one at a time
  bool closed_ = false;
  std::jthread background_;
};

}  // namespace tocayo::metrics
