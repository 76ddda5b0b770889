// SPDX-License-Identifier: Apache-2.0
// A sealed piece of one tenant's head: an immutable file with its own index, read through mmap. Byte layout and what is
// checked when: docs/formats/metrics-segment.md.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/labels.h"
#include "metrics/head_shard.h"

namespace tocayo::metrics {

// Writes `<path>.tmp` and renames it when finish() has made it durable. Series must come in label order, rows merged.
class SegmentWriter {
 public:
  static Result<std::unique_ptr<SegmentWriter>> create(std::string path, std::string tenant);
  ~SegmentWriter();  // removes an unfinished file

  Result<> add(const Labels& labels, std::uint64_t hash, const RowBuffer& rows);
  std::size_t series_count() const { return series_.size(); }
  // With no series nothing is left on disk, and false is returned.
  Result<bool> finish();

 private:
  struct Entry {
    std::uint64_t hash, chunk_offset;
    std::uint32_t chunk_size, checksum;
    TimestampMs min_time, max_time;
    std::uint32_t float_rows, histogram_rows;
    std::uint32_t first_pair;
    std::uint16_t label_count;
  };
  SegmentWriter(std::string path, std::string tenant, int fd)
      : path_(std::move(path)), tenant_(std::move(tenant)), fd_(fd) {}
  Result<> flush();
  std::string symbols_section(std::vector<Symbol>& rank) const;
  std::string postings_section(const std::vector<Symbol>& rank) const;

  std::string path_, tenant_;
  int fd_ = -1;
  std::string buffer_;
  std::uint64_t written_ = 0;  // without the buffer
  SymbolTable symbols_;
  std::vector<Symbol> pairs_;
  std::vector<Entry> series_;
  std::uint64_t samples_ = 0;
  TimestampMs min_time_ = kMaxTime, max_time_ = kMinTime;
  std::string chunk_;
};

// Immutable and thread-safe. The footer is checked by open(), the index at its first use, a chunk at every read; damage
// is an `internal` error that names file and part, and harms no other segment.
class Segment {
 public:
  static Result<std::shared_ptr<const Segment>> open(const std::string& path);
  ~Segment();

  const std::string& path() const { return path_; }
  const std::string& tenant() const { return tenant_; }
  TimestampMs min_time() const { return min_time_; }
  TimestampMs max_time() const { return max_time_; }
  std::uint64_t samples() const { return samples_; }
  std::uint64_t file_bytes() const { return size_; }
  std::size_t series_count() const { return series_count_; }
  bool overlaps(TimestampMs start, TimestampMs end) const { return min_time_ <= end && max_time_ >= start; }

  // ok, or what is wrong with the index. Everything below needs ok.
  Result<> check_index() const;
  // Indices of the series that match all, ascending (which is label order).
  std::vector<std::uint32_t> select(std::span<const Matcher> matchers) const;
  std::optional<std::uint32_t> find(const Labels& labels) const;
  Labels labels(std::uint32_t series) const;
  std::uint64_t hash(std::uint32_t series) const;
  bool labels_equal(std::uint32_t series, const Labels& labels) const;
  std::pair<TimestampMs, TimestampMs> time_range(std::uint32_t series) const;
  // How much of it there is, over its whole time range.
  struct Extent {
    std::uint64_t rows, bytes;
  };
  Extent extent(std::uint32_t series) const;
  // Appends the rows in [start, end].
  Result<> read(std::uint32_t series, TimestampMs start, TimestampMs end, RowBuffer& out) const;
  // Calls f(name, value, series indices) for every label pair, sorted; `name` "" = all names. f returns false to stop.
  void for_each_pair(
      std::string_view name,
      const std::function<bool(std::string_view, std::string_view, std::span<const std::uint32_t>)>& f) const;
  // Calls f(name) for every label name, sorted.
  void for_each_name(const std::function<void(std::string_view)>& f) const;

 private:
  struct Section {
    std::string_view name;
    std::uint64_t offset = 0, size = 0, checksum = 0;
  };
  struct Row64;  // of the series table
  struct Pair;   // of the postings directory
  Segment() = default;
  Result<> read_footer();
  Result<> validate_index() const;
  Result<> validate_series() const;
  Result<> validate_postings() const;
  Error damaged(std::string_view part) const;
  std::span<const std::uint8_t> bytes(const Section& section) const { return {data_ + section.offset, section.size}; }
  std::string_view symbol(std::uint64_t id) const;
  Row64 row(std::uint32_t series) const;
  Pair pair(std::size_t index) const;
  std::size_t pair_count() const;
  std::pair<std::size_t, std::size_t> pairs_of(std::string_view name) const;
  std::vector<std::uint32_t> postings(const Pair& pair) const;
  std::vector<std::uint32_t> collect(const Matcher& matcher, bool negate) const;
  template <typename F>
  void each_label(std::uint32_t series, F&& f) const;
  std::strong_ordering compare(std::uint32_t series, const Labels& labels) const;

  std::string path_, tenant_;
  const std::uint8_t* data_ = nullptr;
  std::uint64_t size_ = 0;
  std::uint64_t data_end_ = 0;
  TimestampMs min_time_ = 0, max_time_ = 0;
  std::uint64_t samples_ = 0;
  std::size_t series_count_ = 0;
  Section symbols_, series_, labels_, postings_;
  mutable std::once_flag checked_;
  mutable Result<> index_state_;
};

}  // namespace tocayo::metrics
