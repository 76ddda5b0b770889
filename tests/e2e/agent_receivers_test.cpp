// SPDX-License-Identifier: Apache-2.0
// Lines that are pushed to `tocayo agent`: promtail's loki_push_api and OpenTelemetry, seen from the sender, who must
// be able to forget what was acknowledged and to keep what was not, and from the server, who must have each line once.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "tests/support/collector.h"

namespace tocayo::testing {
namespace {

using namespace std::chrono_literals;

struct Place {
  TempDir directory;
  int port = free_port();
  std::string url(const std::string& path) const { return "http://127.0.0.1:" + std::to_string(port) + path; }
  // A promtail file with one receiver; `more` are keys of its job, `receiver` of loki_push_api.
  std::string promtail(const std::string& server, const std::string& receiver, const std::string& more = "",
                       const std::string& client = "") const {
    const auto file = directory.path() / "promtail.yaml";
    std::ofstream(file) << "clients:\n- url: http://" << server << "/loki/api/v1/push\n  batchwait: 50ms\n"
                        << "  backoff_config: {min_period: 50ms, max_period: 300ms}\n"
                        << client << "scrape_configs:\n- job_name: push\n  loki_push_api:\n"
                        << "    server: {http_listen_address: 127.0.0.1, http_listen_port: " << port << "}\n"
                        << receiver << more;
    return file.string();
  }
};

std::int64_t nanoseconds_now() { return seconds_now() * 1'000'000'000; }

std::string push_body(const std::vector<std::string>& lines, const std::string& labels = R"("app":"a")",
                      std::int64_t time = nanoseconds_now()) {
  json::array values;
  for (const auto& line : lines) values.push_back(json::array{std::to_string(time++), line});
  return R"({"streams":[{"stream":{)" + labels + R"(},"values":)" + json::serialize(values) + "}]}";
}

int push(const std::string& url, const std::string& body, HttpHeaders headers = {}) {
  headers.emplace_back("Content-Type", "application/json");
  return http_request("POST", url, body, headers).status;
}

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}
std::string field(int number, std::string_view bytes) {
  std::string out;
  put_varint(out, static_cast<std::uint64_t>(number) << 3 | 2);
  put_varint(out, bytes.size());
  return out + std::string(bytes);
}
std::string number_field(int number, std::uint64_t value) {
  std::string out;
  put_varint(out, static_cast<std::uint64_t>(number) << 3);
  put_varint(out, value);
  return out;
}
// A snappy block of literals alone.
std::string snappy(std::string_view text) {
  std::string out;
  put_varint(out, text.size());
  for (; !text.empty(); text.remove_prefix(std::min<std::size_t>(60, text.size()))) {
    const auto part = text.substr(0, 60);
    out.push_back(static_cast<char>((part.size() - 1) << 2));
    out += part;
  }
  return out;
}

// The ports a server has for as long as the test: it can go away and come back on the same one.
struct Store {
  TempDir data;
  int port = free_port();
  std::string address() const { return "127.0.0.1:" + std::to_string(port); }
  std::unique_ptr<Server> start() const {
    Server::Options options;
    options.data_dir = data.path();
    options.sets = {"server.listen=" + address()};
    auto server = std::make_unique<Server>(options);
    if (!server->start()) return nullptr;
    return server;
  }
};

TEST(AgentReceivers, LokisPushApiAsPromtailHasIt) {
  Server server;
  ASSERT_TRUE(server.start());
  Place place;
  LogCollector agent(
      {"--config",
       place.promtail(server.address(), "    labels: {pushserver: push1}\n    use_incoming_timestamp: true\n",
                      "  relabel_configs:\n"
                      "  - {source_labels: [app], target_label: service, replacement: 'svc-$1'}\n"
                      "  - {regex: instance, action: labeldrop}\n"
                      "  - {source_labels: [app], regex: noise, action: drop}\n"
                      "  pipeline_stages:\n  - regex: {expression: 'level=(?P<level>\\w+)'}\n"
                      "  - labels: {level: }\n  - drop: {expression: healthcheck}\n")});
  ASSERT_TRUE(agent.start());
  EXPECT_EQ(http_get(place.url("/ready")).body, "ready");
  const auto at = nanoseconds_now() - 3'600'000'000'000;
  const std::string body =
      R"({"streams":[{"stream":{"app":"shop","instance":"i-1"},"values":[[")" + std::to_string(at) +
      R"(","level=warn disk is full",{"trace":"t1"}],[")" + std::to_string(at + 1) +
      R"(","GET /healthcheck"]]},{"stream":{"app":"noise"},"values":[[")" + std::to_string(at) + R"(","noise"]]}]})";
  auto reply = http_request("POST", place.url("/loki/api/v1/push"), body, {{"Content-Type", "application/json"}});
  EXPECT_EQ(reply.status, 204) << reply.body;
  EXPECT_EQ(reply.body, "");
  // Protobuf, as promtail and Alloy send it, with metadata.
  const std::string time = number_field(1, static_cast<std::uint64_t>(at / 1'000'000'000)) + number_field(2, 5);
  const std::string entry =
      field(1, time) + field(2, "level=info from protobuf") + field(3, field(1, "pod") + field(2, "p-7"));
  const std::string proto = field(1, field(1, R"({app="shop"})") + field(2, entry));
  reply =
      http_request("POST", place.url("/loki/api/v1/push"), snappy(proto), {{"Content-Type", "application/x-protobuf"}});
  EXPECT_EQ(reply.status, 204) << reply.body;
  EXPECT_EQ(push(place.url("/promtail/api/v1/push"), push_body({"the old path"}, R"("app":"old")")), 204);
  reply = http_request("POST", place.url("/promtail/api/v1/raw"), "plain one\r\n\n{\"json\": 2}\nlast",
                       {{"Content-Type", "text/plain"}});
  EXPECT_EQ(reply.status, 204) << reply.body;
  ASSERT_TRUE(eventually([&] { return query(server, R"({pushserver="push1"})").size() == 6; }))
      << query(server, R"({pushserver="push1"})").size() << agent.log();
  json::object stream;
  auto found = query(server, R"({service="svc-shop", level="warn"} | trace="t1")", &stream);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found.begin()->first, "level=warn disk is full");
  EXPECT_FALSE(stream.contains("instance"));
  EXPECT_EQ(query(server, R"({service="svc-shop", level="info"} | pod="p-7")").size(), 1U);
  EXPECT_EQ(query(server, R"({app="noise"})").size(), 0U);
  // Plain lines have the job's labels alone.
  found = query(server, R"({pushserver="push1", app=""})");
  EXPECT_EQ(found.size(), 3U);
  EXPECT_TRUE(found.contains("plain one") && found.contains(R"({"json": 2})") && found.contains("last"));
  // The sender's time, an hour ago.
  const auto exact =
      json::parse(http_get(server.url("/loki/api/v1/query_range?query=" + url_encode(R"({app="shop"} |= "disk")") +
                                      "&start=" + std::to_string(at) + "&end=" + std::to_string(at + 1)))
                      .body);
  EXPECT_EQ(exact.at("data").at("result").as_array().size(), 1U);
  EXPECT_EQ(agent.queue("handedIn"), 6);
  EXPECT_TRUE(eventually([&] {
    const auto positions = json::parse(http_get(agent.url("/positions")).body).at("data").at("positions").as_array();
    return positions.size() == 1 && positions[0].at("job").as_string() == "push" && positions[0].at("lines") == 7;
  }));
  EXPECT_EQ(agent.stop(), 0);
}

