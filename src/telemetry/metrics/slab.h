// SPDX-License-Identifier: Apache-2.0
// Memory for open sample data: chains of small nodes in size classes, so that a hundred thousand series grow without a
// malloc each and without slack.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

namespace tocayo::metrics {

// A node holds whole blocks only. Bytes below `used` never change, so a reader needs no more than the length it saw.
struct SlabNode {
  SlabNode* next;
  std::uint16_t used;
  std::uint16_t capacity;
  std::uint8_t size_class;
  std::uint8_t data[1];
};
inline constexpr std::size_t kSlabHeader = offsetof(SlabNode, data);

// Not synchronised.
class SlabPool {
 public:
  // A node with room for at least `room` bytes, of a class at least as large as `at_least`.
  SlabNode* allocate(std::size_t room, unsigned at_least);
  void free_chain(SlabNode* first);
  std::size_t memory_bytes() const { return slab_bytes_; }
  std::size_t used_bytes() const { return used_bytes_; }  // in nodes handed out

 private:
  static constexpr std::uint16_t kSizes[] = {32, 48, 64, 96, 128, 192, 256, 384, 512, 1024};
  static constexpr std::size_t kClasses = std::size(kSizes);

  std::vector<std::unique_ptr<std::uint8_t[]>> slabs_;
  std::size_t slab_bytes_ = 0, used_bytes_ = 0;
  std::uint8_t* fresh_[kClasses] = {};
  std::uint8_t* fresh_end_[kClasses] = {};
  SlabNode* free_[kClasses] = {};
};

}  // namespace tocayo::metrics
