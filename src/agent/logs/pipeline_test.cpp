// SPDX-License-Identifier: Apache-2.0
// Every stage by tables: a pipeline, lines, what comes out.
#include "agent/logs/pipeline.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "agent/logs/container_lines.h"
#include "agent/logs/jmespath.h"
#include "agent/logs/json_text.h"
#include "agent/logs/stage_parsers.h"
#include "core/yaml.h"

namespace tocayo::agent {
namespace {

using namespace std::chrono_literals;
constexpr TimestampNs kNow = 1'700'000'000'000'000'000;

// Runs lines through a pipeline, with a clock that stands still until told.
class Bench {
 public:
  explicit Bench(std::string_view stages) {
    auto node = yaml::parse(stages, "t.yml");
    EXPECT_TRUE(node) << node.error().message;
    auto plan = PipelinePlan::parse(*node, "t.yml");
    EXPECT_TRUE(plan) << plan.error().message;
    if (!plan) return;
    PipelineClocks clocks;
    clocks.wall = [this] { return wall; };
    clocks.steady = [this] { return steady; };
    clocks.seed = 42;
    pipeline = std::make_unique<Pipeline>(
        *plan, "job", registry, [this](LogLine line) { out.push_back(std::move(line)); }, std::move(clocks));
  }
  Bench& line(std::string text, Labels labels = {{"job", "test"}}) {
    LogLine line;
    line.labels = std::make_shared<const Labels>(std::move(labels));
    line.time = kNow;
    line.origin = {1, at, at + text.size() + 1};
    at += text.size() + 1;
    line.text = std::move(text);
    pipeline->take(std::move(line));
    return *this;
  }
  // Everything that came out: `text {labels} [metadata] @time` where time is told when it is not kNow.
  std::vector<std::string> shown() const {
    std::vector<std::string> all;
    for (const auto& line : out) {
      std::string text = line.text + " " + line.labels->to_string();
      if (!line.metadata.empty()) {
        auto metadata = line.metadata;
        std::ranges::sort(metadata);
        text += " [";
        for (const auto& [name, value] : metadata)
          text += fmt::format("{}{}={}", text.ends_with('[') ? "" : ",", name, value);
        text += "]";
      }
      if (line.time != kNow) text += fmt::format(" @{}", line.time);
      all.push_back(std::move(text));
    }
    return all;
  }
  std::map<std::uint32_t, std::uint64_t> held() const {
    std::map<std::uint32_t, std::uint64_t> first;
    pipeline->held(first);
    return first;
  }
  double dropped(const char* reason) {
    return registry.counter("logentry_dropped_lines_total", "", {{"reason", reason}}).value();
  }