TEST(AgentReceivers, WithoutIncomingTimesLinesHaveThatOfArrival) {
  Server server;
  ASSERT_TRUE(server.start());
  Place place;
  LogCollector agent({"--config", place.promtail(server.address(), "")});
  ASSERT_TRUE(agent.start());
  // A sender's clock that is a year off; equal lines stay two.
  const auto old = nanoseconds_now() - 365LL * 86'400 * 1'000'000'000;
  ASSERT_EQ(push(place.url("/loki/api/v1/push"), push_body({"same", "same", "other"}, R"("app":"a")", old)), 204);
  ASSERT_TRUE(eventually([&] { return query(server, R"({app="a"})").size() == 2; })) << agent.log();
  EXPECT_EQ(query(server, R"({app="a"})")["same"], 2);
}

TEST(AgentReceivers, AcknowledgedMeansInTheQueue) {
  const Store store;
  Place place;
  LogCollector agent({"--config", place.promtail(store.address(), "    use_incoming_timestamp: true\n")});
  std::set<std::string> acknowledged, unknown;
  int next = 0;
  for (int round = 0; round < 4; ++round) {
    ASSERT_TRUE(agent.start());
    std::mutex mutex;
    std::atomic<bool> over{false};
    std::vector<std::thread> senders;
    for (int sender = 0; sender < 4; ++sender) {
      senders.emplace_back([&] {
        while (!over) {
          std::vector<std::string> lines;
          {
            std::lock_guard lock(mutex);
            for (int i = 0; i < 10; ++i) lines.push_back("line " + std::to_string(next++));
          }
          const int status = push(place.url("/loki/api/v1/push"), push_body(lines));
          std::lock_guard lock(mutex);
          (status == 204 ? acknowledged : unknown).insert(lines.begin(), lines.end());
          if (status != 204) return;
        }
      });
    }
    EXPECT_TRUE(eventually([&] {
      std::lock_guard lock(mutex);
      return acknowledged.size() >= static_cast<std::size_t>(200 * (round + 1));
    })) << agent.log();
    agent.kill9();
    over = true;
    for (auto& sender : senders) sender.join();
  }
  ASSERT_TRUE(agent.start());
  auto server = store.start();
  ASSERT_TRUE(server);
  ASSERT_TRUE(eventually([&] { return agent.queue("pending") == 0; }, 60s)) << agent.log();
  const auto stored = query(*server, R"({app="a"})");
  int missing = 0, doubled = 0, strange = 0;
  for (const auto& line : acknowledged) missing += stored.contains(line) ? 0 : 1;
  for (const auto& [line, times] : stored) {
    doubled += times == 1 ? 0 : 1;
    strange += acknowledged.contains(line) || unknown.contains(line) ? 0 : 1;
  }
  EXPECT_EQ(missing, 0) << "of " << acknowledged.size() << " acknowledged";
  EXPECT_EQ(doubled, 0);
  EXPECT_EQ(strange, 0);
}

