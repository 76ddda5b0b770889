// SPDX-License-Identifier: Apache-2.0
// Crashes at each step, full disks, damaged files.
#include <filesystem>
#include <fstream>
#include <thread>

#include "logs/store/store_test_support.h"

namespace tocayo::logs {
namespace {

using namespace testing;
using Texts = std::vector<std::string>;

const Labels kWeb{{"app", "web"}};
const Labels kDb{{"app", "db"}};

class FullDisk final : public journal::Faults {
 public:
  int on_write(std::uint64_t& size) override {
    if (!full.load()) return 0;
    size /= 2;
    return ENOSPC;
  }
  int on_sync() override { return 0; }
  std::atomic<bool> full{false};
};

class StoreFaultTest : public StoreFixture {
 protected:
  void SetUp() override {
    options_.faults = &disk_;
    options_.step = [this](std::string_view name) -> Result<> {
      if (name != stop_at_) return {};
      return fail(ErrorKind::internal, "stopped at " + std::string(name));
    };
    StoreFixture::SetUp();
  }
  std::vector<std::filesystem::path> files() {
    std::vector<std::filesystem::path> out;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path() / "logs" / "segments")) {
      if (entry.is_regular_file()) out.push_back(entry.path());
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  static void flip(const std::filesystem::path& file, std::uint64_t at) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(static_cast<std::streamoff>(at));
    const char old = static_cast<char>(stream.get());
    stream.seekp(static_cast<std::streamoff>(at));
    stream.put(static_cast<char>(old ^ 0x55));
  }

