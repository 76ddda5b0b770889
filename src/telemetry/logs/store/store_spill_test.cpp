// SPDX-License-Identifier: Apache-2.0
// Labels with very many values: they stay labels for every reader and split no more streams.
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <set>

#include "logs/store/spill.h"
#include "logs/store/store_test_support.h"

namespace tocayo::logs {
namespace {

using namespace testing;
using Texts = std::vector<std::string>;

class StoreSpillTest : public StoreFixture {
 protected:
  void SetUp() override {
    limits_.max_label_values_per_day = 10;
    options_.compile_delete = [](std::string_view, std::string_view query) -> Result<DeleteFilter> {
      // "pod word": the stream's pod, and optionally a word of the line or of the row's metadata.
      const std::size_t space = query.find(' ');
      DeleteFilter filter;
      filter.matchers.push_back(Matcher::equal("pod", std::string(query.substr(0, space))));
      if (space != std::string_view::npos) {
        filter.row = [word = std::string(query.substr(space + 1))](const Labels& labels, const Row& row) {
          EXPECT_TRUE(labels.has("pod")) << labels.to_string(false);
          for (const LabelView& pair : row.metadata) EXPECT_EQ(pair.name, "level");
          return row.line.find(word) != std::string_view::npos;
        };
      }
      return filter;
    };
    StoreFixture::SetUp();
  }
  static Labels pod(int i, std::string app = "web") {
    return Labels{{"app", std::move(app)}, {"pod", "p" + std::to_string(i)}};
  }
  // 30 pods with a line each second; spilled from the 11th on.
  std::vector<Line> some(int first = 0, int count = 30) {
    std::vector<Line> lines;
    for (int i = first; i < first + count; ++i) {
      lines.push_back(
          {pod(i), kNow + i * kSecond, "line " + std::to_string(i), {{"level", i % 2 == 0 ? "info" : "error"}}});
    }
    return lines;
  }
  void append_one_by_one(const std::vector<Line>& lines) {
    for (const Line& line : lines) append({line});
  }
  static std::vector<Line> sorted(std::vector<Line> lines) {
    std::sort(lines.begin(), lines.end());
    return lines;
  }
  // As everybody is asked: in the head, after the cut, after a merge and a restart.
  void at_every_stage(const std::function<void()>& check) {
    {
      SCOPED_TRACE("head");
      check();
    }
    {
      SCOPED_TRACE("replayed");
      crash_and_open();
      check();
    }
    {
      SCOPED_TRACE("segment");
      ASSERT_TRUE(store_->flush());
      check();
    }
    {
      SCOPED_TRACE("opened again");
      ASSERT_TRUE(store_->close());
      store_.reset();
      open();
      check();
    }
    {
      SCOPED_TRACE("merged");
      clock_.advance(3 * 86'400'000);
      for (int i = 0; i < 6; ++i) store_->maintain();
      check();
    }
  }
};

TEST_F(StoreSpillTest, SplitsStreamsNoMoreAndStaysALabel) {
  const auto lines = some();
  append_one_by_one(lines);
  EXPECT_EQ(store_->stats("a").streams, 12U);  // eleven of their own and one for the rest
  at_every_stage([&] {
    EXPECT_EQ(sorted(read(everything())), sorted(lines));
    auto querier = store_->querier("a");
    auto names = querier->label_names({}, everything().start, everything().end, {});
    ASSERT_TRUE(names);
    EXPECT_EQ(names->names, (Texts{"app", "pod"}));
    auto values = querier->label_values("pod", {}, everything().start, everything().end, {});
    ASSERT_TRUE(values);
    EXPECT_EQ(values->names.size(), 30U);
    auto series = querier->series({}, everything().start, everything().end, {});
    ASSERT_TRUE(series);
    EXPECT_EQ(series->size(), 30U);

    Selection one = everything();
    one.matchers.push_back(Matcher::equal("pod", "p25"));
    EXPECT_EQ(read(one), (std::vector<Line>{lines[25]}));
    Selection others = everything();
    others.matchers.push_back(*Matcher::create(Matcher::Type::not_regex, "pod", "p2.|p1|p5"));
    others.matchers.push_back(Matcher::equal("app", "web"));
    EXPECT_EQ(read(others).size(), 18U);  // p2 is not p2.
    Selection absent = everything();
    absent.matchers.push_back(Matcher::equal("pod", ""));
    EXPECT_TRUE(read(absent).empty());
    Selection filtered = everything();
    filtered.label_filters.push_back(Matcher::equal("pod", "p25"));
    filtered.label_filters.push_back(Matcher::equal("level", "error"));
    EXPECT_EQ(read(filtered), (std::vector<Line>{lines[25]}));
    Selection bare = everything();
    bare.matchers.push_back(*Matcher::create(Matcher::Type::regex, "pod", "p2[0-3]"));
    bare.want_line = bare.want_metadata = false;
    EXPECT_EQ(read(bare).size(), 4U);

    const Matcher wanted[] = {*Matcher::create(Matcher::Type::regex, "pod", "p1.")};
    auto volume = querier->volume(wanted, everything().start, everything().end, {});
    ASSERT_TRUE(volume);
    ASSERT_EQ(volume->size(), 10U);
    for (const StreamVolume& v : *volume) {
      EXPECT_EQ(v.rows, 1U);
      EXPECT_EQ(v.bytes, 7U);
    }
  });
}

TEST_F(StoreSpillTest, TellsOfTheGrowth) {
  append_one_by_one(some(0, 30));
  auto growth = store_->label_growth("a", 5);
  ASSERT_EQ(growth.size(), 1U);
  EXPECT_EQ(growth[0].label, "pod");
  EXPECT_EQ(growth[0].values, 30U);
  EXPECT_EQ(growth[0].spilled, kNowMs);
  EXPECT_EQ(growth[0].sender, "");
  store_->note_sender("a", pod(1), "10.0.0.7:4000");
  EXPECT_EQ(store_->label_growth("a", 5)[0].sender, "10.0.0.7:4000");
  // It is known after a restart, and of another day the values count anew.
  ASSERT_TRUE(store_->close());
  store_.reset();
  open();
  clock_.advance(86'400'000);
  growth = store_->label_growth("a", 5);
  ASSERT_EQ(growth.size(), 1U);
  EXPECT_EQ(growth[0].values, 0U);
  EXPECT_EQ(growth[0].spilled, kNowMs);
  append_one_by_one(some(100, 20));
  EXPECT_EQ(store_->stats("a").streams, 1U);
  EXPECT_NEAR(static_cast<double>(store_->label_growth("a", 5)[0].values), 20, 1) << "about";
}

TEST_F(StoreSpillTest, ZeroSwitchesItOff) {
  limits_.max_label_values_per_day = 0;
  append_one_by_one(some());
  EXPECT_EQ(store_->stats("a").streams, 30U);
}

TEST_F(StoreSpillTest, ALineSentTwiceIsStoredOnce) {
  append_one_by_one(some());
  EXPECT_EQ(append(some(20, 10)).duplicates, 10U);
  EXPECT_EQ(append({{pod(25), kNow + 26 * kSecond, "line 26", {{"level", "info"}}}}).lines_written, 1U)
      << "equal but for the spilled label";
  ASSERT_TRUE(store_->flush());
  EXPECT_EQ(append(some(20, 10)).duplicates, 10U);
  ASSERT_TRUE(store_->close());
  store_.reset();
  open();
  EXPECT_EQ(append(some(20, 10)).duplicates, 10U);
}

TEST_F(StoreSpillTest, ReservedNamesAreRefused) {
  auto labels = append({{Labels{{"\x01pod", "x"}}, kNow, "line", {}}});
  ASSERT_EQ(labels.rejected.size(), 1U);
  EXPECT_EQ(labels.rejected[0].reason, "invalid_labels");
  auto metadata = append({{pod(1), kNow, "line", {{"\x01pod", "x"}}}});
  ASSERT_EQ(metadata.rejected.size(), 1U);
  EXPECT_EQ(metadata.rejected[0].reason, "invalid_labels");
  EXPECT_TRUE(texts().empty());
}

TEST_F(StoreSpillTest, ManyTogetherAndTwoLabelsAtOnce) {
  std::vector<Line> lines;
  for (int i = 0; i < 60; ++i) {
    Labels labels{{"app", "web"}, {"pod", "p" + std::to_string(i)}, {"request", "r" + std::to_string(i * 7)}};
    if (i % 3 == 0) labels = Labels{{"app", "db"}, {"pod", "p" + std::to_string(i)}};
    lines.push_back({labels, kNow + i, "line " + std::to_string(i), {}});
  }
  append_one_by_one(lines);
  EXPECT_LE(store_->stats("a").streams, 22U);
  at_every_stage([&] {
    EXPECT_EQ(sorted(read(everything())), sorted(lines));
    Selection one = everything();
    one.matchers.push_back(*Matcher::create(Matcher::Type::not_equal, "request", ""));
    one.matchers.push_back(*Matcher::create(Matcher::Type::regex, "pod", "p5."));
    EXPECT_EQ(read(one).size(), 7U);  // without p51, p54, p57
  });
}

TEST_F(StoreSpillTest, DeletesByASpilledLabel) {
  const auto lines = some();
  append_one_by_one(lines);
  append({{pod(25), kNow + 100 * kSecond, "keep me", {}}});
  ASSERT_TRUE(store_->flush());
  append({{pod(25), kNow + 101 * kSecond, "line too", {}}});
  ASSERT_TRUE(store_->add_delete("a", "p25 line", kNow - kSecond, kNow + 1000 * kSecond));
  ASSERT_TRUE(store_->add_delete("a", "p26", kNow - kSecond, kNow + 1000 * kSecond));
  auto check = [&] {
    EXPECT_EQ(read(everything()).size(), 29U);
    Selection one = everything();
    one.matchers.push_back(*Matcher::create(Matcher::Type::regex, "pod", "p2[56]"));
    EXPECT_EQ(texts(one), (Texts{"keep me"}));
    auto volume = store_->querier("a")->volume({}, everything().start, everything().end, {});
    ASSERT_TRUE(volume);
    std::uint64_t rows = 0;
    for (const StreamVolume& v : *volume) rows += v.rows;
    EXPECT_EQ(rows, 29U);
  };
  check();
  for (int i = 0; i < 10; ++i) store_->maintain();
  for (const DeleteRequest& request : *store_->deletes("a")) {
    EXPECT_EQ(request.state, DeleteRequest::State::processed);
  }
  check();
  EXPECT_EQ(store_->stats("a").segment_rows, 29U);
}

TEST_F(StoreSpillTest, RetentionByASpilledLabel) {
  limits_.retention_period = std::chrono::hours(24);
  limits_.retention_stream.push_back({{Matcher::equal("pod", "p25")}, 1, std::chrono::hours(24 * 10)});
  append_one_by_one(some());
  ASSERT_TRUE(store_->flush());
  clock_.advance(2 * 86'400'000);
  auto check = [&] {
    EXPECT_EQ(texts(), (Texts{"line 25"}));
    auto series = store_->querier("a")->series({}, everything().start, everything().end, {});
    ASSERT_TRUE(series);
    EXPECT_EQ(*series, (std::vector<Labels>{pod(25)}));
  };
  check();
  for (int i = 0; i < 5; ++i) store_->maintain();
  check();
  clock_.advance(9 * 86'400'000LL);
  for (int i = 0; i < 5; ++i) store_->maintain();
  EXPECT_TRUE(texts().empty());
  EXPECT_EQ(store_->stats("a").segments, 0U);
}

TEST_F(StoreSpillTest, TailsSeeThePushedLabels) {
  append_one_by_one(some());
  std::mutex mutex;
  std::condition_variable arrived;
  std::vector<Line> got;
  auto subscription = store_->subscribe("a", [&](const TailBatch& batch) {
    std::lock_guard lock(mutex);
    for (const Row& row : batch.rows) {
      Line line{*batch.labels, row.time, std::string(row.line), {}};
      for (const LabelView& pair : row.metadata) line.metadata.emplace_back(pair.name, pair.value);
      got.push_back(std::move(line));
    }
    arrived.notify_all();
  });
  const auto more = some(25, 20);
  append(more);
  std::unique_lock lock(mutex);
  ASSERT_TRUE(arrived.wait_for(lock, std::chrono::seconds(20), [&] { return got.size() >= 15; }));
  EXPECT_EQ(sorted(got), sorted(some(30, 15)));
}

// A million (or TOCAYO_TEST_LABEL_VALUES) values of a label stay labels, in few streams.
TEST_F(StoreSpillTest, VeryManyValues) {
  const char* size = std::getenv("TOCAYO_TEST_LABEL_VALUES");
  const int count = size != nullptr ? std::atoi(size) : 60'000;
  limits_.max_label_values_per_day = 1000;
  options_.cut_bytes = 8 << 20;
  store_.reset();
  open();
  std::vector<Line> batch;
  for (int i = 0; i < count; ++i) {
    batch.push_back(
        {Labels{{"app", "web"}, {"request", "r" + std::to_string(i)}}, kNow + i, "done " + std::to_string(i), {}});
    if (batch.size() < 5000 && i + 1 < count) continue;
    ASSERT_EQ(append(batch).lines_written, batch.size());
    batch.clear();
    store_->maintain();
    if (i > count / 2 && i < count / 2 + 5001) {
      ASSERT_TRUE(store_->close());
      store_.reset();
      open();
    }
  }
  EXPECT_LE(store_->stats("a").streams, 1002U);
  auto values = store_->querier("a")->label_values("request", {}, everything().start, everything().end, {});
  ASSERT_TRUE(values);
  EXPECT_EQ(values->names.size(), static_cast<std::size_t>(count));
  for (const int i : {0, 500, 1500, count / 2, count - 1}) {
    Selection one = everything();
    one.matchers.push_back(Matcher::equal("request", "r" + std::to_string(i)));
    EXPECT_EQ(texts(one), (Texts{"done " + std::to_string(i)}));
  }
  const auto growth = store_->label_growth("a", 1000);
  ASSERT_EQ(growth.size(), 1U);
  EXPECT_GE(growth[0].values, static_cast<std::uint64_t>(count / 3)) << "since the restart";
  EXPECT_LE(growth[0].values, static_cast<std::uint64_t>(count));
}

TEST(DistinctCount, IsWithinTwoPercent) {
  for (const int count : {0, 1, 100, 3000, 50'000, 200'000}) {
    DistinctCount distinct;
    for (int i = 0; i < count; ++i) {
      distinct.add("value " + std::to_string(i));
      distinct.add("value " + std::to_string(i / 2));
    }
    EXPECT_NEAR(static_cast<double>(distinct.estimate()), count, count * 0.05) << count;
  }
}

}  // namespace
}  // namespace tocayo::logs
