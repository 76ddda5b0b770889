// SPDX-License-Identifier: Apache-2.0
#include "metrics/api/push.h"

#include <gtest/gtest.h>

#include "metrics/api/test_support.h"
#include "metrics/remote_write_test_support.h"
#include "metrics/snappy_block.h"

namespace tocayo::metrics::api {
namespace {

using metrics::test::RequestV1;
using metrics::test::RequestV2;
using metrics::test::Writer;
using test::Fixture;

constexpr TimestampMs kNow = 1'700'000'000'000;
constexpr std::string_view kV1 = "application/x-protobuf;proto=prometheus.WriteRequest";
constexpr std::string_view kV2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

http::Request write_request(std::string body, std::string_view content_type = kV1,
                            std::string_view encoding = "snappy") {
  http::Request request = Fixture::get("");
  request.method = "POST";
  if (!content_type.empty()) request.headers.set("Content-Type", std::string(content_type));
  if (!encoding.empty()) request.headers.set("Content-Encoding", std::string(encoding));
  request.body = std::move(body);
  return request;
}

http::Response push(Fixture& fixture, http::Request request) {
  return sync_wait(fixture.core->push.remote_write(request));
}
http::Response push(Fixture& fixture, const RequestV1& request) {
  return push(fixture, write_request(snappy_block_encode(request.body())));
}
http::Response push(Fixture& fixture, const RequestV2& request) {
  return push(fixture, write_request(snappy_block_encode(request.body()), kV2));
}

void expect_written(const http::Response& response, std::string_view samples, std::string_view histograms,
                    std::string_view exemplars) {
  EXPECT_EQ(response.headers.get("X-Prometheus-Remote-Write-Samples-Written"), samples);
  EXPECT_EQ(response.headers.get("X-Prometheus-Remote-Write-Histograms-Written"), histograms);
  EXPECT_EQ(response.headers.get("X-Prometheus-Remote-Write-Exemplars-Written"), exemplars);
}

RequestV1 one_sample() { return RequestV1().sample({{"__name__", "a"}, {"b", "c"}}, 1, kNow); }

TEST(Push, BothVersionsAreStoredAndCounted) {
  Fixture fixture;
  auto response = push(fixture, one_sample());
  EXPECT_EQ(response.status, 204);
  expect_written(response, "1", "0", "0");
  EXPECT_EQ(fixture.appender.last_tenant, "t1");
  EXPECT_EQ(fixture.appender.lines, (std::vector<std::string>{"a{b=\"c\"} 1.000000 1700000000000"}));

  RequestV2 v2;
  v2.series({{"__name__", "a"}}, [&](Writer& series) {
    metrics::test::add_sample(series, 1, kNow - 1);
    metrics::test::add_sample(series, 2, kNow);
    v2.exemplar(series, {{"t", "x"}}, 1, kNow);
    v2.metadata(series, 2, "help", "");
  });
  v2.series({{"__name__", "h"}},
            [&](Writer& series) { metrics::test::add_histogram(series, 3, metrics::test::integer_histogram(), kNow); });
  response = push(fixture, v2);
  EXPECT_EQ(response.status, 204) << response.body;
  expect_written(response, "2", "1", "1");
  ASSERT_EQ(fixture.appender.metadata.size(), 1u);
  EXPECT_EQ(fixture.appender.metadata[0].type, "gauge");

  EXPECT_EQ(fixture.metric("cortex_distributor_received_samples_total", "{user=\"t1\"}"), 4);
  EXPECT_EQ(fixture.metric("cortex_distributor_samples_in_total", "{user=\"t1\"}"), 4);
  EXPECT_EQ(fixture.metric("cortex_distributor_received_exemplars_total", "{user=\"t1\"}"), 1);
  EXPECT_EQ(fixture.metric("cortex_distributor_requests_in_total", "{user=\"t1\"}"), 2);
  EXPECT_EQ(fixture.metric("tocayo_metrics_api_inflight_push_bytes"), 0);
}

TEST(Push, ContentTypeNegotiation) {
  struct Case {
    std::string_view content_type, encoding;
    int status;
  };
  const std::string body = snappy_block_encode(one_sample().body());
  for (const Case& one : std::vector<Case>{
           {"", "snappy", 204},
           {"application/x-protobuf", "snappy", 204},
           {"application/x-protobuf", "", 204},
           {"Application/X-Protobuf; Proto=prometheus.WriteRequest", "SNAPPY", 204},
           {"application/x-protobuf;proto=\"prometheus.WriteRequest\"", "snappy", 204},
           {"application/x-protobuf;charset=utf-8", "snappy", 204},
           {"application/x-protobuf;proto=foo.Bar", "snappy", 415},
           {"application/x-protobuf;proto", "snappy", 415},
           {"application/json", "snappy", 415},
           {"text/plain", "snappy", 415},
           {"application/x-protobuf", "gzip", 415},
           {"application/x-protobuf", "zstd", 415},
       }) {
    Fixture fixture;
    auto response = push(fixture, write_request(body, one.content_type, one.encoding));
    EXPECT_EQ(response.status, one.status) << one.content_type << " " << one.encoding << ": " << response.body;
    if (one.status == 415) {
      EXPECT_EQ(fixture.appender.calls, 0);
      expect_written(response, "0", "0", "0");
    }
  }
}

TEST(Push, BodiesThatCannotBeRead) {
  Fixture fixture;
  const std::string framed("\xff\x06\x00\x00sNaPpY\x01\x02\x03", 13);
  EXPECT_EQ(push(fixture, write_request(framed)).status, 415);
  EXPECT_EQ(push(fixture, write_request("")).status, 400);
  EXPECT_EQ(push(fixture, write_request(one_sample().body())).status, 400) << "not compressed";
  const std::string block = snappy_block_encode(one_sample().body());
  EXPECT_EQ(push(fixture, write_request(block.substr(0, block.size() - 1))).status, 400);
  auto wrong = push(fixture, write_request(block, kV2));
  EXPECT_EQ(wrong.status, 400);
  EXPECT_NE(wrong.body.find("send remote write 1.0 with"), std::string::npos) << wrong.body;
  const std::string bomb("\x80\x80\x80\x2d\x00\x00\x00\x00", 8);  // announces 90 MiB
  EXPECT_EQ(push(fixture, write_request(bomb)).status, 400);
  EXPECT_EQ(fixture.appender.calls, 0);
}

TEST(Push, TooBigMessagesAreRefusedByTheirHeader) {
  Fixture fixture([](ApiDependencies& deps) { deps.push.max_recv_msg_size = 1000; });
  auto response = push(fixture, write_request(snappy_block_encode(std::string(1001, 'x'))));
  EXPECT_EQ(response.status, 413);
  EXPECT_NE(response.body.find("message size of 1001 bytes is larger than the allowed limit of 1000 bytes "
                               "(err-mimir-distributor-max-write-message-size)"),
            std::string::npos)
      << response.body;
}

TEST(Push, BytesInFlightAreBounded) {
  Fixture fixture([](ApiDependencies& deps) { deps.push.max_inflight_push_requests_bytes = 10; });
  auto response = push(fixture, one_sample());
  EXPECT_EQ(response.status, 503);
  EXPECT_NE(response.body.find("(err-mimir-distributor-max-inflight-push-requests-bytes)"), std::string::npos);
  EXPECT_TRUE(response.headers.has("Retry-After"));
  EXPECT_EQ(fixture.metric("tocayo_metrics_api_inflight_push_bytes"), 0);
}

TEST(Push, PartialWriteSaysWhatBecameOfEachRow) {
  Fixture fixture;
  fixture.appender.change = [](AppendResult& result, AppendBatch&) {
    result.floats_written -= 2;
    result.rejected.push_back({"sample_out_of_order", 2});
    result.first_error = Error{ErrorKind::bad_input, "out of order (err-mimir-sample-out-of-order)"};
  };
  RequestV1 request;
  for (int i = 0; i < 5; ++i) request.sample({{"__name__", "a"}, {"i", std::to_string(i)}}, i, kNow);
  request.sample({{"__name__", "a"}, {"x", "1"}, {"x", "2"}}, 1, kNow);
  auto response = push(fixture, request);
  EXPECT_EQ(response.status, 400);
  expect_written(response, "3", "0", "0");
  EXPECT_NE(response.body.find("received a series with duplicate label name, label: 'x'"), std::string::npos)
      << response.body;
  EXPECT_NE(response.body.find("3 of 6 samples rejected: duplicate_label_names=1, sample_out_of_order=2"),
            std::string::npos)
      << response.body;
  EXPECT_FALSE(response.headers.has("Retry-After"));
  EXPECT_EQ(fixture.metric("cortex_discarded_samples_total", "{reason=\"duplicate_label_names\",user=\"t1\"}"), 1);
  EXPECT_EQ(fixture.metric("cortex_distributor_received_samples_total", "{user=\"t1\"}"), 3);
}

TEST(Push, ErrorBodiesAreShort) {
  Fixture fixture;
  fixture.appender.change = [](AppendResult& result, AppendBatch&) {
    result.floats_written = 0;
    result.first_error = Error{ErrorKind::bad_input, std::string(100'000, 'x')};
  };
  EXPECT_LE(push(fixture, one_sample()).body.size(), 4096u);
}

TEST(Push, FailuresOfTheStore) {
  const std::pair<ErrorKind, int> cases[] = {{ErrorKind::unavailable, 503}, {ErrorKind::internal, 500},
                                             {ErrorKind::limit, 429},       {ErrorKind::timeout, 503},
                                             {ErrorKind::canceled, 499},    {ErrorKind::bad_input, 400}};
  for (const auto& [kind, status] : cases) {
    Fixture fixture;
    fixture.appender.failure = Error{kind, "no"};
    auto response = push(fixture, one_sample());
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(response.headers.has("Retry-After"), status == 429 || status >= 500) << status;
    expect_written(response, "0", "0", "0");
  }
}

TEST(Push, SeriesLimitsAre400AndActiveSeries429) {
  Fixture fixture;
  const auto answer = [&](std::string_view id) {
    fixture.appender.change = [id](AppendResult& result, AppendBatch&) {
      result.floats_written = 0;
      result.rejected.push_back({"x", 1});
      result.first_error = Error{ErrorKind::limit, "limit (err-mimir-" + std::string(id) + ")"};
    };
    return push(fixture, one_sample()).status;
  };
  EXPECT_EQ(answer("max-series-per-user"), 400);
  EXPECT_EQ(answer("max-active-series"), 429);
}

TEST(Push, RateLimits) {
  Fixture fixture;
  fixture.limits.ingestion_rate = 1;
  fixture.limits.ingestion_burst_size = 2;
  EXPECT_EQ(push(fixture, one_sample()).status, 204);
  EXPECT_EQ(push(fixture, one_sample()).status, 204);
  auto refused = push(fixture, one_sample());
  EXPECT_EQ(refused.status, 429);
  EXPECT_NE(refused.body.find("(err-mimir-tenant-max-ingestion-rate)"), std::string::npos);
  EXPECT_EQ(fixture.appender.calls, 2);
  EXPECT_EQ(fixture.metric("cortex_discarded_samples_total", "{reason=\"rate_limited\",user=\"t1\"}"), 1);
  fixture.limits.overload_status_on_rate_limit = true;
  EXPECT_EQ(push(fixture, one_sample()).status, 529);

  Fixture requests;
  requests.limits.request_rate = 0.001;
  requests.limits.request_burst_size = 1;
  EXPECT_EQ(push(requests, one_sample()).status, 204);
  auto second = push(requests, one_sample());
  EXPECT_EQ(second.status, 429);
  EXPECT_NE(second.body.find("(err-mimir-tenant-max-request-rate)"), std::string::npos);
  http::Request other = write_request(snappy_block_encode(one_sample().body()));
  other.identity.tenant = "t2";
  EXPECT_EQ(push(requests, std::move(other)).status, 204) << "tenants do not share their rates";
}

TEST(Push, RetryAfterGrowsWithTheAttempt) {
  EXPECT_EQ(retry_after_seconds("", 0.5), 6);
  EXPECT_EQ(retry_after_seconds("1", 0.5), 6);
  EXPECT_EQ(retry_after_seconds("2", 0.5), 12);
  EXPECT_EQ(retry_after_seconds("5", 0.5), 96);
  EXPECT_EQ(retry_after_seconds("50", 0.5), 96);
  EXPECT_EQ(retry_after_seconds("-3", 0.5), 6);
  EXPECT_EQ(retry_after_seconds("x", 0.0), 3);
  EXPECT_EQ(retry_after_seconds("1", 0.999), 8);
}

TEST(Push, MetadataAloneIsARequest) {
  Fixture fixture;
  EXPECT_EQ(push(fixture, RequestV1().metadata(1, "a", "help", "")).status, 204);
  EXPECT_EQ(fixture.appender.metadata.size(), 1u);
  EXPECT_EQ(push(fixture, RequestV1()).status, 204);
  EXPECT_EQ(fixture.appender.calls, 1) << "nothing to store, nothing asked";
}

TEST(TokenBucket, FillsWithTime) {
  RateLimiter limiter;
  const auto start = RateLimiter::Steady::now();
  EXPECT_TRUE(limiter.allow(10, 5, 10, start));
  EXPECT_FALSE(limiter.allow(1, 5, 10, start));
  EXPECT_TRUE(limiter.allow(5, 5, 10, start + std::chrono::seconds(1)));
  EXPECT_FALSE(limiter.allow(11, 5, 10, start + std::chrono::seconds(100)));
  EXPECT_TRUE(limiter.allow(1e9, 0, 0, start)) << "no rate, no limit";
}

http::Response import(Fixture& fixture, std::string_view body, std::string_view query = "",
                      std::string_view type = "text/plain") {
  http::Request request = Fixture::get(query);
  request.method = "POST";
  request.headers.set("Content-Type", std::string(type));
  request.body = body;
  return sync_wait(fixture.core->push.import_text(request));
}

TEST(Import, TextWithDefaultsAndExtraLabels) {
  Fixture fixture;
  auto response =
      import(fixture, "# HELP a help text\n# TYPE a counter\na{x=\"1\"} 1\na{job=\"own\"} 2 1600000000000\n",
             "timestamp=1650000000000&extra_label=job=imported&extra_label=env=a=b");
  EXPECT_EQ(response.status, 204) << response.body;
  EXPECT_EQ(fixture.appender.lines,
            (std::vector<std::string>{"a{env=\"a=b\", job=\"imported\", x=\"1\"} 1.000000 1650000000000",
                                      "a{env=\"a=b\", job=\"imported\"} 2.000000 1600000000000"}));
  ASSERT_EQ(fixture.appender.metadata.size(), 1u);
  EXPECT_EQ(fixture.appender.metadata[0].help, "help text");
  EXPECT_EQ(fixture.appender.metadata[0].type, "counter");
  expect_written(response, "2", "0", "0");
}

TEST(Import, OpenMetricsBody) {
  Fixture fixture;
  auto response = import(fixture, "# TYPE a counter\na_total 1 # {t=\"x\"} 1 1699999999\na_created 1600000000\n# EOF\n",
                         "", "application/openmetrics-text; version=1.0.0");
  EXPECT_EQ(response.status, 204) << response.body;
  EXPECT_EQ(fixture.appender.lines, (std::vector<std::string>{"a_total 1.000000 1700000000000"}));
  expect_written(response, "1", "0", "1");
}

TEST(Import, ErrorsAreLocatedAndStoreNothing) {
  Fixture fixture;
  auto response = import(fixture, "a 1\nb{ 2\n");
  EXPECT_EQ(response.status, 400);
  EXPECT_NE(response.body.find("line 2, column 4: expected label name"), std::string::npos) << response.body;
  EXPECT_EQ(fixture.appender.calls, 0);
  EXPECT_EQ(import(fixture, "a 1\n", "timestamp=x").status, 400);
  EXPECT_EQ(import(fixture, "a 1\n", "extra_label=x").status, 400);
}

}  // namespace
}  // namespace tocayo::metrics::api
