// SPDX-License-Identifier: Apache-2.0
#include "http/client.h"

#include <sys/un.h>

#include <cstdlib>
#include <filesystem>

#include "http/detail/compress.h"
#include "http/detail/test_support.h"

namespace tocayo::http::test {
namespace {

class ClientTest : public ServerTest {
 protected:
  std::string url(std::string_view path) const {
    return "http://127.0.0.1:" + std::to_string(port()) + std::string(path);
  }
  ClientRequest get(std::string_view path) const {
    ClientRequest request;
    request.url = url(path);
    request.timeout = 20s;
    return request;
  }
  Result<ClientResponse> send(ClientRequest request, Context context = {}) {
    return sync_wait(client->send(std::move(request), context));
  }
  // Answers with method, body and the given fields as it saw them.
  void add_mirror(std::string_view method) {
    router.add(method, "/mirror", [](Request& request) -> Task<Response> {
      auto text = request.method + " " + request.body + "\n";
      for (const auto& [name, value] : request.headers) text += name + ": " + value + "\n";
      co_return Response::text(200, text);
    });
  }
  std::unique_ptr<Client> client = Client::create();
};

TEST_F(ClientTest, MethodsFieldsAndBodies) {
  for (auto method : {"GET", "POST", "PUT", "DELETE", "PATCH"}) add_mirror(method);
  start();
  for (std::string method : {"GET", "POST", "PUT", "DELETE", "PATCH"}) {
    auto request = get("/mirror");
    request.method = method;
    request.headers.add("X-Own", "value");
    request.headers.add("X-Empty", "");
    if (method != "GET") request.body = "body";
    auto response = send(request);
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->status, 200);
    EXPECT_TRUE(response->body.starts_with(method + (method == "GET" ? " \n" : " body\n"))) << response->body;
    EXPECT_NE(response->body.find("X-Own: value\n"), std::string::npos);
    EXPECT_NE(response->body.find("X-Empty: \n"), std::string::npos);
    EXPECT_NE(response->body.find("User-Agent: Tocayo\n"), std::string::npos);
    EXPECT_EQ(response->body.find("Expect"), std::string::npos);
    EXPECT_EQ(response->body.find("Content-Type"), std::string::npos);
    EXPECT_EQ(response->headers.get("content-type"), "text/plain; charset=utf-8");
    EXPECT_EQ(response->final_url, request.url);
  }
  auto head = get("/mirror");
  head.method = "HEAD";
  EXPECT_EQ(send(head)->body, "");
  auto basic = get("/mirror");
  basic.basic_user = "me";
  basic.basic_password = "secret";
  EXPECT_NE(send(basic)->body.find("Authorization: Basic bWU6c2VjcmV0\n"), std::string::npos);
  EXPECT_EQ(send(get("/nothing"))->status, 404);
}

TEST_F(ClientTest, KeepsConnectionsAndRunsManyAtOnce) {
  std::mutex mutex;
  std::vector<std::string> peers;
  router.add("GET", "/peer", [&](Request& request) -> Task<Response> {
    co_await pool.schedule();
    std::lock_guard lock(mutex);
    peers.push_back(request.remote_address);
    co_return Response::text(200, "x");
  });
  start();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(send(get("/peer")));
  EXPECT_EQ(std::count(peers.begin(), peers.end(), peers[0]), 10);
  std::atomic<int> done = 0;
  for (int i = 0; i < 200; ++i) {
    spawn<Result<ClientResponse>>(client->send(get("/peer")), [&](Result<ClientResponse> response) {
      done += response && response->status == 200 ? 1 : 0;
    });
  }
  EXPECT_TRUE(eventually([&] { return done == 200; }));
}

TEST_F(ClientTest, UndoesCompressionWithinTheLimit) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i % 10);
  router.add("GET", "/text", [&](Request&) -> Task<Response> { co_return Response::text(200, text); });
  start();
  auto response = send(get("/text"));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body, text);
  EXPECT_LT(response->wire_bytes, 10'000U);
  auto raw = get("/text");
  raw.accept_compressed = false;
  EXPECT_EQ(send(raw)->wire_bytes, text.size());
  auto limited = get("/text");
  limited.max_response_bytes = text.size() - 1;
  EXPECT_EQ(send(limited).error().kind, ErrorKind::too_large);
  limited.max_response_bytes = text.size();
  EXPECT_TRUE(send(limited));
}

