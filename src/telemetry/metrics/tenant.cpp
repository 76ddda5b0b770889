// SPDX-License-Identifier: Apache-2.0
#include "metrics/tenant.h"

#include <algorithm>

namespace tocayo::metrics {

Tenant::Tenant(std::string tenant_name, std::uint32_t number, std::size_t shard_count)
    : name(std::move(tenant_name)), ordinal(number) {
  for (std::size_t i = 0; i < shard_count; ++i) shards.push_back(std::make_unique<HeadShard>());
}

Tenant::Apply Tenant::begin_apply() {
  gate_.enter();
  return {sequence_.fetch_add(1) + 1, reader_count_.load() > 0};
}

std::uint64_t Tenant::begin_read() {
  return gate_.exclusive([this] {
    const std::uint64_t sequence = sequence_.load();
    std::lock_guard lock(readers_mutex_);
    ++readers_[sequence];
    ++reader_count_;
    return sequence;
  });
}

void Tenant::end_read(std::uint64_t sequence) {
  std::lock_guard lock(readers_mutex_);
  auto found = readers_.find(sequence);
  if (--found->second == 0) readers_.erase(found);
  --reader_count_;
}

std::shared_ptr<const SegmentList> Tenant::segments() const {
  std::lock_guard lock(segments_mutex_);
  return segments_;
}

void Tenant::publish(SegmentEntry entry) {
  std::lock_guard lock(segments_mutex_);
  auto next = std::make_shared<SegmentList>(*segments_);
  auto place = std::upper_bound(next->begin(), next->end(), entry.sequence,
                                [](std::uint64_t sequence, const SegmentEntry& e) { return sequence < e.sequence; });
  next->insert(place, std::move(entry));
  segments_ = std::move(next);
}

std::size_t Tenant::series_of_metric(std::string_view metric) const {
  std::lock_guard lock(metrics_mutex_);
  auto found = metric_series_.find(metric);
  return found == metric_series_.end() ? 0 : found->second;
}

void Tenant::count_series(std::string_view metric, int change) {
  series_count_.fetch_add(static_cast<std::size_t>(change), std::memory_order_relaxed);
  std::lock_guard lock(metrics_mutex_);
  auto found = metric_series_.find(metric);
  if (found == metric_series_.end()) found = metric_series_.emplace(std::string(metric), 0).first;
  found->second += static_cast<std::size_t>(change);
  if (found->second == 0) metric_series_.erase(found);
}

}  // namespace tocayo::metrics
