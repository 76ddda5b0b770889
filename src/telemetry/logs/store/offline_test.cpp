// SPDX-License-Identifier: Apache-2.0
// Catalogues that are lost, files that are damaged.
#include "logs/store/offline.h"

#include <filesystem>
#include <fstream>

#include "logs/store/store_test_support.h"

namespace tocayo::logs {
namespace {

using namespace testing;

const Labels kWeb{{"app", "web"}};

class OfflineTest : public StoreFixture {
 protected:
  void SetUp() override {
    options_.step = [this](std::string_view name) -> Result<> {
      if (name != stop_at_) return {};
      return fail(ErrorKind::internal, "stopped at " + std::string(name));
    };
    options_.merge_count = 3;
    options_.merge_settle = std::chrono::milliseconds(0);
    options_.group_bytes = 1000;
    StoreFixture::SetUp();
  }
  void more(int count = 300) {
    std::vector<Line> batch;
    for (int i = 0; i < count; ++i) {
      ++number_;
      batch.push_back({Labels{{"app", "app" + std::to_string(i % 5)}}, kNow + i % 3 * 86'400 * kSecond + number_,
                       "line " + std::to_string(number_),
                       i % 4 == 0 ? Pairs{{"trace", std::to_string(number_)}} : Pairs{}});
    }
    append(batch);
    all_.insert(all_.end(), batch.begin(), batch.end());
    std::sort(all_.begin(), all_.end());
  }
  std::vector<Line> sorted() {
    auto lines = read(everything());
    std::sort(lines.begin(), lines.end());
    return lines;
  }
  // As after kill -9, with the database gone.
  void lose_catalogue() {
    store_.reset();
    database_.reset();
    database_ = db::testing::open_database(directory_.path() / ("again" + std::to_string(++databases_) + ".db"));
    options_.database = database_.get();
    stop_at_.clear();
  }
  RebuildReport rebuild() {
    said_.clear();
    auto report = rebuild_catalogue(
        {directory_.path() / "logs", database_.get(), [this](std::string text) { said_ += text + "\n"; }});
    EXPECT_TRUE(report.has_value()) << report.error().message;
    return report ? *report : RebuildReport{};
  }
  std::vector<std::filesystem::path> files() { return *segment_files(directory_.path() / "logs"); }