TEST(AgentReceivers, AFullQueueRefusesAndTakesNothing) {
  const Store store;
  Place place;
  LogCollector agent({"--config", place.promtail(store.address(), "", "", "  max_disk: 400KB\n")});
  ASSERT_TRUE(agent.start());
  std::mt19937_64 random(7);
  const auto noise = [&] {
    std::string text;
    while (text.size() < 4000) text += std::to_string(random());
    return text;
  };
  std::set<std::string> accepted, refused;
  int refusals = 0;
  for (int i = 0; i < 2000 && refusals < 20; ++i) {
    std::vector<std::string> lines;
    for (int k = 0; k < 5; ++k) lines.push_back(std::to_string(i) + " " + noise());
    const auto reply =
        http_request("POST", place.url("/loki/api/v1/push"), push_body(lines), {{"Content-Type", "application/json"}});
    if (reply.status == 204) {
      accepted.insert(lines.begin(), lines.end());
      continue;
    }
    ASSERT_EQ(reply.status, 503) << reply.body;
    EXPECT_TRUE(reply.headers.contains("retry-after"));
    EXPECT_NE(reply.body.find("full"), std::string::npos) << reply.body;
    refused.insert(lines.begin(), lines.end());
    ++refusals;
  }
  ASSERT_EQ(refusals, 20);
  ASSERT_GT(accepted.size(), 50U);
  EXPECT_EQ(agent.queue("pending"), static_cast<std::int64_t>(accepted.size()));
  auto server = store.start();
  ASSERT_TRUE(server);
  ASSERT_TRUE(eventually([&] { return agent.queue("pending") == 0; }, 60s)) << agent.log();
  // The sender comes again with what was refused.
  ASSERT_TRUE(eventually(
      [&] { return push(place.url("/loki/api/v1/push"), push_body({refused.begin(), refused.end()})) == 204; }));
  accepted.insert(refused.begin(), refused.end());
  ASSERT_TRUE(eventually([&] { return query(*server, R"({app="a"})").size() == accepted.size(); }, 60s));
  for (const auto& [line, times] : query(*server, R"({app="a"})")) {
    EXPECT_EQ(times, 1);
    EXPECT_TRUE(accepted.contains(line));
  }
  EXPECT_EQ(agent.queue("dropped"), 0);
}

