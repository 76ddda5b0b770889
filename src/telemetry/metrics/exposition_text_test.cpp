// SPDX-License-Identifier: Apache-2.0
#include "metrics/exposition_text.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "core/labels.h"

namespace tocayo::metrics {
namespace {

// Every entry as one line of text.
std::vector<std::string> read_all(std::string_view body, ExpositionTextOptions options, std::string* error = nullptr) {
  std::vector<std::string> out;
  ExpositionTextParser parser(body, options);
  for (;;) {
    auto event = parser.next();
    if (!event) {
      if (error) *error = event.error().message;
      out.push_back("error");
      EXPECT_EQ(event.error().kind, ErrorKind::bad_input);
      return out;
    }
    switch (*event) {
      case ExpositionEvent::end: return out;
      case ExpositionEvent::help:
        out.push_back(fmt::format("help {} {}", parser.family(), go_quote(parser.text())));
        break;
      case ExpositionEvent::type: out.push_back(fmt::format("type {} {}", parser.family(), parser.text())); break;
      case ExpositionEvent::unit: out.push_back(fmt::format("unit {} {}", parser.family(), parser.text())); break;
      case ExpositionEvent::comment: out.push_back(fmt::format("comment {}", parser.text())); break;
      case ExpositionEvent::histogram: out.push_back("histogram"); break;
      case ExpositionEvent::sample: {
        std::string line(parser.name());
        for (const ExpositionLabel& label : parser.labels())
          line += fmt::format(" {}={}", label.name, go_quote(label.value));
        line += fmt::format(" = {}", parser.value());
        if (parser.time()) line += fmt::format(" @{}", *parser.time());
        if (parser.start_time() != 0) line += fmt::format(" st{}", parser.start_time());
        if (const ExpositionExemplar* exemplar = parser.exemplar()) {
          line += " #";
          for (const ExpositionLabel& label : exemplar->labels)
            line += fmt::format(" {}={}", label.name, go_quote(label.value));
          line += fmt::format(" {}", exemplar->value);
          if (exemplar->time) line += fmt::format(" @{}", *exemplar->time);
        }
        out.push_back(line);
      }
    }
  }
}

std::vector<std::string> text(std::string_view body, std::string* error = nullptr) { return read_all(body, {}, error); }
std::vector<std::string> openmetrics(std::string_view body, std::string* error = nullptr) {
  return read_all(body, {.openmetrics = true}, error);
}
using Lines = std::vector<std::string>;

TEST(ExpositionText, MetadataSamplesAndComments) {
  EXPECT_EQ(text("# HELP go_gc A \\\\ summary\\nof \"gc\".\n"
                 "# TYPE go_gc summary\n"
                 "go_gc{quantile=\"0\"} 4.9351e-05\n"
                 "go_gc{quantile=\"0.25\",} 7.424100000000001e-05\n"
                 "go_gc_sum +Inf\n"
                 "# a comment\n"
                 "\n"
                 "#HELP not metadata\n"
                 "   go_threads\t{ a = \"b\" , c=\"d\" }\t 8 \t123  \n"
                 "# TYPE x untyped\n"
                 "x -Inf"),
            (Lines{"help go_gc \"A \\\\ summary\\nof \\\"gc\\\".\"", "type go_gc summary",
                   "go_gc quantile=\"0.0\" = 4.9351e-05", "go_gc quantile=\"0.25\" = 7.424100000000001e-05",
                   "go_gc_sum = inf", "comment # a comment", "comment #HELP not metadata",
                   "go_threads a=\"b\" c=\"d\" = 8 @123", "type x unknown", "x = -inf"}));
}

TEST(ExpositionText, EscapesAndUtf8Names) {
  EXPECT_EQ(text(R"({"http.status",q="0.9",a="b"} 8.3835e-05
{"http.status",q="0.9",a="b"} 8.3835e-05 10
{a="b","foo.bar"} 1
foo{"dotted.name"="x\"y\\z\nw\q"} 2
{"quoted \"name\""} 3
)"),
            (Lines{"http.status q=\"0.9\" a=\"b\" = 8.3835e-05", "http.status q=\"0.9\" a=\"b\" = 8.3835e-05 @10",
                   "foo.bar a=\"b\" = 1", "foo dotted.name=\"x\\\"y\\\\z\\nw\\\\q\" = 2", "quoted \"name\" = 3"}));
  EXPECT_EQ(text("# HELP \"my.metric\" text here\n# TYPE \"my.metric\" gauge\n"),
            (Lines{"help my.metric \"text here\"", "type my.metric gauge"}));
}

TEST(ExpositionText, BoundsInOneNotation) {
  EXPECT_EQ(text("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1e6\"} 1\nh_bucket{le=\"+Inf\"} "
                 "2\nh_bucket{le=\"x\"} 3\n"
                 "# TYPE g gauge\ng{le=\"1\"} 1\n"),
            (Lines{"type h histogram", "h_bucket le=\"1.0\" = 1", "h_bucket le=\"1e+06\" = 1",
                   "h_bucket le=\"+Inf\" = 2", "h_bucket le=\"x\" = 3", "type g gauge", "g le=\"1\" = 1"}));
}

TEST(ExpositionText, Numbers) {
  for (const auto& [token, value] : std::vector<std::pair<std::string, double>>{{"1", 1},
                                                                                {"+1", 1},
                                                                                {"-0.5e3", -500},
                                                                                {".5", 0.5},
                                                                                {"5.", 5},
                                                                                {"inf", INFINITY},
                                                                                {"-INFINITY", -INFINITY},
                                                                                {"1e-400", 0},
                                                                                {"4.9e-324", 4.9e-324}}) {
    const std::string body = "a " + token;
    ExpositionTextParser one(body, {});
    auto event = one.next();
    ASSERT_TRUE(event) << token << ": " << event.error().message;
    EXPECT_EQ(one.value(), value) << token;
  }
  ExpositionTextParser nan("a NaN\n", {});
  ASSERT_TRUE(nan.next());
  EXPECT_EQ(std::bit_cast<std::uint64_t>(nan.value()) & 0x7fffffffffffffffULL, 0x7ff8000000000000ULL);
  for (const char* token : {"x", "1_000", "0x1p3", "0x10", "1e400", "--1", "+-1", "1,5", "+nan", "", "1e"}) {
    EXPECT_EQ(text(std::string("a ") + token + "\n"), Lines{"error"}) << token;
  }
}

TEST(ExpositionText, ErrorsNameTheirPlace) {
  struct Case {
    std::string body, message;
  };
  for (const Case& bad : std::vector<Case>{
           {"a 1\nb{x=1} 2\n", "line 2, column 5: expected label value while parsing: \"b{x=1} 2\""},
           {"a", "line 1, column 2: expected value after metric while parsing: \"a\""},
           {"a{b=\"c\" 1\n", "line 1, column 9: expected label name while parsing: \"a{b=\\\"c\\\" 1\""},
           {"a 1 2 3\n", "line 1, column 7: expected next entry after timestamp while parsing: \"a 1 2 3\""},
           {"a 1 -5\n", "line 1, column 5: expected timestamp or new record while parsing: \"a 1 -5\""},
           {"a 1 99999999999999999999\n",
            "line 1, column 5: timestamp is out of range while parsing: \"a 1 99999999999999999999\""},
           {"\n\n# TYPE a  counter\n",
            "line 3, column 10: invalid metric type \" counter\" while parsing: \"# TYPE a  counter\""},
           {"# TYPE a info\n", "line 1, column 10: invalid metric type \"info\" while parsing: \"# TYPE a info\""},
           {"# HELP 9 x\n", "line 1, column 8: expected metric name after HELP while parsing: \"# HELP 9 x\""},
           {"{} 1\n", "line 1, column 1: metric name not set while parsing: \"{} 1\""},
           {"a{\"b\"} 1\n", "line 1, column 3: metric name already set while parsing: \"a{\\\"b\\\"} 1\""},
           {"a{b=\"\xff\"} 1\n",
            "line 1, column 6: invalid UTF-8 in quoted string while parsing: \"a{b=\\\"\\xff\\\"} 1\""},
           {"a{b=\"c", "line 1, column 5: unterminated quoted string while parsing: \"a{b=\\\"c\""},
           {"9 1\n", "line 1, column 1: expected a metric name, { or a comment while parsing: \"9 1\""},
           {"# HELP a \xff\n",
            "line 1, column 10: help text is not a valid UTF-8 string while parsing: \"# HELP a \\xff\""},
       }) {
    std::string error;
    text(bad.body, &error);
    EXPECT_EQ(error, bad.message);
  }
}

TEST(ExpositionText, AfterAnErrorThereIsOnlyTheEnd) {
  ExpositionTextParser parser("a x\nb 1\n", {});
  EXPECT_FALSE(parser.next());
  EXPECT_EQ(*parser.next(), ExpositionEvent::end);
}

TEST(ExpositionText, SeriesBytesAreAsWritten) {
  ExpositionTextParser parser("a{b=\"1\", c=\"2\"} 3 4\n", {});
  ASSERT_TRUE(parser.next());
  EXPECT_EQ(parser.series(), "a{b=\"1\", c=\"2\"}");
}

TEST(ExpositionText, LongEscapedValuesKeepEarlierViews) {
  const std::string big(100'000, 'x');
  const std::string body = "a{b=\"\\\\1\",c=\"\\n" + big + "\",d=\"\\\"2\"} 1\n";
  ExpositionTextParser parser(body, {});
  ASSERT_TRUE(parser.next());
  ASSERT_EQ(parser.labels().size(), 3u);
  EXPECT_EQ(parser.labels()[0].value, "\\1");
  EXPECT_EQ(parser.labels()[1].value, "\n" + big);
  EXPECT_EQ(parser.labels()[2].value, "\"2");
}

TEST(OpenMetrics, WholeDocument) {
  EXPECT_EQ(
      openmetrics("# HELP foo_seconds A \\\"quoted\\\" help.\n"
                  "# TYPE foo_seconds counter\n"
                  "# UNIT foo_seconds seconds\n"
                  "foo_seconds_total{a=\"b\"} 17.0 1520879607.789 # {id=\"counter-test\"} 5 1520879608.1\n"
                  "foo_seconds_created{a=\"b\"} 1520430000.123\n"
                  "# TYPE h histogram\n"
                  "h_bucket{le=\"1\"} 4 # {trace_id=\"x y\"} 0.67\n"
                  "h_bucket{le=\"+Inf\"} 5\n"
                  "# TYPE s stateset\n"
                  "s{s=\"a\"} 1\n"
                  "# EOF\n"),
      (Lines{"help foo_seconds \"A \\\"quoted\\\" help.\"", "type foo_seconds counter", "unit foo_seconds seconds",
             "foo_seconds_total a=\"b\" = 17 @1520879607789 # id=\"counter-test\" 5 @1520879608100",
             "foo_seconds_created a=\"b\" = 1520430000.123", "type h histogram",
             "h_bucket le=\"1.0\" = 4 # trace_id=\"x y\" 0.67", "h_bucket le=\"+Inf\" = 5", "type s stateset",
             "s s=\"a\" = 1"}));
}

TEST(OpenMetrics, CreatedBecomesStartTime) {
  const std::string body =
      "# TYPE c counter\n"
      "c_total{a=\"1\"} 1 # {t=\"x\"} 1\n"
      "c_created{a=\"1\"} 100.5\n"
      "c_total{a=\"2\"} 2\n"
      "c_created{a=\"2\"} 200\n"
      "c_total{a=\"3\"} 3\n"
      "# TYPE h histogram\n"
      "h_bucket{a=\"1\",le=\"1.0\"} 1\n"
      "h_bucket{le=\"+Inf\",a=\"1\"} 2\n"
      "h_count{a=\"1\"} 2\n"
      "h_sum{a=\"1\"} 9\n"
      "h_created{a=\"1\"} 300\n"
      "# TYPE g gauge\n"
      "g_created 5\n"
      "# TYPE n counter\n"
      "n_total 1\n"
      "n_total{x=\"y\"} 1\n"
      "# EOF\n";
  EXPECT_EQ(
      read_all(body, {.openmetrics = true, .created_as_start_time = true}),
      (Lines{"type c counter", "c_total a=\"1\" = 1 st100500 # t=\"x\" 1", "c_total a=\"2\" = 2 st200000",
             "c_total a=\"3\" = 3", "type h histogram", "h_bucket a=\"1\" le=\"1.0\" = 1 st300000",
             "h_bucket le=\"+Inf\" a=\"1\" = 2 st300000", "h_count a=\"1\" = 2 st300000", "h_sum a=\"1\" = 9 st300000",
             "type g gauge", "g_created = 5", "type n counter", "n_total = 1", "n_total x=\"y\" = 1"}));
}

TEST(OpenMetrics, Strictness) {
  struct Case {
    std::string body, message;
  };
  for (const Case& bad : std::vector<Case>{
           {"", "line 1, column 1: data does not end with # EOF while parsing: \"\""},
           {"a 1\n", "line 2, column 1: data does not end with # EOF while parsing: \"\""},
           {"a 1", "line 1, column 4: data does not end with # EOF while parsing: \"a 1\""},
           {"a 1\n# EOF\nb 1\n", "line 2, column 6: unexpected data after # EOF while parsing: \"# EOF\""},
           {"\n# EOF\n", "line 1, column 1: expected a metric name, { or a comment while parsing: \"\""},
           {"# comment\n# EOF\n",
            "line 1, column 1: expected # HELP, # TYPE, # UNIT, # EOF or a sample while parsing: \"# comment\""},
           {"a  1\n# EOF\n", "line 1, column 3: expected value after metric while parsing: \"a  1\""},
           {"a 1 \n# EOF\n", "line 1, column 5: expected timestamp, exemplar or new record while parsing: \"a 1 \""},
           {"a{b=\"c\" ,d=\"e\"} 1\n# EOF\n",
            "line 1, column 8: expected comma or brace close while parsing: \"a{b=\\\"c\\\" ,d=\\\"e\\\"} 1\""},
           {"a{b=\"c\"d=\"e\"} 1\n# EOF\n",
            "line 1, column 8: expected comma or brace close while parsing: \"a{b=\\\"c\\\"d=\\\"e\\\"} 1\""},
           {"a 1 NaN\n# EOF\n", "line 1, column 5: invalid timestamp while parsing: \"a 1 NaN\""},
           {"a 1 1e300\n# EOF\n", "line 1, column 5: timestamp is out of range while parsing: \"a 1 1e300\""},
           {"# TYPE a untyped\n# EOF\n",
            "line 1, column 10: invalid metric type \"untyped\" while parsing: \"# TYPE a untyped\""},
           {"# UNIT a_b c\n# EOF\n",
            "line 1, column 12: unit \"c\" not a suffix of metric \"a_b\" while parsing: \"# UNIT a_b c\""},
           {"a 1 # {b=\"c\"}\n# EOF\n",
            "line 1, column 14: expected value after exemplar labels while parsing: \"a 1 # {b=\\\"c\\\"}\""},
           {"a 1 # {\"b\"} 1\n# EOF\n", "line 1, column 11: expected equal while parsing: \"a 1 # {\\\"b\\\"} 1\""},
           {"a{b=\"c\nd\"} 1\n# EOF\n", "line 1, column 5: unterminated quoted string while parsing: \"a{b=\\\"c\""},
       }) {
    std::string error;
    openmetrics(bad.body, &error);
    EXPECT_EQ(error, bad.message);
  }
}

TEST(OpenMetrics, EndOfFileWithoutNewline) { EXPECT_EQ(openmetrics("a 1\n# EOF"), Lines{"a = 1"}); }

TEST(Exposition, ContentTypes) {
  EXPECT_EQ(exposition_format("text/plain; version=0.0.4"), ExpositionFormat::text);
  EXPECT_EQ(exposition_format("application/openmetrics-text; version=1.0.0; charset=utf-8"),
            ExpositionFormat::openmetrics);
  EXPECT_EQ(
      exposition_format("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"),
      ExpositionFormat::protobuf);
  EXPECT_EQ(exposition_format("text/html"), std::nullopt);
  EXPECT_EQ(exposition_format(""), std::nullopt);
}

TEST(Exposition, NumbersInLabels) {
  EXPECT_EQ(openmetrics_number(1), "1.0");
  EXPECT_EQ(openmetrics_number(0), "0.0");
  EXPECT_EQ(openmetrics_number(-1), "-1.0");
  EXPECT_EQ(openmetrics_number(0.25), "0.25");
  EXPECT_EQ(openmetrics_number(1e6), "1e+06");
  EXPECT_EQ(openmetrics_number(INFINITY), "+Inf");
  EXPECT_EQ(openmetrics_number(NAN), "NaN");
}

}  // namespace
}  // namespace tocayo::metrics