  std::vector<Line> all_;
  int number_ = 0;
  int databases_ = 0;
  std::string stop_at_;
  std::string said_;
};

TEST_F(OfflineTest, ALostCatalogueIsMadeAgainFromTheFooters) {
  for (int i = 0; i < 4; ++i) {
    more();
    ASSERT_TRUE(store_->flush());
  }
  clock_.advance(5 * 86'400'000LL);
  for (int i = 0; i < 6; ++i) store_->maintain();
  more();
  ASSERT_TRUE(store_->flush());
  more();  // in the journal only
  lose_catalogue();
  auto refused = Store::open(options_);
  ASSERT_FALSE(refused) << "files that are nowhere else must not be taken for leftovers";
  EXPECT_EQ(refused.error().kind, ErrorKind::conflict);
  EXPECT_NE(refused.error().message.find("tocayo logs rebuild-catalogue"), std::string::npos)
      << refused.error().message;
  const auto before = files();
  const RebuildReport report = rebuild();
  EXPECT_GT(report.segments, 0U) << said_;
  EXPECT_EQ(report.unreadable, 0U) << said_;
  open();
  EXPECT_EQ(sorted(), all_) << said_;
  EXPECT_EQ(files().size(), store_->stats("a").segments);
  // And it goes on as if nothing had been.
  more();
  ASSERT_TRUE(store_->flush());
  crash_and_open();
  EXPECT_EQ(sorted(), all_);
}

TEST_F(OfflineTest, NothingIsLostOrDoubledWhereverTheStoreWasKilled) {
  for (const std::uint64_t segment_size : {64ULL << 20, 8ULL << 10}) {
    options_.journal_segment_size = segment_size;  // the small ones are really gone after a trim
    for (const char* step :
         {"cut: one file written", "cut: files written", "cut: catalogue written", "cut: published",
          "cut: journal trimmed", "merge: files written", "merge: catalogue written", "merge: published"}) {
      SCOPED_TRACE(step);
      store_.reset();
      open();
      for (int i = 0; i < 3; ++i) {
        more(60);
        ASSERT_TRUE(store_->flush());
      }
      more(60);
      clock_.advance(2 * 86'400'000LL);
      stop_at_ = step;
      if (stop_at_.starts_with("cut")) {
        EXPECT_FALSE(store_->flush());
      } else {
        store_->maintain();
      }
      lose_catalogue();
      rebuild();
      open();
      EXPECT_EQ(sorted(), all_) << said_;
      EXPECT_EQ(files().size(), store_->stats("a").segments);
      ASSERT_TRUE(store_->flush());
      EXPECT_EQ(sorted(), all_);
    }
  }
}

TEST_F(OfflineTest, AStoreInUseIsLeftAlone) {
  auto report = rebuild_catalogue({directory_.path() / "logs", database_.get(), {}});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, ErrorKind::conflict);
}

TEST_F(OfflineTest, DamageIsNamedAndRepaired) {
  options_.group_bytes = 64 << 20;
  store_.reset();
  open();
  std::vector<Line> lines;
  // More than one row group: they end at 65,536 rows.
  for (int i = 0; i < 70'000; ++i) {
    lines.push_back({i < 66'000 ? Labels{{"app", "first"}} : Labels{{"app", "second"}},
                     kNow + i,
                     "line number " + std::to_string(i * 7919),
                     {}});
  }
  append(lines);
  ASSERT_TRUE(store_->flush());
  ASSERT_EQ(files().size(), 1U);
  const auto file = files()[0];
  EXPECT_TRUE(check_segment(file).good());
  store_.reset();
  {
    // Blocks of the first group come first in the file.
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(300);
    stream.write("damage", 6);
  }
  const SegmentCheck check = check_segment(file);
  ASSERT_FALSE(check.unreadable) << check.unreadable->message;
  ASSERT_EQ(check.damaged.size(), 1U);
  EXPECT_EQ(check.damaged[0].group, 0U);
  EXPECT_EQ(check.damaged[0].rows, 65'536U);
  ASSERT_EQ(check.damaged[0].streams.size(), 1U);
  EXPECT_EQ(check.damaged[0].streams[0].to_string(false), "{app=\"first\"}");

  // Queries go on, and say what is missing.
  open();
  std::vector<std::string> warnings;
  EXPECT_EQ(read(everything(), "a", &warnings).size(), 70'000U - 65'536U);
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("{app=\"first\"}"), std::string::npos) << warnings[0];
  EXPECT_NE(warnings[0].find("2023-11-14T22:13:20"), std::string::npos) << warnings[0];
  store_.reset();

  std::string said;
  auto report =
      repair_store({directory_.path() / "logs", database_.get(), [&](std::string text) { said += text + "\n"; }});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->repaired, 1U);
  EXPECT_EQ(report->rows_lost, 65'536U);
  EXPECT_NE(said.find("{app=\"first\"}"), std::string::npos) << said;
  open();
  warnings.clear();
  EXPECT_EQ(read(everything(), "a", &warnings).size(), 70'000U - 65'536U);
  EXPECT_TRUE(warnings.empty());
  EXPECT_TRUE(std::filesystem::exists(directory_.path() / "logs" / "damaged" / file.filename()));
  ASSERT_EQ(files().size(), 1U);
  EXPECT_TRUE(check_segment(files()[0]).good());
}

TEST_F(OfflineTest, AFileThatCannotBeReadIsSetAside) {
  more();
  ASSERT_TRUE(store_->flush());
  store_.reset();
  const auto list = files();
  ASSERT_GT(list.size(), 1U);
  std::filesystem::resize_file(list[0], 100);
  EXPECT_TRUE(check_segment(list[0]).unreadable);
  auto report = repair_store({directory_.path() / "logs", database_.get(), {}});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->set_aside, 1U);
  EXPECT_EQ(report->checked, list.size());
  open();
  std::vector<std::string> warnings;
  EXPECT_EQ(read(everything(), "a", &warnings).size(), all_.size() - report->rows_lost);
  EXPECT_TRUE(warnings.empty());
}

}  // namespace
}  // namespace tocayo::logs