TEST_F(ClientTest, FollowsRedirectsAndKeepsSecretsAtHome) {
  add_mirror("GET");
  router.add("GET", "/near", [](Request&) -> Task<Response> { co_return Response::redirect(302, "/mirror"); });
  std::uint16_t elsewhere = 0;
  router.add("GET", "/far", [&](Request&) -> Task<Response> {
    co_return Response::redirect(302, "http://localhost:" + std::to_string(elsewhere) + "/mirror");
  });
  router.add("GET", "/loop", [](Request&) -> Task<Response> { co_return Response::redirect(302, "/loop"); });
  router.add("GET", "/file",
             [](Request&) -> Task<Response> { co_return Response::redirect(302, "file:///etc/passwd"); });
  start();
  elsewhere = port();
  auto near = get("/near");
  near.headers.add("Authorization", "Bearer secret");
  auto response = send(near);
  EXPECT_EQ(response->final_url, url("/mirror"));
  EXPECT_NE(response->body.find("Bearer secret"), std::string::npos);
  auto far = near;
  far.url = url("/far");
  response = send(far);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body.find("secret"), std::string::npos) << response->body;
  far.headers.remove("Authorization");
  far.basic_user = "me";
  far.basic_password = "secret";
  EXPECT_EQ(send(far)->body.find("Authorization"), std::string::npos);
  near.follow_redirects = false;
  EXPECT_EQ(send(near)->status, 302);
  EXPECT_FALSE(send(get("/loop")));
  EXPECT_FALSE(send(get("/file")));
}

TEST_F(ClientTest, BadInput) {
  start();
  for (std::string_view bad : {"", "not a url", "ftp://127.0.0.1/", "file:///etc/passwd", "http://", "/path"}) {
    ClientRequest request;
    request.url = bad;
    auto response = send(request);
    ASSERT_FALSE(response) << bad;
    EXPECT_EQ(response.error().kind, ErrorKind::bad_input) << bad;
  }
  auto split = get("/");
  split.headers.add("X", "a\r\nInjected: yes");
  EXPECT_EQ(send(split).error().kind, ErrorKind::bad_input);
  auto method = get("/");
  method.method = "GET /x HTTP/1.1\r\n";
  EXPECT_EQ(send(method).error().kind, ErrorKind::bad_input);
}

TEST_F(ClientTest, TimeoutsAndCancellation) {
  std::atomic<int> running = 0;
  std::atomic<int> left = 0;
  router.add("GET", "/wait", [&](Request& request) -> Task<Response> {
    co_await pool.schedule();
    ++running;
    while (request.context.check()) std::this_thread::yield();
    ++left;
    co_return Response::empty(204);
  });
  start();
  auto brief = get("/wait");
  brief.timeout = 100ms;
  EXPECT_EQ(send(brief).error().kind, ErrorKind::timeout);
  EXPECT_EQ(send(get("/wait"), Context().with_timeout(100ms)).error().kind, ErrorKind::timeout);
  EXPECT_EQ(send(get("/wait"), Context({}, Context::Steady::now() - 1s)).error().kind, ErrorKind::timeout);
  EXPECT_TRUE(eventually([&] { return left == 2; }));

  std::stop_source stop;
  std::thread stopper([&] {
    EXPECT_TRUE(eventually([&] { return running == 3; }));
    stop.request_stop();
  });
  Context context(stop.get_token(), Context::Steady::time_point::max());
  EXPECT_EQ(send(get("/wait"), context).error().kind, ErrorKind::canceled);
  stopper.join();
  EXPECT_EQ(send(get("/wait"), context).error().kind, ErrorKind::canceled);
  EXPECT_TRUE(eventually([&] { return left == 3; }));

  // Destroying the client ends what runs.
  std::optional<ErrorKind> kind;
  spawn<Result<ClientResponse>>(client->send(get("/wait")),
                                [&](Result<ClientResponse> response) { kind = response.error().kind; });
  EXPECT_TRUE(eventually([&] { return running == 4; }));
  client.reset();
  EXPECT_EQ(kind, ErrorKind::canceled);
  EXPECT_TRUE(eventually([&] { return left == 4; }));
}

