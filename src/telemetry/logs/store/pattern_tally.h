// SPDX-License-Identifier: Apache-2.0
// Private to this room: how often each kind of line occurs, by step of time.
#pragma once

#include <compare>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/time.h"
#include "logs/segment/template_shape.h"
#include "logs/segment/tokenizer.h"

namespace tocayo::logs {

class PatternTally {
 public:
  struct Entry {
    std::string pattern;
    std::string level;
    std::uint64_t total = 0;
    std::map<TimestampNs, std::uint64_t> samples;  // by start of the step
    TimestampNs last_step = 0;
    std::uint64_t* last = nullptr;  // the sample of last_step
  };

  explicit PatternTally(TimestampNs step) : step_(step) {}
  TimestampNs step() const { return step_; }
  std::size_t memory_bytes() const;
  void add(std::string_view pattern, std::string_view level, TimestampNs time) {
    TimestampNs rest = time % step_;
    if (rest < 0) rest += step_;
    add_at(find(pattern, level), time - rest, 1);
  }
  void add(const PatternTally& other) {
    for (const auto& [key, entry] : other.entries_) {
      Entry& mine = find(entry.pattern, entry.level);
      for (const auto& [time, count] : entry.samples) add_at(mine, time, count);
    }
  }
  // Most frequent first; of equal ones in the order of pattern and level. At most `limit`, 0 = all.
  std::vector<const Entry*> sorted(std::size_t limit) const;

 private:
  static void add_at(Entry& entry, TimestampNs step, std::uint64_t count) {
    if (entry.last == nullptr || entry.last_step != step) {
      entry.last = &entry.samples[step];
      entry.last_step = step;
    }
    *entry.last += count;
    entry.total += count;
  }
  // Rows of one kind mostly come one after the other.
  Entry& find(std::string_view pattern, std::string_view level) {
    if (newest_ != nullptr && pattern == newest_->pattern && level == newest_->level) return *newest_;
    key_.assign(pattern);
    key_.push_back('\0');
    key_.append(level);
    auto [at, fresh] = entries_.try_emplace(key_);
    if (fresh) {
      at->second.pattern = pattern;
      at->second.level = level;
    }
    newest_ = &at->second;
    return *newest_;
  }

  TimestampNs step_;
  std::unordered_map<std::string, Entry> entries_;
  std::string key_;
  Entry* newest_ = nullptr;
};

// Tallies of row groups that never change, so that looking again costs only what is new. Thread-safe; forgets those not
// asked for longest.
class PatternCache {
 public:
  // Which rows of which row group, and by which step.
  struct Key {
    std::uint64_t group;
    std::uint64_t question;
    auto operator<=>(const Key&) const = default;
  };
  explicit PatternCache(std::size_t bytes) : limit_(bytes) {}
  std::shared_ptr<const PatternTally> find(const Key& key);
  void keep(const Key& key, std::shared_ptr<const PatternTally> tally);

 private:
  struct Kept {
    std::shared_ptr<const PatternTally> tally;
    std::list<Key>::iterator place;
    std::size_t bytes = 0;
  };
  const std::size_t limit_;
  std::mutex mutex_;
  std::size_t bytes_ = 0;
  std::list<Key> order_;  // last asked for first
  std::map<Key, Kept> kept_;
};

// The pattern of one line by itself: its template as the segment writer would begin with.
class LineTemplate {
 public:
  const std::string& of(std::string_view line);

 private:
  std::vector<Token> tokens_;
  std::string text_;
  std::unordered_map<std::string, std::string> patterns_;
};

}  // namespace tocayo::logs
