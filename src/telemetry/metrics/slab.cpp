// SPDX-License-Identifier: Apache-2.0
#include "metrics/slab.h"

#include <algorithm>

namespace tocayo::metrics {

SlabNode* SlabPool::allocate(std::size_t room, unsigned at_least) {
  unsigned size_class = std::min<unsigned>(at_least, kClasses - 1);
  while (kSizes[size_class] < room + kSlabHeader && size_class + 1 < kClasses) ++size_class;
  const std::size_t size = kSizes[size_class];
  SlabNode* node = free_[size_class];
  if (node != nullptr) {
    free_[size_class] = node->next;
  } else {
    if (fresh_[size_class] == fresh_end_[size_class]) {
      // Small slabs first: many tenants have a handful of series.
      const std::size_t slab = std::clamp<std::size_t>(slab_bytes_ / 4, 4 * 1024, 256 * 1024) / size * size;
      slabs_.push_back(std::make_unique_for_overwrite<std::uint8_t[]>(slab));
      slab_bytes_ += slab;
      fresh_[size_class] = slabs_.back().get();
      fresh_end_[size_class] = fresh_[size_class] + slab;
    }
    node = reinterpret_cast<SlabNode*>(fresh_[size_class]);
    fresh_[size_class] += size;
  }
  node->next = nullptr;
  node->used = 0;
  node->capacity = static_cast<std::uint16_t>(size - kSlabHeader);
  node->size_class = static_cast<std::uint8_t>(size_class);
  used_bytes_ += size;
  return node;
}

void SlabPool::free_chain(SlabNode* first) {
  while (first != nullptr) {
    SlabNode* next = first->next;
    used_bytes_ -= kSizes[first->size_class];
    first->next = free_[first->size_class];
    free_[first->size_class] = first;
    first = next;
  }
}

}  // namespace tocayo::metrics
