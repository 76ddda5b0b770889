// SPDX-License-Identifier: Apache-2.0
// A disk that fills up: pushes are told to come back, reads go on, and what retention frees lets pushes in again.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <chrono>
#include <cstring>
#include <fstream>
#include <random>

#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr std::int64_t kHour = 3'600'000'000'000;

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::uint64_t free_bytes(const std::filesystem::path& path) {
  struct statvfs disk{};
  return ::statvfs(path.c_str(), &disk) == 0 ? std::uint64_t{disk.f_bavail} * disk.f_frsize : 0;
}

// One request of 2 MiB that no compression makes much smaller.
HttpReply push(Server& server, const std::string& app, std::int64_t time, std::mt19937_64& random) {
  static constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
  json::array values;
  for (int i = 0; i < 2048; ++i) {
    std::string line;
    for (int k = 0; k < 102; ++k) {
      for (auto bits = random(), n = std::uint64_t{0}; n < 10; ++n, bits >>= 6) line += kDigits[bits & 63];
    }
    values.push_back(json::array{std::to_string(time + i), line});
  }
  const json::object stream{{"stream", {{"app", app}}}, {"values", std::move(values)}};
  return http_request("POST", server.url("/loki/api/v1/push"),
                      json::serialize(json::object{{"streams", json::array{stream}}}),
                      {{"Content-Type", "application/json"}});
}

double count(Server& server, const std::string& app) {
  const auto reply = http_get(
      server.url("/loki/api/v1/query?query=" + url_encode("sum(count_over_time({app=\"" + app + "\"}[12h]))")));
  EXPECT_EQ(reply.status, 200) << reply.body;
  if (reply.status != 200) return -1;
  const auto document = json::parse(reply.body);
  const auto& result = document.at("data").at("result").as_array();
  return result.empty() ? 0 : std::stod(std::string(result[0].at("value").as_array()[1].as_string()));
}

TEST(LogsDisk, AFullDiskRefusesPushesUntilRetentionFreesSome) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount a small file system";
  TempDir place;
  ASSERT_EQ(::mount("tmpfs", place.path().c_str(), "tmpfs", 0, "size=480m"), 0) << std::strerror(errno);
  struct Unmount {
    std::filesystem::path path;
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } unmount{place.path()};
  TempDir elsewhere;
  const auto overrides = elsewhere.path() / "overrides.yaml";
  auto limits = [&](const std::string& text) { std::ofstream(overrides) << text; };
  limits("overrides: {}\n");
  Server server({.sets = {"overrides_file=" + overrides.string()}, .data_dir = place.path() / "data"});
  ASSERT_TRUE(server.start());
  std::mt19937_64 random(1);
  const auto old = now_ns() - 5 * kHour;
  double old_lines = 0;
  for (int i = 0; i < 40; ++i) {
    ASSERT_EQ(push(server, "old", old + i * 1'000'000, random).status, 204);
    old_lines += 2048;
    if (i % 8 == 7) {
      ASSERT_LT(http_request("POST", server.url("/flush"), "", {{"X-Tocayo-Csrf", "1"}}).status, 300);
    }
  }
  ASSERT_EQ(push(server, "new", now_ns(), random).status, 204);
  // Something else fills the disk, up to what is kept.
  {
    std::ofstream ballast(place.path() / "ballast", std::ios::binary);
    const std::string block(1 << 20, 'x');
    while (free_bytes(place.path()) > (255U << 20)) ballast.write(block.data(), 1 << 20).flush();
  }
  HttpReply refused;
  ASSERT_TRUE(eventually([&] { return (refused = push(server, "refused", now_ns(), random)).status == 503; }));
  EXPECT_TRUE(refused.headers.contains("retry-after"));
  EXPECT_NE(refused.body.find("disk is full"), std::string::npos) << refused.body;
  EXPECT_EQ(count(server, "old"), old_lines) << "reads go on";
  EXPECT_EQ(count(server, "new"), 2048);
  EXPECT_GT(free_bytes(place.path()), 128U << 20) << "what is kept is still there";
  // Nobody touches the server but for its retention.
  limits("overrides:\n  anonymous: {logs: {retention_period: 2h}}\n  fake: {logs: {retention_period: 2h}}\n");
  server.process().signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return push(server, "again", now_ns(), random).status == 204; }, 60s)) << server.log();
  EXPECT_EQ(count(server, "old"), 0);
  EXPECT_EQ(count(server, "new"), 2048);
  server.kill9();
  ASSERT_TRUE(server.start());
  EXPECT_EQ(count(server, "old"), 0);
  EXPECT_EQ(count(server, "new"), 2048);
  EXPECT_GE(count(server, "again"), 2048);
}

}  // namespace
}  // namespace tocayo::testing
