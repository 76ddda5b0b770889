// SPDX-License-Identifier: Apache-2.0
#include "logs/api/push_decode.h"

#include <gtest/gtest.h>

#include <protozero/pbf_writer.hpp>

#include "logs/api/level_detect.h"
#include "logs/api/otlp.h"

namespace tocayo::logs::api {
namespace {

std::string proto(std::string_view labels, std::int64_t seconds, int nanos, std::string_view line,
                  const std::vector<std::pair<std::string, std::string>>& metadata = {}) {
  std::string body;
  protozero::pbf_writer request(body);
  protozero::pbf_writer stream(request, 1);
  {
    protozero::pbf_writer entry(stream, 2);
    {
      protozero::pbf_writer time(entry, 1);
      time.add_int64(1, seconds);
      time.add_int32(2, nanos);
    }
    entry.add_string(2, line.data(), line.size());
    for (const auto& [name, value] : metadata) {
      protozero::pbf_writer pair(entry, 3);
      pair.add_string(1, name);
      pair.add_string(2, value);
    }
  }
  stream.add_string(1, labels.data(), labels.size());  // behind the entries: allowed
  return body;
}

TEST(PushDecode, Protobuf) {
  const auto body =
      proto(R"({b="2", a="1"})", 17, 5, std::string("line\0\xff", 6), {{"z", "1"}, {"a", "2"}, {"e", ""}});
  PushRows rows;
  ASSERT_TRUE(decode_push_proto(body, rows));
  ASSERT_EQ(rows.streams().size(), 1U);
  EXPECT_EQ(rows.streams()[0].text, R"({b="2", a="1"})");
  rows.finish(false, {});
  const auto entries = rows.entries(rows.streams()[0]);
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].time, 17'000'000'005);
  EXPECT_EQ(entries[0].line, std::string("line\0\xff", 6));
  ASSERT_EQ(entries[0].metadata.size(), 2U);
  EXPECT_EQ(entries[0].metadata[0].name, "a");
  EXPECT_EQ(entries[0].metadata[1].value, "1");
}

TEST(PushDecode, CutProtobufIsRefused) {
  const auto body = proto(R"({a="1"})", 17, 5, "some line");
  for (std::size_t size = 1; size < body.size(); ++size) {
    PushRows rows;
    (void)decode_push_proto(std::string_view(body).substr(0, size), rows);  // must not crash
  }
  PushRows rows;
  EXPECT_FALSE(decode_push_proto(std::string_view(body).substr(0, body.size() - 1), rows));
}

TEST(PushDecode, StreamLabels) {
  EXPECT_EQ(*parse_stream_labels(R"({b="2", a="1", c=""})"), (Labels{{"a", "1"}, {"b", "2"}}));
  for (const char* bad : {"", "a=1", "{a=1}", R"({a="1", a="2"})", R"({a=~"1"})", R"({a="1")"}) {
    EXPECT_FALSE(parse_stream_labels(bad)) << bad;
  }
}

TEST(PushDecode, Json) {
  JsonPushDecoder decoder;
  PushRows rows;
  std::string body =
      R"({"streams":[{"values":[["1700000000000000001","a \"b\" é"],["2","x",{"trace":"t1"}]],"stream":{"app":"x","z":""}},
                         {"stream":{"app":"y"},"values":[]}], "other": 1})";
  auto decoded = decoder.decode(body, rows);
  ASSERT_TRUE(decoded) << decoded.error().message;
  ASSERT_EQ(rows.streams().size(), 2U);
  EXPECT_EQ(rows.streams()[0].labels, (Labels{{"app", "x"}}));
  rows.finish(true, {});
  const auto entries = rows.entries(rows.streams()[0]);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].time, 1700000000000000001);
  EXPECT_EQ(entries[0].line, "a \"b\" é");
  ASSERT_EQ(entries[0].metadata.size(), 1U);
  EXPECT_EQ(entries[0].metadata[0].value, "unknown");
  EXPECT_EQ(entries[1].metadata[1].value, "t1");
}

