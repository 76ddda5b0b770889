// SPDX-License-Identifier: Apache-2.0
#include "promql/parser.h"

#include <gtest/gtest.h>

#include <cmath>

#include "promql/function_signatures.h"
#include "promql/printer.h"

namespace tocayo::promql {
namespace {

ExprPtr parsed(std::string_view query, const ParserOptions& options = ParserOptions::all()) {
  auto expr = parse_expr(query, options);
  EXPECT_TRUE(expr) << query << ": " << (expr ? "" : expr.error().message);
  return expr ? std::move(*expr) : nullptr;
}

std::string error_of(std::string_view query, const ParserOptions& options = ParserOptions::all()) {
  auto expr = parse_expr(query, options);
  return expr ? "parsed as " + print(**expr) : expr.error().message;
}

// Parentheses around every operation, to see what binds to what.
std::string structure(const Expr& expr) {
  if (const auto* binary = expr.as<BinaryExpr>()) {
    return "(" + structure(*binary->lhs) + std::string(to_string(binary->op)) + structure(*binary->rhs) + ")";
  }
  if (const auto* unary = expr.as<UnaryExpr>())
    return "(" + std::string(to_string(unary->op)) + structure(*unary->expr) + ")";
  if (const auto* paren = expr.as<ParenExpr>()) return "p" + structure(*paren->expr);
  return print(expr);
}

struct Case {
  std::string_view query;
  std::string_view expected;
};

TEST(PromqlParser, OperatorPrecedence) {
  const Case cases[] = {
      {"a + b * c", "(a+(b*c))"},
      {"a * b + c", "((a*b)+c)"},
      {"a - b - c", "((a-b)-c)"},
      {"a ^ b ^ c", "(a^(b^c))"},
      {"-a ^ b", "(-(a^b))"},
      {"-a * b", "((-a)*b)"},
      {"a ^ -b ^ c", "(a^(-(b^c)))"},
      {"a ^ -b * c", "((a^(-b))*c)"},
      {"a or b and c", "(aor(bandc))"},
      {"a == b + c", "(a==(b+c))"},
      {"a and b == c", "(aand(b==c))"},
      {"a atan2 b % c", "((aatan2b)%c)"},
      {"a </ 2 + 1", "(a</(2+1))"},
      {"a unless b or c and d", "((aunlessb)or(candd))"},
      {"- -1", "1"},
      {"-1^2", "(-(1^2))"},
      {"+ +a", "(+(+a))"},
      {"(a + b) * c", "(p(a+b)*c)"},
  };
  for (const Case& c : cases) {
    auto expr = parsed(c.query);
    ASSERT_TRUE(expr);
    EXPECT_EQ(structure(*expr), c.expected) << c.query;
  }
}

TEST(PromqlParser, Numbers) {
  const std::pair<std::string_view, double> cases[] = {{"1", 1},
                                                       {".5", .5},
                                                       {"5.", 5},
                                                       {"1e3", 1000},
                                                       {"1e-3", .001},
                                                       {"-0.5", -.5},
                                                       {"0x1F", 31},
                                                       {"0Xff", 255},
                                                       {"017", 15},
                                                       {"018", 18},
                                                       {"1_000.5", 1000.5},
                                                       {"0x_1f", 31},
                                                       {"Inf", INFINITY},
                                                       {"+iNf", INFINITY},
                                                       {"-inf", -INFINITY},
                                                       {"1h30m", 5400},
                                                       {"1ms", .001},
                                                       {"-5m", -300},
                                                       {"1y2w3d", 365 * 86400. + 17 * 86400},
                                                       {"1e-400", 0}};
  for (auto [query, value] : cases) {
    auto expr = parsed(query);
    ASSERT_TRUE(expr && expr->as<NumberLiteral>()) << query;
    EXPECT_EQ(expr->as<NumberLiteral>()->value, value) << query;
  }
  auto nan = parsed("NaN");
  EXPECT_TRUE(std::isnan(nan->as<NumberLiteral>()->value));
  EXPECT_TRUE(parsed("1m")->as<NumberLiteral>()->is_duration);
  EXPECT_FALSE(parsed("60")->as<NumberLiteral>()->is_duration);
}

TEST(PromqlParser, Strings) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"("a\"b")", "a\"b"},
      {R"('a"\'b')", "a\"'b"},
      {R"("\a\b\f\n\r\t\v\\")", "\a\b\f\n\r\t\v\\"},
      {"`a\\n\"`", "a\\n\""},
      {R"("\x41\102\u00e9\U0001F600")", "AB\u00e9\U0001F600"},
      {R"("日本")", "日本"},
      {R"("")", ""},
      {"`two\nlines`", "two\nlines"}};
  for (auto [query, value] : cases) {
    auto expr = parsed(query);
    ASSERT_TRUE(expr && expr->as<StringLiteral>()) << query;
    EXPECT_EQ(expr->as<StringLiteral>()->value, value);
  }
}

