// SPDX-License-Identifier: Apache-2.0
// From label pairs to series: posting lists per (name, value), and matchers evaluated on them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/labels.h"
#include "metrics/symbols.h"

namespace tocayo::metrics {

using SeriesId = std::uint32_t;

// Ascending ids; up to two inline. Append only.
class PostingList {
 public:
  PostingList() = default;
  PostingList(PostingList&& other) noexcept { take(other); }
  PostingList& operator=(PostingList&& other) noexcept {
    if (this != &other) {
      release();
      take(other);
    }
    return *this;
  }
  ~PostingList() { release(); }

  void push_back(SeriesId id);
  std::span<const SeriesId> ids() const { return {capacity_ == 0 ? inline_ : heap_, size_}; }
  std::size_t memory_bytes() const { return capacity_ * sizeof(SeriesId); }

 private:
  void take(PostingList& other) {
    std::memcpy(inline_, other.inline_, sizeof inline_);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
  }
  void release() {
    if (capacity_ != 0) delete[] heap_;
  }

  union {
    SeriesId inline_[2] = {0, 0};
    SeriesId* heap_;
  };
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 0;  // 0 = inline
};

// One head shard's postings. Writers need exclusive, readers shared access; the cache of regular expressions
// synchronises itself.
class LabelIndex {
 public:
  struct Value {
    Symbol symbol;
    PostingList postings;
  };
  struct Name {
    std::vector<Value> values;         // in order of arrival
    std::vector<std::uint32_t> table;  // value symbol → index into `values`, open addressing
    const Value* find(Symbol value) const;
  };

  // `pairs`: name, value, name, value … of the series; ids must come in ascending order.
  void add(SeriesId id, std::span<const Symbol> pairs);
  const Name* find(Symbol name) const;
  const std::unordered_map<Symbol, Name>& names() const { return names_; }

  // Ids that may match all matchers, ascending. `all` lists every live id, for selectors without a positive matcher.
  // Ids of removed series can be among them.
  template <typename All>
  std::vector<SeriesId> select(std::span<const Matcher> matchers, const SymbolTable& symbols, All&& all) const;

  // Takes the other's content; needs exclusive access.
  void replace(LabelIndex&& other);
  std::size_t memory_bytes() const;

 private:
  struct CachedMatch {
    std::size_t evaluated = 0;            // so many values of the name were tried
    std::vector<std::uint32_t> matching;  // indices into Name::values
  };
  // Values of the matcher's label that match (or, `negate`, do not).
  std::vector<std::uint32_t> matching_values(const Matcher& matcher, const Name& name, const SymbolTable& symbols,
                                             bool negate) const;
  std::vector<SeriesId> collect(const Matcher& matcher, const SymbolTable& symbols, bool negate) const;
  static void insert(Name& name, Symbol value, std::uint32_t index);

  std::unordered_map<Symbol, Name> names_;
  SeriesId max_id_ = 0;
  mutable std::mutex cache_mutex_;
  mutable std::map<std::string, CachedMatch> cache_;
};

// Sorted-set helpers.
void intersect_with(std::vector<SeriesId>& ids, std::span<const SeriesId> other);
void subtract_from(std::vector<SeriesId>& ids, std::span<const SeriesId> other);

template <typename All>
std::vector<SeriesId> LabelIndex::select(std::span<const Matcher> matchers, const SymbolTable& symbols,
                                         All&& all) const {
  std::vector<std::vector<SeriesId>> required, excluded;
  for (const Matcher& matcher : matchers) {
    if (matcher.matches_empty()) {
      if (matcher.type() == Matcher::Type::regex && matcher.value() == ".*") continue;
      excluded.push_back(collect(matcher, symbols, true));
    } else {
      required.push_back(collect(matcher, symbols, false));
      if (required.back().empty()) return {};
    }
  }
  std::vector<SeriesId> ids;
  if (required.empty()) {
    ids = all();
  } else {
    std::sort(required.begin(), required.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
    ids = std::move(required.front());
    for (std::size_t i = 1; i < required.size() && !ids.empty(); ++i) intersect_with(ids, required[i]);
  }
  for (const auto& list : excluded) subtract_from(ids, list);
  return ids;
}

}  // namespace tocayo::metrics
