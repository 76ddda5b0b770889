// SPDX-License-Identifier: Apache-2.0
#include "promql/printer.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>

#include "promql/ast_json.h"
#include "promql/parser.h"

namespace tocayo::promql {
namespace {

ExprPtr parsed(std::string_view query) {
  auto expr = parse_expr(query, ParserOptions::all());
  EXPECT_TRUE(expr) << query << ": " << (expr ? "" : expr.error().message);
  return expr ? std::move(*expr) : nullptr;
}

TEST(PromqlPrinter, OneLine) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"sum by() (a)", "sum(a)"},
      {"sum(a) by(x,\"y.z\")", "sum by (x, \"y.z\") (a)"},
      {"sum without() (a)", "sum without () (a)"},
      {"quantile(.5,a)", "quantile(0.5, a)"},
      {"a{z=\"1\",b!=\"2\"}", "a{b!=\"2\",z=\"1\"}"},
      {"{__name__=\"a\"}", "{__name__=\"a\"}"},
      {"{\"a.b\",\"c d\"=~\"e\"}", "{\"c d\"=~\"e\",__name__=\"a.b\"}"},
      {"a-on()b", "a - on () b"},
      {"a-ignoring()b", "a - b"},
      {"a-ignoring()group_left b", "a - ignoring () group_left () b"},
      {"a==bool on(x)group_right(y)b", "a == bool on (x) group_right (y) b"},
      {"a+fill(2)b", "a + fill (2) b"},
      {"a+fill_right(1e6)fill_left(-.5)b", "a + fill_left (-0.5) fill_right (1e+06) b"},
      {"a@1.5 offset 5m", "a @ 1.500 offset 5m"},
      {"a offset -1h30m@end()", "a @ end() offset -1h30m"},
      {"a[90s]offset 1d@start()", "a[1m30s] @ start() offset 1d"},
      {"a[5m] smoothed offset 1m", "a[5m] smoothed offset 1m"},
      {"a smoothed @ 3", "a @ 3.000 smoothed"},
      {"a[1h:]", "a[1h:]"},
      {"a[1h:30]@0", "a[1h:30s] @ 0.000"},
      {"a[step()*2+1m]", "a[step() * 2 + 1m]"},
      {"a offset -(5)", "a offset -(5)"},
      {"a offset (1m)", "a offset (1m)"},
      {"a offset -min_of(step(),1m)", "a offset -min_of(step(), 1m)"},
      {"a[max_of(-1m,2)^2]", "a[max_of(-1m, 2) ^ 2]"},
      {"-a^-b", "-a ^ -b"},
      {"5m", "5m"},
      {"-1h", "-1h"},
      {"'a\"b'", "\"a\\\"b\""},
      {"label_replace(a,`x`,'$1',\"y\",\"(.*)\")", "label_replace(a, \"x\", \"$1\", \"y\", \"(.*)\")"},
      {"time()", "time()"},
      {"INF", "+Inf"},
      {"Inf ^ 2", "Inf ^ 2"},
      {"-0m", "-0s"},
  };
  for (auto [query, expected] : cases) {
    auto expr = parsed(query);
    ASSERT_TRUE(expr);
    std::string text = print(*expr);
    EXPECT_EQ(text, expected);
    EXPECT_EQ(print(*parsed(text)), text) << "is not read back as it was printed";
  }
}

TEST(PromqlPrinter, Numbers) {
  EXPECT_EQ(format_number(0.1), "0.1");
  EXPECT_EQ(format_number(1e21), "1000000000000000000000");
  EXPECT_EQ(format_number(1e134), "1" + std::string(134, '0'));
  EXPECT_EQ(format_number(1.5e-7), "0.00000015");
  EXPECT_EQ(format_number(-123.25), "-123.25");
  EXPECT_EQ(format_number(-0.0), "-0");
  EXPECT_EQ(format_number(NAN), "NaN");
  EXPECT_EQ(format_number(-INFINITY), "-Inf");
  EXPECT_EQ(format_general(100000), "100000");
  EXPECT_EQ(format_general(123456789), "1.23456789e+08");
  EXPECT_EQ(format_general(0.0001), "0.0001");
  EXPECT_EQ(format_general(0.00001), "1e-05");
}

