// SPDX-License-Identifier: Apache-2.0
#include "agent/scrape/discovery.h"

#include <arpa/nameser.h>
#include <gtest/gtest.h>

#include "agent/host/testing.h"

namespace tocayo::agent {
namespace {

class FakeClient final : public http::Client {
 public:
  Task<Result<http::ClientResponse>> send(http::ClientRequest request, Context) override {
    last = std::move(request);
    co_return answer;
  }
  http::ClientRequest last;
  Result<http::ClientResponse> answer = http::ClientResponse{};
};

std::vector<std::string> addresses(const std::vector<TargetGroup>& groups) {
  std::vector<std::string> list;
  for (const auto& group : groups) {
    for (const auto& target : group.targets) list.emplace_back(target.get("__address__"));
  }
  return list;
}

using Names = std::vector<std::string>;

TEST(TargetGroups, JsonAndYamlSayTheSame) {
  auto json = parse_target_groups_json(
      R"([{"targets":["a:1","b:2"],"labels":{"x":"y"}},{"targets":["c"],"labels":null}])", "s");
  auto yaml = parse_target_groups_yaml("- targets: [a:1, b:2]\n  labels: {x: y}\n- targets: [c]\n", "s");
  ASSERT_TRUE(json);
  ASSERT_TRUE(yaml);
  EXPECT_EQ(*json, *yaml);
  EXPECT_EQ(addresses(*json), (Names{"a:1", "b:2", "c"}));
  EXPECT_EQ((*json)[0].labels, (Labels{{"x", "y"}}));
  EXPECT_TRUE(parse_target_groups_yaml("", "s")->empty());
}

TEST(TargetGroups, WrongOnesAreRefused) {
  for (std::string_view text :
       {"", "{}", "[null]", "[1]", R"([{"targets":"a"}])", R"([{"targets":[1]}])", R"([{"labels":{"a":1}}])",
        R"([{"nonsense":[]}])", R"([{"labels":{"":"a"}}])", "[{}] x"}) {
    EXPECT_FALSE(parse_target_groups_json(text, "s")) << text;
  }
  for (std::string_view text :
       {"a: b", "- null", "- 1", "- targets: {}", "- nonsense: 1", "- labels: {'': a}", "- targets: [[a]]"}) {
    auto groups = parse_target_groups_yaml(text, "file.yml");
    ASSERT_FALSE(groups) << text;
    EXPECT_TRUE(groups.error().message.starts_with("file.yml:1:")) << groups.error().message;
  }
}

struct FileFixture {
  FixtureTree tree;
  FakeClient client;
  std::unique_ptr<Discovery> discovery;
  FileFixture() {
    ScrapeConfig config;
    config.file_discovery.push_back({{tree.path("*.json"), tree.path("one.yml")}, std::chrono::minutes(5)});
    discovery = std::move(make_discoveries(config, client).at(0));
  }
  Names look() {
    auto groups = discovery->look({});
    EXPECT_TRUE(groups);
    return groups ? addresses(*groups) : Names{};
  }
};

TEST(FileDiscovery, FollowsTheFiles) {
  FileFixture f;
  EXPECT_EQ(f.look(), Names{});
  EXPECT_FALSE(f.discovery->changed());
  f.tree.write("a.json", R"([{"targets":["a:1"]}])");
  f.tree.write("one.yml", "- targets: [y:1]\n");
  EXPECT_TRUE(f.discovery->changed());
  EXPECT_EQ(f.look(), (Names{"a:1", "y:1"}));
  EXPECT_FALSE(f.discovery->changed());
  f.tree.write("a.json", R"([{"targets":["a:1","a:22"]}])");
  EXPECT_TRUE(f.discovery->changed());
  EXPECT_EQ(f.look(), (Names{"a:1", "a:22", "y:1"}));
  f.tree.remove("one.yml");
  EXPECT_TRUE(f.discovery->changed());
  EXPECT_EQ(f.look(), (Names{"a:1", "a:22"}));
  auto groups = f.discovery->look({});
  EXPECT_EQ(groups->at(0).labels.get("__meta_filepath"), f.tree.path("a.json"));
}

TEST(FileDiscovery, ABrokenFileKeepsItsLastGoodTargets) {
  FileFixture f;
  f.tree.write("a.json", R"([{"targets":["a:1"]}])");
  f.tree.write("b.json", R"([{"targets":["b:1"]}])");
  EXPECT_EQ(f.look(), (Names{"a:1", "b:1"}));
  f.tree.write("a.json", R"([{"targets":["a)");
  f.tree.write("b.json", R"([{"targets":["b:2"]}])");
  EXPECT_EQ(f.look(), (Names{"a:1", "b:2"}));
}

TEST(HttpDiscovery, AsksAndReads) {
  FakeClient client;
  ScrapeConfig config;
  config.http_discovery.push_back({"http://sd/targets", std::chrono::milliseconds(90'500), {}});
  auto discovery = std::move(make_discoveries(config, client).at(0));
  client.answer->status = 200;
  client.answer->headers.add("Content-Type", "application/json; charset=utf-8");
  client.answer->body = R"([{"targets":["a:1"]}])";
  auto groups = discovery->look({});
  ASSERT_TRUE(groups);
  EXPECT_EQ(addresses(*groups), Names{"a:1"});
  EXPECT_EQ(groups->at(0).labels.get("__meta_url"), "http://sd/targets");
  EXPECT_EQ(client.last.headers.get("X-Prometheus-Refresh-Interval-Seconds"), "90.5");
  EXPECT_EQ(client.last.headers.get("Accept"), "application/json");
  EXPECT_EQ(client.last.timeout, std::chrono::milliseconds(90'500));
  client.answer->status = 500;
  EXPECT_FALSE(discovery->look({}));
  client.answer->status = 200;
  client.answer->headers.set("Content-Type", "text/plain");
  EXPECT_FALSE(discovery->look({}));
  client.answer = fail(ErrorKind::unavailable, "refused");
  EXPECT_FALSE(discovery->look({}));
}

// A DNS message with one question for `name.example` and the answers given.
class Answer {
 public:
  Answer() : bytes_("\x12\x34\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00", 12) {
    bytes_ += std::string(
        "\x01n\x07"
        "example\x00\x00\x01\x00\x01",
        15);
  }
  Answer& add(int type, std::string_view data) {
    ++bytes_[7];
    bytes_ += std::string("\xc0\x0c", 2);  // the question's name
    bytes_ += {'\0', static_cast<char>(type), '\0', '\1', '\0', '\0', '\0', '\x3c'};
    bytes_ += {'\0', static_cast<char>(data.size())};
    bytes_ += data;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

DnsDiscoveryConfig dns(std::string type) { return {{"n.example"}, std::move(type), 9100, std::chrono::seconds(30)}; }

TEST(DnsDiscovery, AddressesOfBothKinds) {
  Answer answer;
  answer
      .add(ns_t_cname, std::string("\x01"
                                   "c\xc0\x0e",
                                   4))
      .add(ns_t_a, std::string("\x0a\x00\x00\x01", 4));
  answer.add(ns_t_aaaa, std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16)).add(ns_t_a, "bad");
  auto a = parse_dns_answer(answer.bytes(), dns("A"), "n.example");
  ASSERT_TRUE(a);
  ASSERT_EQ(a->targets.size(), 1U);
  EXPECT_EQ(a->targets[0], (Labels{{"__address__", "10.0.0.1:9100"}, {"__meta_dns_name", "n.example"}}));
  EXPECT_EQ(addresses({*parse_dns_answer(answer.bytes(), dns("AAAA"), "n.example")}), Names{"[2001:db8::1]:9100"});
}

TEST(DnsDiscovery, NamesOfServices) {
  Answer answer;
  answer.add(ns_t_srv, std::string("\0\1\0\2\x23\x28\x03srv\xc0\x0e", 12))
      .add(ns_t_mx, std::string("\0\5\2mx\xc0\x0e", 7))
      .add(ns_t_ns, std::string("\2ns\xc0\x0e", 5));
  auto srv = parse_dns_answer(answer.bytes(), dns("SRV"), "n.example");
  ASSERT_EQ(srv->targets.size(), 1U);
  EXPECT_EQ(srv->targets[0], (Labels{{"__address__", "srv.example:9000"},
                                     {"__meta_dns_name", "n.example"},
                                     {"__meta_dns_srv_record_port", "9000"},
                                     {"__meta_dns_srv_record_target", "srv.example."}}));
  auto mx = parse_dns_answer(answer.bytes(), dns("MX"), "n.example");
  ASSERT_EQ(mx->targets.size(), 1U);
  EXPECT_EQ(mx->targets[0].get("__address__"), "mx.example:9100");
  EXPECT_EQ(mx->targets[0].get("__meta_dns_mx_record_target"), "mx.example.");
  EXPECT_EQ(parse_dns_answer(answer.bytes(), dns("NS"), "n.example")->targets.at(0).get("__meta_dns_ns_record_target"),
            "ns.example.");
}

TEST(DnsDiscovery, EveryTruncationIsHarmless) {
  Answer answer;
  answer.add(ns_t_srv, std::string("\0\1\0\2\x23\x28\x03srv\xc0\x0e", 12))
      .add(ns_t_mx, std::string("\0\5\2mx\xc0\x0e", 7));
  for (std::size_t size = 0; size < answer.bytes().size(); ++size) {
    auto group = parse_dns_answer(std::string_view(answer.bytes()).substr(0, size), dns("MX"), "n");
    EXPECT_TRUE(!group || group->targets.empty()) << size;
  }
}

}  // namespace
}  // namespace tocayo::agent
