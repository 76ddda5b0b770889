// SPDX-License-Identifier: Apache-2.0
#include "agent/scrape/nhcb.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "agent/scrape/series_cache.h"
#include "metrics/exposition_protobuf.h"

namespace tocayo::agent {
namespace {

using metrics::ExpositionEvent;

template <typename Parser>
std::vector<std::string> entries(Parser& inner, bool keep) {
  NhcbParser<Parser> parser(inner, keep);
  std::vector<std::string> out;
  for (;;) {
    auto event = parser.next();
    if (!event) {
      out.push_back("error " + event.error().message);
      return out;
    }
    if (*event == ExpositionEvent::end) return out;
    if (*event != ExpositionEvent::sample && *event != ExpositionEvent::histogram) continue;
    std::string line(parser.name());
    for (const auto& label : parser.labels()) line += fmt::format(" {}={}", label.name, label.value);
    if (*event == ExpositionEvent::sample) {
      line += fmt::format(" : {}", parser.value());
    } else {
      auto checked = metrics::check_histogram(*parser.histogram(), {});
      line += checked ? " " + (*checked)->to_string() : " invalid";
      if ((*checked)->uses_custom_buckets())
        line += fmt::format(" bounds {}", fmt::join((*checked)->custom_values, " "));
    }
    if (parser.time()) line += fmt::format(" @{}", *parser.time());
    for (const auto& exemplar : parser.exemplars())
      line += fmt::format(" # {}={} {}", exemplar.labels[0].name, exemplar.labels[0].value, exemplar.value);
    out.push_back(line);
  }
}
std::vector<std::string> text(std::string_view body, bool keep = false, bool openmetrics = false) {
  metrics::ExpositionTextParser parser(body, {.openmetrics = openmetrics});
  return entries(parser, keep);
}
std::string histogram(std::vector<double> bounds, std::vector<double> counts, double sum) {
  ClassicHistogram numbers;
  double total = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    if (i < bounds.size()) numbers.set_bucket(bounds[i], total);
  }
  numbers.set_count(total);
  numbers.set_sum(sum);
  metrics::HistogramParts parts;
  EXPECT_TRUE(numbers.convert(parts));
  auto checked = metrics::check_histogram(parts, {});
  EXPECT_TRUE(checked) << checked.error().text;
  return (*checked)->to_string() + fmt::format(" bounds {}", fmt::join((*checked)->custom_values, " "));
}

constexpr std::string_view kTwo =
    "# TYPE h histogram\n"
    "h_bucket{a=\"x\",le=\"0.5\"} 1\nh_bucket{a=\"x\",le=\"1\"} 3\nh_bucket{a=\"x\",le=\"+Inf\"} 4\n"
    "h_sum{a=\"x\"} 2.5\nh_count{a=\"x\"} 4\n"
    "h_bucket{le=\"0.5\",a=\"y\"} 2\nh_bucket{a=\"y\",le=\"1\"} 2\nh_bucket{a=\"y\",le=\"+Inf\"} 5\n"
    "h_sum{a=\"y\"} 7\nh_count{a=\"y\"} 5\n"
    "# TYPE c counter\nc 1\n";

TEST(Nhcb, ConsecutiveLinesBecomeOneHistogramPerSeries) {
  EXPECT_EQ(text(kTwo), (std::vector<std::string>{"h a=x " + histogram({0.5, 1}, {1, 2, 1}, 2.5),
                                                  "h a=y " + histogram({0.5, 1}, {2, 0, 3}, 7), "c : 1"}));
  auto kept = text(kTwo, true);
  EXPECT_EQ(kept.size(), 13U);
  EXPECT_EQ(kept[0], "h_bucket a=x le=0.5 : 1");
  EXPECT_EQ(kept[5], "h a=x " + histogram({0.5, 1}, {1, 2, 1}, 2.5));
  EXPECT_EQ(kept[11], "h a=y " + histogram({0.5, 1}, {2, 0, 3}, 7));
}

TEST(Nhcb, WhatIsMissingIsFilledInAndWhatDoesNotFitIsLeftOut) {
  auto one = [](std::string_view lines) { return text("# TYPE h histogram\n" + std::string(lines)); };
  // No count: that of the highest bucket. No +Inf bucket: the count.
  EXPECT_EQ(one("h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 1\n"),
            std::vector<std::string>{"h " + histogram({1}, {2, 1}, 1)});
  EXPECT_EQ(one("h_bucket{le=\"1\"} 2\nh_count 3\nh_sum 1\n"),
            std::vector<std::string>{"h " + histogram({1}, {2, 1}, 1)});
  EXPECT_EQ(one("h_count 3\nh_sum 1\n"), std::vector<std::string>{"h " + histogram({}, {3}, 1)});
  // Bounds in any order, and twice.
  EXPECT_EQ(
      one("h_count 3\nh_bucket{le=\"+Inf\"} 3\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"1\"} 9\nh_bucket{le=\"0\"} 1\n"),
      std::vector<std::string>{"h " + histogram({0, 1}, {1, 1, 1}, 0)});
  EXPECT_EQ(one("h_bucket{le=\"1\"} 2.5\nh_count 3\n"), std::vector<std::string>{"h " + histogram({1}, {2.5, .5}, 0)});
  const std::vector<std::string> none;
  EXPECT_EQ(one("h_bucket{le=\"1\"} 4\nh_bucket{le=\"2\"} 3\nh_count 4\n"), none) << "falls";
  EXPECT_EQ(one("h_bucket{le=\"1\"} 4\nh_bucket{le=\"+Inf\"} 4\nh_count 5\n"), none) << "count is another";
  EXPECT_EQ(one("h_bucket{le=\"1\"} -4\nh_count 5\n"), none);
  EXPECT_EQ(one("h_bucket{le=\"NaN\"} 4\n"), std::vector<std::string>{"h_bucket le=NaN : 4"});
  EXPECT_EQ(one("h_bucket 4\n"), std::vector<std::string>{"h_bucket : 4"});
  EXPECT_EQ(one("other_count 4\n"), std::vector<std::string>{"other_count : 4"}) << "of another family";
  EXPECT_EQ(text("# TYPE h summary\nh_count 4\n"), std::vector<std::string>{"h_count : 4"});
  EXPECT_EQ(text("h_bucket{le=\"1\"} 4\n"), std::vector<std::string>{"h_bucket le=1 : 4"}) << "no type";
}

TEST(Nhcb, KeepsTimesAndExemplarsOfOpenMetrics) {
  EXPECT_EQ(
      text("# TYPE h histogram\nh_bucket{le=\"1.0\"} 2 5 # {t=\"a\"} 0.5\nh_bucket{le=\"+Inf\"} 3 5 # {t=\"b\"} 9\n"
           "h_count 3 5\nh_sum 10 5\n# EOF\n",
           false, true),
      std::vector<std::string>{"h " + histogram({1}, {2, 1}, 10) + " @5000 # t=a 0.5 # t=b 9"});
  EXPECT_EQ(text("# TYPE h histogram\nh_count 3\n{\n", false, true).back().substr(0, 5), "error");
}

// A cache with the setting: stored under one name, stale when it goes, known by the next scrape.
TEST(Nhcb, TheCacheKnowsConvertedSeries) {
  ScrapeConfig config;
  config.convert_classic_histograms_to_nhcb = true;
  SeriesCache cache(std::make_shared<const ScrapeConfig>(config), Labels{{"job", "j"}});
  ScrapeRows rows;
  ASSERT_TRUE(cache.read(kTwo, metrics::ExpositionFormat::text, 1000, rows));
  EXPECT_EQ(rows.scraped, 3U);
  EXPECT_EQ(rows.added, 3U);
  ASSERT_EQ(rows.series.size(), 3U);
  EXPECT_EQ(rows.series[0].labels->to_string(), "h{a=\"x\", job=\"j\"}");
  ASSERT_EQ(rows.series[0].histograms.size(), 1U);
  EXPECT_EQ(rows.series[0].histograms[0].histogram->count, 4);
  EXPECT_TRUE(rows.series[0].histograms[0].integer);
  for (std::size_t i = 0; i < rows.series.size(); ++i) rows.series[i].ref = i + 1;
  cache.remember(rows);
  ASSERT_TRUE(cache.read(kTwo, metrics::ExpositionFormat::text, 2000, rows));
  EXPECT_EQ(rows.added, 0U);
  EXPECT_EQ(rows.series[1].ref, 2U);
  cache.remember(rows);
  ASSERT_TRUE(cache.read("# TYPE c counter\nc 1\n", metrics::ExpositionFormat::text, 3000, rows));
  ASSERT_EQ(rows.series.size(), 3U);
  EXPECT_TRUE(metrics::is_stale(rows.series[1].floats[0].value));
}

}  // namespace
}  // namespace tocayo::agent
