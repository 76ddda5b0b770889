// SPDX-License-Identifier: Apache-2.0
#include "agent/scrape/series_cache.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>

namespace tocayo::agent {
namespace {

using metrics::ExpositionFormat;

constexpr TimestampMs kStart = 1'700'000'000'000;

// One target, and a store that keeps what it is given. Each scrape is a second after the last.
class Scrapes {
 public:
  explicit Scrapes(ScrapeConfig config = {}, Labels target = {{"job", "j"}, {"instance", "i"}})
      : cache(std::make_shared<const ScrapeConfig>(std::move(config)), std::move(target)) {}

  Result<> read(std::string_view body, ExpositionFormat format = ExpositionFormat::text, bool store_works = true) {
    now += 1000;
    auto result = cache.read(body, format, now, rows);
    if (!result) cache.vanish(now, rows);
    take(store_works);
    return result;
  }
  void fail_fetch() {
    now += 1000;
    rows = {};
    cache.vanish(now, rows);
    take(true);
  }
  void take(bool store_works) {
    stored.clear();
    for (auto& row : rows.series) {
      EXPECT_NE(row.labels, nullptr);
      std::string name = row.labels->to_string();
      for (const auto& value : row.floats) {
        EXPECT_FALSE(stored.contains(name)) << name;
        stored[name] = metrics::is_stale(value.value) ? "stale" : fmt::format("{}", value.value);
        if (value.time != now) stored[name] += fmt::format("@{}", value.time);
      }
      for (const auto& value : row.histograms)
        stored[name] = fmt::format("histogram schema {}", value.histogram->schema);
      if (store_works) {
        auto [it, fresh] = refs.emplace(name, refs.size() + 1);
        if (row.ref != 0) EXPECT_EQ(row.ref, it->second) << name;
        row.ref = it->second;
      }
    }
    if (store_works) cache.remember(rows);
  }

