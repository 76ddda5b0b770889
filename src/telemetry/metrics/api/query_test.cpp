// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <thread>

#include "metrics/api/result_writer.h"
#include "metrics/api/test_support.h"

namespace tocayo::metrics::api {
namespace {

using test::Fixture;
using Answer = std::pair<int, std::string>;

struct Loaded : Fixture {
  Loaded() {
    load("up{job=\"a\",instance=\"x\"} 1+1x10");
    load("up{job=\"b\"} 5 5 5 5");
    load("h {{schema:0 sum:5 count:4 buckets:[1 2 1]}}x5");
  }
};

TEST(Query, InstantTypes) {
  Loaded fixture;
  EXPECT_EQ(fixture.ask(handle_query, "query=up&time=20"),
            (Answer{200, R"({"status":"success","data":{"resultType":"vector","result":[)"
                         R"({"metric":{"__name__":"up","instance":"x","job":"a"},"value":[20,"3"]},)"
                         R"({"metric":{"__name__":"up","job":"b"},"value":[20,"5"]}]}})"}));
  EXPECT_EQ(fixture.ask(handle_query, "query=1.5%2B1&time=20.5"),
            (Answer{200, R"({"status":"success","data":{"resultType":"scalar","result":[20.500,"2.5"]}})"}));
  EXPECT_EQ(fixture.ask(handle_query, "query=%22x%5C%22y%22&time=1"),
            (Answer{200, R"({"status":"success","data":{"resultType":"string","result":[1,"x\"y"]}})"}));
  EXPECT_EQ(fixture.ask(handle_query, "query=up%7Bjob%3D%22b%22%7D%5B15s%5D&time=20"),
            (Answer{200, R"({"status":"success","data":{"resultType":"matrix","result":[)"
                         R"({"metric":{"__name__":"up","job":"b"},"values":[[10,"5"],[20,"5"]]}]}})"}));
  EXPECT_EQ(fixture.ask(handle_query, "query=nothing&time=20"),
            (Answer{200, R"({"status":"success","data":{"resultType":"vector","result":[]}})"}));
  EXPECT_EQ(
      fixture.ask(handle_query, "query=h&time=20"),
      (Answer{200,
              R"({"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"h"},"histogram":)"
              R"([20,{"count":"4","sum":"5","buckets":[[0,"0.5","1","1"],[0,"1","2","2"],[0,"2","4","1"]]}]}]}})"}));
}

TEST(Query, TimeDefaultsToNowAndPostFormsWork) {
  Loaded fixture;
  fixture.clock.now = 30'000;
  EXPECT_EQ(fixture.ask(handle_query, Fixture::form("query=time()")).second,
            R"({"status":"success","data":{"resultType":"scalar","result":[30,"30"]}})");
}

TEST(Query, Range) {
  Loaded fixture;
  EXPECT_EQ(
      fixture.ask(handle_query_range, "query=up&start=0&end=20&step=10"),
      (Answer{200, R"({"status":"success","data":{"resultType":"matrix","result":[)"
                   R"({"metric":{"__name__":"up","instance":"x","job":"a"},"values":[[0,"1"],[10,"2"],[20,"3"]]},)"
                   R"({"metric":{"__name__":"up","job":"b"},"values":[[0,"5"],[10,"5"],[20,"5"]]}]}})"}));
  EXPECT_EQ(fixture.ask(handle_query_range, "query=h&start=0&end=0&step=10").second,
            R"({"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"h"},"histograms":)"
            R"([[0,{"count":"4","sum":"5","buckets":[[0,"0.5","1","1"],[0,"1","2","2"],[0,"2","4","1"]]}]]}]}})");
}

