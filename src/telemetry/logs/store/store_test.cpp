// SPDX-License-Identifier: Apache-2.0
#include "logs/store/store.h"

#include <filesystem>
#include <fstream>

#include "core/registry.h"
#include "logs/store/store_test_support.h"

namespace tocayo::logs {
namespace {

using namespace testing;
using Texts = std::vector<std::string>;

const Labels kWeb{{"app", "web"}, {"host", "h1"}};
const Labels kDb{{"app", "db"}, {"host", "h2"}};

using StoreTest = StoreFixture;

TEST_F(StoreTest, ALineIsThereOnceItIsAcknowledged) {
  EXPECT_EQ(append({{kWeb, kNow, "hello", {{"trace", "x1"}}}}).lines_written, 1U);
  EXPECT_EQ(read(everything()), (std::vector<Line>{{kWeb, kNow, "hello", {{"trace", "x1"}}}}));
  ASSERT_TRUE(store_->flush());
  EXPECT_EQ(store_->stats("a").head_rows, 0U);
  EXPECT_EQ(read(everything()), (std::vector<Line>{{kWeb, kNow, "hello", {{"trace", "x1"}}}}));
}

TEST_F(StoreTest, LinesInAnyOrderComeByTimeAndArrival) {
  append(
      {{kWeb, kNow + 3, "c", {}}, {kWeb, kNow + 1, "a", {}}, {kWeb, kNow + 2, "b1", {}}, {kWeb, kNow + 2, "b2", {}}});
  append({{kWeb, kNow + 2, "b3", {}}, {kWeb, kNow, "first", {}}});
  const Texts expected{"first", "a", "b1", "b2", "b3", "c"};
  EXPECT_EQ(texts(), expected);
  ASSERT_TRUE(store_->flush());
  EXPECT_EQ(texts(), expected);
  append({{kWeb, kNow + 2, "b4", {}}});
  EXPECT_EQ(texts(), (Texts{"first", "a", "b1", "b2", "b3", "b4", "c"}));
  ASSERT_TRUE(store_->flush());
  EXPECT_EQ(texts(), (Texts{"first", "a", "b1", "b2", "b3", "b4", "c"}));
}

TEST_F(StoreTest, ALineSentTwiceIsStoredOnce) {
  const std::vector<Line> batch{{kWeb, kNow, "one", {}},
                                {kWeb, kNow, "one", {{"t", "1"}}},
                                {kWeb, kNow, "two", {}},
                                {kWeb, kNow + 5, "one", {}},
                                {kDb, kNow, "one", {}}};
  EXPECT_EQ(append(batch).lines_written, 5U);
  auto again = append(batch);
  EXPECT_EQ(again.duplicates, 5U);
  EXPECT_EQ(again.lines_written, 0U);
  EXPECT_TRUE(again.rejected.empty());
  ASSERT_TRUE(store_->flush());
  EXPECT_EQ(append(batch).duplicates, 5U) << "known after the cut";
  crash_and_open();
  EXPECT_EQ(append(batch).duplicates, 5U) << "known after a restart, from the segment";
  EXPECT_EQ(append({{kWeb, kNow + 1, "between", {}}}).lines_written, 1U);
  EXPECT_EQ(read(everything()).size(), 6U);
}

TEST_F(StoreTest, ManyEqualTimesAreToldApart) {
  std::vector<Line> batch;
  for (int i = 0; i < 5000; ++i) batch.push_back({kWeb, kNow, "line " + std::to_string(i), {}});
  EXPECT_EQ(append(batch).lines_written, 5000U);
  EXPECT_EQ(append(batch).duplicates, 5000U);
  batch.push_back({kWeb, kNow, "new", {}});
  EXPECT_EQ(append(batch).lines_written, 1U);
}

TEST_F(StoreTest, ReferencesStandForLabels) {
  const EntryRow entry{kNow, "by labels", {}};
  StreamRows rows[1] = {{0, &kWeb, {&entry, 1}}};
  ASSERT_TRUE(sync_wait(store_->append("a", rows)));
  const StreamRef ref = rows[0].ref;
  EXPECT_NE(ref, 0U);
  EXPECT_TRUE(store_->valid("a", ref));
  const EntryRow second{kNow + 1, "by reference", {}};
  rows[0] = {ref, nullptr, {&second, 1}};
  auto result = sync_wait(store_->append("a", rows));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->lines_written, 1U);
  EXPECT_FALSE(store_->valid("b", ref)) << "of another tenant";
  append({{kDb, kNow, "x", {}}}, "b");
  EXPECT_FALSE(store_->valid("b", ref));
  rows[0] = {ref, nullptr, {&second, 1}};
  result = sync_wait(store_->append("b", rows));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->unresolved, std::vector<std::uint32_t>{0});
  crash_and_open();
  EXPECT_FALSE(store_->valid("a", ref)) << "of an earlier process";
  EXPECT_EQ(texts(), (Texts{"by labels", "by reference"}));
}

