// SPDX-License-Identifier: Apache-2.0
// The store when disk, file or process fail: nothing acknowledged is lost, nothing half-written is read, nothing else
// suffers.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <thread>

#include "core/testing.h"
#include "metrics/store_test_support.h"

namespace tocayo::metrics {
namespace {

using namespace testing;

const TimestampMs kT = 1'700'000'000'000;

Labels series_labels(int i) { return {{"__name__", "m"}, {"i", std::to_string(i)}}; }

TEST(StoreFault, FullDiskIsUnavailableLeavesNothingAndRecovers) {
  for (auto mode : {journal::SyncMode::interval, journal::SyncMode::batch}) {
    TemporaryDir dir;
    ManualClock clock;
    SwitchedFaults faults;
    auto options = options_for(dir.path, clock);
    options.wal_mode = mode;
    options.faults = &faults;
    auto store = must_open(options);
    append_one(*store, series_labels(1), {{kT, 1}}).value();
    faults.write_errno = ENOSPC;
    for (int i = 0; i < 5; ++i) {
      auto failed = append_one(*store, series_labels(i), {{kT + 1, 2}});
      ASSERT_FALSE(failed);
      EXPECT_EQ(failed.error().kind, ErrorKind::unavailable);
    }
    EXPECT_EQ(read_all(*store).size(), 1U);
    EXPECT_EQ(floats_of(read_all(*store), series_labels(1)).size(), 1U);
    EXPECT_FALSE(store->health());
    faults.write_errno = 0;
    // The same rows again, as a sender does: also of series that exist only because of the failed attempt.
    for (int i = 0; i < 5; ++i) {
      auto retried = append_one(*store, series_labels(i), {{kT + 1, 3}});
      ASSERT_TRUE(retried);
      EXPECT_EQ(retried->floats_written, 1U) << i;
    }
    EXPECT_TRUE(store->health());
    store.reset();
    store = must_open(options);
    const auto all = read_all(*store);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(floats_of(all, series_labels(i)).back(), show(kT + 1, 3)) << i;
  }
}

TEST(StoreFault, FailedFsyncMakesTheStoreReadOnly) {
  TemporaryDir dir;
  ManualClock clock;
  SwitchedFaults faults;
  auto options = options_for(dir.path, clock);
  options.shards = 1;
  options.wal_mode = journal::SyncMode::batch;
  options.faults = &faults;
  auto store = must_open(options);
  append_one(*store, series_labels(1), {{kT, 1}}).value();
  faults.sync_errno = EIO;
  ASSERT_FALSE(append_one(*store, series_labels(1), {{kT + 1, 2}}));
  faults.sync_errno = 0;
  auto still = append_one(*store, series_labels(1), {{kT + 2, 2}});
  ASSERT_FALSE(still);
  EXPECT_EQ(still.error().kind, ErrorKind::unavailable);
  EXPECT_NE(still.error().message.find("fsync"), std::string::npos);
  EXPECT_EQ(floats_of(read_all(*store), series_labels(1)).size(), 1U);
}

// One shard's journal fails, the other's does not: nothing of the request may ever be read.
class FailOnePartition final : public journal::Faults {
 public:
  int on_write(std::uint64_t& size) override {
    if (!armed || writes++ % 2 == 0) return 0;
    size = 0;
    return ENOSPC;
  }
  int on_sync() override { return 0; }
  bool armed = false;
  int writes = 0;
};

TEST(StoreFault, ARequestThatFailsInOneShardIsReplayedInNone) {
  TemporaryDir dir;
  ManualClock clock;
  FailOnePartition faults;
  auto options = options_for(dir.path, clock);
  options.faults = &faults;
  auto store = must_open(options);
  std::vector<Labels> labels;
  for (int i = 0; i < 20; ++i) labels.push_back(series_labels(i));
  auto append_to_all = [&](TimestampMs time, double value) {
    std::vector<FloatRow> rows{{time, value}};
    std::vector<SeriesRows> series;
    for (const Labels& l : labels) series.push_back({.labels = &l, .floats = rows});
    return sync_wait(store->append("t", {.series = series, .metadata = {}}));
  };
  ASSERT_TRUE(append_to_all(kT, 1));
  faults.armed = true;
  ASSERT_FALSE(append_to_all(kT + 1, 2));
  faults.armed = false;
  for (int round = 0; round < 2; ++round) {
    for (const auto& [l, series] : read_all(*store)) EXPECT_EQ(series.floats.size(), 1U) << l.to_string();
    store.reset();
    store = must_open(options);
  }
  ASSERT_TRUE(append_to_all(kT + 1, 3));
  store.reset();
  store = must_open(options);
  const auto all = read_all(*store);
  EXPECT_EQ(all.size(), 20U);
  for (const Labels& l : labels) EXPECT_EQ(floats_of(all, l), (std::vector<std::string>{show(kT, 1), show(kT + 1, 3)}));
}

std::vector<std::filesystem::path> files_under(const std::string& dir, const std::string& extension) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir)) {
    if (entry.is_regular_file() && entry.path().extension() == extension) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void flip_bit(const std::filesystem::path& path, std::uint64_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(at));
  const char byte = static_cast<char>(file.get() ^ 0x10);
  file.seekp(static_cast<std::streamoff>(at));
  file.put(byte);
}

