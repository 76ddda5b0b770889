// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/accumulator.h"

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "logql/engine/quantile.h"

namespace tocayo::logql::detail {

namespace {

// A queue of states whose merge is known at any time: two stacks, one with running merges from its far end. Every state
// is merged at most twice, however much windows overlap.
template <typename State>
class StateQueue {
 public:
  void push(const State& state) {
    back_.push_back(state);
    back_total_.merge(state);
  }
  void pop() {
    if (front_.empty()) {
      State total{};
      while (!back_.empty()) {
        State merged = back_.back();
        merged.merge(total);
        front_.push_back(merged);
        total = merged;
        back_.pop_back();
      }
      back_total_ = State{};
    }
    front_.pop_back();
  }
  bool empty() const { return front_.empty() && back_.empty(); }
  State total() const {
    State total = front_.empty() ? State{} : front_.back();
    if (!back_.empty()) total.merge(back_total_);
    return total;
  }

 private:
  std::vector<State> front_;  // front_.back() is the merge of all that is in front_
  std::vector<State> back_;
  State back_total_{};
};

template <typename State>
class StateAccumulator final : public Accumulator {
 public:
  StateAccumulator(const Windows& windows, double divisor) : windows_(windows), divisor_(divisor) {}

  void add(std::size_t series, std::uint32_t interval, const RangeSample& sample) override {
    state_of(series, interval).add(sample);
  }

  void add_equal(std::size_t series, std::uint32_t interval, const RangeSample& sample, std::uint64_t count) override {
    State& state = state_of(series, interval);
    if constexpr (std::is_same_v<State, CountState>) {
      state.count += count;
    } else {
      for (; count > 0; --count) state.add(sample);
    }
  }

  void absorb(std::size_t series, Accumulator& other, std::size_t other_series) override {
    auto& from = static_cast<StateAccumulator&>(other);
    if (other_series >= from.series_.size()) return;
    if (series >= series_.size()) series_.resize(series + 1);
    Series& to = series_[series];
    Series& source = from.series_[other_series];
    from.entries_ -= source.entries.size();
    entries_ += source.entries.size();
    if (to.entries.empty()) {
      to = std::move(source);
    } else {
      to.entries.insert(to.entries.end(), source.entries.begin(), source.entries.end());
      compact(to);
    }
    source = {};
  }

  Column finish(std::size_t series) override {
    Column column(windows_.steps().count);
    if (series >= series_.size()) return column;
    Series& one = series_[series];
    compact(one);
    if (bounds_.empty()) {
      bounds_.reserve(column.steps());
      for (std::size_t step = 0; step < column.steps(); ++step) {
        bounds_.push_back({windows_.first_interval(step), windows_.last_interval(step)});
      }
    }
    StateQueue<State> queue;
    std::size_t next = 0;    // entry to push
    std::size_t oldest = 0;  // entry to pop
    for (std::size_t step = 0; step < column.steps(); ++step) {
      if (queue.empty()) {  // on to the next window that holds anything
        if (next == one.entries.size()) break;
        const auto from = bounds_.begin() + static_cast<std::ptrdiff_t>(step);
        const auto at = std::ranges::lower_bound(from, bounds_.end(), one.entries[next].interval, {}, &Bounds::last);
        step = static_cast<std::size_t>(at - bounds_.begin());
        if (step == column.steps()) break;
      }
      while (next < one.entries.size() && one.entries[next].interval <= bounds_[step].last) {
        queue.push(one.entries[next++].state);
      }
      while (oldest < next && one.entries[oldest].interval < bounds_[step].first) {
        queue.pop();
        ++oldest;
      }
      if (!queue.empty()) column.set(step, queue.total().result() / divisor_);
    }
    entries_ -= one.entries.size();
    one = {};
    return column;
  }

  std::unique_ptr<const SeriesStates> keep(std::size_t series) override {
    // The first and the last sample know their streams by numbers of this scan.
    if constexpr (std::is_same_v<State, FirstState> || std::is_same_v<State, LastState>) return nullptr;
    auto kept = std::make_unique<Kept>();
    if (series >= series_.size()) return kept;
    Series& one = series_[series];
    compact(one);
    entries_ -= one.entries.size();
    kept->entries = std::exchange(one.entries, {});
    kept->entries.shrink_to_fit();
    return kept;
  }

  void merge(std::size_t series, const SeriesStates& states,
             const std::function<std::optional<std::uint32_t>(std::uint32_t)>& place) override {
    for (const Entry& entry : static_cast<const Kept&>(states).entries) {
      if (const auto interval = place(entry.interval)) state_of(series, *interval).merge(entry.state);
    }
  }

