// SPDX-License-Identifier: Apache-2.0
#include "logs/store/pattern_tally.h"

#include <algorithm>
#include <tuple>

namespace tocayo::logs {

std::vector<const PatternTally::Entry*> PatternTally::sorted(std::size_t limit) const {
  std::vector<const Entry*> out;
  for (const auto& [key, entry] : entries_) out.push_back(&entry);
  std::ranges::sort(out, [](const Entry* a, const Entry* b) {
    return std::tie(b->total, a->pattern, a->level) < std::tie(a->total, b->pattern, b->level);
  });
  if (limit != 0 && out.size() > limit) out.resize(limit);
  return out;
}

const std::string& LineTemplate::of(std::string_view line) {
  tokenize(line, false, tokens_);
  text_.clear();
  std::uint32_t at = 0;
  for (const Token& token : tokens_) {
    text_ += line.substr(at, token.slot_begin - at);
    append_slot_mark(token.kind, text_);
    at = token.slot_end;
  }
  text_ += line.substr(at);
  auto [known, fresh] = patterns_.try_emplace(text_);
  if (fresh) {
    TemplateShape shape;
    // A line that holds the mark's byte itself stands for itself.
    known->second = line.find(kSlotMark) == std::string_view::npos && TemplateShape::read(text_, shape)
                        ? shape.pattern()
                        : std::string(line);
  }
  return known->second;
}

}  // namespace tocayo::logs
