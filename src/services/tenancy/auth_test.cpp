// SPDX-License-Identifier: Apache-2.0
// Access control as a client meets it: authenticator and routes together.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tenancy/detail/service_impl.h"
#include "tenancy/detail/test_server.h"

namespace tocayo::tenancy {
namespace {

using http::Access;
using testing::Answer;
using testing::TestServer;

// ---- login off ----

TEST(LoginOff, TheLocalOperatorIsAdminOfTheTenantItNames) {
  TestServer server(false);
  server.add_probe("GET", "/api/v1/query", {.access = Access::read});
  server.add_probe("POST", "/api/v1/push", {.access = Access::write, .csrf_exempt = true});
  EXPECT_EQ(server.send({.path = "/api/v1/query"}).body, "anonymous|anonymous|admin");
  EXPECT_EQ(server.send({.path = "/api/v1/query", .tenant = "team-a"}).body, "team-a|anonymous|admin");
  EXPECT_EQ(server.send({.method = "POST", .path = "/api/v1/push", .tenant = "never-seen", .csrf = false}).status, 200);
  for (const char* bad : {"..", "a/b", "a|b", "a b"})
    EXPECT_EQ(server.send({.path = "/api/v1/query", .tenant = bad}).status, 400) << bad;
}

TEST(LoginOff, SeveralTenantsOnlyWhereTheRouteReadsUnions) {
  TestServer server(false);
  server.add_probe("GET", "/api/v1/query", {.access = Access::read});
  server.add_probe("GET", "/loki/api/v1/query_range", {.access = Access::read, .several_tenants = true});
  server.add_probe("POST", "/loki/api/v1/push", {.access = Access::write, .csrf_exempt = true});
  const auto read = [&](std::string tenant) {
    return server.send({.path = "/loki/api/v1/query_range", .tenant = std::move(tenant)});
  };
  EXPECT_EQ(read("b|a|b").body, "a|b|anonymous|admin");
  EXPECT_EQ(read("b|b").body, "b|anonymous|admin");
  for (const char* bad : {"a|", "|", "a|..", "a|b/c"}) EXPECT_EQ(read(bad).status, 400) << bad;
  for (const char* path : {"/api/v1/query", "/loki/api/v1/push"}) {
    const bool push = std::string(path).ends_with("push");
    const auto answer = server.send({.method = push ? "POST" : "GET", .path = path, .tenant = "a|b", .csrf = false});
    EXPECT_EQ(answer.status, 400) << path;
    EXPECT_EQ(answer.body, "multiple org IDs present") << path;
    EXPECT_EQ(server.send({.method = push ? "POST" : "GET", .path = path, .tenant = "a|a", .csrf = false}).body,
              "a|anonymous|admin");
  }
}

TEST(LoginOff, RebindingAndForeignPagesAreRefused) {
  TestServer server(false);
  server.add_probe("GET", "/api/v1/query", {.access = Access::read});
  server.add_probe("POST", "/api/v1/push", {.access = Access::write, .csrf_exempt = true});
  server.add_probe("GET", "/open", {.access = Access::open});
  for (const char* path : {"/api/v1/query", "/open"}) {
    EXPECT_EQ(server.send({.path = path, .host = "evil.example:4600"}).status, 403);
    EXPECT_EQ(server.send({.path = path, .host = ""}).status, 403);
    EXPECT_EQ(server.send({.path = path, .origin = "http://evil.example"}).status, 403);
    EXPECT_EQ(server.send({.path = path, .origin = "null"}).status, 403);
  }
  // The attacker's name resolves to us: Host and Origin agree with each other, and are still not ours. A credential
  // does not help.
  EXPECT_EQ(
      server.send({.path = "/api/v1/query", .origin = "http://evil.example:4600", .host = "evil.example:4600"}).status,
      403);
  EXPECT_EQ(server.send({.path = "/api/v1/query", .authorization = "Bearer tcy_x", .host = "evil.example:4600"}).status,
            403);
  // csrf_exempt frees from the header, not from the Origin.
  EXPECT_EQ(server.send({.method = "POST", .path = "/api/v1/push", .origin = "http://evil.example"}).status, 403);
  EXPECT_EQ(server.send({.method = "POST", .path = "/api/v1/push", .origin = "http://localhost:3000"}).status, 403);
}

TEST(LoginOff, WritesOfOurOwnPageNeedTheHeader) {
  TestServer server(false);
  testing::Call call{.method = "POST",
                     .path = "/tenancy/api/v1/tenants",
                     .body = R"({"name":"a"})",
                     .origin = "http://127.0.0.1:4600",
                     .csrf = false};
  EXPECT_EQ(server.send(call).status, 403);
  call.csrf = true;
  EXPECT_EQ(server.send(call).status, 201);
  // A program on this machine sends no Origin and needs nothing.
  EXPECT_EQ(server.send({.method = "POST", .path = "/tenancy/api/v1/tenants", .body = R"({"name":"b"})", .csrf = false})
                .status,
            201);
}

TEST(LoginOff, WebSocketsOfForeignPagesAreRefused) {
  TestServer server(false);
  server.add_probe("GET", "/api/live/v1/ws", {.access = Access::read});
  EXPECT_EQ(server.send({.path = "/api/live/v1/ws", .origin = "http://evil.example", .websocket = true}).status, 403);
  EXPECT_EQ(
      server.send({.path = "/api/live/v1/ws", .origin = "http://127.0.0.1:4600", .csrf = false, .websocket = true})
          .status,
      200);
  EXPECT_EQ(server.send({.path = "/api/live/v1/ws", .csrf = false, .websocket = true}).status, 200);  // a program
}

TEST(LoginOff, ReadsAndWritesOfAdministrationWork) {
  TestServer server(false);
  auto user = server.send({.method = "POST",
                           .path = "/tenancy/api/v1/users",
                           .body = R"({"login":"Ana","name":"Ana","password":"long enough 1","instanceAdmin":true})"});
  EXPECT_EQ(user.status, 201) << user.body;
  EXPECT_EQ(user.json().at("login").as_string(), "ana");
  EXPECT_EQ(server.send({.path = "/tenancy/api/v1/users"}).json().as_array().size(), 1u);
  auto me = server.send(
      {.method = "PUT",
       .path = "/api/ui/me",
       .body =
           R"({"language":"es","theme":"contrast","density":"cosy","hour12":false,"weekStart":1,"timezone":"Europe/Madrid"})"});
  EXPECT_EQ(me.status, 200) << me.body;
  auto read = server.send({.path = "/api/ui/me"}).json();
  EXPECT_EQ(read.at("language").as_string(), "es");
  EXPECT_EQ(read.at("theme").as_string(), "contrast");
  EXPECT_EQ(read.at("density").as_string(), "cosy");
  EXPECT_EQ(read.at("weekStart").as_int64(), 1);
  EXPECT_EQ(read.at("hour12").as_bool(), false);
  EXPECT_EQ(read.at("login").as_string(), "anonymous");
  EXPECT_EQ(read.at("authMode").as_string(), "off");
  EXPECT_EQ(server.send({.method = "PUT", .path = "/api/ui/me", .body = R"({"weekStart":null})"})
                .json()
                .at("weekStart")
                .is_null(),
            true);
  for (const char* bad : {R"({"language":"fr"})", R"({"theme":1})", R"({"theme":"pink"})", R"({"density":"loose"})",
                          R"({"weekStart":7})", R"({"timezone":"a b"})", "[]", "{", ""}) {
    EXPECT_EQ(server.send({.method = "PUT", .path = "/api/ui/me", .body = bad}).status, 400) << bad;
  }
  EXPECT_EQ(server.send({.method = "POST", .path = "/api/ui/login", .body = "{}"}).json().at("code").as_string(),
            "login_off");
  EXPECT_FALSE(server.service->take_setup_token());
}

// ---- first start ----

TEST(Setup, TheLinkMakesOneAdminOnce) {
  TestServer server(true);
  auto token = server.service->take_setup_token();
  ASSERT_TRUE(token);
  EXPECT_FALSE(server.service->take_setup_token());
  auto attempt = [&](std::string with, std::string password = "long enough 1") {
    return server.send(
        {.method = "POST",
         .path = "/api/ui/setup",
         .body = R"({"token":")" + with + R"(","login":"root","name":"R","password":")" + password + "\"}"});
  };
  EXPECT_EQ(attempt("wrong").json().at("code").as_string(), "bad_setup_token");
  EXPECT_EQ(attempt(*token, "short").status, 400);  // and the link is still good
  auto done = attempt(*token);
  ASSERT_EQ(done.status, 200) << done.body;
  EXPECT_EQ(done.json().at("user").at("instanceAdmin").as_bool(), true);
  ASSERT_FALSE(done.cookie.empty());
  EXPECT_EQ(server.send({.path = "/api/ui/me", .cookie = done.cookie}).json().at("login").as_string(), "root");
  EXPECT_EQ(attempt(*token).status, 403);
  // A start with users makes no link.
  server.service.reset();
  ServiceOptions options;
  options.login_required = true;
  options.password_cost = {64, 1};
  auto again = Service::open(*server.database, options);
  ASSERT_TRUE(again);
  EXPECT_FALSE((*again)->take_setup_token());
}

TEST(Setup, AnOldLinkIsVoid) {
  TestServer server(true);
  auto token = server.service->take_setup_token();
  server.clock.advance(24LL * 3'600'000 + 1);
  auto done =
      server.send({.method = "POST",
                   .path = "/api/ui/setup",
                   .body = R"({"token":")" + *token + R"(","login":"root","name":"R","password":"long enough 1"})"});
  EXPECT_EQ(done.status, 403);
}

TEST(Setup, TwoAtOnceMakeOneAdmin) {
  TestServer server(true);
  auto token = server.service->take_setup_token();
  std::atomic<int> made{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      auto answer = server.send({.method = "POST",
                                 .path = "/api/ui/setup",
                                 .body = R"({"token":")" + *token + R"(","login":"u)" + std::to_string(i) +
                                         R"(","name":"","password":"long enough 1"})"});
      if (answer.status == 200) ++made;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(made, 1);
}

// ---- signing in ----

class LoginOn : public ::testing::Test {
 protected:
  LoginOn() : server(true) {
    server.add_probe("GET", "/api/v1/query", {.access = Access::read});
    server.add_probe("POST", "/api/v1/push", {.access = Access::write, .csrf_exempt = true});
    server.add_probe("POST", "/api/v1/rules", {.access = Access::write});
    server.add_probe("GET", "/loki/api/v1/query", {.access = Access::read});
    server.add_probe("GET", "/loki/api/v1/labels", {.access = Access::read, .several_tenants = true});
    server.add_probe("GET", "/loki/api/v1/editors", {.access = Access::write, .several_tenants = true});
    server.add_probe("DELETE", "/api/v1/admin/x", {.access = Access::admin});
    server.add_probe("GET", "/open", {.access = Access::open});
    server.add_probe("GET", "/api/live/v1/ws", {.access = Access::read});
    root = server.make_admin();
    for (const char* tenant : {"team-a", "team-b"}) {
      EXPECT_EQ(server
                    .send({.method = "POST",
                           .path = "/tenancy/api/v1/tenants",
                           .body = std::string(R"({"name":")") + tenant + "\"}",
                           .cookie = root})
                    .status,
                201);
    }
  }
  std::int64_t add_user(const std::string& login, const std::string& roles, bool admin = false) {
    auto answer =
        server.send({.method = "POST",
                     .path = "/tenancy/api/v1/users",
                     .body = R"({"login":")" + login + R"(","name":"N","password":"long enough 1","instanceAdmin":)" +
                             (admin ? "true" : "false") + R"(,"roles":)" + roles + "}",
                     .cookie = root});
    EXPECT_EQ(answer.status, 201) << answer.body;
    return answer.status == 201 ? answer.json().at("id").as_int64() : 0;
  }
  Answer patch(std::int64_t id, std::string body, std::string cookie = "") {
    return server.send({.method = "PATCH",
                        .path = "/tenancy/api/v1/users/" + std::to_string(id),
                        .body = std::move(body),
                        .cookie = cookie.empty() ? root : cookie});
  }
  int query(std::string cookie, std::string tenant = "") {
    return server.send({.path = "/api/v1/query", .cookie = std::move(cookie), .tenant = std::move(tenant)}).status;
  }

