// SPDX-License-Identifier: Apache-2.0
// `tocayo logs …` as an operator uses it: the database is lost, a file is damaged.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <set>

#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using namespace std::chrono_literals;

struct Outcome {
  int code = -1;
  std::string output;
};

Outcome run(std::vector<std::string> arguments) {
  TempDir work;
  std::vector<std::string> argv{std::getenv("TOCAYO_BINARY"), "logs"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  Process process(argv, work.path() / "log");
  Outcome outcome;
  outcome.code = process.wait();
  outcome.output = process.log();
  return outcome;
}

HttpReply push(Server& server, const std::string& app, int first, int count, std::set<std::string>& all) {
  json::array values;
  const auto now =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  for (int i = first; i < first + count; ++i) {
    const std::string line = app + " request " + std::to_string(i * 7919) + " took " + std::to_string(i % 97) + " ms";
    values.push_back(json::array{std::to_string(now - 1'000'000'000 + i), line});
    all.insert(line);
  }
  const json::object stream{{"stream", {{"app", app}}}, {"values", std::move(values)}};
  return http_request("POST", server.url("/loki/api/v1/push"),
                      json::serialize(json::object{{"streams", json::array{stream}}}),
                      {{"Content-Type", "application/json"}});
}

void flush(Server& server) {
  ASSERT_LT(http_request("POST", server.url("/flush"), "", {{"X-Tocayo-Csrf", "1"}}).status, 300);
}

json::value query(Server& server, const std::string& app) {
  const auto reply = http_get(
      server.url("/loki/api/v1/query_range?limit=100000&since=1h&query=" + url_encode("{app=\"" + app + "\"}")));
  EXPECT_EQ(reply.status, 200) << reply.body;
  return reply.status == 200 ? json::parse(reply.body) : json::value();
}

std::vector<std::string> lines(Server& server, const std::string& app) {
  std::vector<std::string> out;
  const auto answer = query(server, app);
  for (const auto& stream : answer.at("data").at("result").as_array()) {
    for (const auto& value : stream.at("values").as_array()) out.emplace_back(value.as_array()[1].as_string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<fs::path> segments(const Server& server) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::recursive_directory_iterator(server.data_dir() / "logs" / "segments")) {
    if (entry.path().extension() == ".tseg") out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

TEST(LogsOffline, ALostDatabaseCostsNoLine) {
  Server::Options options;
  options.sets = {"logs.compaction.settle=0s"};
  Server server(std::move(options));
  ASSERT_TRUE(server.start());
  std::set<std::string> sent;
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(push(server, "web", i * 1000, 1000, sent).status, 204);
    flush(server);
  }
  ASSERT_EQ(push(server, "web", 4000, 1000, sent).status, 204);
  const std::string data = server.data_dir().string();
  const auto busy = run({"rebuild-catalogue", "--data-dir", data});
  EXPECT_EQ(busy.code, 1);
  EXPECT_NE(busy.output.find("in use"), std::string::npos) << busy.output;
  server.kill9();
  fs::remove_all(server.data_dir() / "db");
  const auto rebuilt = run({"rebuild-catalogue", "--data-dir", data});
  EXPECT_EQ(rebuilt.code, 0) << rebuilt.output;
  ASSERT_TRUE(server.start());
  const std::vector<std::string> expected(sent.begin(), sent.end());
  EXPECT_EQ(lines(server, "web"), expected);
  flush(server);
  server.kill9();
  const auto verified = run({"verify", "--data-dir", data});
  EXPECT_EQ(verified.code, 0) << verified.output;
  const auto dumped = run({"dump", "--data-dir", data});
  EXPECT_EQ(dumped.code, 0);
  EXPECT_EQ(static_cast<std::size_t>(std::count(dumped.output.begin(), dumped.output.end(), '\n')), sent.size());
  const auto first = json::parse(dumped.output.substr(0, dumped.output.find('\n')));
  EXPECT_EQ(first.at("stream").at("app").as_string(), "web");
  EXPECT_TRUE(sent.contains(std::string(first.at("line").as_string())));
}

TEST(LogsOffline, DamageIsAWarningUntilItIsRepaired) {
  Server server;
  ASSERT_TRUE(server.start());
  std::set<std::string> good;
  std::set<std::string> bad;
  ASSERT_EQ(push(server, "bad", 0, 3000, bad).status, 204);
  flush(server);
  const auto damaged = segments(server);
  ASSERT_EQ(damaged.size(), 1U);
  ASSERT_EQ(push(server, "good", 0, 3000, good).status, 204);
  flush(server);
  server.kill9();
  {
    std::fstream file(damaged[0], std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(64);
    file.write("this is not what was written here", 33);
  }
  const std::string data = server.data_dir().string();
  const auto verified = run({"verify", "--data-dir", data});
  EXPECT_EQ(verified.code, 1);
  EXPECT_NE(verified.output.find("row group 0: 3000 lines from"), std::string::npos) << verified.output;
  EXPECT_NE(verified.output.find("app=\"bad\""), std::string::npos) << verified.output;
  ASSERT_TRUE(server.start());
  EXPECT_EQ(lines(server, "good"), std::vector<std::string>(good.begin(), good.end()));
  const auto answer = json::serialize(query(server, "bad"));
  EXPECT_NE(answer.find("\"warnings\""), std::string::npos) << answer.substr(0, 500);
  EXPECT_NE(answer.find("app=\\\"bad\\\""), std::string::npos) << answer.substr(0, 500);
  server.kill9();
  const auto repaired = run({"repair", "--data-dir", data});
  EXPECT_EQ(repaired.code, 0) << repaired.output;
  EXPECT_NE(repaired.output.find("1 repaired"), std::string::npos) << repaired.output;
  EXPECT_EQ(run({"verify", "--data-dir", data}).code, 0);
  ASSERT_TRUE(server.start());
  EXPECT_EQ(lines(server, "good"), std::vector<std::string>(good.begin(), good.end()));
  EXPECT_EQ(json::serialize(query(server, "bad")).find("\"warnings\""), std::string::npos);
}

TEST(LogsOffline, InspectTellsWhatASegmentHolds) {
  Server server;
  ASSERT_TRUE(server.start());
  std::set<std::string> sent;
  ASSERT_EQ(push(server, "web", 0, 500, sent).status, 204);
  flush(server);
  server.kill9();
  const auto list = segments(server);
  ASSERT_EQ(list.size(), 1U);
  const auto told = run({"inspect", list[0].string()});
  EXPECT_EQ(told.code, 0);
  EXPECT_NE(told.output.find("500 in 1 streams"), std::string::npos) << told.output;
  EXPECT_NE(told.output.find("app=\"web\""), std::string::npos) << told.output;
  EXPECT_NE(told.output.find("web request"), std::string::npos) << "its templates: " << told.output;
  EXPECT_EQ(run({"inspect", "/does/not/exist"}).code, 1);
}

}  // namespace
}  // namespace tocayo::testing