TEST(Query, RefusedParameters) {
  Loaded fixture;
  struct Case {
    Fixture::Function function;
    std::string_view query;
    int status;
    std::string_view body;
  };
  const Case cases[] = {
      {handle_query, "query=up&time=foo", 400,
       R"({"status":"error","errorType":"bad_data","error":"invalid parameter \"time\": invalid time value for 'time': cannot parse \"foo\" to a valid timestamp"})"},
      {handle_query, "query=up&timeout=x", 400,
       R"({"status":"error","errorType":"bad_data","error":"invalid parameter \"timeout\": cannot parse \"x\" to a valid duration"})"},
      {handle_query, "query=up&limit=-1", 400,
       R"({"status":"error","errorType":"bad_data","error":"invalid parameter \"limit\": limit must be non-negative"})"},
      {handle_query, "query=up&lookback_delta=x", 400,
       R"({"status":"error","errorType":"bad_data","error":"error parsing lookback delta duration: cannot parse \"x\" to a valid duration"})"},
      {handle_query, "query=up%20up", 400,
       R"({"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:4: parse error: unexpected identifier \"up\""})"},
      {handle_query, "", 400,
       R"({"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": unknown position: parse error: no expression found in input"})"},
      {handle_query_range, "query=up&end=20&step=10", 400,
       R"({"status":"error","errorType":"bad_data","error":"invalid parameter \"start\": cannot parse \"\" to a valid timestamp"})"},
      {handle_query_range, "query=up&start=20&end=10&step=10", 400,
       R"({"status":"error","errorType":"bad_data","error":"invalid parameter \"end\": end timestamp must not be before start time"})"},
      {handle_query_range, "query=up&start=0&end=10&step=0", 400,
       R"({"status":"error","errorType":"bad_data","error":"invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer"})"},
      {handle_query_range, "query=up&start=0&end=10&step=-1", 400,
       R"({"status":"error","errorType":"bad_data","error":"invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer"})"},
      {handle_query_range, "query=up&start=0&end=11001&step=1", 400,
       R"J({"status":"error","errorType":"bad_data","error":"exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"})J"},
      {handle_query_range, "query=up&start=-292273086-05-16T16:47:06Z&end=292277025-08-18T07:12:54.999999999Z&step=1",
       400,
       R"J({"status":"error","errorType":"bad_data","error":"exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"})J"},
  };
  for (const Case& one : cases)
    EXPECT_EQ(fixture.ask(one.function, one.query), (Answer{one.status, std::string(one.body)})) << one.query;
  EXPECT_EQ(fixture.ask(handle_query_range, "query=up&start=0&end=11000&step=1").first, 200);
  auto wrong_type = fixture.ask(handle_query_range, "query=up%5B5m%5D&start=0&end=10&step=1");
  EXPECT_EQ(wrong_type.first, 400);
  EXPECT_NE(wrong_type.second.find("invalid expression type"), std::string::npos) << wrong_type.second;
}

TEST(Query, ErrorsWhileRunning) {
  Loaded fixture;
  // One-to-one matching finds the same group twice.
  auto execution = fixture.ask(handle_query, "query=up%20%2B%20on()%20up&time=20");
  EXPECT_EQ(execution.first, 422) << execution.second;
  EXPECT_NE(execution.second.find(R"("errorType":"execution","error":"found duplicate series for the match group)"),
            std::string::npos)
      << execution.second;
  fixture.store_failure = Error{ErrorKind::unavailable, "the store is starting"};
  EXPECT_EQ(fixture.ask(handle_query, "query=up"),
            (Answer{503, R"({"status":"error","errorType":"unavailable","error":"the store is starting"})"}));
}

TEST(Query, CancellationAndQueue) {
  Loaded fixture;
  std::stop_source stop;
  stop.request_stop();
  http::Request request = Fixture::get("query=up");
  request.context = Context(stop.get_token(), Context::Steady::time_point::max());
  auto canceled = fixture.ask(handle_query, request);
  EXPECT_EQ(canceled.first, 499);
  EXPECT_NE(canceled.second.find(R"("errorType":"canceled")"), std::string::npos);

  Fixture full([](ApiDependencies& deps) {
    deps.query_concurrency = 1;
    deps.query_queue = 0;
  });
  auto permit = sync_wait(full.core->gate.acquire("other", {}));
  ASSERT_TRUE(permit);
  http::Request refused = Fixture::get("query=1");
  auto first = full.ask(handle_query, "query=1");
  EXPECT_EQ(
      first,
      (Answer{429, R"({"status":"error","errorType":"too_many_requests","error":"too many outstanding requests"})"}));
}

