// SPDX-License-Identifier: Apache-2.0
// Slow clients, too many clients, shutdown, metrics.
#include <sys/resource.h>
#include <sys/wait.h>

#include <cstdlib>

#include "core/testing.h"
#include "http/detail/test_support.h"

namespace tocayo::http::test {
namespace {

Task<Response> hello(Request&) { co_return Response::text(200, "hello\n"); }
Task<Response> echo(Request& request) { co_return Response::text(200, request.body); }

TEST_F(ServerTest, SlowHeaders) {
  options.header_timeout = 150ms;
  router.add("GET", "/hello", hello);
  start();
  RawClient silent(port());
  EXPECT_TRUE(silent.closed_by_peer());
  // One byte now and then does not buy more time for the header.
  RawClient loris(port());
  loris.send("GET /hello HTTP/1.1\r\nHost: t\r\n");
  auto began = Steady::now();
  std::optional<std::string> answer;
  while (!answer && Steady::now() - began < 10s) {
    loris.send("X: 1\r\n");
    answer = loris.receive_some(20ms);
  }
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->starts_with("HTTP/1.1 408 "));
  EXPECT_LT(Steady::now() - began, 5s);
}

TEST_F(ServerTest, SlowBodies) {
  options.body_timeout = 150ms;
  router.add("POST", "/echo", echo);
  start();
  RawClient stalled(port());
  EXPECT_EQ(stalled.request("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc").status, 408);
  // A trickle that always beats the stall limit is far below 1 KiB/s.
  RawClient trickle(port());
  trickle.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n");
  auto began = Steady::now();
  std::optional<std::string> answer;
  while (!answer && Steady::now() - began < 10s) {
    trickle.send("x");
    answer = trickle.receive_some(20ms);
  }
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->starts_with("HTTP/1.1 408 "));
}

TEST_F(ServerTest, IdleConnectionsEnd) {
  options.idle_timeout = 100ms;
  router.add("GET", "/hello", hello);
  start();
  RawClient client(port());
  EXPECT_EQ(client.get("/hello").status, 200);
  EXPECT_TRUE(client.closed_by_peer());
}

TEST_F(ServerTest, ASlowReaderOfAWholeBodyIsCutOff) {
  options.write_timeout = 200ms;
  router.add("GET", "/big", [](Request&) -> Task<Response> {
    co_return Response::text(200, std::string(64 << 20, 'x'), "image/png");
  });
  start();
  auto before = metric("tocayo_http_timeouts_total", {{"phase", "write"}});
  RawClient client(port(), 16 << 10);
  client.send("GET /big HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_TRUE(eventually([&] { return metric("tocayo_http_timeouts_total", {{"phase", "write"}}) == before + 1; }));
  EXPECT_TRUE(client.closed_by_peer());
}

TEST_F(ServerTest, TooManyConnections) {
  options.max_connections = 3;
  router.add("GET", "/hello", hello);
  start();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<RawClient>(port()));
    EXPECT_EQ(clients.back()->get("/hello").status, 200);
  }
  RawClient refused(port());
  auto response = refused.receive();
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.headers.get("Retry-After"), "5");
  clients.pop_back();
  EXPECT_TRUE(eventually([&] {
    RawClient next(port());
    return next.get("/hello").status == 200;
  }));
}

