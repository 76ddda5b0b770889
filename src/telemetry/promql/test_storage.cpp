// SPDX-License-Identifier: Apache-2.0
#include "promql/test_storage.h"

#include <algorithm>
#include <set>

namespace tocayo::promql::testing {
namespace {

// Whether a store that keeps histograms in chunks of one layout without resets would begin a new chunk for `next`.
bool begins_chunk(const metrics::FloatHistogram& before, const metrics::FloatHistogram& next) {
  using metrics::ResetHint;
  if (next.hint == ResetHint::reset || before.hint == ResetHint::gauge) return true;
  if (metrics::is_stale(next.sum)) return false;
  if (metrics::is_stale(before.sum)) return true;
  if (next.schema != before.schema || next.zero_threshold != before.zero_threshold ||
      next.custom_values != before.custom_values)
    return true;
  metrics::FloatHistogram without_hint = next;
  without_hint.hint = ResetHint::unknown;
  return without_hint.detect_reset(before);
}

// Prometheus tells of a stored histogram only what its chunk proves: a gauge stays one; the first of a chunk may or may
// not follow a reset; all others do not. The conformance files expect these hints.
void set_hints(TestStorage::Points& points) {
  const metrics::FloatHistogram* before = nullptr;
  for (auto& [time, point] : points) {
    if (!point.histogram) {
      before = nullptr;
      continue;
    }
    const metrics::FloatHistogram& histogram = *point.original;
    auto hint = metrics::ResetHint::not_reset;
    if (histogram.hint == metrics::ResetHint::gauge)
      hint = metrics::ResetHint::gauge;
    else if (!before || begins_chunk(*before, histogram))
      hint = metrics::ResetHint::unknown;
    if (point.histogram->hint != hint) {
      auto changed = std::make_shared<metrics::FloatHistogram>(histogram);
      changed->hint = hint;
      point.histogram = std::move(changed);
    }
    before = &histogram;
  }
}

class Chosen final : public metrics::SeriesSet {
 public:
  struct Entry {
    Labels labels;
    std::shared_ptr<const TestStorage::Points> points;
  };
  Chosen(std::vector<Entry> entries, TimestampMs start, TimestampMs end)
      : entries_(std::move(entries)), start_(start), end_(end) {}

  std::size_t size() const override { return entries_.size(); }
  const Labels& labels(std::size_t index) const override { return entries_[index].labels; }

  Result<> read(std::size_t index, metrics::SampleColumns& out) const override {
    out.clear();
    const TestStorage::Points& points = *entries_[index].points;
    bool floats_started = false, histograms_started = false;
    for (auto it = points.lower_bound(start_); it != points.end() && it->first <= end_; ++it) {
      const TestStorage::Stored& point = it->second;
      if (point.histogram) {
        out.histogram_times.push_back(point.time);
        out.histograms.push_back(point.histogram);
        out.histogram_start_times.push_back(point.start_time);
        histograms_started = histograms_started || point.start_time != 0;
      } else {
        out.times.push_back(point.time);
        out.values.push_back(point.value);
        out.start_times.push_back(point.start_time);
        floats_started = floats_started || point.start_time != 0;
      }
    }
    if (!floats_started) out.start_times.clear();
    if (!histograms_started) out.histogram_start_times.clear();
    return {};
  }

 private:
  std::vector<Entry> entries_;
  TimestampMs start_, end_;
};

bool matches(const Labels& labels, std::span<const Matcher> matchers) {
  return std::all_of(matchers.begin(), matchers.end(),
                     [&](const Matcher& m) { return m.matches(labels.get(m.name())); });
}

bool matches_any(const Labels& labels, std::span<const std::vector<Matcher>> sets) {
  return sets.empty() ||
         std::any_of(sets.begin(), sets.end(), [&](const std::vector<Matcher>& set) { return matches(labels, set); });
}

bool has_points(const TestStorage::Points& points, TimestampMs start, TimestampMs end) {
  auto it = points.lower_bound(start);
  return it != points.end() && it->first <= end;
}

metrics::NameList listed(const std::set<std::string>& names, std::size_t limit) {
  metrics::NameList result;
  for (const std::string& name : names) {
    if (limit > 0 && result.names.size() == limit) {
      result.truncated = true;
      break;
    }
    result.names.push_back(name);
  }
  return result;
}

}  // namespace

void TestStorage::add(std::span<const TestSeries> series) {
  for (const TestSeries& one : series) {
    auto& stored = series_[one.labels];
    auto merged = stored ? std::make_shared<Points>(*stored) : std::make_shared<Points>();
    for (const TestPoint& point : one.points) (*merged)[point.time] = {point, point.histogram};
    set_hints(*merged);
    stored = std::move(merged);
  }
}

Result<std::unique_ptr<metrics::SeriesSet>> TestStorage::select(std::span<const Matcher> matchers,
                                                                const metrics::SelectHints& hints,
                                                                const Context& context) const {
  if (auto going_on = context.check(); !going_on) return std::unexpected(std::move(going_on.error()));
  std::vector<Chosen::Entry> entries;
  for (const auto& [labels, points] : series_) {
    if (hints.limit > 0 && entries.size() == hints.limit) break;
    if (!matches(labels, matchers) || !has_points(*points, hints.start, hints.end)) continue;
    entries.push_back({labels, points});
    if (hints.meter == nullptr) continue;
    const std::uint64_t hash = labels.hash();
    const auto chunks = (points->size() + metrics::kSamplesPerChunk - 1) / metrics::kSamplesPerChunk;
    auto fetched =
        hints.meter->fetch(std::span(&hash, 1), chunks, points->size() * sizeof(double), metrics::memory_bytes(labels));
    if (!fetched) return std::unexpected(std::move(fetched.error()));
  }
  return std::make_unique<Chosen>(std::move(entries), hints.start, hints.end);
}

Result<metrics::NameList> TestStorage::label_names(std::span<const std::vector<Matcher>> matcher_sets,
                                                   TimestampMs start, TimestampMs end, std::size_t limit,
                                                   const Context&) const {
  std::set<std::string> names;
  for (const auto& [labels, points] : series_) {
    if (!matches_any(labels, matcher_sets) || !has_points(*points, start, end)) continue;
    for (const Label& label : labels) names.insert(label.name);
  }
  return listed(names, limit);
}

Result<metrics::NameList> TestStorage::label_values(const std::string& name,
                                                    std::span<const std::vector<Matcher>> matcher_sets,
                                                    TimestampMs start, TimestampMs end, std::size_t limit,
                                                    const Context&) const {
  std::set<std::string> values;
  for (const auto& [labels, points] : series_) {
    if (!labels.has(name) || !matches_any(labels, matcher_sets) || !has_points(*points, start, end)) continue;
    values.emplace(labels.get(name));
  }
  return listed(values, limit);
}

}  // namespace tocayo::promql::testing