TEST(AgentReceivers, WhatIsMalformedIsRefused) {
  Server server;
  ASSERT_TRUE(server.start());
  Place place;
  LogCollector agent({"--config", place.promtail(server.address(), "", "", "")});
  ASSERT_TRUE(agent.start());
  const auto answer = [&](const std::string& path, const std::string& body, const std::string& type) {
    return http_request("POST", place.url(path), body, {{"Content-Type", type}});
  };
  const std::string json_type = "application/json", proto_type = "application/x-protobuf";
  auto reply = answer("/loki/api/v1/push", R"({"streams":[{"stream":{"a":"b"},"values":[[1,"x"]]}]})", json_type);
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.body.find("stream 1, value 1: the timestamp must be a string"), std::string::npos) << reply.body;
  EXPECT_TRUE(reply.headers["content-type"].starts_with("text/plain"));
  EXPECT_EQ(answer("/loki/api/v1/push", "{", json_type).status, 400);
  EXPECT_EQ(answer("/loki/api/v1/push", "not snappy", proto_type).status, 400);
  const std::string time = number_field(1, 1'700'000'000);
  reply = answer("/loki/api/v1/push", snappy(field(1, field(1, "{a=b}") + field(2, field(1, time) + field(2, "x")))),
                 proto_type);
  EXPECT_EQ(reply.status, 400) << "labels that are none";
  reply = answer("/loki/api/v1/push", push_body({"x"}, ""), json_type);
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.body.find("at least one label pair is required per stream"), std::string::npos) << reply.body;
  reply = answer("/promtail/api/v1/raw", "x\n", "text/plain");
  EXPECT_EQ(reply.status, 400) << "plain lines would have no label";
  reply = answer("/loki/api/v1/push", std::string(17 << 20, 'x'), json_type);
  EXPECT_EQ(reply.status, 413);
  EXPECT_TRUE(reply.headers["content-type"].starts_with("text/plain"));
  EXPECT_EQ(http_get(place.url("/loki/api/v1/push")).status, 405);
  EXPECT_EQ(http_get(place.url("/nothing")).status, 404);
  EXPECT_EQ(push(place.url("/loki/api/v1/push"), push_body({"x"}), {{"Origin", "http://evil.example"}}), 403);
  // Nothing of this came through; the receiver works on.
  EXPECT_EQ(push(place.url("/loki/api/v1/push"), push_body({"good"})), 204);
  ASSERT_TRUE(eventually([&] { return agent.queue("delivered") == 1; })) << agent.log();
}

TEST(AgentReceivers, LinesThatAStageHoldsAreAnsweredWhenTheyAreThrough) {
  Server server;
  ASSERT_TRUE(server.start());
  Place place;
  LogCollector agent({"--config", place.promtail(server.address(), "    use_incoming_timestamp: true\n",
                                                 "  pipeline_stages:\n  - multiline: {firstline: '^\\S', "
                                                 "max_wait_time: 300ms}\n")});
  ASSERT_TRUE(agent.start());
  EXPECT_EQ(push(place.url("/loki/api/v1/push"), push_body({"first", "  second", "  third"})), 204);
  EXPECT_EQ(agent.queue("handedIn"), 1) << "acknowledged when it was in the queue, joined";
  ASSERT_TRUE(eventually([&] { return query(server, R"({app="a"})").contains("first\n  second\n  third"); }));
}

