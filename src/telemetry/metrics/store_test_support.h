// SPDX-License-Identifier: Apache-2.0
// What the store's tests share: a directory that goes away, a clock that is set by hand, rows in one line, everything
// read back.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "metrics/store.h"

namespace tocayo::metrics::testing {

class TemporaryDir {
 public:
  TemporaryDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tocayo-metrics-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~TemporaryDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

class ManualClock final : public Clock {
 public:
  explicit ManualClock(TimestampMs start = 1'700'000'000'000) : now(start) {}
  TimestampMs now_ms() const override { return now.load(); }
  std::atomic<TimestampMs> now;
};

class FixedLimits final : public LimitsProvider {
 public:
  explicit FixedLimits(StoreLimits limits) : limits_(limits) {}
  StoreLimits store_limits(std::string_view) const override { return limits_; }

 private:
  StoreLimits limits_;
};

// Writes and syncs fail with these while they are not 0.
class SwitchedFaults final : public journal::Faults {
 public:
  int on_write(std::uint64_t& size) override {
    if (write_errno != 0) size /= 2;
    return write_errno;
  }
  int on_sync() override { return sync_errno; }
  std::atomic<int> write_errno{0};
  std::atomic<int> sync_errno{0};
};

inline StoreOptions options_for(const std::string& dir, Clock& clock) {
  StoreOptions options;
  options.dir = dir;
  options.shards = 2;
  options.wal_mode = journal::SyncMode::interval;
  options.clock = &clock;
  options.background = false;
  return options;
}

inline std::unique_ptr<Store> must_open(StoreOptions options) {
  auto store = Store::open(std::move(options));
  if (!store) {
    ADD_FAILURE() << store.error().message;
    std::abort();
  }
  return std::move(*store);
}

inline Result<AppendResult> append_one(Store& store, const Labels& labels, std::vector<FloatRow> rows,
                                       std::vector<HistogramRow> histograms = {},
                                       std::vector<ExemplarRow> exemplars = {}, std::string_view tenant = "t") {
  SeriesRows series{.labels = &labels, .floats = rows, .histograms = histograms, .exemplars = exemplars};
  return sync_wait(store.append(tenant, {.series = {&series, 1}, .metadata = {}}));
}

// "12.5@1000" or "nan:7ff0000000000002@1000": bit-exact and readable in a failure.
inline std::string show(TimestampMs time, double value) {
  char text[64];
  if (value != value) {
    std::snprintf(text, sizeof text, "nan:%llx@%lld",
                  static_cast<unsigned long long>(std::bit_cast<std::uint64_t>(value)), static_cast<long long>(time));
  } else {
    std::snprintf(text, sizeof text, "%.17g@%lld", value, static_cast<long long>(time));
  }
  return text;
}

struct ReadSeries {
  std::map<TimestampMs, std::uint64_t> floats;  // bits
  std::map<TimestampMs, TimestampMs> starts;
  std::map<TimestampMs, std::shared_ptr<const FloatHistogram>> histograms;
};
using ReadAll = std::map<Labels, ReadSeries>;

inline ReadAll read_from(const Querier& querier, std::vector<Matcher> matchers = {}, TimestampMs start = INT64_MIN,
                         TimestampMs end = INT64_MAX) {
  ReadAll result;
  auto set = querier.select(matchers, {.start = start, .end = end}, Context());
  EXPECT_TRUE(set) << (set ? "" : set.error().message);
  if (!set) return result;
  SampleColumns columns;
  for (std::size_t i = 0; i < (*set)->size(); ++i) {
    auto read = (*set)->read(i, columns);
    EXPECT_TRUE(read) << (read ? "" : read.error().message);
    if (i > 0) {
      EXPECT_LT((*set)->labels(i - 1), (*set)->labels(i));
    }
    ReadSeries series;
    for (std::size_t k = 0; k < columns.times.size(); ++k) {
      if (k > 0) {
        EXPECT_LT(columns.times[k - 1], columns.times[k]);
      }
      series.floats[columns.times[k]] = std::bit_cast<std::uint64_t>(columns.values[k]);
      if (!columns.start_times.empty() && columns.start_times[k] != 0)
        series.starts[columns.times[k]] = columns.start_times[k];
    }
    for (std::size_t k = 0; k < columns.histogram_times.size(); ++k)
      series.histograms[columns.histogram_times[k]] = columns.histograms[k];
    if (!series.floats.empty() || !series.histograms.empty()) result[(*set)->labels(i)] = std::move(series);
  }
  return result;
}

inline ReadAll read_all(Store& store, std::string_view tenant = "t") { return read_from(*store.querier(tenant)); }

inline std::vector<std::string> floats_of(const ReadAll& all, const Labels& labels) {
  std::vector<std::string> result;
  auto found = all.find(labels);
  if (found == all.end()) return result;
  for (const auto& [time, bits] : found->second.floats) result.push_back(show(time, std::bit_cast<double>(bits)));
  return result;
}

}  // namespace tocayo::metrics::testing
