// SPDX-License-Identifier: Apache-2.0
// What one tenant's senders repeat: from the bytes in which the labels of a series were sent to the series' reference
// in the store, so that a series that was sent before costs one hash and no look at its labels.
//
// Series mostly come in the order of the last time, so each entry remembers which one followed it; a wrong guess costs
// one look-up in a table. The hash is keyed (per process) and 80 bits wide, and two spellings of one series (other
// order of labels, remote write 1.0 and 2.0) are two entries with the same reference.
//
// An entry says that these bytes passed all checks and relabelling under certain limits: begin() with other limits
// forgets everything. A reference that went stale in the store (the series left memory) is found out by the store,
// which then asks for the labels; learn() puts the new one in its place.
//
// Memory: about 32 bytes per entry. Entries not met between two sweeps are dropped.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <span>
#include <string_view>
#include <vector>

#include "metrics/appender.h"
#include "metrics/ingest_limits.h"

namespace tocayo::metrics {

class SeriesCache {
 public:
  using Steady = std::chrono::steady_clock;
  using Index = std::uint32_t;
  static constexpr Index kNone = UINT32_MAX;
  static constexpr std::size_t kMaxLength = (1 << 13) - 1;  // longer encodings are not remembered

  // What a series was sent as.
  struct Key {
    std::uint64_t hash = 0;
    std::uint32_t bits = 0;  // more of the hash, and the length; 0: not to be remembered
    explicit operator bool() const { return bits != 0; }
    // Of the labels as they stand in a message of remote write 1.0.
    static Key of_v1(std::string_view encoded);
    // Of the hashes of a series' symbols, names and values in turn, as remote write 2.0 refers to them.
    static Key of_v2(std::span<const std::uint64_t> symbols);
  };
  static std::uint64_t symbol_hash(std::string_view symbol);

  enum class Fate : unsigned char {
    stored,
    relabelled_away,  // a rule of metric_relabel_configs dropped it
    nothing_left,     // drop_labels took all its labels
  };
  struct Known {
    SeriesRef ref = 0;  // 0 when it is not stored
    Fate fate = Fate::stored;
    bool unsorted = false;  // its labels come unsorted
    Index index = kNone;
  };

  // One request's look-ups. Holds the cache shared while it lives: keep it for decoding, not across a suspension. Not
  // thread-safe itself; many may live at once.
  class Lookup {
   public:
    Lookup() = default;
    // The series that is expected next when `bytes` begin with its labels as sent; sets `length` to theirs.
    bool expected(std::string_view bytes, Known& known, std::size_t& length);
    bool find(const Key& key, Known& known);
    std::uint64_t generation() const { return generation_; }

   private:
    friend class SeriesCache;
    SeriesCache* cache_ = nullptr;
    std::shared_lock<std::shared_mutex> lock_;
    std::uint64_t generation_ = 0;
    Index current_ = kNone;

    void hit(Index index, Known& known);
  };
  // Forgets everything first when limits that matter to labels differ from those of the last time. Sweeps when it is
  // time to.
  Lookup begin(const IngestLimits& limits, Steady::time_point now = Steady::now());

  // One series of a request in its order, after the request was stored.
  struct Seen {
    Key key;              // of one to be remembered, else empty
    Index index = kNone;  // of one that was known
    SeriesRef ref = 0;    // what the store says now
    Fate fate = Fate::stored;
    bool unsorted = false;
  };
  // Remembers what is new and corrects references; nothing when the cache was emptied since `generation`.
  void learn(std::uint64_t generation, std::span<const Seen> seen);

  std::size_t size() const;
  std::size_t memory_bytes() const;
  // Drops what was not met since the last sweep; begin() calls it every kSweepInterval.
  void sweep();
  static constexpr std::chrono::minutes kSweepInterval{15};
  // At most so many entries for series that relabelling drops: nothing else bounds them.
  static constexpr std::size_t kMaxDropped = 1 << 18;

 private:
  struct Entry {
    std::uint64_t hash = 0;
    SeriesRef ref = 0;
    std::atomic<Index> next{kNone};      // what followed it the last time
    std::atomic<std::uint32_t> bits{0};  // 16 of the hash, 13 of length, touched, unsorted, nothing_left
  };
  static constexpr std::uint32_t kTouched = 1, kUnsorted = 2, kNothingLeft = 4, kFlags = 7;
  static constexpr unsigned kLengthShift = 3;
  static constexpr std::size_t kPageEntries = 1024;

  static Key key_of(std::uint64_t low, std::uint64_t high, std::size_t length);
  Entry& entry(Index index) const { return pages_[index / kPageEntries][index % kPageEntries]; }
  Index find(const Key& key) const;
  Index add(const Key& key);
  void place(Index index);
  static std::uint8_t tag_of(std::uint64_t hash) { return static_cast<std::uint8_t>(0x80 | hash >> 57); }
  void grow_table(std::size_t entries);
  void clear();
  void sweep_locked();
  bool same_rules(const IngestLimits& limits) const;

  mutable std::shared_mutex mutex_;
  std::vector<std::unique_ptr<Entry[]>> pages_;
  std::vector<Index> table_;        // open addressing by hash, load up to 7/8
  std::vector<std::uint8_t> tags_;  // beside it: 0 = free, else bits of the hash
  Index size_ = 0;
  std::size_t dropped_ = 0;  // entries without a reference
  std::uint64_t generation_ = 1;
  Steady::time_point next_sweep_{};
  IngestLimits limits_;
};

}  // namespace tocayo::metrics
