// SPDX-License-Identifier: Apache-2.0
#include "logql/engine/column_plan.h"

#include <gtest/gtest.h>

#include "logql/syntax/parser.h"

namespace tocayo::logql::detail {
namespace {

// A template as text, with $ for a word in quotes or by itself, # for a number and ? for anything.
TemplatePlan plan_of(const std::string& query, const std::string& text) {
  const auto expr = parse(query);
  EXPECT_TRUE(expr) << expr.error().message;
  const auto* aggregation = std::get_if<VectorAggregation>(&expr->node);
  const auto& range = std::get<RangeAggregation>(aggregation->operand->node);
  PipelineOptions options;
  options.grouping = aggregation->grouping.value_or(Grouping{});
  options.unwrap = range.range.unwrap ? &*range.range.unwrap : nullptr;
  const auto columns = plan_columns(range.range.log.stages, options);
  EXPECT_TRUE(columns) << query;
  if (!columns) return {};
  std::vector<std::string_view> constants;
  std::vector<logs::SlotFacts> slots;
  std::size_t from = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '$' && text[at] != '#' && text[at] != '?') continue;
    constants.push_back(std::string_view(text).substr(from, at - from));
    slots.push_back({.word = text[at] != '?', .quoted = text[at] != '?', .number = text[at] == '#'});
    from = at + 1;
  }
  constants.push_back(std::string_view(text).substr(from));
  return TemplateReader(*columns).read({constants, slots});
}

using Slots = std::vector<std::uint32_t>;

TEST(ColumnPlan, OnlySlotsOfLabelsThatCountMatter) {
  const std::string json = R"({"level":"$","status":#,"user":"u-$","nested":{"a":#}})";
  const auto by_level = plan_of(R"(sum by (level) (rate({a="b"} | json [1m])))", json);
  EXPECT_TRUE(by_level.possible);
  EXPECT_EQ(by_level.slots, Slots{0});
  EXPECT_EQ(plan_of(R"(sum(count_over_time({a="b"} | json | status >= 500 [1m])))", json).slots, Slots{1});
  EXPECT_EQ(plan_of(R"(sum by (user) (rate({a="b"} | json | nested_a > 1 [1m])))", json).slots, (Slots{2, 3}));
  EXPECT_EQ(plan_of(R"(sum by (level_extracted) (rate({a="b"} | json [1m])))", json).slots, Slots{0});
  EXPECT_EQ(plan_of(R"(sum by (host) (rate({a="b"} | json [1m])))", json).slots, Slots{});
  EXPECT_EQ(plan_of(R"(sum by (x) (rate({a="b"} | json x="nested" [1m])))", json).slots, Slots{3});
  const std::string logfmt = R"(level=$ status=# msg="said $ twice" ts=$)";
  EXPECT_EQ(plan_of(R"(sum by (level) (rate({a="b"} | logfmt [1m])))", logfmt).slots, Slots{0});
  EXPECT_EQ(plan_of(R"(sum by (msg) (rate({a="b"} | logfmt | status < 5 [1m])))", logfmt).slots, (Slots{1, 2}));
}

TEST(ColumnPlan, UnwrappedNumbersAreReadFromTheirSlot) {
  const std::string json = R"({"level":"$","took":"about #ms","n":#})";
  const auto plan = plan_of(R"(max by (level) (max_over_time({a="b"} | json | unwrap n [1m])))", json);
  EXPECT_EQ(plan.slots, Slots{0});
  ASSERT_TRUE(plan.value);
  EXPECT_EQ(plan.value->slot, 2u);
  const auto took = plan_of(R"(sum(sum_over_time({a="b"} | json | unwrap duration(took) [1m])))", json);
  ASSERT_TRUE(took.value);
  EXPECT_EQ(took.value->prefix, "about ");
  EXPECT_EQ(took.value->suffix, "ms");
  EXPECT_EQ(took.slots, Slots{});
  // A label that is also filtered by or grouped by counts as any other.
  const auto both = plan_of(R"(sum by (n) (sum_over_time({a="b"} | json | unwrap n [1m])))", json);
  EXPECT_FALSE(both.value);
  EXPECT_EQ(both.slots, Slots{2});
  // Two slots make one number.
  EXPECT_EQ(plan_of(R"(sum(sum_over_time({a="b"} | json | unwrap n [1m])))", R"({"n":"$.$"})").slots, (Slots{0, 1}));
}

