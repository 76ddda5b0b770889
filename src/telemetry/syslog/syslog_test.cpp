// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "syslog/framer.h"
#include "syslog/rows.h"
#include "syslog/syslog_config.h"
#include "syslog/syslog_message.h"

namespace tocayo::syslog {
namespace {

constexpr TimestampNs kNow = 1'796'032'800'000'000'000;  // 2026-11-30 10:00 UTC
constexpr TimestampNs kSecond = 1'000'000'000;

std::string shown(const Message& message) {
  std::string out = std::string(facility_name(message.facility)) + "." + std::string(severity_name(message.severity)) +
                    " " + std::to_string(message.time) + " host=" + std::string(message.host) +
                    " app=" + std::string(message.app) + " proc=" + std::string(message.process) +
                    " id=" + std::string(message.id);
  for (const auto& p : message.data) out += " " + std::string(p.element) + "/" + std::string(p.name) + "=" + p.value;
  return out + " |" + std::string(message.text);
}

std::string parsed(std::string_view text, Format format = Format::any) {
  return shown(parse_message(text, format, kNow));
}

TEST(Syslog, Rfc5424) {
  EXPECT_EQ(parsed("<165>1 2026-11-30T09:59:58.123456Z box su 77 ID47 - \xEF\xBB\xBFsu failed"),
            "local4.notice 1796032798123456000 host=box app=su proc=77 id=ID47 |su failed");
  EXPECT_EQ(parsed(R"(<34>1 2026-11-30T11:00:00+01:00 h a - - [ex@1 iut="3" q="a\"b\]c\\d\e"][o x=""] text [x])"),
            R"(auth.crit 1796032800000000000 host=h app=a proc= id= ex@1/iut=3 ex@1/q=a"b]c\d\e o/x= |text [x])");
  EXPECT_EQ(parsed("<0>1 - - - - - -"), "kern.emerg 1796032800000000000 host= app= proc= id= |");
  EXPECT_EQ(parsed("<13>1 2026-11-30T10:00:00Z h a p i [only]\n"),
            "user.notice 1796032800000000000 host=h app=a proc=p id=i |");
}

TEST(Syslog, Rfc3164) {
  EXPECT_EQ(parsed("<34>Nov 30 09:59:00 mymachine su: 'su root' failed"),
            "auth.crit 1796032740000000000 host=mymachine app=su proc= id= |'su root' failed");
  EXPECT_EQ(parsed("<13>Nov  5 10:00:00 h cron[123]: (root) CMD"),
            "user.notice 1793872800000000000 host=h app=cron proc=123 id= |(root) CMD");
  // rsyslog's and systemd's: a date of RFC 3339 in a message of the old kind.
  EXPECT_EQ(parsed("<30>2026-11-30T09:59:58.5+00:00 h systemd[1]: Started."),
            "daemon.info 1796032798500000000 host=h app=systemd proc=1 id= |Started.");
  // Without a host, as logger writes to a socket.
  EXPECT_EQ(parsed("<13>Nov 30 10:00:00 app: hello"), "user.notice 1796032800000000000 host= app=app proc= id= |hello");
  EXPECT_EQ(parsed("<189>Nov 30 2026 10:00:00: %SYS-5-CONFIG_I: Configured"),
            "local7.notice 1796032800000000000 host= app=%SYS-5-CONFIG_I proc= id= |Configured");
  EXPECT_EQ(parsed("<13>Nov 30 10:00:00 fe80::1 app: x"),
            "user.notice 1796032800000000000 host=fe80::1 app=app proc= id= |x");
}

