// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/patterns.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "core/pool.h"
#include "logql/engine/plain_store.h"
#include "logs/line_filter.h"

namespace tocayo::logql {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

bool matches(const std::string& pattern, std::string_view line) {
  logs::LineFilter filter;
  filter.kind = logs::LineFilter::Kind::pattern;
  filter.operands = {pattern};
  auto matcher = logs::LineMatcher::create(filter);
  EXPECT_TRUE(matcher) << pattern;
  return matcher && matcher->matches(line);
}

std::uint64_t total(const logs::Pattern& pattern) {
  std::uint64_t sum = 0;
  for (const auto& [time, count] : pattern.samples) sum += count;
  return sum;
}

TEST(LogqlPatterns, GuessesSlots) {
  const auto guess = PatternMerger::guess_pattern;
  EXPECT_EQ(guess("GET /api/users/8841 200 0.132s trace=9f3c0a7e"), "GET /<_> <_> <_> trace=<_>");
  EXPECT_EQ(guess("connection closed."), "connection closed.");
  EXPECT_EQ(guess(R"(msg="hello there" n=5)"), R"(msg="<_>" n=<_>)");
  EXPECT_EQ(guess("a <b> 5"), "a <_>b> <_>");
}

// Lines of a few kinds with random values, and random bytes.
std::string random_line(std::mt19937& random) {
  const auto number = [&] { return std::to_string(random() % 1'000); };
  switch (random() % 6) {
    case 0: return "user " + number() + " logged in from 10.0.0." + number();
    case 1:
      return "GET /items/" + number() + " took " + number() + "ms status=" + (random() % 2 == 0 ? "ok" : "failed");
    case 2: return "cache miss key=" + std::string(1 + random() % 3, static_cast<char>('a' + random() % 5));
    case 3: return R"(level=info msg="did )" + number() + R"( things" caller=main.go:)" + number();
    case 4: return "worker w" + number() + " " + (random() % 2 == 0 ? "started" : "stopped") + " job job job";
    default: {
      std::string line;
      for (std::size_t i = random() % 30; i > 0; --i) line.push_back("ab 19<>_\"=."[random() % 11]);
      return line;
    }
  }
}

TEST(LogqlPatterns, EveryLineMatchesAPatternThatCountsIt) {
  std::mt19937 random(9);
  for (int round = 0; round < 10; ++round) {
    PlainStore store(64);
    std::vector<std::string> lines;
    for (int i = 0; i < 500; ++i) {
      std::string line = random_line(random) + " ";
      line += std::to_string(i);  // no line twice
      const logs::EntryRow row{i * kSecond, line, {}};
      store.add({{"app", "a"}}, std::span(&row, 1));
      lines.push_back(std::move(line));
    }
    Pool pool("patterns_test", 2);
    PatternOptions options;
    options.max_patterns = 10'000;
    auto patterns =
        find_patterns(store, R"({app="a"})", 0, 500 * kSecond, options, {.pool = round % 2 == 0 ? &pool : nullptr});
    ASSERT_TRUE(patterns) << patterns.error().message;
    std::uint64_t counted = 0;
    for (const logs::Pattern& pattern : *patterns) counted += total(pattern);
    EXPECT_GE(counted, lines.size() - 5);  // a line that cannot be written as a pattern is left out
    EXPECT_LE(counted, lines.size());
    EXPECT_LT(patterns->size(), 200U);
    std::size_t unmatched = 0;
    for (const std::string& line : lines) {
      bool any = false;
      for (const logs::Pattern& pattern : *patterns) any = any || matches(pattern.text, line);
      unmatched += any ? 0 : 1;
    }
    EXPECT_LE(unmatched, lines.size() - counted);
    for (const logs::Pattern& pattern : *patterns) {
      EXPECT_FALSE(pattern.text.contains("<_><_>"));
      std::uint64_t by_match = 0;
      for (const std::string& line : lines) by_match += matches(pattern.text, line) ? 1 : 0;
      EXPECT_GE(by_match, total(pattern)) << pattern.text;
    }
  }
}

TEST(LogqlPatterns, MergesLikeKindsAndKeepsLevelsApart) {
  PatternMerger merger;
  for (int i = 0; i < 10; ++i) {
    merger.add_line("task alpha finished in " + std::to_string(i) + " s", "info", i * kSecond);
    merger.add_line("task beta finished in " + std::to_string(i) + " s", "info", i * kSecond + 10 * kSecond);
  }
  merger.add_line("task beta finished in 5 s", "error", 0);
  merger.add_line("something else", "info", 0);
  const auto result = merger.result();
  ASSERT_EQ(result.size(), 3U);
  EXPECT_EQ(result[0].text, "task <_> finished in <_> s");
  EXPECT_EQ(result[0].level, "info");
  EXPECT_EQ(result[0].samples, (std::vector<std::pair<TimestampNs, std::uint64_t>>{{0, 10}, {10 * kSecond, 10}}));
  EXPECT_EQ(total(result[1]), 1U);
  EXPECT_EQ(total(result[2]), 1U);
}

TEST(LogqlPatterns, HonoursSelectorAndLineFilters) {
  PlainStore store;
  for (int i = 0; i < 10; ++i) {
    const std::string line = (i % 2 == 0 ? "keep " : "drop ") + std::to_string(i);
    const logs::LabelView level{"detected_level", "warn"};
    const logs::EntryRow row{i * kSecond, line, std::span(&level, 1)};
    store.add({{"app", "a"}}, std::span(&row, 1));
  }
  auto patterns = find_patterns(store, R"({app="a"} |= "keep" | json)", 0, 100 * kSecond, {});
  ASSERT_TRUE(patterns);
  ASSERT_EQ(patterns->size(), 1U);
  EXPECT_EQ(patterns->at(0).text, "keep <_>");
  EXPECT_EQ(patterns->at(0).level, "warn");
  EXPECT_EQ(total(patterns->at(0)), 5U);
  EXPECT_FALSE(find_patterns(store, "vector(1)", 0, 1, {}));
}

}  // namespace
}  // namespace tocayo::logql
