// SPDX-License-Identifier: Apache-2.0
// The relabelling engine against a model that is as plain as can be: a map, one rule after the other, std::regex, and
// MD5 written down from RFC 1321.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <map>
#include <optional>
#include <random>
#include <regex>

#include "core/relabel.h"

namespace tocayo::agent {
namespace {

using Map = std::map<std::string, std::string>;
using Action = RelabelRule::Action;

std::array<unsigned char, 16> md5(std::string text) {
  static const unsigned shifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
  std::uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  const std::uint64_t bits = text.size() * 8;
  text += '\x80';
  while (text.size() % 64 != 56) text += '\0';
  for (int i = 0; i < 8; ++i) text += static_cast<char>(bits >> (8 * i));
  for (std::size_t block = 0; block < text.size(); block += 64) {
    std::uint32_t words[16];
    for (int i = 0; i < 16; ++i) {
      words[i] = 0;
      for (int b = 3; b >= 0; --b)
        words[i] = words[i] << 8 | static_cast<unsigned char>(text[block + static_cast<std::size_t>(i * 4 + b)]);
    }
    auto [a, b, c, d] = std::array{state[0], state[1], state[2], state[3]};
    for (unsigned i = 0; i < 64; ++i) {
      std::uint32_t f = i < 16 ? (b & c) | (~b & d) : i < 32 ? (d & b) | (~d & c) : i < 48 ? b ^ c ^ d : c ^ (b | ~d);
      unsigned word = i < 16 ? i : i < 32 ? (5 * i + 1) % 16 : i < 48 ? (3 * i + 5) % 16 : 7 * i % 16;
      auto sine = static_cast<std::uint32_t>(std::floor(std::fabs(std::sin(i + 1.0)) * 4294967296.0));
      std::uint32_t next = b + std::rotl(a + f + sine + words[word], static_cast<int>(shifts[i / 16][i % 4]));
      a = d;
      d = c;
      c = b;
      b = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
  }
  std::array<unsigned char, 16> out{};
  for (unsigned i = 0; i < 16; ++i) out[i] = static_cast<unsigned char>(state[i / 4] >> (8 * (i % 4)));
  return out;
}

void set(Map& labels, const std::string& name, const std::string& value) {
  if (value.empty())
    labels.erase(name);
  else
    labels[name] = value;
}

// $1 and ${1}; the templates of this test have nothing else.
std::string expand(const std::string& text, const std::smatch& groups) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$') {
      out += text[i];
      continue;
    }
    std::size_t digit = i + 1 + (text[i + 1] == '{');
    auto number = static_cast<std::size_t>(text[digit] - '0');
    if (number < groups.size()) out += groups[number].str();
    i = digit + (text[i + 1] == '{');
  }
  return out;
}

std::optional<Map> model(Map labels, const std::vector<RelabelRule>& rules) {
  for (const RelabelRule& rule : rules) {
    std::string value;
    for (std::size_t i = 0; i < rule.source_labels.size(); ++i) {
      if (i > 0) value += rule.separator;
      if (auto it = labels.find(rule.source_labels[i]); it != labels.end()) value += it->second;
    }
    std::string target_value = labels.contains(rule.target_label) ? labels[rule.target_label] : "";
    const std::regex regex(rule.regex);
    std::smatch groups;
    Map before = labels;
    switch (rule.action) {
      case Action::keep:
        if (!std::regex_match(value, regex)) return std::nullopt;
        break;
      case Action::drop:
        if (std::regex_match(value, regex)) return std::nullopt;
        break;
      case Action::keepequal:
        if (value != target_value) return std::nullopt;
        break;
      case Action::dropequal:
        if (value == target_value) return std::nullopt;
        break;
      case Action::replace:
        if (std::regex_match(value, groups, regex)) {
          std::string target = expand(rule.target_label, groups);
          if (!target.empty()) set(labels, target, expand(rule.replacement, groups));
        }
        break;
      case Action::lowercase:
      case Action::uppercase: {
        std::string changed = value;
        for (char& c : changed)
          c = static_cast<char>(rule.action == Action::lowercase ? std::tolower(c) : std::toupper(c));
        set(labels, rule.target_label, changed);
        break;
      }
      case Action::hashmod: {
        auto digest = md5(value);
        std::uint64_t tail = 0;
        for (int i = 8; i < 16; ++i) tail = tail * 256 + digest[static_cast<std::size_t>(i)];
        set(labels, rule.target_label, std::to_string(tail % rule.modulus));
        break;
      }
      case Action::labelmap:
        for (const auto& [name, old] : before) {
          if (std::regex_match(name, groups, regex)) set(labels, expand(rule.replacement, groups), old);
        }
        break;
      case Action::labeldrop:
      case Action::labelkeep:
        for (const auto& [name, old] : before) {
          if (std::regex_match(name, regex) == (rule.action == Action::labeldrop)) labels.erase(name);
        }
        break;
    }
  }
  return labels;
}