TEST(Syslog, TheYearIsTheNearest) {
  constexpr TimestampNs new_year = 1'798'761'600 * kSecond;  // 2027-01-01
  EXPECT_EQ(parse_message("<13>Dec 31 23:59:59 h a: x", Format::any, new_year + kSecond).time, new_year - kSecond);
  EXPECT_EQ(parse_message("<13>Jan  1 00:00:01 h a: x", Format::any, new_year - kSecond).time, new_year + kSecond);
  // A leap day is of a year that has one.
  EXPECT_EQ(parse_message("<13>Feb 29 00:00:00 h a: x", Format::any, 1'830'297'600 * kSecond).time,
            1'835'395'200 * kSecond);
}

TEST(Syslog, WhatFollowsNoRuleIsText) {
  for (const char* text : {"just words", "<", "<999>x", "<13", "<13>", "<13>1 nonsense", "<13>Nov 99 10:00:00 h a: x",
                           "<13>1 2026-11-30T10:00:00Z h a p i [broken", "<13>1 2026-13-30T10:00:00Z h a p i - x",
                           "<13>Nov 30 25:00:00 h a: x", "[", "a[", "a[1", "Nov", "Nov 3", "<13>Nov 30 10:00:00",
                           "<13>Nov 30 10:00:00 "}) {
    const auto message = parse_message(text, Format::any, kNow);
    EXPECT_LE(message.text.size(), std::string_view(text).size()) << text;
  }
  EXPECT_EQ(parsed("just words"), "user.notice 1796032800000000000 host= app= proc= id= |just words");
  EXPECT_EQ(parsed("<13>1 2026-11-30T10:00:00Z h a p i [broken", Format::rfc5424),
            "user.notice 1796032800000000000 host= app= proc= id= |1 2026-11-30T10:00:00Z h a p i [broken");
  EXPECT_EQ(parsed("<13>no date at all"), "user.notice 1796032800000000000 host= app= proc= id= |no date at all");
}

std::vector<std::string> framed(std::string_view bytes, std::size_t piece, std::size_t max = 100) {
  std::vector<std::string> out;
  const auto take = [&](std::string_view message) { out.emplace_back(message); };
  Framer framer(max);
  for (std::size_t at = 0; at < bytes.size(); at += piece) framer.put(bytes.substr(at, piece), take);
  framer.finish(take);
  return out;
}

TEST(Syslog, FramesOfBothKindsInOneConnection) {
  const std::string bytes = "<1>first\r\n7 <2>a\nbc<3>third\n\n0x\n123 lines\n5 <4>fi";
  for (const std::size_t piece : {1, 2, 3, 7, 1000}) {
    // "123 lines" counts 123 bytes: all that follows belongs to it.
    EXPECT_EQ(framed(bytes, piece),
              (std::vector<std::string>{"<1>first\r", "<2>a\nbc", "<3>third", "0x", "lines\n5 <4>fi"}));
  }
  EXPECT_EQ(framed("12ab\n3 xyz", 1), (std::vector<std::string>{"12ab", "xyz"}));
  // Longer than allowed: cut, and the next message is found.
  EXPECT_EQ(framed("12 0123456789ab" + std::string(20, 'x') + "\n<1>y\n", 4, 10),
            (std::vector<std::string>{"0123456789", std::string(10, 'x'), "<1>y"}));
  EXPECT_EQ(framed("99999999999 x\ny\n", 3), (std::vector<std::string>{"99999999999 x", "y"}));
}

TEST(Syslog, Rows) {
  const auto configs =
      parse_config("- {listen: 'tcp://127.0.0.1:0', labels: {site: a}, label_fields: [host, app]}", "f");
  ASSERT_TRUE(configs) << configs.error().message;
  Batch batch;
  batch.add("<34>Nov 30 10:00:00 box su[7]: same", "192.0.2.1", kNow, 5);
  batch.add("<34>Nov 30 10:00:00 box su[7]: same", "192.0.2.1", kNow, 6);
  batch.add(R"(<34>1 - - - - M1 [e@1 k.x="v"] text)", "192.0.2.9", kNow + 3, 7);
  logs::api::PushRows rows;
  make_rows(batch, configs->front(), rows);
  rows.finish(false, {});
  ASSERT_EQ(rows.streams().size(), 2U);
  EXPECT_EQ(rows.streams()[0].labels, (Labels{{"app", "su"}, {"host", "box"}, {"job", "syslog"}, {"site", "a"}}));
  const auto entries = rows.entries(rows.streams()[0]);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].time, kNow + 5);
  EXPECT_EQ(entries[1].time, kNow + 6) << "two equal messages of a second stay two";
  EXPECT_EQ(rows.streams()[1].labels, (Labels{{"host", "192.0.2.9"}, {"job", "syslog"}, {"site", "a"}}));
  std::string metadata;
  for (const auto& pair : rows.entries(rows.streams()[1])[0].metadata)
    metadata += std::string(pair.name) + "=" + std::string(pair.value) + ";";
  EXPECT_EQ(metadata, "e_1_k_x=v;facility=auth;msgid=M1;severity=crit;");
}

