// SPDX-License-Identifier: Apache-2.0
// The tenant of a WebSocket, which a page can name only in its address: checked like the header.
#include <gtest/gtest.h>

#include "tenancy/detail/test_server.h"

namespace tocayo::tenancy {
namespace {

using http::Access;
using testing::Answer;
using testing::TestServer;

constexpr const char* kOrigin = "http://127.0.0.1:4600";
constexpr const char* kLive = "/api/live/v1/ws";
constexpr const char* kTail = "/loki/api/v1/tail";

TEST(SocketTenant, TheLocalOperatorNamesIt) {
  TestServer server(false);
  server.add_probe("GET", kLive, {.access = Access::read});
  const auto open = [&](const std::string& query, std::string header = "", bool websocket = true) {
    return server.send({.path = kLive + query, .tenant = std::move(header), .origin = kOrigin, .websocket = websocket});
  };
  EXPECT_EQ(open("?tenant=team-a").body, "team-a|anonymous|admin");
  EXPECT_EQ(open("").body, "anonymous|anonymous|admin");
  EXPECT_EQ(open("?tenant=").body, "anonymous|anonymous|admin");
  EXPECT_EQ(open("", "team-a").body, "team-a|anonymous|admin");
  EXPECT_EQ(open("?tenant=team-a", "team-a").body, "team-a|anonymous|admin");
  EXPECT_EQ(open("?tenant=team-b", "team-a").status, 400) << "two that differ";
  EXPECT_EQ(open("?tenant=..").status, 400);
  EXPECT_EQ(open("?tenant=a/b").status, 400);
  // Everything else has headers.
  EXPECT_EQ(open("?tenant=team-a", "", false).body, "anonymous|anonymous|admin");
}

TEST(SocketTenant, AViewerOfOneDoesNotReadAnother) {
  TestServer server(true);
  for (const char* path : {kLive, kTail}) server.add_probe("GET", path, {.access = Access::read});
  const std::string root = server.make_admin();
  for (const char* tenant : {"team-a", "team-b"}) {
    const std::string body = std::string(R"({"name":")") + tenant + "\"}";
    ASSERT_EQ(server.send({.method = "POST", .path = "/tenancy/api/v1/tenants", .body = body, .cookie = root}).status,
              201);
  }
  ASSERT_EQ(server
                .send({.method = "POST",
                       .path = "/tenancy/api/v1/users",
                       .body = R"({"login":"vi","name":"Vi","password":"long enough 1","roles":{"team-a":"viewer"}})",
                       .cookie = root})
                .status,
            201);
  const std::string token = server.make_token(root, R"({"name":"t","tenant":"team-a","scopes":["read"]})");
  const std::string vi = server.log_in("vi", "long enough 1");
  for (const std::string path : {kLive, kTail}) {
    const auto open = [&](const std::string& cookie, const std::string& tenant) {
      return server.send({.path = path + "?tenant=" + tenant, .cookie = cookie, .origin = kOrigin, .websocket = true});
    };
    EXPECT_EQ(open(vi, "team-a").body, "team-a|vi|viewer");
    EXPECT_EQ(open(vi, "").body, "team-a|vi|viewer");
    EXPECT_EQ(open(vi, "team-b").status, 403);
    EXPECT_EQ(open(vi, "team-b").body, "you have no role in tenant 'team-b'");
    EXPECT_EQ(open(vi, "never-made").status, 403);
    EXPECT_EQ(open("", "team-a").status, 401);
    EXPECT_EQ(open(root, "team-b").body, "team-b|root|admin");
    EXPECT_EQ(open(root, "never-made").status, 403);
    const auto with_token = [&](const std::string& tenant) {
      return server.send({.path = path + "?tenant=" + tenant, .authorization = "Bearer " + token, .websocket = true})
          .status;
    };
    EXPECT_EQ(with_token("team-a"), 200);
    EXPECT_EQ(with_token("team-b"), 403);
  }
}

}  // namespace
}  // namespace tocayo::tenancy