  void save(std::size_t series, std::string& out) override {
    if (series >= series_.size()) return;
    Series& one = series_[series];
    compact(one);
    for (const Entry& entry : one.entries) {
      put_plain(out, entry.interval);
      put_plain(out, entry.state);
    }
    entries_ -= one.entries.size();
    one = {};
  }

  bool load(std::size_t series, std::string_view states) override {
    Entry entry{};
    while (!states.empty()) {
      if (!take_plain(states, entry.interval) || !take_plain(states, entry.state)) return false;
      state_of(series, entry.interval).merge(entry.state);
    }
    return true;
  }

  std::size_t memory_bytes() const override { return series_.size() * sizeof(Series) + entries_ * sizeof(Entry); }

 private:
  struct Entry {
    std::uint32_t interval;
    State state;
  };
  struct Kept final : SeriesStates {
    std::vector<Entry> entries;
    std::size_t memory_bytes() const override { return entries.size() * sizeof(Entry) + sizeof(Kept); }
  };
  struct Series {
    std::vector<Entry> entries;
    std::size_t compact_at = 1'024;
  };

  State& state_of(std::size_t series, std::uint32_t interval) {
    if (series >= series_.size()) series_.resize(series + 1);
    Series& one = series_[series];
    if (one.entries.empty() || one.entries.back().interval != interval) {
      if (one.entries.size() >= one.compact_at) compact(one);
      if (one.entries.empty() || one.entries.back().interval != interval) {
        one.entries.push_back({interval, State{}});
        ++entries_;
      }
    }
    return one.entries.back().state;
  }

  // Sorts by interval and merges equals. Streams arrive one after the other, so a series of many streams has runs.
  void compact(Series& series) {
    auto& entries = series.entries;
    entries_ -= entries.size();
    const auto before = [](const Entry& a, const Entry& b) { return a.interval < b.interval; };
    if (!std::ranges::is_sorted(entries, before)) std::ranges::sort(entries, before);
    std::size_t kept = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (kept > 0 && entries[kept - 1].interval == entries[i].interval) {
        entries[kept - 1].state.merge(entries[i].state);
      } else {
        if (kept != i) entries[kept] = entries[i];
        ++kept;
      }
    }
    entries.resize(kept);
    series.compact_at = std::max<std::size_t>(1'024, kept * 2);
    entries_ += kept;
  }

  struct Bounds {
    std::uint32_t first;
    std::uint32_t last;
  };

  Windows windows_;
  double divisor_;
  std::vector<Bounds> bounds_;  // of each window's intervals, once finish() needs them
  std::vector<Series> series_;
  std::size_t entries_ = 0;
};

// Keeps the samples themselves, for functions that need them in order.
class SampleAccumulator : public Accumulator {
 public:
  explicit SampleAccumulator(const Windows& windows) : windows_(windows) {}

  void add(std::size_t series, std::uint32_t, const RangeSample& sample) override {
    if (series >= series_.size()) series_.resize(series + 1);
    series_[series].push_back(sample);
    ++samples_;
  }

  void absorb(std::size_t series, Accumulator& other, std::size_t other_series) override {
    auto& from = static_cast<SampleAccumulator&>(other);
    if (other_series >= from.series_.size()) return;
    if (series >= series_.size()) series_.resize(series + 1);
    auto& source = from.series_[other_series];
    from.samples_ -= source.size();
    samples_ += source.size();
    auto& to = series_[series];
    if (to.empty()) {
      to = std::move(source);
    } else {
      to.insert(to.end(), source.begin(), source.end());
    }
    source = {};
  }

  Column finish(std::size_t series) override {
    Column column(windows_.steps().count);
    if (series >= series_.size()) return column;
    auto samples = std::exchange(series_[series], {});
    samples_ -= samples.size();
    std::ranges::sort(samples, {}, [](const RangeSample& s) { return std::tuple(s.time, s.rank, s.order); });
    compute(samples, column);
    return column;
  }

  void save(std::size_t series, std::string& out) override {
    if (series >= series_.size()) return;
    const auto samples = std::exchange(series_[series], {});
    samples_ -= samples.size();
    for (const RangeSample& sample : samples) put_plain(out, sample);
  }

  bool load(std::size_t series, std::string_view states) override {
    RangeSample sample;
    while (!states.empty()) {
      if (!take_plain(states, sample)) return false;
      add(series, 0, sample);
    }
    return true;
  }

  std::size_t memory_bytes() const override {
    return series_.size() * sizeof(series_[0]) + samples_ * sizeof(RangeSample);
  }

 protected:
  virtual void compute(const std::vector<RangeSample>& samples, Column& column) const = 0;

