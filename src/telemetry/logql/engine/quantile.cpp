// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/quantile.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace tocayo::logql::detail {

namespace {

// Counts by rank in a tree of partial sums: adding, removing and finding the k-th cost O(log n) each, so a value costs
// the same however many windows hold it.
class RankTree {
 public:
  explicit RankTree(std::size_t ranks) : counts_(ranks + 1) {
    while (top_ * 2 <= ranks) top_ *= 2;
  }
  void add(std::size_t rank, std::int64_t count) {
    for (std::size_t i = rank + 1; i < counts_.size(); i += i & (~i + 1)) counts_[i] += count;
  }
  // Rank of the k-th smallest, k from 0; there must be more than k.
  std::size_t find(std::int64_t k) const {
    std::size_t at = 0;
    for (std::size_t jump = top_; jump != 0; jump /= 2) {
      if (at + jump < counts_.size() && counts_[at + jump] <= k) {
        at += jump;
        k -= counts_[at];
      }
    }
    return at;
  }

 private:
  std::vector<std::int64_t> counts_;  // from 1
  std::size_t top_ = 1;
};

// A value of an interval that occurred `count` times.
struct Entry {
  double value;
  std::uint32_t interval;
  std::uint32_t count;
};

// By value, NaN smallest (as Go sorts them here). The two zeros are told apart, so that the order is a total one.
bool value_before(double a, double b) {
  if (a < b || a > b) return a < b;
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && !std::isnan(b);
  return std::signbit(a) && !std::signbit(b);
}

bool entry_before(const Entry& a, const Entry& b) {
  return a.interval != b.interval ? a.interval < b.interval : value_before(a.value, b.value);
}

class QuantileAccumulator final : public Accumulator {
 public:
  QuantileAccumulator(const Windows& windows, double quantile) : windows_(windows), quantile_(quantile) {}

  void add(std::size_t series, std::uint32_t interval, const RangeSample& sample) override {
    count(series, {std::isnan(sample.value) ? std::numeric_limits<double>::quiet_NaN() : sample.value, interval, 1});
  }

  void absorb(std::size_t series, Accumulator& other, std::size_t other_series) override {
    auto& from = static_cast<QuantileAccumulator&>(other);
    from.settle();
    if (other_series >= from.series_.size()) return;
    Series source = std::exchange(from.series_[other_series], {});
    from.entries_ -= source.entries.size();
    Series& to = at(series);
    if (to.entries.empty()) {
      entries_ += source.entries.size();
      to = std::move(source);
      return;
    }
    for (const Entry& entry : source.entries) count(series, entry);
  }

  std::unique_ptr<const SeriesStates> keep(std::size_t series) override {
    settle();
    auto kept = std::make_unique<Kept>();
    if (series >= series_.size()) return kept;
    Series one = std::exchange(series_[series], {});
    entries_ -= one.entries.size();
    compact(one);
    one.entries.shrink_to_fit();
    kept->entries = std::move(one.entries);
    return kept;
  }

  void merge(std::size_t series, const SeriesStates& states,
             const std::function<std::optional<std::uint32_t>(std::uint32_t)>& place) override {
    for (Entry entry : static_cast<const Kept&>(states).entries) {
      const auto interval = place(entry.interval);
      if (!interval) continue;
      entry.interval = *interval;
      count(series, entry);
    }
  }

  void save(std::size_t series, std::string& out) override {
    settle();
    if (series >= series_.size()) return;
    Series one = std::exchange(series_[series], {});
    entries_ -= one.entries.size();
    compact(one);
    for (const Entry& entry : one.entries) put_plain(out, entry);
  }

  bool load(std::size_t series, std::string_view states) override {
    Entry entry{0, 0, 0};
    while (!states.empty()) {
      if (!take_plain(states, entry)) return false;
      count(series, entry);
    }
    return true;
  }

  Column finish(std::size_t series) override {
    settle();
    Column column(windows_.steps().count);
    if (series >= series_.size()) return column;
    Series one = std::exchange(series_[series], {});
    entries_ -= one.entries.size();
    compact(one);
    if (column.steps() == 1 || windows_.range() <= windows_.steps().step) {
      apart(one.entries, column);
    } else {
      overlapping(one.entries, column);
    }
    return column;
  }

  std::size_t memory_bytes() const override {
    return series_.size() * sizeof(Series) + entries_ * sizeof(Entry) + recent_.size() * sizeof(Recent);
  }

 private:
  static constexpr std::size_t kFewRecent = 1 << 10;
  static constexpr std::size_t kMostRecent = 1 << 17;
  static constexpr std::size_t kCompactAt = 1 << 12;

  struct Kept final : SeriesStates {
    std::vector<Entry> entries;
    std::size_t memory_bytes() const override { return entries.size() * sizeof(Entry) + sizeof(Kept); }
  };
  struct Series {
    std::vector<Entry> entries;
    std::size_t compact_at = kCompactAt;
  };
  // Values that came lately are counted here, so that common ones are put into the series once and not each time.
  struct Recent {
    std::size_t series = 0;
    Entry entry{0, 0, 0};
  };

  Series& at(std::size_t series) {
    if (series >= series_.size()) series_.resize(series + 1);
    return series_[series];
  }

  void count(std::size_t series, const Entry& entry) {
    if (recent_.empty()) recent_.resize(kFewRecent);
    Recent& recent = place(series, entry);
    Entry& known = recent.entry;
    if (known.count != 0 && recent.series == series && known.interval == entry.interval &&
        std::bit_cast<std::uint64_t>(known.value) == std::bit_cast<std::uint64_t>(entry.value) &&
        known.count <= std::numeric_limits<std::uint32_t>::max() - entry.count) {
      known.count += entry.count;
      return;
    }
    const bool evicts = known.count != 0;
    if (evicts) put(recent.series, known);
    recent = {series, entry};
    if (evicts && ++evicted_ > recent_.size() && recent_.size() < kMostRecent) grow();
  }

