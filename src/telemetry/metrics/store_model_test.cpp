// SPDX-License-Identifier: Apache-2.0
// Random appends against a naive model, across seals, checkpoints, demotions and reopening; and readers beside writers.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <set>
#include <thread>

#include "core/testing.h"
#include "metrics/store_test_support.h"

namespace tocayo::metrics {
namespace {

using namespace testing;

struct ModelSample {
  std::uint64_t bits = 0;
  std::shared_ptr<const FloatHistogram> histogram;
};

class Model {
 public:
  static constexpr std::int64_t kWindow = 7'200'000;
  enum class Expected : unsigned char { written, duplicate, too_old };

  Expected add(const Labels& labels, TimestampMs time, ModelSample sample) {
    auto& series = series_[labels];
    auto found = series.find(time);
    if (found != series.end()) {
      const bool same = found->second.histogram && sample.histogram
                            ? found->second.histogram->equals(*sample.histogram)
                            : !found->second.histogram && !sample.histogram && found->second.bits == sample.bits;
      return same ? Expected::written : Expected::duplicate;
    }
    if (max_time_ != INT64_MIN && time < max_time_ - kWindow) return Expected::too_old;
    max_time_ = std::max(max_time_, time);
    series[time] = std::move(sample);
    return Expected::written;
  }
  const auto& series() const { return series_; }
  TimestampMs max_time() const { return max_time_; }

