// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "logql/syntax/lexer.h"
#include "logql/syntax/literals.h"
#include "logql/syntax/parser.h"
#include "logql/syntax/printer.h"

namespace tocayo::logql {
namespace {

std::string one_line(std::string_view query) {
  auto expr = parse(query);
  return expr ? to_string(*expr) : "error: " + expr.error().message;
}

std::string message(std::string_view query) {
  auto expr = parse(query);
  return expr ? "accepted: " + to_string(*expr) : expr.error().message;
}

// Every construct once, in its normal form.
constexpr std::string_view kNormal[] = {
    R"({a="b"})",
    R"({a="b", c!="d", e=~"f.*", g!~"h|i"})",
    R"({a="b"} |= "x" or "y" != "z" |~ "r" !~ "s" |> "<_> t" !> "u")",
    R"({a="b"} |= ip("10.0.0.0/8") or "x" or ip("1.2.3.4") != ip("::1"))",
    R"({a="b"} |= "tab\tquote\" \xff é")",
    R"({a="b"} | json | json x="a.b[0]",y="y" | logfmt --strict --keep-empty k="k" | logfmt | unpack)",
    R"q({a="b"} | regexp "(?P<x>.)" | pattern "<_> <y>" | decolorize | line_format "{{.x}}")q",
    R"({a="b"} | label_format x=y,z="{{.w}}" | drop a,b="c" | keep d,e!~"f")",
    R"({a="b"} | c="d" and e>5 or f<=1m30s and g!=ip("1.1.1.1"))",
    R"({a="b"} | (c="d" or e==1.5kB) and f!~"x")",
    R"({a="b"} | c="d" and (e="f" and g="h") and i==-1e+30)",
    R"({a="b"} | c>=1500B or d<1536B or e==1MB or f!=2GiB)",
    R"(count_over_time({a="b"}[5m]))",
    R"(rate({a="b"} |= "x" [1h30m] offset 1d))",
    R"(sum_over_time({a="b"} | json | unwrap duration_seconds(x) | __error__="" | y>1[5m] offset -5m0s))",
    R"(quantile_over_time(0.99,{a="b"} | unwrap x[5m]) by (c,d))",
    R"(avg_over_time({a="b"} | unwrap bytes(x)[5m]) without ())",
    R"(sum by (a,b)(rate({a="b"}[5m])))",
    R"(topk without (a)(5,rate({a="b"}[5m])))",
    R"(approx_topk(3,rate({a="b"}[5m])))",
    R"(sort_desc(vector(1)))",
    R"q(label_replace(vector(1),"a","$1","b","(.*)"))q",
    R"(vector(1) + vector(2) * vector(3) ^ vector(4) ^ vector(5))",
    R"((vector(1) + vector(2)) * vector(3) - (vector(1) - vector(2)))",
    R"((vector(1) ^ vector(2)) ^ 3)",
    R"(vector(1) > bool on (a,b) group_left (c) vector(2))",
    R"(vector(1) / ignoring (a) group_right () (vector(2) or vector(3)))",
    R"(vector(1) and on () vector(2) unless ignoring (z) vector(3))",
    R"(-5 * vector(1))",
    R"(-.0)",
};

TEST(LogqlPrinter, ReadsBackWhatItWrites) {
  for (std::string_view query : kNormal) {
    const std::string first = one_line(query);
    ASSERT_FALSE(first.starts_with("error")) << query << "\n" << first;
    EXPECT_EQ(one_line(first), first) << query;
    EXPECT_EQ(one_line(format(*parse(query))), first) << format(*parse(query));
  }
}

TEST(LogqlPrinter, WritesOneForm) {
  EXPECT_EQ(one_line("  {a = `b`,c=~\"d\"}|=\"x\"#tail\n|json|a=1,b=\"2\""),
            R"({a="b", c=~"d"} |= "x" | json | a==1 and b="2")");
  EXPECT_EQ(one_line(R"(SUM(RATE({a="b"}[60s])) BY (x))"), R"(sum by (x)(rate({a="b"}[1m])))");
  EXPECT_EQ(one_line("1 + 2 * 3 ^ 2"), "19");
  EXPECT_EQ(one_line("1 / 0 + vector(1)"), "(0 / 0) + vector(1)");
  EXPECT_EQ(one_line(R"({a="b"} | x > 250ms)"), R"({a="b"} | x>250ms)");
  EXPECT_EQ(one_line(R"({a="b"} | x = 1.5h)"), R"({a="b"} | x==1h30m0s)");
}

TEST(LogqlPrinter, BreaksLines) {
  auto expr =
      parse(R"(sum by (c) (quantile_over_time(0.5, {a="b"} | json | unwrap x | y="" [1m] offset 1h) by (c)) / 2)");
  ASSERT_TRUE(expr) << expr.error().message;
  EXPECT_EQ(format(*expr), R"(  sum by (c)(
    quantile_over_time(
      0.5,
      {a="b"}
        | json
        | unwrap x
        | y="" [1m] offset 1h
    ) by (c)
  )
/
  2)");
  EXPECT_EQ(format(*parse(R"(sum(rate({a="b"}[5m])) by (x))")), R"(sum by (x)(rate({a="b"}[5m])))");
}