  Recent& place(std::size_t series, const Entry& entry) {
    const auto where = (std::uint64_t{entry.interval} << 32 | series) * 0xBF58476D1CE4E5B9ULL;
    const auto mixed = (std::bit_cast<std::uint64_t>(entry.value) ^ where) * 0x9E3779B97F4A7C15ULL;
    return recent_[mixed >> (64 - std::countr_zero(recent_.size()))];
  }

  // More values come again and again than there is room for.
  void grow() {
    std::vector<Recent> old(recent_.size() * 4);
    old.swap(recent_);
    evicted_ = 0;
    for (const Recent& recent : old) {
      if (recent.entry.count == 0) continue;
      Recent& to = place(recent.series, recent.entry);
      if (to.entry.count != 0) put(to.series, to.entry);
      to = recent;
    }
  }

  void put(std::size_t series, const Entry& entry) {
    Series& one = at(series);
    if (one.entries.size() >= one.compact_at) {
      entries_ -= one.entries.size();
      compact(one);
      entries_ += one.entries.size();
    }
    one.entries.push_back(entry);
    ++entries_;
  }

  void settle() {
    for (Recent& recent : recent_) {
      if (recent.entry.count != 0) put(recent.series, recent.entry);
    }
    recent_.clear();
  }

  // Sorts by interval and value and counts equal ones together.
  static void compact(Series& series) {
    auto& entries = series.entries;
    if (!std::ranges::is_sorted(entries, entry_before)) std::ranges::sort(entries, entry_before);
    std::size_t kept = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (kept > 0 && !entry_before(entries[kept - 1], entries[i]) &&
          entries[i].count <= std::numeric_limits<std::uint32_t>::max() - entries[kept - 1].count) {
        entries[kept - 1].count += entries[i].count;
      } else {
        entries[kept++] = entries[i];
      }
    }
    entries.resize(kept);
    series.compact_at = std::max(kCompactAt, kept * 2);
  }

  // Windows without a common interval: each is walked over by itself.
  void apart(const std::vector<Entry>& entries, Column& column) const {
    std::vector<Entry> window;
    std::size_t next = 0;
    for (std::size_t step = 0; step < column.steps() && next < entries.size(); ++step) {
      const auto first = windows_.first_interval(step);
      const auto last = windows_.last_interval(step);
      while (next < entries.size() && entries[next].interval < first) ++next;
      window.clear();
      std::int64_t count = 0;
      for (; next < entries.size() && entries[next].interval <= last; ++next) {
        window.push_back(entries[next]);
        count += entries[next].count;
      }
      if (count == 0) continue;
      if (window.front().interval != window.back().interval) std::ranges::sort(window, value_before, &Entry::value);
      const auto nth = [&](double k) {
        auto left = static_cast<std::int64_t>(k);
        std::size_t i = 0;
        while (left >= window[i].count) left -= window[i++].count;
        return window[i].value;
      };
      column.set(step, quantile(static_cast<double>(count), nth));
    }
  }

  void overlapping(const std::vector<Entry>& entries, Column& column) const {
    std::vector<double> values;
    values.reserve(entries.size());
    for (const Entry& entry : entries) values.push_back(entry.value);
    std::ranges::sort(values, value_before);
    const auto same = [](double a, double b) { return !value_before(a, b) && !value_before(b, a); };
    values.erase(std::unique(values.begin(), values.end(), same), values.end());
    std::vector<std::uint32_t> rank;
    rank.reserve(entries.size());
    for (const Entry& entry : entries)
      rank.push_back(
          static_cast<std::uint32_t>(std::ranges::lower_bound(values, entry.value, value_before) - values.begin()));
    RankTree tree(values.size());
    std::size_t oldest = 0;
    std::size_t next = 0;
    std::int64_t count = 0;
    for (std::size_t step = 0; step < column.steps(); ++step) {
      const auto first = windows_.first_interval(step);
      const auto last = windows_.last_interval(step);
      for (; next < entries.size() && entries[next].interval <= last; ++next) {
        tree.add(rank[next], entries[next].count);
        count += entries[next].count;
      }
      for (; oldest < next && entries[oldest].interval < first; ++oldest) {
        tree.add(rank[oldest], -static_cast<std::int64_t>(entries[oldest].count));
        count -= entries[oldest].count;
      }
      if (count == 0) continue;
      column.set(step, quantile(static_cast<double>(count),
                                [&](double k) { return values[tree.find(static_cast<std::int64_t>(k))]; }));
    }
  }

  template <typename Nth>
  double quantile(double count, const Nth& nth) const {
    if (std::isnan(quantile_)) return quantile_;
    if (quantile_ < 0) return -std::numeric_limits<double>::infinity();
    if (quantile_ > 1) return std::numeric_limits<double>::infinity();
    const double rank = quantile_ * (count - 1);
    const double lower = std::floor(rank);
    const double upper = std::min(count - 1, lower + 1);
    const double weight = rank - lower;
    return nth(lower) * (1 - weight) + nth(upper) * weight;
  }

  Windows windows_;
  double quantile_;
  std::vector<Recent> recent_;  // by hash; empty until there is a value
  std::size_t evicted_ = 0;     // since it grew
  std::vector<Series> series_;
  std::size_t entries_ = 0;
};

}  // namespace

std::unique_ptr<Accumulator> make_quantile(const Windows& windows, double quantile) {
  return std::make_unique<QuantileAccumulator>(windows, quantile);
}

}  // namespace tocayo::logql::detail
