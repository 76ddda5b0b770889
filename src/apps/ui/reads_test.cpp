// SPDX-License-Identifier: Apache-2.0
// Home, search and live reads under a tenant's limits: what is over them is said, not passed over.
#include "ui/reads.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "core/registry.h"
#include "metrics/api/limited_querier.h"
#include "ui/home.h"
#include "ui/search.h"

namespace tocayo::ui {
namespace {

using metrics::api::QueryLimits;
using metrics::api::TextPattern;

constexpr TimestampMs kNow = 1'795'500'000'000;

// `up{i="0"}` … `up{i="9"}`, each 1 since a minute ago.
class TenSeries final : public metrics::Querier {
  class Set final : public metrics::SeriesSet {
   public:
    explicit Set(std::size_t count) {
      for (std::size_t i = 0; i < count; ++i)
        labels_.push_back(Labels(std::vector<Label>{{"__name__", "up"}, {"i", std::to_string(i)}}));
    }
    std::size_t size() const override { return labels_.size(); }
    const Labels& labels(std::size_t i) const override { return labels_[i]; }
    Result<> read(std::size_t, metrics::SampleColumns& out) const override {
      out.clear();
      for (TimestampMs time = kNow - 60'000; time <= kNow; time += 15'000) {
        out.times.push_back(time);
        out.values.push_back(1);
      }
      return {};
    }

   private:
    std::vector<Labels> labels_;
  };

 public:
  Result<std::unique_ptr<metrics::SeriesSet>> select(std::span<const Matcher> matchers,
                                                     const metrics::SelectHints& hints, const Context&) const override {
    for (const Matcher& matcher : matchers) {
      if (matcher.name() == "__name__" && !matcher.matches("up")) return std::make_unique<Set>(0);
    }
    std::vector<std::uint64_t> hashes(10);
    for (std::size_t i = 0; i < hashes.size(); ++i) hashes[i] = i + 1;
    if (hints.meter) TRY(hints.meter->fetch(hashes, 10, 100, 1000));
    return std::make_unique<Set>(10);
  }
  Result<metrics::NameList> label_names(std::span<const std::vector<Matcher>>, TimestampMs, TimestampMs, std::size_t,
                                        const Context&) const override {
    return metrics::NameList{};
  }
  Result<metrics::NameList> label_values(const std::string& name, std::span<const std::vector<Matcher>>,
                                         TimestampMs start, TimestampMs, std::size_t, const Context&) const override {
    asked_from = start;
    metrics::NameList out;
    if (name == "__name__") out.names = {"up"};
    return out;
  }

  mutable TimestampMs asked_from = 0;
};

class ReadsTest : public testing::Test {
 protected:
  ReadsTest()
      : reads({engine, [this](std::string_view) { return limits(); },
               [this](std::string_view tenant, const Context& context) { return admit(tenant, context); }}) {}

  std::shared_ptr<const QueryLimits> limits() const { return std::make_shared<const QueryLimits>(set); }
  Result<metrics::api::Reading> admit(std::string_view tenant, const Context& context) {
    if (refuse) return fail(ErrorKind::unavailable, "memory is short");
    metrics::api::Reading reading;
    reading.limits = limits();
    reading.query = TRY(guard.admit(std::string(tenant), reading.limits->fetch, context));
    reading.querier = metrics::api::limit_querier(store, {.longest_select = reading.limits->max_partial_query_length},
                                                  reading.query->meter());
    return reading;
  }
  std::string home() {
    class Fixed final : public Clock {
      TimestampMs now_ms() const override { return kNow; }
    };
    static Fixed clock;
    HomeDependencies dependencies{.reads = reads, .clock = clock};
    dependencies.newest_sample = [](std::string_view) { return kNow; };
    dependencies.health = [] { return std::vector<HealthItem>(); };
    dependencies.events = [](const std::string&) { return std::vector<HomeEvent>(); };
    return home_json(dependencies, "a", {});
  }