TEST(PushDecode, BadJsonTellsWhere) {
  struct Row {
    const char* body;
    const char* contains;
  };
  for (const auto& row :
       {Row{R"({"streams":[{"stream":{"a":"b"},"values":[[1,"x"]]}]})",
            "stream 1, value 1: the timestamp must be a string"},
        Row{R"({"streams":[{"stream":{"a":"b"},"values":[["1x","x"]]}]})", "no number of nanoseconds"},
        Row{R"({"streams":[{"stream":{"a":"b"},"values":[["1",2]]}]})", "the line must be a string"},
        Row{R"({"streams":[{"stream":{"a":"b"},"values":[["1"]]}]})", "needs a timestamp and a line"},
        Row{R"({"streams":[{"stream":{"a":"b"},"values":[["1","x",{"k":1}]]}]})", "structured metadata k"},
        Row{R"({"streams":[{"stream":{"a":1},"values":[]}]})", "label a is no string"},
        Row{R"({"streams":[{"values":[]}]})", "\"stream\" is missing"},
        Row{R"({"streams":[{"stream":{"a":"b"},"values":[["1","x"]]}])", "the body"}, Row{"[]", "the body"},
        Row{"", "the body"}}) {
    JsonPushDecoder decoder;
    PushRows rows;
    std::string body = row.body;
    auto decoded = decoder.decode(body, rows);
    ASSERT_FALSE(decoded) << row.body;
    EXPECT_NE(decoded.error().message.find(row.contains), std::string::npos) << decoded.error().message;
    EXPECT_EQ(decoded.error().kind, ErrorKind::bad_input);
  }
}

TEST(LevelDetect, Table) {
  struct Row {
    const char* line;
    const char* level;
  };
  for (const auto& row : {Row{"an ERROR happened", "error"}, Row{"[warn] x", "warn"}, Row{"WARNING: disk", "warn"},
                          Row{"misc:error", "unknown"}, Row{"terror", "unknown"}, Row{"info then error", "info"},
                          Row{"debug: message", "debug"}, Row{"level=WRN msg=\"error here\"", "warn"},
                          Row{"severity=high lvl=err", "error"}, Row{"msg=nothing", "unknown"},
                          Row{"msg=error", "error"}, Row{R"({"a":{"severity":"CRITICAL"},"msg":"x"})", "critical"},
                          Row{R"({"a":{"b":{"severity":"TRC"}},"msg":"x"})", "unknown"},
                          Row{R"({"level":"Information","level2":"error"})", "info"},
                          Row{R"({"level":30,"msg":"fatal"})", "fatal"}, Row{"", "unknown"}}) {
    EXPECT_EQ(detect_level({}, row.line), row.level) << row.line;
  }
  const std::vector<LabelView> severity = {{"severity_number", "17"}};
  EXPECT_EQ(detect_level(severity, "info"), "error");
  const std::vector<LabelView> level = {{"Level", "custom"}, {"severity_number", "17"}};
  EXPECT_EQ(detect_level(level, "info"), "custom");
  EXPECT_EQ(level_of_labels(Labels{{"level", "Warning"}}), "warn");
  EXPECT_EQ(service_name_of(Labels{{"job", "j"}, {"app", "a"}}, default_service_names()), "a");
  EXPECT_EQ(service_name_of(Labels{{"x", "j"}}, default_service_names()), "unknown_service");
}

constexpr std::string_view kOtlp = R"({"resourceLogs":[{"resource":{"attributes":[
  {"key":"service.name","value":{"stringValue":"shop"}},{"key":"host.name","value":{"stringValue":"h1"}},
  {"key":"k8s.pod.name","value":{"stringValue":"p"}}]},
  "scopeLogs":[{"scope":{"name":"lib","version":"2"},"logRecords":[
   {"timeUnixNano":"1700000000000000001","severityNumber":17,"severityText":"ERROR","body":{"stringValue":"boom"},
    "attributes":[{"key":"http.status","value":{"intValue":"500"}},{"key":"m","value":{"kvlistValue":{"values":[{"key":"x.y","value":{"boolValue":true}}]}}}],
    "traceId":"0AF7651916CD43DD8448EB211C80319C","spanId":"b7ad6b7169203331","flags":1},
   {"observedTimeUnixNano":"5","body":{"kvlistValue":{"values":[{"key":"a","value":{"doubleValue":1.5}}]}}}]}]}]})";

