// SPDX-License-Identifier: Apache-2.0
// How much a test does: less in every run, all under `./dev test --full`, little under a sanitizer that slows it five
// to twenty times.
#pragma once

#include <cstdlib>

namespace tocayo {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
inline constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool kSanitized = false;
#endif

/// True under `./dev test --full`, which sets TOCAYO_FULL to a text that is not empty.
inline bool full_run() {
  const char* value = std::getenv("TOCAYO_FULL");
  return value != nullptr && *value != '\0';
}

/// `usual` in every run, `full` under --full, `sanitized` in a build with a sanitizer unless --full.
template <typename T>
T test_rounds(T usual, T full, T sanitized) {
  return full_run() ? full : (kSanitized ? sanitized : usual);
}

}  // namespace tocayo
