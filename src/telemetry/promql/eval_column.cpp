// SPDX-License-Identifier: Apache-2.0
#include "promql/eval_column.h"

#include <algorithm>
#include <cstring>

namespace tocayo::promql::eval {

Column Column::clone() const {
  Column out(steps_);
  if (steps_ > 0) std::memcpy(out.values(), values(), steps_ * sizeof(double));
  std::copy_n(words(), word_count(), out.words());
  if (histograms_) {
    out.histograms_ = std::make_unique<metrics::HistogramPtr[]>(steps_);
    std::copy_n(histograms_.get(), steps_, out.histograms_.get());
  }
  return out;
}

void Column::add_presence(StepSet& set) const {
  for (std::size_t w = 0; w < word_count(); ++w) set.words()[w] |= words()[w];
  if (!histograms_) return;
  for (std::size_t i = 0; i < steps_; ++i) {
    if (histograms_[i]) set.set(i);
  }
}

void Column::keep_steps(const StepSet& set, bool in_set) {
  for (std::size_t w = 0; w < word_count(); ++w) words()[w] &= in_set ? set.words()[w] : ~set.words()[w];
  if (!histograms_) return;
  for (std::size_t i = 0; i < steps_; ++i) {
    if (histograms_[i] && set.test(i) != in_set) histograms_[i] = nullptr;
  }
}

bool Column::empty() const {
  for (std::size_t w = 0; w < word_count(); ++w) {
    if (words()[w] != 0) return false;
  }
  if (histograms_) {
    for (std::size_t i = 0; i < steps_; ++i) {
      if (histograms_[i]) return false;
    }
  }
  return true;
}

std::size_t Column::weight() const {
  std::size_t weight = float_count();
  if (histograms_) {
    for (std::size_t i = 0; i < steps_; ++i) {
      if (histograms_[i]) weight += histograms_[i]->weight();
    }
  }
  return weight;
}

std::size_t Column::memory_bytes() const {
  std::size_t bytes =
      sizeof(*this) + steps_ * sizeof(double) + (long_words_ ? word_count() * sizeof(std::uint64_t) : 0);
  if (histograms_) {
    bytes += steps_ * sizeof(metrics::HistogramPtr);
    for (std::size_t i = 0; i < steps_; ++i) {
      // A histogram carried over several steps is one object.
      if (histograms_[i] && (i == 0 || histograms_[i] != histograms_[i - 1])) bytes += histograms_[i]->memory_bytes();
    }
  }
  return bytes;
}

}  // namespace tocayo::promql::eval
