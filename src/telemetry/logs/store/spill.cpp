// SPDX-License-Identifier: Apache-2.0
#include "logs/store/spill.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <deque>
#include <unordered_map>

#include "core/hash.h"
#include "logs/head/label_bytes.h"

namespace tocayo::logs {
namespace {

constexpr std::size_t kSetsBudget = 256 << 20;  // bytes of the process
constexpr TimestampMs kDayMs = 86'400'000;

std::string_view plain_name(std::string_view stored) { return stored.substr(1); }

std::string_view value_of(std::span<const LabelView> pairs, std::string_view name) {
  for (const LabelView& pair : pairs) {
    if (plain_name(pair.name) == name) return pair.value;
  }
  return {};
}

}  // namespace

std::size_t spilled_pairs(std::span<const LabelView> metadata) {
  std::size_t count = 0;
  while (count < metadata.size() && !metadata[count].name.empty() && metadata[count].name[0] == kReserved) ++count;
  return count;
}

SpilledStream::SpilledStream(std::string_view label_bytes) : seed_(hash64(label_bytes, 7)) {
  LabelCursor cursor(label_bytes);
  for (LabelView pair; cursor.next(pair);) {
    if (pair.name == kSpillMark) {
      std::string_view list = pair.value;
      while (!list.empty()) {
        list.remove_prefix(1);
        const std::size_t end = std::min(list.find(kReserved), list.size());
        names_.emplace_back(list.substr(0, end));
        list.remove_prefix(end);
      }
    } else {
      encode_labels(std::span<const LabelView>(&pair, 1), plain_);
    }
  }
}

bool SpilledStream::has(std::string_view name) const { return std::ranges::find(names_, name) != names_.end(); }

std::uint64_t SpilledStream::key(std::span<const LabelView> pairs) const {
  std::uint64_t key = seed_;
  for (const LabelView& pair : pairs) key = hash64(pair.value, hash64(pair.name, key));
  return key;
}

void SpilledStream::fold(std::span<const LabelView> pairs, std::string& out) const {
  LabelCursor cursor(plain_);
  LabelView own;
  bool more = cursor.next(own);
  for (const LabelView& stored : pairs) {
    const LabelView pair{plain_name(stored.name), stored.value};
    for (; more && own.name < pair.name; more = cursor.next(own)) encode_labels({&own, 1}, out);
    encode_labels({&pair, 1}, out);
  }
  for (; more; more = cursor.next(own)) encode_labels({&own, 1}, out);
}

bool SpilledStream::plain_matches(std::span<const Matcher> matchers) const {
  return std::all_of(matchers.begin(), matchers.end(), [&](const Matcher& matcher) {
    return has(matcher.name()) || matcher.matches(label_in(plain_, matcher.name()));
  });
}

bool SpilledStream::row_matches(std::span<const Matcher> matchers, std::span<const LabelView> pairs) const {
  return std::all_of(matchers.begin(), matchers.end(), [&](const Matcher& matcher) {
    return !has(matcher.name()) || matcher.matches(value_of(pairs, matcher.name()));
  });
}

std::pair<Labels, std::span<const LabelView>> as_pushed(const Labels& stored, std::span<const LabelView> metadata) {
  if (!is_spilled(stored)) return {stored, metadata};
  std::string bytes;
  encode_labels(stored, bytes);
  const std::size_t count = spilled_pairs(metadata);
  std::string pushed;
  SpilledStream(bytes).fold(metadata.first(count), pushed);
  return {decode_labels(pushed), metadata.subspan(count)};
}

std::string spilled_text(const Labels& stored) {
  if (!is_spilled(stored)) return stored.to_string(false);
  std::string bytes;
  encode_labels(stored, bytes);
  const SpilledStream spilled(bytes);
  std::string text = decode_labels(spilled.plain()).to_string(false) + " by";
  for (const std::string& name : spilled.names()) text += " " + name;
  return text;
}

bool spill(const Labels& labels, const Names& names, std::string& stream, std::string& row) {
  std::string mark;
  for (const Label& label : labels) {
    if (names.contains(label.name)) mark += kReserved + label.name;
  }
  if (mark.empty()) return false;
  const LabelView marked{kSpillMark, mark};
  encode_labels({&marked, 1}, stream);
  std::string name;
  for (const Label& label : labels) {
    if (names.contains(label.name)) {
      name = kReserved + label.name;
      const LabelView pair{name, label.value};
      encode_labels({&pair, 1}, row);
    } else {
      const LabelView pair{label.name, label.value};
      encode_labels({&pair, 1}, stream);
    }
  }
  return true;
}

void for_each_spilled(const HeadStream& rows, const SpilledStream& stream, TimestampNs start, TimestampNs end,
                      const SpilledVisit& visit) {
  struct Seen {
    std::string_view metadata;
    TimestampNs newest;
  };
  std::unordered_map<std::uint64_t, Seen> seen;
  Seen* last_seen = nullptr;  // elements stay where they are
  std::vector<LabelView> pairs;
  auto read_pairs = [&](std::string_view metadata) {
    pairs.clear();
    LabelCursor cursor(metadata);
    for (LabelView pair; cursor.next(pair) && !pair.name.empty() && pair.name[0] == kReserved;) pairs.push_back(pair);
  };
  const std::uint32_t size = rows.size();
  for (const Slab* slab = rows.first(); slab != nullptr && slab->first_row() < size; slab = slab->next()) {
    if (slab->max_time() < start || slab->min_time() >= end) continue;
    std::string_view last;
    const std::uint32_t count = std::min(slab->count(), size - slab->first_row());
    for (std::uint32_t row = 0; row < count; ++row) {
      if (slab->time(row) < start || slab->time(row) >= end) continue;
      const std::string_view bytes = slab->metadata(row);
      if (last_seen == nullptr || bytes.data() != last.data() || bytes.size() != last.size()) {
        last = bytes;
        read_pairs(bytes);
        last_seen = &seen.try_emplace(stream.key(pairs), Seen{bytes, slab->time(row)}).first->second;
      }
      last_seen->newest = std::max(last_seen->newest, slab->time(row));
    }
  }
  for (const auto& [key, set] : seen) {
    read_pairs(set.metadata);
    visit(pairs, key, set.newest);
  }
}

std::span<const LabelView> SpilledSets::pairs(const Set& set, std::vector<LabelView>& scratch) const {
  scratch.clear();
  LabelCursor cursor(std::string_view(bytes).substr(set.offset, set.size));
  for (LabelView pair; cursor.next(pair);) scratch.push_back(pair);
  return scratch;
}

void keep_spilled_sets(const std::shared_ptr<const SpilledSets>& sets) {
  static std::mutex mutex;
  static std::deque<std::shared_ptr<const SpilledSets>> kept;  // newest used first; shared with the queries using them
  static std::size_t total = 0;
  std::vector<std::shared_ptr<const SpilledSets>> dropped;  // freed without the lock
  std::lock_guard lock(mutex);
  if (auto known = std::ranges::find(kept, sets); known != kept.end()) {
    std::rotate(kept.begin(), known, known + 1);
    return;
  }
  kept.push_front(sets);
  total += sets->memory_bytes();
  while (total > kSetsBudget && kept.size() > 1) {
    total -= kept.back()->memory_bytes();
    dropped.push_back(std::move(kept.back()));
    kept.pop_back();
  }
}

void DistinctCount::add(std::string_view text) {
  const std::uint64_t hash = hash64(text, 11);
  std::uint8_t& rank = ranks_[hash >> 52];
  rank = std::max(rank, static_cast<std::uint8_t>(std::countl_zero(hash << 12 | 1U << 11) + 1));
}

std::uint64_t DistinctCount::estimate() const {
  constexpr double kSize = 4096;
  double sum = 0;
  double empty = 0;
  for (const std::uint8_t rank : ranks_) {
    sum += std::ldexp(1.0, -rank);
    if (rank == 0) ++empty;
  }
  const double raw = 0.7213 / (1 + 1.079 / kSize) * kSize * kSize / sum;
  return static_cast<std::uint64_t>(raw <= 2.5 * kSize && empty > 0 ? kSize * std::log(kSize / empty) : raw);
}

std::shared_ptr<const Names> SpillState::names() const {
  std::lock_guard lock(mutex_);
  return names_;
}

SpillState::Entry& SpillState::entry(std::string_view name) {
  auto found = entries_.find(name);
  if (found == entries_.end()) found = entries_.emplace(name, Entry()).first;
  return found->second;
}

bool SpillState::add(std::string_view name, TimestampMs since) {
  std::lock_guard lock(mutex_);
  if (names_ && names_->contains(name)) return false;
  auto next = std::make_shared<Names>(names_ ? *names_ : Names());
  next->emplace(name);
  names_ = std::move(next);
  entry(name).since = since;
  unsaved_.emplace_back(name, since);
  return true;
}

void SpillState::add_value(std::string_view name, std::string_view value, TimestampMs now) {
  std::lock_guard lock(mutex_);
  Entry& noted = entry(name);
  if (!noted.distinct) noted.distinct = std::make_unique<DistinctCount>();
  if (noted.day != now / kDayMs) noted.distinct->clear();
  noted.day = now / kDayMs;
  noted.distinct->add(value);
}

void SpillState::set_sender(std::string_view name, std::string_view sender) {
  std::lock_guard lock(mutex_);
  if (auto found = entries_.find(name); found != entries_.end()) found->second.sender.assign(sender);
}

std::map<std::string, SpillState::Note> SpillState::notes(TimestampMs now) const {
  std::lock_guard lock(mutex_);
  std::map<std::string, Note> out;
  for (const auto& [name, noted] : entries_) {
    const bool today = noted.day == now / kDayMs;
    out[name] = {noted.sender, today && noted.distinct ? noted.distinct->estimate() : 0, noted.since};
  }
  return out;
}

std::vector<std::pair<std::string, TimestampMs>> SpillState::take_unsaved() {
  std::lock_guard lock(mutex_);
  return std::exchange(unsaved_, {});
}

void SpillState::put_back(std::vector<std::pair<std::string, TimestampMs>> unsaved) {
  std::lock_guard lock(mutex_);
  unsaved_.insert(unsaved_.end(), unsaved.begin(), unsaved.end());
}

}  // namespace tocayo::logs
