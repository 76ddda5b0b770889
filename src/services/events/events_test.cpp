// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <set>

#include "events/api.h"
#include "tenancy/detail/test_server.h"

namespace tocayo::events {
namespace {

class EventsTest : public ::testing::Test {
 protected:
  EventsTest() {
    ServiceOptions options;
    options.max_events_per_tenant = 100;
    options.clock = &server.clock;
    service = std::move(*Service::open(*server.database, options));
    for (auto& route : routes(*service)) server.table.push_back(std::move(route));
  }
  tenancy::testing::Answer post(std::string body, std::string tenant = "") {
    return server.send(
        {.method = "POST", .path = "/events/api/v1/events", .body = std::move(body), .tenant = std::move(tenant)});
  }
  std::vector<std::string> titles(std::string query = "", std::string tenant = "") {
    auto answer = server.send({.path = "/events/api/v1/events" + query, .tenant = std::move(tenant)});
    EXPECT_EQ(answer.status, 200) << answer.body;
    std::vector<std::string> out;
    if (answer.status != 200) return out;
    for (auto& event : answer.json().at("events").as_array()) out.emplace_back(event.at("title").as_string());
    return out;
  }
  Event event(std::string title, std::string kind = "config.reload") {
    Event out;
    out.tenant = "anonymous";
    out.kind = std::move(kind);
    out.source = "test";
    out.title = std::move(title);
    return out;
  }

  tenancy::testing::TestServer server{false};
  std::unique_ptr<Service> service;
};

using Titles = std::vector<std::string>;

TEST_F(EventsTest, ContinuousIntegrationReportsADeploy) {
  auto made =
      post(R"({"service":"web","version":"1.2","environment":"prod","url":"https://ci.example/1","key":"build-17"})");
  ASSERT_EQ(made.status, 201) << made.body;
  auto json = made.json();
  EXPECT_EQ(json.at("kind").as_string(), "deploy");
  EXPECT_EQ(json.at("title").as_string(), "deploy of web 1.2");
  EXPECT_EQ(json.at("labels").at("environment").as_string(), "prod");
  EXPECT_EQ(json.at("timeMs").as_int64(), server.clock.now_ms());
  EXPECT_EQ(json.at("actor").as_string(), "anonymous");
  auto again = post(R"({"service":"web","version":"1.2","key":"build-17"})");
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.json().at("id").as_int64(), json.at("id").as_int64());
  EXPECT_EQ(post(R"({"service":"web","key":"build-17"})", "team-a").status, 201);  // keys are per tenant
  EXPECT_EQ(titles(), (Titles{"deploy of web 1.2"}));
}

TEST_F(EventsTest, BadReportsAreRefusedWithTheField) {
  for (auto [body, word] :
       std::vector<std::pair<std::string, std::string>>{{"", "JSON"},
                                                        {"[]", "object"},
                                                        {"{}", "title"},
                                                        {R"({"title":1})", "title"},
                                                        {R"({"title":"x","kind":"Big Kind"})", "kind"},
                                                        {R"_({"title":"x","url":"javascript:alert(1)"})_", "url"},
                                                        {R"({"title":"x","timeMs":-5})", "timeMs"},
                                                        {R"({"title":"x","timeMs":99999999999999})", "timeMs"},
                                                        {R"({"title":"x","labels":{"a b":"c"}})", "label"},
                                                        {R"({"title":"x","labels":{"a":1}})", "labels"},
                                                        {R"({"title":"a\nb"})", "title"},
                                                        {R"({"title":"x","detail":"\u0000"})", "detail"},
                                                        {R"({"title":")" + std::string(301, 'x') + "\"}", "title"}}) {
    auto answer = post(body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_NE(answer.body.find(word), std::string::npos) << answer.body;
  }
  EXPECT_EQ(titles(), Titles{});
}

TEST_F(EventsTest, FiltersAndTenants) {
  post(R"({"title":"deploy A","service":"web","timeMs":1000000})");
  post(R"({"title":"100% done_","kind":"incident.created","timeMs":2000000,"labels":{"service":"web","sev":"1"}})");
  post(R"({"title":"closed","kind":"incident.closed","timeMs":3000000,"source":"ci'; DROP TABLE event; --"})");
  post(R"({"title":"elsewhere","timeMs":1500000})", "team-a");
  EXPECT_EQ(titles(), (Titles{"closed", "100% done_", "deploy A"}));
  EXPECT_EQ(titles("", "team-a"), (Titles{"elsewhere"}));
  EXPECT_EQ(titles("?kind=deploy"), (Titles{"deploy A"}));
  EXPECT_EQ(titles("?kind=incident.*"), (Titles{"closed", "100% done_"}));
  EXPECT_EQ(titles("?kind=deploy&kind=incident.closed"), (Titles{"closed", "deploy A"}));
  EXPECT_EQ(titles("?kind=incident_*"), Titles{});
  EXPECT_EQ(titles("?label=service%3Dweb"), (Titles{"100% done_", "deploy A"}));
  EXPECT_EQ(titles("?label=service%3Dweb&label=sev%3D1"), (Titles{"100% done_"}));
  EXPECT_EQ(titles("?q=DEPLOY"), (Titles{"deploy A"}));
  EXPECT_EQ(titles("?q=%25"), (Titles{"100% done_"}));
  EXPECT_EQ(titles("?q=_"), (Titles{"100% done_"}));
  EXPECT_EQ(titles("?from=1500&to=2500"), (Titles{"100% done_"}));
  EXPECT_EQ(titles("?from=1970-01-01T00:50:00Z"), (Titles{"closed"}));
  EXPECT_EQ(titles("?source=ci%27%3B%20DROP%20TABLE%20event%3B%20--"), (Titles{"closed"}));
  for (const char* bad : {"?limit=0", "?limit=x", "?limit=1001", "?from=yesterday", "?label=x", "?cursor=zz",
                          "?cursor=1:", "?cursor=1"}) {
    EXPECT_EQ(server.send({.path = std::string("/events/api/v1/events") + bad}).status, 400) << bad;
  }
}

TEST_F(EventsTest, PagesCoverEverythingOnce) {
  for (int i = 0; i < 25; ++i)
    post(R"({"title":")" + std::to_string(i) + R"(","timeMs":)" + std::to_string(1'000'000 + i / 5) +
         "}");  // five share a time
  std::set<std::string> seen;
  std::string cursor;
  int pages = 0;
  do {
    auto page = server.send({.path = "/events/api/v1/events?limit=4&cursor=" + cursor}).json();
    for (auto& event : page.at("events").as_array())
      EXPECT_TRUE(seen.insert(std::string(event.at("title").as_string())).second);
    cursor = page.at("next").is_null() ? "" : std::string(page.at("next").as_string());
    ++pages;
  } while (!cursor.empty());
  EXPECT_EQ(seen.size(), 25u);
  EXPECT_EQ(pages, 7);
}

TEST_F(EventsTest, AnEventLivesAndDiesWithItsTransaction) {
  std::mutex mutex;
  std::condition_variable changed;
  Titles heard;
  auto subscription = service->subscribe([&](const Event& event) {
    std::lock_guard lock(mutex);
    heard.push_back(event.title);
    changed.notify_all();
  });
  auto undone = server.database->write_sync([&](db::Transaction& tx) -> Result<> {
    TRY(service->record(tx, event("undone")));
    return fail(ErrorKind::internal, "undo");
  });
  EXPECT_FALSE(undone);
  std::int64_t visible = -1;
  auto looking = service->subscribe([&](const Event&) {
    auto count = server.database->read_sync(
        [](db::Session& s) { return s.query_value<std::int64_t>("SELECT count(*) FROM event"); });
    std::lock_guard lock(mutex);
    visible = count->value_or(-1);
    changed.notify_all();
  });
  ASSERT_TRUE(server.database->write_sync([&](db::Transaction& tx) -> Result<> {
    TRY(service->record(tx, event("first")));
    TRY(service->record(tx, event("second")));
    return {};
  }));
  std::unique_lock lock(mutex);
  ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return heard.size() == 2 && visible == 2; }));
  EXPECT_EQ(heard, (Titles{"first", "second"}));
  lock.unlock();
  subscription.reset();
  ASSERT_TRUE(sync_wait(service->record_now(event("third"))));
  lock.lock();
  ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return visible == 3; }));
  EXPECT_EQ(heard.size(), 2u);
  lock.unlock();
}

