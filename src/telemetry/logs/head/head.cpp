// SPDX-License-Identifier: Apache-2.0
#include "logs/head/head.h"

#include "logs/head/bloom.h"

namespace tocayo::logs {

HeadStream* Head::find(StreamId id) {
  auto& map = rows_of_[stripe_of(id)];
  auto found = map.find(id);
  return found == map.end() ? nullptr : found->second.get();
}

HeadStream& Head::get(const std::shared_ptr<Stream>& stream) {
  auto& rows = rows_of_[stripe_of(stream->id)][stream->id];
  if (!rows) {
    rows = std::make_unique<HeadStream>(stream);
    charge(sizeof(HeadStream) + 48);
  }
  return *rows;
}

const HeadStream* Head::find_shared(StreamId id, std::mutex& stripe) const {
  std::lock_guard lock(stripe);
  const auto& map = rows_of_[stripe_of(id)];
  auto found = map.find(id);
  return found == map.end() ? nullptr : found->second.get();
}

void Head::for_each(std::size_t stripe, std::mutex& lock, const std::function<void(const HeadStream&)>& visit) const {
  std::lock_guard held(lock);
  for (const auto& [id, rows] : rows_of_[stripe]) visit(*rows);
}

void Head::build_blooms(std::span<std::mutex> stripes) {
  std::vector<const HeadStream*> large;
  for (std::size_t stripe = 0; stripe < kStripes; ++stripe) {
    for_each(stripe, stripes[stripe], [&](const HeadStream& rows) {
      if (rows.size() >= 256) large.push_back(&rows);
    });
  }
  for (const HeadStream* rows : large) {
    const Slab*& start = bloomed_.try_emplace(rows, rows->first()).first->second;
    const Slab* page = start;
    std::uint32_t slabs = 0;
    std::uint32_t lines = 0;
    std::size_t bytes = 0;
    for (const Slab* slab = page; slab != nullptr; slab = slab->next()) {
      if (slab->next() == nullptr) break;  // still being filled
      ++slabs;
      lines += slab->count();
      bytes += slab->lines(slab->count()).size();
      if (lines < HeadBloom::kRows && bytes < HeadBloom::kBytes) continue;
      auto bloom = std::make_unique<HeadBloom>(slabs);
      const Slab* part = page;
      for (std::uint32_t i = 0; i < slabs; ++i, part = part->next()) {
        for (std::uint32_t row = 0; row < part->count(); ++row) bloom->add(part->line(row));
      }
      charge(sizeof(HeadBloom));
      const_cast<Slab*>(page)->set_bloom(bloom.release());  // the slab owns it from now on
      page = slab->next();
      slabs = 0;
      lines = 0;
      bytes = 0;
    }
    start = page;
  }
}

}  // namespace tocayo::logs
