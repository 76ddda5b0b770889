// SPDX-License-Identifier: Apache-2.0
#include "promql/parser_preprocess.h"

#include <gtest/gtest.h>

#include "promql/duration_expr.h"
#include "promql/parser.h"
#include "promql/printer.h"

namespace tocayo::promql {
namespace {

constexpr TimestampMs kStart = 1'000'000;
constexpr TimestampMs kEnd = 1'600'000;
constexpr Duration kStep = std::chrono::seconds(30);

ExprPtr parsed(std::string_view query) {
  auto expr = parse_expr(query, ParserOptions::all());
  EXPECT_TRUE(expr) << query << ": " << (expr ? "" : expr.error().message);
  return std::move(*expr);
}

ExprPtr prepared(std::string_view query, TimestampMs start = kStart, TimestampMs end = kEnd) {
  auto expr = preprocess(parsed(query), start, end, kStep);
  EXPECT_TRUE(expr) << query << ": " << (expr ? "" : expr.error().message);
  return expr ? std::move(*expr) : nullptr;
}

// The tree with every step-invariant wrapper shown as <…>.
std::string shown(const Expr& expr) {
  if (const auto* wrapper = expr.as<StepInvariantExpr>()) return "<" + shown(*wrapper->expr) + ">";
  if (const auto* binary = expr.as<BinaryExpr>())
    return shown(*binary->lhs) + " " + std::string(to_string(binary->op)) + " " + shown(*binary->rhs);
  if (const auto* aggregate = expr.as<AggregateExpr>()) {
    return std::string(to_string(aggregate->op)) + "(" + (aggregate->param ? shown(*aggregate->param) + ", " : "") +
           shown(*aggregate->expr) + ")";
  }
  if (const auto* paren = expr.as<ParenExpr>()) return "(" + shown(*paren->expr) + ")";
  if (const auto* subquery = expr.as<SubqueryExpr>()) return shown(*subquery->expr) + "[]";
  if (const auto* call = expr.as<Call>()) {
    std::string out = "call(";
    for (const ExprPtr& arg : call->args) out += (out.ends_with('(') ? "" : ", ") + shown(*arg);
    return out + ")";
  }
  return print(expr);
}

TEST(PromqlPreprocess, HoistsWhatDoesNotDependOnTheStep) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"a", "a"},
      {"a @ 5", "<a @ 5.000>"},
      {"1 + 2", "<1 + 2>"},
      {"1", "1"},
      {"a + b @ 5", "a + <b @ 5.000>"},
      {"a @ 5 + b @ 6", "<a @ 5.000 + b @ 6.000>"},
      {"sum(a @ 5) / sum(b)", "<sum(a @ 5.000)> / sum(b)"},
      {"rate(a[5m] @ 5)", "<call(a[5m] @ 5.000)>"},
      {"rate(a[5m])", "call(a[5m])"},
      {"timestamp(a @ 5)", "<call(a @ 5.000)>"},
      {"timestamp(abs(a @ 5))", "call(<call(a @ 5.000)>)"},
      {"hour(a @ 5)", "call(<a @ 5.000>)"},
      {"max_over_time(sum(a @ 5)[5m:])", "call(<sum(a @ 5.000)>[])"},
      {"max_over_time(sum(a)[5m:] @ 5)", "<call(sum(a)[])>"},
      {"topk((3), (a))", "topk(3, a)"},
      {"abs((a))", "call(a)"},
      {"start() + a", "1000 + a"},
      {"(start() + end()) * step()", "<(1000 + 1600) * 30>"},
      {"range()", "600"},
  };
  for (auto [query, expected] : cases) EXPECT_EQ(shown(*prepared(query)), expected) << query;
  EXPECT_EQ(shown(*prepared("step()", kStart, kStart)), "0");
}

TEST(PromqlPreprocess, ResolvesStartAndEnd) {
  EXPECT_EQ(unwrap(*prepared("a @ start()")).as<VectorSelector>()->timestamp, kStart);
  EXPECT_EQ(unwrap(*prepared("a @ end()")).as<VectorSelector>()->timestamp, kEnd);
}

