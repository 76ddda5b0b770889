// SPDX-License-Identifier: Apache-2.0
#include "metrics/store_encode.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace tocayo::metrics {
namespace {

bool same_bits(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

const std::shared_ptr<const FloatHistogram>& stale_histogram() {
  static const std::shared_ptr<const FloatHistogram> marker = [] {
    auto h = std::make_shared<FloatHistogram>();
    h->sum = kStaleNaN;
    return h;
  }();
  return marker;
}

// Any 64-bit time may come in; a calendar only has years 1 to 9999.
std::string time_text(TimestampMs time) {
  constexpr TimestampMs kYear1 = -62'135'596'800'000;
  constexpr TimestampMs kYear10000 = 253'402'300'800'000;
  return time >= kYear1 && time < kYear10000 ? format_rfc3339(time) : fmt::format("{} ms", time);
}

Error sample_error(std::string_view what, std::string_view id, TimestampMs time, const std::string& series) {
  return Error{
      ErrorKind::bad_input,
      fmt::format("the sample has been rejected because {} (err-mimir-{}). The affected sample has timestamp {} and is "
                  "from series {}",
                  what, id, time_text(time), series)};
}

}  // namespace

Error limit_error(std::string text, std::string_view id, std::string_view key) {
  return Error{ErrorKind::limit,
               fmt::format("{} (err-mimir-{}). To adjust the limit, configure limits.{}", text, id, key)};
}

void StoreImpl::Encoding::series_rows(std::uint32_t index) {
  SeriesRows& rows = request_.batch.series[index];
  const std::size_t unresolved = request_.result.unresolved.size();
  Series* series = resolve(index);
  if (series == nullptr) {
    if (rows.labels == nullptr && unresolved == request_.result.unresolved.size())
      request_.result.unresolved.push_back(index);
    return;
  }
  rows.ref = store_.ref_of(tenant_, part_.shard, series->id);
  for (const FloatRow& row : rows.floats) float_row(*series, row);
  for (const HistogramRow& row : rows.histograms) {
    if (row.histogram) histogram_row(*series, HistRow{row.time, row.start_time, row.integer, row.histogram});
  }
  for (const ExemplarRow& row : rows.exemplars) exemplar_row(*series, row);
}

Series* StoreImpl::Encoding::resolve(std::uint32_t index) {
  SeriesRows& rows = request_.batch.series[index];
  if (rows.ref != 0) {
    Series* series = head_.find(static_cast<SeriesId>(rows.ref));
    if (series != nullptr) return series;
    rows.ref = 0;
    if (!labels_known(request_, index)) return nullptr;
  }
  const std::uint64_t hash = series_hash(*rows.labels, scratch_);
  Series* series = head_.find(hash, *rows.labels);
  return series != nullptr ? series : create(hash, rows);
}

// A series is made for rows that will be stored; for others the refusal is counted and nothing made.
Series* StoreImpl::Encoding::create(std::uint64_t hash, const SeriesRows& rows) {
  const std::size_t samples = rows.floats.size() + rows.histograms.size();
  if (samples == 0) return nullptr;
  const Labels& labels = *rows.labels;
  bool useful = false;
  for (const FloatRow& row : rows.floats) useful = useful || check_time(row.time) == TimeCheck::ok;
  for (const HistogramRow& row : rows.histograms) useful = useful || check_time(row.time) == TimeCheck::ok;
  if (!useful) {
    for (const FloatRow& row : rows.floats)
      reject_time(check_time(row.time), row.time, [&] { return labels.to_string(); });
    for (const HistogramRow& row : rows.histograms)
      reject_time(check_time(row.time), row.time, [&] { return labels.to_string(); });
    return nullptr;
  }
  const StoreLimits& limits = request_.limits;
  if (store_.pressure_.load(std::memory_order_relaxed) > 0.9) {
    store_.reject(request_.result, "memory_guard", samples, [&] {
      return Error{ErrorKind::unavailable,
                   fmt::format("no new series are accepted while memory is nearly used up, for example {}; "
                               "raise memory.limit",
                               labels.to_string())};
    });
    return nullptr;
  }
  if (limits.max_global_series_per_user != 0 && tenant_.series_count() >= limits.max_global_series_per_user) {
    store_.reject(request_.result, "max_series_per_user", samples, [&] {
      return limit_error(fmt::format("per-user series limit of {} exceeded, for example by series {}",
                                     limits.max_global_series_per_user, labels.to_string()),
                         "max-series-per-user", "max_global_series_per_user");
    });
    return nullptr;
  }
  const std::string_view metric = labels.get(kMetricName);
  if (limits.max_global_series_per_metric != 0 &&
      tenant_.series_of_metric(metric) >= limits.max_global_series_per_metric) {
    store_.reject(request_.result, "max_series_per_metric", samples, [&] {
      return limit_error(fmt::format("per-metric series limit of {} exceeded, for example by series {}",
                                     limits.max_global_series_per_metric, labels.to_string()),
                         "max-series-per-metric", "max_global_series_per_metric");
    });
    return nullptr;
  }
  Series& series = head_.create(hash, labels);
  tenant_.count_series(metric, 1);
  store_.metrics_.created.add();
  store_.metrics_.prometheus_created.add();
  // One that left memory goes on where it was: duplicates and late rows are judged by what is sealed.
  const TimestampMs sealed = store_.newest_sealed(tenant_, labels, request_.limits);
  if (sealed != kMinTime) {
    series.last_time = series.applied_time = sealed;
    if (auto newest = store_.find_sealed(tenant_, head_, series, sealed)) {
      series.last_value = newest->value;
      series.last_is_histogram = newest->histogram != nullptr;
      if (newest->histogram) head_.extra_of(series).newest_histogram = std::move(newest->histogram);
    }
  }
  ++series.pending;
  part_.defined.push_back(&series);
  encoder_.series(series.id, labels);
  return &series;
}

// A series whose definition did not get into the journal (its request failed, or is still under way) is defined again.
void StoreImpl::Encoding::define(Series& series) {
  if (series.logged) [[likely]]
    return;
  if (std::find(part_.defined.begin(), part_.defined.end(), &series) != part_.defined.end()) return;
  ++series.pending;
  part_.defined.push_back(&series);
  encoder_.series(series.id, head_.labels_of(series));
}

StoreImpl::Encoding::TimeCheck StoreImpl::Encoding::check_time(TimestampMs time) const {
  const StoreLimits& limits = request_.limits;
  if (limits.creation_grace_period.count() > 0 && time > request_.now + limits.creation_grace_period.count()) {
    return TimeCheck::future;
  }
  // As Mimir counts: late rows are not of the past.
  if (limits.past_grace_period.count() > 0 &&
      time < request_.now - limits.past_grace_period.count() - limits.out_of_order_time_window.count()) {
    return TimeCheck::past;
  }
  const TimestampMs newest = tenant_.max_time.load(std::memory_order_relaxed);
  const auto window =
      std::max<std::int64_t>(limits.out_of_order_time_window.count(), store_.options_.head_window.count() / 2);
  if (newest != kMinTime &&
      time<newest&& static_cast<std::uint64_t>(newest) - static_cast<std::uint64_t>(time)> static_cast<std::uint64_t>(
          window)) {
    return TimeCheck::too_old;
  }
  return TimeCheck::ok;
}

bool StoreImpl::Encoding::out_of_order_allowed(TimestampMs time) const {
  const std::int64_t window = request_.limits.out_of_order_time_window.count();
  const TimestampMs newest = tenant_.max_time.load(std::memory_order_relaxed);
  return window > 0 && (time >= newest || static_cast<std::uint64_t>(newest) - static_cast<std::uint64_t>(time) <=
                                              static_cast<std::uint64_t>(window));
}

void StoreImpl::Encoding::reject_time(TimeCheck check, TimestampMs time, const std::function<std::string()>& series) {
  switch (check) {
    case TimeCheck::ok: return;
    case TimeCheck::future:
      return store_.reject(request_.result, "too_far_in_future", 1, [&] {
        return Error{
            ErrorKind::bad_input,
            fmt::format("received a sample whose timestamp is too far in the future, timestamp: {} series: {} "
                        "(err-mimir-too-far-in-future). To adjust the limit, configure limits.creation_grace_period",
                        time_text(time), series())};
      });
    case TimeCheck::past:
      return store_.reject(request_.result, "too_far_in_past", 1, [&] {
        return Error{ErrorKind::bad_input,
                     fmt::format("received a sample whose timestamp is too far in the past, timestamp: {} series: {} "
                                 "(err-mimir-too-far-in-past). To adjust the limit, configure limits.past_grace_period",
                                 time_text(time), series())};
      });
    case TimeCheck::too_old:
      return store_.reject(request_.result, "sample_timestamp_too_old", 1, [&] {
        Error error = sample_error("its timestamp is too old", "sample-timestamp-too-old", time, series());
        error.message +=
            fmt::format("; samples may be up to {} behind the newest one (limits.out_of_order_time_window)",
                        format_duration(request_.limits.out_of_order_time_window));
        return error;
      });
  }
}

StoreImpl::Encoding::Verdict StoreImpl::Encoding::judge(Series& series, TimestampMs time, double value,
                                                        const FloatHistogram* histogram) {
  if (time > series.last_time) [[likely]] {
    const TimeCheck check = check_time(time);
    if (check == TimeCheck::ok) [[likely]]
      return Verdict::accept;
    reject_time(check, time, [&] { return name_of(series); });
    return Verdict::rejected;
  }
  auto equal = [&](double other, const FloatHistogram* other_histogram) {
    if (histogram == nullptr || other_histogram == nullptr)
      return histogram == other_histogram && same_bits(value, other);
    return same_histogram(*histogram, *other_histogram);
  };
  const HeadShard::Found newest{series.last_value,
                                series.last_is_histogram && series.extra ? series.extra->newest_histogram : nullptr};
  bool own = true;
  std::optional<HeadShard::Found> found;
  if (series.pending > 0) found = pending_row(series, time, own);
  if (!found && time == series.last_time && equal(newest.value, newest.histogram.get())) return Verdict::known;
  if (!found) found = head_.lookup(series, time);
  if (!found) found = store_.find_sealed(tenant_, head_, series, time);
  if (!found && time == series.last_time) found = newest;
  if (found) {
    // Another request's row is not durable yet: this one must not be acknowledged by it.
    if (equal(found->value, found->histogram.get())) return own ? Verdict::known : Verdict::again;
    store_.reject(request_.result, "sample_duplicate_timestamp", 1, [&] {
      return sample_error("another sample with the same timestamp, but a different value, has already been ingested",
                          "sample-duplicate-timestamp", time, name_of(series));
    });
    return Verdict::rejected;
  }
  if (request_.limits.out_of_order_time_window.count() <= 0) {
    store_.reject(request_.result, "sample_out_of_order", 1, [&] {
      Error error = sample_error(
          "another sample with a more recent timestamp has already been ingested and out-of-order samples are not "
          "allowed",
          "sample-out-of-order", time, name_of(series));
      error.message += "; raise limits.out_of_order_time_window";
      return error;
    });
    return Verdict::rejected;
  }
  TimeCheck check = check_time(time);
  if (check == TimeCheck::ok && !out_of_order_allowed(time)) check = TimeCheck::too_old;
  if (check != TimeCheck::ok) {
    reject_time(check, time, [&] { return name_of(series); });
    return Verdict::rejected;
  }
  store_.metrics_.out_of_order.add();
  store_.metrics_.prometheus_out_of_order.add();
  return Verdict::accept;
}

std::optional<HeadShard::Found> StoreImpl::Encoding::pending_row(const Series& series, TimestampMs time,
                                                                 bool& own) const {
  if (auto found = part_.at(series, time)) return found;
  for (HeadShard::Pending* other : head_.pending) {
    if (other == &part_) continue;
    if (auto found = other->at(series, time)) {
      own = false;
      return found;
    }
  }
  return std::nullopt;
}

void StoreImpl::Encoding::accepted(Series& series, TimestampMs time) {
  define(series);
  ++series.pending;
  series.touched = static_cast<std::uint32_t>(request_.now / 1000);
  tenant_.raise_max_time(time);
}

void StoreImpl::Encoding::float_row(Series& series, const FloatRow& row) {
  // The scraper marks the end of a histogram series with a plain stale marker too.
  if (is_stale(row.value) && series.last_is_histogram && row.time > series.last_time) {
    const std::size_t before = request_.result.histograms_written;
    histogram_row(series, HistRow{row.time, row.start_time, true, stale_histogram()});
    if (request_.result.histograms_written > before) {
      request_.result.histograms_written = before;
      ++request_.result.floats_written;
    }
    return;
  }
  const Verdict verdict = judge(series, row.time, row.value, nullptr);
  if (verdict == Verdict::rejected) return;
  ++request_.result.floats_written;
  if (verdict == Verdict::known) return;
  accepted(series, row.time);
  if (row.time > series.last_time) {
    series.last_time = row.time;
    series.last_value = row.value;
    series.last_is_histogram = false;
    series.stale = is_stale(row.value);
  }
  encoder_.row(series.id, Row{row.time, row.value, row.start_time});
  part_.rows.push_back({&series, &row, verdict == Verdict::again});
}

void StoreImpl::Encoding::histogram_row(Series& series, HistRow row) {
  const Verdict verdict = judge(series, row.time, 0, row.histogram.get());
  if (verdict == Verdict::rejected) return;
  ++request_.result.histograms_written;
  if (verdict == Verdict::known) return;
  accepted(series, row.time);
  if (row.time > series.last_time) {
    series.last_time = row.time;
    series.last_value = 0;
    series.last_is_histogram = true;
    series.stale = is_stale(row.histogram->sum);
    head_.extra_of(series).newest_histogram = row.histogram;
  }
  encoder_.histogram(series.id, row);
  part_.histograms.push_back({&series, std::move(row), verdict == Verdict::again});
}

void StoreImpl::Encoding::exemplar_row(Series& series, const ExemplarRow& row) {
  if (request_.limits.max_global_exemplars_per_user == 0) return;
  define(series);
  ++series.pending;
  encoder_.exemplar(series.id, row);
  part_.exemplars.push_back({&series, &row});
}

}  // namespace tocayo::metrics
