// SPDX-License-Identifier: Apache-2.0
// Stages one by one; the tables of LogQL are run by the engine's tests.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <random>

#include "logql/pipeline/ip_filter.h"
#include "logql/pipeline/pipeline.h"
#include "logql/syntax/parser.h"

namespace {
thread_local std::size_t allocations = 0;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TOCAYO_SANITIZED 1  // has allocation functions of its own
#endif
#endif

#ifndef TOCAYO_SANITIZED
// Counted for the test that a row in the steady state allocates nothing.
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size != 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace tocayo::logql {
namespace {

Result<Pipeline> compile(const std::string& stages, PipelineOptions options = {}) {
  auto query = parse_log("{x=\"1\"} " + stages);
  if (!query) return std::unexpected(query.error());
  return Pipeline::compile(query->stages, options);
}

std::string text(const LabelResult& result) {
  std::string out;
  for (const Label& label : result.all) {
    if (label.name == kErrorDetailsLabel) continue;
    if (!out.empty()) out += ' ';
    out += label.name + "=" + label.value;
  }
  return out;
}

// "labels | line", or "dropped".
std::string run(const std::string& stages, std::string_view line, const Labels& stream = {},
                std::span<const logs::LabelView> metadata = {}) {
  auto pipeline = compile(stages);
  if (!pipeline) return pipeline.error().message;
  Processor processor(*pipeline);
  processor.set_stream(stream);
  if (!processor.process(1'700'000'000'000'000'000, line, metadata)) return "dropped";
  return text(*processor.labels()) + " | " + std::string(processor.line());
}

TEST(Json, DamageAndNesting) {
  EXPECT_EQ(run("| json", R"({"a":{"b":"1","c":{"d":2}},"e":[1,{"f":2}]})"),
            R"(a_b=1 a_c_d=2 | {"a":{"b":"1","c":{"d":2}},"e":[1,{"f":2}]})");
  // An object that is not closed gives nothing; one that is closed but wrong keeps what came before.
  EXPECT_EQ(run("| json | line_format \"\"", R"({"x":1,"a":{"b":"1")"), "__error__=JSONParserErr x=1 | ");
  EXPECT_EQ(run("| json | line_format \"\"", R"({"x":1,"a":{"b":"1","c" 2}})"), "__error__=JSONParserErr a_b=1 x=1 | ");
  EXPECT_EQ(run("| json | line_format \"\"", R"({"a":{"0":"z"},"7":1,"ü":2,"":3,"q":"\ud83d\ude00\n"})"),
            "_=2 _7=1 a_0=z q=\xF0\x9F\x98\x80\n | ");
  EXPECT_EQ(run("| json | line_format \"\"", "{\"a\":\"\xff\\q\",\"b\":\"x\xff\"} trailing"), "a= b=x  | ");
  EXPECT_EQ(run("| json | line_format \"\"", "{\"a\":tru}"), "__error__=JSONParserErr | ");
  EXPECT_EQ(run("| json | line_format \"\"", ""), "__error__=JSONParserErr | ");
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "{\"a\":";
  EXPECT_EQ(run("| json | line_format \"\"", deep), "__error__=JSONParserErr | ");
}

TEST(Json, Paths) {
  EXPECT_EQ(run("| json a=\"x[1].y\", b=\"x[0]\", c=\"z[\\\"k k\\\"]\" | line_format \"\"",
                R"({"x":["s\"q",{"y":true}],"z":{"k k":null}})"),
            "a=true b=s\"q c= | ");
  EXPECT_EQ(run("| json a=\"x\" | line_format \"\"", R"({"y":1,"x":"found","cut)"), "a=found | ");
  EXPECT_EQ(run("| json a=\"x\" | line_format \"\"", "plain"), "__error__=JSONParserErr | ");
}

TEST(Logfmt, Pairs) {
  EXPECT_EQ(run("| logfmt | line_format \"\"", "a=1 b=\"x \\\"y\\\" \\u00e9\" c= d é=2 1x=3 =5 f=a=b g=\"open"),
            "_=2 _1x=3 a=1 b=x \"y\" \xC3\xA9 | ");
  EXPECT_EQ(run("| logfmt --keep-empty | line_format \"\"", "c= d"), "c= d= | ");
  EXPECT_EQ(run("| logfmt --strict | line_format \"\"", "a=1 f=a=b g=2"), "__error__=LogfmtParserErr a=1 | ");
}

TEST(Labels, CategoriesAndPrecedence) {
  const Labels stream{{"app", "s"}, {"level", "info"}};
  const logs::LabelView metadata[] = {{"app", "m"}, {"trace", "t1"}};
  auto pipeline = compile("| logfmt | label_format level=\"{{.level}}!\", was=trace");
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  Processor processor(*pipeline);
  processor.set_stream(stream);
  ASSERT_TRUE(processor.process(0, "app=p trace=p2 x=1", metadata));
  const LabelResult& result = *processor.labels();
  // Parsed beats metadata for app_extracted, so the parsed one is dropped as already there … by name of the slot.
  EXPECT_EQ(result.labels().to_string(),
            "{app=\"s\", app_extracted=\"p\", level=\"info!\", trace_extracted=\"p2\", was=\"t1\", x=\"1\"}");
  EXPECT_EQ(result.stream, (std::vector<Label>{{"app", "s"}}));
  EXPECT_TRUE(result.metadata.empty());
  EXPECT_EQ(result.parsed.size(), 5u);
  EXPECT_FALSE(result.error);
}

TEST(Labels, SameSetSameResult) {
  auto pipeline = compile("| logfmt");
  Processor processor(*pipeline);
  const Labels stream{{"app", "s"}};
  processor.set_stream(stream);
  ASSERT_TRUE(processor.process(0, "a=1 b=2", {}));
  const auto first = processor.labels();
  ASSERT_TRUE(processor.process(0, "b=2 a=1", {}));
  EXPECT_EQ(processor.labels().get(), first.get());  // in any order of the keys
  ASSERT_TRUE(processor.process(0, "a=1 b=3", {}));
  EXPECT_NE(processor.labels()->id, first->id);
  EXPECT_GT(processor.memory_bytes(), 0u);
  processor.forget();
  EXPECT_EQ(processor.memory_bytes(), 0u);
  EXPECT_EQ(text(*first), "a=1 app=s b=2");
}

// A line may itself name the error labels; what a stage has met wins, and no name is there twice.
TEST(Labels, ErrorLabelsOfTheLine) {
  EXPECT_EQ(run("| logfmt", "__error__=mine a=1"), "__error__=mine a=1 | __error__=mine a=1");
  EXPECT_EQ(run("| logfmt --strict", "__error__=mine a=\"1"), "__error__=LogfmtParserErr | __error__=mine a=\"1");
  EXPECT_EQ(run("| json | __error__=\"mine\"", R"({"__error__":"mine"})"), R"(__error__=mine | {"__error__":"mine"})");
}

TEST(Labels, GroupingAndErrors) {
  PipelineOptions by;
  by.grouping = Grouping{{"status", "app"}, false};
  auto pipeline = compile("| json", by);
  Processor processor(*pipeline);
  const Labels stream{{"app", "s"}, {"pod", "p"}};
  processor.set_stream(stream);
  ASSERT_TRUE(processor.process(0, R"({"status":200,"path":"/x"})", {}));
  EXPECT_EQ(text(*processor.labels()), "app=s status=200");
  ASSERT_TRUE(processor.process(0, "oops", {}));
  EXPECT_EQ(text(*processor.labels()), "__error__=JSONParserErr app=s pod=p");
  EXPECT_TRUE(processor.labels()->error);
  EXPECT_EQ(processor.labels()->error_name(), "JSONParserErr");

  PipelineOptions none;
  none.grouping = Grouping{};
  auto counting = compile("| json", none);
  Processor counter(*counting);
  counter.set_stream(stream);
  ASSERT_TRUE(counter.process(0, "oops", {}));  // nobody looks at a label: the parser does not run
  EXPECT_EQ(text(*counter.labels()), "");

  PipelineOptions without;
  without.grouping = Grouping{{"pod"}, true};
  auto rest = compile("| json", without);
  Processor other(*rest);
  other.set_stream(stream);
  ASSERT_TRUE(other.process(0, R"({"status":200})", {}));
  EXPECT_EQ(text(*other.labels()), "app=s status=200");
}

TEST(Unwrap, ConvertsAndRemovesItsLabel) {
  Unwrap unwrap;
  unwrap.label = "d";
  unwrap.conversion = Unwrap::Conversion::duration;
  PipelineOptions options;
  options.unwrap = &unwrap;
  auto pipeline = compile("| logfmt", options);
  Processor processor(*pipeline);
  const Labels stream{{"app", "s"}};
  processor.set_stream(stream);
  ASSERT_TRUE(processor.process(0, "d=1m30s k=v", {}));
  EXPECT_EQ(processor.value(), 90);
  EXPECT_EQ(text(*processor.labels()), "app=s k=v");
  EXPECT_FALSE(processor.process(0, "k=v", {}));
  ASSERT_TRUE(processor.process(0, "d=soon", {}));
  EXPECT_EQ(text(*processor.labels()), "__error__=SampleExtractionErr app=s d=soon");
}

TEST(Filters, BooleanOperandsAndErrors) {
  EXPECT_EQ(run("| logfmt | n > 5 or k=\"v\"", "n=x k=v"), "__error__=LabelFilterErr k=v n=x | n=x k=v");
  EXPECT_EQ(run("| logfmt | n > 5 and k=\"w\"", "n=x k=v"), "dropped");
  EXPECT_EQ(run("| logfmt | missing > 5", "n=x"), "dropped");
  EXPECT_EQ(run("| logfmt | missing=\"\"", "n=x"), "n=x | n=x");
  EXPECT_EQ(run("| json | __error__=\"\"", "n=x"), "dropped");
  EXPECT_EQ(run("| json | __error__=\"JSONParserErr\" | drop __error__", "n=x"), " | n=x");
}

TEST(Ip, Addresses) {
  const auto found = [](std::string_view pattern, std::string_view line) {
    const auto filter = IpFilter::create(pattern);
    EXPECT_TRUE(filter) << pattern;
    return filter && filter->found_in(line);
  };
  EXPECT_TRUE(found("10.0.0.0/8", "a 10.255.1.2:80"));
  EXPECT_FALSE(found("10.0.0.0/8", "a 11.0.0.1"));
  EXPECT_TRUE(found("2001:db8::1-2001:db8::ff", "[2001:db8::7f]"));
  EXPECT_FALSE(found("::ffff:1.2.3.4", "1.2.3.4"));
  EXPECT_TRUE(found("::1", "from ::1"));
  for (const char* bad :
       {"", "10.0.0", "10.0.0.256", "10.0.0.1/33", "1.2.3.4-::1", "2.0.0.0-1.0.0.0", "01.2.3.4", "1::2::3"}) {
    EXPECT_FALSE(IpFilter::create(bad)) << bad;
  }
}

TEST(Format, FunctionsOfTheirOwn) {
  const auto line = [](const std::string& expression, std::string_view input = "n=7 s=\"a b\" t=0.1") {
    const std::string out = run("| logfmt | line_format `" + expression + "`", input);
    return out.substr(out.find(" | ") + 3);
  };
  EXPECT_EQ(line("{{addf .t 0.2}} {{mulf .t 3}} {{divf 1 3}} {{subf 0.3 .t}}"), "0.3 0.3 0.3333333333333333 0.2");
  EXPECT_EQ(line("{{.s | upper}} {{int \"0x1f\"}} {{int \"12.0\"}} {{add 1 .n}}"), "A B 31 12 8");
  EXPECT_EQ(line("{{unixEpochMillis __timestamp__}} {{ (toDate \"2006-01-02\" \"2024-03-15\").Year }} {{unixToTime "
                 "\"1700000000\" | date \"15:04\"}}"),
            "1700000000000 2024 22:13");
  EXPECT_EQ(line("{{range $k, $v := .}}{{$k}}={{$v}};{{end}}"), "n=7;s=a b;t=0.1;");
  EXPECT_EQ(line("{{nindent 2 \"a\\nb\"}}|{{trunc -2 \"abcd\"}}|{{substr 1 -1 \"abcd\"}}|{{count \"[ab]\" .s}}"),
            "\n  a\n  b|cd|bcd|2");
  EXPECT_EQ(line("{{div 1 0}}"), "n=7 s=\"a b\" t=0.1");  // the line stays
  EXPECT_EQ(line("{{repeat 100000000 \"x\"}}"), "n=7 s=\"a b\" t=0.1");
}

// Hints may leave out work, never change what comes out: all rows of random lines with and without.
TEST(Hints, NeverChangeTheResult) {
  std::mt19937 random(7);
  const auto pick = [&random](auto&& list) { return list[random() % std::size(list)]; };
  static constexpr std::string_view kValues[] = {"1", "200", "x", "\"y z\"", "5ms", "1KB", "", "\"\\u00e9\""};
  static constexpr std::string_view kKeys[] = {"status", "a", "level", "app", "n", "o_p", "status_extracted"};
  const std::string kStages[] = {"| json",
                                 "| logfmt",
                                 "| json | status=\"200\"",
                                 "| json | n > 100 | o_p != \"1\"",
                                 "| logfmt | status=\"200\" and n < 5",
                                 "| json | label_format status=\"{{.n}}\" | status=\"200\"",
                                 "| logfmt | a != \"x\" | drop a | json",
                                 "| json | keep status, a | o_p=\"\"",
                                 "| regexp `(?P<status>\\d+).*(?P<a>[a-z])` | status > 1 | a=\"a\""};
  const Labels stream{{"app", "s"}, {"level", "info"}};
  std::size_t rows = 0;
  for (const std::string& stages : kStages) {
    for (const int shape : {0, 1, 2, 3}) {
      PipelineOptions on;
      if (shape == 1) on.grouping = Grouping{{"status"}, false};
      if (shape == 2) on.grouping = Grouping{{"o_p", "app"}, false};
      if (shape == 3) on.grouping = Grouping{{"a"}, true};
      PipelineOptions off = on;
      off.hints = false;
      auto with = compile(stages, on);
      auto plain = compile(stages, off);
      ASSERT_TRUE(with && plain) << stages;
      Processor hinted(*with);
      Processor full(*plain);
      hinted.set_stream(stream);
      full.set_stream(stream);
      for (int i = 0; i < 300; ++i) {
        const bool json = random() % 2 == 0;
        std::string line = json ? "{" : "";
        for (int k = static_cast<int>(random() % 6); k >= 0; --k) {
          std::string value(pick(kValues));
          std::string key(pick(kKeys));
          if (json && value.find('"') == std::string::npos) value = "\"" + value + "\"";
          if (json && key == "o_p") value = "{\"p\":" + value + "}", key = "o";
          line += json ? "\"" + key + "\":" + value + (k > 0 ? "," : "") : key + "=" + value + " ";
        }
        if (json && random() % 10 != 0) line += "}";
        const bool a = hinted.process(0, line, {});
        const bool b = full.process(0, line, {});
        if (b && full.labels()->error && a && !hinted.labels()->error) continue;  // damage behind the last needed label
        ASSERT_EQ(a, b) << stages << "\n" << line;
        if (a && full.labels()->error) {  // the row fails its query; what it shows besides does not matter
          ASSERT_TRUE(hinted.labels()->error) << stages << "\n" << line;
        } else if (a) {
          ASSERT_EQ(text(*hinted.labels()), text(*full.labels())) << stages << "\n" << line;
        }
        ++rows;
      }
    }
  }
  EXPECT_GT(rows, 5'000u);
}

TEST(Processor, SteadyStateAllocatesNothing) {
#ifdef TOCAYO_SANITIZED
  GTEST_SKIP() << "allocations are counted in builds without sanitizers";
#endif
  const std::string kStages[] = {"| json | status >= 200 | line_format `{{.method}} {{.path | trunc 3}}`",
                                 "| json | label_format x=\"{{.status}}\" | drop path | keep status, x, app",
                                 "|= \"GET\" | pattern `{\"method\":\"<method>\",<_>` | method=\"GET\""};
  const Labels stream{{"app", "s"}};
  const logs::LabelView metadata[] = {{"trace", "t"}};
  for (const std::string& stages : kStages) {
    auto pipeline = compile(stages);
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    Processor processor(*pipeline);
    processor.set_stream(stream);
    const std::string line = R"({"method":"GET","status":200,"path":"/a\/b","req":{"id":"x"}})";
    const auto turn = [&] {
      const bool kept = processor.process(1, line, metadata);
      EXPECT_TRUE(kept) << stages;
      return kept ? processor.labels()->id : 0;
    };
    for (int i = 0; i < 5; ++i) turn();
    const std::size_t before = allocations;
    for (int i = 0; i < 100; ++i) turn();
    EXPECT_EQ(allocations, before) << stages;
  }
}

TEST(Compile, ErrorsAreLocated) {
  EXPECT_EQ(run("| regexp `(`", "").substr(0, 47), "parse error at line 1, col 9: error parsing reg");
  EXPECT_NE(run("| line_format `{{.a`", "").find("invalid line template: template: line:1: "), std::string::npos);
  EXPECT_NE(run("| pattern `<a><b>`", "").find("found consecutive capture '<a><b>'"), std::string::npos);
}

}  // namespace
}  // namespace tocayo::logql
