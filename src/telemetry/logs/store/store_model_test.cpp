// SPDX-License-Identifier: Apache-2.0
// The store against a plain list of lines: random appends, repeats, cuts, merges, deletes and restarts, then random
// queries.
#include <random>
#include <set>

#include "logs/store/offline.h"
#include "logs/store/store_test_support.h"

namespace tocayo::logs {
namespace {

using namespace testing;

constexpr TimestampNs kDay = 86'400 * kSecond;

class StoreModelTest : public StoreFixture {
 protected:
  Labels stream(int i) {
    std::vector<Label> labels{{"app", "app" + std::to_string(i % 3)}, {"host", "h" + std::to_string(i)}};
    if (i % 2 == 0) labels.push_back({"env", "prod"});
    return Labels(labels);
  }
  std::size_t pick(std::size_t count) { return std::uniform_int_distribution<std::size_t>(0, count - 1)(random_); }

  Line line() {
    static const char* const kWords[] = {"GET /users/", "POST /orders/", "timeout after ", "user=", "x", ""};
    Line out;
    out.labels = stream(static_cast<int>(pick(7)));
    // Mostly ascending, some late, some at equal times, some of another day.
    switch (pick(10)) {
      case 0: out.time = kNow - static_cast<TimestampNs>(pick(3)) * kDay; break;
      case 1: out.time = time_ - static_cast<TimestampNs>(pick(1000)); break;
      default: out.time = time_ += static_cast<TimestampNs>(pick(3));
    }
    out.text = kWords[pick(6)] + std::to_string(pick(50));
    if (pick(20) == 0) out.text += std::string(pick(3000), 'z');
    // A line is known again as long as the stream's newest segment has it; these are never equal by chance.
    out.text += " #" + std::to_string(++number_);
    if (pick(4) == 0) out.text += std::to_string(pick(4));
    if (pick(3) == 0) out.metadata.push_back({"level", pick(2) == 0 ? "info" : "error"});
    if (pick(5) == 0) out.metadata.push_back({"trace", std::to_string(pick(1000))});
    return out;
  }

  void append_some() {
    std::vector<Line> batch;
    const std::size_t count = 1 + pick(200);
    for (std::size_t i = 0; i < count; ++i) batch.push_back(pick(30) == 0 && i > 0 ? batch[pick(i)] : line());
    std::size_t fresh = 0;
    // The order within a stream is the order of the batch.
    for (const Line& l : batch) {
      if (known_.insert(l).second) {
        model_.push_back(l);
        ++fresh;
      }
    }
    auto result = append(batch);
    EXPECT_EQ(result.lines_written, fresh);
    EXPECT_EQ(result.duplicates, batch.size() - fresh);
    last_ = batch;
  }

  void check(const Selection& selection) {
    std::vector<Line> expected;
    std::vector<LineMatcher> matchers;
    for (const LineFilter& filter : selection.line_filters) matchers.push_back(*LineMatcher::create(filter));
    for (const Line& l : model_) {
      if (l.time < selection.start || l.time >= selection.end) continue;
      auto passes = [&](const Matcher& m) { return m.matches(l.labels.get(m.name())); };
      auto passes_row = [&](const Matcher& m) {
        std::string_view value = l.labels.get(m.name());
        for (const auto& [name, v] : l.metadata) {
          if (value.empty() && name == m.name()) value = v;
        }
        return m.matches(value);
      };
      if (!std::all_of(selection.matchers.begin(), selection.matchers.end(), passes)) continue;
      if (!std::all_of(selection.label_filters.begin(), selection.label_filters.end(), passes_row)) continue;
      if (!std::all_of(matchers.begin(), matchers.end(), [&](const auto& m) { return m.matches(l.text); })) continue;
      expected.push_back(l);
    }
    std::stable_sort(expected.begin(), expected.end(), [](const Line& a, const Line& b) {
      return std::tie(a.labels, a.time) < std::tie(b.labels, b.time);
    });
    if (!selection.want_metadata) {
      for (Line& l : expected) l.metadata.clear();
    }
    auto got = read(selection);
    // Merged days keep the order of arrival within each input only as far as their ranks tell.
    if (!exact_order_) {
      std::sort(expected.begin(), expected.end());
      std::sort(got.begin(), got.end());
    }
    ASSERT_EQ(got.size(), expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], expected[i]) << "at " << i;
  }

