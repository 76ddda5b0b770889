// SPDX-License-Identifier: Apache-2.0
// A regular expression as a table of states over bytes, to be run over the pieces of a line one after the other: over
// constant text once per template, over the values of a slot without the rest of the line.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tocayo::logs {

// Immutable, thread-safe. Its answer on text of valid UTF-8 is that of RE2::PartialMatch for any of the expressions.
class ByteAutomaton {
 public:
  using State = std::uint16_t;
  static constexpr State kFound = 0;  // a match lies behind; no byte leaves this state

  // Of (valid RE2) expressions. nullopt: one uses what is not known here, or the table would be too large.
  static std::optional<ByteAutomaton> compile(std::span<const std::string> regexes);

  State start() const { return start_; }
  std::size_t states() const { return at_end_.size(); }
  std::size_t classes() const { return classes_; }
  std::uint8_t class_of(unsigned char byte) const { return class_of_[byte]; }
  State next_of_class(State state, std::size_t byte_class) const { return next_[state * classes_ + byte_class]; }
  State run(State state, std::string_view text) const {
    for (char c : text) {
      if (state == kFound) break;
      state = next_[state * classes_ + class_of_[static_cast<unsigned char>(c)]];
    }
    return state;
  }
  // Whether there is a match when the text ends in this state.
  bool found_at_end(State state) const { return at_end_[state]; }
  bool matches(std::string_view text) const { return found_at_end(run(start_, text)); }

 private:
  std::array<std::uint8_t, 256> class_of_{};
  std::size_t classes_ = 0;
  State start_ = kFound;
  std::vector<State> next_;
  std::vector<bool> at_end_;
};

}  // namespace tocayo::logs
