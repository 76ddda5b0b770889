// SPDX-License-Identifier: Apache-2.0
// Line filters (`|=`, `!=`, `|~`, `!~`, `|>`, `!>`): the meaning, decided on one line's bytes. The store decides the
// same on its encodings without rebuilding lines; this is what it must agree with (source: LogQL, specs of Loki).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace tocayo::logs {

struct LineFilter {
  enum class Kind : unsigned char { contains, regex, pattern };
  Kind kind = Kind::contains;
  bool negated = false;
  // An or-chain: a line passes when any operand is found; negated: when none is. An empty operand of `contains` is
  // found in every line.
  std::vector<std::string> operands;
};

// A compiled LineFilter. Immutable, cheap to copy, thread-safe.
class LineMatcher {
 public:
  // bad_input: the regular expression (RE2, not anchored, `.` does not match newline, case-sensitive) or the pattern
  // (`<_>` = one or more bytes, covers the whole line, no names, no two neighbours) does not compile.
  static Result<LineMatcher> create(const LineFilter& filter);

  bool matches(std::string_view line) const;
  // The same of many lines, which lie back to back in `text` in any order, each followed by a newline. Sets passes[k]
  // to 0 or 1; searches over line borders where the expression permits.
  struct Place {
    std::uint32_t at;
    std::uint32_t length;
  };
  void matches(std::string_view text, std::span<const Place> lines, std::vector<char>& passes) const;
  const LineFilter& filter() const;
  // Literals of which at least one must occur in a line for an operand to be found; empty = unknown (any line may
  // match). `fold` when they are to be compared without regard to ASCII case.
  struct Required {
    std::vector<std::string> any_of;
    bool fold = false;
  };
  const Required& required() const;

 private:
  struct Program;
  explicit LineMatcher(std::shared_ptr<const Program> program) : program_(std::move(program)) {}
  std::shared_ptr<const Program> program_;
};

// First place of `needle` in `hay`, npos when absent: as fast as memory (AVX2 where the machine has it).
std::size_t find_bytes(std::string_view hay, std::string_view needle);

}  // namespace tocayo::logs
