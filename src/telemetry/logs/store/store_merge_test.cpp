// SPDX-License-Identifier: Apache-2.0
// Where merges put what they read.
#include <algorithm>
#include <map>

#include "logs/segment.h"
#include "logs/store/offline.h"
#include "logs/store/store_test_support.h"

namespace tocayo::logs {
namespace {

using namespace testing;

const Labels kWeb{{"app", "web"}, {"host", "h1"}};
const Labels kDb{{"app", "db"}, {"host", "h2"}};

using StoreMergeTest = StoreFixture;

// A question about an hour must not meet the lines of the whole day: what is merged lies in files by stretches.
TEST_F(StoreMergeTest, MergedSegmentsHoldAStretchOfTheDay) {
  constexpr TimestampNs kHour = 3600 * kSecond;
  const TimestampNs midnight = kNow / (24 * kHour) * (24 * kHour);
  options_.stretch_bytes = 1;  // the shortest stretch: an hour
  options_.merge_count = 2;
  store_.reset();
  open();
  std::vector<Line> all;
  for (int part = 0; part < 12; ++part) {
    std::vector<Line> lines;
    for (int i = 0; i < 30; ++i) {
      // Each part reaches over an hour and a half, so that merges have to divide what they read.
      const TimestampNs time = midnight + part * kHour / 2 + i * (kHour / 20);
      lines.push_back(
          {i % 2 == 0 ? kWeb : kDb, time, "part " + std::to_string(part) + " line " + std::to_string(i), {}});
    }
    append(lines);
    ASSERT_TRUE(store_->flush());
    all.insert(all.end(), lines.begin(), lines.end());
  }
  const auto before = read(everything());
  clock_.advance(2 * 86'400'000);
  for (int i = 0; i < 60; ++i) store_->maintain();
  EXPECT_EQ(read(everything()), before);
  ASSERT_EQ(before.size(), all.size());
  std::map<TimestampNs, int> files_of_hour;
  for (const auto& file : *segment_files(directory_.path() / "logs")) {
    const auto reader = SegmentReader::open(file);
    ASSERT_TRUE(reader.has_value()) << reader.error().message;
    const SegmentInfo& info = (*reader)->info();
    EXPECT_EQ(info.options.level, 2U);
    EXPECT_EQ(info.min_time / kHour, info.max_time / kHour) << file;
    ++files_of_hour[info.min_time / kHour];
  }
  EXPECT_EQ(files_of_hour.size(), 7U);
  for (const auto& [hour, count] : files_of_hour) EXPECT_LE(count, 2) << hour;
  // An hour is answered from its own files.
  Selection hour = everything();
  hour.start = midnight + 2 * kHour;
  hour.end = hour.start + kHour;
  ScanStats stats;
  const auto found = read(hour, "a", nullptr, &stats);
  EXPECT_EQ(found.size(), static_cast<std::size_t>(std::ranges::count_if(
                              all, [&](const Line& line) { return line.time >= hour.start && line.time < hour.end; })));
  EXPECT_EQ(stats.rows, found.size());
}

}  // namespace
}  // namespace tocayo::logs
