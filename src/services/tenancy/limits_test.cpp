// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "core/registry.h"
#include "db/testing.h"
#include "tenancy/limits.h"
#include "tenancy/overrides.h"

namespace tocayo::tenancy {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr std::string_view kMimirFile = R"yaml(
overrides:
  team-a:
    ingestion_rate: 350000
    ingestion_burst_size: 3500000
    max_global_series_per_user: 3e6
    max_label_names_per_series: 40
    ruler_max_rules_per_rule_group: 50
    ruler_max_rule_groups_per_tenant: 100
    compactor_blocks_retention_period: 1y
    creation_grace_period: 5m
    drop_labels: [cluster, __replica__]
    enabled_promql_experimental_functions: "mad_over_time,sort_by_label"
    active_series_custom_trackers:
      dev: '{namespace="dev"}'
    metric_relabel_configs:
      - source_labels: [__name__]
        regex: go_.*
        action: drop
    blocked_queries:
      - pattern: '.*expensive.*'
        regex: true
        reason: too heavy
    blocked_requests:
      - path: /api/v1/series
        query_params:
          limit: {value: "[0-9]{5,}", is_regexp: true}
    alertmanager_notification_rate_limit: 3
    compactor_split_and_merge_shards: 4
  "b!-_.*'()":
    max_fetched_chunks_per_query: 0
)yaml";