  using Stored = std::map<std::string, std::string>;
  SeriesCache cache;
  ScrapeRows rows;
  Stored stored;  // by the last scrape
  std::map<std::string, std::uint64_t> refs;
  TimestampMs now = kStart;
};
using Stored = Scrapes::Stored;

std::string with_target(std::string_view name) { return fmt::format("{}{{instance=\"i\", job=\"j\"}}", name); }

RelabelRule rule(RelabelRule::Action action, std::vector<std::string> source, std::string regex) {
  RelabelRule rule;
  rule.action = action;
  rule.source_labels = std::move(source);
  rule.regex = std::move(regex);
  EXPECT_TRUE(compile(rule));
  return rule;
}

TEST(SeriesCache, MarksASeriesThatVanishedOnce) {
  Scrapes s;
  ASSERT_TRUE(s.read("a 1\nb 2\n"));
  EXPECT_EQ(s.stored, (Stored{{with_target("a"), "1"}, {with_target("b"), "2"}}));
  EXPECT_EQ(s.rows.added, 2U);
  ASSERT_TRUE(s.read("a 3\n"));
  EXPECT_EQ(s.stored, (Stored{{with_target("a"), "3"}, {with_target("b"), "stale"}}));
  EXPECT_EQ(s.rows.added, 0U);
  ASSERT_TRUE(s.read("a 4\n"));
  EXPECT_EQ(s.stored, (Stored{{with_target("a"), "4"}}));
}

TEST(SeriesCache, AReappearingSeriesCountsAsAdded) {
  Scrapes s;
  ASSERT_TRUE(s.read("a 1\nb 2\n"));
  ASSERT_TRUE(s.read("a 1\n"));
  ASSERT_TRUE(s.read("a 1\nb 2\n"));
  EXPECT_EQ(s.stored.at(with_target("b")), "2");
  EXPECT_EQ(s.rows.added, 1U);
  ASSERT_TRUE(s.read("a 1\n"));
  EXPECT_EQ(s.stored.at(with_target("b")), "stale");
}

TEST(SeriesCache, AFailedScrapeMarksAllOnce) {
  Scrapes s;
  ASSERT_TRUE(s.read("a 1\nb 2\n"));
  s.fail_fetch();
  EXPECT_EQ(s.stored, (Stored{{with_target("a"), "stale"}, {with_target("b"), "stale"}}));
  s.fail_fetch();
  EXPECT_TRUE(s.stored.empty());
  ASSERT_TRUE(s.read("a 1\n"));  // b is not marked again
  EXPECT_EQ(s.stored, (Stored{{with_target("a"), "1"}}));
  EXPECT_EQ(s.rows.added, 0U);  // known all the time, as in Prometheus
}

TEST(SeriesCache, ABrokenBodyMarksWhatWasThereAndStoresNothing) {
  Scrapes s;
  ASSERT_TRUE(s.read("a 1\nb 2\n"));
  auto broken = s.read("a 3\nnew 4\n!!\n");
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("line 3"), std::string::npos) << broken.error().message;
  EXPECT_EQ(s.stored, (Stored{{with_target("a"), "stale"}, {with_target("b"), "stale"}}));
  EXPECT_EQ(s.rows.scraped, 2U);
  EXPECT_FALSE(s.read("a 3\nnew 4\n!!\n"));
  EXPECT_TRUE(s.stored.empty());
  ASSERT_TRUE(s.read("a 5\n"));
  EXPECT_EQ(s.stored, (Stored{{with_target("a"), "5"}}));
}

TEST(SeriesCache, AnEmptyBodyIsAScrapeWithoutSamples) {
  Scrapes s;
  ASSERT_TRUE(s.read("a 1\n"));
  ASSERT_TRUE(s.read(""));
  EXPECT_EQ(s.stored, (Stored{{with_target("a"), "stale"}}));
  EXPECT_EQ(s.rows.scraped, 0U);
}

TEST(SeriesCache, ExplicitTimestampsGetNoMarkers) {
  Scrapes s;
  ASSERT_TRUE(s.read("a 1 1699999990000\n"));
  EXPECT_EQ(s.stored, (Stored{{with_target("a"), "1@1699999990000"}}));
  ASSERT_TRUE(s.read("b 1\n"));
  EXPECT_EQ(s.stored, (Stored{{with_target("b"), "1"}}));
}

TEST(SeriesCache, ExplicitTimestampsGetMarkersWhenTracked) {
  ScrapeConfig config;
  config.track_timestamps_staleness = true;
  Scrapes s(std::move(config));
  ASSERT_TRUE(s.read("a 1 1699999990000\n"));
  ASSERT_TRUE(s.read("b 1\n"));
  EXPECT_EQ(s.stored, (Stored{{with_target("a"), "stale"}, {with_target("b"), "1"}}));
}

TEST(SeriesCache, TimestampsThatAreNotHonouredAreNone) {
  ScrapeConfig config;
  config.honor_timestamps = false;
  Scrapes s(std::move(config));
  ASSERT_TRUE(s.read("a 1 1699999990000\n"));
  EXPECT_EQ(s.stored, (Stored{{with_target("a"), "1"}}));
  ASSERT_TRUE(s.read("b 1\n"));
  EXPECT_EQ(s.stored.at(with_target("a")), "stale");
}

TEST(SeriesCache, SamplesFarAheadAreLeftOutAndCounted) {
  Scrapes s;
  ASSERT_TRUE(s.read(fmt::format("a 1 {}\nb 1 {}\n", kStart + 1000 + 600'000, kStart + 1000 + 600'001)));
  EXPECT_EQ(s.stored.size(), 1U);
  EXPECT_EQ(s.rows.out_of_bounds, 1U);
  EXPECT_EQ(s.rows.kept, 2U);
}

TEST(SeriesCache, TheFirstOfDuplicatesStays) {
  Scrapes s;
  ASSERT_TRUE(s.read("a 1\na 2\n"));
  EXPECT_EQ(s.stored, (Stored{{with_target("a"), "1"}}));
  EXPECT_EQ(s.rows.duplicates, 1U);
  EXPECT_EQ(s.rows.scraped, 2U);
  EXPECT_EQ(s.rows.kept, 2U);
  EXPECT_EQ(s.rows.added, 1U);
}

TEST(SeriesCache, OneSeriesInOtherWordsIsNotStale) {
  Scrapes s;
  ASSERT_TRUE(s.read("a{x=\"1\",y=\"2\"} 1\n"));
  ASSERT_TRUE(s.read("a{y=\"2\",x=\"1\"} 2\n"));
  EXPECT_EQ(s.stored, (Stored{{"a{instance=\"i\", job=\"j\", x=\"1\", y=\"2\"}", "2"}}));
  ASSERT_TRUE(s.read("b 1\n"));
  EXPECT_EQ(s.stored.at("a{instance=\"i\", job=\"j\", x=\"1\", y=\"2\"}"), "stale");
}

TEST(SeriesCache, ConflictingLabelsAreExported) {
  Scrapes s;
  ASSERT_TRUE(s.read("a{job=\"other\",instance=\"x\"} 1\n"));
  EXPECT_EQ(s.stored, (Stored{{"a{exported_instance=\"x\", exported_job=\"other\", instance=\"i\", job=\"j\"}", "1"}}));
}

TEST(SeriesCache, ExportedLabelsThemselvesAreExportedAgain) {
  Scrapes s({}, {{"job", "j"}, {"exported_job", "t"}});
  ASSERT_TRUE(s.read("a{exported_job=\"e\",job=\"o\"} 1\n"));
  // The shorter name is renamed first; `exported_job` is the target's.
  EXPECT_EQ(
      s.stored,
      (Stored{{"a{exported_exported_exported_job=\"e\", exported_exported_job=\"o\", exported_job=\"t\", job=\"j\"}",
               "1"}}));
}

TEST(SeriesCache, HonouredLabelsWin) {
  ScrapeConfig config;
  config.honor_labels = true;
  Scrapes s(std::move(config));
  ASSERT_TRUE(s.read("a{job=\"other\"} 1\nb{instance=\"\"} 2\n"));
  EXPECT_EQ(s.stored, (Stored{{"a{instance=\"i\", job=\"other\"}", "1"}, {"b{job=\"j\"}", "2"}}));
}

TEST(SeriesCache, RelabellingDropsSamples) {
  ScrapeConfig config;
  config.metric_relabel.push_back(rule(RelabelRule::Action::drop, {"__name__"}, "go_.*"));
  Scrapes s(std::move(config));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(s.read("a 1\ngo_x 2\ngo_y 3\n"));
    EXPECT_EQ(s.stored, (Stored{{with_target("a"), "1"}}));
    EXPECT_EQ(s.rows.scraped, 3U);
    EXPECT_EQ(s.rows.kept, 1U);
  }
}

