// SPDX-License-Identifier: Apache-2.0
#include "logs/store/view.h"

#include <algorithm>
#include <limits>
#include <set>
#include <unordered_map>

#include "core/hash.h"
#include "core/log.h"
#include "core/registry.h"
#include "logs/head/label_bytes.h"

namespace tocayo::logs {

OpenSegments& OpenSegments::instance() {
  static auto& segments = *new OpenSegments;  // outlives every store
  return segments;
}

std::shared_ptr<const OpenSegment> OpenSegments::find(const SegmentEntry* entry) {
  std::lock_guard lock(mutex_);
  const auto at = places_.find(entry);
  if (at == places_.end()) return nullptr;
  kept_.splice(kept_.begin(), kept_, at->second);
  return at->second->segment;
}

void OpenSegments::keep(const SegmentEntry* entry, std::shared_ptr<const OpenSegment> segment) {
  constexpr std::size_t kStream = 320;  // labels, and what is known of a stream
  // The dictionary's pages stay unpacked as well.
  const std::size_t bytes =
      (256U << 10) + segment->reader->streams().size() * kStream + segment->reader->info().file_bytes / 16;
  std::vector<std::shared_ptr<const OpenSegment>> dropped;  // freed without the lock
  std::lock_guard lock(mutex_);
  if (places_.contains(entry)) return;
  kept_.push_front({entry, std::move(segment), bytes});
  places_.emplace(entry, kept_.begin());
  bytes_ += bytes;
  fit(dropped);
}

void OpenSegments::fit(std::vector<std::shared_ptr<const OpenSegment>>& dropped) {
  while (bytes_ > budget_ && !kept_.empty()) {
    Kept& last = kept_.back();
    bytes_ -= last.bytes;
    places_.erase(last.entry);
    dropped.push_back(std::move(last.segment));
    kept_.pop_back();
  }
}

void OpenSegments::forget(const SegmentEntry* entry) {
  std::shared_ptr<const OpenSegment> dropped;
  std::lock_guard lock(mutex_);
  const auto at = places_.find(entry);
  if (at == places_.end()) return;
  bytes_ -= at->second->bytes;
  dropped = std::move(at->second->segment);
  kept_.erase(at->second);
  places_.erase(at);
}

void OpenSegments::set_budget(std::size_t bytes) {
  std::vector<std::shared_ptr<const OpenSegment>> dropped;
  std::lock_guard lock(mutex_);
  budget_ = bytes;
  fit(dropped);
}

std::size_t OpenSegments::count() const {
  std::lock_guard lock(mutex_);
  return kept_.size();
}

SegmentEntry::~SegmentEntry() {
  OpenSegments::instance().forget(this);
  if (!retired_.load()) return;
  std::error_code error;
  std::filesystem::remove(file_, error);
  if (error) {
    log::warn("logs", "cannot remove a segment that is not needed any more",
              {{"file", file_.string()}, {"error", error.message()}});
  }
}

OpenSegment::Texts OpenSegment::gathered(const std::string& name, bool names) const {
  std::lock_guard lock(mutex_);
  Texts& texts = gathered_[{names, name}];
  if (texts) return texts;
  std::set<std::string_view> found;
  for (const SegmentStream& stream : reader->streams()) {
    if (names) {
      for (const Label& label : stream.labels) {
        if (label.name == kSpillMark) continue;
        found.insert(label.name);
      }
    } else if (const std::string_view value = stream.labels.get(name); !value.empty()) {
      found.insert(value);
    }
  }
  if (names && has_spilled()) {
    std::set<std::string> all(found.begin(), found.end());
    for (const SegmentStream& stream : reader->streams()) {
      if (!is_spilled(stream.labels)) break;
      std::string bytes;
      encode_labels(stream.labels, bytes);
      for (const std::string& spilled_name : SpilledStream(bytes).names()) all.insert(spilled_name);
    }
    texts = std::make_shared<const std::vector<std::string>>(all.begin(), all.end());
    return texts;
  }
  texts = std::make_shared<const std::vector<std::string>>(found.begin(), found.end());
  return texts;
}

std::shared_ptr<const SpilledSets> OpenSegment::known_spilled() const {
  std::shared_ptr<const SpilledSets> known;
  {
    std::lock_guard lock(mutex_);
    known = spilled_.lock();
  }
  if (known) keep_spilled_sets(known);
  return known;
}

Result<std::shared_ptr<const SpilledSets>> OpenSegment::spilled() const {
  if (!has_spilled()) return std::shared_ptr<const SpilledSets>();
  if (auto known = known_spilled()) return known;
  auto sets = std::make_shared<SpilledSets>();
  const auto streams = reader->streams();
  std::vector<std::uint32_t> map(streams.size(), SegmentReader::kSkipStream);
  std::uint32_t count = 0;
  std::string bytes;
  for (; count < streams.size() && is_spilled(streams[count].labels); ++count) {  // the mark comes before other labels
    map[count] = count;
    bytes.clear();
    encode_labels(streams[count].labels, bytes);
    sets->streams.emplace(count, SpilledStream(bytes));
  }
  Selection selection;
  selection.start = std::numeric_limits<TimestampNs>::min();
  selection.end = std::numeric_limits<TimestampNs>::max();
  selection.want_line = false;
  const auto compiled = TRY(compile(selection));
  std::unordered_map<std::uint64_t, std::size_t> by_key;
  const auto groups = reader->groups();
  for (std::uint32_t g = 0; g < groups.size() && groups[g].first_stream < count; ++g) {
    ScanStats stats;
    auto take = [&](std::span<const Row> rows) -> Result<bool> {
      for (const Row& row : rows) {
        const auto pairs = row.metadata.first(spilled_pairs(row.metadata));
        const std::uint64_t key = sets->streams.at(row.stream).key(pairs);
        auto [at, fresh] = by_key.try_emplace(key, sets->sets.size());
        if (!fresh) {
          SpilledSets::Set& set = sets->sets[at->second];
          set.min_time = std::min(set.min_time, row.time);
          set.max_time = std::max(set.max_time, row.time);
          continue;
        }
        const std::size_t offset = sets->bytes.size();
        encode_labels(pairs, sets->bytes);
        const auto size = static_cast<std::uint32_t>(sets->bytes.size() - offset);
        sets->sets.push_back({row.stream, size, offset, row.time, row.time, key});
      }
      return true;
    };
    // A damaged group is told of when its rows are read.
    auto done = reader->scan(g, *compiled, map, selection.start, selection.end, {}, take, stats);
    if (!done && done.error().kind != ErrorKind::internal) return std::unexpected(std::move(done.error()));
  }
  std::stable_sort(sets->sets.begin(), sets->sets.end(),
                   [](const auto& a, const auto& b) { return a.stream < b.stream; });
  keep_spilled_sets(sets);
  std::lock_guard lock(mutex_);
  spilled_ = sets;
  return sets;
}

Result<std::shared_ptr<const OpenSegment>> SegmentEntry::open() const {
  if (auto open = OpenSegments::instance().find(this)) return open;
  std::lock_guard lock(mutex_);
  if (auto open = OpenSegments::instance().find(this)) return open;  // by somebody else meanwhile
  if (damage_) return std::unexpected(*damage_);
  auto reader = SegmentReader::open(file_);
  if (!reader) {
    // Too many open files or no memory may pass; damage does not.
    if (reader.error().kind == ErrorKind::unavailable) return std::unexpected(std::move(reader.error()));
    damage_ = reader.error();
    exclude();
    Registry::global().counter("tocayo_logs_segments_quarantined_total", "Segments that could not be read.").add();
    log::error("logs", "a segment cannot be read and is left out of queries",
               {{"file", file_.string()}, {"tenant", record_.tenant}, {"error", *damage_}});
    return std::unexpected(*damage_);
  }
  auto opened = std::make_shared<OpenSegment>();
  opened->reader = std::move(*reader);
  std::string bytes;
  opened->hashes.reserve(opened->reader->streams().size());
  for (const SegmentStream& stream : opened->reader->streams()) {
    bytes.clear();
    encode_labels(stream.labels, bytes);
    opened->hashes.push_back(hash64(bytes));
  }
  OpenSegments::instance().keep(this, opened);
  return opened;
}

bool retention_set(const TenantLimits& limits) {
  return limits.retention_period.count() > 0 || !limits.retention_stream.empty();
}

TimestampNs longest_floor(const TenantLimits& limits, std::string_view label_bytes, TimestampNs now) {
  if (!is_spilled(label_bytes)) return retention_floor(limits, label_bytes, now);
  const SpilledStream spilled(label_bytes);
  auto longest = limits.retention_period;
  for (const RetentionRule& rule : limits.retention_stream) {
    if (longest.count() <= 0) break;
    if (spilled.plain_matches(rule.matchers))
      longest = rule.period.count() <= 0 ? rule.period : std::max(longest, rule.period);
  }
  if (longest.count() <= 0 || longest.count() > now / 1'000'000'000) return std::numeric_limits<TimestampNs>::min();
  return now - std::chrono::nanoseconds(longest).count();
}

TimestampNs retention_floor(const TenantLimits& limits, std::string_view label_bytes, TimestampNs now) {
  auto period = limits.retention_period;
  const RetentionRule* chosen = nullptr;
  for (const RetentionRule& rule : limits.retention_stream) {
    if (!matches_all(rule.matchers, label_bytes)) continue;
    if (chosen == nullptr || rule.priority > chosen->priority ||
        (rule.priority == chosen->priority && rule.period < chosen->period)) {
      chosen = &rule;
    }
  }
  if (chosen != nullptr) period = chosen->period;
  if (period.count() <= 0 || period.count() > now / 1'000'000'000) return std::numeric_limits<TimestampNs>::min();
  return now - std::chrono::nanoseconds(period).count();
}

}  // namespace tocayo::logs
