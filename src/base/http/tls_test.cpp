// SPDX-License-Identifier: Apache-2.0
#include <openssl/ssl.h>

#include <filesystem>

#include "http/client.h"
#include "http/detail/test_certificates.h"
#include "http/detail/test_support.h"

namespace tocayo::http::test {
namespace {

class TlsTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    std::string pattern = std::filesystem::temp_directory_path() / "tocayo-tls-XXXXXX";
    directory = mkdtemp(pattern.data());
    options.tls_certificate_file = directory + "/cert.pem";
    options.tls_key_file = directory + "/key.pem";
    install(make_certificate("first", "DNS:localhost,DNS:first.example,IP:127.0.0.1"));
    RouteOptions large;
    large.max_body = 64 << 20;
    router.add(
        "POST", "/echo",
        [this](Request& request) -> Task<Response> {
          EXPECT_TRUE(request.tls);
          co_await pool.schedule();
          co_return Response::text(200, request.body, "image/png");
        },
        large);
  }
  void TearDown() override {
    ServerTest::TearDown();
    std::filesystem::remove_all(directory);
  }
  void install(const Certificate& made) {
    current = made;
    write_file(options.tls_certificate_file, made.certificate_pem);
    write_file(options.tls_key_file, made.key_pem);
  }
  ClientRequest request(std::string body = "x") const {
    ClientRequest r;
    r.method = "POST";
    r.url = "https://localhost:" + std::to_string(port()) + "/echo";
    r.ca_pem = current.certificate_pem;
    r.body = std::move(body);
    r.timeout = 20s;
    return r;
  }
  std::string directory;
  Certificate current;
  std::unique_ptr<Client> client = Client::create();
};

TEST_F(TlsTest, ServesAndVerifies) {
  start();
  for (int i = 0; i < 5; ++i) {
    auto response = sync_wait(client->send(request("hello " + std::to_string(i))));
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->body, "hello " + std::to_string(i));
  }
  std::string large(10 << 20, 'x');
  for (std::size_t i = 0; i < large.size(); i += 1000) large[i] = static_cast<char>(i);
  auto response = sync_wait(client->send(request(large)));
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, large);

  auto stranger = request();
  stranger.ca_pem = make_certificate("other", "DNS:localhost").certificate_pem;
  EXPECT_EQ(sync_wait(client->send(stranger)).error().kind, ErrorKind::unavailable);
  stranger.insecure_skip_verify = true;
  EXPECT_TRUE(sync_wait(client->send(stranger)));
  auto named = request();
  named.server_name = "first.example";
  auto by_name = sync_wait(client->send(named));
  ASSERT_TRUE(by_name) << by_name.error().message;
  EXPECT_EQ(by_name->body, "x");
  EXPECT_EQ(by_name->final_url, named.url);
  named.server_name = "wrong.example";
  EXPECT_FALSE(sync_wait(client->send(named)));
  auto from_file = request();
  from_file.ca_pem.clear();
  from_file.ca_file = options.tls_certificate_file;
  EXPECT_TRUE(sync_wait(client->send(from_file)));
  auto bad_version = request();
  bad_version.min_tls_version = "TLS99";
  EXPECT_EQ(sync_wait(client->send(bad_version)).error().kind, ErrorKind::bad_input);
}

TEST_F(TlsTest, ReloadsAndKeepsTheOldCertificateOnAnError) {
  start();
  ASSERT_TRUE(sync_wait(client->send(request())));
  auto old = current;
  write_file(options.tls_certificate_file, "broken");
  auto failed = server->reload_tls();
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("cert.pem"), std::string::npos);
  EXPECT_TRUE(sync_wait(Client::create()->send(request())));

  install(make_certificate("second", "DNS:localhost"));
  write_file(options.tls_key_file, old.key_pem);
  EXPECT_FALSE(server->reload_tls());  // a key that belongs to another certificate
  write_file(options.tls_key_file, current.key_pem);
  ASSERT_TRUE(server->reload_tls());
  auto fresh = Client::create();
  EXPECT_TRUE(sync_wait(fresh->send(request())));
  auto stale = request();
  stale.ca_pem = old.certificate_pem;
  EXPECT_FALSE(sync_wait(Client::create()->send(stale)));
}

TEST_F(TlsTest, RefusesToStartWithBadFiles) {
  options.tls_key_file = directory + "/absent.pem";
  auto started = Server::start(options, router, authenticator);
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find("absent.pem"), std::string::npos);
  options.tls_key_file.clear();
  EXPECT_EQ(Server::start(options, router, authenticator).error().kind, ErrorKind::bad_input);
}

TEST_F(TlsTest, OldProtocolsAndPlainTextAreRefused) {
  options.header_timeout = 500ms;
  start();
  RawClient plain(port());
  plain.send("POST /echo HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_TRUE(plain.closed_by_peer());
  RawClient silent(port());  // never begins the handshake
  EXPECT_TRUE(silent.closed_by_peer());

  for (auto [version, works] :
       {std::pair(TLS1_1_VERSION, false), std::pair(TLS1_2_VERSION, true), std::pair(TLS1_3_VERSION, true)}) {
    std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    SSL_CTX_set_security_level(context.get(), 0);
    SSL_CTX_set_min_proto_version(context.get(), version);
    SSL_CTX_set_max_proto_version(context.get(), version);
    RawClient raw(port());
    std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(context.get()), SSL_free);
    SSL_set_fd(ssl.get(), raw.fd());
    EXPECT_EQ(SSL_connect(ssl.get()) == 1, works) << version;
  }
}

TEST_F(TlsTest, DisconnectCancelsAndStopEndsEverything) {
  std::atomic<bool> canceled = false;
  std::atomic<bool> running = false;
  router.add("GET", "/wait", [&](Request& r) -> Task<Response> {
    co_await pool.schedule();
    running = true;
    while (r.context.check()) std::this_thread::yield();
    canceled = true;
    co_return Response::empty(204);
  });
  start();
  std::stop_source stop;
  auto wait = request();
  wait.url = "https://localhost:" + std::to_string(port()) + "/wait";
  wait.method = "GET";
  wait.body.clear();
  std::thread leaver([&] {
    EXPECT_TRUE(eventually([&] { return running.load(); }));
    stop.request_stop();
  });
  auto response = sync_wait(client->send(wait, Context(stop.get_token(), Context::Steady::time_point::max())));
  leaver.join();
  EXPECT_EQ(response.error().kind, ErrorKind::canceled);
  EXPECT_TRUE(eventually([&] { return canceled.load(); }));
  ASSERT_TRUE(sync_wait(client->send(request())));  // leaves an idle connection behind
  auto began = Steady::now();
  server->stop(5s);
  EXPECT_LT(Steady::now() - began, 4s);
}

}  // namespace
}  // namespace tocayo::http::test