TEST(PromqlPreprocess, MarksHistogramsWhoseBucketsNobodyNeeds) {
  auto skipped = [](std::string_view query) {
    auto expr = prepared(query);
    bool result = false;
    walk(*expr, [&](Expr& node, const std::vector<Expr*>&) {
      if (auto* selector = node.as<VectorSelector>()) result = selector->skip_histogram_buckets;
    });
    return result;
  };
  EXPECT_TRUE(skipped("histogram_count(rate(a[5m]))"));
  EXPECT_TRUE(skipped("histogram_avg(sum(a))"));
  EXPECT_FALSE(skipped("a"));
  EXPECT_FALSE(skipped("histogram_quantile(0.5, a)"));
  EXPECT_FALSE(skipped("histogram_count(sum_over_time(a[5m:1m]))"));
  EXPECT_FALSE(skipped("histogram_count(a </ 5)"));
}

TEST(PromqlPreprocess, OffsetsFollowAt) {
  auto expr = prepared("a @ 900 offset 10s");
  set_offsets_for_at(*expr, kStart);
  EXPECT_EQ(unwrap(*expr).as<VectorSelector>()->offset, std::chrono::seconds(110));
  expr = prepared("sum_over_time((a @ 900)[5m:] offset 20s)");
  set_offsets_for_at(*expr, kStart);
  walk(*expr, [&](Expr& node, const std::vector<Expr*>&) {
    if (auto* selector = node.as<VectorSelector>()) EXPECT_EQ(selector->offset, std::chrono::seconds(80));
    if (auto* subquery = node.as<SubqueryExpr>()) EXPECT_EQ(subquery->offset, std::chrono::seconds(20));
  });
  expr = prepared("sum_over_time((a @ 900)[5m:] @ 950)");
  set_offsets_for_at(*expr, kStart);
  walk(*expr, [&](Expr& node, const std::vector<Expr*>&) {
    if (auto* selector = node.as<VectorSelector>()) EXPECT_EQ(selector->offset, std::chrono::seconds(50));
    if (auto* subquery = node.as<SubqueryExpr>()) EXPECT_EQ(subquery->offset, std::chrono::seconds(50));
  });
}

TEST(PromqlDurations, AreComputed) {
  auto range_of = [](std::string_view query) {
    auto expr = prepared(query);
    return expr ? expr->as<MatrixSelector>()->range.count() : -1;
  };
  EXPECT_EQ(range_of("a[5m]"), 300'000);
  EXPECT_EQ(range_of("a[1m*2 + 30]"), 150'000);
  EXPECT_EQ(range_of("a[step()]"), 30'000);
  EXPECT_EQ(range_of("a[range()/2]"), 300'000);
  EXPECT_EQ(range_of("a[max_of(step(), 1m)]"), 60'000);
  EXPECT_EQ(range_of("a[min_of(step(), 1m) * 2^2]"), 120'000);
  EXPECT_EQ(range_of("a[-(1m - 2m)]"), 60'000);
  EXPECT_EQ(range_of("a[7 % 4]"), 3000);
  EXPECT_EQ(prepared("a offset (1m - 2m)")->as<VectorSelector>()->original_offset, std::chrono::minutes(-1));
  EXPECT_EQ(prepared("a offset -step() * 2")->kind, Kind::binary);
  EXPECT_EQ(prepared("a[step()*4:step()/2] offset step()")->as<SubqueryExpr>()->step.count(), 15'000);
}

TEST(PromqlDurations, Errors) {
  auto error_of = [](std::string_view query) {
    auto expr = preprocess(parsed(query), kStart, kEnd, kStep);
    return expr ? "parsed" : expr.error().message;
  };
  EXPECT_EQ(error_of("a[1m - 1m]"), "2:9: duration must be greater than 0");
  EXPECT_EQ(error_of("a[1m / (step() - 30)]"), "2:19: division by zero");
  EXPECT_EQ(error_of("a[1m % (step() - 30)]"), "2:19: modulo by zero");
  EXPECT_EQ(error_of("a[10 ^ 20]"), "2:9: duration is out of range");
  EXPECT_EQ(error_of("a[(1 - 2) ^ 0.5]"), "3:15: duration is NaN or infinite");
}

TEST(PromqlAst, CloneIsDeepAndEqual) {
  for (std::string_view query :
       {"sum by (a) (rate(m{x=~\"y.*\"}[step()] @ start() offset (1m+2m))) / on (a) group_left (b) fill(1) -n",
        "max_over_time(abs((a))[1h:step()] @ 5 offset -1m)", "label_replace(a anchored, \"b\", 'c', \"d\", `e`)"}) {
    auto expr = parsed(query);
    auto copy = clone(*expr);
    std::string text = print(*expr);
    EXPECT_EQ(position_of(*copy), position_of(*expr));
    expr.reset();
    EXPECT_EQ(print(*copy), text);
  }
}

}  // namespace
}  // namespace tocayo::promql
