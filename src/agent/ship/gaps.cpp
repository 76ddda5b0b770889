// SPDX-License-Identifier: Apache-2.0
#include "agent/ship/gaps.h"

#include <fmt/format.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "agent/ship/queue_files.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/text.h"

namespace tocayo::agent {
namespace {

constexpr std::size_t kMostTold = 16;  // waiting for an answer; more are not begun
constexpr std::chrono::seconds kTellEvery{60};

std::string line_of(const Gap& gap) {
  std::string body =
      fmt::format("gap1 {} {} {} {} {} {}", gap.id, gap.reason, gap.rows, gap.from, gap.to, int{gap.told});
  return fmt::format("{} {:08x}\n", body, crc32c(body));
}

}  // namespace

void GapBook::load() {
  auto text = read_file(path_, 1 << 20);
  if (!text) return;
  std::lock_guard lock(mutex_);
  for (std::string_view line : split(*text, '\n')) {
    auto space = line.rfind(' ');
    if (space == std::string_view::npos) continue;
    Gap gap;
    char id[65], reason[65];
    unsigned crc = 0;
    int told = 0;
    if (std::sscanf(std::string(line).c_str(), "gap1 %64s %64s %" SCNu64 " %" SCNd64 " %" SCNd64 " %d %x", id, reason,
                    &gap.rows, &gap.from, &gap.to, &told, &crc) != 7 ||
        crc != crc32c(line.substr(0, space))) {
      log::warn("agent", "skipped a damaged line of the gaps that were not yet told", {{"file", path_}});
      continue;
    }
    gap.id = id;
    gap.reason = reason;
    gap.told = told != 0;
    gaps_.push_back(std::move(gap));
  }
}

void GapBook::add(std::string_view reason, std::uint64_t rows, TimestampMs from, TimestampMs to) {
  if (rows == 0) return;
  std::lock_guard lock(mutex_);
  dirty_ = true;
  auto open =
      std::find_if(gaps_.begin(), gaps_.end(), [&](const Gap& gap) { return !gap.told && gap.reason == reason; });
  if (open != gaps_.end()) {
    open->from = std::min(open->from, from);
    open->to = std::max(open->to, to);
    open->rows += rows;
    return;
  }
  gaps_.push_back({to_hex(random_bytes(8)), std::string(reason), rows, from, to, false});
}

std::vector<Gap> GapBook::due(Steady::time_point now) {
  std::lock_guard lock(mutex_);
  std::vector<Gap> list;
  std::copy_if(gaps_.begin(), gaps_.end(), std::back_inserter(list), [](const Gap& gap) { return gap.told; });
  for (Gap& gap : gaps_) {
    if (gap.told || list.size() >= kMostTold) continue;
    auto last =
        std::find_if(last_told_.begin(), last_told_.end(), [&](auto& entry) { return entry.first == gap.reason; });
    if (last != last_told_.end() && now - last->second < kTellEvery) continue;
    if (last == last_told_.end())
      last_told_.emplace_back(gap.reason, now);
    else
      last->second = now;
    gap.told = true;
    dirty_ = true;
    list.push_back(gap);
  }
  return list;
}

void GapBook::recorded(std::span<const std::string> ids) {
  std::lock_guard lock(mutex_);
  if (std::erase_if(gaps_, [&](const Gap& gap) { return std::find(ids.begin(), ids.end(), gap.id) != ids.end(); }) > 0)
    dirty_ = true;
}

Result<> GapBook::save() {
  std::lock_guard lock(mutex_);
  if (!dirty_) return {};
  std::string text;
  for (const Gap& gap : gaps_) text += line_of(gap);
  TRY(replace_file(path_, text, false));
  dirty_ = false;
  return {};
}

std::size_t GapBook::size() const {
  std::lock_guard lock(mutex_);
  return gaps_.size();
}

std::string gap_header(const Gap& gap, std::string_view signal, std::string_view host) {
  std::string word(host.substr(0, 255));
  for (char& c : word) {
    if (c <= ' ' || c >= 0x7f || c == ';') c = '_';
  }
  if (word.empty()) word = "unknown";
  return fmt::format("id={}; signal={}; reason={}; rows={}; from={}; to={}; host={}", gap.id, signal, gap.reason,
                     gap.rows, gap.from, gap.to, word);
}

}  // namespace tocayo::agent
