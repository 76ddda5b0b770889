// SPDX-License-Identifier: Apache-2.0
// One tenant of the log store. Internal to the room.
//
// Locks, in the order they are taken: a stripe, then `mutex`. The stripe of a stream guards its rows in every head, so
// that a line is compared with all of them and added in one step.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/registry.h"
#include "logs/store/spill.h"
#include "logs/store/view.h"

namespace tocayo::logs {

struct TenantCounters {
  explicit TenantCounters(const std::string& tenant);
  Counter& lines;
  Counter& bytes;
  Counter& loki_lines;
  Counter& loki_bytes;
  Counter& duplicates;
};

struct Tenant {
  explicit Tenant(std::string tenant_name);

  const std::string name;
  const std::uint32_t ordinal;  // of this process, in refs
  StreamIndex index;
  SpillState spill;
  std::array<std::mutex, kStripes> stripes;

  std::shared_ptr<const View> view() const {
    std::lock_guard lock(mutex);
    return view_;
  }
  // With `mutex` held: replaces the view by a changed copy.
  template <typename Change>
  void change(const Change& how) {
    auto next = std::make_shared<View>(*view_);
    how(*next);
    view_ = std::move(next);
  }
  std::mutex& stripe(StreamId id) { return stripes[stripe_of(id)]; }

  mutable std::mutex mutex;
  std::shared_ptr<const View> view_ = std::make_shared<View>();
  std::uint64_t next_head = 0;
  std::uint64_t journal_cut = 0;  // records before this position are in segments

  std::mutex merge_mutex;                      // merges, rewrites, retirement: one at a time; taken before …
  std::mutex cut_mutex;                        // … that of cuts, which do not wait for merges
  std::atomic<TimestampNs> sealed_max;         // newest row on disk
  std::atomic<TimestampMs> next_try{0};        // of a cut that failed
  std::atomic<TimestampMs> next_merge_try{0};  // of a merge that failed
  std::map<std::string, std::int64_t> warned;  // label: day of the last warning; of the merging thread
  std::vector<std::filesystem::path> retired;  // files that readers may still hold; with `mutex`
  std::mutex rate_mutex;
  double tokens = -1;  // bytes; negative: full
  TimestampMs refilled = 0;

  std::optional<TenantCounters> counters;  // nullopt for a tenant that has nothing stored
};

}  // namespace tocayo::logs
