// SPDX-License-Identifier: Apache-2.0
#include "logs/head/head_stream.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>
#include <span>

#include "core/hash.h"
#include "logs/head/bloom.h"
#include "logs/head/label_bytes.h"

namespace tocayo::logs {
namespace {

constexpr std::uint32_t kFirstSlab = 1024;  // bytes of lines and metadata
constexpr std::uint32_t kLargestSlab = 64 << 10;
constexpr std::size_t kSlabsOfASize = 3;  // before they double: what is unused of the last one stays a small part
constexpr std::uint32_t kEqualRun = 16;   // rows compared one by one
// A table costs as much as looking at so many times for each of its rows. (And memory: a fifth of a short line.)
constexpr std::uint64_t kSearchesOfTable = 16;
constexpr std::uint64_t kFreeSearches = 4096;

std::uint64_t process_seed() {
  static const std::uint64_t seed = [] {
    std::random_device device;
    return (std::uint64_t{device()} << 32) | device();
  }();
  return seed;
}

}  // namespace

std::uint64_t row_key(TimestampNs time, std::string_view line, std::string_view metadata) {
  std::uint64_t key = hash64(line, process_seed() ^ static_cast<std::uint64_t>(time));
  if (!metadata.empty()) key ^= hash64(metadata, key);
  return key;
}

Slab* Slab::create(std::uint32_t first_row, std::uint32_t rows, std::uint32_t bytes) {
  const std::size_t size = sizeof(Slab) + std::size_t{rows} * (sizeof(TimestampNs) + sizeof(Place)) + bytes;
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();  // the memory budget was to prevent this
  Slab* slab = new (memory) Slab();
  slab->first_row_ = first_row;
  slab->row_capacity_ = rows;
  slab->byte_capacity_ = bytes;
  return slab;
}

void Slab::destroy(Slab* slab) {
  slab->~Slab();
  std::free(slab);
}

std::size_t Slab::memory_bytes() const {
  return sizeof(Slab) + std::size_t{row_capacity_} * (sizeof(TimestampNs) + sizeof(Place)) + byte_capacity_;
}

std::string_view Slab::metadata(std::uint32_t row) const {
  const std::uint32_t offset = place(row).metadata;
  if (offset == kNone) return {};
  std::uint32_t size = 0;
  std::memcpy(&size, bytes() + offset, sizeof size);
  return {bytes() + offset + sizeof size, size};
}

bool Slab::append(TimestampNs time, std::string_view line, std::string_view metadata) {
  const std::uint32_t row = count_.load(std::memory_order_relaxed);
  if (row == row_capacity_) return false;
  std::uint32_t metadata_at = kNone;
  char* base = const_cast<char*>(bytes());
  std::uint32_t metadata_size = 0;
  if (!metadata.empty()) {
    if (last_metadata_ != kNone) {
      std::uint32_t size = 0;
      std::memcpy(&size, base + last_metadata_, sizeof size);
      if (size == metadata.size() && std::memcmp(base + last_metadata_ + sizeof size, metadata.data(), size) == 0) {
        metadata_at = last_metadata_;
      }
    }
    if (metadata_at == kNone) metadata_size = static_cast<std::uint32_t>(sizeof(std::uint32_t) + metadata.size());
  }
  if (std::uint64_t{line_bytes_} + metadata_bytes_ + line.size() + metadata_size > byte_capacity_) return false;
  if (metadata_size != 0) {
    metadata_bytes_ += metadata_size;
    metadata_at = byte_capacity_ - metadata_bytes_;
    const auto size = static_cast<std::uint32_t>(metadata.size());
    std::memcpy(base + metadata_at, &size, sizeof size);
    std::memcpy(base + metadata_at + sizeof size, metadata.data(), size);
    last_metadata_ = metadata_at;
  }
  if (!line.empty()) std::memcpy(base + line_bytes_, line.data(), line.size());
  const_cast<TimestampNs*>(times())[row] = time;
  const_cast<Place*>(places())[row] = {line_bytes_, static_cast<std::uint32_t>(line.size()), metadata_at};
  line_bytes_ += static_cast<std::uint32_t>(line.size());
  metadata_total_.store(metadata_total_.load(std::memory_order_relaxed) + metadata.size(), std::memory_order_relaxed);
  if (row == 0) {
    min_time_.store(time, std::memory_order_relaxed);
    max_time_.store(time, std::memory_order_relaxed);
  } else if (time >= max_time_.load(std::memory_order_relaxed)) {
    max_time_.store(time, std::memory_order_relaxed);
  } else {
    ordered_.store(false, std::memory_order_relaxed);
    if (time < min_time_.load(std::memory_order_relaxed)) min_time_.store(time, std::memory_order_relaxed);
  }
  count_.store(row + 1, std::memory_order_release);
  return true;
}

HeadStream::~HeadStream() {
  for (Slab* slab : slabs_) {
    delete slab->bloom();
    Slab::destroy(slab);
  }
}

std::size_t HeadStream::append(TimestampNs time, std::string_view line, std::string_view metadata) {
  const std::uint32_t row = count_.load(std::memory_order_relaxed);
  std::size_t added = 0;
  if (slabs_.empty() || !slabs_.back()->append(time, line, metadata)) {
    // The next one holds as many rows as its bytes do at the lengths seen so far.
    std::uint32_t bytes = kFirstSlab;
    std::uint32_t length = static_cast<std::uint32_t>(line.size() + metadata.size()) + 4;
    if (!slabs_.empty()) {
      const Slab& last = *slabs_.back();
      bytes = kFirstSlab << std::min<std::size_t>(slabs_.size() / kSlabsOfASize, 6);
      const std::uint32_t rows = last.count();
      length = std::max<std::uint32_t>(1, static_cast<std::uint32_t>(last.lines(rows).size()) / std::max(rows, 1U));
    }
    bytes = std::max<std::uint32_t>(std::min(bytes, kLargestSlab),
                                    static_cast<std::uint32_t>(line.size() + metadata.size() + sizeof(std::uint32_t)));
    const std::uint32_t rows = std::clamp<std::uint32_t>(bytes / std::max(length, 8U) + 2, 4, 8192);
    Slab* slab = Slab::create(row, rows, bytes);
    slab->append(time, line, metadata);
    added = slab->memory_bytes();
    if (slabs_.empty()) {
      first_.store(slab, std::memory_order_release);
    } else {
      slabs_.back()->set_next(slab);
    }
    slabs_.push_back(slab);
  }
  if (row == 0) {
    min_time_.store(time, std::memory_order_relaxed);
    max_time_.store(time, std::memory_order_relaxed);
    equal_run_ = 1;
  } else if (time > max_time_.load(std::memory_order_relaxed)) {
    max_time_.store(time, std::memory_order_relaxed);
    equal_run_ = 1;
  } else if (time == max_time_.load(std::memory_order_relaxed) && equal_run_ != 0) {
    ++equal_run_;
  } else {
    equal_run_ = 0;  // what has the newest time is not all at the end any more
    if (time < min_time_.load(std::memory_order_relaxed)) min_time_.store(time, std::memory_order_relaxed);
  }
  if (!table_.empty()) insert_key(row_key(time, line, metadata), row);
  count_.store(row + 1, std::memory_order_release);
  return added;
}

const Slab& HeadStream::slab_of(std::uint32_t row) const {
  auto after = std::upper_bound(slabs_.begin(), slabs_.end(), row,
                                [](std::uint32_t wanted, const Slab* slab) { return wanted < slab->first_row(); });
  return **std::prev(after);
}

bool HeadStream::equal(std::uint32_t row, TimestampNs time, std::string_view line, std::string_view metadata) const {
  const Slab& slab = slab_of(row);
  const std::uint32_t at = row - slab.first_row();
  return slab.time(at) == time && slab.line(at) == line && slab.metadata(at) == metadata;
}

bool HeadStream::contains(TimestampNs time, std::string_view line, std::string_view metadata) {
  const std::uint32_t rows = count_.load(std::memory_order_relaxed);
  if (rows == 0 || time > max_time_.load(std::memory_order_relaxed) ||
      time < min_time_.load(std::memory_order_relaxed)) {
    return false;
  }
  if (time == max_time_.load(std::memory_order_relaxed) && equal_run_ != 0 && equal_run_ <= kEqualRun) {
    for (std::uint32_t row = rows - equal_run_; row < rows; ++row) {
      if (equal(row, time, line, metadata)) return true;
    }
    return false;
  }
  // Rows that come late are looked for by time. Where that has cost as much as a table of all rows, there is one.
  if (table_.empty()) {
    if (searched_ <= kSearchesOfTable * rows + kFreeSearches) return find_late(time, line, metadata);
    build_table();
  }
  const std::uint64_t key = row_key(time, line, metadata);
  const std::size_t mask = table_.size() - 1;
  for (std::size_t at = key & mask; table_[at] != 0; at = (at + 1) & mask) {
    if (table_[at] >> 32 == key >> 32 && equal(static_cast<std::uint32_t>(table_[at]) - 1, time, line, metadata)) {
      return true;
    }
  }
  return false;
}

bool HeadStream::find_late(TimestampNs time, std::string_view line, std::string_view metadata) {
  searched_ += slabs_.size();
  for (const Slab* slab : slabs_) {
    if (time < slab->min_time() || time > slab->max_time()) continue;
    const auto times = std::span(slab->times(), slab->count());
    std::size_t row = 0;
    if (slab->ordered()) row = static_cast<std::size_t>(std::ranges::lower_bound(times, time) - times.begin());
    for (; row < times.size(); ++row) {
      ++searched_;
      if (times[row] != time) {
        if (slab->ordered()) break;
        continue;
      }
      const auto at = static_cast<std::uint32_t>(row);
      if (slab->line(at) == line && slab->metadata(at) == metadata) return true;
    }
  }
  return false;
}

void HeadStream::build_table() {
  const std::uint32_t rows = count_.load(std::memory_order_relaxed);
  table_.assign(std::bit_ceil(std::max<std::size_t>(64, std::size_t{rows} * 2)), 0);
  for (const Slab* slab : slabs_) {
    for (std::uint32_t row = 0; row < slab->count(); ++row) {
      insert_key(row_key(slab->time(row), slab->line(row), slab->metadata(row)), slab->first_row() + row);
    }
  }
}

void HeadStream::insert_key(std::uint64_t key, std::uint32_t row) {
  if ((std::size_t{row} + 1) * 3 > table_.size() * 2) {
    // Only half of each key is kept, so the table is made again from the rows.
    table_.assign(table_.size() * 2, 0);
    for (const Slab* slab : slabs_) {
      for (std::uint32_t i = 0; i < slab->count() && slab->first_row() + i < row; ++i) {
        insert_key(row_key(slab->time(i), slab->line(i), slab->metadata(i)), slab->first_row() + i);
      }
    }
  }
  const std::size_t mask = table_.size() - 1;
  std::size_t at = key & mask;
  while (table_[at] != 0) at = (at + 1) & mask;
  table_[at] = (key & 0xFFFFFFFF00000000) | (row + 1);
}

std::size_t HeadStream::memory_bytes() const {
  std::size_t bytes = sizeof(HeadStream) + slabs_.capacity() * sizeof(Slab*) + table_.capacity() * 8;
  for (const Slab* slab : slabs_) bytes += slab->memory_bytes();
  return bytes;
}

}  // namespace tocayo::logs