TEST(Query, LimitTruncatesWithAWarning) {
  Loaded fixture;
  auto vector = fixture.ask(handle_query, "query=up&time=20&limit=1");
  EXPECT_EQ(vector.second.find("\"job\":\"b\""), std::string::npos);
  EXPECT_NE(vector.second.find(R"("warnings":["results truncated due to limit"]})"), std::string::npos)
      << vector.second;
  auto matrix = fixture.ask(handle_query_range, "query=up&start=0&end=20&step=10&limit=1");
  EXPECT_NE(matrix.second.find(R"("warnings":["results truncated due to limit"]})"), std::string::npos);
  EXPECT_EQ(fixture.ask(handle_query, "query=up&time=20&limit=2").second.find("warnings"), std::string::npos);
}

TEST(Query, StatsAndTheirOldSpelling) {
  Loaded fixture;
  auto all = fixture.ask(handle_query_range, "query=sum(up)&start=0&end=20&step=10&stats=all").second;
  for (const char* key :
       {"\"stats\":{\"timings\":{\"evalTotalTime\":", "\"execQueueTime\":", "\"totalQueryableSamples\":6",
        "\"totalQueryableSamplesPerStep\":[[0,2],[10,2],[20,2]]", "\"peakSamples\":"}) {
    EXPECT_NE(all.find(key), std::string::npos) << key << " in " << all;
  }
  auto plain = fixture.ask(handle_query, "query=up&stats=true").second;
  EXPECT_NE(plain.find("\"stats\":{"), std::string::npos);
  EXPECT_EQ(plain.find("PerStep"), std::string::npos);
  auto old = fixture.ask(handle_query, "query=up&stats=1").second;
  EXPECT_NE(old.find(R"(value \"1\" for parameter \"stats\" is deprecated)"), std::string::npos) << old;
}

