// SPDX-License-Identifier: Apache-2.0
// Syslog over TLS: who may send, what becomes of a certificate that is replaced, what a configuration may say.
#include "tests/support/collector.h"

namespace tocayo::testing {
namespace {

using namespace std::chrono_literals;

class SyslogTls : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(find_program("openssl")) << "openssl is missing"; }
  std::string file(const std::string& name) const { return (place_.path() / name).string(); }
  int run(const std::string& command) const {
    Process process({"/bin/sh", "-c", command}, place_.path() / "output");
    return process.wait();
  }
  // A certificate of its own authority: <name>.pem and <name>.key.
  void make(const std::string& name) const {
    ASSERT_EQ(run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" + name +
                  " -addext subjectAltName=IP:127.0.0.1 -keyout " + file(name + ".key") + " -out " +
                  file(name + ".new") + " && mv " + file(name + ".new") + " " + file(name + ".pem")),
              0);
  }
  // Sends bytes and closes; 0 when the other side's certificate is that of `authority`.
  int send(const std::string& bytes, const std::string& authority, const std::string& more = "") const {
    std::ofstream(place_.path() / "bytes", std::ios::binary) << bytes;
    return run("openssl s_client -quiet -no_ign_eof -verify_return_error -CAfile " + file(authority + ".pem") + " " +
               more + " -connect 127.0.0.1:" + std::to_string(port_) + " <" + file("bytes"));
  }
  Server::Options options(const std::string& tls) const {
    Server::Options options;
    options.sets = {"logs.syslog=[{listen: 'tcp://127.0.0.1:" + std::to_string(port_) + "', tls: {" + tls + "}}]"};
    return options;
  }
  TempDir place_;
  int port_ = free_port();
};

TEST_F(SyslogTls, LinesArriveAndANewCertificateIsTaken) {
  make("first");
  make("serving");
  Server server(options("cert_file: " + file("serving.pem") + ", key_file: " + file("serving.key")));
  ASSERT_TRUE(server.start());
  // Both framings in one connection; far more than a record of TLS.
  std::string bytes = "<14>1 - box app - - - lines\n";
  for (int i = 0; i < 2000; ++i) {
    const std::string message = "<14>1 - box app - - - counted " + std::to_string(i) + std::string(100, 'x');
    bytes += std::to_string(message.size()) + " " + message;
  }
  EXPECT_EQ(send(bytes, "serving"), 0);
  ASSERT_TRUE(eventually([&] { return query(server, R"({job="syslog", app="app"})").size() == 2001; }))
      << query(server, R"({job="syslog", app="app"})").size() << server.log();
  EXPECT_NE(send("<14>x\n", "first"), 0) << "a sender that trusts another authority";
  // Plain text is turned away and harms nobody.
  EXPECT_EQ(http_get("http://127.0.0.1:" + std::to_string(port_)).status, 0);
  make("serving");
  EXPECT_TRUE(eventually([&] { return send("<14>Nov 30 10:00:00 box renewed: hello\n", "serving") == 0; }, 60s))
      << server.log();
  EXPECT_TRUE(eventually([&] { return query(server, R"({app="renewed"})").size() == 1; }));
}

TEST_F(SyslogTls, OnlySendersWithACertificateOfTheAuthority) {
  make("serving");
  make("sender");
  make("stranger");
  Server server(options("cert_file: " + file("serving.pem") + ", key_file: " + file("serving.key") +
                        ", client_ca_file: " + file("sender.pem")));
  ASSERT_TRUE(server.start());
  const auto as = [&](const std::string& name) {
    return "-cert " + file(name + ".pem") + " -key " + file(name + ".key");
  };
  (void)send("<14>1 - box nobody - - - x\n", "serving");
  (void)send("<14>1 - box stranger - - - x\n", "serving", as("stranger"));
  EXPECT_EQ(send("<14>1 - box known - - - x\n", "serving", as("sender")), 0);
  ASSERT_TRUE(eventually([&] { return query(server, R"({app="known"})").size() == 1; })) << server.log();
  EXPECT_EQ(query(server, R"({app=~"nobody|stranger"})").size(), 0U);
  const auto metrics = http_get(server.url("/metrics")).body;
  const auto at = metrics.find("\ntocayo_syslog_refused_connections_total{");
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(metrics.substr(metrics.find("} ", at) + 2, 2), "2\n");
}

TEST_F(SyslogTls, MistakesAreNamed) {
  make("serving");
  make("other");
  const auto refused = [&](const std::string& listen, const std::string& tls) {
    std::filesystem::remove(place_.path() / "log");  // a process appends to it
    Process process(
        {std::getenv("TOCAYO_BINARY"), "serve", "--set", "storage.data_dir=" + file("data"), "--set",
         "server.listen=127.0.0.1:0", "--set", "logs.syslog=[{listen: '" + listen + "', tls: {" + tls + "}}]"},
        place_.path() / "log");
    EXPECT_NE(process.wait(), 0);
    return process.log();
  };
  const auto has = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  const auto tcp = "tcp://127.0.0.1:" + std::to_string(port_);
  const auto files = "cert_file: " + file("serving.pem") + ", key_file: " + file("serving.key");
  EXPECT_TRUE(has(refused("udp://127.0.0.1:0", files), "tls: is for tcp:// only"));
  EXPECT_TRUE(has(refused(tcp, "cert_file: x"), "tls: key_file is missing"));
  EXPECT_TRUE(has(refused(tcp, "cert_file: /nowhere, key_file: x"), "tls.cert_file /nowhere: "));
  EXPECT_TRUE(has(refused(tcp, "cert_file: " + file("serving.pem") + ", key_file: " + file("other.key")), "key_file"));
  EXPECT_TRUE(has(refused(tcp, files + ", client_ca: x"), "unknown key \"client_ca\""));
}

}  // namespace
}  // namespace tocayo::testing
