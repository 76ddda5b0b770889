// SPDX-License-Identifier: Apache-2.0
// What all parts of one running query share: deadline, memory account, statistics, threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/error.h"
#include "core/pool.h"
#include "logql/engine/result.h"
#include "logs/querier.h"

namespace tocayo::logql::detail {

// What all running queries of an engine hold together. When it is too much, those fail that hold more than their share,
// which is the budget divided by the queries that run. Thread-safe.
class QueryMemory {
 public:
  explicit QueryMemory(std::size_t budget) : budget_(static_cast<std::int64_t>(budget)) {}

  void enter() { running_.fetch_add(1, std::memory_order_relaxed); }
  void leave(std::int64_t held) {
    running_.fetch_sub(1, std::memory_order_relaxed);
    held_.fetch_sub(held, std::memory_order_relaxed);
  }
  // False: a query that now holds `own` bytes in all has to end. The change counts also then.
  bool add(std::int64_t bytes, std::int64_t own) {
    const std::int64_t all = held_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    return bytes <= 0 || budget_ == 0 || all <= budget_ || own <= share();
  }
  std::int64_t share() const { return budget_ / std::max<std::int64_t>(running_.load(std::memory_order_relaxed), 1); }
  std::int64_t held() const { return held_.load(std::memory_order_relaxed); }

 private:
  const std::int64_t budget_;
  std::atomic<std::int64_t> held_{0};
  std::atomic<std::int64_t> running_{0};
};

class PartialCache;
class SpillSpace;

struct RunOptions {
  std::size_t max_series = 0;
  std::size_t memory_limit = 0;  // of this query; 0 = none
  QueryMemory* shared = nullptr;
  PartialCache* partials = nullptr;
  SpillSpace* spill = nullptr;  // where states go that do not fit; null: the query ends
  std::size_t spill_states_at =
      0;  // bytes of one thread's states that are put there anyway; 0 = only beyond the budget
  Pool* pool = nullptr;
  std::size_t parallelism = 0;
};

// Thread-safe.
class Run {
 public:
  Run(const logs::Querier& querier, RunOptions options, Context context)
      : querier_(querier), options_(options), context_(std::move(context)) {
    if (options_.shared != nullptr) options_.shared->enter();
  }
  ~Run() {
    if (options_.shared != nullptr) options_.shared->leave(memory_.load());
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  const logs::Querier& querier() const { return querier_; }
  const Context& context() const { return context_; }
  const RunOptions& options() const { return options_; }

  // Adds (or gives back) bytes held by the query; `limit` when it holds too many. The change counts also then.
  Result<> charge(std::int64_t bytes);
  std::uint64_t memory() const {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(memory_.load(std::memory_order_relaxed), 0));
  }
  std::uint64_t peak_memory() const { return peak_.load(std::memory_order_relaxed); }

  void add_scan(const logs::ScanStats& stats, std::uint64_t lines_kept);
  void add_spilled(std::uint64_t bytes) { spilled_.fetch_add(bytes, std::memory_order_relaxed); }
  void add_warnings(std::vector<std::string> warnings);
  QueryStats stats() const;
  std::vector<std::string> warnings() const;

  // How many workers each() will use for so many pieces.
  std::size_t worker_count(std::size_t pieces) const;
  // Calls work(worker, piece) once for every piece below `pieces`, in ascending order of starting; a worker number is
  // used by one thread at a time. The first error ends the rest and is returned.
  Result<> each(std::size_t pieces, const std::function<Result<>(std::size_t worker, std::size_t piece)>& work) const;

 private:
  const logs::Querier& querier_;
  const RunOptions options_;
  const Context context_;
  std::atomic<std::int64_t> memory_{0};
  std::atomic<std::uint64_t> peak_{0};
  std::atomic<std::uint64_t> spilled_{0};
  mutable std::mutex mutex_;
  logs::ScanStats scan_;
  std::uint64_t lines_kept_ = 0;
  std::vector<std::string> warnings_;
};

// Bytes charged to a run that follow a structure's size; given back at the end of life.
class Account {
 public:
  explicit Account(Run& run) : run_(&run) {}
  Account(Account&& other) noexcept : run_(other.run_), bytes_(std::exchange(other.bytes_, 0)) {}
  Account& operator=(Account&&) = delete;
  ~Account() { (void)run_->charge(-bytes_); }

  Result<> set(std::size_t bytes) {
    const auto delta = static_cast<std::int64_t>(bytes) - bytes_;
    bytes_ += delta;
    return delta == 0 ? Result<>{} : run_->charge(delta);
  }

 private:
  Run* run_;
  std::int64_t bytes_ = 0;
};

}  // namespace tocayo::logql::detail
