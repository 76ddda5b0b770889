// SPDX-License-Identifier: Apache-2.0
#include "logs/api/push_rows.h"

#include <algorithm>

#include "logs/api/level_detect.h"

namespace tocayo::logs::api {

void PushRows::clear() {
  streams_.clear();
  entries_.clear();
  ranges_.clear();
  raw_.clear();
  pairs_.clear();
  starts_.clear();
  shared_.clear();
  pending_ = 0;
  kept_.clear();
  line_bytes_ = metadata_bytes_ = 0;
}

std::string_view PushRows::keep(std::string bytes) {
  kept_.push_back(std::move(bytes));
  return kept_.back();
}

void PushRows::start_stream(std::string_view text) {
  streams_.push_back({.text = text, .labels = {}, .first = entries_.size(), .count = 0});
}
void PushRows::start_stream(Labels labels) {
  streams_.push_back({.text = {}, .labels = std::move(labels), .first = entries_.size(), .count = 0});
}

void PushRows::add_metadata(std::string_view name, std::string_view value) {
  raw_.push_back({name, value});
  ++pending_;
}

void PushRows::add_entry(TimestampNs time, std::string_view line) {
  raw_.insert(raw_.end(), shared_.begin(), shared_.end());
  pending_ += shared_.size();
  entries_.push_back({.time = time, .line = line, .metadata = {}});
  ranges_.push_back(
      {.first = static_cast<std::uint32_t>(raw_.size() - pending_), .count = static_cast<std::uint32_t>(pending_)});
  pending_ = 0;
  line_bytes_ += line.size();
  ++streams_.back().count;
}

void PushRows::settle(std::size_t row, bool detect, std::string_view stream_level) {
  const auto range = ranges_[row];
  const auto begin = pairs_.size();
  starts_.push_back(begin);
  bool has_level = false;
  for (std::size_t i = range.first; i < range.first + range.count; ++i) {
    if (raw_[i].value.empty() || raw_[i].name.empty()) continue;
    auto pair = raw_[i];
    if (pair.name == kDetectedLevel && detect) {
      has_level = true;
      pair.value = normalized_level(pair.value);
    }
    pairs_.push_back(pair);
  }
  if (detect && !has_level) {
    const auto level = stream_level.empty()
                           ? detect_level(std::span<const LabelView>(pairs_).subspan(begin), entries_[row].line)
                           : stream_level;
    if (!level.empty()) pairs_.push_back({kDetectedLevel, level});
  }
  const auto first = pairs_.begin() + static_cast<std::ptrdiff_t>(begin);
  if (pairs_.size() - begin > 1) {
    // Stable: of equal names the first stays. Most rows have few and in order already.
    const auto by_name = [](const LabelView& a, const LabelView& b) { return a.name < b.name; };
    if (pairs_.size() - begin > 32) {
      std::stable_sort(first, pairs_.end(), by_name);
    } else {
      for (auto at = first + 1; at != pairs_.end(); ++at) {
        std::rotate(std::upper_bound(first, at, *at, by_name), at, at + 1);
      }
    }
    pairs_.erase(
        std::unique(first, pairs_.end(), [](const LabelView& a, const LabelView& b) { return a.name == b.name; }),
        pairs_.end());
  }
  for (std::size_t i = begin; i < pairs_.size(); ++i) metadata_bytes_ += pairs_[i].name.size() + pairs_[i].value.size();
}

void PushRows::finish(bool detect, std::span<const std::string_view> level_of_stream) {
  for (std::size_t s = 0; s < streams_.size(); ++s) {
    const auto& stream = streams_[s];
    for (std::size_t row = stream.first; row < stream.first + stream.count; ++row) {
      settle(row, detect, s < level_of_stream.size() ? level_of_stream[s] : std::string_view());
    }
  }
  starts_.push_back(pairs_.size());
  for (std::size_t row = 0; row < entries_.size(); ++row) {
    entries_[row].metadata = std::span<const LabelView>(pairs_).subspan(starts_[row], starts_[row + 1] - starts_[row]);
  }
}

}  // namespace tocayo::logs::api
