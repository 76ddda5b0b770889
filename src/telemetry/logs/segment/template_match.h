// SPDX-License-Identifier: Apache-2.0
// A regular expression on the lines of one template of a row group, without putting lines together: constant text is
// run over once, slots only as far as their bytes can still decide.
#pragma once

#include <cstdint>
#include <vector>

#include "core/context.h"
#include "logs/segment/byte_automaton.h"
#include "logs/segment/group_view.h"
#include "logs/segment/row_set.h"

namespace tocayo::logs {

class TemplateMatch {
 public:
  enum class Verdict : std::uint8_t {
    none,     // no line matches, by constants and by what the columns' records tell
    all,      // every line matches
    rows,     // it depends on the values: evaluate()
    unknown,  // the automaton cannot tell (bytes outside ASCII in slots): look at the lines
  };

  // `rows` must outlive this; `local` is a template of it.
  TemplateMatch(const ByteAutomaton& automaton, GroupRows& rows, std::uint32_t local);
  Verdict verdict() const { return verdict_; }
  // Adds the rows of `within` whose line matches to `found`. Only after Verdict::rows.
  Result<> evaluate(const RowSet& within, RowSet& found, const Context& context);

 private:
  using State = ByteAutomaton::State;
  static constexpr std::uint8_t kFinds = 1;  // some line from here on matches
  static constexpr std::uint8_t kFails = 2;  // some does not
  // What the slot makes of a state, as far as its record tells.
  struct Step {
    std::uint8_t fate = 0;  // kFinds, kFails; 0: not worked out
    bool fixed = false;     // the same state behind it whatever the value
    State next = 0;
  };
  bool read_slots();
  std::uint8_t fate(std::size_t slot, State state);
  State over_constant(std::size_t slot, State state);

  const ByteAutomaton& automaton_;
  GroupRows& rows_;
  std::uint32_t local_;
  const TemplateShape& shape_;
  Verdict verdict_ = Verdict::unknown;
  State first_ = 0;  // before the first slot
  struct Slot {
    std::vector<bool> classes;              // of bytes that may occur
    std::vector<std::vector<bool>> layout;  // of those at each place, where all values are written alike
    std::size_t least = 0;
    std::size_t most = 0;
    std::vector<Step> steps;  // by state
    std::vector<int> over;    // state behind the constant that follows, -1: not worked out
  };
  std::vector<Slot> slots_;
  std::size_t work_ = 0;
};

}  // namespace tocayo::logs