TEST(SeriesCache, ASeriesThatRelabellingMergesGoesOnWithAnyOfItsParts) {
  ScrapeConfig config;
  config.metric_relabel.push_back(rule(RelabelRule::Action::labeldrop, {}, "x"));
  Scrapes s(std::move(config));
  ASSERT_TRUE(s.read("a{x=\"1\"} 1\n"));
  ASSERT_TRUE(s.read("a{x=\"2\"} 1\n"));
  EXPECT_EQ(s.stored, (Stored{{with_target("a"), "1"}}));
  ASSERT_TRUE(s.read("b 1\n"));
  EXPECT_EQ(s.stored, (Stored{{with_target("a"), "stale"}, {with_target("b"), "1"}}));
}

TEST(SeriesCache, MissingNameAndDoubleLabelsRefuseTheBody) {
  ScrapeConfig config;
  config.metric_relabel.push_back(rule(RelabelRule::Action::labeldrop, {}, "__name__"));
  EXPECT_EQ(Scrapes(config).read("a 1\n").error().message, "missing metric name (__name__ label)");
  EXPECT_EQ(Scrapes().read("a{x=\"1\",x=\"2\"} 1\n").error().message, "label name \"x\" is not unique: invalid sample");
  ScrapeConfig legacy;
  legacy.utf8_names = false;
  EXPECT_TRUE(Scrapes().read("{\"a.b\"} 1\n"));
  EXPECT_NE(Scrapes(legacy).read("{\"a.b\"} 1\n").error().message.find("invalid metric name or label names"),
            std::string::npos);
  EXPECT_NE(Scrapes(legacy).read("a{\"x.y\"=\"1\"} 1\n").error().message.find("invalid metric name or label names"),
            std::string::npos);
}

TEST(SeriesCache, TheSampleLimitFailsTheScrapeButCountsToTheEnd) {
  ScrapeConfig config;
  config.sample_limit = 2;
  Scrapes s(std::move(config));
  ASSERT_TRUE(s.read("a 1\nb 1\n"));
  auto over = s.read("a 1\nb 1\nc 1\nd 1\n");
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().message, "sample limit exceeded");
  EXPECT_EQ(s.cache.refusal(), ScrapeRefusal::sample_limit);
  EXPECT_EQ(s.rows.scraped, 4U);
  EXPECT_EQ(s.rows.kept, 4U);
  EXPECT_EQ(s.rows.added, 0U);
  EXPECT_EQ(s.stored, (Stored{{with_target("a"), "stale"}, {with_target("b"), "stale"}}));
  EXPECT_EQ(s.cache.size(), 2U);  // what is over the limit takes no memory
}

TEST(SeriesCache, LabelLimitsFailTheScrape) {
  auto refused = [](auto set, std::string_view text) {
    ScrapeConfig config;
    set(config);
    Scrapes s(std::move(config));
    EXPECT_TRUE(s.read("a 1\n"));
    auto result = s.read("a 1\nb{name=\"value\"} 1\n");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message, text);
    EXPECT_EQ(s.cache.refusal(), ScrapeRefusal::label_limit);
    EXPECT_EQ(s.stored, (Stored{{with_target("a"), "stale"}}));
  };
  refused([](auto& c) { c.label_limit = 3; }, "label_limit exceeded (metric: b, number of labels: 4, limit: 3)");
  refused([](auto& c) { c.label_value_length_limit = 4; },
          "label_value_length_limit exceeded (metric: b, label name: name, value: \"value\", length: 5, limit: 4)");
  ScrapeConfig config;
  config.label_name_length_limit = 8;
  EXPECT_EQ(Scrapes(config).read("b{long_name=\"v\"} 1\n").error().message,
            "label_name_length_limit exceeded (metric: b, label name: long_name, length: 9, limit: 8)");
}

