// SPDX-License-Identifier: Apache-2.0
// What a reader sees of a tenant: an immutable list of heads, segments and delete requests. A cut or a merge publishes
// a new one; whoever holds the old one keeps its files.
#pragma once

#include <atomic>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "logs/head/head.h"
#include "logs/segment.h"
#include "logs/store/catalogue.h"
#include "logs/store/spill.h"

namespace tocayo::logs {

// A segment as readers use it.
struct OpenSegment {
  std::shared_ptr<SegmentReader> reader;
  std::vector<std::uint64_t> hashes;  // of the label bytes of each stream

  // All label names, and all values of one, ascending; gathered at the first call. Thread-safe.
  std::shared_ptr<const std::vector<std::string>> label_names() const { return gathered({}, true); }
  // (Values that its rows carry are not among these.)
  std::shared_ptr<const std::vector<std::string>> label_values(const std::string& name) const {
    return gathered(name, false);
  }
  // Of its spilled streams; null when it has none. Reads their rows the first time; may be forgotten between uses.
  // Thread-safe.
  Result<std::shared_ptr<const SpilledSets>> spilled() const;
  // The same when it is known; null when it is not.
  std::shared_ptr<const SpilledSets> known_spilled() const;
  bool has_spilled() const { return !reader->streams().empty() && is_spilled(reader->streams()[0].labels); }

 private:
  using Texts = std::shared_ptr<const std::vector<std::string>>;
  Texts gathered(const std::string& name, bool names) const;
  mutable std::mutex mutex_;
  mutable std::map<std::pair<bool, std::string>, Texts> gathered_;
  mutable std::weak_ptr<const SpilledSets> spilled_;
};

class SegmentEntry;

// The open segments of the process that were used last, within a budget of memory: one that is needed again later is
// opened again. Whoever holds one keeps it. Thread-safe.
class OpenSegments {
 public:
  static constexpr std::size_t kBudget = 192ULL << 20;
  static OpenSegments& instance();
  std::shared_ptr<const OpenSegment> find(const SegmentEntry* entry);
  void keep(const SegmentEntry* entry, std::shared_ptr<const OpenSegment> segment);
  void forget(const SegmentEntry* entry);
  void set_budget(std::size_t bytes);
  std::size_t count() const;

 private:
  struct Kept {
    const SegmentEntry* entry;
    std::shared_ptr<const OpenSegment> segment;
    std::size_t bytes;
  };
  void fit(std::vector<std::shared_ptr<const OpenSegment>>& dropped);
  mutable std::mutex mutex_;
  std::list<Kept> kept_;  // newest used first
  std::unordered_map<const SegmentEntry*, std::list<Kept>::iterator> places_;
  std::size_t bytes_ = 0;
  std::size_t budget_ = kBudget;
};

// One live segment. Thread-safe. Opened when it is used; its file goes when it was retired and nobody holds it.
class SegmentEntry {
 public:
  SegmentEntry(SegmentRecord record, std::filesystem::path file)
      : record_(std::move(record)), file_(std::move(file)), tombstone_(record_.tombstone) {}
  ~SegmentEntry();
  SegmentEntry(const SegmentEntry&) = delete;
  SegmentEntry& operator=(const SegmentEntry&) = delete;

  const SegmentRecord& record() const { return record_; }
  const std::filesystem::path& file() const { return file_; }
  // A file that cannot be read stays quarantined: the same error again, without another try.
  Result<std::shared_ptr<const OpenSegment>> open() const;
  void retire() { retired_.store(true); }
  // Some of it cannot be read: merges leave it alone.
  void exclude() const { excluded_.store(true, std::memory_order_relaxed); }
  bool excluded() const { return excluded_.load(std::memory_order_relaxed); }
  // Delete requests up to this one have no rows in here.
  std::int64_t tombstone() const { return tombstone_.load(std::memory_order_relaxed); }
  void set_tombstone(std::int64_t sequence) { tombstone_.store(sequence, std::memory_order_relaxed); }
  bool overlaps(TimestampNs start, TimestampNs end) const {  // [start, end)
    return record_.rows > 0 && record_.min_time < end && record_.max_time >= start;
  }

 private:
  SegmentRecord record_;
  std::filesystem::path file_;
  std::atomic<bool> retired_{false};
  mutable std::atomic<bool> excluded_{false};
  std::atomic<std::int64_t> tombstone_;
  mutable std::mutex mutex_;
  mutable std::optional<Error> damage_;
};

// A delete request that is not processed yet: hides its rows.
struct Tombstone {
  TombstoneRecord record;
  DeleteFilter filter;
  // Where the journal ended when no segment had rows of it any more: what lies before must go too. 0: not so far.
  mutable std::atomic<std::uint64_t> journal_end{0};
};

struct View {
  std::vector<std::shared_ptr<Head>> heads;  // oldest first; the last one is being filled
  std::vector<std::shared_ptr<SegmentEntry>> segments;
  std::vector<std::shared_ptr<const Tombstone>> tombstones;
};

// Row::order of the first row of a segment and of a head: segments come before heads, older before newer.
inline std::uint64_t segment_order(std::int64_t rank) { return (static_cast<std::uint64_t>(rank) & 0x7FFFFF) << 40; }
inline std::uint64_t head_order(std::uint64_t sequence) { return (0x800000 | (sequence & 0x7FFFFF)) << 40; }

// What a tenant's retention keeps of a stream: rows at or after this time.
TimestampNs retention_floor(const TenantLimits& limits, std::string_view label_bytes, TimestampNs now);
// The same; of a spilled stream what it keeps of any row.
TimestampNs longest_floor(const TenantLimits& limits, std::string_view label_bytes, TimestampNs now);
bool retention_set(const TenantLimits& limits);

}  // namespace tocayo::logs