TEST(Otlp, JsonToRows) {
  PushRows rows;
  auto decoded = decode_otlp(kOtlp, true, OtlpRules{}, 9, rows);
  ASSERT_TRUE(decoded) << decoded.error().message;
  ASSERT_EQ(rows.streams().size(), 1U);
  EXPECT_EQ(rows.streams()[0].labels, (Labels{{"k8s_pod_name", "p"}, {"service_name", "shop"}}));
  rows.finish(true, {});
  const auto entries = rows.entries(rows.streams()[0]);
  ASSERT_EQ(entries.size(), 2U);
  std::string pairs;
  for (const auto& pair : entries[0].metadata) pairs += std::string(pair.name) + "=" + std::string(pair.value) + ";";
  EXPECT_EQ(
      pairs,
      "detected_level=error;flags=1;host_name=h1;http_status=500;m_x_y=true;scope_name=lib;scope_version=2;"
      "severity_number=17;severity_text=ERROR;span_id=b7ad6b7169203331;trace_id=0af7651916cd43dd8448eb211c80319c;");
  EXPECT_EQ(entries[0].line, "boom");
  EXPECT_EQ(entries[1].time, 5);
  EXPECT_EQ(entries[1].line, R"({"a":1.5E0})");
}

TEST(Otlp, RecordsWithoutLabelsGetAServiceNameIfAnyIsGiven) {
  constexpr std::string_view kBare =
      R"({"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]})";
  PushRows rows;
  ASSERT_TRUE(decode_otlp(kBare, true, OtlpRules{}, 9, rows, "unknown_service"));
  ASSERT_EQ(rows.streams().size(), 1U);
  EXPECT_EQ(rows.streams()[0].labels, (Labels{{"service_name", "unknown_service"}}));
  PushRows bare;
  ASSERT_TRUE(decode_otlp(kBare, true, OtlpRules{}, 9, bare));
  EXPECT_TRUE(bare.streams()[0].labels.empty());
}

TEST(Otlp, RulesAndDamage) {
  OtlpRules rules;
  rules.ignore_defaults = true;
  rules.resource.push_back({.action = OtlpAction::index_label, .attributes = {"host.name"}, .regex = {}});
  rules.log.push_back({.action = OtlpAction::drop, .attributes = {}, .regex = "http.*"});
  PushRows rows;
  ASSERT_TRUE(decode_otlp(kOtlp, true, rules, 9, rows));
  EXPECT_EQ(rows.streams()[0].labels, (Labels{{"host_name", "h1"}}));
  for (const char* bad : {"", "[]", "{", R"({"resourceLogs":3})",
                          R"({"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"x"}]}]}]})"}) {
    PushRows none;
    EXPECT_FALSE(decode_otlp(bad, true, rules, 9, none)) << bad;
  }
  PushRows none;
  EXPECT_FALSE(decode_otlp("\x0a\xff", false, rules, 9, none));
  EXPECT_EQ(label_name_of("1a.b-c"), "key_1a_b_c");
}

TEST(LogLimits, YamlAndOverrides) {
  auto parsed = parse_log_limits(
      "ingestion_rate_mb: 2\nretention_period: 3d\nretention_stream:\n- selector: '{a=\"b\"}'\n  period: 1d\n", "f",
      LogLimits{});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->store.ingestion_rate, 2 << 20);
  ASSERT_EQ(parsed->store.retention_stream.size(), 1U);
  for (const char* bad : {"retention_stream: [{selector: '{a=', period: 1d}]", "ingestion_rat_mb: 1",
                          "max_line_size: x", "otlp_config: {log_attributes: [{action: keep, attributes: [a]}]}"}) {
    auto refused = parse_log_limits(bad, "f", LogLimits{});
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().message.substr(0, 2), "f:") << refused.error().message;
  }
  LogLimitsService service{LogLimits{}};
  ASSERT_TRUE(service.reload(LogLimits{},
                             "overrides:\n  t1:\n    ingestion_rate: 5\n    logs:\n      max_query_series: 7\n", "o"));
  EXPECT_EQ(service.of("t1")->max_query_series, 7);
  EXPECT_EQ(service.of("t2")->max_query_series, 20'000);
  EXPECT_FALSE(service.reload(LogLimits{}, "overrides:\n  t1:\n    logs:\n      max_query_serie: 7\n", "o"));
  EXPECT_EQ(service.of("t1")->max_query_series, 7);
}

}  // namespace
}  // namespace tocayo::logs::api
