// SPDX-License-Identifier: Apache-2.0
// Requests and responses through real sockets.
#include "http/detail/test_support.h"

namespace tocayo::http::test {
namespace {

Task<Response> hello(Request&) { co_return Response::text(200, "hello\n"); }
Task<Response> echo(Request& request) { co_return Response::text(200, request.body, "application/octet-stream"); }

TEST_F(ServerTest, AnswersAndKeepsTheConnection) {
  router.add("GET", "/hello", hello);
  start();
  EXPECT_EQ(server->address(), "127.0.0.1:" + std::to_string(port()));
  RawClient client(port());
  for (int i = 0; i < 3; ++i) {
    auto response = client.get("/hello");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "hello\n");
    EXPECT_TRUE(response.complete);
    EXPECT_TRUE(response.headers.get("Date").ends_with(" GMT"));
    EXPECT_EQ(response.headers.get("X-Request-Id").size(), 16U);
    EXPECT_EQ(response.headers.get("Content-Type"), "text/plain; charset=utf-8");
  }
}

TEST_F(ServerTest, HandlerMayResumeOnAPool) {
  router.add("POST", "/echo", [this](Request& request) -> Task<Response> {
    co_await pool.schedule();
    co_return Response::text(200, request.body + "!");
  });
  start();
  RawClient client(port());
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(client.post("/echo", "x" + std::to_string(i)).body, "x" + std::to_string(i) + "!");
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  router.add("POST", "/slow", [this](Request& request) -> Task<Response> {
    co_await pool.schedule();
    co_return Response::text(200, "slow " + request.body);
  });
  router.add("GET", "/hello", hello);
  start();
  RawClient client(port());
  std::string burst;
  for (int i = 0; i < 20; ++i) {
    burst += "POST /slow HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n" + std::to_string(10 + i);
    burst += "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n";
  }
  client.send(burst);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(client.receive().body, "slow " + std::to_string(10 + i));
    EXPECT_EQ(client.receive().body, "hello\n");
  }
}

TEST_F(ServerTest, ReadsARequestThatComesByteByByte) {
  router.add("POST", "/echo", echo);
  start();
  RawClient client(port());
  constexpr std::string_view kRequest =
      "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: no\r\n\r\n";
  for (char c : kRequest) client.send(std::string_view(&c, 1));
  EXPECT_EQ(client.receive().body, "abc0123456789");
  EXPECT_EQ(client.post("/echo", "again").body, "again");
}

TEST_F(ServerTest, LargeBodiesBothWays) {
  RouteOptions large;
  large.max_body = 64 << 20;
  router.add("POST", "/echo", echo, large);
  start();
  std::string body;
  for (int i = 0; body.size() < (20 << 20); ++i) body += std::to_string(i);
  RawClient client(port());
  // The answer starts only after the whole body was read, so one thread can do both.
  EXPECT_EQ(client.post("/echo", body).body, body);
}

