// SPDX-License-Identifier: Apache-2.0
// What is known about the lines of a "name value" file, by name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tocayo::agent {

// Lines come in the same order every time: the entry that followed last time is tried first.
template <typename Entry>
class LineTable {
 public:
  void rewind() { next_ = 0; }

  template <typename Make>
  Entry& find(std::string_view key, Make make) {
    if (next_ < entries_.size() && entries_[next_].key == key) return entries_[next_++].entry;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i].key == key) {
        next_ = i + 1;
        return entries_[i].entry;
      }
    }
    entries_.push_back({std::string(key), make()});
    next_ = entries_.size();
    return entries_.back().entry;
  }
  // A mangled file must not declare families for ever.
  bool full() const { return entries_.size() >= 1024; }

 private:
  struct Row {
    std::string key;
    Entry entry;
  };
  std::vector<Row> entries_;
  std::size_t next_ = 0;
};

}  // namespace tocayo::agent