TEST_F(ServerTest, TooManyBodyBytesInFlight) {
  options.max_inflight_body_bytes = 100'000;
  RouteOptions large;
  large.max_body = 1 << 20;
  router.add("POST", "/echo", echo, large);
  start();
  RawClient holder(port());
  holder.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 90000\r\n\r\n");
  EXPECT_TRUE(eventually([] { return metric("tocayo_http_request_body_bytes") == 90000; }));
  RawClient refused(port());
  auto response = refused.post("/echo", std::string(20'000, 'x'));
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.headers.get("Retry-After"), "5");
  RawClient chunked(port());
  auto chunk = "4E20\r\n" + std::string(20'000, 'x') + "\r\n0\r\n\r\n";
  EXPECT_EQ(chunked.request("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk).status,
            503);
  holder.send(std::string(90'000, 'y'));
  EXPECT_EQ(holder.receive().body.size(), 90'000U);
  RawClient after(port());
  EXPECT_EQ(after.post("/echo", std::string(20'000, 'x')).status, 200);
  EXPECT_TRUE(eventually([] { return metric("tocayo_http_request_body_bytes") == 0; }));
}

TEST_F(ServerTest, StopLetsRunningRequestsFinish) {
  std::atomic<bool> release = false;
  std::atomic<bool> running = false;
  router.add("GET", "/slow", [&](Request&) -> Task<Response> {
    co_await pool.schedule();
    running = true;
    while (!release) std::this_thread::yield();
    co_return Response::text(200, "done");
  });
  router.add("GET", "/hello", hello);
  start();
  RawClient idle(port());
  EXPECT_EQ(idle.get("/hello").status, 200);
  RawClient busy(port());
  busy.send("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return running.load(); }));
  std::thread stopper([&] { server->stop(10s); });
  EXPECT_TRUE(idle.closed_by_peer());
  EXPECT_TRUE(eventually([&] { return !RawClient(port()).connected(); }));
  release = true;
  auto response = busy.receive();
  EXPECT_EQ(response.body, "done");
  EXPECT_EQ(response.headers.get("Connection"), "close");
  stopper.join();
}

TEST_F(ServerTest, StopCancelsWhatOutlivesItsGrace) {
  std::atomic<bool> running = false;
  std::atomic<bool> canceled = false;
  router.add("GET", "/endless", [&](Request& request) -> Task<Response> {
    co_await pool.schedule();
    running = true;
    while (request.context.check()) std::this_thread::yield();
    canceled = true;
    co_return Response::empty(204);
  });
  router.add("GET", "/stream", [&](Request& request) -> Task<Response> {
    Response response;
    response.stream = [&](BodySink& sink) -> Task<Result<>> {
      while (request.context.check()) {
        co_await pool.schedule();
        CO_TRY_VOID(co_await sink.write(std::string(100'000, 'x')));
      }
      co_return Result<>{};
    };
    co_return response;
  });
  start();
  RawClient client(port());
  client.send("GET /endless HTTP/1.1\r\nHost: t\r\n\r\n");
  RawClient reader(port());
  reader.send("GET /stream HTTP/1.1\r\nHost: t\r\n\r\n");
  ASSERT_TRUE(reader.receive_some());
  ASSERT_TRUE(eventually([&] { return running.load(); }));
  auto began = Steady::now();
  server->stop(50ms);
  EXPECT_TRUE(canceled);
  EXPECT_LT(Steady::now() - began, 8s);
  EXPECT_TRUE(client.closed_by_peer());
}

// Runs in a forked child, so that each end has the whole limit of open files: system calls only, no allocation.
// Opens `count` connections, asks on every 97th, reports one byte, and keeps them until `hold` is closed by the parent.
[[noreturn]] void hold_connections(std::uint16_t port, std::size_t count, int report, int hold) {
  static int fds[10'000];
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  constexpr std::string_view kRequest = "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n";
  bool good = true;
  for (std::size_t i = 0; i < count && good; ++i) {
    fds[i] = ::socket(AF_INET, SOCK_STREAM, 0);
    good = fds[i] >= 0 && ::connect(fds[i], reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  for (std::size_t i = 0; i < count && good; i += 97) {
    char answer[512];
    good = ::send(fds[i], kRequest.data(), kRequest.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(kRequest.size()) &&
           ::recv(fds[i], answer, sizeof answer, 0) > 15 && std::string_view(answer, 12) == "HTTP/1.1 200";
  }
  char verdict = good ? 'y' : 'n';
  if (::write(report, &verdict, 1) != 1) ::_exit(1);
  char end = 0;
  while (::read(hold, &end, 1) > 0) {
  }
  ::_exit(0);
}

TEST_F(ServerTest, ManyIdleConnections) {
  std::size_t count = test_rounds<std::size_t>(2'000, 10'000, 500);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < count + 200) GTEST_SKIP() << "the limit of open files, " << files.rlim_cur << ", is too low";
  router.add("GET", "/hello", hello);
  start();
  int report[2];
  int hold[2];
  ASSERT_EQ(::pipe(report), 0);
  ASSERT_EQ(::pipe(hold), 0);
  auto child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::close(hold[1]);
    hold_connections(port(), count, report[1], hold[0]);
  }
  char verdict = 0;
  EXPECT_EQ(::read(report[0], &verdict, 1), 1);
  EXPECT_EQ(verdict, 'y');
  EXPECT_TRUE(eventually([&] { return metric("tocayo_http_connections") == static_cast<double>(count); }, 30s));
  for (int fd : {hold[0], hold[1], report[0], report[1]}) ::close(fd);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(eventually([&] { return metric("tocayo_http_connections") == 0; }, 30s));
}

TEST_F(ServerTest, CountsRequestsWithBoundedLabels) {
  router.add("GET", "/counted/{id}", hello);
  RouteOptions named;
  named.metric_name = "push";
  router.add("POST", "/counted/push", echo, named);
  start();
  RawClient client(port());
  for (int i = 0; i < 5; ++i) client.get("/counted/" + std::to_string(i));
  client.post("/counted/push", "x");
  client.request("FROB /counted/1 HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_TRUE(eventually([] {
    return metric("tocayo_http_requests_total", {{"route", "/counted/{id}"}, {"method", "GET"}, {"code", "200"}}) == 5;
  }));
  EXPECT_EQ(metric("tocayo_http_requests_total", {{"route", "push"}, {"method", "POST"}, {"code", "200"}}), 1);
  EXPECT_TRUE(eventually([] {
    return metric("tocayo_http_requests_total", {{"route", "not_found"}, {"method", "other"}, {"code", "405"}}) == 1;
  }));
  EXPECT_EQ(metric("tocayo_http_request_duration_seconds_count", {{"route", "/counted/{id}"}}), 5);
  EXPECT_EQ(metric("tocayo_http_requests_in_flight"), 0);
}

TEST_F(ServerTest, LogsWithoutQueryStrings) {
  std::mutex mutex;
  std::vector<std::string> lines;
  router.add("GET", "/fails",
             [](Request&) -> Task<Response> { co_return error_response({ErrorKind::internal, "broken"}); });
  router.add("GET", "/invite/{token}", [](Request&) -> Task<Response> { co_return Response::empty(404); });
  start();
  log::set_level(log::Level::info);
  log::set_sink([&](log::Level, std::string_view line) {
    std::lock_guard lock(mutex);
    lines.emplace_back(line);
  });
  RawClient client(port());
  client.get("/fails?access_token=s3cret", "X-Request-Id: id-1\r\n");
  client.get("/invite/s3cret");
  EXPECT_TRUE(eventually([&] {
    std::lock_guard lock(mutex);
    return lines.size() == 2;
  }));
  log::set_sink({});
  log::set_level(log::Level::error);
  EXPECT_NE(lines[0].find("path=/fails "), std::string::npos);
  EXPECT_NE(lines[0].find("status=500"), std::string::npos);
  EXPECT_NE(lines[0].find("request_id=id-1"), std::string::npos);
  for (const auto& line : lines) EXPECT_EQ(line.find("s3cret"), std::string::npos) << line;
}

}  // namespace
}  // namespace tocayo::http::test
