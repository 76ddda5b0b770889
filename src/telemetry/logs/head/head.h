// SPDX-License-Identifier: Apache-2.0
// A head: the lines of one tenant that arrived between two cuts. It is filled while it is the tenant's newest, then
// frozen, written to segments and dropped as a whole. Its journal records are exactly those of the tenant in
// [journal_from, journal_to).
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "logs/head/head_stream.h"

namespace tocayo::logs {

inline constexpr std::size_t kStripes = 64;
inline std::size_t stripe_of(StreamId id) { return id % kStripes; }

class Head {
 public:
  // `total` sums the memory of all heads of the process, as long as each exists.
  Head(std::uint64_t sequence, TimestampMs created, std::shared_ptr<std::atomic<std::int64_t>> total)
      : sequence_(sequence), created_(created), total_(std::move(total)) {}
  ~Head() { total_->fetch_sub(static_cast<std::int64_t>(memory_.load())); }
  Head(const Head&) = delete;
  Head& operator=(const Head&) = delete;

  std::uint64_t sequence() const { return sequence_; }
  TimestampMs created() const { return created_; }

  // With the stripe lock of the stream held.
  HeadStream* find(StreamId id);
  HeadStream& get(const std::shared_ptr<Stream>& stream);

  // Thread-safe. The rows stay valid as long as the head.
  const HeadStream* find_shared(StreamId id, std::mutex& stripe) const;
  void for_each(std::size_t stripe, std::mutex& lock, const std::function<void(const HeadStream&)>& visit) const;

  void count(std::uint64_t rows, std::uint64_t line_bytes, std::uint64_t memory) {
    rows_.fetch_add(rows, std::memory_order_relaxed);
    raw_bytes_.fetch_add(line_bytes, std::memory_order_relaxed);
    charge(memory);
  }
  std::uint64_t rows() const { return rows_.load(std::memory_order_relaxed); }
  std::uint64_t raw_bytes() const { return raw_bytes_.load(std::memory_order_relaxed); }
  std::uint64_t memory_bytes() const { return memory_.load(std::memory_order_relaxed); }
  bool empty() const { return rows() == 0; }

  // Requests that will put rows in here: they register while this is the newest head, before their journal record gets
  // its position.
  void enter() {
    std::lock_guard lock(mutex_);
    ++pending_;
  }
  void leave() {
    std::lock_guard lock(mutex_);
    if (--pending_ == 0) idle_.notify_all();
  }
  // Blocks until nobody is registered. Only useful when it is not the newest any more.
  void wait_idle() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [&] { return pending_ == 0; });
  }

  // Makes blooms for pages that have closed. One thread at a time.
  void build_blooms(std::span<std::mutex> stripes);

  // Positions of the tenant's first record in here and of what follows the last; guarded by the tenant's mutex.
  std::uint64_t journal_from = 0;
  std::uint64_t journal_to = 0;
  bool has_records = false;

 private:
  void charge(std::uint64_t bytes) {
    memory_.fetch_add(bytes, std::memory_order_relaxed);
    total_->fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  }

  std::uint64_t sequence_;
  TimestampMs created_;
  std::shared_ptr<std::atomic<std::int64_t>> total_;  // shared: a reader may keep a head beyond its store
  std::array<std::unordered_map<StreamId, std::unique_ptr<HeadStream>>, kStripes> rows_of_;
  std::unordered_map<const HeadStream*, const Slab*> bloomed_;  // first slab without; of the thread that builds
  std::atomic<std::uint64_t> rows_{0};
  std::atomic<std::uint64_t> raw_bytes_{0};
  std::atomic<std::uint64_t> memory_{0};
  std::mutex mutex_;
  std::condition_variable idle_;
  std::size_t pending_ = 0;
};

}  // namespace tocayo::logs