TEST(AgentReceivers, TenantsOfSenders) {
  Server server;
  ASSERT_TRUE(server.start());
  Place keeping, ignoring;
  LogCollector keeps(
      {"--config", keeping.promtail(server.address(), "    use_incoming_tenant: true\n", "", "  tenant_id: base\n")});
  LogCollector ignores({"--config", ignoring.promtail(server.address(), "", "", "  tenant_id: base\n")});
  ASSERT_TRUE(keeps.start());
  ASSERT_TRUE(ignores.start());
  const std::string path = "/loki/api/v1/push";
  EXPECT_EQ(push(keeping.url(path), push_body({"mine"}), {{"X-Scope-OrgID", "other"}}), 204);
  EXPECT_EQ(push(keeping.url(path), push_body({"nobody's"})), 204);
  EXPECT_EQ(push(ignoring.url(path), push_body({"as promtail"}), {{"X-Scope-OrgID", "other"}}), 204);
  EXPECT_EQ(push(keeping.url(path), push_body({"x"}), {{"X-Scope-OrgID", "a|b"}}), 400);
  EXPECT_EQ(push(keeping.url(path), push_body({"x"}), {{"X-Scope-OrgID", "no spaces"}}), 400);
  ASSERT_TRUE(eventually([&] { return query(server, R"({app="a"})", nullptr, "base").size() == 2; }));
  EXPECT_TRUE(query(server, R"({app="a"})", nullptr, "base").contains("as promtail"));
  json::object stream;
  EXPECT_TRUE(query(server, R"({app="a"})", &stream, "other").contains("mine"));
  EXPECT_FALSE(stream.contains("__tenant_id__"));
}

TEST(AgentReceivers, AReloadOpensChangesAndCloses) {
  Server server;
  ASSERT_TRUE(server.start());
  Place place;
  const auto file = place.promtail(server.address(), "    labels: {v: one}\n");
  LogCollector agent({"--config", file});
  ASSERT_TRUE(agent.start());
  const auto reload = [&] { return http_request("POST", agent.url("/-/reload")).status; };
  ASSERT_EQ(push(place.url("/loki/api/v1/push"), push_body({"1"})), 204);
  // Other labels at the same address.
  (void)place.promtail(server.address(), "    labels: {v: two}\n");
  ASSERT_EQ(reload(), 200);
  ASSERT_EQ(push(place.url("/loki/api/v1/push"), push_body({"2"})), 204);
  ASSERT_TRUE(eventually([&] { return query(server, R"({v=~".+"})").size() == 2; })) << agent.log();
  EXPECT_TRUE(query(server, R"({v="two"})").contains("2"));
  // An address that is taken: nothing changes.
  const int before = place.port;
  place.port = std::atoi(server.address().substr(server.address().rfind(':') + 1).c_str());
  (void)place.promtail(server.address(), "    labels: {v: three}\n");
  EXPECT_NE(reload(), 200);
  EXPECT_NE(http_get(agent.url("/metrics")).body.find("tocayo_config_last_reload_successful 0"), std::string::npos);
  place.port = before;
  ASSERT_EQ(push(place.url("/loki/api/v1/push"), push_body({"3"})), 204);
  ASSERT_TRUE(eventually([&] { return query(server, R"({v="two"})").size() == 2; }));
  // Another address: the old one is closed.
  place.port = free_port();
  (void)place.promtail(server.address(), "    labels: {v: four}\n");
  ASSERT_EQ(reload(), 200);
  ASSERT_EQ(push(place.url("/loki/api/v1/push"), push_body({"4"})), 204);
  const int after = std::exchange(place.port, before);
  EXPECT_EQ(push(place.url("/loki/api/v1/push"), push_body({"5"})), 0);
  place.port = after;
  ASSERT_TRUE(eventually([&] { return query(server, R"({v="four"})").size() == 1; }));
  EXPECT_EQ(agent.stop(), 0);
}