  Windows windows_;

 private:
  std::vector<std::vector<RangeSample>> series_;
  std::size_t samples_ = 0;
};

// Increase per second of a counter, with resets added back and extrapolated to the edges of the window where the
// samples come near enough to them: Prometheus' rate() on nanoseconds.
class RateCounterAccumulator final : public SampleAccumulator {
 public:
  using SampleAccumulator::SampleAccumulator;

 protected:
  void compute(const std::vector<RangeSample>& samples, Column& column) const override {
    // What the resets before a sample added, in long double: differences of it must not lose a small window's part.
    std::vector<long double> resets(samples.size());
    for (std::size_t i = 1; i < samples.size(); ++i) {
      const double previous = samples[i - 1].value;
      resets[i] = resets[i - 1] + (samples[i].value < previous ? previous : 0.0);
    }
    std::size_t first = 0;
    std::size_t stop = 0;
    for (std::size_t step = 0; step < column.steps(); ++step) {
      const TimestampNs end = windows_.end(step);
      const TimestampNs start = subtract_saturated(end, windows_.range());
      while (stop < samples.size() && samples[stop].time <= end) ++stop;
      while (first < stop && samples[first].time <= start) ++first;
      if (first == stop) continue;
      if (stop - first == 1) {
        column.set(step, 0);
        continue;
      }
      const RangeSample& oldest = samples[first];
      const RangeSample& newest = samples[stop - 1];
      const double increase = static_cast<double>(newest.value - oldest.value + (resets[stop - 1] - resets[first]));
      column.set(step, rate(oldest, newest, increase, stop - first, start, end));
    }
  }

 private:
  double rate(const RangeSample& oldest, const RangeSample& newest, double increase, std::size_t count,
              TimestampNs start, TimestampNs end) const {
    const auto seconds = [](std::int64_t from, std::int64_t to) {
      return static_cast<double>(subtract_saturated(to, from)) / 1e9;
    };
    double to_start = seconds(start, oldest.time);
    double to_end = seconds(newest.time, end);
    const double sampled = seconds(oldest.time, newest.time);
    const double spacing = sampled / static_cast<double>(count - 1);
    const double threshold = spacing * 1.1;
    if (to_start >= threshold) to_start = spacing / 2;
    // A counter was never below zero: do not extrapolate beyond where it would have been.
    if (increase > 0 && oldest.value >= 0) to_start = std::min(to_start, sampled * (oldest.value / increase));
    if (to_end >= threshold) to_end = spacing / 2;
    return increase * ((sampled + to_start + to_end) / sampled) / (static_cast<double>(windows_.range()) / 1e9);
  }
};

}  // namespace

std::unique_ptr<Accumulator> make_accumulator(const RangeAggregation& aggregation, const Windows& windows) {
  const double seconds = static_cast<double>(aggregation.range.interval_ns) / 1e9;
  switch (aggregation.op) {
    case RangeOp::count_over_time:
    case RangeOp::absent_over_time: return std::make_unique<StateAccumulator<CountState>>(windows, 1);
    case RangeOp::rate:
      if (aggregation.range.unwrap) return std::make_unique<StateAccumulator<SumState>>(windows, seconds);
      return std::make_unique<StateAccumulator<CountState>>(windows, seconds);
    case RangeOp::bytes_over_time:
    case RangeOp::sum_over_time: return std::make_unique<StateAccumulator<SumState>>(windows, 1);
    case RangeOp::bytes_rate: return std::make_unique<StateAccumulator<SumState>>(windows, seconds);
    case RangeOp::avg_over_time: return std::make_unique<StateAccumulator<AverageState>>(windows, 1);
    case RangeOp::min_over_time: return std::make_unique<StateAccumulator<MinState>>(windows, 1);
    case RangeOp::max_over_time: return std::make_unique<StateAccumulator<MaxState>>(windows, 1);
    case RangeOp::stdvar_over_time: return std::make_unique<StateAccumulator<VarianceState>>(windows, 1);
    case RangeOp::stddev_over_time: return std::make_unique<StateAccumulator<DeviationState>>(windows, 1);
    case RangeOp::first_over_time: return std::make_unique<StateAccumulator<FirstState>>(windows, 1);
    case RangeOp::last_over_time: return std::make_unique<StateAccumulator<LastState>>(windows, 1);
    case RangeOp::rate_counter: return std::make_unique<RateCounterAccumulator>(windows);
    case RangeOp::quantile_over_time: return make_quantile(windows, aggregation.parameter.value_or(0));
  }
  return nullptr;
}

}  // namespace tocayo::logql::detail