TEST(PromqlPretty, ShortQueriesStayOnOneLine) {
  EXPECT_EQ(pretty(*parsed("sum(rate(a[5m]))by(b)")), "sum by (b) (rate(a[5m]))");
}

TEST(PromqlPretty, LongQueriesAreBroken) {
  std::string name(40, 'm');
  std::string query = "sum by (job) (rate(" + name + "{x=\"1\"}[5m])) / on (job) group_left () sum(" + name + ") > 0";
  EXPECT_EQ(pretty(*parsed(query)), "    sum by (job) (rate(" + name +
                                        "{x=\"1\"}[5m]))\n  / on (job) group_left ()\n    sum(" + name + ")\n>\n  0");
  std::string longer(95, 'n');
  EXPECT_EQ(pretty(*parsed("topk(3, " + longer + ")")), "topk(\n  3,\n  " + longer + "\n)");
  EXPECT_EQ(pretty(*parsed("clamp(" + longer + ", 1, 2)")), "clamp(\n  " + longer + ",\n  1,\n  2\n)");
  EXPECT_EQ(pretty(*parsed("-(" + longer + " + 1 + 1)")), "-(\n    " + longer + " + 1\n  +\n    1\n)");
  std::string longest(97, 'o');
  EXPECT_EQ(pretty(*parsed("abs(" + longest + ")[5m:1m] offset 3m")), "abs(\n  " + longest + "\n)[5m:1m] offset 3m");
}

TEST(PromqlPretty, DeepNestingStaysCheap) {
  std::string query;
  for (int i = 0; i < 900; ++i) query += "(";
  query += "\"" + std::string(200'000, 'x') + "\"";
  for (int i = 0; i < 900; ++i) query += ")";
  std::string text = pretty(*parsed(query));
  EXPECT_LT(text.size(), 1'000'000u);
}

TEST(PromqlJson, SelectorsAndOperators) {
  namespace json = boost::json;
  json::value got = ast_to_json(*parsed("sum by (a) (rate(m{x=\"y\"}[5m] offset 1m)) > bool on (a) 2 * n @ start()"));
  EXPECT_EQ(got.at("type"), "binaryExpr");
  EXPECT_EQ(got.at("op"), ">");
  EXPECT_EQ(got.at("bool"), true);
  EXPECT_EQ(got.at("matching"),
            json::parse(
                R"({"card":"one-to-one","labels":["a"],"on":true,"include":[],"fillValues":{"lhs":null,"rhs":null}})"));
  EXPECT_EQ(got.at("rhs").at("matching"), json::value(nullptr));
  EXPECT_EQ(got.at("lhs"),
            json::parse(R"({"type":"aggregation","op":"sum","param":null,"grouping":["a"],"without":false,"expr":
    {"type":"call","func":{"name":"rate","argTypes":["matrix"],"variadic":0,"returnType":"vector"},"args":[
      {"type":"matrixSelector","name":"m","range":300000,"rangeExpr":null,"offset":60000,"offsetExpr":null,"timestamp":null,"startOrEnd":null,
       "anchored":false,"smoothed":false,
       "matchers":[{"name":"x","value":"y","type":"="},{"name":"__name__","value":"m","type":"="}]}]}})"));
  EXPECT_EQ(got.at("rhs").at("rhs").at("startOrEnd"), "start");
}

TEST(PromqlJson, DurationsAndLiterals) {
  namespace json = boost::json;
  EXPECT_EQ(
      ast_to_json(*parsed("m[2*step():1m] @ 1")).at("rangeExpr"),
      json::parse(
          R"({"type":"durationExpr","op":"*","wrapped":false,"lhs":{"type":"numberLiteral","val":"2","duration":false},
                            "rhs":{"type":"durationExpr","op":"step","lhs":null,"rhs":null,"wrapped":false}})"));
  EXPECT_EQ(
      ast_to_json(*parsed("-(1)")),
      json::parse(
          R"({"type":"unaryExpr","op":"-","expr":{"type":"parenExpr","expr":{"type":"numberLiteral","val":"1"}}})"));
  EXPECT_EQ(ast_to_json(*parsed("\"a\"")), json::parse(R"({"type":"stringLiteral","val":"a"})"));
}

}  // namespace
}  // namespace tocayo::promql
