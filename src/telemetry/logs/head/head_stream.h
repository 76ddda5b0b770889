// SPDX-License-Identifier: Apache-2.0
// The rows of one stream in one head: a chain of slabs that only grows. One writer at a time (the tenant's stripe
// lock); readers need no lock, they see what was committed before they looked.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/time.h"
#include "logs/head/stream.h"

namespace tocayo::logs {

// Identity of a row within its stream, for telling whether it was stored before. Seeded once per process.
std::uint64_t row_key(TimestampNs time, std::string_view line, std::string_view metadata);

class HeadBloom;

// Rows in order of arrival. Lines lie back to back from the front of the bytes, metadata from the back. Everything
// before `count` rows never changes; the atomics may already speak of later rows.
class Slab {
 public:
  struct Place {
    std::uint32_t offset;    // of the line
    std::uint32_t length;    // of the line
    std::uint32_t metadata;  // offset of its bytes (varint size first), kNone without any
  };
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  static Slab* create(std::uint32_t first_row, std::uint32_t rows, std::uint32_t bytes);
  static void destroy(Slab* slab);

  std::uint32_t count() const { return count_.load(std::memory_order_acquire); }
  const Slab* next() const { return next_.load(std::memory_order_acquire); }
  std::uint32_t first_row() const { return first_row_; }  // number of its first row in the stream
  TimestampNs min_time() const { return min_time_.load(std::memory_order_relaxed); }
  TimestampNs max_time() const { return max_time_.load(std::memory_order_relaxed); }
  // Bytes of the rows' label bytes, those stored once counted for each.
  std::uint64_t metadata_total() const { return metadata_total_.load(std::memory_order_relaxed); }
  bool ordered() const { return ordered_.load(std::memory_order_relaxed); }  // by time
  TimestampNs time(std::uint32_t row) const { return times()[row]; }
  const TimestampNs* times() const { return reinterpret_cast<const TimestampNs*>(this + 1); }
  const Place& place(std::uint32_t row) const { return places()[row]; }
  std::string_view line(std::uint32_t row) const { return {bytes() + place(row).offset, place(row).length}; }
  // Lines of the first `rows` rows, back to back.
  std::string_view lines(std::uint32_t rows) const {
    return {bytes(), rows == 0 ? 0 : std::size_t{place(rows - 1).offset} + place(rows - 1).length};
  }
  std::string_view metadata(std::uint32_t row) const;  // label bytes
  std::size_t memory_bytes() const;
  const HeadBloom* bloom() const { return bloom_.load(std::memory_order_acquire); }
  void set_bloom(const HeadBloom* bloom) { bloom_.store(bloom, std::memory_order_release); }

  // Writer only. False when it does not fit.
  bool append(TimestampNs time, std::string_view line, std::string_view metadata);
  void set_next(Slab* next) { next_.store(next, std::memory_order_release); }

 private:
  Slab() = default;
  const Place* places() const { return reinterpret_cast<const Place*>(times() + row_capacity_); }
  const char* bytes() const { return reinterpret_cast<const char*>(places() + row_capacity_); }

  std::atomic<Slab*> next_{nullptr};
  std::atomic<const HeadBloom*> bloom_{nullptr};
  std::atomic<TimestampNs> min_time_{0};
  std::atomic<TimestampNs> max_time_{0};
  std::atomic<std::uint32_t> count_{0};
  std::uint32_t first_row_ = 0;
  std::uint32_t row_capacity_ = 0;
  std::uint32_t byte_capacity_ = 0;
  std::uint32_t line_bytes_ = 0;
  std::uint32_t metadata_bytes_ = 0;
  std::uint32_t last_metadata_ = kNone;  // offset of the newest metadata: equal ones are stored once
  std::atomic<std::uint64_t> metadata_total_{0};
  std::atomic<bool> ordered_{true};
};

class HeadStream {
 public:
  explicit HeadStream(std::shared_ptr<Stream> stream) : stream_(std::move(stream)) {}
  ~HeadStream();
  HeadStream(const HeadStream&) = delete;
  HeadStream& operator=(const HeadStream&) = delete;

  const Stream& stream() const { return *stream_; }
  const std::shared_ptr<Stream>& shared_stream() const { return stream_; }

  // Lock-free. Rows [0, size()) may be read; times cover at least these.
  std::uint32_t size() const { return count_.load(std::memory_order_acquire); }
  TimestampNs min_time() const { return min_time_.load(std::memory_order_relaxed); }
  TimestampNs max_time() const { return max_time_.load(std::memory_order_relaxed); }
  const Slab* first() const { return first_.load(std::memory_order_acquire); }

  // With the stripe lock held. Whether an equal row is here; cheap for a row newer than all.
  bool contains(TimestampNs time, std::string_view line, std::string_view metadata);
  // Returns the bytes of memory that were added.
  std::size_t append(TimestampNs time, std::string_view line, std::string_view metadata);
  std::size_t memory_bytes() const;

 private:
  bool find_late(TimestampNs time, std::string_view line, std::string_view metadata);
  void build_table();
  void insert_key(std::uint64_t key, std::uint32_t row);
  const Slab& slab_of(std::uint32_t row) const;
  bool equal(std::uint32_t row, TimestampNs time, std::string_view line, std::string_view metadata) const;

  std::shared_ptr<Stream> stream_;  // shared: the index may forget the stream first
  std::atomic<Slab*> first_{nullptr};
  std::atomic<std::uint32_t> count_{0};
  std::atomic<TimestampNs> min_time_{0};
  std::atomic<TimestampNs> max_time_{0};
  std::uint32_t equal_run_ = 0;  // rows at the end that have max_time and nothing older behind them
  std::vector<Slab*> slabs_;
  std::uint64_t searched_ = 0;        // times looked at for late rows
  std::vector<std::uint64_t> table_;  // key's upper half and row + 1; empty until many late rows have come
};

}  // namespace tocayo::logs
