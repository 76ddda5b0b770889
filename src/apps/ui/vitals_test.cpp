// SPDX-License-Identifier: Apache-2.0
// What browsers report: only known names in their ranges become series, and not more often than the limit.
#include "ui/vitals.h"

#include <gtest/gtest.h>

namespace tocayo::ui {
namespace {

using namespace std::chrono_literals;

TEST(Vitals, KnownSignsInTheirRanges) {
  auto report = parse_vitals(R"({"page":"explore","fcp":310,"lcp":812.5,"inp":0,"cls":0.02,"chunkErrors":1,"slow":2})");
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->page, "explore");
  EXPECT_EQ(report->chunk_errors, 1u);
  EXPECT_EQ(report->slow_interactions, 2u);
  ASSERT_EQ(report->signs.size(), 4u);
  EXPECT_EQ(report->signs[1].first, "lcp");
  EXPECT_DOUBLE_EQ(report->signs[1].second, 0.8125);  // seconds
  EXPECT_DOUBLE_EQ(report->signs[3].second, 0.02);    // no unit
  EXPECT_TRUE(parse_vitals(R"({"page":"other"})"));
}

TEST(Vitals, EverythingElseIsRefusedWithItsName) {
  const std::pair<const char*, const char*> bad[] = {
      {"", "a JSON object"},
      {"[]", "a JSON object"},
      {R"({"lcp":1})", "\"page\" is missing"},
      {R"({"page":"secret-dashboard"})", "\"page\" is not a known page"},
      {R"({"page":7})", "\"page\" is not a known page"},
      {R"({"page":"home","lcp":"1"})", "\"lcp\" must be a number"},
      {R"({"page":"home","lcp":-1})", "\"lcp\" must be from 0 to 600000"},
      {R"({"page":"home","inp":600001})", "\"inp\" must be from 0 to 600000"},
      {R"({"page":"home","cls":101})", "\"cls\" must be from 0 to 100"},
      {R"({"page":"home","slow":1001})", "\"slow\" must be from 0 to 1000"},
      {R"({"page":"home","user":"ana"})", "only page, fcp"},
  };
  for (const auto& [text, says] : bad) {
    auto report = parse_vitals(text);
    ASSERT_FALSE(report) << text;
    EXPECT_EQ(report.error().kind, ErrorKind::bad_input) << text;
    EXPECT_NE(report.error().message.find(says), std::string::npos) << text << ": " << report.error().message;
  }
}

TEST(Vitals, AreCountedUpToARate) {
  Registry registry;
  Vitals vitals(registry);
  const auto report = parse_vitals(R"({"page":"home","lcp":700,"cls":0.3,"slow":3})");
  ASSERT_TRUE(report);
  const auto start = std::chrono::steady_clock::now();
  std::size_t taken = 0;
  while (taken < 10'000 && vitals.record(*report, start)) ++taken;
  EXPECT_EQ(taken, static_cast<std::size_t>(Vitals::kBurst));
  EXPECT_EQ(vitals.record(*report, start).error().kind, ErrorKind::limit);
  EXPECT_TRUE(vitals.record(*report, start + 1s));
  const std::string text = registry.to_text();
  EXPECT_NE(text.find("tocayo_web_vital_seconds_bucket{le=\"0.5\",page=\"home\",sign=\"lcp\"} 0"), std::string::npos);
  EXPECT_NE(text.find("tocayo_web_vital_seconds_count{page=\"home\",sign=\"lcp\"} 101"), std::string::npos) << text;
  EXPECT_NE(text.find("tocayo_web_layout_shift_bucket{le=\"0.25\",page=\"home\"} 0"), std::string::npos);
  EXPECT_NE(text.find("tocayo_web_slow_interactions_total 303"), std::string::npos);
}

}  // namespace
}  // namespace tocayo::ui