TEST(Query, AnnotationsCarryPositions) {
  Loaded fixture;
  auto answer = fixture.ask(handle_query, "query=rate(up%5B1m%5D)&time=60").second;
  EXPECT_NE(answer.find(R"("infos":["PromQL info: metric might not be a counter)"), std::string::npos) << answer;
  EXPECT_NE(answer.find("(1:6)\"]"), std::string::npos) << answer;
}

TEST(Query, LookbackDelta) {
  Loaded fixture;
  EXPECT_NE(fixture.ask(handle_query, "query=up%7Bjob%3D%22b%22%7D&time=200").second.find("\"5\""), std::string::npos);
  EXPECT_EQ(fixture.ask(handle_query, "query=up%7Bjob%3D%22b%22%7D&time=200&lookback_delta=1m").second.find("\"5\""),
            std::string::npos);
}

TEST(Query, TenantLimits) {
  Loaded fixture;
  fixture.reads.max_query_expression_size_bytes = 5;
  auto size = fixture.ask(handle_query, "query=sum(up)");
  EXPECT_EQ(size.first, 400);
  EXPECT_NE(size.second.find("err-mimir-max-query-expression-size-bytes"), std::string::npos);
  fixture.reads.max_total_query_length = std::chrono::seconds(10);
  auto length = fixture.ask(handle_query_range, "query=up&start=0&end=11&step=1");
  EXPECT_EQ(length.first, 400);
  EXPECT_NE(length.second.find("err-mimir-max-total-query-length"), std::string::npos);
}

TEST(Query, BigResultsAreStreamedInChunks) {
  Fixture fixture;
  for (int i = 0; i < 200; ++i) fixture.load("m{i=\"" + std::to_string(i) + "\"} 0+1x100");
  http::Request request = Fixture::get("query=m&start=0&end=1000&step=10");
  http::Response response = sync_wait(handle_query_range(*fixture.core, request));
  ASSERT_TRUE(response.stream);
  test::StringSink sink;
  ASSERT_TRUE(sync_wait(response.stream(sink)));
  EXPECT_GE(sink.chunks, 4u);
  EXPECT_LT(sink.biggest, kJsonChunk + 4096);
  EXPECT_TRUE(sink.text.starts_with(R"({"status":"success","data":{"resultType":"matrix","result":[{"metric":)"));
  EXPECT_TRUE(sink.text.ends_with("]}]}}"));
  std::size_t series = 0;
  for (std::size_t at = 0; (at = sink.text.find("\"metric\"", at)) != std::string::npos; ++at) ++series;
  EXPECT_EQ(series, 200u);

  http::Response again = sync_wait(handle_query_range(*fixture.core, request));
  test::StringSink gone;
  gone.fail_after = 2;
  EXPECT_FALSE(sync_wait(again.stream(gone))) << "a reader that goes away ends the stream";
  EXPECT_EQ(gone.chunks, 2u);
}

TEST(Query, EngineMetrics) {
  Loaded fixture;
  fixture.ask(handle_query, "query=up&time=20");
  EXPECT_EQ(fixture.metric("prometheus_engine_queries"), 0);
  EXPECT_EQ(fixture.metric("prometheus_engine_queries_concurrent_max"), 4);
  EXPECT_EQ(fixture.metric("prometheus_engine_query_duration_seconds_count", "{slice=\"inner_eval\"}"), 1);
  EXPECT_EQ(fixture.metric("prometheus_engine_query_samples_total"), 2);
  EXPECT_GE(fixture.metric("prometheus_engine_query_duration_seconds", "{quantile=\"0.9\",slice=\"inner_eval\"}"), 0);
}

TEST(Query, FormatAndParse) {
  Loaded fixture;
  EXPECT_EQ(fixture.ask(handle_format_query, "query=sum(up)by(job)"),
            (Answer{200, R"J({"status":"success","data":"sum by (job) (up)"})J"}));
  EXPECT_EQ(fixture.ask(handle_format_query, "query=sum(").first, 400);
  auto tree = fixture.ask(handle_parse_query, Fixture::form("query=up"));
  EXPECT_EQ(tree.first, 200);
  EXPECT_NE(tree.second.find(R"("type":"vectorSelector")"), std::string::npos) << tree.second;
  auto refused = fixture.ask(handle_parse_query, "query=%29");
  EXPECT_EQ(refused.first, 400);
  EXPECT_NE(refused.second.find(R"("errorType":"bad_data","error":"invalid parameter \"query\": 1:)"),
            std::string::npos);
  EXPECT_NE(refused.second.find("parse error: unexpected right parenthesis"), std::string::npos) << refused.second;
}

TEST(Query, Exemplars) {
  std::vector<std::string> asked;
  Fixture fixture([&](ApiDependencies& deps) {
    deps.exemplars = [&](std::string_view, std::span<const std::vector<Matcher>> sets, TimestampMs start,
                         TimestampMs end, const Context&) -> Result<std::vector<ExemplarSeries>> {
      asked.push_back(std::to_string(sets.size()) + " " + std::to_string(start) + " " + std::to_string(end));
      return std::vector<ExemplarSeries>{{{{"__name__", "a"}}, {{{{"t", "x"}}, 1.5, 1500}}}};
    };
  });
  EXPECT_EQ(fixture.ask(handle_query_exemplars, "query=rate(a%5B5m%5D)%2Bb&start=1&end=2"),
            (Answer{200, R"({"status":"success","data":[{"seriesLabels":{"__name__":"a"},"exemplars":)"
                         R"([{"labels":{"t":"x"},"value":"1.5","timestamp":1.500}]}]})"}));
  EXPECT_EQ(asked, (std::vector<std::string>{"2 1000 2000"}));
  EXPECT_EQ(fixture.ask(handle_query_exemplars, "query=1").first, 204);
  EXPECT_EQ(fixture.ask(handle_query_exemplars, "query=a&start=2&end=1").first, 400);
  EXPECT_EQ(Fixture().ask(handle_query_exemplars, "query=a"), (Answer{200, R"({"status":"success","data":[]})"}));
}

}  // namespace
}  // namespace tocayo::metrics::api
