// SPDX-License-Identifier: Apache-2.0
// The implementation behind Store::open(). Internal to the room; split over store_*.cpp by subject.
//
// A request's way: streams resolved and lines checked → journal → (acknowledged) → head → answered. So nothing is
// readable that is not durable. A request enters the newest head under the tenant's mutex together with its journal
// position, and puts its lines there even when that head is frozen meanwhile: the records of a head are a range.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "logs/store/dir_lock.h"
#include "logs/store/feed.h"
#include "logs/store/pattern_tally.h"
#include "logs/store/record.h"
#include "logs/store/store.h"
#include "logs/store/tenant.h"

namespace tocayo::logs {

struct StoreMetrics {
  StoreMetrics();
  Counter& cuts;
  Counter& cut_failures;
  Counter& merges;
  Counter& merge_failures;
  Counter& retired;
  Counter& damaged;
  Counter& bad_records;
  Counter& created_streams;
  Gauge& replay_seconds;
  tocayo::Histogram& cut_seconds;
};

class StoreImpl final : public Store {
 public:
  explicit StoreImpl(StoreOptions options);
  ~StoreImpl() override;
  Result<> load();  // rest of open()

  Task<Result<AppendResult>> append(std::string_view tenant, std::span<StreamRows> streams) override;
  bool valid(std::string_view tenant, StreamRef ref) const override;
  std::shared_ptr<const Querier> querier(std::string_view tenant) override;
  Result<std::vector<Pattern>> patterns(std::string_view tenant, const Selection& selection, TimestampNs step,
                                        std::size_t limit, const Context& context) override;
  std::unique_ptr<Subscription> subscribe(std::string_view tenant,
                                          std::function<void(const TailBatch&)> callback) override;
  Result<std::string> add_delete(std::string_view tenant, std::string_view query, TimestampNs start,
                                 TimestampNs end) override;
  Result<std::vector<DeleteRequest>> deletes(std::string_view tenant) const override;
  Result<> cancel_delete(std::string_view tenant, std::string_view id, bool force) override;
  Result<std::vector<RetentionPreview>> preview_retention(std::string_view tenant, const TenantLimits& limits,
                                                          const Context& context) override;
  std::vector<std::string> tenants() const override;
  TenantStats stats(std::string_view tenant) const override;
  std::vector<LabelGrowth> label_growth(std::string_view tenant, std::uint64_t least) const override;
  void note_sender(std::string_view tenant, const Labels& labels, std::string_view address) override;
  Result<> health() const override;
  Result<> flush(std::string_view tenant) override;
  void maintain() override;
  Result<> close() override;

 private:
  struct Request;
  class Plan;
  class Replayer;

  // store_append.cpp
  bool crowded() const { return head_memory_->load() >= static_cast<std::int64_t>(options_.head_memory); }
  Task<bool> wait_for_room();
  void let_wait_end();
  Result<> overloaded() const;
  Result<> record(Request& request);
  void apply(Request& request);
  void apply_stream(Request& request, std::size_t index);
  bool stored_before(Tenant& tenant, const View& view, const Head& own, Stream& stream, const RecordRow& row,
                     std::span<HeadStream* const> others);
  void find_sealed(const View& view, Stream& stream) const;
  void load_keys(const View& view, Stream& stream) const;
  void count(const Request& request);

  // store.cpp
  std::shared_ptr<Tenant> find_tenant(std::string_view name) const;
  std::shared_ptr<Tenant> get_tenant(std::string_view name);
  std::vector<std::shared_ptr<Tenant>> all_tenants() const;
  std::shared_ptr<const TenantLimits> limits_of(std::string_view tenant) const;
  TimestampMs now() const { return clock_->now_ms(); }
  TimestampNs now_ns() const { return clock_->now_ms() * 1'000'000; }
  Result<> step(std::string_view name) const { return options_.step ? options_.step(name) : Result<>{}; }
  Head& newest_head(Tenant& tenant);  // with the tenant's mutex held
  void register_metrics();
  void run_cuts(std::stop_token stop);
  void run_merges(std::stop_token stop);
  void run_blooms(std::stop_token stop);
  void end_threads();
  void cut_round();
  void warn_of_growth(Tenant& tenant);
  void save_spilled(Tenant& tenant);
  void merge_round();
  bool waits(const std::atomic<TimestampMs>& next_try) const;
  bool report(Tenant& tenant, Counter& failures, std::atomic<TimestampMs>& next_try, std::string_view what,
              const Result<>& outcome);

