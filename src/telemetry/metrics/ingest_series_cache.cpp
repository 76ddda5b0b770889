// SPDX-License-Identifier: Apache-2.0
#include "metrics/ingest_series_cache.h"

#include <bit>
#include <cstring>
#include <mutex>
#include <random>

#include "core/hash.h"

namespace tocayo::metrics {
namespace {

// XXH3 takes a secret of at least 136 bytes as its key.
struct Secret {
  std::uint8_t bytes[XXH3_SECRET_SIZE_MIN + 56];
  Secret() {
    std::random_device random;
    std::uint32_t seed[16];
    for (auto& word : seed) word = random();
    XXH3_generateSecret(bytes, sizeof bytes, seed, sizeof seed);
  }
};
const Secret& secret() {
  static const Secret instance;
  return instance;
}

XXH128_hash_t keyed_hash(const void* bytes, std::size_t size) {
  const Secret& key = secret();
  return XXH3_128bits_withSecret(bytes, size, key.bytes, sizeof key.bytes);
}

}  // namespace

std::uint64_t SeriesCache::symbol_hash(std::string_view symbol) {
  const Secret& key = secret();
  return XXH3_64bits_withSecret(symbol.data(), symbol.size(), key.bytes, sizeof key.bytes);
}

SeriesCache::Key SeriesCache::key_of(std::uint64_t low, std::uint64_t high, std::size_t length) {
  if (length == 0 || length > kMaxLength) return {};
  return {low, static_cast<std::uint32_t>(high >> 48 << 16) | static_cast<std::uint32_t>(length << kLengthShift)};
}

SeriesCache::Key SeriesCache::Key::of_v1(std::string_view encoded) {
  const XXH128_hash_t hash = keyed_hash(encoded.data(), encoded.size());
  return key_of(hash.low64, hash.high64, encoded.size());
}

SeriesCache::Key SeriesCache::Key::of_v2(std::span<const std::uint64_t> symbols) {
  const XXH128_hash_t hash = keyed_hash(symbols.data(), symbols.size_bytes());
  // Told apart from the bytes of 1.0 by the complement.
  return key_of(~hash.low64, ~hash.high64, symbols.size());
}

void SeriesCache::Lookup::hit(Index index, Known& known) {
  Entry& entry = cache_->entry(index);
  const std::uint32_t bits = entry.bits.load(std::memory_order_relaxed);
  if ((bits & kTouched) == 0) entry.bits.fetch_or(kTouched, std::memory_order_relaxed);
  known.ref = entry.ref;
  known.fate = entry.ref != 0 ? Fate::stored : (bits & kNothingLeft) != 0 ? Fate::nothing_left : Fate::relabelled_away;
  known.unsorted = (bits & kUnsorted) != 0;
  known.index = index;
  current_ = index;
}

bool SeriesCache::Lookup::expected(std::string_view bytes, Known& known, std::size_t& length) {
  if (current_ == kNone) return false;
  const Index next = cache_->entry(current_).next.load(std::memory_order_relaxed);
  if (next == kNone) return false;
  const Entry& entry = cache_->entry(next);
  const std::uint32_t bits = entry.bits.load(std::memory_order_relaxed);
  length = (bits & 0xffff) >> kLengthShift;
  if (length > bytes.size()) return false;
  const Key key = Key::of_v1(bytes.substr(0, length));
  if (key.hash != entry.hash || key.bits != (bits & ~kFlags)) return false;
  hit(next, known);
  return true;
}

bool SeriesCache::Lookup::find(const Key& key, Known& known) {
  if (cache_ == nullptr || !key) return false;
  Index index = kNone;
  if (current_ != kNone) {
    const Index next = cache_->entry(current_).next.load(std::memory_order_relaxed);
    if (next != kNone) {
      const Entry& entry = cache_->entry(next);
      if (entry.hash == key.hash && (entry.bits.load(std::memory_order_relaxed) & ~kFlags) == key.bits) index = next;
    }
  }
  if (index == kNone) {
    index = cache_->find(key);
    if (index == kNone) return false;
    if (current_ != kNone) cache_->entry(current_).next.store(index, std::memory_order_relaxed);
  }
  hit(index, known);
  return true;
}

bool SeriesCache::same_rules(const IngestLimits& limits) const {
  return limits.max_label_name_length == limits_.max_label_name_length &&
         limits.max_label_value_length == limits_.max_label_value_length &&
         limits.max_label_names_per_series == limits_.max_label_names_per_series &&
         limits.max_label_names_per_info_series == limits_.max_label_names_per_info_series &&
         limits.rules == limits_.rules;
}

SeriesCache::Lookup SeriesCache::begin(const IngestLimits& limits, Steady::time_point now) {
  Lookup lookup;
  lookup.cache_ = this;
  lookup.lock_ = std::shared_lock(mutex_);
  while (!same_rules(limits) || now >= next_sweep_) {
    lookup.lock_.unlock();
    {
      std::unique_lock lock(mutex_);
      if (!same_rules(limits)) {
        clear();
        limits_ = limits;
      }
      if (now >= next_sweep_) {
        sweep_locked();
        next_sweep_ = now + kSweepInterval;
      }
    }
    lookup.lock_.lock();
  }
  lookup.generation_ = generation_;
  return lookup;
}

SeriesCache::Index SeriesCache::find(const Key& key) const {
  if (table_.empty()) return kNone;
  const std::size_t mask = table_.size() - 1;
  const std::uint8_t tag = tag_of(key.hash);
  for (std::size_t at = key.hash & mask; tags_[at] != 0; at = (at + 1) & mask) {
    if (tags_[at] != tag) continue;
    const Entry& found = entry(table_[at]);
    if (found.hash == key.hash && (found.bits.load(std::memory_order_relaxed) & ~kFlags) == key.bits) return table_[at];
  }
  return kNone;
}

void SeriesCache::place(Index index) {
  const std::size_t mask = table_.size() - 1;
  const std::uint64_t hash = entry(index).hash;
  std::size_t at = hash & mask;
  while (tags_[at] != 0) at = (at + 1) & mask;
  table_[at] = index;
  tags_[at] = tag_of(hash);
}

void SeriesCache::grow_table(std::size_t entries) {
  std::size_t size = 64;
  while (size * 7 < entries * 8) size *= 2;
  if (size == table_.size()) return;
  std::vector<Index>(size).swap(table_);
  std::vector<std::uint8_t>(size).swap(tags_);
  for (Index i = 0; i < size_; ++i) place(i);
}

SeriesCache::Index SeriesCache::add(const Key& key) {
  if (size_ == kNone - 1) return kNone;
  if (size_ / kPageEntries == pages_.size()) pages_.push_back(std::make_unique<Entry[]>(kPageEntries));
  if ((std::size_t{size_} + 1) * 8 > table_.size() * 7) grow_table(std::size_t{size_} + 1);
  const Index index = size_++;
  Entry& fresh = entry(index);
  fresh.hash = key.hash;
  fresh.ref = 0;
  fresh.next.store(kNone, std::memory_order_relaxed);
  fresh.bits.store(key.bits, std::memory_order_relaxed);
  place(index);
  return index;
}

void SeriesCache::learn(std::uint64_t generation, std::span<const Seen> seen) {
  std::unique_lock lock(mutex_);
  if (generation != generation_) return;
  Index previous = kNone;
  for (const Seen& one : seen) {
    Index index = one.index;
    if (index == kNone) {
      if (!one.key || (one.ref == 0 && one.fate == Fate::stored)) continue;  // refused: looked at again the next time
      index = find(one.key);
      if (index == kNone) {
        if (one.ref == 0 && dropped_ >= kMaxDropped) continue;
        index = add(one.key);
        if (index == kNone) return;
        dropped_ += one.ref == 0 ? 1 : 0;
        entry(index).bits.fetch_or(
            (one.unsorted ? kUnsorted : 0) | (one.fate == Fate::nothing_left ? kNothingLeft : 0) | kTouched,
            std::memory_order_relaxed);
      }
    }
    // A series does not go from stored to dropped or back while the limits stay.
    if (one.ref != 0) entry(index).ref = one.ref;
    if (previous != kNone) entry(previous).next.store(index, std::memory_order_relaxed);
    previous = index;
  }
}

void SeriesCache::clear() {
  pages_.clear();
  std::vector<Index>().swap(table_);
  std::vector<std::uint8_t>().swap(tags_);
  size_ = 0;
  dropped_ = 0;
  ++generation_;
}

void SeriesCache::sweep() {
  std::unique_lock lock(mutex_);
  sweep_locked();
}

// Moves the entries that were met to the front, in their order, and forgets that they were met.
void SeriesCache::sweep_locked() {
  std::size_t kept = 0;
  for (Index i = 0; i < size_; ++i) kept += entry(i).bits.load(std::memory_order_relaxed) & kTouched;
  // Indices change only when it pays: the requests under way cannot be learnt from then.
  const bool move = kept < size_ - size_ / 8;
  std::vector<Index> moved(move ? size_ : 0, kNone);
  Index to = 0;
  for (Index i = 0; i < size_; ++i) {
    Entry& from = entry(i);
    const std::uint32_t bits = from.bits.load(std::memory_order_relaxed);
    if (!move) {
      from.bits.store(bits & ~kTouched, std::memory_order_relaxed);
      continue;
    }
    if ((bits & kTouched) == 0) {
      dropped_ -= from.ref == 0 ? 1 : 0;
      continue;
    }
    Entry& target = entry(to);
    target.hash = from.hash;
    target.ref = from.ref;
    target.next.store(from.next.load(std::memory_order_relaxed), std::memory_order_relaxed);
    target.bits.store(bits & ~kTouched, std::memory_order_relaxed);
    moved[i] = to++;
  }
  if (!move) return;
  size_ = to;
  pages_.resize((std::size_t{size_} + kPageEntries - 1) / kPageEntries);
  for (Index i = 0; i < size_; ++i) {
    const Index next = entry(i).next.load(std::memory_order_relaxed);
    entry(i).next.store(next == kNone ? kNone : moved[next], std::memory_order_relaxed);
  }
  std::vector<Index>().swap(table_);
  std::vector<std::uint8_t>().swap(tags_);
  if (size_ > 0) grow_table(size_);
  ++generation_;
}

std::size_t SeriesCache::size() const {
  std::shared_lock lock(mutex_);
  return size_;
}

std::size_t SeriesCache::memory_bytes() const {
  std::shared_lock lock(mutex_);
  return pages_.size() * (kPageEntries * sizeof(Entry) + sizeof(void*)) + table_.capacity() * sizeof(Index) +
         tags_.capacity();
}

}  // namespace tocayo::metrics
