// SPDX-License-Identifier: Apache-2.0
// Where merges put what they read.
#include <algorithm>
#include <map>

#include "logs/segment.h"
#include "logs/store/offline.h"
#include "logs/store/store_test_support.h"
#include "logs/store/view.h"

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

Labels service(int number, int host) {
  return Labels{{"host", "h" + std::to_string(host)}, {"service_name", "s" + std::to_string(number)}};
}

std::size_t changes_of_service(const SegmentReader& reader) {
  std::size_t changes = 0;
  for (std::size_t i = 1; i < reader.streams().size(); ++i) {
    const auto& streams = reader.streams();
    changes += streams[i].labels.get("service_name") != streams[i - 1].labels.get("service_name") ? 1 : 0;
  }
  return changes;
}

TEST_F(StoreMergeTest, StreamsOfAServiceLieTogether) {
  options_.merge_count = 2;
  store_.reset();
  open();
  for (int round = 0; round < 3; ++round) {
    std::vector<Line> lines;
    for (int i = 0; i < 60; ++i)
      lines.push_back({service(i % 5, i / 5), kNow + round * 100 + i, "line " + std::to_string(i), {}});
    append(lines);
    ASSERT_TRUE(store_->flush());
    // Each line again: what is in segments is found in their order.
    EXPECT_EQ(append(lines).duplicates, lines.size());
  }
  const auto before = read(everything());
  const auto check = [&](std::uint32_t level) {
    for (const auto& file : *segment_files(directory_.path() / "logs")) {
      const auto reader = SegmentReader::open(file);
      ASSERT_TRUE(reader.has_value()) << reader.error().message;
      EXPECT_EQ((*reader)->info().options.level, level);
      EXPECT_TRUE((*reader)->info().options.by_group);
      EXPECT_EQ(changes_of_service(**reader), 4U);
    }
  };
  check(0);
  clock_.advance(2 * 86'400'000);
  for (int i = 0; i < 20; ++i) store_->maintain();
  check(2);
  EXPECT_EQ(read(everything()), before);
}

// Segments of older versions have their streams by labels alone. They are read, merged with each other, never with
// those in another order, and lines that they hold are known again.
TEST_F(StoreMergeTest, OlderOrdersOfStreamsAreKeptApart) {
  options_.merge_count = 2;
  store_.reset();
  open();
  std::vector<Line> all;
  const auto add = [&](int round) {
    std::vector<Line> lines;
    for (int i = 0; i < 60; ++i)
      lines.push_back({service(i % 5, i / 5), kNow + round * 100 + i, "line " + std::to_string(i), {}});
    append(lines);
    all.insert(all.end(), lines.begin(), lines.end());
    ASSERT_TRUE(store_->flush());
  };
  add(0);
  add(1);
  store_.reset();
  for (const auto& file : *segment_files(directory_.path() / "logs")) {
    std::map<Labels, std::vector<std::pair<TimestampNs, std::string>>> rows;
    ASSERT_TRUE(read_segment(file, [&](const Labels& labels, const EntryRow& row) -> Result<> {
      rows[labels].emplace_back(row.time, row.line);
      return {};
    }));
    SegmentOptions options = (*SegmentReader::open(file))->info().options;
    options.by_group = false;
    auto writer = SegmentWriter::create(file, options);
    ASSERT_TRUE(writer.has_value());
    for (const auto& [labels, lines] : rows) {
      ASSERT_TRUE(writer->start_stream(labels));
      for (const auto& [time, line] : lines) ASSERT_TRUE(writer->add({time, line, {}}));
    }
    ASSERT_TRUE(writer->finish());
  }
  open();
  const std::vector<Line> last(all.end() - 60, all.end());
  EXPECT_EQ(append(last).duplicates, last.size());
  add(2);
  add(3);
  const auto before = read(everything());
  EXPECT_EQ(before.size(), all.size());
  clock_.advance(2 * 86'400'000);
  for (int i = 0; i < 20; ++i) store_->maintain();
  EXPECT_EQ(read(everything()), before);
  std::map<bool, int> files;
  for (const auto& file : *segment_files(directory_.path() / "logs")) {
    ++files[(*SegmentReader::open(file))->info().options.by_group];
  }
  EXPECT_EQ(files[false], 1);
  EXPECT_EQ(files[true], 1);
}

TEST_F(StoreMergeTest, SegmentsAreClosedAndOpenedAgain) {
  for (int round = 0; round < 5; ++round) {
    append({{kWeb, kNow + round, "line " + std::to_string(round), {}}});
    ASSERT_TRUE(store_->flush());
  }
  const auto before = read(everything());
  EXPECT_EQ(before.size(), 5U);
  EXPECT_GE(OpenSegments::instance().count(), 5U);
  OpenSegments::instance().set_budget(600'000);
  EXPECT_LE(OpenSegments::instance().count(), 2U);
  EXPECT_EQ(read(everything()), before);
  OpenSegments::instance().set_budget(0);
  EXPECT_EQ(read(everything()), before);
  EXPECT_EQ(OpenSegments::instance().count(), 0U);
  OpenSegments::instance().set_budget(OpenSegments::kBudget);
  EXPECT_EQ(read(everything()), before);
  EXPECT_EQ(OpenSegments::instance().count(), 5U);
  store_.reset();
  EXPECT_EQ(OpenSegments::instance().count(), 0U) << "files that are gone are not held";
}

}  // namespace
}  // namespace tocayo::logs
