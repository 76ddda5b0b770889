// SPDX-License-Identifier: Apache-2.0
#include "template/template.h"

#include <gtest/gtest.h>

#include <thread>

#include "template/go_format.h"
#include "template/go_text.h"
#include "template/go_time.h"

namespace tocayo::templates {
namespace {

std::shared_ptr<const FunctionTable> no_functions() { return std::make_shared<const FunctionTable>(); }

// Output, or the error's text after "ERROR: ".
std::string run(std::string_view text, const Value& data = {}, Options options = {}) {
  auto compiled = Template::compile("t", text, no_functions(), options);
  if (!compiled) return "ERROR: " + compiled.error().message;
  Scratch scratch;
  std::string out;
  const auto done = compiled->execute("t", data, out, scratch);
  return done ? out : "ERROR: " + done.error().message;
}

std::string html(std::string_view text, const Value& data = {}) {
  Options options;
  options.mode = Mode::html;
  return run(text, data, options);
}

TEST(Template, MapsAndMissingKeys) {
  const MapEntry entries[] = {{"a", Value::of("x")}, {"b", Value::of("")}};
  const Value strings = Value::of_map(entries, Type::map_string);
  const Value anything = Value::of_map(entries, Type::map_any);
  Options zero;
  zero.missing_key = MissingKey::zero;
  EXPECT_EQ(run("[{{.a}}{{.b}}{{.c}}]", strings), "[x<no value>]");
  EXPECT_EQ(run("[{{.a}}{{.b}}{{.c}}]", strings, zero), "[x]");
  EXPECT_EQ(run("{{.c}}", anything, zero), "<no value>");
  EXPECT_EQ(run("{{.c.d}}", anything, zero),
            "ERROR: template: t:1:4: executing \"t\" at <.c.d>: nil pointer evaluating interface {}.d");
}

TEST(Template, ErrorsTellLineAndColumn) {
  EXPECT_EQ(run("a\nbc{{ .x.y }}", Value::of("s")),
            "ERROR: template: t:2:7: executing \"t\" at <.x.y>: can't evaluate field x in type string");
  EXPECT_EQ(run("{{ len 3 }}"),
            "ERROR: template: t:1:3: executing \"t\" at <len 3>: error calling len: len of type int");
  EXPECT_EQ(
      run("{{ printf }}"),
      "ERROR: template: t:1:3: executing \"t\" at <printf>: wrong number of args for printf: want at least 1 got 0");
  EXPECT_EQ(run("x\n{{ if }}{{ end }}"), "ERROR: template: t:2: missing value for if");
}

TEST(Template, EndlessTemplatesStop) {
  EXPECT_EQ(run("{{define \"r\"}}{{template \"r\"}}{{end}}{{template \"r\"}}").substr(0, 6), "ERROR:");
  const std::string deep =
      run("{{define \"r\"}}{{if true}}{{with 1}}{{template \"r\"}}{{end}}{{end}}{{end}}{{template \"r\"}}");
  EXPECT_NE(deep.find("exceeded maximum template depth (1000)"), std::string::npos) << deep;
  Options options;
  options.limits.steps = 1000;
  const std::string loop = run("{{range 1000000000000}}x{{end}}", {}, options);
  EXPECT_NE(loop.find("exceeded maximum of 1000 steps"), std::string::npos) << loop;
  options = {};
  options.limits.output_bytes = 100;
  const std::string wide = run("{{range 1000}}0123456789{{end}}", {}, options);
  EXPECT_NE(wide.find("output exceeds 100 bytes"), std::string::npos) << wide;
  options = {};
  options.limits.memory_bytes = 1 << 20;
  const std::string fat = run("{{$s := \"0123456789\"}}{{range 100}}{{$s = print $s $s}}{{end}}", {}, options);
  EXPECT_NE(fat.find("bytes of values"), std::string::npos) << fat.substr(0, 200);
  std::string nested;
  for (int i = 0; i < 100'000; ++i) nested += "{{if 1}}";
  EXPECT_EQ(run(nested), "ERROR: template: t:1: max expression depth exceeded");
  EXPECT_EQ(run("{{" + std::string(100'000, '(') + "1"), "ERROR: template: t:1: max expression depth exceeded");
}

TEST(Template, FailedParseLeavesTheSet) {
  Template set(no_functions());
  ASSERT_TRUE(set.parse("a", "one"));
  ASSERT_FALSE(set.parse("a", "{{define \"b\"}}x{{end}}{{"));
  EXPECT_FALSE(set.has("b"));
  ASSERT_TRUE(set.parse("b", "{{define \"a\"}} {{end}}B:{{template \"a\"}}"));  // an empty definition replaces nothing
  Scratch scratch;
  std::string out;
  ASSERT_TRUE(set.execute("b", {}, out, scratch));
  EXPECT_EQ(out, "B:one");
}

TEST(Template, FunctionsCheckTheirArguments) {
  auto table = std::make_shared<FunctionTable>();
  table->add("twice", {Type::string}, [](Call& call) -> Result<Value> {
    return call.make(std::string(call.text(0)) + std::string(call.text(0)));
  });
  table->add("half", {Type::float64}, [](Call& call) -> Result<Value> { return Value::of(call[0].floating / 2); });
  table->add("fails", {}, [](Call&) -> Result<Value> { return fail(ErrorKind::bad_input, "no way"); });
  const auto with = [&](std::string_view text) {
    auto compiled = Template::compile("t", text, table);
    if (!compiled) return compiled.error().message;
    Scratch scratch;
    std::string out;
    const auto done = compiled->execute("t", {}, out, scratch);
    return done ? out : done.error().message;
  };
  EXPECT_EQ(with("{{\"ab\" | twice | twice}} {{half 3}}"), "abababab 1.5");
  EXPECT_EQ(with("{{twice 1}}"), "template: t:1:8: executing \"t\" at <1>: expected string; found 1");
  EXPECT_EQ(with("{{1 | twice}}"),
            "template: t:1:6: executing \"t\" at <twice>: wrong type for value; expected string; got int");
  EXPECT_EQ(with("{{fails}}"), "template: t:1:2: executing \"t\" at <fails>: error calling fails: no way");
}

TEST(Template, OneTemplateOnManyThreads) {
  const auto compiled =
      Template::compile("t", "{{range $i, $v := .}}{{printf \"%d=%s\" $i $v}};{{end}}", no_functions());
  ASSERT_TRUE(compiled);
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&compiled] {
      Scratch scratch;
      const Value list[] = {Value::of("a"), Value::of("b")};
      for (int i = 0; i < 200; ++i) {
        std::string out;
        ASSERT_TRUE(compiled->execute("t", Value::of_list(list), out, scratch));
        ASSERT_EQ(out, "0=a;1=b;");
      }
    });
  }
}

TEST(TemplateHtml, EscapesForThePlace) {
  const Value evil = Value::of("\"><script>alert('1')</script>");
  EXPECT_EQ(html("<b>{{.}}</b>", evil), "<b>&#34;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;</b>");
  EXPECT_EQ(html("<b title=\"{{.}}\">", Value::of("a\"b")), "<b title=\"a&#34;b\">");
  EXPECT_EQ(html("<b title={{.}}>", Value::of("a b=c")), "<b title=a&#32;b&#61;c>");
  EXPECT_EQ(html("<a href=\"{{.}}\">", Value::of("javascript:alert(1)")), "<a href=\"#ZgotmplZ\">");
  EXPECT_EQ(html("<a href=\"{{.}}\">", Value::of("https://h/a b?c&d")), "<a href=\"https://h/a%20b?c&amp;d\">");
  EXPECT_EQ(html("<a href=\"/x?q={{.}}\">", Value::of("a&b=c")), "<a href=\"/x?q=a%26b%3dc\">");
  EXPECT_EQ(html("<script>var x = {{.}};</script>{{.}}", Value::of("</script>")),
            "<script>var x = \"\\u003c/script\\u003e\";</script>&lt;/script&gt;");
  EXPECT_EQ(html("<script>var x = '{{.}}';</script>", Value::of("it's")), "<script>var x = 'it\\u0027s';</script>");
  EXPECT_EQ(html("<p style=\"color: {{.}}\">", Value::of("red; background: url(x)")), "<p style=\"color: ZgotmplZ\">");
  EXPECT_EQ(html("a<!-- {{.}} -->b", evil), "ab");
  EXPECT_EQ(html("<input {{.}}>", Value::of("onclick")), "<input ZgotmplZ>");
  EXPECT_EQ(html("<button onclick=\"f({{.}})\">", Value::of("x")), "<button onclick=\"f(&#34;x&#34;)\">");
}

TEST(GoFormat, Numbers) {
  EXPECT_EQ(format_float(1e6), "1e+06");
  EXPECT_EQ(format_float(123456), "123456");
  EXPECT_EQ(format_float(1353755652), "1.353755652e+09");
  EXPECT_EQ(format_float(0.00001), "1e-05");
  EXPECT_EQ(format_float(999.95, 'g', 4), "1000");
  EXPECT_EQ(format_float(0.0001), "0.0001");
  EXPECT_EQ(format_float(-0.0), "-0");
  EXPECT_EQ(format_float(2.5, 'f', 3), "2.500");
  EXPECT_EQ(*parse_float("0x1p-2"), 0.25);
  EXPECT_EQ(parse_float("one").error().message, "strconv.ParseFloat: parsing \"one\": invalid syntax");
  EXPECT_EQ(parse_float("1e999").error().message, "strconv.ParseFloat: parsing \"1e999\": value out of range");
  EXPECT_EQ(*parse_float("1e-999"), 0);
  EXPECT_FALSE(parse_float("0x10"));
  EXPECT_FALSE(parse_float(""));
}

TEST(GoTime, LayoutsAndZones) {
  const Time time{1700000000, 123456789, nullptr};
  EXPECT_EQ(format_time(time), "2023-11-14 22:13:20.123456789 +0000 UTC");
  EXPECT_EQ(format_time(time, "Mon Jan _2 3:04PM 2006 .000 -07:00 Z07:00 002"),
            "Tue Nov 14 10:13PM 2023 .123 +00:00 Z 318");
  EXPECT_EQ(format_time({kZeroTimeSeconds, 0, nullptr}), "0001-01-01 00:00:00 +0000 UTC");
  const auto zone = Zone::load("Europe/Berlin");
  if (zone) {  // the system may have no zones
    EXPECT_EQ(format_time({1700000000, 0, *zone}, "15:04 MST -0700"), "23:13 CET +0100");
    EXPECT_EQ(format_time({1720000000, 0, *zone}, "15:04 MST -0700"), "11:46 CEST +0200");
    EXPECT_EQ(format_time({4102444800 + 180 * 86400LL, 0, *zone}, "MST"), "CEST");  // 2100: beyond the table
    EXPECT_EQ(parse_time("2006-01-02 15:04", "2024-07-01 12:00", *zone)->seconds, 1719828000);
  }
  EXPECT_EQ(Zone::load("../etc/passwd").error().message, "unknown time zone ../etc/passwd");
  EXPECT_EQ(parse_time("2006-01-02T15:04:05Z07:00", "2024-02-29T01:02:03.5+02:00", nullptr)->seconds, 1709161323);
  EXPECT_FALSE(parse_time("2006-01-02", "2023-02-29", nullptr));
  EXPECT_FALSE(parse_time("2006-01-02", "2023-02-2", nullptr));
}

TEST(GoTime, Durations) {
  for (const char* text : {"1h0m0s", "1m30s", "1.5s", "20ms", "1.5µs", "-2h30m0.25s", "3ns"}) {
    EXPECT_EQ(format_duration_go(*parse_duration_go(text)), text);
  }
  EXPECT_EQ(*parse_duration_go("1.5h"), 5'400'000'000'000);
  EXPECT_EQ(parse_duration_go("1d").error().message, "time: unknown unit \"d\" in duration \"1d\"");
  EXPECT_EQ(parse_duration_go("5").error().message, "time: missing unit in duration \"5\"");
  EXPECT_EQ(parse_duration_go("x").error().message, "time: invalid duration \"x\"");
  EXPECT_FALSE(parse_duration_go("9999999999h"));
}

TEST(GoText, RegexAndCodecs) {
  RegexCache cache;
  const auto replaced = [&](std::string_view regex, std::string_view text, std::string_view with) {
    return regex_replace_all(**cache.get(regex), text, with, false);
  };
  EXPECT_EQ(replaced("a*", "baac", "-"), "-b-c-");
  EXPECT_EQ(replaced("(?P<x>\\w+) (\\w+)", "one two", "$2 ${x} $9 $$ $x_"), "two one  $ ");
  EXPECT_EQ(regex_count(**cache.get("a*"), "baac"), 3u);
  EXPECT_EQ(cache.get("(").error().message, "error parsing regexp: missing closing ): `(`");
  EXPECT_EQ(replace("aaa", "", "-"), "-a-a-a-");
  EXPECT_EQ(replace("aaa", "a", "b", 2), "bba");
  EXPECT_EQ(to_title("hello wörld_x élan"), "Hello Wörld_x Élan");
  EXPECT_EQ(*base64_decode(base64_encode("any \xff bytes")), "any \xff bytes");
  EXPECT_EQ(base64_decode("a").error().message, "illegal base64 data at input byte 0");
}

}  // namespace
}  // namespace tocayo::templates
