// SPDX-License-Identifier: Apache-2.0
// The first five minutes: start, this machine's numbers, the page, configuration, reload, stop.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>

#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

HttpReply query(Server& server, const std::string& expr) {
  return http_get(server.url("/api/v1/query?query=" + url_encode(expr)));
}
bool has_value(const HttpReply& reply) { return reply.body.find("\"value\"") != std::string::npos; }

TEST(FirstStart, ThisMachineAndTocayoItselfWithinFiveSeconds) {
  Server server({.agent = true});
  auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(server.start());
  for (const char* expr : {"rate(node_cpu_seconds_total{mode=\"idle\"}[5s])", "node_memory_MemAvailable_bytes",
                           "node_disk_io_now or vector(1)", "node_network_receive_bytes_total", "node_load1",
                           "tocayo_metrics_active_series", "up{job=\"node\"} == 1", "up{job=\"tocayo\"} == 1"}) {
    EXPECT_TRUE(eventually([&] { return has_value(query(server, expr)); }, std::chrono::seconds(6))) << expr;
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(8));
  auto home = http_get(server.url("/api/ui/home"));
  EXPECT_EQ(home.status, 200);
  EXPECT_NE(home.body.find("\"hosts\":[{"), std::string::npos) << home.body.substr(0, 600);
}

TEST(FirstStart, PageCarriesPolicyNonceAndBootData) {
  Server server;
  ASSERT_TRUE(server.start());
  auto page = http_get(server.url("/explore"), {{"Accept", "text/html"}});
  ASSERT_EQ(page.status, 200) << page.body.substr(0, 200);
  std::string policy = page.headers["content-security-policy"];
  auto at = policy.find("'nonce-");
  ASSERT_NE(at, std::string::npos);
  std::string nonce = policy.substr(at + 7, policy.find('\'', at + 7) - at - 7);
  EXPECT_NE(page.body.find(nonce), std::string::npos);
  EXPECT_EQ(page.body.find("__BOOT_JSON__"), std::string::npos);
  EXPECT_EQ(page.headers["x-content-type-options"], "nosniff");
  EXPECT_EQ(page.headers["cache-control"], "no-store");
  auto again = http_get(server.url("/"), {{"Accept", "text/html"}});
  EXPECT_EQ(again.body.find(nonce), std::string::npos) << "a nonce is used once";
  // A hashed asset is immutable, answers its ETag, and comes packed.
  auto src = page.body.find("assets/");
  ASSERT_NE(src, std::string::npos);
  std::string asset = page.body.substr(src, page.body.find('"', src) - src);
  auto file = http_get(server.url("/" + asset), {{"Accept-Encoding", "br"}});
  EXPECT_EQ(file.status, 200);
  EXPECT_NE(file.headers["cache-control"].find("immutable"), std::string::npos);
  EXPECT_EQ(http_get(server.url("/" + asset), {{"If-None-Match", file.headers["etag"]}}).status, 304);
  EXPECT_EQ(http_get(server.url("/api/unknown"), {{"Accept", "text/html"}}).status, 404);
}

TEST(FirstStart, BadConfigurationIsLocatedAndStartsNothing) {
  TempDir place;
  std::ofstream(place.path() / "tocayo.yaml") << "server:\n  lisen: x\n";
  Process process({std::getenv("TOCAYO_BINARY"), "serve", "--config", (place.path() / "tocayo.yaml").string()},
                  place.path() / "log");
  EXPECT_NE(process.wait(), 0);
  EXPECT_NE(process.log().find("tocayo.yaml:2:3: unknown key \"server.lisen\"; did you mean \"server.listen\"?"),
            std::string::npos)
      << process.log();
  Process check({std::getenv("TOCAYO_BINARY"), "config", "check", "--config", (place.path() / "tocayo.yaml").string()},
                place.path() / "log2");
  EXPECT_EQ(check.wait(), 1);
}