  TestServer server;
  std::string root;
};

TEST_F(LoginOn, NobodyGetsNothing) {
  EXPECT_EQ(server.send({.path = "/api/v1/query"}).status, 401);
  EXPECT_EQ(server.send({.path = "/api/v1/query", .tenant = "team-a"}).status, 401);
  EXPECT_EQ(server.send({.method = "POST", .path = "/api/v1/push", .tenant = "team-a"}).status, 401);
  EXPECT_EQ(server.send({.path = "/tenancy/api/v1/users"}).status, 401);
  EXPECT_EQ(server.send({.path = "/runtime_config"}).status, 401);
  EXPECT_EQ(server.send({.path = "/open"}).body, "anonymous||none");
  EXPECT_EQ(server.send({.path = "/open", .cookie = "forged"}).body, "anonymous||none");
  EXPECT_EQ(server.send({.path = "/open", .authorization = "Bearer nonsense"}).body, "anonymous||none");
  EXPECT_EQ(server.send({.path = "/api/ui/me"}).status, 401);
}

TEST_F(LoginOn, WrongPasswordsAreAllRefusedAlike) {
  auto id = add_user("ana", R"({"team-a":"viewer"})");
  auto attempt = [&](std::string login, std::string password, std::string address) {
    return server.send({.method = "POST",
                        .path = "/api/ui/login",
                        .body = R"({"login":")" + login + R"(","password":")" + password + "\"}",
                        .address = address});
  };
  auto wrong = attempt("ana", "wrong password", "10.0.0.1:1");
  auto unknown = attempt("nobody", "wrong password", "10.0.0.2:1");
  ASSERT_EQ(patch(id, R"({"disabled":true})").status, 200);
  auto disabled = attempt("ana", "long enough 1", "10.0.0.3:1");
  auto strange = attempt("'; DROP TABLE account; --", "x", "10.0.0.4:1");
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(wrong.json().at("code").as_string(), "bad_credentials");
  EXPECT_EQ(wrong.body, unknown.body);
  EXPECT_EQ(wrong.body, disabled.body);
  EXPECT_EQ(wrong.body, strange.body);
  EXPECT_EQ(wrong.cookie, "");
  ASSERT_EQ(patch(id, R"({"disabled":false})").status, 200);
  EXPECT_EQ(attempt("ANA", "long enough 1", "10.0.0.5:1").status, 200);  // the login's case does not matter
  EXPECT_EQ(attempt("ana", "Long enough 1", "10.0.0.5:1").status, 401);  // the password's does
}

