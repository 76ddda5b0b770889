// SPDX-License-Identifier: Apache-2.0
#include "core/config.h"

#include <gtest/gtest.h>

#include "core/text.h"
#include "core/yaml.h"

namespace tocayo {
namespace {

const std::vector<ConfigKey> kKeys = {
    {"server.listen", ConfigType::text, "127.0.0.1:4600", "where to listen"},
    {"metrics.wal.mode", ConfigType::choice, "batch", "durability", false, {"batch", "interval", "off"}},
    {"metrics.retention.time", ConfigType::duration, "30d", "how long samples are kept", true},
    {"memory.limit", ConfigType::bytes, "0", "budget"},
    {"agent.enabled", ConfigType::boolean, "true", "watch this machine"},
    {"server.cors_origins", ConfigType::list, "", "origins"},
    {"limits", ConfigType::tree, "", "limits", true}};

Config::Sources file(std::string text) { return {"tocayo.yaml", std::move(text), {}, {}}; }

TEST(Config, LaterSourcesWin) {
  auto sources = file(
      "server:\n  listen: \"0.0.0.0:1\"\nmetrics: {wal: {mode: interval}, retention: {time: 2d}}\nlimits:\n  a: {b: "
      "1}\n");
  sources.environment = {{"TOCAYO_METRICS_RETENTION_TIME", "1d"}, {"TOCAYO_MEMORY_LIMIT", "2GiB"}};
  sources.sets = {"metrics.retention.time=12h", "server.cors_origins=a, b"};
  auto config = Config::load(kKeys, sources);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->text("server.listen"), "0.0.0.0:1");
  EXPECT_EQ(config->origin("server.listen"), "tocayo.yaml:2:11");
  EXPECT_EQ(config->text("metrics.wal.mode"), "interval");
  EXPECT_EQ(config->duration("metrics.retention.time"), std::chrono::hours(12));
  EXPECT_EQ(config->bytes("memory.limit"), 2ULL << 30);
  EXPECT_EQ(config->list("server.cors_origins"), (std::vector<std::string>{"a", "b"}));
  EXPECT_NE(config->tree("limits").find("b: 1"), std::string::npos);
}

TEST(Config, ErrorsAreLocatedAndSuggest) {
  struct Case {
    std::string text, error;
  };
  for (const auto& [text, error] : std::vector<Case>{
           {"server:\n  lisen: x\n", "tocayo.yaml:2:3: unknown key \"server.lisen\"; did you mean \"server.listen\"?"},
           {"metrics:\n  wal:\n    mode: sometimes\n",
            "tocayo.yaml:3:11: metrics.wal.mode: \"sometimes\" is not one of batch, interval, off"},
           {"agent: {enabled: maybe}\n", "tocayo.yaml:1:18: agent.enabled: true or false is expected, not \"maybe\""},
           {"metrics: {retention: {time: forever}}\n",
            "tocayo.yaml:1:29: metrics.retention.time: not a valid duration string: \"forever\""},
           {"server: [1]\n", "tocayo.yaml:1:9: a mapping (key: value) is expected here"},
           {"server:\n  listen: a\n  listen: b\n", "tocayo.yaml:3:3: key \"listen\" is given twice"},
           {"a: b: c\n", "tocayo.yaml:1:5: illegal map value"}}) {
    auto config = Config::load(kKeys, file(text));
    ASSERT_FALSE(config) << text;
    EXPECT_EQ(config.error().message, error);
  }
  Config::Sources sources;
  sources.sets = {"server.listn=x"};
  EXPECT_EQ(Config::load(kKeys, sources).error().message,
            "--set: unknown key \"server.listn\"; did you mean \"server.listen\"?");
  sources.sets.clear();
  sources.environment = {{"TOCAYO_SERVER_LISTE", "x"}};
  EXPECT_EQ(Config::load(kKeys, sources).error().message,
            "environment: TOCAYO_SERVER_LISTE names no key; did you mean TOCAYO_SERVER_LISTEN?");
}

TEST(Config, PrintedYamlLoadsBack) {
  auto config = Config::load(kKeys, file("limits:\n  x: {y: [1, 2]}\nserver: {listen: \"a\\\"b\"}\n"));
  ASSERT_TRUE(config);
  auto again = Config::load(kKeys, file(config->to_yaml(true)));
  ASSERT_TRUE(again) << again.error().message << config->to_yaml(true);
  EXPECT_EQ(again->to_yaml(false), config->to_yaml(false));
  EXPECT_TRUE(config->changed_but_fixed(*again).empty());
}

TEST(Config, FixedKeysAreReportedOnReload) {
  auto before = Config::load(kKeys, file(""));
  auto after = Config::load(kKeys, file("server: {listen: \"x\"}\nmetrics: {retention: {time: 1d}}\n"));
  ASSERT_TRUE(before && after);
  EXPECT_EQ(before->changed_but_fixed(*after), std::vector<std::string>{"server.listen"});
}

TEST(Text, Bytes) {
  EXPECT_EQ(*parse_bytes("100"), 100U);
  EXPECT_EQ(*parse_bytes("1.5kB"), 1500U);
  EXPECT_EQ(*parse_bytes("2 GiB"), 2ULL << 30);
  for (auto bad : {"", "x", "-1", "1Q", "nan", "1e30"}) EXPECT_FALSE(parse_bytes(bad)) << bad;
}

}  // namespace
}  // namespace tocayo