  QueryLimits set;
  bool refuse = false;
  Registry registry;
  metrics::api::MemoryGuard guard{{}, registry};
  promql::Engine engine;
  std::shared_ptr<TenSeries> store = std::make_shared<TenSeries>();  // shared: as the store's own
  Reads reads;
};

TEST_F(ReadsTest, FetchLimitsEndAQueryWithMimirsText) {
  auto all = reads.instant("a", "count(up)", kNow, {});
  ASSERT_TRUE(all) << all.error().message();
  EXPECT_EQ(std::get<promql::VectorValue>(all->value).samples.at(0).value, 10);
  set.fetch.max_series = 9;
  auto over = reads.instant("a", "count(up)", kNow, {});
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().error.kind, ErrorKind::limit);
  EXPECT_NE(over.error().message().find("err-mimir-max-series-per-query"), std::string::npos) << over.error().message();
}

TEST_F(ReadsTest, LongRangesAreRefused) {
  set.max_total_query_length = std::chrono::minutes(10);
  EXPECT_TRUE(reads.range("a", "up", kNow - 600'000, kNow, std::chrono::seconds(15), {}));
  auto over = reads.range("a", "up", kNow - 601'000, kNow, std::chrono::seconds(15), {});
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().error.kind, ErrorKind::limit);
  EXPECT_NE(over.error().message().find("max_total_query_length"), std::string::npos);
  set.max_partial_query_length = std::chrono::minutes(1);
  EXPECT_FALSE(reads.range("a", "rate(up[5m])", kNow - 15'000, kNow, std::chrono::seconds(15), {}));
}

TEST_F(ReadsTest, ExpressionsAreCheckedBeforeTheyGoLive) {
  const auto check = [&](std::string_view expr) { return reads.check("a", expr, std::chrono::seconds(1)); };
  EXPECT_TRUE(check("sum(up)"));
  EXPECT_EQ(check("sum(").error().kind, ErrorKind::bad_input);
  set.max_query_expression_size_bytes = 6;
  EXPECT_FALSE(check("sum(up)"));
  set.max_query_expression_size_bytes = 0;
  set.blocked_queries.push_back(*TextPattern::create("sum.*", true));
  EXPECT_NE(check(" sum( up )").error().message.find("err-mimir-query-blocked"), std::string::npos);
  EXPECT_FALSE(reads.instant("a", "sum(up)", kNow, {}));
  EXPECT_TRUE(check("count(up)"));
  set.limited_queries.push_back({"count(up)", std::chrono::minutes(1)});
  auto rare = check("count(up)");
  ASSERT_FALSE(rare);
  EXPECT_EQ(rare.error().kind, ErrorKind::limit);
  EXPECT_TRUE(reads.check("a", "count(up)", std::chrono::minutes(2)));
  EXPECT_FALSE(check("limitk(1, up)"));
  set.experimental_functions = {"limitk"};
  EXPECT_TRUE(check("limitk(1, up)"));
  EXPECT_TRUE(reads.instant("a", "limitk(1, up)", kNow, {}));
}

TEST_F(ReadsTest, HomeSaysWhatALimitKeptFromIt) {
  EXPECT_TRUE(boost::json::parse(home()).at("warnings").as_array().empty());
  set.fetch.max_series = 3;
  const auto cut = boost::json::parse(home());
  ASSERT_EQ(cut.at("warnings").as_array().size(), 1u) << "each reason once";
  EXPECT_NE(std::string_view(cut.at("warnings").at(0).as_string()).find("limit: 3 series"), std::string_view::npos);
  refuse = true;
  EXPECT_TRUE(boost::json::parse(home()).at("warnings").as_array().empty()) << "health says that memory is short";
}

TEST_F(ReadsTest, SearchLooksNoFurtherBackThanLookUpsMay) {
  const auto search = [&] { return boost::json::parse(search_json(reads, "a", kNow, "up", "metric", 10, {})); };
  auto found = search();
  EXPECT_EQ(found.at("results").as_array().size(), 1u);
  EXPECT_TRUE(found.at("warnings").as_array().empty());
  EXPECT_LT(store->asked_from, 0);
  set.max_labels_query_length = std::chrono::hours(1);
  search();
  EXPECT_EQ(store->asked_from, kNow - 3'600'000);
  refuse = true;
  found = search();
  EXPECT_TRUE(found.at("results").as_array().empty());
  ASSERT_EQ(found.at("warnings").as_array().size(), 1u);
  EXPECT_EQ(found.at("warnings").at(0).as_string(), "memory is short");
}

}  // namespace
}  // namespace tocayo::ui