  // store_recovery.cpp
  Result<> load_catalogue();
  Result<> replay();
  Result<> remove_orphans();

  // store_cut.cpp
  Result<> cut_tenant(Tenant& tenant, bool freeze_newest);
  Result<> cut_head(Tenant& tenant, const std::shared_ptr<Head>& head);
  Result<std::vector<SegmentRecord>> write_head(Tenant& tenant, const Head& head);
  void remember_keys(Tenant& tenant, const Head& head);
  Result<> trim_journal();
  SegmentRecord new_segment(const Tenant& tenant, std::int64_t day, std::uint64_t group, std::uint32_t level);
  std::filesystem::path path_of(const SegmentRecord& record) const { return dir_ / record.path; }
  void remove_files(std::span<const SegmentRecord> records) const;
  bool cut_due(const Tenant& tenant) const;
  void forget_streams(Tenant& tenant);

  // store_merge.cpp
  struct MergeTask {
    std::int64_t day = 0;
    std::uint32_t level = 0;  // of what is written
    std::vector<std::shared_ptr<SegmentEntry>> inputs;
    TimestampNs stretch = 86'400LL * 1'000'000'000;  // of the day, for which a segment is written
  };
  std::optional<MergeTask> merge_task(const Tenant& tenant) const;
  Result<> merge(Tenant& tenant, const MergeTask& task);
  Result<> retire_expired(Tenant& tenant);
  void publish_swap(Tenant& tenant, std::span<const SegmentRecord> added,
                    std::span<const std::shared_ptr<SegmentEntry>> removed);

  // store_delete.cpp
  Result<> work_on_deletes(Tenant& tenant);
  bool may_hold(const SegmentEntry& segment, const Tombstone& tombstone) const;
  Result<> adopt_deletes(std::vector<TombstoneRecord>& known);
  Result<bool> bytes_gone(Tenant& tenant, const Tombstone& tombstone);

  StoreOptions options_;
  std::filesystem::path dir_;
  Clock* clock_;
  std::uint64_t epoch_;  // of this process, in refs
  DirLock lock_;
  StoreMetrics metrics_;
  Catalogue catalogue_;
  mutable DiskReserve disk_;
  std::unique_ptr<journal::Journal> journal_;
  std::unique_ptr<journal::Partition> partition_;
  mutable std::shared_mutex tenants_mutex_;
  std::map<std::string, std::shared_ptr<Tenant>, std::less<>> tenants_;
  std::atomic<std::int64_t> next_segment_{1};
  std::atomic<std::int64_t> next_tombstone_{1};
  std::shared_ptr<std::atomic<std::int64_t>> head_memory_ = std::make_shared<std::atomic<std::int64_t>>(0);
  std::atomic<bool> wake_{false};
  std::mutex waiting_mutex_;
  std::vector<std::function<void(bool)>> waiting_;  // appends, until a cut has freed memory
  std::atomic<bool> merge_wanted_{false};
  std::atomic<bool> stopping_{false};  // ends a merge under way
  std::mutex cutting_mutex_;           // rounds of cuts
  std::mutex merging_mutex_;           // rounds of merges, retention and deletes
  std::mutex delete_mutex_;            // changes of delete requests
  PatternCache patterns_kept_{16 << 20};
  Feed feed_;
  bool closed_ = false;
  std::mutex background_mutex_;
  std::condition_variable_any cut_wake_;
  std::condition_variable_any slow_wake_;  // of the other threads
  std::jthread cuts_;
  std::jthread merges_;
  std::jthread blooms_;
};

// store_query.cpp
std::shared_ptr<const Querier> make_querier(std::shared_ptr<Tenant> tenant, std::shared_ptr<const TenantLimits> limits,
                                            TimestampNs now);

}  // namespace tocayo::logs