TEST(StoreFault, TornTailIsCutAndAFlippedBitCostsOneRecordOnly) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 20; ++round) {
    TemporaryDir dir;
    ManualClock clock;
    auto options = options_for(dir.path, clock);
    options.shards = 1;
    auto store = must_open(options);
    // The series are defined before the damage.
    for (int i = 0; i < 5; ++i) append_one(*store, series_labels(i), {{kT, 0}}).value();
    ASSERT_TRUE(store->checkpoint());
    for (int n = 1; n <= 50; ++n) append_one(*store, series_labels(n % 5), {{kT + n, static_cast<double>(n)}}).value();
    store.reset();
    const auto segment = files_under(dir.path + "/wal", ".seg").back();
    const auto size = std::filesystem::file_size(segment);
    if (round % 2 == 0) {
      std::filesystem::resize_file(segment, size - 1 - random() % 10);
    } else {
      flip_bit(segment, 16 + random() % (size - 16));
    }
    store = must_open(options);
    std::size_t found = 0;
    for (const auto& [labels, series] : read_all(*store)) {
      for (const auto& [time, bits] : series.floats) {
        EXPECT_EQ(std::bit_cast<double>(bits), static_cast<double>(time - kT));
        ++found;
      }
    }
    EXPECT_EQ(found, 54U) << "round " << round;
    // It goes on as if nothing had been.
    EXPECT_EQ(append_one(*store, series_labels(1), {{kT + 1000, 1000}})->floats_written, 1U);
    store.reset();
    store = must_open(options);
    EXPECT_EQ(floats_of(read_all(*store), series_labels(1)).back(), show(kT + 1000, 1000));
  }
}

