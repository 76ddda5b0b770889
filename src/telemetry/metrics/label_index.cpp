// SPDX-License-Identifier: Apache-2.0
#include "metrics/label_index.h"

#include <bit>

namespace tocayo::metrics {
namespace {
constexpr std::uint32_t kFree = UINT32_MAX;
constexpr std::size_t kMaxCached = 64;
std::size_t slot_of(Symbol symbol, std::size_t mask) { return (symbol * 0x9e3779b1U >> 7) & mask; }
}  // namespace

void PostingList::push_back(SeriesId id) {
  if (capacity_ == 0 && size_ < 2) {
    inline_[size_++] = id;
    if (size_ == 2 && inline_[0] > inline_[1]) std::swap(inline_[0], inline_[1]);
    return;
  }
  if (capacity_ == 0 || size_ == capacity_) {
    const std::uint32_t bigger = capacity_ == 0 ? 4 : capacity_ + std::max<std::uint32_t>(4, capacity_ / 4);
    auto* fresh = new SeriesId[bigger];
    std::memcpy(fresh, ids().data(), size_ * sizeof(SeriesId));
    release();
    heap_ = fresh;
    capacity_ = bigger;
  }
  heap_[size_++] = id;
  // Rare: a replay may define a series after a younger one.
  for (std::uint32_t i = size_ - 1; i > 0 && heap_[i - 1] > heap_[i]; --i) std::swap(heap_[i - 1], heap_[i]);
}

const LabelIndex::Value* LabelIndex::Name::find(Symbol value) const {
  if (table.empty()) return nullptr;
  const std::size_t mask = table.size() - 1;
  for (std::size_t at = slot_of(value, mask);; at = (at + 1) & mask) {
    if (table[at] == kFree) return nullptr;
    if (values[table[at]].symbol == value) return &values[table[at]];
  }
}

void LabelIndex::insert(Name& name, Symbol value, std::uint32_t index) {
  const std::size_t mask = name.table.size() - 1;
  std::size_t at = slot_of(value, mask);
  while (name.table[at] != kFree) at = (at + 1) & mask;
  name.table[at] = index;
}

void LabelIndex::add(SeriesId id, std::span<const Symbol> pairs) {
  max_id_ = std::max(max_id_, id);
  for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) {
    Name& name = names_[pairs[i]];
    const Symbol value = pairs[i + 1];
    if (const Value* known = name.find(value)) {
      const_cast<Value*>(known)->postings.push_back(id);
      continue;
    }
    const auto index = static_cast<std::uint32_t>(name.values.size());
    name.values.push_back({value, {}});
    name.values.back().postings.push_back(id);
    if (name.values.size() * 4 > name.table.size() * 3) {
      name.table.assign(std::max<std::size_t>(8, name.table.size() * 2), kFree);
      for (std::uint32_t v = 0; v < name.values.size(); ++v) insert(name, name.values[v].symbol, v);
    } else {
      insert(name, value, index);
    }
  }
}

const LabelIndex::Name* LabelIndex::find(Symbol name) const {
  auto found = names_.find(name);
  return found == names_.end() ? nullptr : &found->second;
}

std::vector<std::uint32_t> LabelIndex::matching_values(const Matcher& matcher, const Name& name,
                                                       const SymbolTable& symbols, bool negate) const {
  std::string key;
  key.push_back(negate ? '-' : '+');
  key += matcher.to_string();
  std::lock_guard lock(cache_mutex_);
  if (cache_.size() > kMaxCached && !cache_.contains(key)) cache_.clear();
  CachedMatch& cached = cache_[key];
  for (; cached.evaluated < name.values.size(); ++cached.evaluated) {
    if (matcher.matches(symbols.text(name.values[cached.evaluated].symbol)) != negate) {
      cached.matching.push_back(static_cast<std::uint32_t>(cached.evaluated));
    }
  }
  return cached.matching;
}

