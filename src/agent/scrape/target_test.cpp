// SPDX-License-Identifier: Apache-2.0
#include "agent/scrape/target.h"

#include <gtest/gtest.h>

namespace tocayo::agent {
namespace {

ScrapeConfig job() {
  ScrapeConfig config;
  config.job_name = "node";
  config.interval = std::chrono::seconds(15);
  return config;
}

RelabelRule replace(std::string target, std::string replacement, std::vector<std::string> source = {},
                    std::string regex = "(.*)") {
  RelabelRule rule;
  rule.target_label = std::move(target);
  rule.replacement = std::move(replacement);
  rule.source_labels = std::move(source);
  rule.regex = std::move(regex);
  EXPECT_TRUE(compile(rule));
  return rule;
}

TargetSpec made(const ScrapeConfig& config, const Labels& target, const Labels& group = {}) {
  auto spec = make_target(config, discovered_labels(config, target, group));
  EXPECT_TRUE(spec) << (spec ? "" : spec.error().message);
  EXPECT_TRUE(spec && *spec);
  return spec && *spec ? **spec : TargetSpec{};
}

std::string refused(const ScrapeConfig& config, const Labels& target) {
  auto spec = make_target(config, discovered_labels(config, target, {}));
  return spec ? "accepted" : spec.error().message;
}

TEST(Target, HasTheJobsDefaults) {
  TargetSpec spec = made(job(), {{"__address__", "h:9100"}, {"a", "target"}}, {{"a", "group"}, {"b", "group"}});
  EXPECT_EQ(spec.url, "http://h:9100/metrics");
  EXPECT_EQ(spec.labels, (Labels{{"job", "node"}, {"instance", "h:9100"}, {"a", "target"}, {"b", "group"}}));
  EXPECT_EQ(spec.interval, std::chrono::seconds(15));
  EXPECT_EQ(spec.timeout, std::chrono::seconds(10));
  EXPECT_EQ(spec.discovered.get("__scrape_interval__"), "15s");
  EXPECT_EQ(spec.discovered.get("__scrape_native_histograms__"), "false");
}

TEST(Target, RelabellingChangesWhereAndHow) {
  ScrapeConfig config = job();
  config.params = {{"module", {"http_2xx", "second"}}, {"a b", {"c&d"}}};
  config.relabel = {replace("__param_target", "$1", {"__address__"}),
                    replace("instance", "$1", {"__param_target"}),
                    replace("__address__", "127.0.0.1:9115"),
                    replace("__metrics_path__", "probe x"),
                    replace("__scheme__", "https"),
                    replace("__scrape_interval__", "30s"),
                    replace("__scrape_timeout__", "500ms"),
                    replace("__tmp", "x"),
                    replace("__scrape_native_histograms__", "true"),
                    replace("__unix_socket__", "/run/x.sock")};
  TargetSpec spec = made(config, {{"__address__", "example.org"}});
  EXPECT_EQ(spec.url, "https://127.0.0.1:9115/probe%20x?a+b=c%26d&module=http_2xx&module=second&target=example.org");
  EXPECT_EQ(spec.labels, (Labels{{"job", "node"}, {"instance", "example.org"}}));
  EXPECT_EQ(spec.interval, std::chrono::seconds(30));
  EXPECT_EQ(spec.timeout, std::chrono::milliseconds(500));
  EXPECT_EQ(spec.unix_socket, "/run/x.sock");
  EXPECT_TRUE(spec.scrape_native_histograms);
  EXPECT_FALSE(spec.always_scrape_classic_histograms);
}

TEST(Target, AParameterFromDiscoveryIsKept) {
  ScrapeConfig config = job();
  config.params = {{"module", {"http", "tcp"}}};
  EXPECT_EQ(made(config, {{"__address__", "h:1"}, {"__param_module", "icmp"}}).url,
            "http://h:1/metrics?module=icmp&module=tcp");
}

TEST(Target, AQuestionMarkInThePathIsPartOfIt) {
  EXPECT_EQ(made(job(), {{"__address__", "[::1]:9100"}, {"__metrics_path__", "/m?x"}}).url, "http://[::1]:9100/m%3Fx");
}

TEST(Target, DroppedAndUnusableOnes) {
  ScrapeConfig config = job();
  EXPECT_EQ(refused(config, {{"a", "b"}}), "no address");
  EXPECT_EQ(refused(config, {{"__address__", "http://h"}}), "\"http://h\" is not a valid hostname");
  EXPECT_NE(
      refused(config, {{"__address__", "h"}, {"__scrape_interval__", "soon"}}).find("error parsing scrape interval"),
      std::string::npos);
  EXPECT_EQ(refused(config, {{"__address__", "h"}, {"__scrape_timeout__", "0s"}}), "scrape timeout cannot be 0");
  EXPECT_EQ(refused(config, {{"__address__", "h"}, {"__scrape_timeout__", "20s"}}),
            "scrape timeout cannot be greater than scrape interval (\"20s\" > \"15s\")");
  EXPECT_EQ(refused(config, {{"__address__", "h"}, {"bad", "\xff"}}), "invalid label value for \"bad\"");
  EXPECT_NE(
      refused(config, {{"__address__", "h"}, {"__scrape_native_histograms__", "maybe"}}).find("neither true nor false"),
      std::string::npos);
  EXPECT_NE(
      refused(config, {{"__address__", "h"}, {"__convert_classic_histograms_to_nhcb__", "2"}}).find("neither true"),
      std::string::npos);
  RelabelRule drop;
  drop.action = RelabelRule::Action::drop;
  drop.source_labels = {"job"};
  drop.regex = "node";
  ASSERT_TRUE(compile(drop));
  config.relabel = {drop};
  auto dropped = make_target(config, discovered_labels(config, {{"__address__", "h"}}, {}));
  ASSERT_TRUE(dropped);
  EXPECT_FALSE(*dropped);
}

TEST(Target, IdentityTellsTargetsApart) {
  ScrapeConfig config = job();
  auto id = [&](const Labels& target) { return made(config, target).identity; };
  const auto plain = id({{"__address__", "h"}});
  EXPECT_EQ(plain, id({{"__address__", "h"}, {"__meta_x", "y"}}));  // not what discovery says about it
  EXPECT_NE(plain, id({{"__address__", "i"}}));
  EXPECT_NE(plain, id({{"__address__", "h"}, {"x", "y"}}));
  EXPECT_NE(plain, id({{"__address__", "h"}, {"__metrics_path__", "/x"}}));
  EXPECT_NE(plain, id({{"__address__", "h"}, {"__unix_socket__", "/run/x"}}));
  EXPECT_NE(plain, id({{"__address__", "h"}, {"__scrape_interval__", "16s"}}));
}

}  // namespace
}  // namespace tocayo::agent