TEST_F(EventsTest, TheOldestGoWhenATenantHasTooMany) {
  post(R"({"title":"other tenant","timeMs":1000})", "team-a");
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(sync_wait(service->record_now(event(std::to_string(i)))));
  auto kept = titles("?limit=1000");
  EXPECT_GE(kept.size(), 100u);
  EXPECT_LT(kept.size(), 100u + 64u);
  EXPECT_EQ(kept.front(), "299");
  EXPECT_EQ(titles("", "team-a").size(), 1u);
  auto labels = server.database->read_sync([](db::Session& s) {
    return s.query_value<std::int64_t>("SELECT count(*) FROM event_label WHERE event_id NOT IN (SELECT id FROM event)");
  });
  EXPECT_EQ(**labels, 0);
  server.clock.advance(500LL * 24 * 3'600'000);
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(sync_wait(service->record_now(event("young" + std::to_string(i)))));
  for (auto& title : titles("?limit=1000")) EXPECT_TRUE(title.starts_with("young")) << title;
}

TEST(EventsAccess, ViewersReadEditorsAndTokensWrite) {
  tenancy::testing::TestServer server(true);
  auto service = std::move(*Service::open(*server.database));
  for (auto& route : routes(*service)) server.table.push_back(std::move(route));
  std::string root = server.make_admin();
  std::string token = server.make_token(root, R"({"name":"ci","tenant":"anonymous","scopes":["events:write"]})");
  auto reported = server.send({.method = "POST",
                               .path = "/events/api/v1/events",
                               .body = R"({"title":"d"})",
                               .authorization = "Bearer " + token,
                               .csrf = false});
  EXPECT_EQ(reported.status, 201) << reported.body;
  EXPECT_EQ(reported.json().at("actor").as_string(), "token:ci");
  EXPECT_EQ(server.send({.path = "/events/api/v1/events", .authorization = "Bearer " + token}).status, 403);
  EXPECT_EQ(server.send({.path = "/events/api/v1/events"}).status, 401);
  EXPECT_EQ(server.send({.path = "/events/api/v1/events", .cookie = root}).status, 200);
}

}  // namespace
}  // namespace tocayo::events