TEST_F(ServerTest, HeadHasTheHeaderOfGetAndNoBody) {
  router.add("GET", "/hello", hello);
  start();
  RawClient client(port());
  auto head = client.request("HEAD /hello HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.get("Content-Length"), "6");
  EXPECT_EQ(client.get("/hello").body, "hello\n");
}

TEST_F(ServerTest, NotFoundMethodNotAllowedAndOptions) {
  router.add("GET", "/a/{id}", hello);
  router.add("POST", "/a/{id}", hello);
  start();
  RawClient client(port());
  auto missing = client.get("/nothing");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.headers.get("Content-Type"), "application/json");
  EXPECT_EQ(missing.body, R"({"code":"not_found","message":"nothing is served at /nothing"})");
  auto wrong = client.request("DELETE /a/1 HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.get("Allow"), "GET, HEAD, POST");
  auto options = client.request("OPTIONS /a/1 HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_EQ(options.status, 204);
  EXPECT_EQ(options.headers.get("Allow"), "GET, POST");
  EXPECT_EQ(client.request("OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n").status, 204);
  EXPECT_EQ(client.get("/a/1").status, 200);  // all on one connection
}

TEST_F(ServerTest, FallbackAnswersWhatNoRouteMatches) {
  router.add("GET", "/a", hello);
  router.set_fallback(
      [](Request& request) -> Task<Response> { co_return Response::text(200, "page " + request.path); });
  start();
  RawClient client(port());
  EXPECT_EQ(client.get("/some/page?x=1").body, "page /some/page");
  EXPECT_EQ(client.request("PUT /a HTTP/1.1\r\nHost: t\r\n\r\n").status, 405);
}

TEST_F(ServerTest, MalformedRequestsGet400AndTheConnectionEnds) {
  router.add("GET", "/hello", hello);
  router.add("POST", "/hello", echo);
  start();
  for (std::string_view bad : {
           "nonsense\r\n\r\n",
           "GET /hello HTTP/1.1\r\nHost: t\r\nbad header\r\n\r\n",
           "GET /hello HTTP/1.1\r\n\r\n",  // no Host
           "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
           "GET /%zz HTTP/1.1\r\nHost: t\r\n\r\n",
           "GET /a/../hello HTTP/1.1\r\nHost: t\r\n\r\n",
           "GET /%2e%2e/etc/passwd HTTP/1.1\r\nHost: t\r\n\r\n",
           "GET /a%00b HTTP/1.1\r\nHost: t\r\n\r\n",
           "POST /hello HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTransfer-Encoding: "
           "chunked\r\n\r\n0\r\n\r\n",  // smuggling
           "POST /hello HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
           "POST /hello HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n",
           "POST /hello HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
       }) {
    RawClient client(port());
    auto response = client.request(bad);
    EXPECT_EQ(response.status, 400) << bad;
    EXPECT_TRUE(response.body.starts_with(R"({"code":"bad_input")")) << response.body;
  }
  RawClient client(port());
  EXPECT_EQ(client.request("POST /hello HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n").status, 501);
}

TEST_F(ServerTest, HeaderLimits) {
  options.max_header_bytes = 4096;
  router.add("GET", "/hello", hello);
  start();
  RawClient target(port());
  EXPECT_EQ(target.request("GET /" + std::string(5000, 'a') + " HTTP/1.1\r\nHost: t\r\n\r\n").status, 414);
  EXPECT_TRUE(target.closed_by_peer());
  RawClient fields(port());
  EXPECT_EQ(fields.get("/hello", "X: " + std::string(5000, 'a') + "\r\n").status, 431);
  EXPECT_TRUE(fields.closed_by_peer());
}

TEST_F(ServerTest, BasePath) {
  options.base_path = "/tocayo/";
  router.add("GET", "/hello", hello);
  start();
  RawClient client(port());
  EXPECT_EQ(client.get("/tocayo/hello").body, "hello\n");
  EXPECT_EQ(client.get("/hello").status, 404);
  EXPECT_EQ(client.get("/tocayox/hello").status, 404);
  auto base = client.get("/tocayo");
  EXPECT_EQ(base.status, 308);
  EXPECT_EQ(base.headers.get("Location"), "/tocayo/");
}

TEST_F(ServerTest, RequestIdDefaultFieldsAndInvalidFields) {
  options.default_headers = {{"X-Content-Type-Options", "nosniff"}, {"Cache-Control", "no-store"}};
  std::string seen;
  router.add("GET", "/hello", [&seen](Request& request) -> Task<Response> {
    seen = request.request_id;
    auto response = Response::text(200, "x");
    response.headers.add("Cache-Control", "max-age=1");
    response.headers.add("Evil", "a\r\nInjected: yes");
    co_return response;
  });
  start();
  RawClient client(port());
  auto response = client.get("/hello", "X-Request-Id: abc-1.2\r\n");
  EXPECT_EQ(response.headers.get("X-Request-Id"), "abc-1.2");
  EXPECT_EQ(seen, "abc-1.2");
  EXPECT_EQ(response.headers.get("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(response.headers.get("Cache-Control"), "max-age=1");
  EXPECT_FALSE(response.headers.has("Injected"));
  EXPECT_EQ(client.get("/hello", "X-Request-Id: \"quoted\"\r\n").headers.get("X-Request-Id").size(), 16U);
}

TEST_F(ServerTest, AnImpossibleStatusIsAnInternalError) {
  router.add("GET", "/zero", [](Request&) -> Task<Response> { co_return Response::text(0, "x"); });
  log::set_level(log::Level::error);
  start();
  RawClient client(port());
  EXPECT_EQ(client.get("/zero").status, 500);
}

TEST_F(ServerTest, CorsForListedOriginsOnly) {
  options.cors_origins = {"https://grafana.example"};
  router.add("POST", "/hello", hello);
  start();
  RawClient client(port());
  auto preflight = client.request(
      "OPTIONS /hello HTTP/1.1\r\nHost: t\r\nOrigin: https://grafana.example\r\nAccess-Control-Request-Method: POST\r\n"
      "Access-Control-Request-Headers: content-type\r\n\r\n");
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.headers.get("Access-Control-Allow-Origin"), "https://grafana.example");
  EXPECT_EQ(preflight.headers.get("Access-Control-Allow-Methods"), "POST");
  EXPECT_EQ(preflight.headers.get("Access-Control-Allow-Headers"), "content-type");
  EXPECT_EQ(client.post("/hello", "", "Origin: https://grafana.example\r\n").headers.get("Access-Control-Allow-Origin"),
            "https://grafana.example");
  auto foreign = client.post("/hello", "", "Origin: https://evil.example\r\n");
  EXPECT_FALSE(foreign.headers.has("Access-Control-Allow-Origin"));
  EXPECT_EQ(foreign.headers.get("Vary"), "Origin");
}

TEST_F(ServerTest, ConnectionCloseAndHttp10) {
  router.add("GET", "/hello", hello);
  start();
  RawClient close(port());
  auto response = close.get("/hello", "Connection: close\r\n");
  EXPECT_EQ(response.headers.get("Connection"), "close");
  EXPECT_TRUE(close.closed_by_peer());
  RawClient old(port());
  EXPECT_EQ(old.request("GET /hello HTTP/1.0\r\n\r\n").body, "hello\n");
  EXPECT_TRUE(old.closed_by_peer());
  RawClient keep(port());
  EXPECT_EQ(keep.request("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").headers.get("Connection"),
            "keep-alive");
  EXPECT_EQ(keep.request("GET /hello HTTP/1.0\r\n\r\n").body, "hello\n");
  // A client may end its side before it reads.
  RawClient half(port());
  half.send("GET /hello HTTP/1.1\r\nHost: t\r\n\r\nGET /hello HTTP/1.1\r\nHost: t\r\n\r\nGET /hel");
  half.shutdown_send();
  EXPECT_EQ(half.receive().body, "hello\n");
  EXPECT_EQ(half.receive().body, "hello\n");
  EXPECT_TRUE(half.closed_by_peer());
}

TEST_F(ServerTest, ExpectContinue) {
  router.add("POST", "/echo", echo);
  start();
  RawClient client(port());
  client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.receive().status, 100);
  client.send("abc");
  EXPECT_EQ(client.receive().body, "abc");
  EXPECT_EQ(client.post("/echo", "abc", "Expect: miracles\r\n").status, 417);
}

TEST_F(ServerTest, BodyLimitIsCheckedBeforeTheBodyIsSent) {
  RouteOptions small;
  small.max_body = 1000;
  router.add("POST", "/echo", echo, small);
  start();
  RawClient declared(port());
  auto response = declared.request("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999\r\n\r\n");
  EXPECT_EQ(response.status, 413);
  EXPECT_NE(response.body.find("too_large"), std::string::npos);
  RawClient expecting(port());
  EXPECT_EQ(expecting.request("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n")
                .status,
            413);
  RawClient chunked(port());
  std::string chunk = "1F4\r\n" + std::string(500, 'x') + "\r\n";
  EXPECT_EQ(
      chunked.request("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + chunk + chunk)
          .status,
      413);
  RawClient exact(port());
  EXPECT_EQ(exact.post("/echo", std::string(1000, 'x')).body.size(), 1000U);
}

// A client that sends its whole body before it looks must still be able to read the refusal.
TEST_F(ServerTest, EarlyRefusalSurvivesAClientThatKeepsSending) {
  RouteOptions small;
  small.max_body = 1000;
  router.add("POST", "/echo", echo, small);
  start();
  for (int i = 0; i < 5; ++i) {
    RawClient client(port());
    std::string body(4 << 20, 'x');
    EXPECT_EQ(client.post("/echo", body).status, 413);
  }
}

TEST_F(ServerTest, AuthenticatorDecidesBeforeTheBodyIsRead) {
  authenticator.check = [this](Request& request, const RouteOptions& route) -> Task<Result<>> {
    co_await pool.schedule();
    EXPECT_TRUE(request.body.empty());
    EXPECT_EQ(route.access, Access::write);
    if (request.headers.get("Authorization") != "Bearer good") co_return fail(ErrorKind::unauthorized, "who are you");
    request.identity.tenant = "team-a";
    co_return Result<>{};
  };
  RouteOptions write;
  write.access = Access::write;
  router.add(
      "POST", "/who",
      [](Request& request) -> Task<Response> { co_return Response::text(200, request.identity.tenant + request.body); },
      write);
  start();
  RawClient refused(port());
  auto response =
      refused.request("POST /who HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n");  // body never sent
  EXPECT_EQ(response.status, 401);
  EXPECT_EQ(response.body, R"({"code":"unauthorized","message":"who are you"})");
  EXPECT_EQ(response.headers.get("Connection"), "close");
  RawClient good(port());
  EXPECT_EQ(good.post("/who", "!", "Authorization: Bearer good\r\n").body, "team-a!");
  EXPECT_EQ(good.get("/who").status, 405);  // a refusal without a body keeps the connection
  EXPECT_EQ(good.post("/who", "!", "Authorization: Bearer good\r\n").body, "team-a!");
}

TEST_F(ServerTest, RequestAsTheHandlerSeesIt) {
  Request seen;
  router.add("POST", "/label/{name}/values/{rest...}", [&seen](Request& request) -> Task<Response> {
    seen.path = request.path;
    seen.target = request.target;
    seen.remote_address = request.remote_address;
    seen.path_params = request.path_params;
    seen.query = request.form();
    co_return Response::empty(204);
  });
  start();
  RawClient client(port());
  auto response = client.post("//label/a%2Fb//values/x/y%20z?a=1&b=%2B+c", "a=2&d=%C3%A9",
                              "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n");
  EXPECT_EQ(response.status, 204);
  EXPECT_FALSE(response.headers.has("Content-Length"));
  EXPECT_EQ(seen.path, "/label/a/b/values/x/y z");
  EXPECT_EQ(seen.param("name"), "a/b");
  EXPECT_EQ(seen.param("rest"), "x/y z");
  EXPECT_EQ(seen.query.get("a"), "2");
  EXPECT_EQ(seen.query.all("a").size(), 2U);
  EXPECT_EQ(seen.query.get("b"), "+ c");
  EXPECT_EQ(seen.query.get("d"), "é");
  EXPECT_TRUE(seen.remote_address.starts_with("127.0.0.1:"));
}

TEST_F(ServerTest, ListensOnIPv6AndRefusesBadAddresses) {
  router.add("GET", "/hello", hello);
  options.listen = "[::]:0";
  start();
  RawClient v4(port());  // dual stack
  EXPECT_EQ(v4.get("/hello").status, 200);
  ServerOptions second;
  second.listen = "127.0.0.1:" + std::to_string(port());
  auto busy = Server::start(second, router, authenticator);
  EXPECT_FALSE(busy);
  for (std::string_view bad :
       {"127.0.0.1", "127.0.0.1:70000", "no-such-host.invalid:0", "127.0.0.1:http", "300.1.1.1:0"}) {
    ServerOptions wrong;
    wrong.listen = bad;
    auto started = Server::start(wrong, router, authenticator);
    ASSERT_FALSE(started) << bad;
    EXPECT_EQ(started.error().kind, ErrorKind::bad_input) << bad;
  }
}

TEST_F(ServerTest, SeveralIoThreads) {
  options.io_threads = 3;
  router.add("POST", "/echo", [this](Request& request) -> Task<Response> {
    co_await pool.schedule();
    co_return Response::text(200, request.body);
  });
  start();
  std::vector<std::thread> clients;
  std::atomic<int> good = 0;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      RawClient client(port());
      for (int i = 0; i < 50; ++i) {
        auto text = std::to_string(c * 1000 + i);
        good += client.post("/echo", text).body == text ? 1 : 0;
      }
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_EQ(good, 400);
}

}  // namespace
}  // namespace tocayo::http::test