TEST(AgentReceivers, AGrafanaAgentFile) {
  Server server;
  ASSERT_TRUE(server.start());
  Place place;
  const auto file = place.directory.path() / "agent.yaml";
  std::ofstream(file) << "logs:\n  configs:\n  - name: default\n    clients: [{url: 'http://" << server.address()
                      << "/loki/api/v1/push', batchwait: 50ms}]\n    scrape_configs:\n    - job_name: push\n"
                      << "      loki_push_api:\n        server: {http_listen_port: " << place.port
                      << ", grpc_listen_port: 0}\n        labels: {from: agent}\n";
  LogCollector agent({"--config", file.string()});
  ASSERT_TRUE(agent.start());
  EXPECT_NE(agent.log().find("grpc_listen_port has no meaning here"), std::string::npos) << agent.log();
  EXPECT_NE(agent.log().find("listens on 127.0.0.1 only"), std::string::npos) << agent.log();
  ASSERT_EQ(push(place.url("/loki/api/v1/push"), push_body({"x"})), 204);
  ASSERT_TRUE(eventually([&] { return query(server, R"({from="agent"})").size() == 1; })) << agent.log();
}

TEST(AgentReceivers, MistakesOfTheConfigurationAreLocated) {
  TempDir place;
  const auto refused = [&](const std::string& text) {
    const auto file = place.path() / "x.yaml";
    std::ofstream(file) << text;
    std::filesystem::remove(place.path() / "out");  // a process appends to it
    Process check({std::getenv("TOCAYO_BINARY"), "agent", "--check-config", "--config", file.string()},
                  place.path() / "out");
    EXPECT_EQ(check.wait(), 1) << text;
    const auto log = check.log();
    const auto at = log.find("x.yaml:");
    return at == std::string::npos ? log : log.substr(at + 7);
  };
  const std::string head = "clients: [{url: 'http://x/loki/api/v1/push'}]\nscrape_configs:\n- job_name: a\n";
  EXPECT_TRUE(refused(head + "  loki_push_api: {labels: {a: b}}\n").starts_with("4:18: "));
  EXPECT_TRUE(refused(head + "  loki_push_api: {server: {http_listen_port: 99999}}\n").starts_with("4:46: "));
  EXPECT_TRUE(
      refused(head + "  loki_push_api: {server: {http_listen_prt: 1}}\n").find("unknown key \"http_listen_prt\"") !=
      std::string::npos);
  EXPECT_TRUE(refused(head + "  loki_push_api: {server: {http_tls_config: {client_ca_file: x}}}\n")
                  .find("client_ca_file: is not supported") != std::string::npos);
  EXPECT_TRUE(refused(head + "  loki_push_api: {server: {http_listen_port: 1}}\n- job_name: b\n"
                             "  loki_push_api: {server: {http_listen_port: 1}}\n")
                  .starts_with("6:18: the job \"a\" listens on 127.0.0.1:1 too"));
  EXPECT_TRUE(refused(head + "  syslog: {labels: {a: b}}\n").starts_with("4:11: "));
  EXPECT_TRUE(refused(head + "  syslog: {listen_address: ':1', listen_protocol: sctp}\n").starts_with("4:51: "));
  EXPECT_TRUE(refused("server: {url: 'http://x'}\notlp: {listen: here}\n").starts_with("2:16: listen: "));
  EXPECT_TRUE(refused("server: {url: 'http://x'}\notlp: {traces: {}}\n").starts_with("2:16: traces: is not supported"));
}

// ---- syslog

