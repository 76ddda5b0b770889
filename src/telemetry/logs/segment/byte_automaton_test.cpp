// SPDX-License-Identifier: Apache-2.0
#include "logs/segment/byte_automaton.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include <random>

#include "core/labels.h"
#include "core/testing.h"

namespace tocayo::logs {
namespace {

bool by_re2(const std::string& regex, const std::string& text) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  re2::RE2 compiled(regex, options);
  return re2::RE2::PartialMatch(text, compiled);
}

// Texts that are near to what the expressions speak of.
std::string text_of(std::mt19937_64& random) {
  static const char* const pieces[] = {"a", "b",  "k",  "S", "ab", "error", "10.1", "x",  "7",  "4242", "_", " ",
                                       "-", "\n", "\t", "",  "ſ",  "K",     "é",    "世", "😀", ".",    "{", "}"};
  std::string out;
  for (std::size_t i = 0, n = random() % 12; i < n; ++i) out += pieces[random() % std::size(pieces)];
  return out;
}

TEST(ByteAutomaton, AgreesWithRe2) {
  const std::vector<std::string> regexes = {"a",
                                            "ab|error",
                                            "[0-9]{4}[x-z][0-9]",
                                            "10\\.1\\d?",
                                            "^a",
                                            "b$",
                                            "^$",
                                            "a.b",
                                            "(?s)a.b",
                                            "a.*b",
                                            "(?i)ERROR",
                                            "(?i)k",
                                            "(?i)[r-t]b",
                                            "(?i)\\w-",
                                            "\\bab\\b",
                                            "\\Ba",
                                            "(?m)^x$",
                                            "(?m)^$",
                                            "\\Aa|\\z",
                                            "[^a]b",
                                            "[^a-z0-9]{2}",
                                            "\\D\\S\\W",
                                            "[[:alpha:]]{3,}[[:^digit:]]",
                                            "[\\d_-]+ ",
                                            "(a|b)*k",
                                            "(a*)*x",
                                            "a{2,3}b",
                                            "a{,3}",
                                            "(?P<name>a)b+?",
                                            "(?:ab)?7",
                                            "x{0}7",
                                            "é",
                                            "é?世",
                                            ".{3}$",
                                            "\\x41|\\x{61}b",
                                            "\\.",
                                            "[]a]",
                                            "[a-]x",
                                            "(?i:A)b",
                                            "a(?i)B|C",
                                            "",
                                            "a||b",
                                            "(^|_)(x|7)($| )",
                                            "\\s+-"};
  std::mt19937_64 random(1);
  for (const auto& regex : regexes) {
    const auto automaton = ByteAutomaton::compile({&regex, 1});
    ASSERT_TRUE(automaton) << regex;
    for (int round = 0; round < test_rounds(400, 4000, 40); ++round) {
      const auto text = text_of(random);
      ASSERT_EQ(automaton->matches(text), by_re2(regex, text)) << regex << " on «" << text << "»";
    }
  }
}

// Expressions put together at random: where the automaton knows the expression it says what RE2 says.
TEST(ByteAutomaton, AgreesWithRe2OnRandomExpressions) {
  static const char* const pieces[] = {"a",     "b",   "ab",  "error", "[a-f]", "[^b]", ".",    "\\d",   "\\w",
                                       "\\s",   "\\b", "\\B", "^",     "$",     "(",    ")",    "|",     "*",
                                       "+",     "?",   "{2}", "{1,}",  "(?i)",  "(?:",  "(?s)", "(?m)",  "[\\da]",
                                       "10\\.", "é",   "-",   "(?i:",  "k",     "\\D",  "\\W",  "[^\\d]"};
  std::mt19937_64 random(2);
  int known = 0;
  const int rounds = test_rounds(20000, 200000, 2000);
  for (int round = 0; round < rounds; ++round) {
    std::string regex;
    for (std::size_t i = 0, n = 1 + random() % 7; i < n; ++i) regex += pieces[random() % std::size(pieces)];
    re2::RE2::Options options;
    options.set_log_errors(false);
    re2::RE2 compiled(regex, options);
    if (!compiled.ok()) continue;
    const auto automaton = ByteAutomaton::compile({&regex, 1});
    if (!automaton) continue;
    ++known;
    for (int k = 0; k < 12; ++k) {
      const auto text = text_of(random);
      ASSERT_EQ(automaton->matches(text), re2::RE2::PartialMatch(text, compiled)) << regex << " on «" << text << "»";
    }
  }
  EXPECT_GT(known, rounds / 5);
}

TEST(ByteAutomaton, AnyOfSeveralAndPiecewise) {
  const std::vector<std::string> regexes = {"^GET ", "5\\d\\d$"};
  const auto automaton = ByteAutomaton::compile(regexes);
  ASSERT_TRUE(automaton);
  EXPECT_TRUE(automaton->matches("GET /x 200"));
  EXPECT_TRUE(automaton->matches("POST /x 503"));
  EXPECT_FALSE(automaton->matches("POST /x 200"));
  auto state = automaton->run(automaton->start(), "POST /x ");
  state = automaton->run(state, "50");
  EXPECT_FALSE(automaton->found_at_end(state));
  EXPECT_TRUE(automaton->found_at_end(automaton->run(state, "4")));
}

TEST(ByteAutomaton, LeavesAloneWhatItDoesNotKnow) {
  for (const std::string regex :
       {"\\pL", "[é]", "\\Qa.b\\E", "(?i)é", "(?i)[^k]", "\\C", "[a-z].{30}[0-9].{30}[a-z]"}) {
    EXPECT_FALSE(ByteAutomaton::compile({&regex, 1})) << regex;
  }
}

}  // namespace
}  // namespace tocayo::logs