TEST(FirstStart, ReloadKeepsTheOldConfigurationWhenTheNewOneIsBad) {
  TempDir place;
  auto file = place.path() / "tocayo.yaml";
  std::ofstream(file) << "metrics: {retention: {time: 10d}}\n";
  Server server({.arguments = {"--config", file.string()}});
  ASSERT_TRUE(server.start());
  auto retention = [&] { return http_get(server.url("/api/v1/status/config")).body; };
  EXPECT_NE(retention().find("10d"), std::string::npos);
  std::ofstream(file) << "metrics: {retention: {time: soon}}\n";
  auto reply = http_request("POST", server.url("/-/reload"), "", {{"X-Tocayo-Csrf", "1"}});
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.body.find("tocayo.yaml:1:29"), std::string::npos) << reply.body;
  EXPECT_NE(retention().find("10d"), std::string::npos);
  std::ofstream(file) << "metrics: {retention: {time: 11d}}\n";
  server.process().signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return retention().find("11d") != std::string::npos; }));
}

TEST(FirstStart, OpenAddressTurnsLoginOn) {
  Server server({.sets = {"server.listen=0.0.0.0:0"}});
  ASSERT_TRUE(server.start());
  std::string port = server.address().substr(server.address().rfind(':'));
  std::string base = "http://127.0.0.1" + port;
  EXPECT_EQ(http_get(base + "/api/v1/query?query=1").status, 401);
  EXPECT_EQ(http_get(base + "/-/ready").status, 200);
  std::string log = server.log();
  auto at = log.find("/setup?token=");
  ASSERT_NE(at, std::string::npos) << log;
  std::string token = log.substr(at + 13, log.find_first_of(" \n\"", at + 13) - at - 13);
  HttpHeaders headers{{"Content-Type", "application/json"}, {"X-Tocayo-Csrf", "1"}};
  std::string body =
      "{\"token\":\"" + token + "\",\"login\":\"ana\",\"name\":\"Ana\",\"password\":\"correct horse battery\"}";
  ASSERT_EQ(http_request("POST", base + "/api/ui/setup", body, headers).status, 200);
  EXPECT_NE(http_request("POST", base + "/api/ui/setup", body, headers).status, 200) << "the link works once";
  EXPECT_EQ(http_request("POST", base + "/api/ui/login", "{\"login\":\"ana\",\"password\":\"wrong\"}", headers).status,
            401);
  auto login = http_request("POST", base + "/api/ui/login",
                            "{\"login\":\"ana\",\"password\":\"correct horse battery\"}", headers);
  ASSERT_EQ(login.status, 200) << login.body;
  std::string cookie = login.headers["set-cookie"];
  EXPECT_NE(cookie.find("HttpOnly"), std::string::npos);
  cookie = cookie.substr(0, cookie.find(';'));
  EXPECT_EQ(http_get(base + "/api/v1/query?query=1", {{"Cookie", cookie}}).status, 200);
  EXPECT_EQ(http_request("POST", base + "/api/v1/query", "query=1",
                         {{"Cookie", cookie},
                          {"Content-Type", "application/x-www-form-urlencoded"},
                          {"Origin", "http://evil.example"}})
                .status,
            403);
  auto made = http_request("POST", base + "/tenancy/api/v1/tokens",
                           "{\"name\":\"ci\",\"tenant\":\"anonymous\",\"scopes\":[\"metrics:read\"]}",
                           {{"Cookie", cookie}, {"Content-Type", "application/json"}, {"X-Tocayo-Csrf", "1"}});
  ASSERT_EQ(made.status / 100, 2) << made.body;
  auto start = made.body.find("tcy_");
  ASSERT_NE(start, std::string::npos);
  std::string secret = made.body.substr(start, made.body.find('"', start) - start);
  EXPECT_EQ(http_get(base + "/api/v1/query?query=1", {{"Authorization", "Bearer " + secret}}).status, 200);
  EXPECT_EQ(http_request("POST", base + "/api/v1/push", "x", {{"Authorization", "Bearer " + secret}}).status, 403);
  EXPECT_EQ(server.log().find("correct horse"), std::string::npos) << "no secret in the log";
  EXPECT_EQ(server.log().find(secret), std::string::npos);
}

}  // namespace
}  // namespace tocayo::testing