void send_bytes(int type, int port, const std::string& bytes) {
  const int socket = ::socket(AF_INET, type | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  ASSERT_EQ(::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  ::close(socket);
}

TEST(AgentReceivers, PromtailsSyslog) {
  Server server;
  ASSERT_TRUE(server.start());
  TempDir place;
  const int tcp = free_port(), udp = free_port();
  const auto file = place.path() / "promtail.yaml";
  std::ofstream(file) << "clients: [{url: 'http://" << server.address() << "/loki/api/v1/push', batchwait: 50ms}]\n"
                      << "scrape_configs:\n- job_name: syslog\n  syslog:\n    listen_address: 127.0.0.1:" << tcp
                      << "\n    idle_timeout: 60s\n    label_structured_data: true\n    use_incoming_timestamp: true\n"
                      << "    labels: {job: syslog}\n  relabel_configs:\n"
                      << "  - {source_labels: [__syslog_message_hostname], target_label: host}\n"
                      << "  - {source_labels: [__syslog_message_severity], target_label: level}\n"
                      << "  - {source_labels: [__syslog_message_facility], target_label: facility}\n"
                      << "  - {source_labels: [__syslog_message_sd_shop_1_zone], target_label: zone}\n"
                      << "  - {source_labels: [__syslog_connection_ip_address], target_label: from}\n"
                      << "- job_name: nets\n  syslog: {listen_address: '127.0.0.1:" << udp
                      << "', listen_protocol: udp, labels: {job: nets}, use_rfc5424_message: true}\n";
  LogCollector agent({"--config", file.string()});
  ASSERT_TRUE(agent.start());
  const std::string message = "<30>1 2026-11-30T09:00:00Z web-1 app 7 ID1 [shop@1 zone=\"a\"] hello";
  send_bytes(SOCK_STREAM, tcp, std::to_string(message.size()) + " " + message + "<11>1 - web-2 app - - - second\n");
  send_bytes(SOCK_DGRAM, udp, message);
  ASSERT_TRUE(eventually([&] { return agent.queue("delivered") == 3; })) << agent.log();
  json::object stream;
  EXPECT_TRUE(query(server, R"({job="syslog", host="web-1"})", &stream).contains("hello")) << agent.log();
  EXPECT_EQ(stream["level"].as_string(), "informational");
  EXPECT_EQ(stream["facility"].as_string(), "daemon");
  EXPECT_EQ(stream["zone"].as_string(), "a");
  EXPECT_EQ(stream["from"].as_string(), "127.0.0.1");
  EXPECT_TRUE(query(server, R"({job="syslog", host="web-2", level="error"})").contains("second"));
  EXPECT_TRUE(query(server, R"({job="nets"})").contains(message));
  EXPECT_EQ(agent.stop(), 0);
}

// ---- OpenTelemetry

std::string otlp_json(const std::vector<std::string>& lines, const std::string& service = "shop") {
  json::array records;
  for (const auto& line : lines) {
    records.push_back({{"timeUnixNano", std::to_string(nanoseconds_now())},
                       {"severityText", "WARN"},
                       {"body", {{"stringValue", line}}},
                       {"attributes", {{{"key", "user.id"}, {"value", {{"stringValue", "u1"}}}}}}});
  }
  json::array attributes;
  if (!service.empty()) attributes.push_back({{"key", "service.name"}, {"value", {{"stringValue", service}}}});
  return json::serialize(json::object{
      {"resourceLogs",
       {{{"resource", {{"attributes", attributes}}}, {"scopeLogs", {{{"logRecords", std::move(records)}}}}}}}});
}

std::string otlp_proto(const std::string& line) {
  std::string time(1, '\x09');  // fixed64 time_unix_nano
  const auto now = static_cast<std::uint64_t>(nanoseconds_now());
  for (int i = 0; i < 8; ++i) time.push_back(static_cast<char>(now >> (8 * i)));
  const std::string record = time + field(5, field(1, line));
  const std::string resource = field(1, field(1, "service.name") + field(2, field(1, "pay")));
  return field(1, field(1, resource) + field(2, field(2, record)));
}

struct OtlpPlace {
  TempDir directory;
  int port = free_port();
  std::string url(const std::string& path) const { return "http://127.0.0.1:" + std::to_string(port) + path; }
  std::string config(const std::string& server, const std::string& more = "", const std::string& logs = "") const {
    const auto file = directory.path() / "tocayo-agent.yaml";
    std::ofstream(file) << "server: {url: 'http://" << server << "'}\nhost: {enabled: false}\n"
                        << "logs:\n  machine: false\n"
                        << logs << "otlp:\n  listen: 127.0.0.1:" << port << "\n"
                        << more;
    return file.string();
  }
};

TEST(AgentReceivers, OpenTelemetryLogs) {
  Server server;
  ASSERT_TRUE(server.start());
  OtlpPlace place;
  LogCollector agent({"--config", place.config(server.address(),
                                               "  labels: {via: agent}\n  pipeline_stages:\n"
                                               "  - drop: {expression: secret}\n",
                                               "  limits_config: {max_line_size: 100}\n")});
  ASSERT_TRUE(agent.start());
  const HttpHeaders as_json{{"Content-Type", "application/json"}}, as_proto{{"Content-Type", "application/x-protobuf"}};
  auto reply = http_request("POST", place.url("/v1/logs"), otlp_json({"one", "a secret"}), as_json);
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.body, "{}");
  reply = http_request("POST", place.url("/v1/logs"), otlp_proto("two"), as_proto);
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.body, "");
  EXPECT_EQ(reply.headers["content-type"], "application/x-protobuf");
  EXPECT_EQ(http_request("POST", place.url("/otlp/v1/logs"), otlp_json({"nameless"}, ""), as_json).status, 200);
  ASSERT_TRUE(eventually([&] { return query(server, R"({via="agent"})").size() == 3; })) << agent.log();
  EXPECT_TRUE(query(server, R"({service_name="shop"} | user_id="u1" | detected_level="warn")").contains("one"));
  EXPECT_TRUE(query(server, R"({service_name="pay"})").contains("two"));
  EXPECT_TRUE(query(server, R"({service_name="unknown_service", via="agent"})").contains("nameless"));
  // Some of it is too long.
  reply = http_request("POST", place.url("/v1/logs"),
                       otlp_json({"short", std::string(200, 'x'), std::string(101, 'y')}), as_json);
  EXPECT_EQ(reply.status, 200) << reply.body;
  const auto partial = json::parse(reply.body).at("partialSuccess");
  EXPECT_EQ(partial.at("rejectedLogRecords").as_string(), "2");
  EXPECT_NE(partial.at("errorMessage").as_string().find("100"), json::string::npos) << reply.body;
  reply = http_request("POST", place.url("/v1/logs"), otlp_proto(std::string(200, 'z')), as_proto);
  EXPECT_EQ(reply.status, 200);
  EXPECT_TRUE(reply.body.starts_with('\x0a') && reply.body.find("\x08\x01") != std::string::npos) << "rejected: 1";
  ASSERT_TRUE(eventually([&] { return query(server, R"({via="agent"})").contains("short"); }));
  EXPECT_EQ(query(server, R"({via="agent"})").size(), 4U);
  // What is no log.
  reply = http_request("POST", place.url("/v1/logs"), "{\"resourceLogs\": 3}", as_json);
  EXPECT_EQ(reply.status, 400);
  EXPECT_TRUE(json::parse(reply.body).as_object().contains("message")) << reply.body;
  EXPECT_EQ(http_request("POST", place.url("/v1/logs"), "\xff\xff", as_proto).status, 400);
  EXPECT_EQ(http_request("POST", place.url("/v1/logs"), "x", {{"Content-Type", "text/plain"}}).status, 415);
  reply = http_request("POST", place.url("/v1/metrics"), "{}", as_json);
  EXPECT_EQ(reply.status, 501);
  EXPECT_NE(json::parse(reply.body).at("message").as_string().find("logs only"), json::string::npos);
  EXPECT_EQ(agent.stop(), 0);
}

TEST(AgentReceivers, OpenTelemetryLogsAreKeptOverAnOutageAndAKill) {
  const Store store;
  OtlpPlace place;
  LogCollector agent({"--config", place.config(store.address())});
  ASSERT_TRUE(agent.start());
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(http_request("POST", place.url("/v1/logs"), otlp_json({"line " + std::to_string(i)}),
                           {{"Content-Type", "application/json"}})
                  .status,
              200);
  }
  agent.kill9();
  ASSERT_TRUE(agent.start());
  EXPECT_EQ(agent.queue("pending"), 50);
  auto server = store.start();
  ASSERT_TRUE(server);
  ASSERT_TRUE(eventually([&] { return agent.queue("pending") == 0; }, 60s)) << agent.log();
  expect_each_once(query(*server, R"({service_name="shop"})"), 50);
}

}  // namespace
}  // namespace tocayo::testing
