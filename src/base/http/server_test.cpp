// SPDX-License-Identifier: Apache-2.0
// Requests and responses through real sockets.
#include "http/detail/test_support.h"

namespace tocayo::http::test {
namespace {

Task<Response> hello(Request&) { co_return Response::text(200, "hello\n"); }
Task<Response> echo(Request& request) {
  auto response = Response::text(200, request.body, "application/octet-stream");
  co_return response;
}

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
    EXPECT_FALSE(response.headers.get("Date").empty());
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
  for (int i = 0; i < 50; ++i) EXPECT_EQ(client.post("/echo", "x" + std::to_string(i)).body, "x" + std::to_string(i) + "!");
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
  for (char c : std::string_view("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: no\r\n\r\n")) {
    client.send(std::string_view(&c, 1));
  }
  EXPECT_EQ(client.receive().body, "abc0123456789");
  EXPECT_EQ(client.post("/echo", "again").body, "again");
}

}  // namespace
}  // namespace tocayo::http::test
