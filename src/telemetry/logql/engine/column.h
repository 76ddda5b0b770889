// SPDX-License-Identifier: Apache-2.0
// Series over all steps of a query, the currency of the evaluator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/labels.h"

namespace tocayo::logql::detail {

// One value a step, or none.
class Column {
 public:
  static constexpr std::size_t kBytesPerStep = sizeof(double) + 1;
  explicit Column(std::size_t steps) : values_(steps), present_(steps) {}

  std::size_t steps() const { return values_.size(); }
  bool has(std::size_t step) const { return present_[step] != 0; }
  double value(std::size_t step) const { return values_[step]; }
  void set(std::size_t step, double value) {
    values_[step] = value;
    present_[step] = 1;
  }
  void clear(std::size_t step) { present_[step] = 0; }
  bool any() const {
    for (std::uint8_t present : present_) {
      if (present != 0) return true;
    }
    return false;
  }
  std::size_t memory_bytes() const { return values_.size() * kBytesPerStep; }

 private:
  std::vector<double> values_;
  std::vector<std::uint8_t> present_;
};

struct EvalSeries {
  Labels labels;
  Column column;
  bool error = false;  // `labels` hold an __error__ that the query asked to keep
};

}  // namespace tocayo::logql::detail