TEST_F(StoreTest, TenantsDoNotMix) {
  append({{kWeb, kNow, "of a", {}}}, "a");
  append({{kWeb, kNow, "of b", {}}}, "b");
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(texts(everything(), "a"), Texts{"of a"});
    EXPECT_EQ(texts(everything(), "b"), Texts{"of b"});
    EXPECT_TRUE(texts(everything(), "c").empty());
    ASSERT_TRUE(store_->flush());
  }
  EXPECT_EQ(store_->tenants(), (Texts{"a", "b"}));
}

TEST_F(StoreTest, SelectsByMatchersTimeLineAndMetadata) {
  append({{kWeb, kNow, "GET /a 200", {{"level", "info"}}},
          {kWeb, kNow + 1, "GET /b 500", {{"level", "error"}}},
          {kDb, kNow + 1, "slow 500 ms", {{"level", "error"}}},
          {kDb, kNow + 9, "", {}}});
  for (int round = 0; round < 2; ++round) {
    Selection selection = everything();
    selection.line_filters = {contains("500")};
    EXPECT_EQ(texts(selection), (Texts{"slow 500 ms", "GET /b 500"}));
    selection.matchers = {Matcher::equal("app", "web")};
    EXPECT_EQ(texts(selection), Texts{"GET /b 500"});
    selection = everything();
    selection.label_filters = {Matcher::equal("level", "error")};
    selection.line_filters = {contains("GET", true)};
    EXPECT_EQ(texts(selection), Texts{"slow 500 ms"});
    selection = everything();
    selection.label_filters = {Matcher::equal("app", "db")};  // decided by the stream's labels
    EXPECT_EQ(texts(selection), (Texts{"slow 500 ms", ""}));
    selection = everything();
    selection.start = kNow + 1;
    selection.end = kNow + 9;
    selection.line_filters = {{LineFilter::Kind::regex, false, {"b|slow"}}};
    EXPECT_EQ(texts(selection), (Texts{"slow 500 ms", "GET /b 500"}));
    selection = everything();
    selection.matchers = {*Matcher::create(Matcher::Type::regex, "host", "h1|h3")};
    selection.want_line = false;
    selection.want_metadata = false;
    auto rows = read(selection);
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_TRUE(rows[0].text.empty());
    EXPECT_TRUE(rows[0].metadata.empty());
    ASSERT_TRUE(store_->flush());
  }
}