  void check_some() {
    check(everything());
    for (int i = 0; i < 4; ++i) {
      Selection selection = everything();
      if (pick(2) == 0) {
        selection.start = kNow - static_cast<TimestampNs>(pick(2000));
        selection.end = selection.start + static_cast<TimestampNs>(pick(5000));
      }
      if (pick(2) == 0) selection.matchers.push_back(Matcher::equal("app", "app" + std::to_string(pick(4))));
      if (pick(3) == 0) selection.matchers.push_back(*Matcher::create(Matcher::Type::not_regex, "host", "h[12]"));
      if (pick(3) == 0) selection.matchers.push_back(*Matcher::create(Matcher::Type::not_equal, "env", "prod"));
      if (pick(2) == 0) selection.line_filters.push_back(contains("users/" + std::to_string(pick(50)), pick(3) == 0));
      if (pick(4) == 0) selection.line_filters.push_back({LineFilter::Kind::regex, false, {"[1-3]$"}});
      if (pick(4) == 0) selection.label_filters.push_back(Matcher::equal("level", "error"));
      if (pick(6) == 0) selection.label_filters.push_back(Matcher::equal("env", ""));
      if (pick(6) == 0) selection.label_filters.push_back(Matcher::equal("host", "h" + std::to_string(pick(7))));
      if (pick(8) == 0) selection.want_metadata = false;
      check(selection);
    }
    check_names();
    std::map<Labels, std::pair<std::uint64_t, std::uint64_t>> sums;
    for (const Line& l : model_) {
      ++sums[l.labels].first;
      sums[l.labels].second += l.text.size();
    }
    auto volume = store_->querier("a")->volume({}, everything().start, everything().end, {});
    ASSERT_TRUE(volume);
    ASSERT_EQ(volume->size(), sums.size());
    for (const StreamVolume& v : *volume) {
      EXPECT_EQ(v.rows, sums[v.labels].first);
      EXPECT_EQ(v.bytes, sums[v.labels].second);
    }
    for (int time = 0; time < 2; ++time) {  // the second time from what was kept
      auto patterns = store_->patterns("a", everything(), kSecond, 0, {});
      ASSERT_TRUE(patterns);
      std::uint64_t counted = 0;
      for (const Pattern& pattern : *patterns) {
        for (const auto& [at, count] : pattern.samples) counted += count;
      }
      EXPECT_EQ(counted, model_.size());
    }
  }

  // Series, names and values of labels against the model, in the whole range and a part of it.
  void check_names() {
    for (const bool whole : {true, false}) {
      const TimestampNs start = whole ? everything().start : kNow + 1;
      const TimestampNs end = whole ? everything().end : kNow + 500;
      std::vector<std::vector<Matcher>> sets;
      if (pick(2) == 0) {
        sets.push_back({Matcher::equal("app", "app1")});
        sets.push_back({*Matcher::create(Matcher::Type::regex, "host", "h[0-3]")});
      }
      std::set<Labels> series;
      std::set<std::string> names;
      std::set<std::string> hosts;
      for (const Line& l : model_) {
        if (l.time < start || l.time >= end) continue;
        const bool chosen = sets.empty() || std::any_of(sets.begin(), sets.end(), [&](const auto& set) {
                              return std::all_of(set.begin(), set.end(),
                                                 [&](const Matcher& m) { return m.matches(l.labels.get(m.name())); });
                            });
        if (!chosen) continue;
        series.insert(l.labels);
        for (const Label& label : l.labels) names.insert(label.name);
        hosts.insert(std::string(l.labels.get("host")));
      }
      auto querier = store_->querier("a");
      auto got = querier->series(sets, start, end, {});
      auto got_names = querier->label_names(sets, start, end, {});
      auto got_hosts = querier->label_values("host", sets, start, end, {});
      ASSERT_TRUE(got && got_names && got_hosts);
      // On disk the range of a stream is known, not each of its times.
      if (!whole) {
        EXPECT_TRUE(std::ranges::includes(*got, series));
        EXPECT_TRUE(std::ranges::includes(got_hosts->names, hosts));
        continue;
      }
      EXPECT_EQ(*got, std::vector<Labels>(series.begin(), series.end()));
      EXPECT_EQ(got_names->names, std::vector<std::string>(names.begin(), names.end()));
      EXPECT_EQ(got_hosts->names, std::vector<std::string>(hosts.begin(), hosts.end()));
    }
  }