  Registry registry;
  TimestampNs wall = kNow;
  std::chrono::steady_clock::time_point steady{};
  std::uint64_t at = 0;
  std::vector<LogLine> out;
  std::unique_ptr<Pipeline> pipeline;
};

using Lines = std::vector<std::string>;

// One line in, what comes out.
Lines run(std::string_view stages, std::string line, Labels labels = {{"job", "test"}}) {
  Bench bench(stages);
  if (bench.pipeline == nullptr) return {"no pipeline"};
  bench.line(std::move(line), std::move(labels));
  bench.pipeline->flush();
  return bench.shown();
}
std::string error_of(std::string_view stages) {
  auto node = yaml::parse(stages, "t.yml");
  if (!node) return node.error().message;
  auto plan = PipelinePlan::parse(*node, "t.yml");
  return plan ? "" : plan.error().message;
}

TEST(PipelineTest, WithoutStagesALineGoesThrough) { EXPECT_EQ(run("[]", "x"), Lines{R"(x {job="test"})"}); }

TEST(PipelineTest, Json) {
  const char* stages = R"(
- json: {expressions: {level: lvl, msg: , n: a.n, flag: ok, deep: a, none: nothing, third: "list[2]", big: big}}
- labels: {level: , n: , flag: , third: , big: }
- output: {source: msg}
)";
  EXPECT_EQ(run(stages, R"({"lvl":"warn","msg":"hi","a":{"n":1.5,"z":"<"},"ok":true,"list":[1,2,"c"],"big":15000000})"),
            Lines{R"(hi {big="15000000", flag="true", job="test", level="warn", n="1.5", third="c"})"});
  EXPECT_EQ(run(stages, "no json"), Lines{R"(no json {job="test"})"});
  // A value that is no text is JSON again, keys sorted; of equal keys the last one counts.
  const char* simple = "- json: {expressions: {deep: a}}\n- output: {source: deep}\n";
  EXPECT_EQ(run(simple, R"({"a":1,"a":{"z":"<","b":[1,null,2.50]}})"),
            Lines{R"({"b":[1,null,2.5],"z":"\u003c"} {job="test"})"});
  EXPECT_EQ(run(simple, R"({"a":18446744073709551616000})"), Lines{R"(18446744073709552000000 {job="test"})"});
  EXPECT_EQ(run(simple, "{\"a\":\"x\xff\"}"), Lines{"x\xEF\xBF\xBD {job=\"test\"}"});
  EXPECT_EQ(run(simple, R"({"a":1} trailing)"), Lines{R"({"a":1} trailing {job="test"})"});
  const char* source =
      "- json: {expressions: {inner: }}\n- json: {source: inner, expressions: {x: }}\n- labels: {x: }\n";
  EXPECT_EQ(run(source, R"({"inner":"{\"x\":\"1\"}"})"), Lines{R"({"inner":"{\"x\":\"1\"}"} {job="test", x="1"})"});
  const char* strict = "- json: {expressions: {a: }, drop_malformed: true}\n";
  EXPECT_EQ(run(strict, "[1]"), Lines{});
  EXPECT_EQ(run(strict, "null"), Lines{R"(null {job="test"})"});
}

TEST(PipelineTest, JmesPath) {
  const auto data = parse_json(
      R"({"a":{"b":[{"n":1,"s":"x"},{"n":3,"s":"y"},{"n":2}],"c":"text"},"l":[[1,2],[3]],"s":"x y","m":{"k":1,"j":2}})");
  ASSERT_TRUE(data);
  const std::pair<const char*, const char*> cases[] = {
      {"a.c", R"("text")"},
      {"a.b[0].n", "1"},
      {"a.b[-1].n", "2"},
      {"a.b[*].n", "[1,3,2]"},
      {"a.b[*].s | [0]", R"("x")"},
      {"a.b[?n > `1`].n", "[3,2]"},
      {"a.b[?s == 'y'] | [0].n", "3"},
      {"a.b[?s && n == `1`].s", R"(["x"])"},
      {"a.b[1:].n", "[3,2]"},
      {"a.b[::-1].n", "[2,3,1]"},
      {"l[]", "[1,2,3]"},
      {"l[*][0]", "[1,3]"},
      {"m.*", "[1,2]"},
      {"nothing || a.c", R"("text")"},
      {"!nothing", "true"},
      {"[a.c, s]", R"(["text","x y"])"},
      {"a.{x: c, y: b[0].n}", R"({"x":"text","y":1})"},
      {"length(a.b)", "3"},
      {"sort_by(a.b, &n)[*].n", "[1,2,3]"},
      {"max_by(a.b, &n).n", "3"},
      {"join('-', a.b[*].s)", R"("x-y")"},
      {"sum(a.b[*].n)", "6"},
      {"to_string(m)", R"("{\"k\":1,\"j\":2}")"},
      {"contains(s, 'y')", "true"},
      {"keys(m)", R"(["k","j"])"},
      {"map(&n, a.b)", "[1,3,2]"},
      {"\"a\".\"c\"", R"("text")"},
      {"@.s", R"("x y")"},
      {"not_null(none, s)", R"("x y")"},
      {"type(l)", R"("array")"},
      {"missing.deep", "null"},
  };
  for (const auto& [text, wanted] : cases) {
    auto path = JmesPath::compile(text);
    ASSERT_TRUE(path) << text << ": " << path.error().message;
    auto found = path->search(*data);
    ASSERT_TRUE(found) << text << ": " << found.error().message;
    EXPECT_EQ(json_text(*found), json_text(*parse_json(wanted))) << text;
  }
  for (const char* bad :
       {"", "a.", "a[", "a[1", "a[?x", "'x", "foo(a)", "length()", "a b", "a[::0]", "[a", "{a}", "a..b", "%"}) {
    EXPECT_FALSE(JmesPath::compile(bad)) << bad;
  }
  EXPECT_FALSE(JmesPath::compile(std::string(1000, '(') + "a" + std::string(1000, ')')));
}

TEST(PipelineTest, Logfmt) {
  EXPECT_EQ(run("- logfmt: {mapping: {level: lvl, msg: , \"user name\": user}}\n- labels: {level: }\n- output: "
                "{source: msg}\n",
                R"(lvl=info msg="a \"b\"" user=x)"),
            Lines{R"(a "b" {job="test", level="info"})"});
}

TEST(PipelineTest, Regex) {
  const char* stages =
      "- regex: {expression: '^(?P<ip>\\S+) (?P<what>\\S+)( (?P<rest>.*))?$'}\n- labels: {ip: , what: , rest: }\n";
  EXPECT_EQ(run(stages, "1.2.3.4 GET"), Lines{R"(1.2.3.4 GET {ip="1.2.3.4", job="test", what="GET"})"});
  EXPECT_EQ(run(stages, "one"), Lines{R"(one {job="test"})"});
  EXPECT_EQ(run("- regex: {expression: 'at=(?P<at>\\d+)', source: path, labels_from_groups: true}\n", "x",
                {{"path", "/at=7/"}}),
            Lines{R"(x {at="7", path="/at=7/"})"});
}

TEST(PipelineTest, EventLogMessage) {
  EXPECT_EQ(
      run("- json: {expressions: {message: }}\n- eventlogmessage: {}\n- labels: {Key: , Bad_Name: , job_extracted: }\n",
          R"({"message":"Key:  v\r\nBad Name: w\r\nnone\r\njob: j"})"),
      Lines{"{\"message\":\"Key:  v\\r\\nBad Name: w\\r\\nnone\\r\\njob: j\"} "
            "{Bad_Name=\"w\", Key=\"v\", job=\"test\", job_extracted=\"j\"}"});
}

TEST(PipelineTest, Replace) {
  EXPECT_EQ(run("- replace: {expression: 'password=(\\S+)', replace: '****'}\n", "user=a password=b x password=c"),
            Lines{R"(user=a password=**** x password=**** {job="test"})"});
  EXPECT_EQ(run("- replace: {expression: '(\\d{2}\\.\\d{2}\\.\\d{2}\\.\\d{2}) - (\\S+)', replace: '{{ .Value | ToUpper "
                "}}!'}\n",
                "11.11.11.11 - frank 12.12.12.12 - ann"),
            Lines{R"(11.11.11.11! - FRANK! 12.12.12.12! - ANN! {job="test"})"});
  const auto hashed = run(
      "- replace: {expression: '(?P<ip>\\d+\\.\\d+)', replace: '{{ .Value | Sha2Hash \"salt\" }}'}\n- labels: {ip: }\n",
      "a 1.2 b");
  ASSERT_EQ(hashed.size(), 1U);
  const auto digest = hashed[0].substr(2, 64);
  EXPECT_EQ(digest.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(hashed[0], fmt::format(R"(a {0} b {{ip="{0}", job="test"}})", digest));
  EXPECT_EQ(run("- regex: {expression: '(?P<u>\\w+)'}\n- replace: {expression: '(.*)', source: u, replace: "
                "'x{{.Value}}'}\n- output: {source: u}\n",
                "ab c"),
            Lines{R"(xab {job="test"})"});
}

TEST(PipelineTest, Template) {
  const char* stages = R"(
- json: {expressions: {level: , app: }}
- template: {source: level, template: '{{ if eq .Value "WARN" }}{{ Replace .Value "WARN" "OK" -1 }}{{ else }}{{ .Value | ToLower }}{{ end }}'}
- template: {source: made, template: '{{ .app }}/{{ .job }}/{{ .Entry | len }}'}
- template: {source: app, template: ''}
- labels: {level: , made: , app: }
)";
  EXPECT_EQ(run(stages, R"({"level":"WARN","app":"a"})"),
            Lines{R"({"level":"WARN","app":"a"} {job="test", level="OK", made="a/test/26"})"});
}

TEST(PipelineTest, TemplateHashes) {
  const auto of = [](const char* call) {
    auto lines =
        run(fmt::format("- template: {{source: x, template: '{{{{ {} }}}}'}}\n- output: {{source: x}}\n", call), "abc");
    return lines.front().substr(0, 64);
  };
  // Of "abc": FIPS 180-4 and FIPS 202.
  EXPECT_EQ(of("Sha2Hash \"\" .Entry"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(of("Hash \"\" .Entry"), "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
}

TEST(PipelineTest, Timestamp) {
  const auto time_of = [](const std::string& format, const std::string& text,
                          const std::string& more = "") -> TimestampNs {
    Bench bench(fmt::format("- regex: {{expression: '(?P<t>.*)'}}\n- timestamp: {{source: t, format: '{}'{}}}\n",
                            format, more));
    bench.line(text);
    return bench.out.empty() ? -1 : bench.out[0].time;
  };
  EXPECT_EQ(time_of("RFC3339Nano", "2026-11-24T10:00:00.000000001Z"), 1795514400000000001);
  EXPECT_EQ(time_of("RFC3339", "2026-11-24T11:00:00+01:00"), 1795514400000000000);
  EXPECT_EQ(time_of("Unix", "1562708916"), 1562708916000000000);
  EXPECT_EQ(time_of("Unix", "1562708916.414123"), 1562708916414123000);
  EXPECT_EQ(time_of("UnixMs", "1562708916414"), 1562708916414000000);
  EXPECT_EQ(time_of("UnixUs", "1562708916414123"), 1562708916414123000);
  EXPECT_EQ(time_of("UnixNs", "1562708916000000123"), 1562708916000000123);
  EXPECT_EQ(time_of("02/Jan/2006:15:04:05 -0700", "24/Nov/2026:10:00:00 +0000"), 1795514400000000000);
  EXPECT_EQ(time_of("2006-01-02 15:04:05", "2026-11-24 11:00:00", ", location: Europe/Berlin"), 1795514400000000000);
  // Without a year it is the one that is nearest to now (14 November 2023).
  EXPECT_EQ(time_of("Jan _2 15:04:05", "Nov 14 10:00:00"), 1699956000000000000);
  EXPECT_EQ(time_of("RFC3339", "nonsense", ", fallback_formats: [Unix, UnixMs]"), kNow);
  EXPECT_EQ(time_of("RFC3339", "5", ", fallback_formats: [Unix]"), 5000000000);
  EXPECT_EQ(time_of("UnixMs", "99999999999999999"), kNow);  // over what nanoseconds can say
}

TEST(PipelineTest, TimestampWithoutTimeFollowsTheOneBefore) {
  const char* stages = "- regex: {expression: '^(?P<t>\\d+) '}\n- timestamp: {source: t, format: Unix}\n";
  Bench bench(stages);
  bench.line("none").line("5 a").line("b").line("c").line("d", {{"job", "other"}});
  EXPECT_EQ(bench.shown(),
            (Lines{R"(none {job="test"})", R"(5 a {job="test"} @5000000000)", R"(b {job="test"} @5000000001)",
                   R"(c {job="test"} @5000000002)", R"(d {job="other"})"}));
  Bench skip(
      "- regex: {expression: '^(?P<t>\\d+) '}\n- timestamp: {source: t, format: Unix, action_on_failure: skip}\n");
  skip.line("5 a").line("b");
  EXPECT_EQ(skip.shown(), (Lines{R"(5 a {job="test"} @5000000000)", R"(b {job="test"})"}));
}

TEST(PipelineTest, LabelsAndMetadata) {
  EXPECT_EQ(run("- labeldrop: [filename, none]\n", "x", {{"filename", "/f"}, {"job", "j"}}), Lines{R"(x {job="j"})"});
  EXPECT_EQ(run("- labelallow: [job]\n", "x", {{"filename", "/f"}, {"job", "j"}}), Lines{R"(x {job="j"})"});
  EXPECT_EQ(run("- static_labels: {a: 1, b: , c: x}\n", "x"), Lines{R"(x {a="1", c="x", job="test"})"});
  EXPECT_EQ(run("- regex: {expression: 'id=(?P<id>\\w+)'}\n- structured_metadata: {trace: id, pod: , job: }\n", "id=7",
                {{"job", "j"}, {"pod", "p"}, {"app", "a"}}),
            Lines{R"(id=7 {app="a"} [job=j,pod=p,trace=7])"});
  EXPECT_EQ(run("- tenant: {value: t}\n", "x"), Lines{R"(x {__tenant_id__="t", job="test"})"});
  EXPECT_EQ(run("- tenant: {label: job}\n", "x"), Lines{R"(x {__tenant_id__="test", job="test"})"});
  EXPECT_EQ(run("- regex: {expression: '(?P<c>.*)'}\n- tenant: {source: c}\n", "x"),
            Lines{R"(x {__tenant_id__="x", job="test"})"});
  // The labels that a line comes with are found values.
  EXPECT_EQ(run("- labels: {copy: job}\n", "x"), Lines{R"(x {copy="test", job="test"})"});
}

TEST(PipelineTest, PackAndDecolorize) {
  EXPECT_EQ(
      run("- pack: {labels: [pod, none], ingest_timestamp: false}\n", "a \"b\" <c>", {{"job", "j"}, {"pod", "p"}}),
      Lines{R"({"pod":"p","_entry":"a \"b\" \u003cc\u003e"} {job="j"})"});
  EXPECT_EQ(run("- decolorize:\n", "\x1b[31mred\x1b[0m \x1b[1;4mx\x1b[m"), Lines{R"(red x {job="test"})"});
}

TEST(PipelineTest, Match) {
  const char* stages = R"(
- json: {expressions: {app: , msg: }}
- labels: {app: }
- match:
    selector: '{app="loki"}'
    stages:
    - json: {expressions: {msg: message}}
- match:
    selector: '{app="pokey"}'
    action: drop
    drop_counter_reason: not_wanted
- match:
    selector: '{job="test"} |= "secret" != "public"'
    stages: [{static_labels: {secret: yes}}]
- output: {source: msg}
)";
  Bench bench(stages);
  bench.line(R"({"app":"loki","message":"m"})")
      .line(R"({"app":"pokey","msg":"x"})")
      .line(R"({"msg":"secret"})")
      .line(R"({"msg":"secret public"})");
  EXPECT_EQ(bench.shown(), (Lines{R"(m {app="loki", job="test"})", R"(secret {job="test", secret="yes"})",
                                  R"(secret public {job="test"})"}));
  EXPECT_EQ(bench.dropped("not_wanted"), 1);
}

TEST(PipelineTest, Drop) {
  EXPECT_EQ(run("- drop: {expression: '.*debug.*'}\n", "a debug line"), Lines{});
  EXPECT_EQ(run("- drop: {expression: '.*debug.*'}\n", "a line").size(), 1U);
  EXPECT_EQ(run("- drop: {longer_than: 8kb}\n", std::string(8193, 'x')), Lines{});
  EXPECT_EQ(run("- drop: {longer_than: 8kb}\n", std::string(8192, 'x')).size(), 1U);
  const char* both =
      "- json: {expressions: {level: , time: }}\n- timestamp: {source: time, format: Unix}\n- drop: {older_than: 24h, "
      "source: level, value: debug}\n";
  EXPECT_EQ(run(both, R"({"level":"debug","time":1600000000})"), Lines{});
  EXPECT_EQ(run(both, R"({"level":"info","time":1600000000})").size(), 1U);
  EXPECT_EQ(run(both, R"({"level":"debug","time":1700000000})").size(), 1U);
  const char* two =
      "- json: {expressions: {a: , b: }}\n- drop: {source: [a, b], separator: '#', expression: '^1#2$', "
      "drop_counter_reason: both}\n";
  Bench bench(two);
  bench.line(R"({"a":"1","b":"2"})").line(R"({"a":"1","b":"3"})");
  EXPECT_EQ(bench.out.size(), 1U);
  EXPECT_EQ(bench.dropped("both"), 1);
  EXPECT_EQ(run("- json: {expressions: {a: }}\n- drop: {source: a}\n", R"({"a":1})"), Lines{});
  EXPECT_EQ(run("- drop: {source: a}\n", R"({"a":1})").size(), 1U);
}

TEST(PipelineTest, Sampling) {
  Bench bench("- sampling: {rate: 0.25}\n");
  for (int i = 0; i < 4000; ++i) bench.line("x");
  EXPECT_NEAR(static_cast<double>(bench.out.size()), 1000, 120);
  EXPECT_EQ(bench.dropped("sampling_stage"), 4000 - static_cast<double>(bench.out.size()));
}

TEST(PipelineTest, Limit) {
  Bench drop("- limit: {rate: 10, burst: 5, drop: true}\n");
  for (int i = 0; i < 8; ++i) drop.line("x");
  EXPECT_EQ(drop.out.size(), 5U);
  EXPECT_EQ(drop.dropped("ratelimit_drop_stage"), 3);
  drop.steady += 200ms;
  for (int i = 0; i < 8; ++i) drop.line("x");
  EXPECT_EQ(drop.out.size(), 7U);
  // Without drop they wait, in order, and say from where.
  Bench wait("- limit: {rate: 10, burst: 2}\n");
  for (int i = 0; i < 4; ++i) wait.line(std::to_string(i));
  EXPECT_EQ(wait.out.size(), 2U);
  EXPECT_TRUE(wait.pipeline->full());
  EXPECT_EQ(wait.held(), (std::map<std::uint32_t, std::uint64_t>{{1, 4}}));
  wait.steady += 150ms;
  wait.pipeline->expire();
  EXPECT_EQ(wait.out.size(), 3U);
  wait.steady += 150ms;
  wait.pipeline->expire();
  EXPECT_FALSE(wait.pipeline->full());
  EXPECT_EQ(wait.out.back().text, "3");
  Bench by("- limit: {rate: 1, burst: 1, drop: true, by_label_name: pod}\n");
  by.line("x", {{"pod", "a"}}).line("x", {{"pod", "a"}}).line("x", {{"pod", "b"}}).line("x").line("x");
  EXPECT_EQ(by.out.size(), 4U);
}

TEST(PipelineTest, Multiline) {
  Bench bench("- multiline: {firstline: '^\\d', max_wait_time: 2s, max_lines: 3}\n- labels: {job: }\n");
  bench.line("before").line("1 a").line("  b").line("1 other", {{"job", "other"}}).line("2 c");
  EXPECT_EQ(bench.shown(), (Lines{R"(before {job="test"})", "1 a\n  b {job=\"test\"}"}));
  EXPECT_EQ(bench.out.back().origin.begin, 7U);
  EXPECT_EQ(bench.out.back().origin.end, 15U);
  EXPECT_EQ(bench.held(), (std::map<std::uint32_t, std::uint64_t>{{1, 15}}));
  bench.steady += 1s;
  bench.pipeline->expire();
  EXPECT_EQ(bench.out.size(), 2U);
  bench.steady += 1s;
  bench.pipeline->expire();
  EXPECT_EQ(bench.out.size(), 4U);
  EXPECT_TRUE(bench.held().empty());
  // What comes without a first line belongs to the stream all the same, and so does the part over max_lines.
  bench.out.clear();
  bench.line("x").line("3").line("y").line("z").line("rest");
  bench.pipeline->flush();
  EXPECT_EQ(bench.shown(), (Lines{"x {job=\"test\"}", "3\ny\nz {job=\"test\"}", "rest {job=\"test\"}"}));
}

TEST(PipelineTest, Metrics) {
  const char* stages = R"(
- json: {expressions: {status: , ms: , size: }}
- metrics:
    lines_total: {type: Counter, description: lines, config: {match_all: true, action: inc}}
    bytes_total: {type: Counter, config: {match_all: true, count_entry_bytes: true, action: add}}
    errors_total: {type: Counter, source: status, prefix: my_, config: {value: "500", action: inc}}
    duration_seconds: {type: Histogram, source: ms, config: {buckets: [0.1, 1]}}
    size: {type: Gauge, max_idle_duration: 10s, config: {action: set}}
)";
  Bench bench(stages);
  bench.line(R"({"status":"500","ms":"20ms","size":7})").line(R"({"status":"200","ms":"5s"})").line("x");
  const auto text = bench.registry.to_text();
  for (const char* wanted :
       {"promtail_custom_lines_total{job=\"test\"} 3", "my_errors_total{job=\"test\"} 1",
        "promtail_custom_duration_seconds_bucket{job=\"test\",le=\"0.1\"} 1",
        "promtail_custom_duration_seconds_count{job=\"test\"} 2",
        "promtail_custom_duration_seconds_sum{job=\"test\"} 5.02", "promtail_custom_size{job=\"test\"} 7"}) {
    EXPECT_NE(text.find(wanted), std::string::npos) << wanted << "\n" << text;
  }
  bench.steady += 11s;
  EXPECT_EQ(bench.registry.to_text().find("promtail_custom_size{"), std::string::npos);
  bench.pipeline.reset();
  EXPECT_EQ(bench.registry.to_text().find("promtail_custom_"), std::string::npos);
}

TEST(PipelineTest, Cri) {
  Bench bench("- cri: {}\n");
  bench.line("2026-11-24T10:00:00.000000001Z stdout P a")
      .line("2026-11-24T10:00:00.000000002Z stderr F other")
      .line("2026-11-24T10:00:00.000000003Z stdout P b ")
      .line("2026-11-24T10:00:00.000000004Z stdout F c")
      .line("2026-11-24T10:00:00.000000005Z stdout F ")
      .line("no cri");
  EXPECT_EQ(bench.shown(), (Lines{R"(other {job="test", stream="stderr"} @1795514400000000002)",
                                  R"(ab c {job="test", stream="stdout"} @1795514400000000004)",
                                  R"( {job="test", stream="stdout"} @1795514400000000005)", R"(no cri {job="test"})"}));
  EXPECT_EQ(bench.out[1].origin.begin, 0U);
  Bench cut("- cri: {max_partial_line_size: 4, max_partial_line_size_truncate: true}\n");
  cut.line("2026-11-24T10:00:00Z stdout P abcdef").line("2026-11-24T10:00:00Z stdout F gh");
  EXPECT_EQ(cut.out[0].text, "abcd");
  EXPECT_FALSE(parse_cri_line("2026-11-24T10:00:00Z stdin F x"));
  EXPECT_TRUE(parse_cri_line("2026-11-24T10:00:00Z stdout P:x x")->partial);
  EXPECT_EQ(parse_cri_line("t stdout F a\xff z")->text, "a\xff z");
}

TEST(PipelineTest, Docker) {
  Bench bench("- docker: {}\n");
  bench.line(R"({"log":"one\n","stream":"stdout","time":"2026-11-24T10:00:00.000000001Z"})")
      .line(R"({"log":"long ","stream":"stdout","time":"2026-11-24T10:00:00.000000002Z"})")
      .line(R"({"log":"err\r\n","stream":"stderr","time":"2026-11-24T10:00:00.000000003Z"})")
      .line(R"({"log":"line\n","stream":"stdout","time":"2026-11-24T10:00:00.000000004Z"})")
      .line("no docker");
  EXPECT_EQ(bench.shown(),
            (Lines{R"(one {job="test", stream="stdout"} @1795514400000000001)",
                   R"(err {job="test", stream="stderr"} @1795514400000000003)",
                   R"(long line {job="test", stream="stdout"} @1795514400000000004)", R"(no docker {job="test"})"}));
  Bench endless("- docker: {}\n");
  for (int i = 0; i < 3; ++i)
    endless.line(R"({"log":")" + std::string(600 << 10, 'x') + R"(","stream":"stdout","time":"2026-11-24T10:00:00Z"})");
  EXPECT_EQ(endless.out.size(), 1U);
  EXPECT_EQ(endless.out[0].text.size(), 1200U << 10);
}

TEST(PipelineTest, Rfc3339) {
  EXPECT_EQ(parse_rfc3339_nano("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(parse_rfc3339_nano("1970-01-01T00:00:00.5-01:30"), 5400'500'000'000);
  for (const char* bad :
       {"", "1970-01-01", "1970-01-01T00:00:00", "1970-13-01T00:00:00Z", "1970-02-30T00:00:00Z", "1970-01-01T24:00:00Z",
        "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00Zx", "0001-01-01T00:00:00Z"}) {
    EXPECT_FALSE(parse_rfc3339_nano(bad)) << bad;
  }
}

TEST(PipelineTest, MistakesAreLocated) {
  const std::pair<const char*, const char*> cases[] = {
      {"x: 1", "t.yml:1:1: a list of stages is expected"},
      {"- regexp: {expression: a}", "t.yml:1:3: unknown stage \"regexp\"; did you mean \"regex\"?"},
      {"- {json: {}, regex: {}}", "t.yml:1:3: a stage is a mapping with one key"},
      {"- geoip: {db: x}", "t.yml:1:3: the stage geoip is not supported"},
      {"- json: {expressions: {a: 'x['}}", "t.yml:1:27: json: expressions: the expression ends too early"},
      {"- json: {expresions: {a: b}}", "t.yml:1:10: unknown key \"expresions\"; did you mean \"expressions\"?"},
      {"- json:", "t.yml:1:3: json: expressions are missing"},
      {"- regex: {expression: '('}", "t.yml:1:23: expression: error parsing regexp: missing closing ): `(`"},
      {"- regex: {expression: a, source: ''}", "t.yml:1:34: source: must not be empty"},
      {"- labels: {\"a b\": x}", "t.yml:1:12: labels: \"a b\" is no label name"},
      {"- timestamp: {source: a}", "t.yml:1:3: timestamp: format is missing"},
      {"- timestamp: {source: a, format: Unix, location: Nowhere/X}",
       "t.yml:1:50: location: unknown time zone Nowhere/X"},
      {"- template: {source: a, template: '{{ .x'}",
       "t.yml:1:35: template: template: pipeline_template:1: unclosed action"},
      {"- match: {selector: '{a=\"b\"'}", "t.yml:1:3: match: at least one stage is needed"},
      {"- match: {selector: '{a=', stages: [{labels: {a: b}}]}", "t.yml:1:21: selector: parse error at line 1, col 4"},
      {"- match: {selector: '{a=\"b\"}', stages: [{lable: {}}]}", "t.yml:1:42: unknown stage \"lable\""},
      {"- drop: {}", "t.yml:1:3: drop: one of source"},
      {"- drop: {value: x}", "t.yml:1:17: value: needs source"},
      {"- drop: {older_than: 1day}", "t.yml:1:22: older_than: time: unknown unit"},
      {"- limit: {rate: 1}", "t.yml:1:10: burst: must be greater than 0"},
      {"- limit: {rate: 1, burst: 1, by_label_name: x}", "t.yml:1:45: by_label_name: needs drop: true"},
      {"- sampling: {rate: 2}", "t.yml:1:20: rate: must lie between 0 and 1"},
      {"- multiline: {max_lines: 3}", "t.yml:1:3: multiline: firstline is missing"},
      {"- tenant: {source: a, value: b}", "t.yml:1:3: tenant: exactly one of"},
      {"- metrics: {x: {type: counter, config: {action: set}}}", "t.yml:1:49: action: inc or add is expected"},
      {"- metrics: {x: {type: summary}}", "t.yml:1:23: type: counter, gauge or histogram is expected"},
      {"- output: {}", "t.yml:1:3: output: source is missing"},
      {"- static_labels: [a]", "t.yml:1:3: static_labels: a mapping is expected"},
  };
  for (const auto& [stages, wanted] : cases) {
    const auto error = error_of(stages);
    EXPECT_TRUE(error.starts_with(wanted)) << stages << "\n  " << error << "\n  " << wanted;
  }
}

}  // namespace
}  // namespace tocayo::agent
