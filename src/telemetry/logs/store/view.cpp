// SPDX-License-Identifier: Apache-2.0
#include "logs/store/view.h"

#include <limits>
#include <set>

#include "core/hash.h"
#include "core/log.h"
#include "core/registry.h"
#include "logs/head/label_bytes.h"

namespace tocayo::logs {

SegmentEntry::~SegmentEntry() {
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
      for (const Label& label : stream.labels) found.insert(label.name);
    } else if (const std::string_view value = stream.labels.get(name); !value.empty()) {
      found.insert(value);
    }
  }
  texts = std::make_shared<const std::vector<std::string>>(found.begin(), found.end());
  return texts;
}

Result<std::shared_ptr<const OpenSegment>> SegmentEntry::open() const {
  std::lock_guard lock(mutex_);
  if (open_) return open_;
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
  open_ = std::move(opened);
  return open_;
}

bool retention_set(const TenantLimits& limits) {
  return limits.retention_period.count() > 0 || !limits.retention_stream.empty();
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
