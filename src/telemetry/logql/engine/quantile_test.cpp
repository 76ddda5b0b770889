// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/quantile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace tocayo::logql::detail {
namespace {

struct Sample {
  TimestampNs time;
  double value;
};

double by_definition(std::vector<double> values, double quantile) {
  std::ranges::sort(values, [](double a, double b) {
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && !std::isnan(b);
    return a < b;
  });
  const double rank = quantile * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(std::floor(rank));
  const auto high = std::min(values.size() - 1, low + 1);
  const double weight = rank - std::floor(rank);
  return values[low] * (1 - weight) + values[high] * weight;
}

// Windows that touch, overlap or leave gaps; few values and very many; put together from several accumulators and from
// what was kept of one.
TEST(Quantile, IsExactHoweverItIsPutTogether) {
  std::mt19937_64 random(11);
  const auto below = [&](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
  };
  std::size_t compared = 0;
  for (int round = 0; round < 60; ++round) {
    const Steps steps{below(500), 1 + below(200), static_cast<std::uint32_t>(1 + below(10))};
    const Windows windows(steps, 1 + below(600), below(100));
    const double quantile = static_cast<double>(below(101)) / 100;
    const std::int64_t kinds = round % 3 == 0 ? 1'000'000'000 : 1 + below(3'000);
    std::vector<Sample> samples;
    const auto count = round % 10 == 0 ? 40'000 : below(500);
    for (std::int64_t i = 0; i < count; ++i) {
      double value = static_cast<double>(below(kinds)) / 16 - 20;
      if (below(50) == 0) value = std::numeric_limits<double>::quiet_NaN();
      samples.push_back({windows.first() - 5 + below(windows.last() - windows.first() + 10), value});
    }
    std::vector<std::unique_ptr<Accumulator>> parts;
    for (int i = 0; i < 3; ++i) parts.push_back(make_quantile(windows, quantile));
    auto kept_of = make_quantile(windows, quantile);
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const auto interval = windows.interval(samples[i].time);
      if (!interval) continue;
      auto& to = i % 4 == 3 ? *kept_of : *parts[i % 3];
      to.add(1 + i % 4 % 3, *interval, {.time = samples[i].time, .value = samples[i].value});
    }
    auto all = make_quantile(windows, quantile);
    for (auto& part : parts) {
      for (std::size_t series = 0; series < 5; ++series) all->absorb(0, *part, series);
    }
    const auto kept = kept_of->keep(1);
    all->merge(0, *kept, [](std::uint32_t interval) { return std::optional(interval); });
    EXPECT_GT(kept->memory_bytes(), 0U);
    const auto column = all->finish(0);
    for (std::size_t step = 0; step < steps.count; ++step) {
      std::vector<double> values;
      for (const Sample& sample : samples) {
        if (sample.time <= windows.end(step) && sample.time > windows.end(step) - windows.range())
          values.push_back(sample.value);
      }
      ASSERT_EQ(column.has(step), !values.empty());
      if (values.empty()) continue;
      const double expected = by_definition(values, quantile);
      ++compared;
      if (std::isnan(expected)) {
        EXPECT_TRUE(std::isnan(column.value(step)));
      } else {
        EXPECT_DOUBLE_EQ(column.value(step), expected) << "round " << round << " step " << step;
      }
    }
  }
  EXPECT_GT(compared, 200U);
}

TEST(Quantile, MemoryFollowsTheValuesThatDiffer) {
  const Windows windows(Steps{3'600, 3'600, 2}, 3'600, 0);
  auto accumulator = make_quantile(windows, 0.5);
  for (int i = 0; i < 1'000'000; ++i) accumulator->add(0, *windows.interval(i % 3'600 + 1), {.value = double(i % 100)});
  EXPECT_LT(accumulator->memory_bytes(), 1U << 20);
  EXPECT_EQ(accumulator->finish(0).value(0), 49.5);
}

}  // namespace
}  // namespace tocayo::logql::detail
