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

std::size_t PatternTally::memory_bytes() const {
  constexpr std::size_t kNode = 64;  // of a map, about
  std::size_t bytes = sizeof *this;
  for (const auto& [key, entry] : entries_) {
    bytes += sizeof entry + kNode + 2 * key.size() + entry.samples.size() * kNode;
  }
  return bytes;
}

std::shared_ptr<const PatternTally> PatternCache::find(const Key& key) {
  std::lock_guard lock(mutex_);
  const auto found = kept_.find(key);
  if (found == kept_.end()) return nullptr;
  order_.splice(order_.begin(), order_, found->second.place);
  return found->second.tally;
}

void PatternCache::keep(const Key& key, std::shared_ptr<const PatternTally> tally) {
  constexpr std::size_t kEntry = sizeof(Key) * 2 + sizeof(Kept) + 96;
  const std::size_t bytes = tally->memory_bytes() + kEntry;
  if (bytes > limit_ / 16) return;
  std::lock_guard lock(mutex_);
  auto [at, fresh] = kept_.try_emplace(key);
  if (!fresh) return;
  order_.push_front(key);
  at->second = {std::move(tally), order_.begin(), bytes};
  bytes_ += bytes;
  while (bytes_ > limit_) {
    const auto oldest = kept_.find(order_.back());
    bytes_ -= oldest->second.bytes;
    kept_.erase(oldest);
    order_.pop_back();
  }
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
