// SPDX-License-Identifier: Apache-2.0
// Kinds of lines. The store knows the templates of its segments; here they (and lines that have no template yet) are
// merged by likeness into a list short enough to be shown, with exact counts a step.
//
// Two patterns are alike when they have equally many words, the first of them equal or a slot, and at least the given
// part of all words equal. The merged one has a slot where they differ, and matches (with the filter `|>`) every line
// that either matches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/context.h"
#include "core/error.h"
#include "logql/engine/engine.h"
#include "logs/querier.h"

namespace tocayo::logql {

struct PatternOptions {
  double similarity = 0.3;           // part of the words that must agree
  std::size_t max_patterns = 300;    // most frequent ones that are returned
  std::size_t max_clusters = 5'000;  // kinds that are told apart at once; what is beyond counts to the most alike
  std::int64_t step_ns = 10'000'000'000;
};

// Not thread-safe.
class PatternMerger {
 public:
  explicit PatternMerger(PatternOptions options = {});
  PatternMerger(PatternMerger&&) noexcept;
  PatternMerger& operator=(PatternMerger&&) noexcept;
  ~PatternMerger();

  // `pattern` has `<_>` for its slots.
  void add(std::string_view pattern, std::string_view level, TimestampNs time, std::uint64_t count = 1);
  // A line: its template is guessed first.
  void add_line(std::string_view line, std::string_view level, TimestampNs time) {
    add(guess_pattern(line), level, time);
  }
  // Takes over what another merger has seen.
  void merge(PatternMerger&& other);
  // Most frequent first.
  std::vector<logs::Pattern> result() const;

  // The line with slots for the words' parts that look like values: numbers, ids, addresses, quoted text. It matches
  // the line with `|>`; "" when the line cannot be written as a pattern.
  static std::string guess_pattern(std::string_view line);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The patterns of the lines that a log query's selector and line filters choose (other stages are not applied, as in
// Loki). Which patterns merge may depend on the order in which threads come by; what they count does not. The level is
// the structured metadata or label detected_level. `step_ns` in the options is at least 10 s. bad_input when it is not
// a log query.
Result<std::vector<logs::Pattern>> find_patterns(const logs::Querier& querier, std::string_view query,
                                                 TimestampNs start, TimestampNs end, PatternOptions options,
                                                 const QueryOptions& query_options = {}, const Context& context = {});

}  // namespace tocayo::logql
