// SPDX-License-Identifier: Apache-2.0
#include "journal/journal.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "core/registry.h"
#include "journal/frame.h"
#include "journal/local_journal.h"

namespace tocayo::journal {
namespace {

namespace fs = std::filesystem;

class SwitchedFaults final : public Faults {
 public:
  int on_write(std::uint64_t& size) override {
    if (write_errno != 0) size /= 2;
    return write_errno;
  }
  int on_sync() override {
    ++syncs;
    return sync_errno;
  }
  std::atomic<int> write_errno{0}, sync_errno{0}, syncs{0};
};

class JournalTest : public ::testing::Test {
 protected:
  JournalTest() {
    std::string pattern = (fs::temp_directory_path() / "tocayo-journal-XXXXXX").string();
    options.dir = ::mkdtemp(pattern.data());
    options.batch_delay = std::chrono::milliseconds(0);
    options.faults = &faults;
  }
  ~JournalTest() override {
    partition.reset();
    fs::remove_all(options.dir);
  }
  void open() {
    partition.reset();
    journal = std::move(*open_local_journal(options));
    auto opened = journal->open_partition(0);
    ASSERT_TRUE(opened) << opened.error().message;
    partition = std::move(*opened);
  }
  Result<Position> append(std::string_view payload, std::uint8_t kind = 1) {
    return sync_wait(partition->append(kind, payload));
  }
  std::vector<std::string> all(Position from = 0) {
    std::vector<std::string> records;
    auto stats = partition->read(from, [&](const Record& record) -> Result<> {
      records.emplace_back(record.payload);
      return {};
    });
    EXPECT_TRUE(stats);
    if (stats) corrupt = stats->corrupt;
    return records;
  }
  std::vector<fs::path> segments() {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(options.dir + "/0")) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
  }

