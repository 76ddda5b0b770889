// SPDX-License-Identifier: Apache-2.0
// What a tenant's limits refuse, what retention and delete requests hide.
#include "logs/store/store_test_support.h"

namespace tocayo::logs {
namespace {

using namespace testing;
using Texts = std::vector<std::string>;

const Labels kWeb{{"app", "web"}};
const Labels kDb{{"app", "db"}};
constexpr TimestampNs kDay = 86'400 * kSecond;

class StoreLimitsTest : public StoreFixture {
 protected:
  void SetUp() override {
    options_.compile_delete = [](std::string_view, std::string_view query) -> Result<DeleteFilter> {
      // "app word": the stream's app, and optionally a word of the line.
      const std::size_t space = query.find(' ');
      if (query.empty()) return fail(ErrorKind::bad_input, "query not set");
      DeleteFilter filter;
      filter.matchers.push_back(Matcher::equal("app", std::string(query.substr(0, space))));
      if (space != std::string_view::npos) {
        filter.row = [word = std::string(query.substr(space + 1))](const Labels&, const Row& row) {
          return row.line.find(word) != std::string_view::npos;
        };
      }
      return filter;
    };
    StoreFixture::SetUp();
  }
  void expect_refused(const std::vector<Line>& lines, std::string_view reason, std::string_view message) {
    auto result = append(lines);
    ASSERT_EQ(result.rejected.size(), 1U) << reason;
    EXPECT_EQ(result.rejected[0].reason, reason);
    EXPECT_EQ(result.rejected[0].lines, lines.size());
    EXPECT_EQ(result.lines_written, 0U);
    ASSERT_FALSE(result.messages.empty());
    EXPECT_NE(result.messages[0].find(message), std::string::npos) << result.messages[0];
  }
};

TEST_F(StoreLimitsTest, RefusesInLokisWords) {
  limits_.max_label_names_per_series = 2;
  limits_.max_label_name_length = 10;
  limits_.max_label_value_length = 12;
  limits_.max_line_size = 20;
  limits_.max_line_size_truncate = false;
  limits_.reject_old_samples = true;
  limits_.reject_old_samples_max_age = std::chrono::hours(1);
  limits_.creation_grace_period = std::chrono::minutes(10);
  limits_.max_structured_metadata_size = 10;
  limits_.max_structured_metadata_entries_count = 2;
  expect_refused({{Labels(), kNow, "x", {}}}, "missing_labels", "error at least one label pair is required per stream");
  expect_refused({{Labels{{"a", "1"}, {"b", "2"}, {"c", "3"}}, kNow, "x", {}}}, "max_label_names_per_series",
                 "entry for stream '{a=\"1\", b=\"2\", c=\"3\"}' has 3 label names; limit 2");
  expect_refused({{Labels{{"much_too_long", "1"}}, kNow, "x", {}}}, "label_name_too_long",
                 "has label name too long: 'much_too_long'");
  expect_refused({{Labels{{"a", "much_too_long_"}}, kNow, "x", {}}}, "label_value_too_long",
                 "has label value too long: 'much_too_long_'");
  expect_refused(
      {{kWeb, kNow, std::string(21, 'x'), {}}}, "line_too_long",
      "max entry size '20' bytes exceeded for stream '{app=\"web\"}' while adding an entry with length '21'");
  expect_refused({{kWeb, kNow - 3700 * kSecond, "x", {}}}, "greater_than_max_sample_age",
                 "entry for stream '{app=\"web\"}' has timestamp too old: 2023-11-14T21:11:40Z, oldest acceptable "
                 "timestamp is: 2023-11-14T21:13:20Z");
  expect_refused({{kWeb, kNow + 700 * kSecond, "x", {}}}, "too_far_in_future",
                 "entry for stream '{app=\"web\"}' has timestamp too new: 2023-11-14T22:25:00Z");
  expect_refused({{kWeb, kNow, "x", {{"key", "12345678"}}}}, "structured_metadata_too_large",
                 "has structured metadata too large: '11' bytes, limit: '10' bytes");
  expect_refused({{kWeb, kNow, "x", {{"a", "1"}, {"b", "2"}, {"c", "3"}}}}, "structured_metadata_too_many",
                 "has too many structured metadata labels: '3', limit: '2'");
  limits_.allow_structured_metadata = false;
  expect_refused({{kWeb, kNow, "x", {{"a", "1"}}}}, "disallowed_structured_metadata", "feature is disallowed");
  limits_.enforced_labels = {"team"};
  expect_refused({{Labels{{"q", "1"}}, kNow, "x", {}}}, "missing_enforced_labels",
                 "missing required labels team for user a for stream {q=\"1\"}");
  limits_.block_ingestion_until = kNowMs + 1000;
  expect_refused({{kWeb, kNow, "x", {}}}, "blocked_ingestion", "ingestion blocked for user a until '");
  EXPECT_TRUE(texts().empty());
}

TEST_F(StoreLimitsTest, GoodLinesOfABadBatchAreStored) {
  limits_.creation_grace_period = std::chrono::minutes(10);
  auto result =
      append({{kWeb, kNow, "good", {}}, {kWeb, kNow + 3600 * kSecond, "bad", {}}, {kDb, kNow, "good too", {}}});
  EXPECT_EQ(result.lines_written, 2U);
  EXPECT_EQ(result.rejected[0].lines, 1U);
  EXPECT_EQ(texts(), (Texts{"good too", "good"}));
}

TEST_F(StoreLimitsTest, LongLinesAreCutAndMarked) {
  limits_.max_line_size = 10;
  limits_.max_line_size_truncate_identifier = "~";
  EXPECT_EQ(append({{kWeb, kNow, "0123456789", {}}, {kWeb, kNow + 1, "0123456789a", {}}}).lines_written, 2U);
  EXPECT_EQ(texts(), (Texts{"0123456789", "012345678~"}));
}

TEST_F(StoreLimitsTest, StreamLimitIsSoft) {
  limits_.max_streams = 1;
  append({{kWeb, kNow, "x", {}}});
  expect_refused({{kDb, kNow, "y", {}}}, "stream_limit",
                 "maximum active stream limit exceeded when trying to create stream {app=\"db\"}");
  EXPECT_EQ(append({{kWeb, kNow + 1, "known streams go on", {}}}).lines_written, 1U);
}

TEST_F(StoreLimitsTest, RatesRefillWithTime) {
  limits_.ingestion_rate = 100;
  limits_.ingestion_burst_size = 100;
  append({{kWeb, kNow, std::string(80, 'x'), {}}});
  expect_refused({{kWeb, kNow + 1, std::string(80, 'x'), {}}}, "rate_limited",
                 "ingestion rate limit exceeded for user a (limit: 100 bytes/sec) while attempting to ingest '1' lines "
                 "totaling '80' bytes");
  clock_.advance(1000);
  EXPECT_EQ(append({{kWeb, kNow + 1, std::string(80, 'x'), {}}}).lines_written, 1U);
  limits_.ingestion_rate = 0;
  limits_.per_stream_rate_limit = 3'000'000;
  limits_.per_stream_rate_limit_burst = 3'000'000;
  limits_.max_line_size = 0;
  expect_refused({{kDb, kNow + 2, std::string(4'000'000, 'x'), {}}}, "per_stream_rate_limit",
                 "Per stream rate limit exceeded (limit: 3MB/sec) while attempting to ingest for stream '{app=\"db\"}' "
                 "totaling 4MB");
}

TEST_F(StoreLimitsTest, RetentionHidesAtOnceAndRemovesLater) {
  append({{kWeb, kNow - 10 * kDay, "old web", {}}, {kDb, kNow - 10 * kDay, "old db", {}}, {kWeb, kNow, "new", {}}});
  for (int round = 0; round < 2; ++round) {
    limits_ = {};
    limits_.creation_grace_period = std::chrono::hours(24 * 365);
    EXPECT_EQ(texts(), (Texts{"old db", "old web", "new"}));
    auto preview_limits = limits_;
    preview_limits.retention_period = std::chrono::hours(24 * 7);
    auto preview = store_->preview_retention("a", preview_limits, {});
    ASSERT_TRUE(preview);
    EXPECT_EQ(preview->size(), 2U);
    limits_.retention_period = std::chrono::hours(24 * 7);
    EXPECT_EQ(texts(), Texts{"new"});
    limits_.retention_stream = {{{Matcher::equal("app", "db")}, 1, std::chrono::hours(24 * 30)}};
    EXPECT_EQ(texts(), (Texts{"old db", "new"}));
    auto querier = store_->querier("a");
    EXPECT_EQ(querier->label_values("app", {}, kNow - 20 * kDay, kNow - kDay, {})->names, Texts{"db"});
    auto volume = querier->volume({}, 0, INT64_MAX, {});
    EXPECT_EQ(volume->size(), 2U);
    ASSERT_TRUE(store_->flush());
  }
  EXPECT_EQ(store_->stats("a").segments, 2U);
  store_->maintain();
  EXPECT_EQ(store_->stats("a").segments, 2U) << "one stream of the old day is kept";
  limits_.retention_stream.clear();
  store_->maintain();
  EXPECT_EQ(store_->stats("a").segments, 1U);
  limits_.retention_period = std::chrono::seconds(0);
  EXPECT_EQ(texts(), Texts{"new"}) << "gone for good";
}

TEST_F(StoreLimitsTest, ADeleteHidesAtOnceAndIsWrittenOut) {
  append({{kWeb, kNow, "secret one", {}}, {kWeb, kNow + 1, "public", {}}, {kDb, kNow, "secret of db", {}}});
  ASSERT_TRUE(store_->flush());
  append({{kWeb, kNow + 2, "secret two", {}}, {kWeb, kNow + 3, "public two", {}}});
  auto id = store_->add_delete("a", "web secret", kNow - kSecond, kNow + kSecond);
  ASSERT_TRUE(id);
  const Texts expected{"secret of db", "public", "public two"};
  EXPECT_EQ(texts(), expected);
  Selection bare = everything();
  bare.want_line = bare.want_metadata = false;
  EXPECT_EQ(read(bare).size(), 3U) << "also when the query does not ask for lines";
  auto volume = store_->querier("a")->volume({}, 0, INT64_MAX, {});
  ASSERT_TRUE(volume);
  EXPECT_EQ((*volume)[1].rows, 2U);
  EXPECT_EQ((*store_->deletes("a"))[0].state, DeleteRequest::State::received);
  crash_and_open();
  EXPECT_EQ(texts(), expected) << "hidden after a restart";
  clock_.advance(1000);
  for (int i = 0; i < 5; ++i) store_->maintain();
  auto list = store_->deletes("a");
  ASSERT_TRUE(list);
  EXPECT_EQ((*list)[0].state, DeleteRequest::State::processed);
  EXPECT_EQ(texts(), expected);
  EXPECT_EQ(store_->stats("a").head_rows, 0U);
  EXPECT_EQ(store_->stats("a").segment_rows, 3U) << "no row of it is on disk";
  EXPECT_EQ(store_->cancel_delete("a", *id, true).error().kind, ErrorKind::conflict);
  append({{kWeb, kNow + 4, "secret that came later", {}}});
  EXPECT_EQ(read(everything()).size(), 4U);
}

TEST_F(StoreLimitsTest, ADeleteCanBeCanceled) {
  append({{kWeb, kNow, "x", {}}});
  auto id = store_->add_delete("a", "web", kNow - kSecond, kNow + kSecond);
  ASSERT_TRUE(id);
  EXPECT_TRUE(texts().empty());
  EXPECT_EQ(store_->cancel_delete("b", *id, false).error().kind, ErrorKind::not_found);
  ASSERT_TRUE(store_->cancel_delete("a", *id, false));
  EXPECT_EQ(texts(), Texts{"x"});
  EXPECT_EQ(store_->add_delete("a", "", 0, 1).error().message, "query not set");
}

TEST_F(StoreLimitsTest, ALabelWithManyNewValuesIsNamed) {
  std::vector<Line> lines;
  for (int i = 0; i < 300; ++i) {
    lines.push_back({Labels{{"app", "app" + std::to_string(i % 3)}, {"pod", std::to_string(i)}}, kNow + i, "x", {}});
  }
  append(lines);
  append(lines);
  auto grown = store_->label_growth("a", 100);
  ASSERT_EQ(grown.size(), 1U);
  EXPECT_EQ(grown[0].label, "pod");
  EXPECT_EQ(grown[0].values, 300U) << "each once";
  EXPECT_TRUE(store_->label_growth("a", 301).empty());
  EXPECT_EQ(store_->label_growth("a", 3).size(), 2U);
  EXPECT_TRUE(store_->label_growth("b", 0).empty());
  clock_.advance(86'400'000);
  EXPECT_TRUE(store_->label_growth("a", 1).empty()) << "another day";
}

}  // namespace
}  // namespace tocayo::logs
