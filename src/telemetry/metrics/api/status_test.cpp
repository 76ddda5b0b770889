// SPDX-License-Identifier: Apache-2.0
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <gtest/gtest.h>

#include "metrics/api/federate.h"
#include "metrics/api/test_support.h"

namespace tocayo::metrics::api {
namespace {

using test::Fixture;
using Answer = std::pair<int, std::string>;

boost::json::value data_of(const Answer& answer) {
  EXPECT_EQ(answer.first, 200) << answer.second;
  boost::system::error_code error;
  auto json = boost::json::parse(answer.second, error);
  EXPECT_FALSE(error) << answer.second;
  if (error || !json.is_object()) return {};
  EXPECT_EQ(json.as_object()["status"], "success");
  return json.as_object()["data"];
}

TEST(Status, EveryAnswerIsValidJsonOfItsShape) {
  Fixture fixture([](ApiDependencies& deps) {
    deps.config_yaml = [] { return std::string("a: \"b\"\n"); };
    deps.flags = {{"web.listen-address", "127.0.0.1:4600"}};
    deps.storage_retention = "15d";
    deps.head_status = [](std::string_view, std::size_t limit) -> Result<HeadStatus> {
      HeadStatus status;
      status.series = limit;
      status.series_by_metric = {{"up", 3}};
      status.series_by_label_pair = {{"job=a\"", 2}};
      return status;
    };
    deps.replay = [] { return ReplayProgress{1, 10, 5}; };
    deps.blocks = [](std::string_view) -> Result<std::vector<BlockInfo>> {
      return std::vector<BlockInfo>{{"01X", 1, 2, 3, 4, 5, 1}};
    };
  });
  EXPECT_EQ(data_of(fixture.ask(handle_status_config, "")).at("yaml"), "a: \"b\"\n");
  EXPECT_EQ(data_of(fixture.ask(handle_status_flags, "")).at("web.listen-address"), "127.0.0.1:4600");
  const auto runtime = data_of(fixture.ask(handle_status_runtimeinfo, ""));
  EXPECT_EQ(runtime.at("storageRetention"), "15d");
  EXPECT_EQ(runtime.at("serverTime"), "2023-11-14T22:13:20.000Z");
  const auto build = data_of(fixture.ask(handle_status_buildinfo, ""));
  EXPECT_EQ(build.at("application"), "Tocayo");
  EXPECT_TRUE(std::string_view(build.at("version").as_string()).starts_with("3."));
  const auto tsdb = data_of(fixture.ask(handle_status_tsdb, ""));
  EXPECT_EQ(tsdb.at("headStats").at("numSeries"), 10);
  EXPECT_EQ(tsdb.at("seriesCountByMetricName").at(0).at("value"), 3);
  EXPECT_EQ(tsdb.at("seriesCountByLabelValuePair").at(0).at("name"), "job=a\"");
  EXPECT_EQ(data_of(fixture.ask(handle_status_tsdb, "limit=10000")).at("headStats").at("numSeries"), 10000);
  EXPECT_EQ(fixture.ask(handle_status_tsdb, "limit=10001").first, 400);
  EXPECT_EQ(fixture.ask(handle_status_tsdb, "limit=0").first, 400);
  EXPECT_EQ(data_of(fixture.ask(handle_status_walreplay, "")).at("current"), 5);
  EXPECT_EQ(data_of(fixture.ask(handle_status_tsdb_blocks, "")).at("blocks").at(0).at("stats").at("numSamples"), 3);
  const auto features = data_of(fixture.ask(handle_features, ""));
  EXPECT_EQ(features.at("promql").at("at_modifier"), true);
  EXPECT_EQ(features.at("promql_functions").at("rate"), true);
  EXPECT_EQ(features.at("promql_functions").at("info"), false) << "experimental ones are off in this engine";
  EXPECT_EQ(features.at("promql_operators").at("limitk"), false);
}

TEST(Status, SelfMetrics) {
  Fixture fixture;
  fixture.registry.counter("x_total", "help", {{"a", "b"}}).add(2);
  fixture.registry.histogram("x_seconds", "help").observe(0.2);
  const auto all = data_of(fixture.ask(handle_status_self_metrics, "metric_name_pattern=x_.*"));
  ASSERT_EQ(all.as_array().size(), 2u);
  EXPECT_EQ(all.at(0).at("name"), "x_seconds");
  EXPECT_EQ(all.at(0).at("metric").at(0).at("histogram").at("sampleCount"), "1");
  EXPECT_EQ(all.at(1).at("metric").at(0).at("counter").at("value"), 2);
  EXPECT_EQ(fixture.ask(handle_status_self_metrics, "metric_name_pattern=(").first, 400);
  data_of(fixture.ask(handle_status_self_metrics, ""));
}

TEST(Status, HealthAndReadiness) {
  bool ready = false;
  Fixture fixture([&](ApiDependencies& deps) { deps.ready = [&] { return ready; }; });
  EXPECT_EQ(fixture.ask(handle_healthy, "").first, 200);
  EXPECT_EQ(fixture.ask(handle_ready, "").first, 503);
  ready = true;
  EXPECT_EQ(fixture.ask(handle_ready, "").first, 200);
  EXPECT_NE(fixture.ask(handle_self_metrics_text, "").second.find("# TYPE prometheus_engine_queries gauge"),
            std::string::npos);
}

TEST(Status, AlertingAndAdminAnswerValidly) {
  Fixture fixture;
  EXPECT_EQ(fixture.ask(handle_rules, ""), (Answer{200, R"({"status":"success","data":{"groups":[]}})"}));
  EXPECT_EQ(
      fixture.ask(handle_rules, "type=foo"),
      (Answer{
          400,
          R"({"status":"error","errorType":"bad_data","error":"invalid parameter \"type\": not supported value \"foo\""})"}));
  EXPECT_EQ(fixture.ask(handle_alerts, ""), (Answer{200, R"({"status":"success","data":{"alerts":[]}})"}));
  EXPECT_EQ(data_of(fixture.ask(handle_alertmanagers, "")).at("activeAlertmanagers").as_array().size(), 0u);
  EXPECT_EQ(fixture.ask(handle_admin_unavailable, ""),
            (Answer{503, R"({"status":"error","errorType":"unavailable","error":"admin APIs disabled"})"}));
}

class FakeTargets final : public TargetProvider {
 public:
  std::vector<std::string> scrape_pools() const override { return {"b", "a"}; }
  std::vector<ScrapeTarget> active_targets() const override {
    ScrapeTarget target;
    target.labels = {{"job", "b"}};
    target.scrape_pool = "b";
    target.last_scrape = 1'700'000'000'000;
    ScrapeTarget never;
    never.scrape_pool = "a";
    return {target, never};
  }
  std::vector<DroppedTarget> dropped_targets() const override { return {{{{"__address__", "x"}}, "a"}}; }
  std::vector<std::pair<std::string, std::size_t>> dropped_counts() const override { return {{"a", 1}}; }
  std::vector<TargetMetadata> metadata(std::string_view) const override {
    return {{{{"job", "a"}}, {"m", "gauge", "help", ""}}, {{{"job", "b"}}, {"m", "gauge", "help", ""}}};
  }
  Result<std::string> pool_config(std::string_view pool) const override {
    if (pool != "a") return fail(ErrorKind::bad_input, "unknown scrape pool");
    return std::string("job_name: a\n");
  }
  Result<std::vector<RelabelStep>> relabel_steps(std::string_view, const Labels& labels) const override {
    return std::vector<RelabelStep>{{R"({"action":"replace"})", labels, true}};
  }
};

TEST(Targets, WithAndWithoutProvider) {
  FakeTargets targets;
  Fixture fixture([&](ApiDependencies& deps) { deps.targets = &targets; });
  const auto all = data_of(fixture.ask(handle_targets, ""));
  EXPECT_EQ(all.at("activeTargets").as_array().size(), 2u);
  EXPECT_EQ(all.at("activeTargets").at(0).at("lastScrape"), "0001-01-01T00:00:00Z");
  EXPECT_EQ(all.at("activeTargets").at(1).at("lastScrape"), "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(all.at("droppedTargetCounts").at("a"), 1);
  EXPECT_EQ(data_of(fixture.ask(handle_targets, "state=active")).at("droppedTargets").as_array().size(), 0u);
  EXPECT_EQ(data_of(fixture.ask(handle_targets, "state=dropped&scrapePool=b")).at("droppedTargets").as_array().size(),
            0u);
  EXPECT_EQ(fixture.ask(handle_scrape_pools, "").second, R"({"status":"success","data":{"scrapePools":["a","b"]}})");
  EXPECT_EQ(data_of(fixture.ask(handle_scrape_pool_config, "scrapePool=a")).at("yaml"), "job_name: a\n");
  EXPECT_EQ(fixture.ask(handle_scrape_pool_config, "scrapePool=x").first, 400);
  EXPECT_EQ(fixture.ask(handle_scrape_pool_config, "").second,
            R"({"status":"error","errorType":"bad_data","error":"no scrapePool parameter provided"})");
  EXPECT_EQ(data_of(fixture.ask(handle_targets_metadata, "match_target=%7Bjob%3D%22b%22%7D")).as_array().size(), 1u);
  EXPECT_EQ(data_of(fixture.ask(handle_targets_metadata, "limit=1")).at(0).at("metric"), "m");
  EXPECT_EQ(fixture.ask(handle_relabel_steps, "scrapePool=a&labels=%7B%22x%22%3A%22y%22%7D").second,
            R"({"status":"success","data":{"steps":[{"rule":{"action":"replace"},"output":{"x":"y"},"keep":true}]}})");
  EXPECT_EQ(fixture.ask(handle_relabel_steps, "scrapePool=a&labels=%7B").first, 400);

  Fixture empty;
  EXPECT_EQ(empty.ask(handle_targets, "").second,
            R"({"status":"success","data":{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{}}})");
  EXPECT_EQ(empty.ask(handle_scrape_pools, "").second, R"({"status":"success","data":{"scrapePools":[]}})");
  EXPECT_EQ(empty.ask(handle_targets_metadata, "").second, R"({"status":"success","data":[]})");
}

TEST(Notifications, ListAndLive) {
  Pool pool("n", 1);
  test::FakeClock clock;
  NotificationHub hub(pool, clock);
  Fixture fixture([&](ApiDependencies& deps) { deps.notifications = &hub; });
  hub.add("reload failed");
  hub.add("reload failed");
  EXPECT_EQ(
      fixture.ask(handle_notifications, "").second,
      R"({"status":"success","data":[{"text":"reload failed","date":"2023-11-14T22:13:20.000Z","active":true}]})");

  std::stop_source stop;
  auto subscription = hub.subscribe();
  ASSERT_TRUE(subscription);
  const Context context(stop.get_token(), Context::Steady::time_point::max());
  auto first = sync_wait(subscription->next(context));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->text, "reload failed");
  std::jthread later([&] { hub.remove("reload failed"); });
  auto second = sync_wait(subscription->next(context));
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->active);
  std::jthread stopper([&] { stop.request_stop(); });
  EXPECT_EQ(sync_wait(subscription->next(context)).error().kind, ErrorKind::canceled);

  std::vector<std::shared_ptr<NotificationHub::Subscription>> many;
  while (auto one = hub.subscribe()) many.push_back(one);
  EXPECT_EQ(many.size(), NotificationHub::kMaxSubscribers - 1);
  EXPECT_EQ(fixture.ask(handle_notifications_live, "").first, 204);
  many.clear();
  EXPECT_TRUE(hub.subscribe());
}

TEST(Federate, TextSortedByName) {
  Fixture fixture([](ApiDependencies& deps) { deps.external_labels = {{"region", "eu"}}; });
  fixture.clock.now = 100'000;
  fixture.load("b{x=\"1\"} 1 2 3");
  fixture.load("a{region=\"own\",\"my.label\"=\"q\\\"\"} 4 5 6.5");
  fixture.load("stale 1 2 stale");
  fixture.load("old 1", -1'000'000);
  EXPECT_EQ(fixture.ask(handle_federate, "match[]=%7B__name__%3D~%22.%2B%22%7D").second,
            "# TYPE a untyped\na{\"my.label\"=\"q\\\"\",region=\"own\",instance=\"\"} 6.5 20000\n"
            "# TYPE b untyped\nb{x=\"1\",instance=\"\",region=\"eu\"} 3 20000\n");
  EXPECT_EQ(fixture.ask(handle_federate, "match[]=%7B").first, 400);
}

TEST(Federate, HistogramsByFormat) {
  Fixture fixture;
  fixture.clock.now = 100'000;
  fixture.load("e {{schema:0 sum:5 count:3 buckets:[1 2]}}");
  fixture.load("c {{schema:-53 sum:5 count:6 custom_values:[1 2] buckets:[1 2 3]}}");
  EXPECT_EQ(fixture.ask(handle_federate, "match[]=%7B__name__%3D~%22.%2B%22%7D").second,
            "# TYPE c histogram\nc_bucket{instance=\"\",le=\"1\"} 1 0\nc_bucket{instance=\"\",le=\"2\"} 3 0\n"
            "c_bucket{instance=\"\",le=\"+Inf\"} 6 0\nc_sum{instance=\"\"} 5 0\nc_count{instance=\"\"} 6 0\n");
  EXPECT_TRUE(accepts_delimited_protobuf(
      "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;"
      "q=0.8,text/plain;version=0.0.4;q=0.5"));
  EXPECT_FALSE(
      accepts_delimited_protobuf("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
                                 "encoding=delimited;q=0.2,text/plain;q=0.5"));
  EXPECT_FALSE(accepts_delimited_protobuf("*/*"));
}

}  // namespace
}  // namespace tocayo::metrics::api