TEST(SeriesCache, ASeriesThatWasNeverStoredGetsNoMarker) {
  Scrapes s;
  ASSERT_TRUE(s.read("a 1\n"));
  ASSERT_TRUE(s.read("a 2\nb 1\n", ExpositionFormat::text, false));  // the store was away
  ASSERT_TRUE(s.read("c 1\n"));
  EXPECT_EQ(s.stored, (Stored{{with_target("a"), "stale"}, {with_target("c"), "1"}}));
}

TEST(SeriesCache, MetadataIsSentWhenItChangesAndUntilItIsStored) {
  Scrapes s;
  ASSERT_TRUE(s.read("# HELP a Help.\n# TYPE a counter\na 1\n"));
  ASSERT_EQ(s.rows.metadata.size(), 1U);
  EXPECT_EQ(s.rows.metadata[0].type, "counter");
  EXPECT_EQ(s.rows.metadata[0].help, "Help.");
  auto version = s.cache.metadata_version();
  ASSERT_TRUE(s.read("# HELP a Help.\n# TYPE a counter\na 1\n"));
  EXPECT_TRUE(s.rows.metadata.empty());
  EXPECT_EQ(s.cache.metadata_version(), version);
  ASSERT_TRUE(s.read("# HELP a Other.\n# TYPE a counter\na 1\n", ExpositionFormat::text, false));
  EXPECT_EQ(s.rows.metadata.size(), 1U);
  ASSERT_TRUE(s.read("# HELP a Other.\n# TYPE a counter\na 1\n"));
  ASSERT_EQ(s.rows.metadata.size(), 1U);
  EXPECT_EQ(s.rows.metadata[0].help, "Other.");
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(s.read("b 1\n"));
  EXPECT_EQ(s.cache.metadata().size(), 1U);
  ASSERT_TRUE(s.read("b 1\n"));
  EXPECT_TRUE(s.cache.metadata().empty());  // ten scrapes after the family was last seen
}

TEST(SeriesCache, ChurnDoesNotFillTheMemory) {
  ScrapeConfig config;
  config.metric_relabel.push_back(rule(RelabelRule::Action::drop, {"__name__"}, "dropped"));
  Scrapes s(std::move(config));
  for (int i = 0; i < 500; ++i)
    ASSERT_TRUE(s.read(fmt::format("a{{n=\"{0}\"}} 1\ndropped{{n=\"{0}\"}} 1\n# TYPE f{0} gauge\n", i)));
  EXPECT_EQ(s.cache.size(), 2U);
  EXPECT_LE(s.cache.metadata().size(), 11U);
}

TEST(SeriesCache, ChurnInRefusedBodiesDoesNotFillTheMemory) {
  Scrapes s;
  ASSERT_TRUE(s.read("a 1\n"));
  for (int i = 0; i < 3000; ++i) ASSERT_FALSE(s.read(fmt::format("a{{n=\"{}\"}} 1\n!!\n", i)));
  EXPECT_LE(s.cache.size(), 1003U);
}

TEST(SeriesCache, ReportsHaveTheTargetsLabelsAndManyFit) {
  Scrapes s;
  s.now += 1000;
  ASSERT_TRUE(s.cache.read("a 1\n", ExpositionFormat::text, s.now, s.rows));
  for (int i = 0; i < 100; ++i) s.cache.add_report(fmt::format("r{}", i), s.now, i, s.rows);
  s.take(true);
  EXPECT_EQ(s.stored.size(), 101U);
  EXPECT_EQ(s.stored.at(with_target("r7")), "7");
  EXPECT_EQ(s.stored.at(with_target("a")), "1");
}

TEST(SeriesCache, ASuccessorsSeriesAreNotMarked) {
  Scrapes old, next;
  ASSERT_TRUE(old.read("a 1\nb 1\n"));
  ASSERT_TRUE(next.read("b 2\nc 1\n"));
  old.rows = {};
  old.cache.vanish(old.now, old.rows, &next.cache);
  old.take(true);
  EXPECT_EQ(old.stored, (Stored{{with_target("a"), "stale"}}));
}

TEST(SeriesCache, ExemplarsWithoutTimeHaveTheSamples) {
  Scrapes s;
  ASSERT_TRUE(s.read("# TYPE a counter\na_total 1 1699999990 # {t=\"x\"} 0.5\n# EOF\n", ExpositionFormat::openmetrics));
  ASSERT_EQ(s.rows.series.size(), 1U);
  ASSERT_EQ(s.rows.series[0].exemplars.size(), 1U);
  EXPECT_EQ(s.rows.series[0].exemplars[0].time, 1'699'999'990'000);
}

}  // namespace
}  // namespace tocayo::agent