// Both paths must do one whole argon2 verification: with a cost of some 20 ms the two medians are close, and the
// difference is small against the hash itself. (A path that skipped it would be 20 times faster.)
TEST(LoginTiming, UnknownLoginsTakeAsLongAsWrongPasswords) {
  db::testing::TemporaryDirectory directory;
  db::testing::ManualClock clock;
  auto database = db::testing::open_database(directory.path() / "db");
  ServiceOptions options;
  options.password_cost = {8'192, 2};
  options.clock = &clock;
  auto service = std::move(*Service::open(*database, options));
  ASSERT_TRUE(sync_wait(service->create_user({"test", 0, "", true, ""}, {"ana", "", "long enough 1", false, {}})));
  auto median = [&](std::string login) {
    std::vector<double> seconds;
    for (int i = 0; i < 7; ++i) {
      clock.advance(3'600'001);
      auto start = std::chrono::steady_clock::now();
      EXPECT_EQ(sync_wait(service->login({login, "wrong password", "10.0.0.1:1", ""})).error().kind,
                ErrorKind::unauthorized);
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    std::sort(seconds.begin(), seconds.end());
    return seconds[3];
  };
  double known = median("ana"), unknown = median("nobody"), impossible = median("no such' login");
  EXPECT_GT(unknown, known / 3);
  EXPECT_GT(impossible, known / 3);
  EXPECT_GT(known, unknown / 3);
}

TEST_F(LoginOn, GuessingIsSlowedDownWithoutLockingTheOwnerOut) {
  add_user("ana", R"({"team-a":"viewer"})");
  auto attempt = [&](std::string password, std::string address) {
    return server.send({.method = "POST",
                        .path = "/api/ui/login",
                        .body = R"({"login":"ana","password":")" + password + "\"}",
                        .address = address});
  };
  for (int i = 0; i < 5; ++i) EXPECT_EQ(attempt("guess number " + std::to_string(i), "10.9.9.9:1").status, 401);
  auto slowed = attempt("long enough 1", "10.9.9.9:2");  // even the right one must wait there
  EXPECT_EQ(slowed.status, 429);
  EXPECT_EQ(slowed.json().at("code").as_string(), "too_many_attempts");
  EXPECT_EQ(slowed.headers.get("Retry-After"), "2");
  EXPECT_EQ(attempt("long enough 1", "10.1.1.1:1").status, 200);
  server.clock.advance(2'000);
  EXPECT_EQ(attempt("long enough 1", "10.9.9.9:1").status, 200);
}

TEST_F(LoginOn, CookieIsHardened) {
  auto answer = server.send(
      {.method = "POST", .path = "/api/ui/login", .body = R"({"login":"root","password":"root password"})"});
  std::string_view set = answer.headers.get("Set-Cookie");
  EXPECT_NE(set.find("; HttpOnly"), std::string_view::npos);
  EXPECT_NE(set.find("; SameSite=Lax"), std::string_view::npos);
  EXPECT_NE(set.find("; Path=/;"), std::string_view::npos);
  EXPECT_EQ(set.find("Secure"), std::string_view::npos);
  EXPECT_EQ(answer.cookie.size(), 43u);
  auto tls = server.send({.method = "POST",
                          .path = "/api/ui/login",
                          .body = R"({"login":"root","password":"root password"})",
                          .tls = true});
  EXPECT_NE(tls.headers.get("Set-Cookie").find("; Secure"), std::string_view::npos);
  EXPECT_NE(tls.cookie, answer.cookie);
  // The database keeps a digest only.
  auto rows =
      server.database->read_sync([](db::Session& s) { return s.query<std::string>("SELECT digest FROM session"); });
  for (auto& [digest] : *rows) EXPECT_EQ(digest.find(answer.cookie), std::string::npos);
}

TEST_F(LoginOn, SessionsEnd) {
  add_user("ana", R"({"team-a":"viewer"})");
  std::string a = server.log_in("ana", "long enough 1"), b = server.log_in("ana", "long enough 1");
  EXPECT_EQ(query(a), 200);
  EXPECT_EQ(server.send({.method = "POST", .path = "/api/ui/logout", .cookie = a}).status, 204);
  EXPECT_EQ(query(a), 401);
  EXPECT_EQ(query(b), 200);
  // A new password ends the other sessions, not this one.
  std::string c = server.log_in("ana", "long enough 1");
  auto change = [&](std::string current) {
    return server.send({.method = "POST",
                        .path = "/api/ui/me/password",
                        .body = R"({"current":")" + current + R"(","new":"even longer 2"})",
                        .cookie = b});
  };
  EXPECT_EQ(change("wrong").json().at("code").as_string(), "bad_password");
  EXPECT_EQ(change("long enough 1").status, 204);
  EXPECT_EQ(query(b), 200);
  EXPECT_EQ(query(c), 401);
  EXPECT_EQ(server.log_in("ana", "long enough 1"), "");
  std::string d = server.log_in("ana", "even longer 2");
  EXPECT_EQ(query(d), 200);
}

TEST_F(LoginOn, SessionsExpireIdleAndAbsolutely) {
  constexpr std::int64_t day = 24LL * 3'600'000;
  std::string idle = server.log_in("root", "root password");
  server.clock.advance(7 * day);
  // Not used for 7 days: gone. (Looked up anew: the cache is emptied by any change.)
  std::string used = server.log_in("root", "root password");
  EXPECT_EQ(query(idle), 401);
  auto empty_cache = [&] {
    EXPECT_TRUE(sync_wait(
        server.service->create_tenant({"t", 0, "", true, ""}, "x" + std::to_string(server.clock.now_ms()), "")));
  };
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(query(used), 200);
    // The note of the use is written behind the answer.
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    for (;;) {
      auto seen = server.database->read_sync(
          [](db::Session& s) { return s.query_value<std::int64_t>("SELECT max(seen_ms) FROM session"); });
      if (**seen == server.clock.now_ms()) break;
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    }
    server.clock.advance(6 * day);
    empty_cache();
  }
  EXPECT_EQ(query(used), 200);  // 24 days, always in use
  server.clock.advance(6 * day);
  empty_cache();
  EXPECT_EQ(query(used), 401);  // 30 days: the end
}

TEST_F(LoginOn, ForgedSessionsAreRefused) {
  std::string forged = root;
  forged[5] = forged[5] == 'a' ? 'b' : 'a';
  for (std::string bad : {forged, root + "x", root.substr(1), std::string("x"), std::string(5'000, 'a'),
                          std::string("' OR '1'='1"), std::string("\xff\xfe")}) {
    EXPECT_EQ(query(bad), 401) << bad.substr(0, 50);
  }
}

TEST_F(LoginOn, BrowsersWritesNeedTheHeader) {
  testing::Call call{
      .method = "POST", .path = "/tenancy/api/v1/teams", .body = R"({"name":"t"})", .cookie = root, .csrf = false};
  EXPECT_EQ(server.send(call).status, 403);
  call.origin = "http://127.0.0.1:4600";
  EXPECT_EQ(server.send(call).status, 403);
  call.csrf = true;
  EXPECT_EQ(server.send(call).status, 201);
  call.origin = "http://evil.example";
  EXPECT_EQ(server.send(call).status, 403);
  // Signing in from a foreign page (login CSRF) as well.
  EXPECT_EQ(server
                .send({.method = "POST",
                       .path = "/api/ui/login",
                       .body = R"({"login":"root","password":"root password"})",
                       .origin = "http://evil.example"})
                .status,
            403);
  EXPECT_EQ(server
                .send({.method = "POST",
                       .path = "/api/ui/login",
                       .body = R"({"login":"root","password":"root password"})",
                       .origin = "http://127.0.0.1:4600",
                       .csrf = false})
                .status,
            403);
  // A WebSocket that a cookie opens must say where it comes from.
  EXPECT_EQ(server.send({.path = "/api/live/v1/ws", .cookie = root, .websocket = true}).status, 403);
  EXPECT_EQ(server.send({.path = "/api/live/v1/ws", .cookie = root, .origin = "http://evil.example", .websocket = true})
                .status,
            403);
  EXPECT_EQ(
      server.send({.path = "/api/live/v1/ws", .cookie = root, .origin = "http://127.0.0.1:4600", .websocket = true})
          .status,
      200);
}

TEST_F(LoginOn, RolesDecide) {
  add_user("viewer", R"({"team-a":"viewer"})");
  add_user("editor", R"({"team-a":"editor","team-b":"viewer"})");
  add_user("admin", R"({"team-a":"admin"})");
  add_user("none", "{}");
  std::string viewer = server.log_in("viewer", "long enough 1"), editor = server.log_in("editor", "long enough 1");
  std::string admin = server.log_in("admin", "long enough 1"), none = server.log_in("none", "long enough 1");
  auto status = [&](std::string method, std::string path, std::string cookie, std::string tenant = "") {
    return server.send({.method = method, .path = path, .cookie = cookie, .tenant = tenant}).status;
  };
  EXPECT_EQ(status("GET", "/api/v1/query", viewer), 200);
  EXPECT_EQ(status("POST", "/api/v1/rules", viewer), 403);
  EXPECT_EQ(status("POST", "/api/v1/rules", editor), 200);
  EXPECT_EQ(status("POST", "/api/v1/rules", editor, "team-b"), 403);
  EXPECT_EQ(status("GET", "/api/v1/query", editor, "team-b"), 200);
  EXPECT_EQ(status("DELETE", "/api/v1/admin/x", editor), 403);
  EXPECT_EQ(status("DELETE", "/api/v1/admin/x", admin), 200);
  EXPECT_EQ(status("GET", "/tenancy/api/v1/users", admin), 403);
  EXPECT_EQ(status("GET", "/tenancy/api/v1/users", root), 200);
  EXPECT_EQ(status("GET", "/api/v1/query", none), 403);
  EXPECT_EQ(server.send({.path = "/api/ui/me", .cookie = none}).json().at("role").as_string(), "none");
  EXPECT_EQ(server.send({.path = "/api/v1/query", .cookie = viewer}).body, "team-a|viewer|viewer");
  EXPECT_EQ(server.send({.path = "/api/v1/query", .cookie = root}).body, "anonymous|root|admin");
}

TEST_F(LoginOn, TheTenantHeaderOpensNoDoors) {
  add_user("ana", R"({"team-a":"admin"})");
  std::string ana = server.log_in("ana", "long enough 1");
  EXPECT_EQ(query(ana, "team-a"), 200);
  EXPECT_EQ(query(ana, "team-b"), 403);
  EXPECT_EQ(query(ana, "anonymous"), 403);
  EXPECT_EQ(query(ana, "never-made"), 403);
  EXPECT_EQ(query(ana, "team-a|team-b"), 400);
  EXPECT_EQ(query(ana, "TEAM-A"), 403);
  EXPECT_EQ(query(root, "team-b"), 200);
  EXPECT_EQ(query(root, "never-made"), 403);
  // Administration of one tenant does not reach into another.
  std::string token = server.make_token(root, R"({"name":"b","tenant":"team-b","scopes":["metrics:read"]})");
  EXPECT_TRUE(token.starts_with("tcy_")) << token;
  auto seen = server.send({.path = "/tenancy/api/v1/tokens", .cookie = ana}).json();
  EXPECT_EQ(seen.as_array().size(), 0u);
  EXPECT_EQ(server.send({.path = "/tenancy/api/v1/tokens?tenant=team-b", .cookie = ana}).status, 403);
  EXPECT_EQ(server.send({.method = "DELETE", .path = "/tenancy/api/v1/tokens/1", .cookie = ana}).status, 404);
  EXPECT_NE(server.make_token(ana, R"({"name":"x","tenant":"team-b","scopes":["metrics:read"]})").find("forbidden"),
            std::string::npos);
  EXPECT_NE(server.make_token(ana, R"({"name":"x","scopes":["instance:admin"]})").find("forbidden"), std::string::npos);
  for (auto& entry : server.send({.path = "/tenancy/api/v1/audit?tenant=team-b", .cookie = ana}).json().as_array()) {
    EXPECT_EQ(entry.at("tenant").as_string(), "team-a");
  }
}

TEST_F(LoginOn, SeveralTenantsNeedARightInEachOfThem) {
  add_user("ana", R"({"team-a":"admin"})");
  add_user("both", R"({"team-a":"editor","team-b":"viewer"})");
  const auto read = [&](std::string cookie, std::string tenant, std::string path = "/loki/api/v1/labels") {
    return server.send({.path = std::move(path), .cookie = std::move(cookie), .tenant = std::move(tenant)});
  };
  const std::string ana = server.log_in("ana", "long enough 1"), both = server.log_in("both", "long enough 1");
  EXPECT_EQ(read(ana, "team-b|team-a").status, 403);
  EXPECT_EQ(read(ana, "team-b|team-a").body, "you have no role in tenant 'team-b'");
  EXPECT_EQ(read(ana, "team-a|never-made").status, 403);
  EXPECT_EQ(read(both, "team-b|team-a").body, "team-a|team-b|both|viewer") << "the least of the roles";
  EXPECT_EQ(read(both, "team-a", "/loki/api/v1/editors").status, 200);
  EXPECT_EQ(read(both, "team-a|team-b", "/loki/api/v1/editors").status, 403);
  EXPECT_EQ(read(root, "team-a|team-b").status, 200);
  EXPECT_EQ(read(root, "team-a|never-made").status, 403);
  // A token is of one tenant.
  const auto with = [&](const std::string& token, std::string tenant) {
    return server.send({.path = "/loki/api/v1/labels",
                        .authorization = "Bearer " + token,
                        .tenant = std::move(tenant),
                        .csrf = false});
  };
  const auto logs = server.make_token(root, R"({"name":"l","tenant":"team-a","scopes":["logs:read"]})");
  const auto instance = server.make_token(root, R"({"name":"i","tenant":"team-a","scopes":["instance:admin"]})");
  EXPECT_EQ(with(logs, "team-a|team-a").body, "team-a|token:l|viewer");
  EXPECT_EQ(with(logs, "team-a|team-b").status, 403);
  EXPECT_EQ(with(instance, "team-b|team-a").body, "team-a|team-b|token:i|admin");
  EXPECT_EQ(with(instance, "team-b|never-made").status, 403);
}

TEST_F(LoginOn, TokensDoWhatTheirScopesSay) {
  std::string push = server.make_token(root, R"({"name":"push","tenant":"team-a","scopes":["metrics:write"]})");
  std::string read = server.make_token(root, R"({"name":"read","tenant":"team-a","scopes":["metrics:read"]})");
  std::string all = server.make_token(root, R"({"name":"all","tenant":"team-a","scopes":["admin"]})");
  std::string instance = server.make_token(root, R"({"name":"inst","tenant":"team-a","scopes":["instance:admin"]})");
  auto with = [&](std::string method, std::string path, std::string token, std::string tenant = "") {
    return server.send(
        {.method = method, .path = path, .authorization = "Bearer " + token, .tenant = tenant, .csrf = false});
  };
  EXPECT_EQ(with("POST", "/api/v1/push", push).body, "team-a|token:push|editor");
  EXPECT_EQ(with("GET", "/api/v1/query", push).status, 403);
  EXPECT_EQ(with("GET", "/api/v1/query", read).status, 200);
  EXPECT_EQ(with("POST", "/api/v1/push", read).status, 403);
  EXPECT_EQ(with("GET", "/loki/api/v1/query", read).status, 403);
  EXPECT_EQ(with("POST", "/api/v1/rules", push).status, 403);  // rules are another area
  EXPECT_EQ(with("GET", "/loki/api/v1/query", all).status, 200);
  EXPECT_EQ(with("DELETE", "/api/v1/admin/x", all).status, 200);
  EXPECT_EQ(with("GET", "/tenancy/api/v1/users", all).status, 403);
  EXPECT_EQ(with("GET", "/tenancy/api/v1/users", instance).status, 200);
  // The tenant is the token's, whatever the header says.
  EXPECT_EQ(with("GET", "/api/v1/query", read, "team-a").status, 200);
  EXPECT_EQ(with("GET", "/api/v1/query", read, "team-b").status, 403);
  EXPECT_EQ(with("GET", "/api/v1/query", instance, "team-b").body, "team-b|token:inst|admin");
  EXPECT_EQ(with("GET", "/api/v1/query", instance, "never-made").status, 403);
  // Basic, as Prometheus and Grafana send it. base64("team-a:" + token), base64("team-b:" + token).
  auto basic = [&](const std::string& user, const std::string& secret) {
    static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string in = user + ":" + secret, out;
    for (std::size_t i = 0; i < in.size(); i += 3) {
      unsigned n = 0;
      for (std::size_t k = 0; k < 3; ++k) n = n << 8 | (i + k < in.size() ? static_cast<unsigned char>(in[i + k]) : 0u);
      for (std::size_t k = 0; k < 4; ++k) out += i + k > in.size() ? '=' : kAlphabet[n >> (18 - 6 * k) & 63];
    }
    return server.send({.path = "/api/v1/query", .authorization = "Basic " + out, .csrf = false});
  };
  EXPECT_EQ(basic("team-a", read).status, 200);
  EXPECT_EQ(basic("team-b", read).status, 401);
  EXPECT_EQ(basic("root", "root password").body, "anonymous|root|admin");
  EXPECT_EQ(basic("root", "wrong password").status, 401);
  // A token is not judged by Host: agents reach the server under any name.
  EXPECT_EQ(server.send({.path = "/api/v1/query", .authorization = "Bearer " + read, .host = "tocayo.svc.cluster:4600"})
                .status,
            200);
  EXPECT_EQ(server.send({.path = "/api/v1/query", .cookie = root, .host = "tocayo.svc.cluster:4600"}).status, 403);
  // But a page is: with a made-up credential a rebound name gets no further.
  EXPECT_EQ(server
                .send({.method = "POST",
                       .path = "/api/ui/login",
                       .body = "{}",
                       .authorization = "Bearer tcy_x",
                       .origin = "http://evil.example:4600",
                       .host = "evil.example:4600"})
                .status,
            403);
  // Its profile is nobody's.
  EXPECT_EQ(with("PUT", "/api/ui/me", all).status, 403);
}

TEST_F(LoginOn, RequestsSideBySideShareOnePasswordCheck) {
  std::vector<std::thread> threads;
  std::atomic<int> fine{0}, refused{0};
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back(
        [&] { fine += sync_wait(server.service->by_password("root", "root password", "10.7.7.7:1")).has_value(); });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(fine, 16);  // not taken for a flood of guesses
  threads.clear();
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      auto answer = sync_wait(server.service->by_password("root", "guess number " + std::to_string(i), "10.7.7.7:1"));
      refused += !answer && answer.error().kind == ErrorKind::limit;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(refused, 16 - 5);
}

TEST_F(LoginOn, TokensExpireAndAreRevoked) {
  auto expires = std::to_string(server.clock.now_ms() + 60'000);
  std::string brief =
      server.make_token(root, R"({"name":"brief","tenant":"team-a","scopes":["read"],"expiresMs":)" + expires + "}");
  std::string other = server.make_token(root, R"({"name":"other","tenant":"team-a","scopes":["read"]})");
  auto status = [&](std::string token) {
    return server.send({.path = "/api/v1/query", .authorization = "Bearer " + token}).status;
  };
  EXPECT_EQ(status(other), 200);
  EXPECT_EQ(status("tcy_" + std::string(43, 'a')), 401);
  EXPECT_EQ(status("tcy_"), 401);
  server.clock.advance(60'000);
  EXPECT_EQ(status(brief), 401);
  std::int64_t id = 0;
  for (auto& token : server.send({.path = "/tenancy/api/v1/tokens", .cookie = root}).json().as_array()) {
    EXPECT_EQ(token.as_object().contains("token"), false);  // the secret is shown once
    if (token.at("name").as_string() == "other") id = token.at("id").as_int64();
  }
  EXPECT_EQ(
      server.send({.method = "DELETE", .path = "/tenancy/api/v1/tokens/" + std::to_string(id), .cookie = root}).status,
      204);
  EXPECT_EQ(status(other), 401);  // at once, although it was cached
  for (const char* bad :
       {R"({"name":"","scopes":["read"]})", R"({"name":"x","scopes":[]})", R"({"name":"x","scopes":["root"]})",
        R"({"name":"x","scopes":"read"})", R"({"name":"x","scopes":["read"],"expiresMs":1})",
        R"({"name":"x","scopes":["read"],"tenant":"nowhere"})"}) {
    EXPECT_NE(server.make_token(root, bad).find("bad_input"), std::string::npos) << bad;
  }
  EXPECT_NE(server.make_token(root, R"({"name":"brief","tenant":"team-a","scopes":["read"]})").find("conflict"),
            std::string::npos);
}

TEST_F(LoginOn, ChangesTakeEffectAtOnce) {
  auto id = add_user("ana", R"({"team-a":"editor"})");
  std::string ana = server.log_in("ana", "long enough 1");
  auto write = [&] { return server.send({.method = "POST", .path = "/api/v1/rules", .cookie = ana}).status; };
  EXPECT_EQ(write(), 200);
  ASSERT_EQ(patch(id, R"({"roles":{"team-a":"viewer"}})").status, 200);
  EXPECT_EQ(write(), 403);
  ASSERT_EQ(patch(id, R"({"roles":{"team-a":"editor"}})").status, 200);
  EXPECT_EQ(write(), 200);
  ASSERT_EQ(patch(id, R"({"disabled":true})").status, 200);
  EXPECT_EQ(write(), 401);
  ASSERT_EQ(patch(id, R"({"disabled":false})").status, 200);
  EXPECT_EQ(write(), 401);  // enabling gives no session back
  ana = server.log_in("ana", "long enough 1");
  ASSERT_EQ(
      server.send({.method = "DELETE", .path = "/tenancy/api/v1/users/" + std::to_string(id), .cookie = root}).status,
      204);
  EXPECT_EQ(write(), 401);
}

TEST_F(LoginOn, TheLastInstanceAdminStays) {
  auto root_id = server.send({.path = "/api/ui/me", .cookie = root}).json().at("id").as_int64();
  for (const char* change : {R"({"instanceAdmin":false})", R"({"disabled":true})"}) {
    auto answer = patch(root_id, change);
    EXPECT_EQ(answer.status, 409);
    EXPECT_EQ(answer.json().at("code").as_string(), "last_admin");
  }
  auto remove = [&](std::int64_t id) {
    return server.send({.method = "DELETE", .path = "/tenancy/api/v1/users/" + std::to_string(id), .cookie = root});
  };
  EXPECT_EQ(remove(root_id).status, 409);
  auto second = add_user("second", "{}", true);
  ASSERT_EQ(patch(second, R"({"disabled":true})").status, 200);
  EXPECT_EQ(remove(root_id).status, 409);  // a disabled admin does not count
  ASSERT_EQ(patch(second, R"({"disabled":false})").status, 200);
  EXPECT_EQ(remove(root_id).status, 204);
  EXPECT_EQ(query(root), 401);
}

TEST_F(LoginOn, TwoAdminsCannotRemoveEachOtherAtOnce) {
  auto root_id = server.send({.path = "/api/ui/me", .cookie = root}).json().at("id").as_int64();
  auto second = add_user("second", "{}", true);
  Actor actor{"test", 0, "", true, ""};
  std::atomic<int> removed{0};
  std::thread a([&] { removed += sync_wait(server.service->remove_user(actor, root_id)).has_value(); });
  std::thread b([&] { removed += sync_wait(server.service->remove_user(actor, second)).has_value(); });
  a.join();
  b.join();
  EXPECT_EQ(removed, 1);
}

TEST_F(LoginOn, BadUsersAndTenantsAreRefusedWithReasons) {
  auto create = [&](std::string body) {
    return server.send({.method = "POST", .path = "/tenancy/api/v1/users", .body = std::move(body), .cookie = root})
        .status;
  };
  EXPECT_EQ(create(R"({"login":"x","password":"short"})"), 400);
  EXPECT_EQ(create(R"({"login":"longlogin1","password":"LongLogin1"})"), 400);
  EXPECT_EQ(create(R"({"login":"a'; DROP TABLE account; --","password":"long enough 1"})"), 400);
  EXPECT_EQ(create(R"({"login":"","password":"long enough 1"})"), 400);
  EXPECT_EQ(create(R"({"login":"anonymous","password":"long enough 1"})"), 400);
  EXPECT_EQ(create(R"({"login":"x","password":"long enough 1","roles":{"nowhere":"viewer"}})"), 400);
  EXPECT_EQ(create(R"({"login":"x","password":"long enough 1","roles":{"team-a":"god"}})"), 400);
  EXPECT_EQ(create(R"({"login":"x","password":"long enough 1","name":"a\u0000b"})"), 400);
  EXPECT_EQ(create(R"({"login":1})"), 400);
  EXPECT_EQ(create("{{"), 400);
  EXPECT_EQ(create(R"({"login":"x","name":"Robert'); DROP TABLE account;--","password":"long enough 1"})"), 201);
  EXPECT_EQ(create(R"({"login":"X","password":"long enough 1"})"), 409);
  EXPECT_EQ(patch(99'999, R"({"name":"n"})").status, 404);
  EXPECT_EQ(server.send({.method = "PATCH", .path = "/tenancy/api/v1/users/1%20OR%201=1", .body = "{}", .cookie = root})
                .status,
            404);
  auto tenant = [&](std::string name) {
    return server
        .send({.method = "POST",
               .path = "/tenancy/api/v1/tenants",
               .body = R"({"name":")" + name + "\"}",
               .cookie = root})
        .status;
  };
  EXPECT_EQ(tenant("a/b"), 400);
  EXPECT_EQ(tenant(".."), 400);
  EXPECT_EQ(tenant("it's-(fine)!"), 201);
  EXPECT_EQ(tenant("team-a"), 409);
  auto remove = [&](std::string name) {
    return server.send({.method = "DELETE", .path = "/tenancy/api/v1/tenants/" + name, .cookie = root}).status;
  };
  EXPECT_EQ(remove("anonymous"), 409);
  EXPECT_EQ(remove("nowhere"), 404);
  std::string token = server.make_token(root, R"({"name":"t","tenant":"team-b","scopes":["read"]})");
  EXPECT_EQ(server.send({.path = "/api/v1/query", .authorization = "Bearer " + token}).status, 200);
  EXPECT_EQ(remove("team-b"), 204);
  EXPECT_EQ(server.send({.path = "/api/v1/query", .authorization = "Bearer " + token}).status,
            401);  // its tokens go with it
}

TEST_F(LoginOn, TeamsKnowTheirMembers) {
  auto id = add_user("ana", R"({"team-a":"viewer"})");
  auto made = server.send({.method = "POST",
                           .path = "/tenancy/api/v1/teams",
                           .body = R"({"name":"db","members":[)" + std::to_string(id) + "]}",
                           .cookie = root});
  ASSERT_EQ(made.status, 201) << made.body;
  auto team = std::to_string(made.json().at("id").as_int64());
  EXPECT_EQ(server
                .send({.method = "POST",
                       .path = "/tenancy/api/v1/teams",
                       .body = R"({"name":"x","members":[4711]})",
                       .cookie = root})
                .status,
            400);
  auto listed = server.send({.path = "/tenancy/api/v1/teams", .cookie = root}).json();
  ASSERT_EQ(listed.as_array().size(), 1u);
  EXPECT_EQ(listed.at(0).at("members").at(0).as_int64(), id);
  EXPECT_EQ(
      server
          .send(
              {.method = "PATCH", .path = "/tenancy/api/v1/teams/" + team, .body = R"({"members":[]})", .cookie = root})
          .json()
          .at("members")
          .as_array()
          .size(),
      0u);
  EXPECT_EQ(server.send({.method = "DELETE", .path = "/tenancy/api/v1/teams/" + team, .cookie = root}).status, 204);
}

TEST_F(LoginOn, EveryChangeIsAudited) {
  auto id = add_user("ana", R"({"team-a":"viewer"})");
  patch(id, R"({"disabled":true,"password":"a new secret 1"})");
  server.send(
      {.method = "POST", .path = "/api/ui/login", .body = R"({"login":"ana","password":"typed in the wrong field"})"});
  server.send({.method = "POST", .path = "/api/ui/login", .body = R"({"login":"my secret password","password":""})"});
  std::string token = server.make_token(root, R"({"name":"t","tenant":"team-a","scopes":["read"]})");
  auto page = server.send({.path = "/tenancy/api/v1/audit?limit=200", .cookie = root});
  auto all = page.json().as_array();
  std::vector<std::string> actions;
  for (auto& entry : all) actions.emplace_back(entry.at("action").as_string());
  std::reverse(actions.begin(), actions.end());
  EXPECT_EQ(actions, (std::vector<std::string>{"setup", "tenant.create", "tenant.create", "user.create", "user.update",
                                               "login.failed", "login.failed", "token.create"}));
  for (const char* secret : {"secret", "wrong field", token.c_str(), "long enough"})
    EXPECT_EQ(page.body.find(secret), std::string::npos) << secret;
  EXPECT_EQ(all.front().at("actor").as_string(), "root");
  // Paging.
  auto first = server.send({.path = "/tenancy/api/v1/audit?limit=3", .cookie = root}).json().as_array();
  auto next =
      server
          .send({.path = "/tenancy/api/v1/audit?limit=3&before=" + std::to_string(first.back().at("id").as_int64()),
                 .cookie = root})
          .json()
          .as_array();
  EXPECT_EQ(next.front().at("id").as_int64(), first.back().at("id").as_int64() - 1);
  EXPECT_EQ(server.send({.path = "/tenancy/api/v1/audit?limit=x", .cookie = root}).status, 400);
  EXPECT_EQ(server.send({.path = "/tenancy/api/v1/audit?limit=100000", .cookie = root}).status, 400);
}

TEST_F(LoginOn, LimitsAreShown) {
  EXPECT_EQ(server.send({.path = "/api/v1/user_limits", .cookie = root, .tenant = "team-a"})
                .json()
                .at("ingestion_rate")
                .as_int64(),
            10'000);
  EXPECT_EQ(server.send({.path = "/runtime_config", .cookie = root}).body, "overrides: {}\n");
  add_user("ana", R"({"team-a":"admin"})");
  EXPECT_EQ(server.send({.path = "/runtime_config", .cookie = server.log_in("ana", "long enough 1")}).status, 403);
}

TEST_F(LoginOn, SecretsAreSealedAndBound) {
  Actor actor{"root", 1, "team-a", true, ""};
  auto& service = *server.service;
  ASSERT_TRUE(sync_wait(service.put_secret(actor, "team-a", "slack", "xoxb-1")));
  EXPECT_EQ(*sync_wait(service.secret("team-a", "slack")), "xoxb-1");
  EXPECT_EQ(sync_wait(service.secret("team-b", "slack")).error().kind, ErrorKind::not_found);
  auto box =
      server.database->read_sync([](db::Session& s) { return s.query_value<db::Bytes>("SELECT box FROM secret"); });
  EXPECT_EQ((*box)->data.find("xoxb"), std::string::npos);
  // A row copied to another tenant does not open there.
  ASSERT_TRUE(server.database->write_sync(
      [](db::Transaction& tx) { return tx.execute("UPDATE secret SET tenant = 'team-b'"); }));
  EXPECT_EQ(sync_wait(service.secret("team-b", "slack")).error().kind, ErrorKind::forbidden);
  EXPECT_TRUE(sync_wait(service.remove_secret(actor, "team-b", "slack")));
  EXPECT_EQ(sync_wait(service.remove_secret(actor, "team-b", "slack")).error().kind, ErrorKind::not_found);
}

TEST(Proxy, ExternalUrlAndCorsOrigins) {
  TestServer server(true, "https://obs.example.org/t", {"https://grafana.example.org"});
  server.add_probe("POST", "/api/v1/rules", {.access = Access::write});
  std::string root = server.make_admin();
  auto answer = server.send({.method = "POST",
                             .path = "/api/ui/login",
                             .body = R"({"login":"root","password":"root password"})",
                             .origin = "https://obs.example.org",
                             .host = "obs.example.org"});
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_NE(answer.headers.get("Set-Cookie").find("; Secure"), std::string_view::npos);
  std::string token = server.make_token(root, R"({"name":"t","tenant":"anonymous","scopes":["write"]})");
  EXPECT_EQ(server
                .send({.method = "POST",
                       .path = "/api/v1/rules",
                       .authorization = "Bearer " + token,
                       .origin = "https://grafana.example.org",
                       .csrf = false})
                .status,
            200);
  EXPECT_EQ(server
                .send({.method = "POST",
                       .path = "/api/v1/rules",
                       .authorization = "Bearer " + token,
                       .origin = "https://other.example.org"})
                .status,
            403);
  EXPECT_EQ(server
                .send({.method = "POST",
                       .path = "/api/v1/rules",
                       .cookie = root,
                       .origin = "https://grafana.example.org",
                       .csrf = false})
                .status,
            403);
}

}  // namespace
}  // namespace tocayo::tenancy