TEST(ColumnPlan, WhatMayChangeTheStructureCounts) {
  const std::string query = R"(sum by (level) (rate({a="b"} | json [1m])))";
  EXPECT_EQ(plan_of(query, R"({"level":"x","b":"?"})").slots, Slots{0}) << "a quote could be in it";
  EXPECT_EQ(plan_of(query, R"({"level":"x","b":$})").slots, Slots{0}) << "true, null, or no JSON at all";
  EXPECT_EQ(plan_of(query, R"({"level":"x","b":1#})").slots, Slots{0});
  EXPECT_EQ(plan_of(query, R"({"level":"x","b":"\$"})").slots, Slots{0}) << "the slot ends an escape";
  EXPECT_EQ(plan_of(query, R"({"level":"x","b":"\u00$"})").slots, Slots{0});
  EXPECT_EQ(plan_of(query, R"({"level":"x","b":"\\$"})").slots, Slots{});
  EXPECT_FALSE(plan_of(query, R"({"k$":1,"level":"x"})").possible) << "names vary";
  EXPECT_FALSE(plan_of(query, R"({"k$" : {"level":"x"}})").possible);
  EXPECT_TRUE(plan_of(query, R"({"list":["$",#],"level":"x"})").slots.empty());
  const std::string logfmt = R"(sum by (level) (rate({a="b"} | logfmt [1m])))";
  EXPECT_EQ(plan_of(logfmt, "level=x b=?").slots, Slots{0}) << "a space could be in it";
  EXPECT_FALSE(plan_of(logfmt, "k$=1 level=x").possible);
  EXPECT_TRUE(plan_of(logfmt, "bare$ level=x").slots.empty());
  EXPECT_FALSE(plan_of(R"(sum by (level) (rate({a="b"} | logfmt --keep-empty [1m])))", "bare$ level=x").possible);
  EXPECT_FALSE(plan_of(logfmt, R"(a="x"k$=1 level=x)").possible) << "the next key may follow a quote at once";
  EXPECT_FALSE(plan_of(query, R"({"level":"70000117"})"
                              "?")
                   .possible)
      << "a stand-in could be taken for it";
}

TEST(ColumnPlan, KnowsWhatItCannot) {
  const auto plan = [](const std::string& query) {
    const auto expr = parse(query);
    const auto& range = std::get<RangeAggregation>(expr->node);
    PipelineOptions options;
    options.grouping = range.grouping;
    options.unwrap = range.range.unwrap ? &*range.range.unwrap : nullptr;
    return plan_columns(range.range.log.stages, options).has_value();
  };
  EXPECT_TRUE(plan(R"(rate({a="b"}[1m]))")) << "by stream and metadata";
  EXPECT_TRUE(plan(R"(max_over_time({a="b"} | json | unwrap x [1m]) by (y))"));
  EXPECT_FALSE(plan(R"(rate({a="b"} | json [1m]))")) << "every label counts";
  EXPECT_FALSE(plan(R"(max_over_time({a="b"} | json | unwrap x [1m]) without (y))"));
  EXPECT_FALSE(plan(R"(max_over_time({a="b"} | json | logfmt | unwrap x [1m]) by (y))"));
  EXPECT_FALSE(plan(R"(max_over_time({a="b"} | json | line_format "{{.x}}" | unwrap x [1m]) by (y))"));
  EXPECT_FALSE(plan(R"(max_over_time({a="b"} | regexp `(?P<x>.+)` | unwrap x [1m]) by (y))"));
  EXPECT_FALSE(plan(R"(max_over_time({a="b"} | json |= "late" | label_format x=y | unwrap x [1m]) by (y))"));
}

}  // namespace
}  // namespace tocayo::logql::detail