TEST(StoreFault, FlippedBitsInASegmentAreFoundAndHarmNoOtherSegment) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 40; ++round) {
    TemporaryDir dir;
    ManualClock clock;
    auto options = options_for(dir.path, clock);
    auto store = must_open(options);
    for (int i = 0; i < 10; ++i) append_one(*store, series_labels(i), {{kT, 1.5}, {kT + 1, 2.5}}).value();
    ASSERT_TRUE(store->seal());
    for (int i = 0; i < 10; ++i) append_one(*store, series_labels(i), {{kT + 10'000, 3}}).value();
    ASSERT_TRUE(store->seal());
    store.reset();
    auto segments = files_under(dir.path + "/segments", ".seg");
    ASSERT_EQ(segments.size(), 2U);
    flip_bit(segments[0], random() % std::filesystem::file_size(segments[0]));
    store = must_open(options);
    // The old range: right, or an error that names the file, or the file was set aside; never a wrong sample.
    auto querier = store->querier("t");
    auto set = querier->select({}, {.start = kT, .end = kT + 100}, Context());
    if (!set) {
      EXPECT_NE(set.error().message.find(segments[0].filename().string()), std::string::npos) << set.error().message;
    } else {
      SampleColumns columns;
      for (std::size_t i = 0; i < (*set)->size(); ++i) {
        auto read = (*set)->read(i, columns);
        if (!read) {
          EXPECT_NE(read.error().message.find(segments[0].filename().string()), std::string::npos);
          continue;
        }
        EXPECT_EQ(columns.times, (std::vector<TimestampMs>{kT, kT + 1}));
        EXPECT_EQ(columns.values, (std::vector<double>{1.5, 2.5}));
      }
    }
    EXPECT_EQ(read_from(*querier, {}, kT + 5000, kT + 20'000).size(), 10U);
  }
}

// A child appends and tells through a pipe what was acknowledged; it is killed at a random moment.
[[noreturn]] void crash_child(const std::string& dir, int pipe, int first_step) {
  auto options = options_for(dir, Clock::system());
  options.wal_mode = journal::SyncMode::batch;
  options.wal_batch_delay = std::chrono::milliseconds(0);
  options.wal_segment_size = 64 * 1024;
  auto store = must_open(std::move(options));
  std::atomic<bool> stop{false};
  std::jthread maintainer([&] {
    std::mt19937 random(static_cast<unsigned>(::getpid()));
    while (!stop) {
      if (random() % 3 == 0) {
        (void)store->seal();
      } else {
        (void)store->checkpoint();
      }
    }
  });
  const TimestampMs base = Clock::system().now_ms() / 100'000'000 * 100'000'000;
  std::vector<Labels> labels;
  for (int i = 0; i < 30; ++i) labels.push_back(series_labels(i));
  for (std::int32_t step = first_step;; ++step) {
    std::vector<FloatRow> rows{{base + step, static_cast<double>(step)}};
    std::vector<SeriesRows> series;
    for (const Labels& l : labels) series.push_back({.labels = &l, .floats = rows});
    auto result = sync_wait(store->append("t", {.series = series, .metadata = {}}));
    if (!result || result->floats_written != labels.size()) ::_exit(3);
    if (::write(pipe, &step, sizeof step) != sizeof step) ::_exit(4);
  }
}

TEST(StoreFault, KillAtAnyMomentLosesNothingAcknowledged) {
  const char* wanted = std::getenv("TOCAYO_CRASH_ROUNDS");
  const int rounds = wanted != nullptr ? std::atoi(wanted) : test_rounds(8, 100, 3);
  TemporaryDir dir;
  std::mt19937_64 random(17);
  std::int32_t acknowledged = -1;
  std::int32_t next = 0;
  for (int round = 0; round < rounds; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(ends[0]);
      crash_child(dir.path, ends[1], next);
    }
    ::close(ends[1]);
    // Killed after a random number of acknowledgements, and a random moment after the last of them.
    const std::uint64_t steps = random() % 60;
    std::int32_t step = 0;
    for (std::uint64_t i = 0; i <= steps && ::read(ends[0], &step, sizeof step) == sizeof step; ++i)
      acknowledged = step;
    for (volatile std::uint64_t spin = random() % 20'000'000; spin > 0; spin = spin - 1) {
    }
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself with " << WEXITSTATUS(status);
    while (::read(ends[0], &step, sizeof step) == sizeof step) acknowledged = step;
    ::close(ends[0]);

    auto store = must_open(options_for(dir.path, Clock::system()));
    const auto all = read_all(*store);
    std::int32_t newest = acknowledged;
    if (acknowledged >= 0) {
      ASSERT_EQ(all.size(), 30U);
    }
    for (const auto& [labels, series] : all) {
      std::int32_t expected = 0;
      for (const auto& [time, bits] : series.floats) {
        ASSERT_EQ(std::bit_cast<double>(bits), static_cast<double>(expected))
            << labels.to_string() << " in round " << round;
        ++expected;
      }
      ASSERT_GE(expected - 1, acknowledged) << labels.to_string() << " in round " << round;
      newest = std::max(newest, expected - 1);
    }
    // What was not acknowledged is sent again: it may be there in part, and must then count as written.
    next = acknowledged + 1;
  }
}

}  // namespace
}  // namespace tocayo::metrics
