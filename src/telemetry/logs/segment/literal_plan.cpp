// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/literal_plan.h"

#include "logs/line_filter.h"
#include "logs/required_literals.h"

namespace tocayo::logs {

namespace {

constexpr std::size_t kMostPlacements = 32;
constexpr std::size_t kMostSteps = 4096;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
// `literal` is lower case already when folding.
bool same(std::string_view text, std::string_view literal, bool fold) {
  if (text.size() != literal.size()) return false;
  if (!fold) return text == literal;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (lower(text[i]) != literal[i]) return false;
  }
  return true;
}
bool starts(std::string_view text, std::string_view with, bool fold) {
  return text.size() >= with.size() && same(text.substr(0, with.size()), with, fold);
}

bool slot_byte(const SlotKind& kind, char c) {
  if (is_token_byte(static_cast<unsigned char>(c))) return true;
  return kind.family != SlotKind::Family::token && (c == ' ' || c == ':' || c == '/' || c == ',');
}

class Planner {
 public:
  Planner(const TemplateShape& shape, std::string_view literal, bool fold)
      : shape_(shape), literal_(literal), fold_(fold) {}

  LiteralPlan plan() {
    for (std::size_t i = 0; i < shape_.constants.size() && !done(); ++i) {
      from_constant(i);
      if (i < shape_.slots.size() && !done()) from_slot(i);
    }
    if (plan_.all || plan_.rebuild) plan_.placements.clear();
    return std::move(plan_);
  }

 private:
  bool done() const { return plan_.all || plan_.rebuild; }

  void found() {
    if (tests_.empty()) {
      plan_.all = true;
      return;
    }
    if (plan_.placements.size() == kMostPlacements) {
      plan_.rebuild = true;
      return;
    }
    plan_.placements.push_back(tests_);
  }

  // The literal starts in constant `i`.
  void from_constant(std::size_t i) {
    const auto text = shape_.constants[i];
    const auto inside = fold_ ? find_folded(text, literal_) : find_bytes(text, literal_);
    if (inside != std::string_view::npos) {
      plan_.all = true;
      return;
    }
    if (i >= shape_.slots.size()) return;
    for (std::size_t length = 1; length <= text.size() && length < literal_.size() && !done(); ++length) {
      if (same(text.substr(text.size() - length), literal_.substr(0, length), fold_)) into_slot(i, length);
    }
  }

  // The literal starts in slot `i`.
  void from_slot(std::size_t i) {
    std::size_t run = 0;
    while (run < literal_.size() && slot_byte(shape_.slots[i], literal_[run])) ++run;
    if (run == literal_.size())
      with({static_cast<std::uint32_t>(i), SlotTest::Op::contains, literal_}, [&] { found(); });
    for (std::size_t length = 1; length <= run && length < literal_.size() && !done(); ++length) {
      if (!fits(i + 1, length)) continue;
      with({static_cast<std::uint32_t>(i), SlotTest::Op::suffix, literal_.substr(0, length)},
           [&] { over_constant(i + 1, length); });
    }
  }

  // Whether constant `i` can stand at `at` of the literal.
  bool fits(std::size_t i, std::size_t at) const {
    const auto rest = literal_.substr(at);
    const auto text = shape_.constants[i];
    return text.size() >= rest.size() ? starts(text, rest, fold_) : same(text, rest.substr(0, text.size()), fold_);
  }

  // Constant `i` stands at `at`, which fits.
  void over_constant(std::size_t i, std::size_t at) {
    const auto text = shape_.constants[i];
    if (text.size() >= literal_.size() - at) {
      found();
    } else if (i < shape_.slots.size()) {
      into_slot(i, at + text.size());
    }
  }

  // Slot `i` starts at `at` of the literal (at < size).
  void into_slot(std::size_t i, std::size_t at) {
    std::size_t run = at;
    while (run < literal_.size() && slot_byte(shape_.slots[i], literal_[run])) ++run;
    const auto slot = static_cast<std::uint32_t>(i);
    if (run == literal_.size()) with({slot, SlotTest::Op::prefix, literal_.substr(at)}, [&] { found(); });
    for (std::size_t end = at + 1; end <= run && end < literal_.size() && !done(); ++end) {
      if (!fits(i + 1, end)) continue;
      with({slot, SlotTest::Op::equals, literal_.substr(at, end - at)}, [&] { over_constant(i + 1, end); });
    }
  }

  template <class Next>
  void with(SlotTest test, Next next) {
    if (++steps_ > kMostSteps) {
      plan_.rebuild = true;
      return;
    }
    tests_.push_back(test);
    next();
    tests_.pop_back();
  }

  const TemplateShape& shape_;
  std::string_view literal_;
  bool fold_;
  std::size_t steps_ = 0;
  std::vector<SlotTest> tests_;
  LiteralPlan plan_;
};

}  // namespace

LiteralPlan plan_literal(const TemplateShape& shape, std::string_view literal, bool fold) {
  if (literal.empty()) {
    LiteralPlan plan;
    plan.all = true;
    return plan;
  }
  return Planner(shape, literal, fold).plan();
}

bool holds(const SlotTest& test, std::string_view value, bool fold) {
  switch (test.op) {
    case SlotTest::Op::equals: return same(value, test.text, fold);
    case SlotTest::Op::prefix: return starts(value, test.text, fold);
    case SlotTest::Op::suffix:
      return value.size() >= test.text.size() && same(value.substr(value.size() - test.text.size()), test.text, fold);
    case SlotTest::Op::contains:
      return (fold ? find_folded(value, test.text) : find_bytes(value, test.text)) != std::string_view::npos;
  }
  return false;
}

}  // namespace tocayo::logs