TEST(PromqlParser, SelectorModifiersInEveryOrder) {
  for (std::string_view query : {"m[5m] @ 10 offset 1m", "m[5m] offset 1m @ 10", "m[5m] OFFSET 1m @ 10.0"}) {
    auto expr = parsed(query);
    auto* matrix = expr->as<MatrixSelector>();
    ASSERT_TRUE(matrix) << query;
    EXPECT_EQ(matrix->range, std::chrono::minutes(5));
    EXPECT_EQ(matrix->selector->original_offset, std::chrono::minutes(1));
    EXPECT_EQ(matrix->selector->timestamp, 10'000);
    EXPECT_EQ(position_of(*matrix), (PositionRange{0, static_cast<int>(query.size())}));
  }
  auto smoothed = parsed("m smoothed @ start() offset -30s");
  auto* selector = smoothed->as<VectorSelector>();
  ASSERT_TRUE(selector);
  EXPECT_TRUE(selector->smoothed);
  EXPECT_EQ(selector->at, AtModifier::start);
  EXPECT_FALSE(selector->timestamp);
  EXPECT_EQ(selector->original_offset, std::chrono::seconds(-30));
  auto anchored = parsed("rate(m[5m] anchored offset 1m)");
  EXPECT_TRUE(anchored->as<Call>()->args[0]->as<MatrixSelector>()->selector->anchored);
  auto subquery = parsed("(a + b)[1h:5m] @ end() offset 1w");
  auto* sub = subquery->as<SubqueryExpr>();
  ASSERT_TRUE(sub);
  EXPECT_EQ(sub->step, std::chrono::minutes(5));
  EXPECT_EQ(sub->at, AtModifier::end);
  EXPECT_EQ(parsed("a[1h:]")->as<SubqueryExpr>()->step.count(), 0);
  EXPECT_EQ(parsed("a[1.5]")->as<MatrixSelector>()->range.count(), 1500);
}

TEST(PromqlParser, Names) {
  EXPECT_EQ(parsed(R"({"my.metric", "a b"="x", c!~"y.*"})")->as<VectorSelector>()->matchers.size(), 3u);
  EXPECT_EQ(parsed(R"({"my.metric"})")->as<VectorSelector>()->name, "");
  EXPECT_EQ(parsed("job:x:rate5m")->as<VectorSelector>()->name, "job:x:rate5m");
  EXPECT_EQ(parsed("sum by (\"a.b\", by, on, offset,) (m)")->as<AggregateExpr>()->grouping,
            (std::vector<std::string>{"a.b", "by", "on", "offset"}));
  for (std::string_view name :
       {"sum", "by", "without", "offset", "start", "end", "step", "range", "fill", "fill_left", "and", "or", "unless",
        "anchored", "smoothed", "max_of", "count_values", "limitk", "MIN"}) {
    auto expr = parsed(name);
    ASSERT_TRUE(expr && expr->as<VectorSelector>()) << name;
    EXPECT_EQ(expr->as<VectorSelector>()->name, name);
  }
  for (std::string_view name : {"bool", "on", "ignoring", "group_left", "group_right", "atan2"})
    EXPECT_FALSE(parse_expr(name)) << name;
  EXPECT_EQ(parsed("fill + fill (1) fill")->kind, Kind::binary);
  EXPECT_EQ(error_of("fill (1)"), "1:6: parse error: unexpected \"(\"");
}

TEST(PromqlParser, Aggregations) {
  for (std::string_view query : {"topk by (a) (3, m)", "topk(3, m) by (a)", "TOPK BY(a)(3,m)"}) {
    auto expr = parsed(query);
    auto* aggregate = expr->as<AggregateExpr>();
    ASSERT_TRUE(aggregate);
    EXPECT_EQ(aggregate->op, AggregateOp::topk);
    EXPECT_EQ(aggregate->grouping, std::vector<std::string>{"a"});
    EXPECT_FALSE(aggregate->without);
    EXPECT_EQ(aggregate->position, (PositionRange{0, static_cast<int>(query.size())}));
    EXPECT_TRUE(aggregate->param);
  }
  EXPECT_TRUE(parsed("sum without () (m)")->as<AggregateExpr>()->without);
}

TEST(PromqlParser, VectorMatching) {
  auto expr = parsed("a > bool on (x, y) group_left (z) fill_right(-2) fill_left(1m) b");
  auto* binary = expr->as<BinaryExpr>();
  ASSERT_TRUE(binary && binary->matching);
  EXPECT_TRUE(binary->return_bool);
  EXPECT_TRUE(binary->matching->on);
  EXPECT_EQ(binary->matching->card, Cardinality::many_to_one);
  EXPECT_EQ(binary->matching->matching_labels, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(binary->matching->include, std::vector<std::string>{"z"});
  EXPECT_EQ(binary->matching->fill_left, 60);
  EXPECT_EQ(binary->matching->fill_right, -2);
  EXPECT_EQ(parsed("a and b")->as<BinaryExpr>()->matching->card, Cardinality::many_to_many);
  EXPECT_FALSE(parsed("a + 1")->as<BinaryExpr>()->matching);
  EXPECT_EQ(parsed("a * ignoring() group_right b")->as<BinaryExpr>()->matching->card, Cardinality::one_to_many);
}

TEST(PromqlParser, SyntaxErrors) {
  const Case cases[] = {
      {"", "unknown position: parse error: no expression found in input"},
      {"# only a comment", "1:1: parse error: no expression found in input"},
      {"a +", "1:4: parse error: unexpected end of input"},
      {"a b", "1:3: parse error: unexpected identifier \"b\""},
      {"sum(a b)", "1:7: parse error: unexpected identifier \"b\" in aggregation"},
      {"rate(a b)", "1:8: parse error: unexpected identifier \"b\""},
      {"(a))", "1:5: parse error: unexpected right parenthesis ')'"},
      {"((a)", "1:5: parse error: unclosed left parenthesis"},
      {"a[5m", "1:5: parse error: unclosed left bracket"},
      {"a[", "1:3: parse error: unexpected end of input in duration expression"},
      {"a[]",
       "1:3: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or "
       "range()"},
      {"a[5m:1m 1m]", "1:9: parse error: unexpected duration \"1m\" in subquery selector, expected \"]\""},
      {"a[5m 1m]", "1:6: parse error: unexpected duration \"1m\" in subquery or range, expected \":\" or \"]\""},
      {"a[5mm]", "1:3: parse error: bad number or duration syntax: \"5mm\""},
      {"a[5m1h]", "1:3: parse error: not a valid duration string: \"5m1h\""},
      {"a[0s]", "1:3: parse error: duration must be greater than 0"},
      {"a[-1m]", "1:3: parse error: duration must be greater than 0"},
      {"a offset",
       "1:9: parse error: unexpected end of input in offset, expected number, duration, step(), or range()"},
      {"a @", "1:4: parse error: unexpected end of input in @, expected timestamp"},
      {"a @ start", "1:10: parse error: unexpected end of input in @, expected timestamp"},
      {"a @ inf", "1:1: parse error: timestamp out of bounds for @ modifier: +Inf"},
      {"a{", "1:3: parse error: unexpected end of input inside braces"},
      {"a{b}", "1:4: parse error: unexpected \"}\" in label matching, expected label matching operator"},
      {"a{b=c}", "1:5: parse error: unexpected identifier \"c\" in label matching, expected string"},
      {"a{b=\"c\" d=\"e\"}",
       "1:9: parse error: unexpected identifier \"d\" in label matching, expected \",\" or \"}\""},
      {"a{,}", "1:3: parse error: unexpected \",\" in label matching, expected identifier or \"}\""},
      {"a{b=~\"(\"}", "1:3: parse error: error parsing regexp: missing closing ): `(`"},
      {"a{b=~\"*\"}", "1:3: parse error: error parsing regexp: missing argument to repetition operator: `*`"},
      {"sum by a (b)", "1:8: parse error: unexpected identifier \"a\" in grouping opts, expected \"(\""},
      {"sum by (a b) (c)", "1:11: parse error: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\""},
      {"sum by (without) (c)", "1:9: parse error: unexpected <without> in grouping opts, expected label"},
      {"sum(a) by (b) by (c)", "1:15: parse error: unexpected <by>"},
      {"a + group_left (b) c", "1:5: parse error: unexpected <group_left>"},
      {"a == on (b) group_left", "1:23: parse error: unexpected end of input in grouping opts, expected \"(\""},
      {"\"a\nb\"", "1:1: parse error: unterminated quoted string"},
      {"\"\\q\"", "1:1: parse error: unknown escape sequence U+0071 'q'"},
      {"\"\xff\"", "1:1: parse error: invalid UTF-8 rune"},
      {"a ! b", "1:3: parse error: unexpected character after '!': ' '"},
      {"a =~ b", "1:3: parse error: unexpected character after '=': '~'"},
      {"a ? b", "1:3: parse error: unexpected character: '?'"},
      {"1e400", "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"1e400\": value out of range"},
      {"a\n  + ]", "2:5: parse error: unexpected right bracket ']'"},
      {"rate(a[5m],)", "1:11: parse error: trailing commas not allowed in function call args"},
      {"nosuch(a)", "1:1: parse error: unknown function with name \"nosuch\""},
      {"RATE(a[5m])", "1:1: parse error: unknown function with name \"RATE\""},
  };
  for (const Case& c : cases) EXPECT_EQ(error_of(c.query), c.expected) << c.query;
}

TEST(PromqlParser, TypeErrors) {
  const Case cases[] = {
      {"rate(a)", "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector"},
      {"sum(a[5m])", "1:5: parse error: expected type instant vector in aggregation expression, got range vector"},
      {"topk(a, b)", "1:6: parse error: expected type scalar in aggregation parameter, got instant vector"},
      {"topk(b)", "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1"},
      {"sum()", "1:1: parse error: no arguments for aggregate expression provided"},
      {"count_values(1, b)", "1:14: parse error: expected type string in aggregation parameter, got scalar"},
      {"floor()", "1:1: parse error: expected 1 argument(s) in call to \"floor\", got 0"},
      {"round(a, 1, 2)", "1:1: parse error: expected at most 2 argument(s) in call to \"round\", got 3"},
      {"label_join(a)", "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", got 1"},
      {"1 > 2", "1:3: parse error: comparisons between scalars must use BOOL modifier"},
      {"a + bool b", "1:3: parse error: bool modifier can only be used on comparison operators"},
      {"a and 1", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression"},
      {"a + on (b) 1", "1:1: parse error: vector matching only allowed between instant vectors"},
      {"a or on (b) group_left (c) d", "1:1: parse error: no grouping allowed for \"or\" operation"},
      {"a + on (b) group_left (b) c", "1:3: parse error: label \"b\" must not occur in ON and GROUP clause at once"},
      {"a + fill(1) 2", "1:1: parse error: filling in missing series only allowed between instant vectors"},
      {"a and fill(1) b", "1:1: parse error: filling in missing series not allowed for set operators"},
      {"a + b[5m]", "1:5: parse error: binary expression must contain only scalar and instant vector types"},
      {"-\"a\"",
       "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got "
       "\"string\""},
      {"a[5m][5m:]", "1:1: parse error: subquery is only allowed on instant vector, got matrix instead"},
      {"rate(a[5m])[5m]", "1:12: parse error: ranges only allowed for vector selectors"},
      {"a offset 1m [5m]", "1:13: parse error: no offset modifiers allowed before range"},
      {"a @ 1 [5m]", "1:7: parse error: no @ modifiers allowed before range"},
      {"a @ end() [5m]", "1:11: parse error: no @ modifiers allowed before range"},
      {"1 offset 1m",
       "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a "
       "subquery"},
      {"a offset 1m offset 1m", "1:1: parse error: offset may not be set multiple times"},
      {"a @ 1 @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times"},
      {"a anchored smoothed", "1:1: parse error: anchored and smoothed modifiers cannot be used together"},
      {"a[5m:] smoothed", "1:1: parse error: smoothed modifier is not supported for subqueries"},
      {"{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"},
      {"{a=~\".*\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher"},
      {"a{__name__=\"b\"}", "1:1: parse error: metric name must not be set twice: \"a\" or \"b\""},
      {"info(a, b)", "1:9: parse error: expected label selectors only, got vector selector instead"},
      {"info(a, {b=\"c\"} + 1)", "1:9: parse error: expected label selectors only"},
  };
  for (const Case& c : cases) EXPECT_EQ(error_of(c.query), c.expected) << c.query;
  EXPECT_TRUE(parsed("info(a, {})"));
}

TEST(PromqlParser, ExperimentalPartsNeedTheirOption) {
  ParserOptions plain;
  const Case cases[] = {
      {"mad_over_time(a[5m])", "1:1: parse error: function \"mad_over_time\" is not enabled"},
      {"limitk(1, a)",
       "1:1: parse error: limitk() is experimental and must be enabled with "
       "--enable-feature=promql-experimental-functions"},
      {"a[5m*2]", "1:3: parse error: experimental duration expression is not enabled"},
      {"a offset step()", "1:10: parse error: experimental duration expression is not enabled"},
      {"a offset -step()", "1:10: parse error: experimental duration expression is not enabled"},
      {"a offset -min_of(1m, 2m)", "1:10: parse error: experimental duration expression is not enabled"},
      {"a[5m] anchored", "1:1: parse error: anchored modifier is experimental and not enabled"},
      {"a + fill(1) b", "1:1: parse error: binop fill modifiers are experimental and not enabled"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(error_of(c.query, plain), c.expected);
    EXPECT_TRUE(parsed(c.query));
  }
}

TEST(PromqlParser, NestingHasALimit) {
  auto nested = [](std::string_view open, std::string_view inner, std::string_view close, int levels) {
    std::string query;
    for (int i = 0; i < levels; ++i) query += open;
    query += inner;
    for (int i = 0; i < levels; ++i) query += close;
    return query;
  };
  EXPECT_TRUE(parse_expr(nested("(", "1", ")", 990)));
  EXPECT_TRUE(parse_expr(nested("sum(", "a", ")", 990)));
  for (auto [open, close] : {std::pair<std::string_view, std::string_view>{"(", ")"},
                             {"-", ""},
                             {"sum(", ")"},
                             {"abs(", ")"},
                             {"a^", ""},
                             {"", "[1m:]"},
                             {"", "+a"},
                             {"a[(", ")]"},
                             {"a or ", ""},
                             {"", " or a"}}) {
    EXPECT_NE(error_of(nested(open, "a", close, 5000)).find("parse error: "), std::string::npos);
  }
  EXPECT_EQ(error_of(nested("(", "1", ")", 2000)), "1:1001: parse error: expression is nested deeper than 1000 levels");
  EXPECT_NE(error_of("a[" + nested("(", "1m", ")", 2000) + "]").find("nested deeper"), std::string::npos);
  EXPECT_EQ(error_of(std::string(2 << 20, ' ')), "1:1: parse error: expression is longer than 1048576 bytes");
}

TEST(PromqlParser, MetricSelectorsAndMetrics) {
  auto matchers = parse_metric_selector(R"(up{job="a",x!=""})");
  ASSERT_TRUE(matchers);
  EXPECT_EQ(matchers->size(), 3u);
  EXPECT_FALSE(parse_metric_selector("{}"));
  EXPECT_FALSE(parse_metric_selector("up + 1"));
  EXPECT_EQ(parse_metric_selector("up offset 1m").error().message, "1:4: parse error: unexpected <offset>");
  auto metric = parse_metric(R"(up{job="a", "x.y"="b"})");
  ASSERT_TRUE(metric);
  EXPECT_EQ(*metric, (Labels{{"__name__", "up"}, {"job", "a"}, {"x.y", "b"}}));
  EXPECT_EQ(parse_metric(R"({"my.metric"})")->get("__name__"), "my.metric");
  EXPECT_FALSE(parse_metric("up{job!=\"a\"}"));
}

TEST(PromqlFunctions, TableIsCompleteAndConsistent) {
  EXPECT_EQ(all_functions().size(), 90u);
  for (const FunctionSignature& function : all_functions()) {
    EXPECT_EQ(find_function(function.name), &function);
    EXPECT_EQ(&all_functions()[function_index(function)], &function);
  }
  EXPECT_EQ(find_function("nosuch"), nullptr);
  EXPECT_TRUE(find_function("info")->experimental);
  EXPECT_EQ(find_function("label_join")->variadic, -1);
}

}  // namespace
}  // namespace tocayo::promql