 private:
  std::map<Labels, std::map<TimestampMs, ModelSample>> series_;
  TimestampMs max_time_ = INT64_MIN;
};

std::shared_ptr<const FloatHistogram> random_histogram(std::mt19937_64& random) {
  auto h = std::make_shared<FloatHistogram>();
  h->schema = static_cast<std::int32_t>(random() % 3);
  const std::uint32_t buckets = 1 + random() % 3;
  h->positive_spans = {{static_cast<std::int32_t>(random() % 3), buckets}};
  for (std::uint32_t i = 0; i < buckets; ++i) h->positive_buckets.push_back(static_cast<double>(random() % 50));
  for (double b : h->positive_buckets) h->count += b;
  h->sum = static_cast<double>(random() % 1000) / 8;
  return h;
}

void expect_equal(const Model& model, const ReadAll& all, TimestampMs start, TimestampMs end, int step) {
  std::size_t expected_series = 0;
  for (const auto& [labels, samples] : model.series()) {
    auto first = samples.lower_bound(start);
    auto last = samples.upper_bound(end);
    if (first == last) continue;
    ++expected_series;
    auto found = all.find(labels);
    ASSERT_NE(found, all.end()) << labels.to_string() << " at step " << step;
    std::size_t floats = 0;
    std::size_t histograms = 0;
    for (auto it = first; it != last; ++it) {
      if (it->second.histogram) {
        ++histograms;
        ASSERT_TRUE(found->second.histograms.contains(it->first))
            << labels.to_string() << " " << it->first << " step " << step;
        ASSERT_TRUE(found->second.histograms.at(it->first)->equals(*it->second.histogram));
      } else {
        ++floats;
        ASSERT_TRUE(found->second.floats.contains(it->first))
            << labels.to_string() << " " << it->first << " step " << step;
        ASSERT_EQ(found->second.floats.at(it->first), it->second.bits);
      }
    }
    ASSERT_EQ(found->second.floats.size(), floats) << labels.to_string() << " step " << step;
    ASSERT_EQ(found->second.histograms.size(), histograms);
  }
  ASSERT_EQ(all.size(), expected_series) << "step " << step;
}

TEST(StoreModel, RandomAppendsAcrossSealCheckpointAndReopen) {
  const int rounds = test_rounds(3, 20, 1);
  for (int round = 0; round < rounds; ++round) {
    std::mt19937_64 random(static_cast<std::uint64_t>(round) + 100);
    TemporaryDir dir;
    ManualClock clock;
    auto options = options_for(dir.path, clock);
    options.shards = 1U << (random() % 3);
    options.wal_segment_size = 4096;
    auto store = must_open(options);
    Model model;
    // From the first row on it is clear what is too old.
    ASSERT_TRUE(append_one(*store, {{"__name__", "first"}}, {{clock.now, 1}}));
    model.add({{"__name__", "first"}}, clock.now, {std::bit_cast<std::uint64_t>(1.0), nullptr});
    for (int step = 0; step < 600; ++step) {
      clock.now += static_cast<TimestampMs>(random() % 30'000);
      std::vector<Labels> labels;
      std::vector<std::vector<FloatRow>> floats;
      std::vector<std::vector<HistogramRow>> histograms;
      std::vector<SeriesRows> series;
      std::size_t expected_floats = 0, expected_histograms = 0, expected_rejected = 0;
      const std::size_t count = 1 + random() % 6;
      labels.reserve(count);
      for (std::size_t s = 0; s < count; ++s) {
        labels.push_back({{"__name__", "m" + std::to_string(random() % 4)}, {"i", std::to_string(random() % 5)}});
        auto& f = floats.emplace_back();
        auto& h = histograms.emplace_back();
        // Histograms in some metrics only, as in life; floats and histograms then still meet at one time now and then.
        const bool native = labels.back().get("__name__") == "m3" && random() % 4 != 0;
        for (std::size_t r = 0; r < 1 + random() % 3; ++r) {
          TimestampMs time = clock.now - static_cast<TimestampMs>(random() % 5) * 100;
          // Clearly within the window or clearly beyond: at its edge the order of shards decides.
          if (random() % 5 == 0)
            time -=
                static_cast<TimestampMs>(random() % 6 == 0 ? 7'400'000 + random() % 1'000'000 : random() % 7'000'000);
          if (random() % 8 == 0 && model.series().contains(labels.back()) &&
              !model.series().at(labels.back()).empty()) {
            const auto& known = model.series().at(labels.back());  // on purpose a time that is taken
            time = std::next(known.begin(), static_cast<std::ptrdiff_t>(random() % known.size()))->first;
          }
          ModelSample sample;
          if (native) {
            sample.histogram = random_histogram(random);
            h.push_back({time, sample.histogram, true, 0});
          } else {
            const double value = random() % 30 == 0 ? kStaleNaN : static_cast<double>(random() % 4);
            // A stale float after a histogram is turned into a histogram one; the model leaves that case to its own
            // test.
            sample.bits =
                std::bit_cast<std::uint64_t>(labels.back().get("__name__") == "m3" && is_stale(value) ? 1.0 : value);
            f.push_back({time, std::bit_cast<double>(sample.bits), 0});
          }
          switch (model.add(labels.back(), time, sample)) {
            case Model::Expected::written: ++(native ? expected_histograms : expected_floats); break;
            default: ++expected_rejected; break;
          }
        }
        // Floats come before histograms of one series, so one series gets one kind per request.
      }
      for (std::size_t s = 0; s < count; ++s)
        series.push_back({.labels = &labels[s], .floats = floats[s], .histograms = histograms[s]});
      auto result = sync_wait(store->append("t", {.series = series, .metadata = {}}));
      ASSERT_TRUE(result);
      std::size_t rejected = 0;
      for (const auto& r : result->rejected) rejected += r.count;
      ASSERT_EQ(result->floats_written + result->histograms_written + rejected,
                expected_floats + expected_histograms + expected_rejected);
      ASSERT_EQ(result->floats_written, expected_floats)
          << "step " << step << " " << (result->first_error ? result->first_error->message : "");
      ASSERT_EQ(result->histograms_written, expected_histograms) << "step " << step;
      switch (random() % 60) {
        case 0: ASSERT_TRUE(store->seal()); break;
        case 1: ASSERT_TRUE(store->checkpoint()); break;
        case 2: store->maintain(); break;
        case 3:
          store.reset();
          store = must_open(options);
          break;
        case 4:
          ASSERT_TRUE(store->close());
          store.reset();
          store = must_open(options);
          break;
        case 5: {
          const TimestampMs start = clock.now - static_cast<TimestampMs>(random() % 9'000'000);
          const TimestampMs end = start + static_cast<TimestampMs>(random() % 9'000'000);
          expect_equal(model, read_from(*store->querier("t"), {}, start, end), start, end, step);
          if (::testing::Test::HasFatalFailure()) return;
          break;
        }
        default: break;
      }
    }
    expect_equal(model, read_all(*store), INT64_MIN, INT64_MAX, 600);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

// Writers raise all series of a group together, so that a reader can tell a half-visible request from a whole one.
TEST(StoreConcurrency, AQueryNeverSeesHalfARequest) {
  TemporaryDir dir;
  ManualClock clock;
  auto options = options_for(dir.path, clock);
  options.shards = 4;
  Pool pool("append", 2);
  options.pool = &pool;
  options.wal_mode = journal::SyncMode::batch;
  options.wal_batch_delay = std::chrono::milliseconds(0);
  auto store = must_open(options);
  constexpr int kGroups = 3;
  constexpr int kSeries = 16;
  const TimestampMs base = clock.now;
  std::atomic<bool> stop{false};
  std::atomic<int> reads{0};
  std::vector<std::jthread> threads;
  for (int group = 0; group < kGroups; ++group) {
    threads.emplace_back([&, group] {
      std::vector<Labels> labels;
      for (int i = 0; i < kSeries; ++i)
        labels.push_back({{"__name__", "m"}, {"group", std::to_string(group)}, {"i", std::to_string(i)}});
      for (int step = 0; !stop; ++step) {
        std::vector<FloatRow> rows{{base + step, static_cast<double>(step)}};
        // Some requests bring a late row as well.
        if (step % 7 == 3) rows.push_back({base - step, static_cast<double>(-step)});
        std::vector<SeriesRows> series;
        for (const Labels& l : labels) series.push_back({.labels = &l, .floats = rows});
        auto result = sync_wait(store->append("t", {.series = series, .metadata = {}}));
        ASSERT_TRUE(result);
        ASSERT_FALSE(result->first_error) << result->first_error->message;
      }
    });
  }
  threads.emplace_back([&] {
    while (!stop) {
      ASSERT_TRUE(store->checkpoint());
      store->memory();
      store->head_stats("t", 10);
    }
  });
  for (int reader = 0; reader < 2; ++reader) {
    threads.emplace_back([&] {
      while (!stop) {
        auto querier = store->querier("t");
        for (int pass = 0; pass < 2; ++pass) {
          std::map<std::string, std::set<std::size_t>> sizes;
          for (const auto& [labels, series] : read_from(*querier))
            sizes[std::string(labels.get("group"))].insert(series.floats.size());
          for (const auto& [group, distinct] : sizes)
            EXPECT_EQ(distinct.size(), 1U) << "group " << group << " is half visible";
        }
        ++reads;
      }
    });
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (reads < 60 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  stop = true;
  threads.clear();
  EXPECT_GE(reads, 60);
}

// A simulated day of scraping with churn: what is held in memory at the end is what was held after the first hours.
TEST(StoreSimulation, ADayOfIngestKeepsMemoryFlat) {
  const bool full = full_run();
  const int targets = full ? 50 : 4;
  const int per_target = full ? 200 : 50;
  const TimestampMs scrape = full ? 15'000 : 60'000;
  TemporaryDir dir;
  ManualClock clock;
  auto options = options_for(dir.path, clock);
  options.retention = std::chrono::hours(12);
  options.wal_mode = journal::SyncMode::off;
  options.checkpoint_bytes = 8 << 20;
  auto store = must_open(options);
  const TimestampMs begin = clock.now;
  std::uint64_t early = 0;
  std::uint64_t latest = 0;
  std::uint64_t peak_series = 0;
  std::vector<std::vector<Labels>> all_labels(static_cast<std::size_t>(targets));
  int half_hour = -1;
  for (int scrapes = 0; clock.now < begin + 24 * 3'600'000LL; ++scrapes) {
    clock.now += scrape;
    const auto minutes = static_cast<int>((clock.now - begin) / 60'000);
    // A tenth of the series are replaced every half hour.
    if (std::exchange(half_hour, minutes / 30) != minutes / 30) {
      for (int target = 0; target < targets; ++target) {
        all_labels[static_cast<std::size_t>(target)].clear();
        for (int i = 0; i < per_target; ++i) {
          all_labels[static_cast<std::size_t>(target)].push_back(
              {{"__name__", "metric_" + std::to_string(i % 20)},
               {"instance", "host-" + std::to_string(target)},
               {"pod", "pod-" + std::to_string(i) + "-" + std::to_string(i % 10 == 0 ? half_hour : 0)}});
        }
      }
    }
    for (int target = 0; target < targets; ++target) {
      const std::vector<Labels>& labels = all_labels[static_cast<std::size_t>(target)];
      std::vector<FloatRow> rows{{clock.now - target, static_cast<double>(scrapes * 7)}};
      std::vector<SeriesRows> series;
      for (const Labels& l : labels) series.push_back({.labels = &l, .floats = rows});
      auto result = sync_wait(store->append("t", {.series = series, .metadata = {}}));
      ASSERT_TRUE(result);
      ASSERT_FALSE(result->first_error) << result->first_error->message;
    }
    store->maintain();
    if (scrapes % 20 != 0) continue;
    const std::uint64_t used = store->memory().total();
    (minutes < 5 * 60 ? early : latest) = std::max(minutes < 5 * 60 ? early : latest, used);
    if (minutes > 5 * 60) peak_series = std::max(peak_series, store->head_stats("t", 1).series);
  }
  EXPECT_LT(static_cast<double>(latest), static_cast<double>(early) * (full ? 1.15 : 1.3));
  // The living series, and those that went a while ago; a small store waits for its next regular seal with them.
  EXPECT_LT(peak_series, static_cast<std::uint64_t>(targets * per_target) * (full ? 14 : 17) / 10);
  // The range that retention keeps is all there.
  auto set = store->querier("t")->select({}, {.start = clock.now - 6 * 3'600'000, .end = clock.now}, Context());
  ASSERT_TRUE(set);
  SampleColumns columns;
  std::size_t samples = 0;
  for (std::size_t i = 0; i < (*set)->size(); ++i) {
    ASSERT_TRUE((*set)->read(i, columns));
    samples += columns.times.size();
  }
  const auto expected =
      static_cast<std::size_t>(6 * 3'600'000 / scrape) * static_cast<std::size_t>(targets * per_target);
  EXPECT_GE(samples, expected);
  EXPECT_LE(samples, expected + static_cast<std::size_t>(targets * per_target));
}

}  // namespace
}  // namespace tocayo::metrics
