// SPDX-License-Identifier: Apache-2.0
// Lines that are unlike others, through the real binary: in the head, after the cut, after kill -9.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <map>

#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

struct Sent {
  std::int64_t time;
  std::string line;
  bool operator==(const Sent&) const = default;
  auto operator<=>(const Sent&) const = default;
};

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

HttpReply push(Server& server, const std::string& app, const std::vector<Sent>& lines) {
  json::array values;
  for (const auto& line : lines) values.push_back(json::array{std::to_string(line.time), line.line});
  const json::object stream{{"stream", {{"app", app}}}, {"values", std::move(values)}};
  return http_request("POST", server.url("/loki/api/v1/push"),
                      json::serialize(json::object{{"streams", json::array{stream}}}),
                      {{"Content-Type", "application/json"}});
}

std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
std::string field(int number, const std::string& bytes) {
  return varint(static_cast<std::uint64_t>(number) << 3 | 2) + varint(bytes.size()) + bytes;
}
// A snappy block of literals only.
std::string snappy_of(const std::string& bytes) {
  std::string out = varint(bytes.size());
  for (std::size_t at = 0; at < bytes.size(); at += 60) {
    const auto part = bytes.substr(at, 60);
    out += static_cast<char>((part.size() - 1) << 2);
    out += part;
  }
  return out;
}

