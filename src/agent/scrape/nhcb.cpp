// SPDX-License-Identifier: Apache-2.0
#include "agent/scrape/nhcb.h"

#include <algorithm>
#include <limits>

namespace tocayo::agent {

void ClassicHistogram::clear() {
  buckets_.clear();
  count_ = sum_ = 0;
  has_count_ = bad_ = false;
}

void ClassicHistogram::set_bucket(double bound, double count) {
  auto at = std::lower_bound(buckets_.begin(), buckets_.end(), bound,
                             [](const Bucket& bucket, double value) { return bucket.bound < value; });
  if (at != buckets_.end() && at->bound == bound) return;  // said twice: the first counts
  if (!(count >= 0) || (at != buckets_.begin() && count < std::prev(at)->count) ||
      (at != buckets_.end() && count > at->count)) {
    bad_ = true;
  }
  buckets_.insert(at, {bound, count});
}

void ClassicHistogram::set_count(double count) {
  if (!(count >= 0)) bad_ = true;
  count_ = count;
  has_count_ = true;
}

bool ClassicHistogram::convert(metrics::HistogramParts& out) {
  if (bad_) return false;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (!has_count_ && !buckets_.empty()) count_ = buckets_.back().count;
  if (buckets_.empty() || buckets_.back().bound != kInfinity) buckets_.push_back({kInfinity, count_});
  if (buckets_.back().count != count_) return false;
  // Beyond 2^53 a double is whole by nature, but its neighbours are not told apart: as exact as the text was.
  constexpr double kMostInteger = 9.2e18;
  const bool whole =
      count_ < kMostInteger && std::all_of(
                                   buckets_.begin(), buckets_.end(),
                                   [](const Bucket& bucket) { return bucket.count == std::round(bucket.count); });
  out.clear();
  out.is_float = !whole;
  out.schema = metrics::kCustomBucketsSchema;
  out.sum = sum_;
  out.count_float = count_;
  if (whole) out.count_int = static_cast<std::uint64_t>(count_);
  for (const Bucket& bucket : buckets_) {
    if (bucket.bound != kInfinity) out.custom_values.push_back(bucket.bound);
  }
  // Empty buckets are left out; up to two between others stay where counts are written as differences.
  const std::size_t most_empty = whole ? 2 : 0;
  double before = 0;
  std::int64_t last = 0;
  std::size_t empty = 0, next = 0;  // `next`: index behind the last span
  auto put = [&](double count) {
    if (whole) {
      out.positive_deltas.push_back(static_cast<std::int64_t>(count) - last);
      last = static_cast<std::int64_t>(count);
    } else {
      out.positive_counts.push_back(count);
    }
    ++out.positive_spans.back().length;
    ++next;
  };
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    const double count = buckets_[i].count - std::exchange(before, buckets_[i].count);
    if (count == 0) {
      ++empty;
      continue;
    }
    if (out.positive_spans.empty() || empty > most_empty) {
      out.positive_spans.push_back({static_cast<std::int32_t>(i - next), 0});
      next = i;
    } else {
      for (; empty > 0; --empty) put(0);
    }
    empty = 0;
    put(count);
  }
  return true;
}

char histogram_suffix(std::string_view name, std::string_view& base) {
  for (std::string_view suffix : {"_bucket", "_sum", "_count"}) {
    if (!name.ends_with(suffix)) continue;
    base = name.substr(0, name.size() - suffix.size());
    return suffix[1];
  }
  base = name;
  return 0;
}

}  // namespace tocayo::agent
