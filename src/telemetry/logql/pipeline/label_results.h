// SPDX-License-Identifier: Apache-2.0
// Remembers the label sets that rows ended with, so that a set seen before costs hashing and one comparison.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "logql/pipeline/label_state.h"
#include "logql/pipeline/pipeline.h"

namespace tocayo::logql {

class LabelResults {
 public:
  // What of the labels counts.
  struct Shape {
    bool grouped = false;
    bool without = false;
    bool preserve_error = false;
    std::span<Name* const> groups;
  };

  // Valid until clear().
  const std::shared_ptr<const LabelResult>& find(LabelState& labels, const Shape& shape);
  std::size_t memory_bytes() const { return memory_; }
  void clear();
  // The Name pointers of before are gone; what was handed out stays.
  void forget_names() { rows_.clear(); }

 private:
  struct Item {
    const Name* name;
    std::string_view value;
    LabelState::Category category;
  };
  // A sequence of labels as rows have them, and where each stands in the sorted result.
  struct Known {
    std::vector<std::uint32_t> names;   // id × 4 + category, in the row's order
    std::vector<std::uint32_t> places;  // in result->all
    std::uint32_t result = 0;
  };

  void collect(LabelState& labels, const Shape& shape);
  bool same(const Known& known) const;
  std::uint32_t canonical();

  std::vector<Item> items_;
  std::vector<std::uint32_t> order_;
  std::unordered_multimap<std::uint64_t, Known> rows_;
  std::unordered_multimap<std::uint64_t, std::uint32_t> sets_;
  std::vector<std::unique_ptr<std::shared_ptr<const LabelResult>>> results_;  // stable addresses
  std::size_t memory_ = 0;
  bool error_ = false;
};

}  // namespace tocayo::logql
