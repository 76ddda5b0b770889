// SPDX-License-Identifier: Apache-2.0
#include "core/relabel.h"

#include <gtest/gtest.h>

#include "core/yaml.h"

namespace tocayo {
namespace {

struct Case {
  std::string rules;
  Labels in;
  std::optional<Labels> out;  // nullopt = dropped
};

TEST(Relabel, Table) {
  Labels abc{{"a", "foo"}, {"b", "bar"}, {"c", "baz"}};
  const std::vector<Case> cases = {
      {"[{source_labels: [a], regex: 'f(.*)', target_label: d, replacement: 'ch${1}-ch${1}'}]", abc,
       Labels{{"a", "foo"}, {"b", "bar"}, {"c", "baz"}, {"d", "choo-choo"}}},
      {"[{source_labels: [a, b], regex: 'f(.*);(.*)r', target_label: a, replacement: 'b${1}${2}m'}]", abc,
       Labels{{"a", "boobam"}, {"b", "bar"}, {"c", "baz"}}},
      {"[{source_labels: [a], regex: 'o', action: drop}]", abc, abc},  // anchored
      {"[{source_labels: [a], regex: '.*o.*', action: drop}]", abc, std::nullopt},
      {"[{source_labels: [a], regex: 'no-match', action: keep}]", abc, std::nullopt},
      {"[{source_labels: [a], regex: 'f|foo', action: keep}]", abc, abc},
      {"[{regex: 'no(.*)', source_labels: [a], target_label: a, replacement: x}]", abc, abc},
      {"[{source_labels: [a], regex: '(f).*', target_label: a, replacement: '$2'}]", abc,
       Labels{{"b", "bar"}, {"c", "baz"}}},
      {"[{source_labels: [c], target_label: d, separator: ';', action: hashmod, modulus: 1000}]", abc,
       Labels{{"a", "foo"}, {"b", "bar"}, {"c", "baz"}, {"d", "976"}}},
      {"[{regex: '(b.*)', replacement: 'bar_${1}', action: labelmap}]",
       Labels{{"a", "foo"}, {"b1", "bar"}, {"b2", "baz"}},
       Labels{{"a", "foo"}, {"b1", "bar"}, {"b2", "baz"}, {"bar_b1", "bar"}, {"bar_b2", "baz"}}},
      {"[{regex: '(b.*)', action: labeldrop}]", Labels{{"a", "foo"}, {"b1", "bar"}}, Labels{{"a", "foo"}}},
      {"[{regex: '(b.*)', action: labelkeep}]", Labels{{"a", "foo"}, {"b1", "bar"}}, Labels{{"b1", "bar"}}},
      {"[{source_labels: [a], target_label: a, action: uppercase}]", abc,
       Labels{{"a", "FOO"}, {"b", "bar"}, {"c", "baz"}}},
      {"[{source_labels: [a], target_label: x, action: keepequal}]", Labels{{"a", "1"}, {"x", "1"}},
       Labels{{"a", "1"}, {"x", "1"}}},
      {"[{source_labels: [a], target_label: x, action: dropequal}]", Labels{{"a", "1"}, {"x", "1"}}, std::nullopt},
      {"[{source_labels: [a], regex: '(?P<word>.+)', target_label: '${word}_x', replacement: '$word'}]",
       Labels{{"a", "q"}}, Labels{{"a", "q"}, {"q_x", "q"}}},
      {"[{source_labels: [a], regex: '(.*)', target_label: d, replacement: '$$1 $ ${'}]", Labels{{"a", "q"}},
       Labels{{"a", "q"}, {"d", "$1 $ ${"}}},
  };
  for (const Case& test : cases) {
    auto node = yaml::parse(test.rules, "rules");
    ASSERT_TRUE(node) << test.rules;
    auto rules = parse_relabel_rules(*node, "rules");
    ASSERT_TRUE(rules) << rules.error().message;
    Labels labels = test.in;
    bool kept = relabel(labels, *rules);
    EXPECT_EQ(kept, test.out.has_value()) << test.rules;
    if (kept && test.out) EXPECT_EQ(labels, *test.out) << test.rules << " gave " << labels.to_string();
  }
}

TEST(Relabel, BadRulesAreLocated) {
  for (const auto& [text, error] : std::vector<std::pair<std::string, std::string>>{
           {"[{action: hashmod, target_label: x}]",
            "r:1:2: relabel configuration for hashmod requires non-zero modulus"},
           {"[{regex: '('}]", "r:1:2: regex: missing ): ("},
           {"[{action: replaces}]", "r:1:11: action: unknown relabel action \"replaces\""},
           {"[{source_label: [a]}]", "r:1:3: unknown key \"source_label\"; did you mean \"source_labels\"?"},
           {"[{source_labels: [a]}]", "r:1:2: relabel configuration for replace action requires 'target_label' value"},
           {"[{action: labeldrop, regex: x, target_label: y}]",
            "r:1:2: labeldrop action requires only 'regex', and no other fields"}}) {
    auto rules = parse_relabel_rules(*yaml::parse(text, "r"), "r");
    ASSERT_FALSE(rules) << text;
    EXPECT_EQ(rules.error().message, error);
  }
}

}  // namespace
}  // namespace tocayo