TEST(LogqlParser, TakesTheIntervalAnywhere) {
  const std::string expected = R"(rate({a="b"} | json | unwrap x[5m] offset 1m))";
  for (std::string_view query :
       {R"(rate({a="b"} | json | unwrap x [5m] offset 1m))", R"(rate({a="b"}[5m] offset 1m | json | unwrap x))",
        R"(rate(({a="b"} | json | unwrap x)[5m] offset 1m))", R"(rate(({a="b"} | json | unwrap x [5m] offset 1m)))",
        R"(rate((({a="b"}[5m] offset 1m | json | unwrap x))))"}) {
    EXPECT_EQ(one_line(query), expected) << query;
  }
  EXPECT_EQ(one_line(R"(rate(({a="b"})[5m] | unwrap x))"), R"(rate({a="b"} | unwrap x[5m]))");
}

TEST(LogqlParser, NamesOfFunctionsAreNamesOfLabels) {
  EXPECT_EQ(one_line(R"({sum="a", rate="b", ip="c"} | bytes > 5 | duration = 1s | count="x")"),
            R"({sum="a", rate="b", ip="c"} | bytes>5 | duration==1s | count="x")");
  EXPECT_EQ(one_line("sum by (count, ip) (vector(1))"), "sum by (count,ip)(vector(1))");
}

TEST(LogqlParser, RanksLabelFiltersAsLoki) {
  EXPECT_EQ(one_line(R"({a="b"} | c="1" or d="2" and e="3")"), R"({a="b"} | c="1" or d="2" and e="3")");
  EXPECT_EQ(one_line(R"({a="b"} | c="1" and d="2" or e="3")"), R"({a="b"} | c="1" and d="2" or e="3")");
  EXPECT_EQ(one_line(R"({a="b"} | c="1", d="2" or e="3")"), R"({a="b"} | c="1" and (d="2" or e="3"))");
  EXPECT_EQ(one_line(R"({a="b"} | c="1" d="2")"), R"({a="b"} | c="1" and d="2")");
}

TEST(LogqlParser, SaysWhereAndWhat) {
  EXPECT_EQ(message(R"({a="b")"), "parse error at line 1, col 7: syntax error: unexpected $end, expecting } or ,");
  EXPECT_EQ(message(R"({a="b} )"), "parse error at line 1, col 4: literal not terminated");
  EXPECT_EQ(message("{a=\"b\"}\n  |~"),
            "parse error at line 2, col 5: syntax error: unexpected $end, expecting STRING or ip");
  EXPECT_EQ(message(R"({"a"="b"})"),
            "parse error at line 1, col 2: syntax error: unexpected STRING, expecting IDENTIFIER or }");
  EXPECT_EQ(message(R"({a "b"})"),
            "parse error at line 1, col 4: syntax error: unexpected STRING, expecting = or =~ or !~ or !=");
  EXPECT_EQ(message("{é=1}"), "parse error at line 1, col 4: syntax error: unexpected NUMBER, expecting STRING");
  EXPECT_EQ(message(R"(sum(vector(1)) by x)"),
            "parse error at line 1, col 19: syntax error: unexpected IDENTIFIER, expecting (");
  EXPECT_EQ(message(R"(-rate({a="b"}[5m]))"),
            "parse error at line 1, col 2: syntax error: unexpected RATE, expecting NUMBER");
  EXPECT_EQ(message(R"(rate({a="b"} | unwrap [5m]))"),
            "parse error at line 1, col 23: syntax error: unexpected RANGE, expecting IDENTIFIER or BYTES_CONV or "
            "DURATION_CONV or DURATION_SECONDS_CONV");
  EXPECT_EQ(message(R"(rate({a="b"}[5m]) @ 5)"),
            R"(parse error at line 1, col 19: syntax error: unexpected character "@")");
  EXPECT_EQ(message(R"(quantile_over_time(foo,{a="b"} | unwrap x[5m]))"),
            "parse error at line 1, col 20: syntax error: unexpected IDENTIFIER, expecting NUMBER or { or (");
  EXPECT_EQ(message("{a=\"\xff\"}"), "parse error at line 1, col 4: invalid UTF-8 encoding");
  EXPECT_EQ(message(R"(rate({a="b"}[5m:1m]))"),
            R"(parse error at line 1, col 13: unknown unit "m:" in duration "5m:1m")");
  EXPECT_EQ(message(R"(count_over_time({a="b"} | unwrap x | y="z" | json [5m]))"),
            "parse error at line 1, col 46: syntax error: unexpected json");
}

