// SPDX-License-Identifier: Apache-2.0
// The series of a range aggregation put together from what threads, the cache and files hold of them.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/error.h"
#include "core/labels.h"
#include "logql/engine/accumulator.h"
#include "logql/engine/column.h"
#include "logql/engine/run.h"

namespace tocayo::logql::detail {

// About what a set of labels takes.
std::size_t memory_of(const Labels& labels);
std::size_t memory_of(const std::vector<EvalSeries>& series);

// Finds the label that makes most of the series: the one to aggregate away.
class LabelValues {
 public:
  static constexpr std::size_t kEnough = 200'000;  // sets of labels to look at
  // Of so many series every n-th is enough.
  static std::size_t stride(std::size_t series) { return series / kEnough + 1; }
  // The texts must outlive this.
  void add(std::string_view name, std::string_view value) { values_[name].insert(value); }
  // Says so in the message of an error of kind `limit`; others stay as they are.
  Error name_largest(Error error) const;

 private:
  std::unordered_map<std::string_view, std::unordered_set<std::string_view>> values_;
};

// Not thread-safe.
class MergedSeries {
 public:
  MergedSeries(const RangeAggregation& aggregation, const Windows& windows)
      : states_(make_accumulator(aggregation, windows)) {}

  void absorb(const Labels& labels, bool error, Accumulator& from, std::size_t series) {
    states_->absorb(number(labels, error), from, series);
  }
  bool load(const Labels& labels, bool error, std::string_view states) {
    return states_->load(number(labels, error), states);
  }
  std::size_t memory_bytes() const { return label_bytes_ + states_->memory_bytes(); }

  // Sorted by labels, without those that have no value. Charges the run meanwhile.
  Result<std::vector<EvalSeries>> finish(Run& run);
  Error explain(Error error) const;

 private:
  std::size_t number(const Labels& labels, bool error);

  std::unordered_map<Labels, std::size_t, LabelsHash> index_;
  std::vector<const Labels*> labels_;
  std::vector<bool> errors_;
  std::unique_ptr<Accumulator> states_;
  std::size_t label_bytes_ = 0;
};

}  // namespace tocayo::logql::detail
