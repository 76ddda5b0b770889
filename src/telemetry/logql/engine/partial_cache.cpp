// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/partial_cache.h"

namespace tocayo::logql::detail {

std::size_t Partial::memory_bytes() const {
  std::size_t bytes = sizeof(Partial);
  for (const Series& one : series) {
    bytes += sizeof(Series) + one.states->memory_bytes();
    for (const Label& label : one.labels) bytes += label.name.size() + label.value.size() + 2 * sizeof(std::string);
  }
  return bytes;
}

std::shared_ptr<const Partial> PartialCache::find(std::uint64_t query, std::uint64_t rows) {
  std::lock_guard lock(mutex_);
  const auto found = index_.find({query, rows});
  if (found == index_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->partial;
}

void PartialCache::put(std::uint64_t query, std::uint64_t rows, std::shared_ptr<const Partial> partial) {
  const std::size_t bytes = partial->memory_bytes();
  if (bytes > budget_ / 8) return;  // one must not drive out all others
  std::lock_guard lock(mutex_);
  if (index_.contains({query, rows})) return;
  entries_.push_front({{query, rows}, std::move(partial), bytes});
  index_[{query, rows}] = entries_.begin();
  bytes_ += bytes;
  while (bytes_ > budget_) {
    bytes_ -= entries_.back().bytes;
    index_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

std::size_t PartialCache::memory_bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

std::size_t PartialCache::size() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace tocayo::logql::detail
