// SPDX-License-Identifier: Apache-2.0
// A selection compiled, and what it means for one segment: where the literals can lie in its templates, which values of
// its dictionary pass. Worked out once per query and segment, shared by the threads.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "logs/querier.h"
#include "logs/segment.h"
#include "logs/segment/byte_automaton.h"
#include "logs/segment/dictionary.h"
#include "logs/segment/literal_plan.h"

namespace tocayo::logs {

// One literal that a line must hold.
struct Needle {
  std::string text;
  bool fold = false;
  std::vector<std::string> words;  // whole tokens inside it: each must be in the filter of a text row
};

struct FilterPlan {
  LineMatcher matcher;
  std::vector<Needle> needles;  // one of them must occur where the filter finds something; empty: unknown
  bool exact = false;           // holding a needle is the same as being found
  std::shared_ptr<const ByteAutomaton> automaton;  // of regular expressions; null: only the matcher can tell
};

// What one segment makes of a selection.
class SegmentPlan {
 public:
  SegmentPlan(const CompiledSelection& selection, std::span<const TemplateShape> shapes, const Dictionary& dictionary);

  // Of filter, needle and template (number in the segment).
  const LiteralPlan& plan(std::size_t filter, std::size_t needle, std::uint32_t id) const {
    return plans_[filter][needle][id];
  }
  // Ids of the dictionary that pass the test. Thread-safe.
  const std::vector<std::uint32_t>& dictionary_ids(const SlotTest& test, bool fold) const;
  // Dictionary id of a metadata name, StringTable::kNone when the segment has none such.
  std::uint32_t key(std::size_t label_filter) const { return keys_[label_filter]; }

 private:
  const Dictionary& dictionary_;
  std::vector<std::vector<std::vector<LiteralPlan>>> plans_;
  std::vector<std::uint32_t> keys_;
  mutable std::mutex mutex_;
  mutable std::map<std::tuple<int, bool, std::string>, std::unique_ptr<std::vector<std::uint32_t>>> ids_;
};

class CompiledSelection {
 public:
  static Result<std::shared_ptr<const CompiledSelection>> create(const Selection& selection);

  const Selection& selection() const { return selection_; }
  const std::vector<FilterPlan>& filters() const { return filters_; }
  std::shared_ptr<const SegmentPlan> plan_for(const void* segment, std::span<const TemplateShape> shapes,
                                              const Dictionary& dictionary) const;

 private:
  Selection selection_;
  std::vector<FilterPlan> filters_;
  mutable std::mutex mutex_;
  mutable std::map<const void*, std::shared_ptr<const SegmentPlan>> plans_;
};

}  // namespace tocayo::logs
