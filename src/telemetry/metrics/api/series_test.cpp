// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "metrics/api/json.h"
#include "metrics/api/test_support.h"

namespace tocayo::metrics::api {
namespace {

using test::Fixture;
using Answer = std::pair<int, std::string>;

struct Loaded : Fixture {
  explicit Loaded(std::function<void(ApiDependencies&)> change = {}) : Fixture(std::move(change)) {
    load("up{job=\"a\"} 1 1 1");
    load("up{job=\"b\"} 1 1 1");
    load("down{job=\"a\",\"my.label\"=\"v\"} 1 1 1");
  }
};

TEST(Series, ListsMergesAndLimits) {
  Loaded fixture;
  EXPECT_EQ(fixture.ask(handle_series, "match[]=up"),
            (Answer{200, R"({"status":"success","data":[{"__name__":"up","job":"a"},{"__name__":"up","job":"b"}]})"}));
  EXPECT_EQ(fixture.ask(handle_series, Fixture::form("match%5B%5D=up&match%5B%5D=%7Bjob%3D%22a%22%7D")),
            (Answer{200, R"({"status":"success","data":[{"__name__":"down","job":"a","my.label":"v"},)"
                         R"({"__name__":"up","job":"a"},{"__name__":"up","job":"b"}]})"}));
  EXPECT_EQ(
      fixture.ask(handle_series, "match[]=up&limit=1"),
      (Answer{
          200,
          R"({"status":"success","data":[{"__name__":"up","job":"a"}],"warnings":["results truncated due to limit"]})"}));
  EXPECT_EQ(fixture.ask(handle_series, "match[]=up&limit=2").second.find("warnings"), std::string::npos);
  fixture.reads.max_series_query_limit = 1;
  EXPECT_NE(fixture.ask(handle_series, "match[]=up").second.find("results truncated"), std::string::npos);
}

TEST(Series, RefusedParameters) {
  Loaded fixture;
  EXPECT_EQ(fixture.ask(handle_series, ""),
            (Answer{400, R"({"status":"error","errorType":"bad_data","error":"no match[] parameter provided"})"}));
  EXPECT_EQ(fixture.ask(handle_series, "match[]=up&start=x").first, 400);
  EXPECT_EQ(fixture.ask(handle_series, "match[]=%7B%7D").first, 400);
  EXPECT_EQ(fixture.ask(handle_series, "match[]=sum(up)").first, 400);
}

TEST(Series, ManyAreStreamed) {
  Fixture fixture;
  for (int i = 0; i < 5000; ++i) fixture.load("m{i=\"" + std::to_string(i) + "\"} 1");
  http::Request request = Fixture::get("match[]=m");
  http::Response response = sync_wait(handle_series(*fixture.core, request));
  ASSERT_TRUE(response.stream);
  test::StringSink sink;
  ASSERT_TRUE(sync_wait(response.stream(sink)));
  EXPECT_GT(sink.chunks, 1u);
  EXPECT_LT(sink.biggest, kJsonChunk + 1024);
  EXPECT_TRUE(sink.text.ends_with("}]}"));
}

TEST(Labels, NamesAndValues) {
  Loaded fixture;
  EXPECT_EQ(fixture.ask(handle_labels, ""),
            (Answer{200, R"({"status":"success","data":["__name__","job","my.label"]})"}));
  EXPECT_EQ(fixture.ask(handle_labels, "match[]=up"),
            (Answer{200, R"({"status":"success","data":["__name__","job"]})"}));
  EXPECT_EQ(fixture.ask(handle_labels, "limit=1"),
            (Answer{200, R"({"status":"success","data":["__name__"],"warnings":["results truncated due to limit"]})"}));
  EXPECT_EQ(fixture.ask(handle_labels, "match[]=nothing"), (Answer{200, R"({"status":"success","data":[]})"}));
  EXPECT_EQ(fixture.ask(handle_labels, "match[]=%7B").first, 400);
  const auto values = [&](std::string name, std::string_view query) {
    http::Request request = Fixture::get(query);
    request.path_params = {{"name", std::move(name)}};
    return fixture.ask(handle_label_values, request);
  };
  EXPECT_EQ(values("job", ""), (Answer{200, R"({"status":"success","data":["a","b"]})"}));
  EXPECT_EQ(values("job", "match[]=down"), (Answer{200, R"({"status":"success","data":["a"]})"}));
  EXPECT_EQ(values("U__my_2e_label", ""), (Answer{200, R"({"status":"success","data":["v"]})"}));
  EXPECT_EQ(values("my.label", ""), (Answer{200, R"({"status":"success","data":["v"]})"}));
  EXPECT_EQ(values("", ""),
            (Answer{400, R"({"status":"error","errorType":"bad_data","error":"invalid label name: \"\""})"}));
  EXPECT_EQ(values("\xff", "").first, 400);
  EXPECT_EQ(values("job", "limit=1").second,
            R"({"status":"success","data":["a"],"warnings":["results truncated due to limit"]})");
}

TEST(Metadata, GroupsByMetricWithLimits) {
  Loaded fixture([](ApiDependencies& deps) {
    deps.metadata = [](std::string_view, std::string_view metric) -> Result<std::vector<MetadataRow>> {
      std::vector<MetadataRow> rows = {
          {"a", "counter", "h1", ""}, {"a", "counter", "h1", ""}, {"a", "gauge", "h2", "s"}, {"b", "gauge", "x", ""}};
      if (!metric.empty()) std::erase_if(rows, [&](const MetadataRow& row) { return row.metric != metric; });
      return rows;
    };
  });
  EXPECT_EQ(fixture.ask(handle_metadata, ""),
            (Answer{200, R"({"status":"success","data":{"a":[{"type":"counter","help":"h1","unit":""},)"
                         R"({"type":"gauge","help":"h2","unit":"s"}],"b":[{"type":"gauge","help":"x","unit":""}]}})"}));
  EXPECT_EQ(fixture.ask(handle_metadata, "limit=1&limit_per_metric=1").second,
            R"({"status":"success","data":{"a":[{"type":"counter","help":"h1","unit":""}]}})");
  EXPECT_EQ(fixture.ask(handle_metadata, "metric=b").second,
            R"({"status":"success","data":{"b":[{"type":"gauge","help":"x","unit":""}]}})");
  EXPECT_EQ(fixture.ask(handle_metadata, "limit=x"),
            (Answer{400, R"({"status":"error","errorType":"bad_data","error":"limit must be a number"})"}));
  EXPECT_EQ(Fixture().ask(handle_metadata, ""), (Answer{200, R"({"status":"success","data":{}})"}));
}

}  // namespace
}  // namespace tocayo::metrics::api
