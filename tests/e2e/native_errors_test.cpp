// SPDX-License-Identifier: Apache-2.0
// What the server itself says on the paths of Loki and OpenTelemetry, before any handler: their clients read plain text
// and protobuf statuses, not the JSON of our own APIs.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

namespace json = boost::json;

bool is_text(HttpReply& reply) {
  return reply.headers["content-type"].starts_with("text/plain") && !reply.body.starts_with("{") &&
         reply.body.ends_with("\n");
}

const HttpHeaders kJson{{"Content-Type", "application/json"}};
const std::string kPush = R"({"streams":[{"stream":{"a":"b"},"values":[["1","x"]]}]})";

TEST(NativeErrors, OfTenants) {
  Server server;
  ASSERT_TRUE(server.start());
  const auto with = [](const std::string& tenant) {
    return HttpHeaders{{"Content-Type", "application/json"}, {"X-Scope-OrgID", tenant}};
  };
  for (const char* path : {"/loki/api/v1/push", "/as/loki/loki/api/v1/push", "/api/prom/push"}) {
    auto reply = http_request("POST", server.url(path), kPush, with("a|b"));
    EXPECT_EQ(reply.status, 400) << path;
    EXPECT_EQ(reply.body, "multiple org IDs present\n") << path;
    EXPECT_TRUE(is_text(reply)) << path;
    reply = http_request("POST", server.url(path), kPush, with("no spaces"));
    EXPECT_EQ(reply.status, 400) << path;
    EXPECT_TRUE(is_text(reply)) << reply.body;
  }
  auto reply = http_get(server.url("/loki/api/v1/labels"), {{"X-Scope-OrgID", std::string(151, 'x')}});
  EXPECT_EQ(reply.status, 400);
  EXPECT_TRUE(is_text(reply)) << reply.body;
  reply = http_get(server.url("/loki/api/v1/labels"), {{"Origin", "http://evil.example"}});
  EXPECT_EQ(reply.status, 403);
  EXPECT_TRUE(is_text(reply)) << reply.body;
  // OpenTelemetry: a status, in the encoding of the request.
  reply = http_request("POST", server.url("/otlp/v1/logs"), "{}", with("a|b"));
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(json::parse(reply.body).at("message").as_string(), "multiple org IDs present");
  EXPECT_EQ(json::parse(reply.body).at("code"), 3);
  reply = http_request("POST", server.url("/v1/logs"), "x",
                       {{"Content-Type", "application/x-protobuf"}, {"X-Scope-OrgID", "a|b"}});
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.headers["content-type"], "application/x-protobuf");
  EXPECT_EQ(reply.body, "\x12\x18multiple org IDs present");
  // Our own APIs stay as they are.
  reply = http_get(server.url("/logs/api/v1/label_growth"), with("no spaces"));
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(json::parse(reply.body).at("code").as_string(), "bad_input");
}

TEST(NativeErrors, OfPathsMethodsAndSizes) {
  Server server;
  ASSERT_TRUE(server.start());
  auto reply = http_get(server.url("/loki/api/v1/nothing"));
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(reply.body, "404 page not found\n");
  reply = http_get(server.url("/loki/api/v1/push"));
  EXPECT_EQ(reply.status, 405);
  EXPECT_EQ(reply.headers["allow"], "POST");
  EXPECT_TRUE(is_text(reply)) << reply.body;
  reply = http_request("POST", server.url("/loki/api/v1/query"), std::string(2 << 20, 'x'),
                       {{"Content-Type", "application/x-www-form-urlencoded"}});
  EXPECT_EQ(reply.status, 413);
  EXPECT_TRUE(is_text(reply)) << reply.body;
  EXPECT_TRUE(reply.body.starts_with("request body too large: ")) << reply.body;
  reply = http_request("POST", server.url("/loki/api/v1/query"), "x", {{"Content-Encoding", "br"}});
  EXPECT_EQ(reply.status, 415);
  EXPECT_TRUE(is_text(reply)) << reply.body;
}

TEST(NativeErrors, OfWhoAsks) {
  Server server({.sets = {"auth.mode=required"}});
  ASSERT_TRUE(server.start());
  auto reply = http_get(server.url("/loki/api/v1/labels"));
  EXPECT_EQ(reply.status, 401);
  EXPECT_TRUE(is_text(reply)) << reply.body;
  EXPECT_TRUE(reply.body.starts_with("no org id")) << reply.body;
  reply = http_request("POST", server.url("/loki/api/v1/push"), kPush,
                       {{"Content-Type", "application/json"}, {"Authorization", "Bearer tcy_wrong"}});
  EXPECT_EQ(reply.status, 401);
  EXPECT_TRUE(is_text(reply)) << reply.body;
  reply = http_request("POST", server.url("/otlp/v1/logs"), "{}", kJson);
  EXPECT_EQ(reply.status, 401);
  EXPECT_EQ(json::parse(reply.body).at("code"), 16);
  reply = http_get(server.url("/api/v1/query?query=1"));
  EXPECT_EQ(reply.status, 401);
  EXPECT_TRUE(json::parse(reply.body).as_object().contains("code")) << reply.body;
}

}  // namespace
}  // namespace tocayo::testing
