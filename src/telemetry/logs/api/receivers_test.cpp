// SPDX-License-Identifier: Apache-2.0
// The bodies of Elasticsearch's _bulk and of systemd-journal-upload, and how they are damaged.
#include <gtest/gtest.h>

#include "logs/api/bulk_decode.h"
#include "logs/api/journal_export.h"
#include "logs/api/params.h"

namespace tocayo::logs::api {
namespace {

constexpr TimestampNs kNow = 1'700'000'000'000'000'000;

std::string metadata_text(const EntryRow& entry) {
  std::string out;
  for (const auto& pair : entry.metadata) out += std::string(pair.name) + "=" + std::string(pair.value) + ";";
  return out;
}

struct Bulk {
  std::string body;
  PushRows rows;
  std::vector<BulkItem> items;
  std::string error;
};

std::unique_ptr<Bulk> bulk(std::string body, const BulkFields& fields = {}, std::string_view index = "") {
  auto made = std::make_unique<Bulk>();
  made->body = std::move(body);
  auto items = decode_bulk(made->body, index, fields, kNow, made->rows);
  if (items) {
    made->items = std::move(*items);
    made->rows.finish(false, {});
  } else {
    made->error = items.error().message;
  }
  return made;
}

TEST(Bulk, DocumentsBecomeLines) {
  BulkFields fields;
  fields.stream = default_bulk_stream_fields();
  const auto made = bulk(
      R"({"create":{"_index":"logstash-2026.11.30","_id":"a1"}}
{"@timestamp":"2026-11-30T10:00:00.123456789Z","message":"caf\u00e9 \"x\"","host":{"name":"h1","ip":["10.0.0.1","::1"]},"n":7,"f":1.5,"ok":true,"none":null,"a":{"b":{"c":"deep"}},"log":{"level":"error"}}
{"index":{"_index":"logstash-2026.12.01"}}
{"@timestamp":1796032800123,"message":"two","host":"h1"}

{ "create" : { } }
{"level":"info","msg":"no message"}
)",
      fields, "from-path");
  ASSERT_EQ(made->error, "");
  ASSERT_EQ(made->items.size(), 3U);
  ASSERT_EQ(made->rows.streams().size(), 3U);
  const auto& first = made->rows.streams()[0];
  EXPECT_EQ(first.labels, (Labels{{"host_name", "h1"}, {"index", "logstash"}}));
  const auto entry = made->rows.entries(first)[0];
  EXPECT_EQ(entry.time, 1'796'032'800'123'456'789);
  EXPECT_EQ(entry.line, "café \"x\"");
  EXPECT_EQ(metadata_text(entry),
            "a_b_c=deep;f=1.5;host_ip=[\"10.0.0.1\",\"::1\"];level=error;log_level=error;n=7;ok=true;");
  EXPECT_EQ(made->items[0].id, "a1");
  EXPECT_EQ(made->items[0].index, "logstash-2026.11.30");
  EXPECT_EQ(made->rows.streams()[1].labels, (Labels{{"host", "h1"}, {"index", "logstash"}}));
  EXPECT_EQ(made->rows.entries(made->rows.streams()[1])[0].time, 1'796'032'800'123'000'000);
  EXPECT_FALSE(made->items[1].id.empty());
  const auto last = made->rows.entries(made->rows.streams()[2])[0];
  EXPECT_EQ(made->rows.streams()[2].labels, (Labels{{"index", "from-path"}}));
  EXPECT_EQ(last.line, R"({"level":"info","msg":"no message"})");
  EXPECT_EQ(last.time, kNow);
  EXPECT_EQ(metadata_text(last), "");
  EXPECT_EQ(made->items[2].stream, 2U);
}

TEST(Bulk, TheSenderChoosesFields) {
  BulkFields fields;
  fields.stream = {"app", "k8s.pod"};
  fields.only_stream = true;
  fields.time = {"ts", "time"};
  fields.message = {"text", "log"};
  const auto made = bulk(
      "{\"create\":{\"_index\":\"i\"}}\n{\"log\":\"second\",\"text\":\"first\",\"time\":\"2026-11-30 10:00:00\",\"ts\":"
      "\"2026-11-30T11:00:00.5+0100\",\"app\":\"web\",\"k8s\":{\"pod\":\"p\"},\"message\":\"kept\"}\n"
      "{\"create\":{\"_index\":\"i\"}}\n{\"log\":{\"a\":1},\"time\":\"1796032800000000\"}",
      fields);
  ASSERT_EQ(made->error, "");
  EXPECT_EQ(made->rows.streams()[0].labels, (Labels{{"app", "web"}, {"k8s_pod", "p"}}));
  const auto entry = made->rows.entries(made->rows.streams()[0])[0];
  EXPECT_EQ(entry.line, "first");
  EXPECT_EQ(entry.time, 1'796'032'800'500'000'000);
  EXPECT_EQ(metadata_text(entry), "message=kept;");
  // Without any of them there is still the index.
  EXPECT_EQ(made->rows.streams()[1].labels, (Labels{{"index", "i"}}));
  EXPECT_EQ(made->rows.entries(made->rows.streams()[1])[0].line, R"({"a":1})");
  EXPECT_EQ(made->rows.entries(made->rows.streams()[1])[0].time, 1'796'032'800'000'000'000);
}

TEST(Bulk, ADamagedDocumentIsItsItemsError) {
  const auto made = bulk(
      "{\"create\":{\"_index\":\"i\"}}\n{\"message\":\n"
      "{\"create\":{\"_index\":\"i\"}}\n{\"message\":\"good\"}\n"
      "{\"create\":{\"_index\":\"i\"}}\n{\"message\":\"x\",\"@timestamp\":\"yesterday\"}\n"
      "{\"create\":{}}\n{\"message\":\"no index\"}\n"
      "{\"update\":{\"_index\":\"i\",\"_id\":\"1\"}}\n{\"doc\":{}}\n"
      "{\"delete\":{\"_index\":\"i\",\"_id\":\"1\"}}\n"
      "{\"create\":{\"_index\":\"i\"}}\n[1]\n");
  ASSERT_EQ(made->error, "");
  ASSERT_EQ(made->items.size(), 7U);
  std::vector<std::string> errors;
  for (const auto& item : made->items) errors.push_back(item.error);
  EXPECT_TRUE(errors[0].starts_with("line [2]: ")) << errors[0];
  EXPECT_EQ(errors[1], "");
  EXPECT_EQ(errors[2], "line [6]: failed to parse date field [yesterday]");
  EXPECT_EQ(errors[3], "line [7]: the index is missing");
  EXPECT_EQ(errors[4], "line [9]: log lines can only be added; use create or index");
  EXPECT_EQ(made->items[5].action, "delete");
  EXPECT_TRUE(errors[6].starts_with("line [13]: ")) << errors[6];
  ASSERT_EQ(made->rows.lines(), 1U);
  EXPECT_EQ(made->rows.entries(made->rows.streams()[0])[0].line, "good");
  EXPECT_EQ(metadata_text(made->rows.entries(made->rows.streams()[0])[0]), "");
}

TEST(Bulk, ADateBeyondTheRangeIsItsItemsError) {
  for (const std::string date :
       {"\"1013-11-30T10:00:00.5Z\"", "\"2300-01-01T00:00:00.5Z\"", "99999999999999999", "-9999999999999999"}) {
    const auto made = bulk("{\"create\":{\"_index\":\"i\"}}\n{\"message\":\"x\",\"@timestamp\":" + date + "}\n");
    ASSERT_EQ(made->items.size(), 1U) << date;
    EXPECT_NE(made->items[0].error.find("failed to parse date field"), std::string::npos) << date;
  }
  EXPECT_TRUE(parse_api_time("2020-01-01T00:00:00.5Z"));
  for (const char* text : {"9999999999", "1013-11-30T10:00:00.5Z", "9999-11-30T10:00:00Z"})
    EXPECT_FALSE(parse_api_time(text)) << text;
}

TEST(Bulk, ADamagedActionRefusesTheBody) {
  for (const auto& [body, error] : std::vector<std::pair<std::string, std::string>>{
           {"{\"message\":\"x\"}\n{}\n",
            "Malformed action/metadata line [1], expected [create], [index], [delete] or [update] but found [message]"},
           {"{\"create\":{},\"index\":{}}\n{}\n",
            "Malformed action/metadata line [1], expected an object with one action"},
           {"{\"create\":1}\n{}\n", "Malformed action/metadata line [1], expected an object behind the action"},
           {"{\"create\":{\"_index\":1}}\n{}\n", "Malformed action/metadata line [1], [_index] is no string"},
           {"{\"create\":{\"_index\":\"i\"}}\n{}\n{\"create\":{\"_index\":\"i\"}}\n",
            "the action in front of the end, line [3], has no document"}}) {
    EXPECT_EQ(bulk(body)->error, error);
  }
  EXPECT_TRUE(bulk("\n\nnot json\n")->error.starts_with("Malformed action/metadata line [3], "));
  EXPECT_TRUE(bulk("")->items.empty());
}

TEST(Bulk, DeepAndWideDocuments) {
  std::string deep = "{\"create\":{\"_index\":\"i\"}}\n{\"message\":\"m\",\"a\":";
  for (int i = 0; i < 200; ++i) deep += "{\"a\":";
  deep += "1";
  for (int i = 0; i < 200; ++i) deep += "}";
  deep += "}\n";
  const auto made = bulk(deep);
  ASSERT_EQ(made->error, "");
  ASSERT_EQ(made->rows.lines(), 1U);
  const auto entry = made->rows.entries(made->rows.streams()[0])[0];
  ASSERT_EQ(entry.metadata.size(), 1U);
  EXPECT_TRUE(entry.metadata[0].value.starts_with("{\"a\":{")) << entry.metadata[0].value;
}

TEST(Bulk, IndexWithoutDate) {
  EXPECT_EQ(index_without_date("logstash-2026.11.30"), "logstash");
  EXPECT_EQ(index_without_date("2026.11.30"), "2026.11.30");
  EXPECT_EQ(index_without_date("-2026.11.30"), "-2026.11.30");
  EXPECT_EQ(index_without_date("a-2026.11.3x"), "a-2026.11.3x");
  EXPECT_EQ(index_without_date("logs-app-default"), "logs-app-default");
}

std::string binary_field(std::string_view name, std::string_view value) {
  std::string out(name);
  out += '\n';
  for (int i = 0; i < 8; ++i) out += static_cast<char>(static_cast<std::uint64_t>(value.size()) >> (8 * i));
  out += value;
  return out + '\n';
}

const std::string kEntry =
    "__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1700000000123456\n_HOSTNAME=h\nPRIORITY=3\n"
    "_SYSTEMD_UNIT=a.service\n_PID=7\nMESSAGE=text with = sign\n";

TEST(JournalExport, EntriesBecomeRows) {
  const std::string body = kEntry + "\n" + "__REALTIME_TIMESTAMP=1700000001000000\n" +
                           binary_field("MESSAGE", std::string("two\nlines\0\xff", 11)) + "FOO=bar\nFOO=baz\n" +
                           binary_field("COREDUMP", std::string(20'000, 'x')) + "\n";
  PushRows rows;
  const auto done = decode_journal_export(body, rows);
  ASSERT_TRUE(done) << done.error().message;
  rows.finish(false, {});
  ASSERT_EQ(rows.streams().size(), 2U);
  EXPECT_EQ(rows.streams()[0].labels,
            (Labels{{"host", "h"}, {"job", "systemd-journal"}, {"level", "error"}, {"unit", "a.service"}}));
  const auto first = rows.entries(rows.streams()[0])[0];
  EXPECT_EQ(first.time, 1'700'000'000'123'456'000);
  EXPECT_EQ(first.line, "text with = sign");
  EXPECT_EQ(metadata_text(first), "cursor=s=1;i=2;pid=7;");
  EXPECT_EQ(rows.streams()[1].labels, (Labels{{"job", "systemd-journal"}}));
  const auto second = rows.entries(rows.streams()[1])[0];
  EXPECT_EQ(second.line, std::string("two\nlines\0\xff", 11));
  EXPECT_EQ(metadata_text(second), "foo=bar;");
}

TEST(JournalExport, WithoutAnEmptyLineBehindTheLastEntry) {
  PushRows rows;
  ASSERT_TRUE(decode_journal_export(kEntry, rows));
  EXPECT_EQ(rows.lines(), 1U);
  PushRows none;
  ASSERT_TRUE(decode_journal_export("\n\n", none));
  EXPECT_EQ(none.lines(), 0U);
}

TEST(JournalExport, DamageIsNamed) {
  for (const auto& [body, error] : std::vector<std::pair<std::string, std::string>>{
           {"MESSAGE=x", "the journal export is damaged at byte 0: the last line does not end"},
           {"A=1\n=x\n", "the journal export is damaged at byte 4: a field without a name"},
           {"A=1\nB\n\1\0\0", "the journal export is damaged at byte 6: the size of a field is cut short"},
           {"A=1\nB\n" + std::string("\x05\0\0\0\0\0\0\0", 8) + "abc",
            "the journal export is damaged at byte 14: a field of 5 bytes is cut short"},
           {"B\n" + std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8) + "abc\n",
            "the journal export is damaged at byte 10: a field of 18446744073709551615 bytes is cut short"},
           {"B\n" + std::string("\x01\0\0\0\0\0\0\0", 8) + "abc\n",
            "the journal export is damaged at byte 11: no new line behind the bytes of a field"},
           {"MESSAGE=x\n\n", "entry 1 has no __REALTIME_TIMESTAMP"},
           {kEntry + "\n__REALTIME_TIMESTAMP=soon\n\n", "entry 2: __REALTIME_TIMESTAMP \"soon\" is no time"}}) {
    PushRows rows;
    const auto done = decode_journal_export(body, rows);
    ASSERT_FALSE(done) << body;
    EXPECT_EQ(done.error().message, error);
    EXPECT_EQ(done.error().kind, ErrorKind::bad_input);
  }
  for (std::size_t size = 0; size < kEntry.size(); ++size) {
    PushRows rows;
    (void)decode_journal_export(std::string_view(kEntry).substr(0, size), rows);  // must not crash
  }
}

}  // namespace
}  // namespace tocayo::logs::api
