// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/selection.h"

namespace tocayo::logs {

namespace {

// The tokens of a needle that have their end on both sides inside it.
std::vector<std::string> inner_words(std::string_view text) {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < text.size();) {
    if (!is_token_byte(static_cast<unsigned char>(text[i]))) {
      ++i;
      continue;
    }
    const std::size_t begin = i;
    while (i < text.size() && is_token_byte(static_cast<unsigned char>(text[i]))) ++i;
    if (begin > 0 && i < text.size()) words.emplace_back(text.substr(begin, i - begin));
  }
  return words;
}

}  // namespace

Result<std::shared_ptr<const CompiledSelection>> CompiledSelection::create(const Selection& selection) {
  auto compiled = std::make_shared<CompiledSelection>();
  compiled->selection_ = selection;
  for (const auto& filter : selection.line_filters) {
    FilterPlan plan{.matcher = TRY(LineMatcher::create(filter)),
                    .needles = {},
                    .exact = filter.kind == LineFilter::Kind::contains,
                    .automaton = {}};
    if (filter.kind == LineFilter::Kind::regex) {
      if (auto automaton = ByteAutomaton::compile(filter.operands))
        plan.automaton = std::make_shared<const ByteAutomaton>(std::move(*automaton));
    }
    const auto& required = plan.matcher.required();
    for (const auto& text : required.any_of) {
      plan.needles.push_back({.text = text,
                              .fold = required.fold,
                              .words = required.fold ? std::vector<std::string>{} : inner_words(text)});
    }
    compiled->filters_.push_back(std::move(plan));
  }
  return compiled;
}

std::shared_ptr<const SegmentPlan> CompiledSelection::plan_for(const void* segment,
                                                               std::span<const TemplateShape> shapes,
                                                               const Dictionary& dictionary) const {
  {
    std::scoped_lock lock(mutex_);
    if (auto found = plans_.find(segment); found != plans_.end()) return found->second;
  }
  auto plan = std::make_shared<const SegmentPlan>(*this, shapes, dictionary);
  std::scoped_lock lock(mutex_);
  return plans_.emplace(segment, std::move(plan)).first->second;
}

SegmentPlan::SegmentPlan(const CompiledSelection& selection, std::span<const TemplateShape> shapes,
                         const Dictionary& dictionary)
    : dictionary_(dictionary) {
  for (const auto& filter : selection.filters()) {
    auto& of_filter = plans_.emplace_back();
    for (const auto& needle : filter.needles) {
      auto& of_needle = of_filter.emplace_back();
      of_needle.reserve(shapes.size());
      for (const auto& shape : shapes) of_needle.push_back(plan_literal(shape, needle.text, needle.fold));
    }
  }
  for (const auto& matcher : selection.selection().label_filters) {
    const auto ids = dictionary.search({.slot = 0, .op = SlotTest::Op::equals, .text = matcher.name()}, false);
    keys_.push_back(ids.empty() ? StringTable::kNone : ids[0]);
  }
}

const std::vector<std::uint32_t>& SegmentPlan::dictionary_ids(const SlotTest& test, bool fold) const {
  std::tuple<int, bool, std::string> key(static_cast<int>(test.op), fold, test.text);
  {
    std::scoped_lock lock(mutex_);
    if (auto found = ids_.find(key); found != ids_.end()) return *found->second;
  }
  auto ids = std::make_unique<std::vector<std::uint32_t>>(dictionary_.search(test, fold));
  std::scoped_lock lock(mutex_);
  return *ids_.emplace(std::move(key), std::move(ids)).first->second;
}

Result<std::shared_ptr<const CompiledSelection>> compile(const Selection& selection) {
  return CompiledSelection::create(selection);
}

}  // namespace tocayo::logs