TEST_F(StoreTest, LabelsSeriesAndVolumeComeFromHeadAndSegments) {
  append({{kWeb, kNow, "12345", {}}, {kWeb, kNow + 10, "123", {}}});
  ASSERT_TRUE(store_->flush());
  append({{kDb, kNow + 5, "1234567", {}}, {kWeb, kNow + 20, "1", {}}});
  auto querier = store_->querier("a");
  EXPECT_EQ(querier->label_names({}, 0, INT64_MAX, {})->names, (Texts{"app", "host"}));
  EXPECT_EQ(querier->label_values("app", {}, 0, INT64_MAX, {})->names, (Texts{"db", "web"}));
  EXPECT_EQ(querier->label_values("app", {}, kNow + 11, INT64_MAX, {})->names, Texts{"web"});
  EXPECT_EQ(*querier->series({}, 0, INT64_MAX, {}), (std::vector<Labels>{kDb, kWeb}));
  const std::vector<Matcher> sets[2] = {{Matcher::equal("app", "db")}, {Matcher::equal("app", "none")}};
  EXPECT_EQ(*querier->series(sets, 0, INT64_MAX, {}), std::vector<Labels>{kDb});
  auto volume = querier->volume({}, kNow + 5, INT64_MAX, {});
  ASSERT_TRUE(volume);
  ASSERT_EQ(volume->size(), 2U);
  EXPECT_EQ((*volume)[0].labels, kDb);
  EXPECT_EQ((*volume)[0].bytes, 7U);
  EXPECT_EQ((*volume)[1].rows, 2U);
  EXPECT_EQ((*volume)[1].bytes, 4U);
}

TEST_F(StoreTest, RowsOfOtherDaysGetSegmentsOfTheirOwn) {
  const TimestampNs day = 86'400 * kSecond;
  append({{kWeb, kNow, "today", {}}, {kWeb, kNow - 400 * day, "long ago", {}}, {kWeb, -5, "before the epoch", {}}});
  ASSERT_TRUE(store_->flush());
  EXPECT_EQ(store_->stats("a").segments, 3U);
  EXPECT_EQ(texts(), (Texts{"before the epoch", "long ago", "today"}));
}

