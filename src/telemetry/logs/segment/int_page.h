// SPDX-License-Identifier: Apache-2.0
// A column of integers: frames of 1,024 values, each as difference to the frame's smallest or to the value before,
// whichever packs narrower; the few values that would make a frame wide are patched in. Bytes:
// docs/formats/segment-logs.md.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tocayo::logs {

// Leaves what a resize adds as it is: for values that are all written right after.
template <class T>
struct Unwritten : std::allocator<T> {
  template <class U>
  struct rebind {
    using other = Unwritten<U>;
  };
  template <class U>
  void construct(U* at) noexcept {
    ::new (static_cast<void*>(at)) U;
  }
  template <class U, class... Args>
  void construct(U* at, Args&&... args) {
    ::new (static_cast<void*>(at)) U(std::forward<Args>(args)...);
  }
};
using Numbers = std::vector<std::int64_t, Unwritten<std::int64_t>>;
using Indices = std::vector<std::uint32_t, Unwritten<std::uint32_t>>;

inline constexpr std::size_t kIntFrame = 1024;
inline constexpr std::int64_t kPowersOfTen[] = {1,      10,      100,      1000,      10000,
                                                100000, 1000000, 10000000, 100000000, 1000000000};

// How many whole units lie before a time, which may be negative.
inline std::int64_t floor_units(std::int64_t time, std::int64_t unit) {
  return time / unit - (time % unit < 0 ? 1 : 0);
}

void encode_ints(std::span<const std::int64_t> values, std::string& out);
// Replaces `out` by `count` values; false when the bytes are damaged.
bool decode_ints(std::string_view bytes, std::size_t count, Numbers& out);

}  // namespace tocayo::logs
