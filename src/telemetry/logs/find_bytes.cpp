// SPDX-License-Identifier: Apache-2.0
// Substring search: first and last byte of the needle compared in wide registers, the rest only where both fit.
#include <cstring>

#include "logs/line_filter.h"
#include "logs/required_literals.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tocayo::logs {

namespace {

constexpr auto kNone = std::string_view::npos;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool equal_folded(const char* hay, const char* needle, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    if (lower(hay[i]) != needle[i]) return false;
  }
  return true;
}

std::size_t find_folded_plain(std::string_view hay, std::string_view needle, std::size_t from) {
  if (needle.size() > hay.size()) return kNone;
  for (std::size_t i = from; i + needle.size() <= hay.size(); ++i) {
    if (lower(hay[i]) == needle[0] && equal_folded(hay.data() + i, needle.data(), needle.size())) return i;
  }
  return kNone;
}

#if defined(__x86_64__)
bool has_avx2() {
  static const bool has = __builtin_cpu_supports("avx2") != 0;
  return has;
}

__attribute__((target("avx2"))) std::size_t find_avx2(std::string_view hay, std::string_view needle) {
  const std::size_t size = needle.size();
  const __m256i first = _mm256_set1_epi8(needle[0]);
  const __m256i last = _mm256_set1_epi8(needle[size - 1]);
  std::size_t i = 0;
  for (; i + size - 1 + 32 <= hay.size(); i += 32) {
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(hay.data() + i));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(hay.data() + i + size - 1));
    auto mask = static_cast<unsigned>(
        _mm256_movemask_epi8(_mm256_and_si256(_mm256_cmpeq_epi8(a, first), _mm256_cmpeq_epi8(b, last))));
    while (mask != 0) {
      const auto at = i + static_cast<std::size_t>(__builtin_ctz(mask));
      if (size <= 2 || std::memcmp(hay.data() + at + 1, needle.data() + 1, size - 2) == 0) return at;
      mask &= mask - 1;
    }
  }
  const auto tail = hay.substr(i).find(needle);
  return tail == kNone ? kNone : i + tail;
}

__attribute__((target("avx2"))) std::size_t find_folded_avx2(std::string_view hay, std::string_view needle) {
  const std::size_t size = needle.size();
  auto upper = [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; };
  const __m256i first = _mm256_set1_epi8(needle[0]);
  const __m256i first_upper = _mm256_set1_epi8(upper(needle[0]));
  const __m256i last = _mm256_set1_epi8(needle[size - 1]);
  const __m256i last_upper = _mm256_set1_epi8(upper(needle[size - 1]));
  std::size_t i = 0;
  for (; i + size - 1 + 32 <= hay.size(); i += 32) {
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(hay.data() + i));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(hay.data() + i + size - 1));
    const __m256i front = _mm256_or_si256(_mm256_cmpeq_epi8(a, first), _mm256_cmpeq_epi8(a, first_upper));
    const __m256i back = _mm256_or_si256(_mm256_cmpeq_epi8(b, last), _mm256_cmpeq_epi8(b, last_upper));
    auto mask = static_cast<unsigned>(_mm256_movemask_epi8(_mm256_and_si256(front, back)));
    while (mask != 0) {
      const auto at = i + static_cast<std::size_t>(__builtin_ctz(mask));
      if (equal_folded(hay.data() + at, needle.data(), size)) return at;
      mask &= mask - 1;
    }
  }
  return find_folded_plain(hay, needle, i);
}
#endif

}  // namespace

std::size_t find_bytes(std::string_view hay, std::string_view needle) {
  if (needle.empty()) return 0;
  if (needle.size() > hay.size()) return kNone;
  if (needle.size() == 1) return hay.find(needle[0]);
#if defined(__x86_64__)
  if (hay.size() >= 64 && has_avx2()) return find_avx2(hay, needle);
#endif
  return hay.find(needle);
}

std::size_t find_folded(std::string_view hay, std::string_view needle) {
  if (needle.empty()) return 0;
  if (needle.size() > hay.size()) return kNone;
#if defined(__x86_64__)
  if (hay.size() >= 64 && has_avx2()) return find_folded_avx2(hay, needle);
#endif
  return find_folded_plain(hay, needle, 0);
}

}  // namespace tocayo::logs