TEST(RelabelProperty, TheModelsMd5IsThatOfRfc1321) {
  auto hex = [](std::string text) {
    std::string out;
    for (unsigned char byte : md5(std::move(text))) out += fmt::format("{:02x}", byte);
    return out;
  };
  EXPECT_EQ(hex(""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(hex("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
  EXPECT_EQ(hex("12345678901234567890123456789012345678901234567890123456789012345678901234567890"),
            "57edf4a22be3c955ac49da2e2107b67a");
}

TEST(RelabelProperty, RandomRulesOnRandomLabelsGiveWhatTheModelGives) {
  std::mt19937 random(11);
  auto pick = [&](auto& list) -> const auto& { return list[random() % std::size(list)]; };
  static const std::string names[] = {"a", "b", "c", "ab", "job", "instance", "__address__", "__meta_x", "__tmp_y"};
  static const std::string values[] = {"", "a", "b", "x", "ab", "Foo", "foo-1", "foo-22", "10.0.0.1:9100", "a;b", ";"};
  static const std::string regexes[] = {
      "(.*)",    "a", "foo-([0-9]+)", "(a|b)(.*)", ".+", "([^:]+)(?::[0-9]+)?", "__meta_(.*)",
      "(.);(.)", "",  "[a-z]*",       "(x)?y*"};
  static const std::string replacements[] = {"$1", "${1}", "$2", "${2}-$1", "fixed", "", "p_$1", "$1$1", "$3"};
  static const std::string targets[] = {"a", "b", "new", "__tmp", "${1}", "l_$1", "$2"};
  static const std::string separators[] = {";", "", "-", "::"};
  std::size_t dropped = 0, changed = 0;
  for (int round = 0; round < 20'000; ++round) {
    Map labels;
    for (unsigned i = 0, count = random() % 7; i < count; ++i) set(labels, pick(names), pick(values));
    std::vector<RelabelRule> rules;
    std::string shown;
    for (unsigned i = 0, count = 1 + random() % 4; i < count; ++i) {
      RelabelRule rule;
      rule.action = static_cast<Action>(random() % 11);
      bool names_only = rule.action == Action::labeldrop || rule.action == Action::labelkeep;
      bool equal = rule.action == Action::keepequal || rule.action == Action::dropequal;
      bool cases = rule.action == Action::lowercase || rule.action == Action::uppercase;
      if (!names_only) {
        for (unsigned j = 0, sources = random() % 3; j < sources; ++j) rule.source_labels.push_back(pick(names));
        if (!equal) rule.separator = pick(separators);
      }
      if (!equal) rule.regex = pick(regexes);
      if (rule.action == Action::replace) rule.target_label = pick(targets);
      if (equal || cases || rule.action == Action::hashmod) rule.target_label = pick(names);
      if (rule.action == Action::replace || rule.action == Action::labelmap) rule.replacement = pick(replacements);
      if (rule.action == Action::hashmod) rule.modulus = 1 + random() % 1000;
      // An empty name cannot be the target of a mapping; what engines make of it is nobody's rule.
      if (rule.action == Action::labelmap && rule.replacement != "fixed") rule.replacement = "p_$1";
      auto compiled = compile(rule);
      ASSERT_TRUE(compiled) << compiled.error().message;
      shown += fmt::format("action {} source [{}] sep '{}' regex '{}' target '{}' replacement '{}'\n",
                           static_cast<int>(rule.action), fmt::join(rule.source_labels, ","), rule.separator,
                           rule.regex, rule.target_label, rule.replacement);
      rules.push_back(std::move(rule));
    }
    Labels real;
    for (const auto& [name, value] : labels) real.set(name, value);
    const std::string before = real.to_string();
    auto expected = model(labels, rules);
    bool kept = relabel(real, rules);
    ASSERT_EQ(kept, expected.has_value()) << before << "\n" << shown;
    if (!kept) {
      ++dropped;
      continue;
    }
    Map got;
    for (const Label& label : real) got[label.name] = label.value;
    ASSERT_EQ(got, *expected) << before << "\n" << shown;
    changed += got != labels;
  }
  EXPECT_GT(dropped, 2'000U);
  EXPECT_GT(changed, 2'000U);
}

}  // namespace
}  // namespace tocayo::agent