// JSON cannot carry bytes that are no text.
HttpReply push_bytes(Server& server, const std::string& app, const std::vector<Sent>& lines) {
  std::string stream = field(1, "{app=\"" + app + "\"}");
  for (const auto& line : lines) {
    const std::string time = varint(8) + varint(static_cast<std::uint64_t>(line.time / 1'000'000'000)) + varint(16) +
                             varint(static_cast<std::uint64_t>(line.time % 1'000'000'000));
    stream += field(2, field(1, time) + field(2, line.line));
  }
  return http_request("POST", server.url("/loki/api/v1/push"), snappy_of(field(1, stream)),
                      {{"Content-Type", "application/x-protobuf"}});
}

std::vector<Sent> read(Server& server, const std::string& app, std::int64_t start, std::int64_t end) {
  const auto reply =
      http_get(server.url("/loki/api/v1/query_range?direction=forward&limit=100000&start=" + std::to_string(start) +
                          "&end=" + std::to_string(end) + "&query=" + url_encode("{app=\"" + app + "\"}")));
  EXPECT_EQ(reply.status, 200) << reply.body.substr(0, 500);
  std::vector<Sent> out;
  if (reply.status != 200) return out;
  for (const auto& stream : json::parse(reply.body).at("data").at("result").as_array()) {
    for (const auto& value : stream.at("values").as_array()) {
      out.push_back(
          {std::stoll(std::string(value.as_array()[0].as_string())), std::string(value.as_array()[1].as_string())});
    }
  }
  std::stable_sort(out.begin(), out.end(), [](const Sent& a, const Sent& b) { return a.time < b.time; });
  return out;
}

TEST(LogsInput, OddLinesAreKeptAsTheyAre) {
  Server server;
  ASSERT_TRUE(server.start());
  const auto now = now_ns();
  constexpr std::int64_t kSecond = 1'000'000'000;
  constexpr std::int64_t k2100 = 4'102'444'800 * kSecond;
  std::map<std::string, std::vector<Sent>> expected;

  expected["empty"] = {{now, ""}, {now + 1, ""}, {now + 2, " "}, {now + 3, "\n"}};
  expected["nul"] = {{now, std::string("a\0b", 3)}, {now + 1, std::string(1, '\0')}, {now + 2, "\x01\x02\x7f"}};
  expected["large"] = {{now, std::string(1 << 20, 'x')}, {now + 1, std::string((1 << 20) - 1, 'y') + "\""}};
  std::vector<Sent> equal;
  for (int i = 0; i < 5000; ++i) equal.push_back({now, "line " + std::to_string(i)});
  expected["equal"] = equal;  // and in the order in which they came
  expected["old"] = {{0, "the epoch"}, {1, "a nanosecond later"}, {86'400 * kSecond, "a day later"}, {now, "now"}};
  for (const auto& [app, lines] : expected) ASSERT_EQ(push(server, app, lines).status, 204) << app;
  // The same again is not stored again.
  for (const auto& [app, lines] : expected) ASSERT_EQ(push(server, app, lines).status, 204) << app;

  // The far future is refused by the grace period, in words; the good lines of the request stay.
  const auto refused = push(server, "future", {{now, "good"}, {k2100, "the year 2100"}});
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body.find("has timestamp too new: 2100-01-01T00:00:00Z"), std::string::npos) << refused.body;
  expected["future"] = {{now, "good"}};

  // A line beyond the limit is cut and marked.
  ASSERT_EQ(push(server, "cut", {{now, std::string(3 << 20, 'z')}}).status, 204);
  const std::string mark = "...[truncated]";
  expected["cut"] = {{now, std::string((1 << 20) - mark.size(), 'z') + mark}};

  // Bytes that are no UTF-8 are shown as U+FFFD.
  ASSERT_EQ(push_bytes(server, "bytes", {{now, "caf\xe9 \xff\xfe"}, {now + 1, "fine \xc3\xa9"}}).status, 204);
  expected["bytes"] = {{now, "caf\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd"}, {now + 1, "fine \xc3\xa9"}};

  auto check = [&](const char* when) {
    SCOPED_TRACE(when);
    for (const auto& [app, lines] : expected) {
      const auto found = read(server, app, 0, now + kSecond);
      EXPECT_EQ(found.size(), lines.size()) << app;
      EXPECT_TRUE(found == lines) << app;
    }
    // What was found is found again by its own bytes.
    const auto nul = http_get(server.url("/loki/api/v1/query_range?start=" + std::to_string(now - kSecond) +
                                         "&query=" + url_encode("{app=\"nul\"} |= \"a\\x00b\"")));
    EXPECT_EQ(nul.status, 200) << nul.body;
    EXPECT_NE(nul.body.find("a\\u0000b"), std::string::npos) << nul.body;
  };
  check("in the head");
  server.kill9();
  ASSERT_TRUE(server.start());
  check("read again from the journal");
  ASSERT_LT(http_request("POST", server.url("/flush"), "", {{"X-Tocayo-Csrf", "1"}}).status, 300);
  check("in segments");
  for (const auto& [app, lines] : expected) {
    if (app != "bytes" && app != "cut" && app != "future") {
      ASSERT_EQ(push(server, app, lines).status, 204) << app;
    }
  }
  check("sent again after the cut");
  server.kill9();
  ASSERT_TRUE(server.start());
  check("after another start");
}

// Senders' clocks, not the server's, tell the time of a line: they go back, stand still and jump.
TEST(LogsInput, ClocksOfSendersJump) {
  Server::Options options;
  options.sets = {"logs.head.cut_bytes=100KiB", "logs.head.cut_age=1s"};
  Server server(std::move(options));
  ASSERT_TRUE(server.start());
  constexpr std::int64_t kHour = 3'600'000'000'000;
  const auto now = now_ns();
  std::vector<Sent> all;
  int number = 0;
  for (const std::int64_t offset :
       {0L, -kHour, 5L * 60'000'000'000, -48 * kHour, -48 * kHour, 1L, -366 * 24 * kHour, 0L}) {
    std::vector<Sent> lines;
    for (int i = 0; i < 400; ++i)
      lines.push_back({now + offset + i, "line " + std::to_string(++number) + std::string(100, 'x')});
    ASSERT_EQ(push(server, "jump", lines).status, 204);
    all.insert(all.end(), lines.begin(), lines.end());
  }
  std::stable_sort(all.begin(), all.end(), [](const Sent& a, const Sent& b) { return a.time < b.time; });
  // Of lines with one time, those of different cuts have no order among themselves.
  auto sorted = [](std::vector<Sent> lines) {
    std::sort(lines.begin(), lines.end());
    return lines;
  };
  EXPECT_EQ(sorted(read(server, "jump", now - 400 * 24 * kHour, now + kHour)), sorted(all));
  server.kill9();
  ASSERT_TRUE(server.start());
  EXPECT_EQ(sorted(read(server, "jump", now - 400 * 24 * kHour, now + kHour)), sorted(all));
}

}  // namespace
}  // namespace tocayo::testing