std::vector<SeriesId> LabelIndex::collect(const Matcher& matcher, const SymbolTable& symbols, bool negate) const {
  std::vector<SeriesId> ids;
  const Symbol name_symbol = symbols.find(matcher.name());
  const Name* name = name_symbol == kNoSymbol ? nullptr : find(name_symbol);
  if (name == nullptr) return ids;

  std::vector<const Value*> chosen;
  // The values that are named outright: of a positive matcher the chosen ones, of a negative (then `negate`) the
  // excluded ones.
  const bool direct = matcher.negative() == negate;
  auto choose = [&](std::string_view text) {
    const Symbol symbol = symbols.find(text);
    const Value* value = symbol == kNoSymbol ? nullptr : name->find(symbol);
    if (value != nullptr) chosen.push_back(value);
  };
  if (direct && (matcher.type() == Matcher::Type::equal || matcher.type() == Matcher::Type::not_equal)) {
    choose(matcher.value());
  } else if (direct && matcher.literals()) {
    for (const std::string& text : *matcher.literals()) choose(text);
    std::sort(chosen.begin(), chosen.end());
    chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  } else {
    for (std::uint32_t index : matching_values(matcher, *name, symbols, negate)) chosen.push_back(&name->values[index]);
  }
  if (chosen.size() == 1) {
    auto only = chosen[0]->postings.ids();
    ids.assign(only.begin(), only.end());
    return ids;
  }
  std::size_t total = 0;
  for (const Value* value : chosen) total += value->postings.ids().size();
  // A series has one value per name, so the lists are disjoint: order them through a bitmap, or sort when there are
  // few.
  if (total > max_id_ / 64) {
    std::vector<std::uint64_t> bitmap(max_id_ / 64 + 1);
    for (const Value* value : chosen) {
      for (SeriesId id : value->postings.ids()) bitmap[id / 64] |= 1ULL << (id % 64);
    }
    ids.reserve(total);
    for (std::size_t word = 0; word < bitmap.size(); ++word) {
      for (std::uint64_t bits = bitmap[word]; bits != 0; bits &= bits - 1) {
        ids.push_back(static_cast<SeriesId>(word * 64 + static_cast<unsigned>(std::countr_zero(bits))));
      }
    }
  } else {
    ids.reserve(total);
    for (const Value* value : chosen) {
      auto list = value->postings.ids();
      ids.insert(ids.end(), list.begin(), list.end());
    }
    std::sort(ids.begin(), ids.end());
  }
  return ids;
}

void LabelIndex::replace(LabelIndex&& other) {
  names_ = std::move(other.names_);
  max_id_ = other.max_id_;
  std::lock_guard lock(cache_mutex_);
  cache_.clear();
}

std::size_t LabelIndex::memory_bytes() const {
  std::size_t total = 0;
  for (const auto& [symbol, name] : names_) {
    total += sizeof(name) + 32 + name.values.capacity() * sizeof(Value) + name.table.capacity() * sizeof(std::uint32_t);
    for (const Value& value : name.values) {
      if (value.postings.memory_bytes() > 0) total += value.postings.memory_bytes() + 16;
    }
  }
  return total;
}

void intersect_with(std::vector<SeriesId>& ids, std::span<const SeriesId> other) {
  auto keep = ids.begin();
  auto from = other.begin();
  const bool gallop = other.size() / 16 > ids.size();
  for (SeriesId id : ids) {
    if (gallop) {
      from = std::lower_bound(from, other.end(), id);
    } else {
      while (from != other.end() && *from < id) ++from;
    }
    if (from == other.end()) break;
    if (*from == id) *keep++ = id;
  }
  ids.erase(keep, ids.end());
}

void subtract_from(std::vector<SeriesId>& ids, std::span<const SeriesId> other) {
  auto keep = ids.begin();
  auto from = other.begin();
  for (SeriesId id : ids) {
    while (from != other.end() && *from < id) ++from;
    if (from == other.end() || *from != id) *keep++ = id;
  }
  ids.erase(keep, ids.end());
}

}  // namespace tocayo::metrics