  void appends_cuts_and_restarts();
  void merges_keep_every_line();

  // From now on `app` and `host` are spilled, and no stream of the time before is in memory: a request that is sent
  // again is known again by the streams it made the first time.
  void spill() {
    limits_.max_label_values_per_day = 2;
    store_.reset();
    open();
    for (int i = 0; i < 7; ++i) {
      Line first{stream(i), kNow - 10'000 * kDay + i, "first", {}};
      model_.push_back(first);
      append({first});
    }
    ASSERT_TRUE(store_->close());
    store_.reset();
    open();
    const auto grown = store_->label_growth("a", 1);
    ASSERT_EQ(grown.size(), 2U);
    EXPECT_EQ(grown[0].label, "app");
    EXPECT_NE(grown[0].spilled, 0);
    EXPECT_EQ(grown[1].label, "host");
  }

  std::mt19937_64 random_{std::random_device{}()};
  TimestampNs time_ = kNow;
  int number_ = 0;
  std::vector<Line> model_;
  std::set<Line> known_;
  std::vector<Line> last_;
  bool exact_order_ = true;
};

TEST_F(StoreModelTest, AppendsCutsAndRestarts) { appends_cuts_and_restarts(); }
TEST_F(StoreModelTest, MergesKeepEveryLine) { merges_keep_every_line(); }

TEST_F(StoreModelTest, AppendsCutsAndRestartsOfSpilledLabels) {
  spill();
  appends_cuts_and_restarts();
  EXPECT_LE(store_->stats("a").streams, 2U);  // with env and without
}

TEST_F(StoreModelTest, MergesKeepEverySpilledLine) {
  spill();
  merges_keep_every_line();
}

void StoreModelTest::appends_cuts_and_restarts() {
  const auto seed = std::random_device{}();
  random_.seed(seed);
  SCOPED_TRACE("seed " + std::to_string(seed));
  options_.group_bytes = 2000;
  options_.merge_count = 1000;  // no merges here
  store_.reset();
  open();
  for (int round = 0; round < 40; ++round) {
    append_some();
    if (pick(6) == 0) {
      ASSERT_TRUE(store_->flush());
    }
    if (pick(6) == 0) crash_and_open();
    if (pick(12) == 0) {
      ASSERT_TRUE(store_->close());
      store_.reset();
      open();
    }
    if (pick(4) == 0) {
      auto again = append(last_);
      EXPECT_EQ(again.lines_written, 0U) << "a repeated request";
    }
    if (pick(5) == 0) check_some();
    if (HasFatalFailure()) return;
  }
  check_some();
}

void StoreModelTest::merges_keep_every_line() {
  const auto seed = std::random_device{}();
  random_.seed(seed);
  SCOPED_TRACE("seed " + std::to_string(seed));
  options_.group_bytes = 5000;
  options_.merge_count = 2;
  options_.merge_bytes = 20'000;
  options_.day_bytes = 40'000;
  const bool one_stretch = pick(2) == 0;
  if (!one_stretch) options_.stretch_bytes = 1 + pick(20'000);
  exact_order_ = false;
  store_.reset();
  open();
  for (int round = 0; round < 60; ++round) {
    append_some();
    if (pick(3) == 0) {
      ASSERT_TRUE(store_->flush());
    }
    if (pick(3) == 0) {
      clock_.advance(static_cast<std::int64_t>(pick(2 * 3'600'000)));
      store_->maintain();
    }
    if (pick(8) == 0) crash_and_open();
    if (pick(5) == 0) check_some();
    if (HasFatalFailure()) return;
  }
  clock_.advance(2 * 86'400'000);
  for (int i = 0; i < 200; ++i) store_->maintain();
  check_some();
  EXPECT_LT(store_->stats("a").segments, one_stretch ? 20U : 60U);
  const auto settled = segment_files(directory_.path() / "logs");
  for (int i = 0; i < 5; ++i) store_->maintain();
  EXPECT_EQ(segment_files(directory_.path() / "logs").value(), settled.value()) << "merging comes to an end";
}

}  // namespace
}  // namespace tocayo::logs
