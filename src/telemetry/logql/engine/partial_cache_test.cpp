// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/partial_cache.h"

#include <gtest/gtest.h>

#include <random>

#include "logql/engine/grid.h"

namespace tocayo::logql::detail {
namespace {

// Whatever windows a sample is put into by way of an open grid are those that hold it.
TEST(OpenGrid, PlacesIntervalsAsTheWindowsDo) {
  std::mt19937_64 random(7);
  const auto below = [&](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
  };
  for (int round = 0; round < 20'000; ++round) {
    const std::int64_t step = 1 + below(20);
    const Steps steps{below(200) - 100, step, static_cast<std::uint32_t>(1 + below(12))};
    const Windows windows(steps, 1 + below(60), below(30) - 15);
    const TimestampNs min_time = below(300) - 150;
    const TimestampNs max_time = min_time + below(80);
    const auto grid = OpenGrid::of(windows, min_time, max_time);
    ASSERT_TRUE(grid);
    for (TimestampNs time = min_time; time <= max_time; ++time) {
      const auto kept = grid->windows().interval(time);
      const auto placed =
          kept ? OpenGrid::place(*kept, grid->windows().steps().start, windows) : std::optional<std::uint32_t>();
      ASSERT_EQ(placed, windows.interval(time))
          << "step " << step << " range " << windows.range() << " offset " << windows.offset() << " time " << time;
    }
  }
}

TEST(OpenGrid, RefusesMillionsOfSteps) {
  const Windows windows(Steps{0, 1, 1}, 1'000, 0);
  EXPECT_FALSE(OpenGrid::of(windows, 0, 1LL << 40));
  EXPECT_TRUE(OpenGrid::of(windows, 0, 1'000));
}

struct Bytes final : SeriesStates {
  explicit Bytes(std::size_t n) : bytes(n) {}
  std::size_t memory_bytes() const override { return bytes; }
  std::size_t bytes;
};

std::shared_ptr<const Partial> partial(std::size_t bytes) {
  auto made = std::make_shared<Partial>();
  made->series.push_back({Labels{}, false, std::make_unique<Bytes>(bytes)});
  return made;
}

TEST(PartialCache, KeepsWhatWasUsedLastWithinItsBudget) {
  PartialCache cache(10'000);
  for (std::uint64_t rows = 0; rows < 8; ++rows) cache.put(1, rows, partial(1'000));
  EXPECT_NE(cache.find(1, 0), nullptr);
  EXPECT_EQ(cache.find(2, 0), nullptr) << "of another query";
  for (std::uint64_t rows = 8; rows < 12; ++rows) cache.put(1, rows, partial(1'000));
  EXPECT_LE(cache.memory_bytes(), 10'000u);
  EXPECT_NE(cache.find(1, 0), nullptr) << "it was used";
  EXPECT_EQ(cache.find(1, 1), nullptr);
  const auto held = cache.find(1, 11);
  cache.put(1, 99, partial(9'000));
  EXPECT_EQ(cache.find(1, 99), nullptr) << "too large to be worth it";
  for (std::uint64_t rows = 100; rows < 120; ++rows) cache.put(3, rows, partial(1'000));
  EXPECT_EQ(held->series.size(), 1u) << "what is in use stays";
  EXPECT_EQ(cache.find(1, 11), nullptr);
}

}  // namespace
}  // namespace tocayo::logql::detail
