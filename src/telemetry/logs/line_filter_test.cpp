// SPDX-License-Identifier: Apache-2.0
#include "logs/line_filter.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include <algorithm>
#include <random>

#include "core/testing.h"
#include "logs/required_literals.h"

namespace tocayo::logs {
namespace {

bool match(LineFilter::Kind kind, std::vector<std::string> operands, std::string_view line, bool negated = false) {
  auto matcher = LineMatcher::create({.kind = kind, .negated = negated, .operands = std::move(operands)});
  EXPECT_TRUE(matcher) << matcher.error().message;
  return matcher && matcher->matches(line);
}
constexpr auto kContains = LineFilter::Kind::contains;
constexpr auto kRegex = LineFilter::Kind::regex;
constexpr auto kPattern = LineFilter::Kind::pattern;

TEST(LineFilter, ContainsAndOrChains) {
  EXPECT_TRUE(match(kContains, {"b"}, "abc"));
  EXPECT_FALSE(match(kContains, {"B"}, "abc"));
  EXPECT_TRUE(match(kContains, {""}, ""));
  EXPECT_TRUE(match(kContains, {"x", "c"}, "abc"));
  EXPECT_FALSE(match(kContains, {"x", "c"}, "abc", true));
  EXPECT_TRUE(match(kContains, {"x", "y"}, "abc", true));
}

TEST(LineFilter, RegexIsNotAnchoredAndDotStopsAtNewline) {
  EXPECT_TRUE(match(kRegex, {"b.d"}, "abcde"));
  EXPECT_FALSE(match(kRegex, {"b.d"}, "ab\nde"));
  EXPECT_TRUE(match(kRegex, {"(?i)ERROR"}, "an eRRor here"));
  EXPECT_TRUE(match(kRegex, {"(?i)task"}, "ta\xC5\xBFk"));
  EXPECT_TRUE(match(kRegex, {"a.b"},
                    "a\xFF"
                    "b"));
  auto bad = LineMatcher::create({.kind = kRegex, .negated = false, .operands = {"a("}});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().kind, ErrorKind::bad_input);
}

TEST(LineFilter, Patterns) {
  EXPECT_TRUE(match(kPattern, {"<_> bar"}, "foo bar"));
  EXPECT_FALSE(match(kPattern, {"<_> bar"}, "foo bar baz"));
  EXPECT_TRUE(match(kPattern, {"<_> baz"}, "foo bar baz"));
  EXPECT_TRUE(match(kPattern, {"foo <_>"}, "foo bar baz"));
  EXPECT_FALSE(match(kPattern, {"<_> bar <_>"}, " bar "));
  EXPECT_TRUE(match(kPattern, {"<_>bar<_>"}, " bar "));
  EXPECT_FALSE(match(kPattern, {"GET /users"}, "GET /users 200"));
  EXPECT_TRUE(match(kPattern, {""}, ""));
  EXPECT_FALSE(match(kPattern, {""}, "x"));
  EXPECT_TRUE(match(kPattern, {"<_>"}, "x"));
  for (const char* text : {"<verb> x", "<_><_>"}) {
    auto bad = LineMatcher::create({.kind = kPattern, .negated = false, .operands = {text}});
    EXPECT_FALSE(bad) << text;
  }
}

TEST(FindBytes, AgreesWithThePlainSearch) {
  std::mt19937 random(7);
  for (int round = 0; round < test_rounds(20000, 200000, 2000); ++round) {
    std::string hay(random() % 200, 'a');
    for (auto& c : hay) c = static_cast<char>("aAbB\n"[random() % 5]);
    std::string needle(1 + random() % 6, 'a');
    for (auto& c : needle) c = static_cast<char>("ab\n"[random() % 3]);
    ASSERT_EQ(find_bytes(hay, needle), hay.find(needle));
    std::string lower = hay;
    std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
    ASSERT_EQ(find_folded(hay, needle), lower.find(needle));
  }
}

TEST(RequiredLiterals, Table) {
  struct Row {
    const char* regex;
    std::vector<std::string> any_of;
    bool fold = false;
  };
  const Row rows[] = {{"error", {"error"}},
                      {"user-[0-9]+ failed", {" failed"}},
                      {"foo|barr", {"foo", "barr"}},
                      {"(foo|bar)x*", {"foo", "bar"}},
                      {"(foo)?x", {}},
                      {"abcd*", {"abc"}},
                      {"ab+cdef", {"cdef"}},
                      {"a.b", {}},
                      {"(?i)Needle", {"needle"}, true},
                      {"(?i:Error) now", {"error"}, true},
                      {R"(GET /api/v1\.0)", {"GET /api/v1.0"}},
                      {R"(\d{3} done)", {" done"}},
                      {"abc{2}def", {"def"}},
                      {"[[:alpha:]]]xyz", {"]xyz"}},
                      {R"(\x41bcd)", {}},
                      {"", {}}};
  for (const auto& row : rows) {
    auto required = required_literals(row.regex);
    auto any = required.any_of;
    std::erase_if(any, [](const std::string& text) { return text == "\xC5\xBF" || text == "\xE2\x84\xAA"; });
    EXPECT_EQ(any, row.any_of) << row.regex;
    EXPECT_EQ(required.fold, row.fold) << row.regex;
  }
}

// Whatever the expression matches holds one of the literals.
TEST(RequiredLiterals, AreNeverWrong) {
  std::mt19937 random(11);
  const std::vector<std::string> atoms = {
      "a",    "b",    "ab", "abc", "(ab|bca)", "(?i:ab)", "[ab]", ".",    "\\d", "(abc)?", "bb+", "a*",  "c{2}", "|",
      "(?i)", "(b|)", "k",  "s",   "{",        "x{0,1}",  "^",    "(a)*", "a+?", "b??",    "bca", "cab", "\\.",  "ſ"};
  int known = 0;
  const int rounds = test_rounds(30000, 300000, 3000);
  for (int round = 0; round < rounds; ++round) {
    std::string regex;
    for (unsigned i = 0, n = 1 + random() % 6; i < n; ++i) regex += atoms[random() % atoms.size()];
    re2::RE2::Options options;
    options.set_log_errors(false);
    re2::RE2 compiled(regex, options);
    if (!compiled.ok()) continue;
    auto required = required_literals(regex);
    known += required.any_of.empty() ? 0 : 1;
    for (int line_no = 0; line_no < 10; ++line_no) {
      std::string line;
      const std::vector<std::string> bits = {"a", "b", "c", "A",   "B",  "k", "K", "s", "\xC5\xBF", "\xE2\x84\xAA",
                                             "{", ".", "1", "abc", "bca"};
      for (unsigned i = 0, n = random() % 9; i < n; ++i) line += bits[random() % bits.size()];
      if (required.any_of.empty() || !re2::RE2::PartialMatch(line, compiled)) continue;
      const bool holds = std::ranges::any_of(required.any_of, [&](const std::string& literal) {
        return (required.fold ? find_folded(line, literal) : find_bytes(line, literal)) != std::string::npos;
      });
      ASSERT_TRUE(holds) << regex << " matches " << line;
    }
  }
  EXPECT_GT(known, rounds / 30);
}

// Many lines at once, in any order in memory, against one after the other.
TEST(LineFilter, ManyLinesAtOnceAgreeWithEachAlone) {
  std::mt19937_64 random(7);
  const std::vector<LineFilter> filters = {
      {.kind = kContains, .negated = false, .operands = {"ab"}},
      {.kind = kContains, .negated = true, .operands = {"ab", "7"}},
      {.kind = kContains, .negated = false, .operands = {""}},
      {.kind = kContains, .negated = false, .operands = {"a\nb"}},
      {.kind = kRegex, .negated = false, .operands = {"^a"}},
      {.kind = kRegex, .negated = false, .operands = {"b$"}},
      {.kind = kRegex, .negated = true, .operands = {"^$"}},
      {.kind = kRegex, .negated = false, .operands = {"a[^x]*b"}},
      {.kind = kRegex, .negated = false, .operands = {"(?s)a.b"}},
      {.kind = kRegex, .negated = false, .operands = {"a\\s*b"}},
      {.kind = kRegex, .negated = false, .operands = {"\\Ba|\\b7"}},
      {.kind = kRegex, .negated = false, .operands = {"(?m)^b"}},
      {.kind = kRegex, .negated = false, .operands = {"(?-m)^b|x\\z"}},
      {.kind = kRegex, .negated = false, .operands = {"\\Ab"}},
      {.kind = kRegex, .negated = false, .operands = {"\\W\\D$", "^x"}},
      {.kind = kRegex, .negated = false, .operands = {"(?i)AB|\\n"}},
      {.kind = kRegex, .negated = false, .operands = {"x*"}},
      {.kind = kPattern, .negated = false, .operands = {"<_>ab<_>"}},
  };
  const char* const pieces[] = {"a", "b", "ab", " ", "x", "7", "-", "\t", "é"};
  for (int round = 0; round < test_rounds(300, 3000, 60); ++round) {
    std::vector<std::string> lines(1 + random() % 20);
    for (auto& line : lines) {
      for (std::size_t i = 0, n = random() % 6; i < n; ++i) line += pieces[random() % std::size(pieces)];
      if (round % 5 == 0 && random() % 8 == 0) line += '\n';
      if (round % 7 == 0 && random() % 8 == 0) line += '\xFF';
    }
    std::vector<std::size_t> order(lines.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    std::string text;
    std::vector<LineMatcher::Place> places(lines.size());
    for (auto i : order) {
      places[i] = {.at = static_cast<std::uint32_t>(text.size()),
                   .length = static_cast<std::uint32_t>(lines[i].size())};
      text += lines[i] + '\n';
    }
    for (const auto& filter : filters) {
      const auto matcher = LineMatcher::create(filter);
      ASSERT_TRUE(matcher);
      std::vector<char> passes;
      matcher->matches(text, places, passes);
      for (std::size_t i = 0; i < lines.size(); ++i) {
        ASSERT_EQ(passes[i] != 0, matcher->matches(lines[i])) << filter.operands[0] << " on «" << lines[i] << "»";
      }
    }
  }
}

}  // namespace
}  // namespace tocayo::logs
