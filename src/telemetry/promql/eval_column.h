// SPDX-License-Identifier: Apache-2.0
// The columns the engine computes on: one series over all steps of a query.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "core/time.h"
#include "metrics/histogram.h"

namespace tocayo::promql::eval {

// The times an expression is evaluated at: start, start + step, …
struct Grid {
  TimestampMs start = 0;
  std::int64_t step = 1;  // > 0
  std::size_t steps = 1;  // 0: nothing to evaluate
  TimestampMs time(std::size_t i) const { return start + static_cast<std::int64_t>(i) * step; }
  TimestampMs end() const { return steps == 0 ? start : time(steps - 1); }
  Grid first_step() const { return {start, step, 1}; }
};

// Times at the ends of int64 are legal input: arithmetic on them saturates.
inline std::int64_t saturating_add(std::int64_t a, std::int64_t b) {
  std::int64_t out;
  if (__builtin_add_overflow(a, b, &out))
    return a < 0 ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
  return out;
}
inline std::int64_t saturating_sub(std::int64_t a, std::int64_t b) {
  std::int64_t out;
  if (__builtin_sub_overflow(a, b, &out))
    return a < 0 ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
  return out;
}

inline std::size_t words_for(std::size_t bits) { return (bits + 63) / 64; }

// A bit per step.
class StepSet {
 public:
  StepSet() = default;
  explicit StepSet(std::size_t steps) : words_(words_for(steps)) {}
  bool test(std::size_t i) const { return (words_[i / 64] >> (i % 64)) & 1; }
  void set(std::size_t i) { words_[i / 64] |= std::uint64_t{1} << (i % 64); }
  bool any() const {
    for (auto word : words_) {
      if (word != 0) return true;
    }
    return false;
  }
  std::uint64_t* words() { return words_.data(); }
  const std::uint64_t* words() const { return words_.data(); }
  std::size_t word_count() const { return words_.size(); }

 private:
  std::vector<std::uint64_t> words_;
};

template <typename F>
void for_each_bit(const std::uint64_t* words, std::size_t count, F&& f) {
  for (std::size_t w = 0; w < count; ++w) {
    for (std::uint64_t word = words[w]; word != 0; word &= word - 1) {
      f(w * 64 + static_cast<std::size_t>(std::countr_zero(word)));
    }
  }
}

// At each step nothing, a float (its bit is set) or a histogram (its pointer is not null). Movable only.
class Column {
 public:
  Column() = default;
  explicit Column(std::size_t steps) : values_(std::make_unique<double[]>(steps)), steps_(steps) {
    if (steps > 64) long_words_ = std::make_unique<std::uint64_t[]>(words_for(steps));
  }
  Column(Column&& other) noexcept
      : values_(std::move(other.values_)),
        long_words_(std::move(other.long_words_)),
        histograms_(std::move(other.histograms_)),
        word_(other.word_),
        steps_(std::exchange(other.steps_, 0)) {}
  Column& operator=(Column&& other) noexcept {
    values_ = std::move(other.values_);
    long_words_ = std::move(other.long_words_);
    histograms_ = std::move(other.histograms_);
    word_ = other.word_;
    steps_ = std::exchange(other.steps_, 0);
    return *this;
  }
  Column clone() const;

  std::size_t steps() const { return steps_; }
  double* values() { return values_.get(); }
  const double* values() const { return values_.get(); }
  std::uint64_t* words() { return long_words_ ? long_words_.get() : &word_; }
  const std::uint64_t* words() const { return long_words_ ? long_words_.get() : &word_; }
  std::size_t word_count() const { return words_for(steps_); }

  bool has_float(std::size_t i) const { return (words()[i / 64] >> (i % 64)) & 1; }
  bool has_histogram(std::size_t i) const { return histograms_ && histograms_[i] != nullptr; }
  bool has(std::size_t i) const { return has_float(i) || has_histogram(i); }
  double value(std::size_t i) const { return values_[i]; }
  const metrics::HistogramPtr& histogram(std::size_t i) const { return histograms_[i]; }
  bool any_histograms() const { return histograms_ != nullptr; }  // there may be some

  void set(std::size_t i, double value) {
    values_[i] = value;
    words()[i / 64] |= std::uint64_t{1} << (i % 64);
  }
  void set_histogram(std::size_t i, metrics::HistogramPtr histogram) {
    if (!histograms_) histograms_ = std::make_unique<metrics::HistogramPtr[]>(steps_);
    histograms_[i] = std::move(histogram);
  }
  void clear(std::size_t i) {
    words()[i / 64] &= ~(std::uint64_t{1} << (i % 64));
    if (histograms_) histograms_[i] = nullptr;
  }
  void copy_step(std::size_t i, const Column& from, std::size_t j) {
    if (from.has_histogram(j)) {
      set_histogram(i, from.histogram(j));
    } else if (from.has_float(j)) {
      set(i, from.value(j));
    }
  }
  void drop_histograms() { histograms_.reset(); }
  // Adds the steps at which there is something to `set`.
  void add_presence(StepSet& set) const;
  // Removes the steps that are (not) in `set`.
  void keep_steps(const StepSet& set, bool in_set);

  std::size_t float_count() const {
    std::size_t count = 0;
    for (std::size_t w = 0; w < word_count(); ++w) count += static_cast<std::size_t>(std::popcount(words()[w]));
    return count;
  }
  bool empty() const;
  // Samples in the sense of max_samples: a histogram weighs more than a float.
  std::size_t weight() const;
  std::size_t memory_bytes() const;

 private:
  std::unique_ptr<double[]> values_;
  std::unique_ptr<std::uint64_t[]> long_words_;  // null up to 64 steps: then word_
  std::unique_ptr<metrics::HistogramPtr[]> histograms_;
  std::uint64_t word_ = 0;
  std::size_t steps_ = 0;
};

}  // namespace tocayo::promql::eval