TEST(Limits, DefaultsDependOnLogin) {
  Limits on = Limits::defaults(true), off = Limits::defaults(false);
  EXPECT_EQ(on.ingestion_rate, 10'000);
  EXPECT_EQ(on.max_global_series_per_user, 150'000);
  EXPECT_EQ(on.max_fetched_chunks_per_query, 2'000'000);
  EXPECT_EQ(on.max_label_names_per_series, 30);
  EXPECT_EQ(off.ingestion_rate, 0);
  EXPECT_EQ(off.max_global_series_per_user, 0);
  EXPECT_EQ(off.max_fetched_chunks_per_query, 0);
  EXPECT_EQ(off.max_label_names_per_series, 0);
  EXPECT_EQ(off.max_label_name_length, 1'024);
  EXPECT_EQ(off.max_query_parallelism, 14);
  EXPECT_EQ(off.max_global_exemplars_per_user, 100'000);
  EXPECT_TRUE(off.cardinality_analysis_enabled);
}

TEST(Limits, AFileOfMimirPastesIn) {
  std::string text(kMimirFile);
  text.replace(text.find("3e6"), 3, "3000000");
  auto parsed = parse_overrides(text, "overrides.yaml", Limits::defaults(true));
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->tenants.size(), 2u);
  const Limits& a = *parsed->tenants.at("team-a");
  EXPECT_EQ(a.ingestion_rate, 350'000);
  EXPECT_EQ(a.max_global_series_per_user, 3'000'000);
  EXPECT_EQ(a.compactor_blocks_retention_period, hours(24 * 365));
  EXPECT_EQ(a.creation_grace_period, minutes(5));
  EXPECT_EQ(a.drop_labels, (std::vector<std::string>{"cluster", "__replica__"}));
  EXPECT_EQ(a.enabled_promql_experimental_functions, (std::vector<std::string>{"mad_over_time", "sort_by_label"}));
  EXPECT_EQ(a.active_series_custom_trackers.at("dev"), "{namespace=\"dev\"}");
  EXPECT_NE(a.metric_relabel_configs.find("go_.*"), std::string::npos);
  ASSERT_EQ(a.blocked_queries.size(), 1u);
  EXPECT_TRUE(a.blocked_queries[0].regex);
  EXPECT_EQ(a.blocked_requests.at(0).query_params.at("limit"), "=~[0-9]{5,}");
  EXPECT_EQ(a.max_label_value_length, 2'048);  // from the base
  EXPECT_EQ(parsed->tenants.at("b!-_.*'()")->max_fetched_chunks_per_query, 0);
  ASSERT_EQ(parsed->warnings.size(), 2u);
  EXPECT_NE(parsed->warnings[0].find("alertmanager_notification_rate_limit"), std::string::npos);
  EXPECT_TRUE(parsed->warnings[0].starts_with("overrides.yaml:")) << parsed->warnings[0];
}

TEST(Limits, MistakesAreLocated) {
  struct Case {
    const char* text;
    const char* expected;
  };
  for (auto& [text, expected] : std::vector<Case>{
           {"overrides:\n  a:\n    ingestion_rates: 1\n", "o.yaml:3:5: "},
           {"overrides:\n  a:\n    ingestion_rate: fast\n", "o.yaml:3:"},
           {"overrides:\n  a:\n    ingestion_rate: -1\n", "o.yaml:3:"},
           {"overrides:\n  a:\n    ingestion_rate: .nan\n", "o.yaml:3:"},
           {"overrides:\n  a:\n    max_global_series_per_user: 1.5\n", "o.yaml:3:"},
           {"overrides:\n  a:\n    max_query_lookback: 5 minutes\n", "o.yaml:3:"},
           {"overrides:\n  a: [1]\n", "o.yaml:2:"},
           {"overrides:\n  a/b: {}\n", "o.yaml:2:3: the tenant id"},
           {"overrides: 7\n", "o.yaml:1:"},
           {"override:\n  a: {}\n", "o.yaml:1:1: "},
           {"overrides:\n  a: {\n", "o.yaml:"},
           {"overrides:\n  a:\n    blocked_requests: [{}]\n", "would block everything"},
           {"overrides:\n  a:\n    blocked_queries: {pattern: x}\n", "a list is expected"},
           {"overrides:\n  a:\n    blocked_queries:\n    - {pattern: '(', regex: true}\n", "o.yaml:4:7: "},
           {"overrides:\n  a:\n    blocked_requests: [{query_params: {q: '=~['}}]\n", "o.yaml:3:43: "},
           {"overrides:\n  a: {}\n  a: {}\n", "twice"}}) {
    auto parsed = parse_overrides(text, "o.yaml", Limits::defaults(true));
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().kind, ErrorKind::bad_input);
    EXPECT_NE(parsed.error().message.find(expected), std::string::npos) << parsed.error().message;
  }
  auto typo = parse_limits("ingestion_rates: 1\n", "tocayo.yaml", {});
  EXPECT_NE(typo.error().message.find("ingestion_rate"), std::string::npos) << typo.error().message;
}

TEST(Limits, YamlRoundTrips) {
  std::string text(kMimirFile);
  text.replace(text.find("3e6"), 3, "3000000");
  Limits base = Limits::defaults(true);
  auto parsed = parse_overrides(text, "o", base);
  ASSERT_TRUE(parsed);
  const Limits& a = *parsed->tenants.at("team-a");
  for (const Limits* against : {static_cast<const Limits*>(nullptr), static_cast<const Limits*>(&base)}) {
    std::string printed = to_yaml(a, against, 0);
    auto again = parse_limits(printed, "printed", base);
    ASSERT_TRUE(again) << again.error().message << "\n" << printed;
    EXPECT_TRUE(again->limits == a) << printed;
  }
  EXPECT_EQ(to_yaml(base, &base, 0), "");
}

class LimitsServiceTest : public ::testing::Test {
 protected:
  void write(std::string_view text) {
    std::string temporary = file_ + ".tmp";
    std::ofstream(temporary) << text;
    std::filesystem::rename(temporary, file_);
  }
  double gauge(std::string_view name) {
    for (auto& family : Registry::global().collect()) {
      if (family.name == name) return family.samples.at(0).value;
    }
    return -1;
  }

  db::testing::TemporaryDirectory directory_;
  std::string file_ = (directory_.path() / "overrides.yaml").string();
};

TEST_F(LimitsServiceTest, ReloadKeepsTheOldLimitsWhenTheFileBreaks) {
  write("overrides:\n  a:\n    ingestion_rate: 5\n");
  auto service = LimitsService::open({.login_required = true, .overrides_file = file_, .reload_every = hours(1)});
  ASSERT_TRUE(service) << service.error().message;
  auto held = (*service)->limits("a");
  EXPECT_EQ(held->ingestion_rate, 5);
  EXPECT_EQ((*service)->limits("b")->ingestion_rate, 10'000);
  EXPECT_EQ(gauge("cortex_runtime_config_last_reload_successful"), 1);
  write("overrides:\n  a:\n    ingestion_rate: x\n");
  EXPECT_FALSE((*service)->reload_overrides());
  EXPECT_EQ((*service)->limits("a")->ingestion_rate, 5);
  EXPECT_EQ(gauge("cortex_runtime_config_last_reload_successful"), 0);
  write("overrides:\n  a:\n    ingestion_rate: 6\n");
  ASSERT_TRUE((*service)->reload_overrides());
  EXPECT_EQ((*service)->limits("a")->ingestion_rate, 6);
  EXPECT_EQ(held->ingestion_rate, 5);  // a snapshot that is held does not change
  EXPECT_EQ(gauge("cortex_runtime_config_last_reload_successful"), 1);
  std::string text = Registry::global().to_text();
  EXPECT_NE(text.find("cortex_limits_overrides{limit_name=\"ingestion_rate\",user=\"a\"} 6"), std::string::npos);
  EXPECT_NE(text.find("cortex_limits_defaults{limit_name=\"ingestion_rate\"} 10000"), std::string::npos);
  EXPECT_NE(text.find("cortex_runtime_config_hash{sha256=\""), std::string::npos);
  std::filesystem::remove(file_);
  ASSERT_TRUE((*service)->reload_overrides());
  EXPECT_EQ((*service)->limits("a")->ingestion_rate, 10'000);
}

TEST_F(LimitsServiceTest, TheFileIsReadAgainByItself) {
  auto service = LimitsService::open(
      {.login_required = true, .overrides_file = file_, .reload_every = std::chrono::milliseconds(5)});
  ASSERT_TRUE(service);
  write("overrides:\n  a:\n    ingestion_rate: 5\n");
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while ((*service)->limits("a")->ingestion_rate != 5) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::yield();
  }
}

TEST_F(LimitsServiceTest, BlockReloadAppliesUnderTheOverrides) {
  write("overrides:\n  a:\n    ingestion_rate: 5\n");
  auto service = LimitsService::open({.login_required = true,
                                      .limits_yaml = "max_query_lookback: 1d\n",
                                      .overrides_file = file_,
                                      .reload_every = hours(1)});
  ASSERT_TRUE(service);
  EXPECT_EQ((*service)->limits("a")->max_query_lookback, hours(24));
  EXPECT_FALSE((*service)->reload_limits("max_query_lookback: 1 day\n"));
  EXPECT_EQ((*service)->limits("a")->max_query_lookback, hours(24));
  ASSERT_TRUE((*service)->reload_limits("max_query_lookback: 2d\n"));
  EXPECT_EQ((*service)->limits("a")->max_query_lookback, hours(48));
  EXPECT_EQ((*service)->limits("a")->ingestion_rate, 5);
  EXPECT_EQ((*service)->limits("b")->max_query_lookback, hours(48));
}

TEST_F(LimitsServiceTest, WhatTheApiShows) {
  write("overrides:\n  a:\n    ingestion_rate: 5\n");
  auto service = LimitsService::open({.login_required = true, .overrides_file = file_, .reload_every = hours(1)});
  ASSERT_TRUE(service);
  EXPECT_EQ((*service)->runtime_config(true), "overrides:\n  'a':\n    ingestion_rate: 5\n");
  auto back = parse_overrides((*service)->runtime_config(false), "shown", Limits::defaults(true));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->tenants.at("a")->ingestion_rate, 5);
  EXPECT_NE((*service)->user_limits("a").find("\"ingestion_rate\":5,"), std::string::npos)
      << (*service)->user_limits("a");
  EXPECT_NE((*service)->user_limits("b").find("\"max_global_series_per_user\":150000"), std::string::npos);
}

TEST_F(LimitsServiceTest, ABrokenFileAtStartIsAnError) {
  write("overrides: [\n");
  EXPECT_FALSE(LimitsService::open({.overrides_file = file_}));
  EXPECT_FALSE(LimitsService::open({.limits_yaml = "nonsense: 1\n"}));
}

}  // namespace
}  // namespace tocayo::tenancy