  SwitchedFaults faults;
  LocalOptions options;
  std::unique_ptr<Journal> journal;
  std::unique_ptr<Partition> partition;
  std::uint64_t corrupt = 0;
};

using Strings = std::vector<std::string>;

TEST_F(JournalTest, RecordsComeBackInOrderAndFromAPosition) {
  for (SyncMode mode : {SyncMode::batch, SyncMode::interval, SyncMode::off}) {
    options.mode = mode;
    open();
    const Position start = partition->next();
    append("one").value();
    const Position second = append("two").value();
    append("", 7).value();
    EXPECT_EQ(all(start), (Strings{"one", "two", ""}));
    EXPECT_EQ(all(second), (Strings{"two", ""}));
    EXPECT_EQ(all(partition->next()), Strings{});
    ASSERT_TRUE(partition->sync());
    open();
    EXPECT_EQ(all(start), (Strings{"one", "two", ""}));
  }
}

TEST_F(JournalTest, WaitingAppendsShareOneSync) {
  options.batch_delay = std::chrono::milliseconds(20);
  open();
  const int before = faults.syncs;
  std::mutex mutex;
  std::condition_variable ready;
  int acknowledged = 0;
  for (int i = 0; i < 100; ++i) {
    partition
        ->append(1, "x",
                 [&](Result<> result) {
                   EXPECT_TRUE(result);
                   std::lock_guard lock(mutex);
                   ++acknowledged;
                   ready.notify_one();
                 })
        .value();
  }
  std::unique_lock lock(mutex);
  ASSERT_TRUE(ready.wait_for(lock, std::chrono::seconds(30), [&] { return acknowledged == 100; }));
  EXPECT_LE(faults.syncs - before, 20);
}

TEST_F(JournalTest, SegmentsRotateAndTrimRemovesWholeOnesOnly) {
  options.segment_size = 1000;
  open();
  std::vector<Position> positions;
  for (int i = 0; i < 50; ++i) positions.push_back(append(std::string(100, static_cast<char>('a' + i % 26))).value());
  EXPECT_GT(segments().size(), 4U);
  ASSERT_TRUE(partition->trim(positions[25]));
  EXPECT_LE(partition->first(), positions[25]);
  EXPECT_GT(partition->first(), 0U);
  EXPECT_EQ(all(positions[25]).size(), 25U);
  open();
  EXPECT_EQ(all(positions[25]).size(), 25U);
  ASSERT_TRUE(partition->trim(partition->next()));
  EXPECT_EQ(partition->bytes(), 0U);
  const Position next = partition->next();
  open();
  EXPECT_EQ(partition->next(), next);
  EXPECT_EQ(append("after").value(), next);
  EXPECT_EQ(all(next), (Strings{"after"}));
}

TEST_F(JournalTest, ATornTailIsCutOffAtEveryLength) {
  for (std::uint64_t cut = 1; cut < kFrameHeaderSize + 5; ++cut) {
    fs::remove_all(options.dir + "/0");
    open();
    append("first").value();
    append("torn!").value();
    partition.reset();
    fs::resize_file(segments().back(), fs::file_size(segments().back()) - cut);
    open();
    EXPECT_EQ(all(), (Strings{"first"})) << cut;
    append("next").value();
    open();
    EXPECT_EQ(all(), (Strings{"first", "next"})) << cut;
    EXPECT_EQ(corrupt, 0U);
  }
}

TEST_F(JournalTest, ADamagedRecordInTheMiddleIsSkippedAndCounted) {
  Counter& counter = Registry::global().counter("tocayo_journal_corrupt_records_total", "");
  for (std::uint64_t at = 0; at < kFrameHeaderSize + 6; ++at) {
    fs::remove_all(options.dir + "/0");
    open();
    append("first.").value();
    const Position middle = append("second").value();
    append("third.").value();
    partition.reset();
    {
      std::fstream file(segments().back(), std::ios::in | std::ios::out | std::ios::binary);
      const auto offset = static_cast<std::streamoff>(kSegmentHeaderSize + middle + at);
      file.seekg(offset);
      const char byte = static_cast<char>(file.get() ^ 0x40);
      file.seekp(offset);
      file.put(byte);
    }
    open();
    const double before = counter.value();
    EXPECT_EQ(all(), (Strings{"first.", "third."})) << at;
    EXPECT_EQ(corrupt, 1U);
    EXPECT_EQ(counter.value(), before + 1);
    append("fourth").value();
    EXPECT_EQ(all(), (Strings{"first.", "third.", "fourth"}));
  }
}

TEST_F(JournalTest, ACrashRightAfterCreatingASegmentIsMended) {
  open();
  append("kept").value();
  const Position next = partition->next();
  partition.reset();
  std::ofstream(options.dir + "/0/" + std::string(20 - std::to_string(next).size(), '0') + std::to_string(next) +
                ".seg")
      << "TC";
  open();
  EXPECT_EQ(append("more").value(), next);
  EXPECT_EQ(all(), (Strings{"kept", "more"}));
}

TEST_F(JournalTest, ASegmentOfAnotherVersionIsRefused) {
  open();
  append("kept").value();
  partition.reset();
  std::fstream file(segments().back(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(4);
  file.put(9);
  file.close();
  EXPECT_FALSE(journal->open_partition(0));
}

TEST_F(JournalTest, FullDiskFailsWhatIsAtHandAndRecoversByItself) {
  for (SyncMode mode : {SyncMode::batch, SyncMode::interval}) {
    options.mode = mode;
    fs::remove_all(options.dir + "/0");
    open();
    append("before").value();
    faults.write_errno = ENOSPC;
    for (int i = 0; i < 3; ++i) {
      auto failed = append("lost");
      ASSERT_FALSE(failed);
      EXPECT_EQ(failed.error().kind, ErrorKind::unavailable);
    }
    EXPECT_FALSE(partition->health());
    faults.write_errno = 0;
    append("after").value();
    EXPECT_TRUE(partition->health());
    EXPECT_EQ(all(), (Strings{"before", "after"}));
    open();
    EXPECT_EQ(all(), (Strings{"before", "after"}));
    EXPECT_EQ(corrupt, 0U);
  }
}

TEST_F(JournalTest, AFailedSyncMakesThePartitionReadOnly) {
  open();
  append("before").value();
  faults.sync_errno = EIO;
  auto failed = append("doubtful");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::unavailable);
  faults.sync_errno = 0;
  auto later = append("later");
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error().kind, ErrorKind::unavailable);
  EXPECT_FALSE(partition->sync());
  EXPECT_EQ(all().front(), "before");
  open();
  EXPECT_TRUE(append("again"));
}

TEST_F(JournalTest, ManyThreadsAppendAndEveryAcknowledgedRecordIsThere) {
  open();
  constexpr int kThreads = 4;
  constexpr int kEach = 200;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) EXPECT_TRUE(append(std::to_string(t) + ":" + std::to_string(i)));
      });
    }
  }
  int next[kThreads] = {};
  for (const std::string& record : all()) {
    const int thread = record[0] - '0';
    EXPECT_EQ(record.substr(2), std::to_string(next[thread]++));
  }
  for (int n : next) EXPECT_EQ(n, kEach);
}

TEST_F(JournalTest, RandomDamageNeverYieldsARecordThatWasNotWritten) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 50; ++round) {
    fs::remove_all(options.dir + "/0");
    options.mode = SyncMode::off;
    options.segment_size = 600;
    open();
    Strings written;
    for (int i = 0; i < 30; ++i) {
      written.push_back("record " + std::to_string(i) + std::string(random() % 60, 'x'));
      append(written.back()).value();
    }
    partition.reset();
    const auto files = segments();
    const fs::path victim = files[random() % files.size()];
    std::fstream file(victim, std::ios::in | std::ios::out | std::ios::binary);
    for (std::uint64_t n = 1 + random() % 4; n > 0; --n) {
      file.seekp(
          static_cast<std::streamoff>(kSegmentHeaderSize + random() % (fs::file_size(victim) - kSegmentHeaderSize)));
      file.put(static_cast<char>(random()));
    }
    file.close();
    open();
    std::size_t at = 0;
    const Strings found = all();
    for (const std::string& record : found) {
      while (at < written.size() && written[at] != record) ++at;
      ASSERT_LT(at, written.size()) << "never written: " << record;
    }
    EXPECT_GE(found.size(), 26U);
  }
}

}  // namespace
}  // namespace tocayo::journal
