// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <protozero/pbf_reader.hpp>

#include "metrics/api/federate.h"
#include "metrics/api/test_support.h"
#include "metrics/exposition_protobuf.h"
#include "metrics/remote_write.h"
#include "metrics/remote_write_test_support.h"
#include "metrics/snappy_block.h"

namespace tocayo::metrics::api {
namespace {

using metrics::test::Writer;
using test::Fixture;

struct Question {
  std::int32_t type;
  std::string name, value;
};

std::string read_request(TimestampMs start, TimestampMs end, const std::vector<Question>& matchers,
                         std::vector<int> accepted = {}) {
  std::string body;
  {
    Writer out(body);
    Writer query(out, 1);
    query.add_int64(1, start);
    query.add_int64(2, end);
    for (const Question& matcher : matchers) {
      Writer message(query, 3);
      message.add_enum(1, matcher.type);
      message.add_string(2, matcher.name);
      message.add_string(3, matcher.value);
    }
  }
  Writer out(body);
  for (const int type : accepted) out.add_enum(2, type);
  return snappy_block_encode(body);
}

http::Response read(Fixture& fixture, std::string body) {
  http::Request request = Fixture::get("");
  request.method = "POST";
  request.body = std::move(body);
  return sync_wait(handle_remote_read(*fixture.core, request));
}

TEST(RemoteRead, SamplesAndHistograms) {
  Fixture fixture;
  fixture.load("a{x=\"1\"} 1 2 stale");
  fixture.load("a{x=\"2\"} 5 5 5");
  fixture.load("h {{schema:0 sum:5 count:3 buckets:[1 2]}}");
  auto response = read(fixture, read_request(0, 20'000, {{2, "__name__", "a|h"}, {1, "x", "2"}}));
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.headers.get("Content-Encoding"), "snappy");
  std::string body;
  ASSERT_TRUE(snappy_block_decode(response.body, 1 << 20, body));
  // ReadResponse{results=1} of QueryResult{timeseries=1}: a QueryResult is a WriteRequest to a decoder of 1.0.
  protozero::pbf_reader outer(body);
  ASSERT_TRUE(outer.next(1));
  const auto view = outer.get_view();
  IngestRows rows;
  rows.reset({}, 1'700'000'000'000);
  ASSERT_TRUE(decode_remote_write(RemoteWriteVersion::v1, std::string_view(view.data(), view.size()), rows));
  auto batch = rows.batch();
  ASSERT_EQ(batch.series.size(), 2u);
  EXPECT_EQ(batch.series[0].labels->to_string(), "a{x=\"1\"}");
  ASSERT_EQ(batch.series[0].floats.size(), 3u);
  EXPECT_EQ(batch.series[0].floats[1].value, 2);
  EXPECT_TRUE(is_stale(batch.series[0].floats[2].value)) << "markers keep their bits";
  ASSERT_EQ(batch.series[1].histograms.size(), 1u);
  EXPECT_EQ(batch.series[1].histograms[0].histogram->positive_buckets, (std::vector<double>{1, 2}));
}

TEST(RemoteRead, Refusals) {
  Fixture fixture;
  EXPECT_EQ(read(fixture, "x").status, 400);
  EXPECT_EQ(read(fixture, read_request(0, 1, {{9, "a", "b"}})).status, 400);
  EXPECT_EQ(read(fixture, read_request(0, 1, {{2, "a", "("}})).status, 400);
  EXPECT_EQ(read(fixture, read_request(0, 1, {{0, "a", "b"}}, {2})).status, 400);
  EXPECT_EQ(read(fixture, read_request(0, 1, {{0, "a", "b"}}, {1, 0})).status, 200);
  EXPECT_EQ(read(fixture, snappy_block_encode("")).status, 200) << "no query, an empty answer";
}

// What federation writes, the scraper's parser reads.
TEST(Federate, ProtobufRoundTrip) {
  Fixture fixture;
  fixture.clock.now = 100'000;
  fixture.load(
      "e{a=\"b\"} {{schema:1 sum:5 count:6 z_bucket:1 z_bucket_w:0.5 buckets:[1 2] n_buckets:[2] "
      "counter_reset_hint:gauge}}");
  fixture.load("f 7");
  http::Request request = Fixture::get("match[]=%7B__name__%3D~%22.%2B%22%7D");
  request.headers.set("Accept",
                      "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited");
  auto response = sync_wait(handle_federate(*fixture.core, request));
  ASSERT_EQ(response.status, 200);
  ExpositionProtobufParser parser(response.body, {});
  std::vector<std::string> seen;
  for (;;) {
    auto event = parser.next();
    ASSERT_TRUE(event) << event.error().message;
    if (*event == ExpositionEvent::end) break;
    if (*event == ExpositionEvent::histogram) {
      auto checked = check_histogram(*parser.histogram(), {});
      ASSERT_TRUE(checked) << checked.error().text;
      EXPECT_EQ((*checked)->count, 6);
      EXPECT_EQ((*checked)->negative_buckets, (std::vector<double>{2}));
      EXPECT_EQ((*checked)->hint, ResetHint::gauge);
      seen.push_back("e");
    } else if (*event == ExpositionEvent::sample) {
      seen.push_back(std::string(parser.name()) + " " + std::to_string(parser.value()));
    }
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"e", "f 7.000000"}));
}

TEST(Mount, EveryRouteIsAddedOnce) {
  Fixture fixture;
  ApiDependencies deps;
  deps.appender = &fixture.appender;
  deps.querier = fixture.core->deps.querier;
  deps.engine = &fixture.engine;
  deps.compute = &fixture.pool;
  deps.registry = &fixture.registry;
  MetricsApi api(std::move(deps));
  http::Router router;
  api.mount(router);  // a pattern added twice would end the program
  api.mount_operations(router);
}

}  // namespace
}  // namespace tocayo::metrics::api