TEST(Syslog, RowsAsPromtailLabelsThem) {
  ListenerConfig config;
  config.names = FieldNames::promtail;
  config.label_data = true;
  config.keep_time = false;
  config.whole_message = true;
  Batch batch;
  const std::string message = R"(<34>1 2020-01-01T00:00:00Z box su 7 M1 [e@1 k="v"] text)";
  batch.add(message, "192.0.2.1", kNow, 5);
  logs::api::PushRows rows;
  make_rows(batch, config, rows);
  rows.finish(false, {});
  ASSERT_EQ(rows.streams().size(), 1U);
  EXPECT_EQ(rows.streams()[0].labels, (Labels{{"__syslog_connection_ip_address", "192.0.2.1"},
                                              {"__syslog_message_app_name", "su"},
                                              {"__syslog_message_facility", "auth"},
                                              {"__syslog_message_hostname", "box"},
                                              {"__syslog_message_msg_id", "M1"},
                                              {"__syslog_message_proc_id", "7"},
                                              {"__syslog_message_sd_e_1_k", "v"},
                                              {"__syslog_message_severity", "critical"}}));
  const auto entries = rows.entries(rows.streams()[0]);
  EXPECT_EQ(entries[0].line, message);
  EXPECT_GE(entries[0].time, kNow);
  EXPECT_TRUE(entries[0].metadata.empty());
}

TEST(Syslog, Configuration) {
  const auto good = parse_config(
      "- {listen: 'udp://[::1]:514', tenant: t, format: rfc3164, idle_timeout: 5m, max_message: 8KiB}\n"
      "- listen: 'tcp://:1514'\n",
      "logs.syslog");
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_FALSE((*good)[0].tcp);
  EXPECT_EQ((*good)[0].host, "::1");
  EXPECT_EQ((*good)[0].port, 514);
  EXPECT_EQ((*good)[0].max_message, 8192U);
  EXPECT_EQ((*good)[1].tenant, "anonymous");
  EXPECT_EQ((*good)[1].labels, (Labels{{"job", "syslog"}}));
  EXPECT_TRUE(parse_config("", "f")->empty());
  EXPECT_TRUE(parse_config("{}", "f")->empty());
  for (const auto& [text, error] : std::vector<std::pair<std::string, std::string>>{
           {"a: 1", "expected a list of listeners"},
           {"- {listen: 'http://:1'}", "is no address"},
           {"- {}", "is no address"},
           {"- {listen: 'tcp://:99999'}", "is no address"},
           {"- {listen: 'tcp://:1', format: xml}", "expected auto, rfc3164 or rfc5424"},
           {"- {listen: 'tcp://:1', label_fields: [text]}", "expected host, app, facility and severity"},
           {"- {listen: 'tcp://:1', tenant: 'a|b'}", "expected one tenant"},
           {"- {listen: 'tcp://:1', max_message: 1}", "expected 480 bytes to 16 MiB"},
           {"- {listen: 'udp://:1', tls: {cert_file: a, key_file: b}}", "tls: is for tcp:// only"},
           {"- {listen: 'tcp://:1', tls: {key_file: b}}", "tls: cert_file is missing"},
           {"- {listen: 'tcp://:1', tls: {cert_file: b}}", "tls: key_file is missing"},
           {"- {listen: 'tcp://:1', tls: {cert_file: a, key_file: b, ca: c}}", "unknown key"},
           {"- {listen: 'tcp://:1', lables: {a: b}}", "labels"}}) {
    const auto bad = parse_config(text, "logs.syslog");
    ASSERT_FALSE(bad) << text;
    EXPECT_NE(bad.error().message.find(error), std::string::npos) << bad.error().message;
    EXPECT_TRUE(bad.error().message.starts_with("logs.syslog:1:")) << bad.error().message;
  }
}

}  // namespace
}  // namespace tocayo::syslog