TEST(LogqlParser, BoundsDepthAndSize) {
  const std::string deep = std::string(5'000, '(') + "vector(1)" + std::string(5'000, ')');
  EXPECT_TRUE(message(deep).contains("nested too deeply")) << message(deep);
  std::string chain = "vector(1)";
  for (int i = 0; i < 3'000; ++i) chain += "+vector(1)";
  EXPECT_TRUE(message(chain).contains("nested too deeply"));
  std::string filters = R"({a="b"} | x=1)";
  for (int i = 0; i < 3'000; ++i) filters += " and x=1";
  EXPECT_TRUE(parse(filters));  // a chain is flat
  std::string commas = R"({a="b"} | x=1)";
  for (int i = 0; i < 3'000; ++i) commas += " or x=1, y=1";
  EXPECT_TRUE(message(commas).contains("nested too deeply"));
  EXPECT_TRUE(message(std::string(kMaxInput, ' ')).contains("input size too long"));
}

TEST(LogqlParser, ParsesBareSelectors) {
  auto matchers = parse_matchers(R"({a="b", c!="d"})");
  ASSERT_TRUE(matchers);
  EXPECT_EQ(matchers->size(), 2U);
  EXPECT_FALSE(parse_matchers(R"({a="b"} |= "x")"));
  EXPECT_FALSE(parse_matchers("{}"));
  EXPECT_TRUE(parse_matchers("{}", true));
  EXPECT_FALSE(parse_matchers("{} x", true));
}

TEST(LogqlLiterals, DurationsOfBothKinds) {
  EXPECT_EQ(parse_range_duration("1h30m").value_or(-1), 5'400'000'000'000);
  EXPECT_EQ(parse_range_duration("2w3d").value_or(-1), 17LL * 86'400 * 1'000'000'000);
  EXPECT_FALSE(parse_range_duration("30m1h"));
  EXPECT_FALSE(parse_range_duration("1.5h"));
  EXPECT_FALSE(parse_range_duration("999999999999y"));
  EXPECT_EQ(parse_go_duration("-1.5h").value_or(0), -5'400'000'000'000);
  EXPECT_EQ(parse_go_duration("1h1m1.001s").value_or(0), 3'661'001'000'000);
  EXPECT_EQ(parse_go_duration("3µs").value_or(0), 3'000);
  EXPECT_FALSE(parse_go_duration("1d"));
  EXPECT_FALSE(parse_go_duration("5"));
  EXPECT_EQ(format_go_duration(5'400'000'000'000), "1h30m0s");
  EXPECT_EQ(format_go_duration(-1'500'000), "-1.5ms");
  EXPECT_EQ(format_go_duration(61'020'000'000), "1m1.02s");
  EXPECT_EQ(format_prometheus_duration(90'000'000'000), "1m30s");
}

TEST(LogqlLiterals, SizesAndFloats) {
  EXPECT_EQ(parse_human_bytes("1.5KiB").value_or(0), 1536U);
  EXPECT_EQ(parse_human_bytes("1,024").value_or(0), 1024U);
  EXPECT_EQ(parse_human_bytes("3 mb").value_or(0), 3'000'000U);
  EXPECT_FALSE(parse_human_bytes("zz"));
  EXPECT_FALSE(parse_human_bytes("30000 PB 1"));
  EXPECT_FALSE(parse_human_bytes("99999999 EB"));
  EXPECT_EQ(parse_go_float("2e3").value_or(0), 2000);
  EXPECT_EQ(parse_go_float("0x1p4").value_or(0), 16);
  EXPECT_FALSE(parse_go_float("0x10"));
  EXPECT_FALSE(parse_go_float("1e999"));
  EXPECT_EQ(parse_go_float("1e-999").value_or(1), 0);
  EXPECT_FALSE(parse_go_float(" 1"));
  EXPECT_FALSE(parse_go_float("++1"));
  EXPECT_EQ(format_go_float(3e6), "3000000");
  EXPECT_EQ(format_go_float(1e21), "1e+21");
  EXPECT_EQ(format_go_float(0.00001), "1e-05");
}

}  // namespace
}  // namespace tocayo::logql