TEST_F(ClientTest, StopRacesWithTheEnd) {
  router.add("GET", "/quick", [](Request&) -> Task<Response> { co_return Response::text(200, "x"); });
  start();
  for (int i = 0; i < 200; ++i) {
    std::stop_source stop;
    std::thread stopper([&] { stop.request_stop(); });
    auto response = send(get("/quick"), Context(stop.get_token(), Context::Steady::time_point::max()));
    EXPECT_TRUE(response || response.error().kind == ErrorKind::canceled);
    stopper.join();
  }
}

TEST_F(ClientTest, ConnectionErrors) {
  start();
  auto closed_port = port();
  server.reset();
  ClientRequest request;
  request.url = "http://127.0.0.1:" + std::to_string(closed_port) + "/";
  EXPECT_EQ(send(request).error().kind, ErrorKind::unavailable);
  request.url = "http://no-such-host.invalid/";
  EXPECT_EQ(send(request).error().kind, ErrorKind::unavailable);
}

TEST_F(ClientTest, TheGuardLooksAtTheResolvedAddress) {
  add_mirror("GET");
  start();
  auto guarded = Client::create(Reach::public_only);
  auto p = std::to_string(port());
  for (const std::string& target :
       {"127.0.0.1:" + p, "localhost:" + p, "127.1:" + p, "2130706433:" + p, "[::1]:" + p, "[::ffff:127.0.0.1]:" + p,
        "0.0.0.0:" + p, std::string("169.254.169.254"), std::string("10.0.0.1")}) {
    ClientRequest request;
    request.url = "http://" + target + "/mirror";
    request.timeout = 5s;
    auto response = sync_wait(guarded->send(request));
    ASSERT_FALSE(response) << target;
    EXPECT_EQ(response.error().kind, ErrorKind::forbidden) << target << ": " << response.error().message;
  }
  auto by_proxy = get("/mirror");
  by_proxy.proxy_url = url("");
  EXPECT_EQ(sync_wait(guarded->send(by_proxy)).error().kind, ErrorKind::forbidden);
  auto by_socket = get("/mirror");
  by_socket.unix_socket = "/tmp/x";
  EXPECT_EQ(sync_wait(guarded->send(by_socket)).error().kind, ErrorKind::forbidden);
  EXPECT_TRUE(send(get("/mirror")));
}

TEST_F(ClientTest, Proxy) {
  // A proxy gets the absolute form; our own server understands it.
  add_mirror("GET");
  start();
  ClientRequest request;
  request.url = "http://target.invalid/mirror";
  request.proxy_url = url("");
  auto response = send(request);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_NE(response->body.find("Host: target.invalid\n"), std::string::npos);
  // The environment counts only when it is asked for.
  setenv("http_proxy", url("").c_str(), 1);
  request.proxy_url.clear();
  EXPECT_FALSE(send(request));
  request.proxy_from_environment = true;
  EXPECT_TRUE(send(request));
  unsetenv("http_proxy");
}

TEST_F(ClientTest, UnixSocket) {
  start();
  std::string pattern = std::filesystem::temp_directory_path() / "tocayo-client-XXXXXX";
  std::string directory = mkdtemp(pattern.data());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  auto path = directory + "/s";
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::listen(listener, 1);
  std::thread peer([&] {
    int fd = ::accept(listener, nullptr, nullptr);
    char buffer[4096];
    EXPECT_GT(::recv(fd, buffer, sizeof buffer, 0), 0);
    std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix";
    EXPECT_EQ(::send(fd, answer.data(), answer.size(), 0), static_cast<ssize_t>(answer.size()));
    ::close(fd);
  });
  ClientRequest request;
  request.url = "http://docker/info";
  request.unix_socket = path;
  request.timeout = 5s;
  auto response = send(request);
  peer.join();
  ::close(listener);
  std::filesystem::remove_all(directory);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "unix");
}

}  // namespace
}  // namespace tocayo::http::test
