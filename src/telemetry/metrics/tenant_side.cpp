// SPDX-License-Identifier: Apache-2.0
#include "metrics/tenant_side.h"

#include <algorithm>
#include <bit>

namespace tocayo::metrics {
namespace {

std::size_t bytes_of(const ExemplarRow& row) {
  std::size_t total = sizeof row + sizeof(void*);
  for (const Label& label : row.labels) total += sizeof label + (label.value.size() > 15 ? label.value.size() + 16 : 0);
  return total;
}

bool same_exemplar(const ExemplarRow& a, const ExemplarRow& b) {
  return a.time == b.time && std::bit_cast<std::uint64_t>(a.value) == std::bit_cast<std::uint64_t>(b.value) &&
         a.labels == b.labels;
}
bool same_metadata(const MetadataRow& a, const MetadataRow& b) {
  return a.type == b.type && a.help == b.help && a.unit == b.unit;
}

bool matches_all(const Labels& labels, const std::vector<Matcher>& matchers) {
  return std::all_of(matchers.begin(), matchers.end(),
                     [&](const Matcher& m) { return m.matches(labels.get(m.name())); });
}

}  // namespace

ExemplarStore::Outcome ExemplarStore::add(const Labels& series, const ExemplarRow& row, std::size_t limit) {
  if (limit == 0) return Outcome::disabled;
  std::lock_guard lock(mutex_);
  auto found = series_.find(series);
  if (found != series_.end() && !found->second.empty()) {
    const ExemplarRow& newest = found->second.back();
    if (same_exemplar(newest, row)) return Outcome::duplicate;
    if (row.time < newest.time) {
      // A retry of what is here already is no error.
      const bool known =
          std::any_of(found->second.begin(), found->second.end(), [&](const auto& e) { return same_exemplar(e, row); });
      return known ? Outcome::duplicate : Outcome::out_of_order;
    }
  }
  if (found == series_.end()) found = series_.try_emplace(series).first;
  found->second.push_back(row);
  order_.push_back(&*found);
  bytes_ += bytes_of(row);
  while (order_.size() > limit) {
    const auto* oldest = order_.front();
    order_.pop_front();
    auto& rows = const_cast<std::deque<ExemplarRow>&>(oldest->second);
    bytes_ -= bytes_of(rows.front());
    rows.pop_front();
    if (rows.empty()) series_.erase(series_.find(oldest->first));
  }
  return Outcome::added;
}

std::vector<ExemplarSeries> ExemplarStore::select(std::span<const std::vector<Matcher>> sets, TimestampMs start,
                                                  TimestampMs end) const {
  std::vector<ExemplarSeries> result;
  std::lock_guard lock(mutex_);
  for (const auto& [labels, rows] : series_) {
    if (!std::any_of(sets.begin(), sets.end(), [&](const auto& set) { return matches_all(labels, set); })) continue;
    ExemplarSeries chosen{labels, {}};
    for (const ExemplarRow& row : rows) {
      if (row.time >= start && row.time <= end) chosen.exemplars.push_back(row);
    }
    if (!chosen.exemplars.empty()) result.push_back(std::move(chosen));
  }
  std::sort(result.begin(), result.end(), [](const auto& a, const auto& b) { return a.labels < b.labels; });
  return result;
}

std::vector<ExemplarSeries> ExemplarStore::all() const {
  std::vector<ExemplarSeries> result;
  std::lock_guard lock(mutex_);
  for (const auto& [labels, rows] : series_) result.push_back({labels, {rows.begin(), rows.end()}});
  return result;
}

std::size_t ExemplarStore::memory_bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_ + series_.size() * 1024;  // a deque holds at least one block of 512 bytes, and there are the labels
}

bool MetadataStore::knows(const MetadataRow& row) const {
  std::lock_guard lock(mutex_);
  auto found = metrics_.find(row.metric);
  return found != metrics_.end() && same_metadata(found->second.front(), row);
}

MetadataStore::Outcome MetadataStore::add(const MetadataRow& row, std::size_t max_metrics, std::size_t max_per_metric) {
  const std::size_t most = max_per_metric == 0 ? kMaxPerMetric : std::min(max_per_metric, kMaxPerMetric);
  std::lock_guard lock(mutex_);
  auto found = metrics_.find(row.metric);
  if (found == metrics_.end()) {
    if (max_metrics != 0 && metrics_.size() >= max_metrics) return Outcome::too_many_metrics;
    metrics_.emplace(row.metric, std::vector{row});
    return Outcome::added;
  }
  auto& rows = found->second;
  auto same = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return same_metadata(r, row); });
  if (same != rows.end()) {
    std::rotate(rows.begin(), same, same + 1);
    return Outcome::known;
  }
  if (rows.size() >= most) {
    if (max_per_metric != 0) return Outcome::too_many_for_metric;
    rows.pop_back();
  }
  rows.insert(rows.begin(), row);
  return Outcome::added;
}

std::vector<MetadataRow> MetadataStore::rows(std::string_view metric, std::size_t limit,
                                             std::size_t limit_per_metric) const {
  std::vector<MetadataRow> result;
  std::lock_guard lock(mutex_);
  auto take = [&](const std::vector<MetadataRow>& rows) {
    const std::size_t count = limit_per_metric == 0 ? rows.size() : std::min(limit_per_metric, rows.size());
    result.insert(result.end(), rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count));
  };
  if (!metric.empty()) {
    auto found = metrics_.find(metric);
    if (found != metrics_.end()) take(found->second);
    return result;
  }
  std::size_t metrics = 0;
  for (const auto& [name, rows] : metrics_) {
    if (limit != 0 && metrics++ == limit) break;
    take(rows);
  }
  return result;
}

}  // namespace tocayo::metrics