  FullDisk disk_;
  int lines_ = 0;
  std::string stop_at_;
};

TEST_F(StoreFaultTest, ACrashAtAnyStepOfACutLosesAndDoublesNothing) {
  options_.group_bytes = 1000;
  store_.reset();
  open();
  std::vector<Line> all;
  int number = 0;
  auto more = [&] {
    std::vector<Line> batch;
    for (int i = 0; i < 300; ++i) {
      batch.push_back({Labels{{"app", "app" + std::to_string(i % 5)}},
                       kNow + i % 7 * 86'400 * kSecond - i,
                       "line " + std::to_string(++number),
                       {}});
    }
    append(batch);
    all.insert(all.end(), batch.begin(), batch.end());
    std::sort(all.begin(), all.end());
  };
  auto sorted = [&] {
    auto lines = read(everything());
    std::sort(lines.begin(), lines.end());
    return lines;
  };
  for (const char* step : {"cut: one file written", "cut: files written", "cut: catalogue written", "cut: published",
                           "cut: journal trimmed"}) {
    SCOPED_TRACE(step);
    more();
    stop_at_ = step;
    EXPECT_FALSE(store_->flush());
    more();  // goes on in the next head
    stop_at_.clear();
    crash_and_open();
    EXPECT_EQ(sorted(), all);
    EXPECT_EQ(files().size(), store_->stats("a").segments) << "orphans are gone";
    ASSERT_TRUE(store_->flush());
    EXPECT_EQ(sorted(), all);
  }
}

TEST_F(StoreFaultTest, ACutThatFailedIsTriedAgain) {
  append({{kWeb, kNow, "one", {}}});
  stop_at_ = "cut: files written";
  EXPECT_FALSE(store_->flush());
  EXPECT_TRUE(files().empty());
  append({{kWeb, kNow + 1, "two", {}}});
  EXPECT_EQ(append({{kWeb, kNow, "one", {}}}).duplicates, 1U) << "the frozen head still counts";
  EXPECT_EQ(texts(), (Texts{"one", "two"}));
  stop_at_.clear();
  ASSERT_TRUE(store_->flush());
  EXPECT_EQ(texts(), (Texts{"one", "two"}));
  EXPECT_EQ(store_->stats("a").head_rows, 0U);
}

TEST_F(StoreFaultTest, ACrashAtAnyStepOfAMergeLosesAndDoublesNothing) {
  options_.merge_count = 3;
  for (const char* step : {"merge: files written", "merge: catalogue written", "merge: published"}) {
    SCOPED_TRACE(step);
    store_.reset();
    open();
    const std::size_t before = read(everything()).size();
    for (int i = 0; i < 3; ++i) {
      append({{kWeb, kNow - i, std::string(step) + std::to_string(i), {}}, {kDb, kNow + i, std::string(step), {}}});
      ASSERT_TRUE(store_->flush());
    }
    clock_.advance(2 * 3'600'000);
    stop_at_ = step;
    store_->maintain();
    stop_at_.clear();
    EXPECT_EQ(read(everything()).size(), before + 6);
    crash_and_open();
    EXPECT_EQ(read(everything()).size(), before + 6);
    clock_.advance(10'000);
    for (int i = 0; i < 4; ++i) store_->maintain();
    EXPECT_EQ(read(everything()).size(), before + 6);
    EXPECT_EQ(files().size(), store_->stats("a").segments);
  }
}

TEST_F(StoreFaultTest, AFullDiskRefusesAndRecovers) {
  append({{kWeb, kNow, "before", {}}});
  disk_.full = true;
  auto refused = try_append({{kWeb, kNow + 1, "refused", {}}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
  EXPECT_EQ(texts(), Texts{"before"}) << "queries go on, and see nothing that was refused";
  disk_.full = false;
  append({{kWeb, kNow + 1, "accepted", {}}});
  EXPECT_EQ(texts(), (Texts{"before", "accepted"}));
  crash_and_open();
  EXPECT_EQ(texts(), (Texts{"before", "accepted"}));
}

TEST_F(StoreFaultTest, TheLastOfTheDiskIsKeptForWhatFreesIt) {
  std::atomic<std::uint64_t> free_bytes{500 << 20};
  options_.disk_space = [&]() -> Result<DiskSpace> { return DiskSpace{100ULL << 30, free_bytes.load()}; };
  options_.disk_reserve = 256 << 20;
  store_.reset();
  open();
  auto until = [&](bool accepted) {
    // What the system says is asked for now and then.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::chrono::steady_clock::now() < deadline) {
      auto result = try_append({{kWeb, kNow + ++lines_, "line", {}}});
      if (result.has_value() == accepted) return result;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return try_append({{kWeb, kNow + ++lines_, "line", {}}});
  };
  ASSERT_TRUE(until(true));
  free_bytes = 255 << 20;
  auto refused = until(false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
  EXPECT_NE(refused.error().message.find("disk is full"), std::string::npos) << refused.error().message;
  EXPECT_FALSE(store_->health());
  const auto stored = texts().size();
  EXPECT_GE(stored, 1U) << "reads go on";
  store_->maintain();
  EXPECT_EQ(store_->stats("a").head_rows, 0U) << "the head becomes a segment, so that the journal can go";
  EXPECT_EQ(texts().size(), stored);
  free_bytes = 260 << 20;  // not enough more to begin again
  EXPECT_FALSE(until(false));
  free_bytes = 300 << 20;
  ASSERT_TRUE(until(true));
  EXPECT_TRUE(store_->health());
}

TEST_F(StoreFaultTest, AMergeThatDoesNotFitIsNotBegun) {
  std::uint64_t free_bytes = 1 << 30;
  options_.disk_space = [&]() -> Result<DiskSpace> { return DiskSpace{100ULL << 30, free_bytes}; };
  options_.merge_count = 2;
  store_.reset();
  open();
  for (int i = 0; i < 3; ++i) {
    append({{kWeb, kNow + i, "line " + std::to_string(i), {}}});
    ASSERT_TRUE(store_->flush());
  }
  clock_.advance(2 * 3'600'000);
  free_bytes = 10;
  store_->maintain();
  EXPECT_EQ(store_->stats("a").segments, 3U);
  free_bytes = 1 << 30;
  clock_.advance(6000);
  store_->maintain();
  EXPECT_EQ(store_->stats("a").segments, 1U);
  EXPECT_EQ(texts().size(), 3U);
}

TEST_F(StoreFaultTest, TheServersClockMayJump) {
  options_.merge_count = 2;
  options_.cut_age = std::chrono::seconds(1);
  store_.reset();
  open();
  Texts all;
  constexpr TimestampMs kDayMs = 86'400'000;
  for (const TimestampMs jump : {kDayMs, -3 * kDayMs, TimestampMs{0}, 300 * kDayMs, -600 * kDayMs, 2 * kDayMs}) {
    clock_.advance(jump);
    for (int i = 0; i < 3; ++i) {
      all.push_back("line " + std::to_string(all.size()));
      append({{kWeb, kNow + static_cast<TimestampNs>(all.size()), all.back(), {}}});
      EXPECT_EQ(append({{kWeb, kNow + static_cast<TimestampNs>(all.size()), all.back(), {}}}).duplicates, 1U);
      clock_.advance(2000);
      store_->maintain();
    }
    EXPECT_EQ(texts(), all);
    EXPECT_EQ(store_->stats("a").head_rows, 0U) << "heads are cut whatever the clock does";
    // In memory while it jumps.
    all.push_back("line " + std::to_string(all.size()));
    append({{kWeb, kNow + static_cast<TimestampNs>(all.size()), all.back(), {}}});
  }
  crash_and_open();
  EXPECT_EQ(texts(), all);
}

TEST_F(StoreFaultTest, TooMuchInMemoryRefusesUntilItIsWritten) {
  options_.head_memory = 200'000;
  store_.reset();
  open();
  Result<AppendResult> result;
  int sent = 0;
  stop_at_ = "cut: files written";
  do {
    result = try_append({{kWeb, kNow + sent, std::string(10'000, 'x'), {}}});
    if (result) ++sent;
    if (sent % 5 == 0) {
      store_->maintain();
      clock_.advance(6000);
    }
  } while (result && sent < 1000);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::unavailable);
  EXPECT_FALSE(store_->health());
  stop_at_.clear();
  clock_.advance(6000);
  store_->maintain();
  EXPECT_TRUE(store_->health());
  append({{kWeb, kNow + sent, "again", {}}});
  EXPECT_EQ(read(everything()).size(), static_cast<std::size_t>(sent) + 1);
}

TEST_F(StoreFaultTest, ADamagedFooterQuarantinesTheSegment) {
  append({{kWeb, kNow, "one", {}}});
  ASSERT_TRUE(store_->flush());
  append({{kDb, kNow, "two", {}}});
  ASSERT_TRUE(store_->flush());
  auto list = files();
  ASSERT_EQ(list.size(), 2U);
  std::filesystem::resize_file(list[0], std::filesystem::file_size(list[0]) / 2);
  crash_and_open();
  std::vector<std::string> warnings;
  auto lines = read(everything(), "a", &warnings);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].text, "two");
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("are left out"), std::string::npos) << warnings[0];
  append({{kWeb, kNow + 5, "three", {}}});
  EXPECT_EQ(read(everything()).size(), 2U);
  EXPECT_TRUE(std::filesystem::exists(list[0])) << "kept for repair";
}

TEST_F(StoreFaultTest, ADamagedRowGroupIsLeftOutWithAWarning) {
  std::vector<Line> lines;
  for (int i = 0; i < 2000; ++i) lines.push_back({kWeb, kNow + i, "line with number " + std::to_string(i * 7919), {}});
  append(lines);
  ASSERT_TRUE(store_->flush());
  auto list = files();
  ASSERT_EQ(list.size(), 1U);
  flip(list[0], 200);
  crash_and_open();
  std::vector<std::string> warnings;
  auto got = read(everything(), "a", &warnings);
  EXPECT_TRUE(got.size() == 2000 || !warnings.empty()) << "never a silent gap";
  if (!warnings.empty()) {
    EXPECT_NE(warnings[0].find("{app=\"web\"}"), std::string::npos) << warnings[0];
  }
}

TEST_F(StoreFaultTest, ATornAndADamagedJournalAreReadAsFarAsTheyGo) {
  for (int i = 0; i < 3; ++i) append({{kWeb, kNow + i, "line " + std::to_string(i), {}}});
  store_.reset();
  std::vector<std::filesystem::path> wal;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path() / "logs" / "wal")) {
    if (entry.is_regular_file()) wal.push_back(entry.path());
  }
  ASSERT_EQ(wal.size(), 1U);
  const auto size = std::filesystem::file_size(wal[0]);
  {
    std::ofstream torn(wal[0], std::ios::app | std::ios::binary);
    torn << "half a rec";
  }
  open();
  EXPECT_EQ(texts(), (Texts{"line 0", "line 1", "line 2"}));
  store_.reset();
  flip(wal[0], size / 2);  // in the second record
  open();
  EXPECT_EQ(texts(), (Texts{"line 0", "line 2"}));
  append({{kWeb, kNow + 1, "line 1", {}}});
  EXPECT_EQ(texts(), (Texts{"line 0", "line 1", "line 2"}));
}

TEST_F(StoreFaultTest, ALostJournalDoesNotHideNewLines) {
  append({{kWeb, kNow, "old", {}}});
  ASSERT_TRUE(store_->flush());
  store_.reset();
  std::filesystem::remove_all(directory_.path() / "logs" / "wal");
  open();
  append({{kWeb, kNow + 1, "new", {}}});
  crash_and_open();
  EXPECT_EQ(texts(), (Texts{"old", "new"}));
}

TEST_F(StoreFaultTest, CleanShutdownLeavesNothingToReplay) {
  append({{kWeb, kNow, "one", {}}});
  ASSERT_TRUE(store_->close());
  store_.reset();
  open();
  EXPECT_EQ(store_->stats("a").head_rows, 0U);
  EXPECT_EQ(texts(), Texts{"one"});
}

}  // namespace
}  // namespace tocayo::logs
