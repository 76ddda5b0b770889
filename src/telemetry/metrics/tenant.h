// SPDX-License-Identifier: Apache-2.0
// One tenant inside the store: its head shards, segments, exemplars, metadata, and the order in which requests become
// readable.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "metrics/head_shard.h"
#include "metrics/segment.h"
#include "metrics/tenant_side.h"

namespace tocayo::metrics {

// Many may be inside at once; exclusive() waits for all of them to leave and keeps newcomers out meanwhile.
class Gate {
 public:
  void enter() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return exclusive_ == 0; });
    ++inside_;
  }
  void leave() {
    std::lock_guard lock(mutex_);
    if (--inside_ == 0 && exclusive_ > 0) changed_.notify_all();
  }
  template <typename F>
  auto exclusive(F&& f) {
    std::unique_lock lock(mutex_);
    ++exclusive_;
    changed_.wait(lock, [this] { return inside_ == 0; });
    auto result = f();
    if (--exclusive_ == 0) changed_.notify_all();
    return result;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int inside_ = 0;
  int exclusive_ = 0;
};

// Segments of a tenant, oldest first; each has a number that grows with the order of sealing.
struct SegmentEntry {
  std::uint64_t sequence = 0;
  std::shared_ptr<const Segment> segment;
};
using SegmentList = std::vector<SegmentEntry>;

class Tenant {
 public:
  Tenant(std::string name, std::uint32_t ordinal, std::size_t shards);

  const std::string name;
  const std::uint32_t ordinal;
  std::vector<std::unique_ptr<HeadShard>> shards;
  std::atomic<TimestampMs> max_time{kMinTime};   // newest accepted sample
  std::atomic<TimestampMs> last_seal{kMinTime};  // the store's clock
  ExemplarStore exemplars;
  MetadataStore metadata;

  void raise_max_time(TimestampMs time) {
    TimestampMs seen = max_time.load(std::memory_order_relaxed);
    while (time > seen && !max_time.compare_exchange_weak(seen, time, std::memory_order_relaxed)) {
    }
  }

  // Visibility. A request is applied between begin_apply and end_apply, under its own sequence number. A reader sees
  // the requests up to the number it got from begin_read; what later requests change is remembered (HeadShard::undo)
  // while such readers live.
  struct Apply {
    std::uint64_t sequence;
    bool remember;
  };
  Apply begin_apply();
  void end_apply() { gate_.leave(); }
  std::uint64_t begin_read();
  void end_read(std::uint64_t sequence);

  std::shared_ptr<const SegmentList> segments() const;
  void publish(SegmentEntry entry);
  // Removes and returns the segments for which f says so.
  template <typename F>
  SegmentList remove_segments(F&& f) {
    std::lock_guard lock(segments_mutex_);
    auto next = std::make_shared<SegmentList>();
    SegmentList removed;
    for (const SegmentEntry& entry : *segments_) (f(*entry.segment) ? removed : *next).push_back(entry);
    if (!removed.empty()) segments_ = std::move(next);
    return removed;
  }

  // Series count, in total and by metric name. Thread-safe.
  std::size_t series_count() const { return series_count_.load(std::memory_order_relaxed); }
  std::size_t series_of_metric(std::string_view metric) const;
  void count_series(std::string_view metric, int change);

 private:
  struct StringHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  Gate gate_;
  std::atomic<std::uint64_t> sequence_{0};
  std::mutex readers_mutex_;
  std::map<std::uint64_t, std::size_t> readers_;
  std::atomic<std::size_t> reader_count_{0};
  mutable std::mutex segments_mutex_;
  std::shared_ptr<const SegmentList> segments_ =
      std::make_shared<SegmentList>();  // shared with readers, replaced as a whole
  std::atomic<std::size_t> series_count_{0};
  mutable std::mutex metrics_mutex_;
  std::unordered_map<std::string, std::size_t, StringHash, std::equal_to<>> metric_series_;
};

}  // namespace tocayo::metrics
