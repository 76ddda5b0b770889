// SPDX-License-Identifier: Apache-2.0
// Where a literal can lie in the lines of one template: wholly in constant text, in a slot, or across several. The
// answer is exact: a line holds the literal if and only if all tests of one placement are true.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "logs/segment/template_shape.h"

namespace tocayo::logs {

struct SlotTest {
  enum class Op : std::uint8_t { equals, prefix, suffix, contains };
  std::uint32_t slot = 0;
  Op op = Op::contains;
  std::string_view text;  // part of the literal
};

struct LiteralPlan {
  bool all = false;      // every line of the template holds it
  bool rebuild = false;  // too many placements: look at the lines
  std::vector<std::vector<SlotTest>> placements;
  bool none() const { return !all && !rebuild && placements.empty(); }
};

// With `fold` the literal is ASCII lower case and compared without regard to ASCII case. Views point into `literal`.
LiteralPlan plan_literal(const TemplateShape& shape, std::string_view literal, bool fold);

// The test on one value.
bool holds(const SlotTest& test, std::string_view value, bool fold);

}  // namespace tocayo::logs