TEST_F(StoreTest, AnyBytesComeBack) {
  std::string zeros("a\0b\xff\xfe\n", 6);
  std::string large(900'000, 'x');
  append({{kWeb, kNow, zeros, {{"k", std::string("v\0w", 3)}}}, {kWeb, kNow + 1, large, {}}, {kWeb, kNow + 2, "", {}}});
  for (int round = 0; round < 3; ++round) {
    auto lines = read(everything());
    ASSERT_EQ(lines.size(), 3U);
    EXPECT_EQ(lines[0].text, zeros);
    EXPECT_EQ(lines[0].metadata[0].second, std::string("v\0w", 3));
    EXPECT_EQ(lines[1].text, large);
    EXPECT_EQ(lines[2].text, "");
    if (round == 0) crash_and_open();
    if (round == 1) ASSERT_TRUE(store_->flush());
  }
}

TEST_F(StoreTest, ANeedleSkipsPagesOfTheHead) {
  std::vector<Line> lines;
  for (int i = 0; i < 60'000; ++i) lines.push_back({kWeb, kNow + i, "request number " + std::to_string(i), {}});
  options_.background = true;
  options_.bloom_age = std::chrono::milliseconds(0);
  store_.reset();
  open();
  append(lines);
  Selection selection = everything();
  selection.line_filters = {contains("zebra")};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  ScanStats stats;
  do {
    stats = {};
    EXPECT_TRUE(read(selection, "a", nullptr, &stats).empty());
  } while (stats.groups_skipped * 2 < stats.groups && std::chrono::steady_clock::now() < deadline);
  EXPECT_GE(stats.groups_skipped * 2, stats.groups);
  EXPECT_EQ(stats.rows, 60'000U) << "skipped rows are covered all the same";
  selection.line_filters = {contains("number 54321")};
  EXPECT_EQ(texts(selection), Texts{"request number 54321"});
}

TEST_F(StoreTest, SubscribersGetLinesAfterTheAcknowledgement) {
  std::mutex mutex;
  std::condition_variable arrived;
  Texts got;
  std::vector<std::uint64_t> orders;
  auto subscription = store_->subscribe("a", [&](const TailBatch& batch) {
    std::lock_guard lock(mutex);
    for (const Row& row : batch.rows) {
      got.push_back(batch.labels->get("app").data() + std::string(":") + std::string(row.line));
      orders.push_back(row.order);
    }
    arrived.notify_all();
  });
  append({{kWeb, kNow, "1", {}}, {kWeb, kNow, "1", {}}, {kWeb, kNow - 1, "2", {}}});
  append({{kWeb, kNow, "other tenant", {}}}, "b");
  append({{kWeb, kNow + 1, "3", {}}});
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(arrived.wait_for(lock, std::chrono::seconds(20), [&] { return got.size() >= 3; }));
    EXPECT_EQ(got, (Texts{"web:1", "web:2", "web:3"}));
    EXPECT_LT(orders[0], orders[1]);
  }
  EXPECT_EQ(subscription->dropped(), 0U);
  subscription.reset();
  append({{kWeb, kNow + 2, "4", {}}});
  EXPECT_EQ(got.size(), 3U);
}

TEST_F(StoreTest, PatternsCountKindsOfLines) {
  for (int i = 0; i < 10; ++i) {
    append(
        {{kWeb, kNow + i * kSecond, "user " + std::to_string(100 + i) + " logged in", {{"detected_level", "info"}}}});
  }
  append({{kWeb, kNow, "disk full", {{"detected_level", "error"}}}});
  for (int round = 0; round < 2; ++round) {
    auto patterns = store_->patterns("a", everything(), 5 * kSecond, 10, {});
    ASSERT_TRUE(patterns) << patterns.error().message;
    ASSERT_EQ(patterns->size(), 2U) << (*patterns)[0].text << " round " << round;
    EXPECT_EQ((*patterns)[0].text, "user <_> logged in");
    EXPECT_EQ((*patterns)[0].level, "info");
    ASSERT_EQ((*patterns)[0].samples.size(), 2U);
    EXPECT_EQ((*patterns)[0].samples[0].second, 5U);
    EXPECT_EQ((*patterns)[1].text, "disk full");
    ASSERT_TRUE(store_->flush());
  }
}

TEST_F(StoreTest, IdleStreamsAreForgottenAndFoundAgain) {
  append({{kWeb, kNow, "x", {}}});
  EXPECT_EQ(store_->stats("a").streams, 1U);
  clock_.advance(3'600'000);
  append({{kDb, kNow + 1, "y", {}}});
  ASSERT_TRUE(store_->flush());
  EXPECT_EQ(store_->stats("a").streams, 1U);
  EXPECT_EQ(append({{kWeb, kNow, "x", {}}}).duplicates, 1U) << "the segment still knows";
  EXPECT_EQ(read(everything()).size(), 2U);
}

TEST_F(StoreTest, CutsByAgeAndSize) {
  options_.cut_bytes = 1000;
  store_.reset();
  open();
  append({{kWeb, kNow, "small", {}}});
  store_->maintain();
  EXPECT_EQ(store_->stats("a").segments, 0U);
  clock_.advance(31 * 60'000);
  store_->maintain();
  EXPECT_EQ(store_->stats("a").segments, 1U) << "by age";
  append({{kWeb, kNow + 1, std::string(2000, 'x'), {}}});
  store_->maintain();
  EXPECT_EQ(store_->stats("a").segments, 2U) << "by size";
  EXPECT_EQ(store_->stats("a").head_rows, 0U);
}

TEST_F(StoreTest, OneProcessAtATime) {
  auto second = Store::open(options_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::conflict);
}

TEST_F(StoreTest, MemoryOfAnIdleAndOfAnActiveStream) {
  // The budget of the specification: 512 bytes idle, 4 KiB active.
  std::vector<Line> lines;
  for (int i = 0; i < 2000; ++i) {
    lines.push_back(
        {Labels{{"service_name", "checkout"}, {"namespace", "shop"}, {"pod", "checkout-" + std::to_string(i)}},
         kNow + i,
         "a line of some length, as they usually are: " + std::to_string(i),
         {}});
  }
  append(lines);
  const auto families = Registry::global().collect();
  auto memory = std::find_if(families.begin(), families.end(),
                             [](const auto& family) { return family.name == "tocayo_logs_head_memory_bytes"; });
  ASSERT_NE(memory, families.end());
  EXPECT_LT(memory->samples[0].value / 2000, 4096 - 512);
}

}  // namespace
}  // namespace tocayo::logs
