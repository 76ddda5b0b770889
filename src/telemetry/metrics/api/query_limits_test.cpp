// SPDX-License-Identifier: Apache-2.0
// Every limit of reads, as a tenant meets it: status, error id and the key that raises it.
#include <gtest/gtest.h>

#include "metrics/api/test_support.h"

namespace tocayo::metrics::api {
namespace {

using namespace std::chrono_literals;
using test::Fixture;

struct Loaded : Fixture {
  Loaded() {
    for (int i = 0; i < 10; ++i) load("m{i=\"" + std::to_string(i) + "\"} 0+1x240");
    load("n 1 2 3");
    clock.now = 2'400'000;
  }
};

TextPattern pattern(std::string text, bool regex = false) {
  auto made = TextPattern::create(std::move(text), regex);
  EXPECT_TRUE(made);
  return made ? std::move(*made) : *TextPattern::create("", false);
}

struct Case {
  std::string_view name;
  void (*set)(QueryLimits&);
  Fixture::Function function;
  std::string query;
  int status;
  std::string_view type, id, key;  // what the answer names
};

const Case kRefusals[] = {
    {"series", [](QueryLimits& l) { l.fetch.max_series = 9; }, handle_query, "query=m&time=100", 422, "execution",
     "max-series-per-query", "max_fetched_series_per_query"},
    {"series over selectors", [](QueryLimits& l) { l.fetch.max_series = 10; }, handle_query,
     "query=count(m)%2Bcount(n)&time=10", 422, "execution", "max-series-per-query", "max_fetched_series_per_query"},
    {"series of /series", [](QueryLimits& l) { l.fetch.max_series = 9; }, handle_series, "match[]=m", 422, "execution",
     "max-series-per-query", "max_fetched_series_per_query"},
    {"chunks", [](QueryLimits& l) { l.fetch.max_chunks = 19; }, handle_query_range, "query=m&start=0&end=2400&step=10",
     422, "execution", "max-chunks-per-query", "max_fetched_chunks_per_query"},
    {"chunk bytes", [](QueryLimits& l) { l.fetch.max_chunk_bytes = 1000; }, handle_query_range,
     "query=m&start=0&end=2400&step=10", 422, "execution", "max-chunks-bytes-per-query",
     "max_fetched_chunk_bytes_per_query"},
    {"memory", [](QueryLimits& l) { l.fetch.max_memory = 8 << 10; }, handle_query_range,
     "query=m&start=0&end=2400&step=10", 422, "execution", "max-estimated-memory-consumption-per-query",
     "max_estimated_memory_consumption_per_query"},
    {"total length", [](QueryLimits& l) { l.max_total_query_length = 1h; }, handle_query_range,
     "query=m&start=0&end=3601&step=100", 400, "bad_data", "max-total-query-length", "max_total_query_length"},
    {"partial length", [](QueryLimits& l) { l.max_partial_query_length = 10min; }, handle_query,
     "query=count_over_time(m[11m])&time=2000", 422, "execution", "max-query-length", "max_partial_query_length"},
    {"expression size", [](QueryLimits& l) { l.max_query_expression_size_bytes = 5; }, handle_query, "query=sum(m)",
     400, "bad_data", "max-query-expression-size-bytes", "max_query_expression_size_bytes"},
    {"blocked query", [](QueryLimits& l) { l.blocked_queries.push_back(pattern(" sum(m) ")); }, handle_query,
     "query=sum(m)", 400, "bad_data", "query-blocked", ""},
    {"blocked query, canonical form", [](QueryLimits& l) { l.blocked_queries.push_back(pattern("sum(m)")); },
     handle_query, "query=sum%20(%20m%20)%20%23x", 400, "bad_data", "query-blocked", ""},
    {"blocked query, expression", [](QueryLimits& l) { l.blocked_queries.push_back(pattern(".*i=\"1\".*", true)); },
     handle_query_range, "query=rate(m%7Bi%3D%221%22%7D%5B1m%5D)&start=0&end=10&step=1", 400, "bad_data",
     "query-blocked", ""},
};

TEST(QueryLimits, EachRefusesInMimirsWords) {
  for (const Case& one : kRefusals) {
    Loaded fixture;
    auto before = fixture.ask(one.function, one.query);
    EXPECT_EQ(before.first, 200) << one.name << ": " << before.second;
    one.set(fixture.reads);
    auto [status, body] = fixture.ask(one.function, one.query);
    EXPECT_EQ(status, one.status) << one.name << ": " << body;
    EXPECT_NE(body.find("\"errorType\":\"" + std::string(one.type) + '"'), std::string::npos) << body;
    EXPECT_NE(body.find("(err-mimir-" + std::string(one.id) + ")"), std::string::npos) << body;
    EXPECT_NE(body.find(one.key), std::string::npos) << body;
    // Read anew for every request: a reload works at once.
    fixture.reads = QueryLimits{};
    EXPECT_EQ(fixture.ask(one.function, one.query).first, 200) << one.name;
  }
}

TEST(QueryLimits, WhatFitsPasses) {
  Loaded fixture;
  fixture.reads.fetch = {.max_series = 10, .max_chunks = 60, .max_chunk_bytes = 1 << 20, .max_memory = 1 << 20};
  fixture.reads.max_total_query_length = 40min;
  fixture.reads.max_partial_query_length = 1h;
  fixture.reads.max_query_expression_size_bytes = 100;
  fixture.reads.blocked_queries.push_back(pattern("n"));
  fixture.reads.blocked_queries.push_back(pattern("x.*", true));
  // The same series in two selectors count once.
  EXPECT_EQ(fixture.ask(handle_query_range, "query=m%2Frate(m%5B5m%5D)&start=300&end=2400&step=100").first, 200);
}

TEST(QueryLimits, LookbackHidesWhatIsOld) {
  Loaded fixture;
  fixture.clock.now = 2'400'000;
  fixture.reads.max_query_lookback = 10min;  // from 1800 s on
  auto [status, body] = fixture.ask(handle_query_range, "query=count(m)&start=1000&end=2400&step=100");
  EXPECT_EQ(status, 200);
  EXPECT_EQ(body.find("[1700,"), std::string::npos) << body;
  EXPECT_NE(body.find("[1800,\"10\"]"), std::string::npos) << body;
  EXPECT_EQ(fixture.ask(handle_query, "query=m&time=1000").second,
            R"({"status":"success","data":{"resultType":"vector","result":[]}})");
  EXPECT_EQ(fixture.ask(handle_series, "match[]=n").second, R"({"status":"success","data":[]})");
  EXPECT_EQ(fixture.ask(handle_label_values, "match[]=n&end=1000").first, 400);  // no name: refused, not hidden
}

TEST(QueryLimits, LabelQueriesAreShortened) {
  Loaded fixture;
  fixture.reads.max_labels_query_length = 5min;
  EXPECT_EQ(fixture.ask(handle_series, "match[]=n&start=0&end=2400").second, R"({"status":"success","data":[]})");
  EXPECT_NE(fixture.ask(handle_series, "match[]=n&start=0&end=100").second.find("\"n\""), std::string::npos);
}

TEST(QueryLimits, SeriesLimit) {
  Loaded fixture;
  fixture.reads.max_series_query_limit = 3;
  for (const char* query : {"match[]=m", "match[]=m&limit=5"}) {
    auto body = fixture.ask(handle_series, query).second;
    EXPECT_NE(body.find("\"2\""), std::string::npos) << body;
    EXPECT_EQ(body.find("\"3\""), std::string::npos) << body;
    EXPECT_NE(body.find("results truncated due to limit"), std::string::npos) << body;
  }
}

TEST(QueryLimits, AlignsWithTheStep) {
  Loaded fixture;
  fixture.reads.align_queries_with_step = true;
  auto [status, body] = fixture.ask(handle_query_range, "query=n&start=17&end=28&step=10");
  EXPECT_EQ(status, 200);
  EXPECT_NE(body.find(R"("values":[[10,"2"],[20,"3"]])"), std::string::npos) << body;
}

TEST(QueryLimits, ExperimentalFunctionsByName) {
  Loaded fixture;
  const std::string wanted = "query=limitk(1,m)&time=100", other = "query=mad_over_time(m%5B1m%5D)&time=100";
  EXPECT_EQ(fixture.ask(handle_query, wanted).first, 400);
  fixture.reads.experimental_functions = {"limitk"};
  EXPECT_EQ(fixture.ask(handle_query, wanted).first, 200);
  auto [status, body] = fixture.ask(handle_query, other);
  EXPECT_EQ(status, 400);
  EXPECT_NE(body.find(R"(function \"mad_over_time\" is not enabled)"), std::string::npos) << body;
  EXPECT_EQ(fixture.ask(handle_format_query, other).first, 400);
  EXPECT_EQ(fixture.ask(handle_format_query, wanted).first, 200);
  fixture.reads.all_experimental_functions = true;
  EXPECT_EQ(fixture.ask(handle_query, other).first, 200);
}

TEST(QueryLimits, LimitedQueriesRunAtTheirFrequency) {
  QueryFrequency frequency;
  QueryLimits limits;
  limits.limited_queries = {{"sum(m)", 1min}, {"sum(m)", 2min}};
  const auto start = QueryFrequency::Steady::now();
  EXPECT_TRUE(frequency.admit("a", "sum(m)", limits, start));
  EXPECT_TRUE(frequency.admit("b", "sum(m)", limits, start));
  EXPECT_TRUE(frequency.admit("a", "sum(n)", limits, start));
  auto soon = frequency.admit("a", " sum(m) ", limits, start + 119s);
  ASSERT_FALSE(soon);
  EXPECT_EQ(soon.error().kind, ErrorKind::limit);
  EXPECT_NE(soon.error().message.find("allowed frequency 2m against tenant a (err-mimir-query-limited)"),
            std::string::npos)
      << soon.error().message;
  EXPECT_TRUE(frequency.admit("a", "sum(m)", limits, start + 121s));

  Loaded fixture;
  fixture.reads.limited_queries = {{"sum(m)", 1h}};
  EXPECT_EQ(fixture.ask(handle_query, "query=sum(m)&time=100").first, 200);
  auto [status, body] = fixture.ask(handle_query, "query=sum(m)&time=100");
  EXPECT_EQ(status, 429) << body;
  EXPECT_NE(body.find("err-mimir-query-limited"), std::string::npos) << body;
}

TEST(QueryLimits, BlockedRequests) {
  QueryLimits limits;
  QueryLimits::BlockedRequest block{"/prometheus/api/v1/query", "get", {}};
  block.params.emplace("query", pattern("foo.*", true));
  block.params.emplace("time", pattern("5"));
  limits.blocked_requests.push_back(std::move(block));
  const auto asks = [&](std::string path, std::string method, std::string_view query) {
    http::Request request = Fixture::get(query);
    request.path = std::move(path);
    request.method = std::move(method);
    return limits.check_request(request);
  };
  auto refused = asks("/api/v1/query", "GET", "query=foobar&time=5");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "the request has been blocked by the cluster administrator (err-mimir-request-blocked)");
  EXPECT_FALSE(asks("/as/mimir/prometheus/api/v1/query", "GET", "query=foo&time=5"));
  EXPECT_TRUE(asks("/api/v1/query", "POST", "query=foobar&time=5"));
  EXPECT_TRUE(asks("/api/v1/query_range", "GET", "query=foobar&time=5"));
  EXPECT_TRUE(asks("/api/v1/query", "GET", "query=xfoo&time=5"));
  EXPECT_TRUE(asks("/api/v1/query", "GET", "query=foo&time=6"));
  limits.blocked_requests.push_back({"", "DELETE", {}});
  EXPECT_FALSE(asks("/api/v1/anything", "DELETE", ""));
}

TEST(QueryLimits, ParallelismChangesNoResult) {
  Fixture fixture;
  for (int i = 0; i < 600; ++i) fixture.load("p{i=\"" + std::to_string(i) + "\"} 0+1x5");
  const auto all = fixture.ask(handle_query_range, "query=rate(p%5B30s%5D)&start=0&end=50&step=10");
  for (std::size_t threads : {1, 2, 14}) {
    fixture.reads.max_query_parallelism = threads;
    EXPECT_EQ(fixture.ask(handle_query_range, "query=rate(p%5B30s%5D)&start=0&end=50&step=10"), all);
  }
}

}  // namespace
}  // namespace tocayo::metrics::api
