// SPDX-License-Identifier: Apache-2.0
// The small parts: encodings, headers, Host and Origin, throttling, passwords, tenant ids, instance key.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "core/text.h"
#include "db/testing.h"
#include "tenancy/authenticator.h"
#include "tenancy/credentials.h"
#include "tenancy/detail/crypto.h"
#include "tenancy/detail/service_impl.h"
#include "tenancy/origin.h"
#include "tenancy/tenant_id.h"
#include "tenancy/throttle.h"

namespace tocayo::tenancy {
namespace {

TEST(Crypto, KnownVectors) {
  EXPECT_EQ(to_hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  // RFC 4231 test case 2.
  EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  // RFC 4648 §10.
  EXPECT_EQ(base64url("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64url("fooba"), "Zm9vYmE");
  EXPECT_EQ(base64url("\xfb\xff"), "-_8");
  EXPECT_EQ(decode_base64("Zm9vYg=="), "foob");
  EXPECT_EQ(decode_base64("Zm9vYmFy"), "foobar");
  EXPECT_EQ(decode_base64(""), "");
  for (const char* bad : {"Zm9v=", "Zm9", "Z===", "Zm9v-_==", "====", "Zm 9v==="})
    EXPECT_EQ(decode_base64(bad), std::nullopt) << bad;
}

TEST(Crypto, SealedBoxOpensOnlyWithKeyAndContext) {
  std::string key(32, 'k'), other(32, 'o');
  std::string box = seal(key, "secret", "tenant\nname");
  EXPECT_EQ(*unseal(key, box, "tenant\nname"), "secret");
  EXPECT_NE(seal(key, "secret", "c"), seal(key, "secret", "c"));
  EXPECT_EQ(*unseal(key, seal(key, "", ""), ""), "");
  EXPECT_FALSE(unseal(other, box, "tenant\nname"));
  EXPECT_FALSE(unseal(key, box, "other\nname"));
  for (std::size_t i = 0; i < box.size(); ++i) {
    std::string changed = box;
    changed[i] ^= 1;
    EXPECT_FALSE(unseal(key, changed, "tenant\nname")) << i;
  }
  EXPECT_FALSE(unseal(key, "", ""));
  EXPECT_FALSE(unseal(key, box.substr(0, 27), "tenant\nname"));
}

TEST(Passwords, Argon2idWithItsOwnSalt) {
  PasswordCost cheap{64, 1};
  std::string hash = hash_password("correct horse", cheap);
  EXPECT_TRUE(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$")) << hash;
  EXPECT_NE(hash, hash_password("correct horse", cheap));
  EXPECT_TRUE(verify_password("correct horse", hash));
  EXPECT_FALSE(verify_password("correct horsf", hash));
  EXPECT_FALSE(verify_password("", hash));
  EXPECT_FALSE(verify_password("correct horse", ""));
  EXPECT_FALSE(verify_password("correct horse", "$argon2id$v=19$m=64,t=1,p=1$x$y"));
  PasswordCost cost;
  EXPECT_GE(cost.memory_kib, 19u * 1024);  // OWASP's minimum for two passes
  EXPECT_GE(cost.passes, 2u);
  EXPECT_TRUE(hash_password("x", cost).starts_with("$argon2id$v=19$m=32768,t=3,p=1$"));
}

TEST(TenantId, FollowsMimir) {
  for (std::string good : {std::string("a"), std::string("anonymous"), std::string("A!-_.*'()9"), std::string("..."),
                           std::string(150, 'x')}) {
    EXPECT_TRUE(check_tenant_id(good)) << good;
  }
  for (std::string bad : {std::string(""), std::string("."), std::string(".."), std::string("a/b"), std::string("a b"),
                          std::string("a|b"), std::string("ä"), std::string("a\0", 2), std::string("a\n"),
                          std::string(151, 'x'), std::string("a\"b"), std::string("a;b")}) {
    auto ok = check_tenant_id(bad);
    ASSERT_FALSE(ok) << bad;
    EXPECT_EQ(ok.error().kind, ErrorKind::bad_input);
  }
}

TEST(TenantId, SeveralAreSortedAndEachOnce) {
  using Ids = std::vector<std::string>;
  EXPECT_EQ(parse_tenant_ids("a").value(), Ids{"a"});
  EXPECT_EQ(parse_tenant_ids("b|a|b").value(), (Ids{"a", "b"}));
  EXPECT_EQ(parse_tenant_ids("a|a").value(), Ids{"a"});
  EXPECT_TRUE(parse_tenant_ids(std::string(150, 'x') + "|" + std::string(150, 'y'))) << "the length is of each";
  for (std::string bad : {std::string(""), std::string("|"), std::string("a|"), std::string("|a"), std::string("a||b"),
                          std::string("a|.."), std::string("a|b c"), "a|" + std::string(151, 'x')}) {
    auto ids = parse_tenant_ids(bad);
    ASSERT_FALSE(ids) << bad;
    EXPECT_EQ(ids.error().kind, ErrorKind::bad_input);
  }
}

TEST(Credentials, AuthorizationForms) {
  using Kind = Credentials::Kind;
  EXPECT_EQ(parse_authorization("")->kind, Kind::none);
  EXPECT_EQ(parse_authorization("Bearer tcy_abc")->secret, "tcy_abc");
  EXPECT_EQ(parse_authorization("bearer  tcy_abc ")->kind, Kind::token);
  EXPECT_EQ(parse_authorization("tcy_abc")->kind, Kind::token);
  auto basic = parse_authorization("Basic YW5hOmEgcGFzczp3b3Jk");  // ana:a pass:word
  ASSERT_TRUE(basic);
  EXPECT_EQ(basic->kind, Kind::password);
  EXPECT_EQ(basic->name, "ana");
  EXPECT_EQ(basic->secret, "a pass:word");
  auto token = parse_authorization("Basic dGVuYW50LWE6dGN5X3g=");  // tenant-a:tcy_x
  ASSERT_TRUE(token);
  EXPECT_EQ(token->kind, Kind::token);
  EXPECT_EQ(token->name, "tenant-a");
  EXPECT_TRUE(token->named);
  for (std::string bad :
       {std::string("Bearer"), std::string("Bearer abc"), std::string("Bearer tcy_a b"),
        std::string("Bearer tcy_a, Basic x"), std::string("Basic ???"), std::string("Basic Zm9v"),
        std::string("Digest x"), std::string("Basic YQA6Yg=="), std::string("Bearer tcy_") + std::string(5'000, 'x')}) {
    auto parsed = parse_authorization(bad);
    ASSERT_FALSE(parsed) << bad.substr(0, 40);
    EXPECT_EQ(parsed.error().kind, ErrorKind::unauthorized);
  }
}

TEST(Credentials, Cookies) {
  EXPECT_EQ(find_cookie("a=1; tocayo_session=xyz; b=2", kSessionCookie), "xyz");
  EXPECT_EQ(find_cookie("tocayo_session=\"q\"", kSessionCookie), "q");
  EXPECT_EQ(find_cookie("tocayo_session=a=b", kSessionCookie), "a=b");
  EXPECT_EQ(find_cookie("tocayo_session=first; tocayo_session=second", kSessionCookie), "first");
  EXPECT_EQ(find_cookie("xtocayo_session=no; tocayo_sessionx=no; tocayo_session", kSessionCookie), std::nullopt);
  EXPECT_EQ(find_cookie("", kSessionCookie), std::nullopt);
  EXPECT_EQ(session_cookie("v", {.path = "/t", .secure = true, .max_age_seconds = 60}),
            "tocayo_session=v; Path=/t; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
  EXPECT_EQ(session_cookie("", {}), "tocayo_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
}

http::Request request(std::string method, std::initializer_list<std::pair<const char*, const char*>> headers) {
  http::Request out;
  out.method = std::move(method);
  for (auto& [name, value] : headers) out.headers.add(name, value);
  return out;
}

TEST(Origin, HostNamesThatAreUs) {
  auto policy = OriginPolicy::create(
      {.listen = "127.0.0.1:4600", .external_url = "https://obs.example.org/tocayo", .machine_name = "web1"});
  ASSERT_TRUE(policy);
  auto host = [&](const char* name, bool login) {
    return policy->check_host(request("GET", {{"Host", name}}), login).has_value();
  };
  for (const char* ours : {"127.0.0.1:4600", "localhost:4600", "LOCALHOST", "localhost.:4600", "[::1]:4600",
                           "127.0.0.2", "localhost:8080", "obs.example.org", "OBS.example.org:443"}) {
    EXPECT_TRUE(host(ours, false)) << ours;
  }
  for (const char* foreign :
       {"", "evil.example", "evil.example:4600", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.5:4600",
        "web1", "localhost:4600:1", "localhost:99999", "127.0.0.1@evil", "[::1", "[evil]", "local host",
        "localhost/evil", "127.1", "0.0.0.0", "localhost\tx"}) {
    EXPECT_FALSE(host(foreign, false)) << foreign;
  }
  EXPECT_TRUE(host("10.0.0.5:4600", true));
  EXPECT_TRUE(host("[fe80::1]:4600", true));
  EXPECT_TRUE(host("web1:4600", true));
  EXPECT_FALSE(host("evil.example", true));
  EXPECT_FALSE(OriginPolicy::create({.listen = "nonsense:port"}));
  EXPECT_FALSE(OriginPolicy::create({.external_url = "ftp://x"}));
}

TEST(Origin, PagesThatAreOurs) {
  auto policy = OriginPolicy::create(
      {.external_url = "https://obs.example.org", .cors_origins = {"https://grafana.example.org"}});
  ASSERT_TRUE(policy);
  auto origin = [&](const char* value, const char* host = "localhost:4600") {
    return policy->check_origin(request("POST", {{"Host", host}, {"Origin", value}})).has_value();
  };
  EXPECT_TRUE(origin("http://localhost:4600"));
  EXPECT_TRUE(origin("https://localhost:4600"));
  EXPECT_TRUE(origin("https://obs.example.org"));
  EXPECT_TRUE(origin("https://obs.example.org:443"));
  EXPECT_TRUE(origin("https://grafana.example.org"));
  EXPECT_TRUE(origin("http://10.0.0.1", "10.0.0.1"));
  for (const char* foreign :
       {"http://localhost:3000", "http://localhost", "http://evil.example", "null", "file://", "http://obs.example.org",
        "https://grafana.example.org.evil", "https://obs.example.org@evil.example",
        "http://localhost:4600.evil.example", "chrome-extension://abc", "http://127.0.0.1:4600", "garbage"}) {
    EXPECT_FALSE(origin(foreign)) << foreign;
  }
}

TEST(Origin, RequestsWithoutOrigin) {
  auto policy = OriginPolicy::create({});
  auto ok = [&](std::string method, std::initializer_list<std::pair<const char*, const char*>> headers) {
    return policy->check_origin(request(std::move(method), headers)).has_value();
  };
  EXPECT_TRUE(ok("POST", {{"Host", "localhost:4600"}}));  // curl, Prometheus
  EXPECT_TRUE(ok("GET", {{"Sec-Fetch-Site", "same-origin"}}));
  EXPECT_TRUE(ok("GET", {{"Sec-Fetch-Site", "none"}}));
  EXPECT_TRUE(ok("GET", {{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "navigate"}}));    // a link
  EXPECT_FALSE(ok("GET", {{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "no-cors"}}));    // an image
  EXPECT_FALSE(ok("GET", {{"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Mode", "cors"}}));        // another port
  EXPECT_FALSE(ok("POST", {{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "navigate"}}));  // a form
  EXPECT_FALSE(ok("POST", {{"Host", "localhost:4600"}, {"Referer", "http://evil.example/x"}}));
  EXPECT_TRUE(ok("POST", {{"Host", "localhost:4600"}, {"Referer", "http://localhost:4600/admin?x=http://evil"}}));
}

TEST(Throttle, WaitsGrowPerAccountAndAddress) {
  db::testing::ManualClock clock;
  LoginThrottle throttle(clock);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(throttle.attempt("ana", "10.0.0.1:1").count(), 0) << i;
  EXPECT_EQ(throttle.attempt("ana", "10.0.0.1:2").count(), 2'000);  // the port does not matter
  EXPECT_EQ(throttle.attempt("ANA", "10.0.0.1:2").count(), 2'000);  // nor the case
  EXPECT_EQ(throttle.attempt("ana", "10.0.0.2:1").count(), 0);      // the owner elsewhere is not locked out
  EXPECT_EQ(throttle.attempt("bob", "10.0.0.1:1").count(), 0);
  clock.advance(2'000);
  EXPECT_EQ(throttle.attempt("ana", "10.0.0.1:1").count(), 0);
  EXPECT_EQ(throttle.attempt("ana", "10.0.0.1:1").count(), 4'000);
  clock.advance(4'000);
  EXPECT_EQ(throttle.attempt("ana", "10.0.0.1:1").count(), 0);
  throttle.success("ana", "10.0.0.1:9");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(throttle.attempt("ana", "10.0.0.1:1").count(), 0) << i;
}

TEST(Throttle, OneAddressCannotTryManyAccounts) {
  db::testing::ManualClock clock;
  LoginThrottle throttle(clock);
  int allowed = 0;
  for (int i = 0; i < 500; ++i) {
    if (throttle.attempt("user" + std::to_string(i), "[2001:db8::" + std::to_string(i % 9) + "]:5").count() == 0)
      ++allowed;
    // One account of one's own does not buy attempts on others.
    if (i % 10 == 0 && throttle.attempt("mine", "[2001:db8::1]:5").count() == 0)
      throttle.success("mine", "[2001:db8::1]:5");
  }
  EXPECT_EQ(allowed, 30);
  EXPECT_EQ(throttle.attempt("x", "[2001:db8:0:1::1]:5").count(), 0);  // another /64
}

TEST(Throttle, MemoryIsBounded) {
  db::testing::ManualClock clock;
  LoginThrottle throttle(clock, {.max_entries = 100});
  for (int i = 0; i < 10'000; ++i)
    throttle.attempt("u" + std::to_string(i), "10." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ".1:1");
  EXPECT_EQ(throttle.attempt("v", "192.0.2.1:1").count(), 0);
}

TEST(AuthMode, OffIsRefusedWhereOthersReach) {
  auto required = [](AuthMode mode, std::string_view listen, bool accept = false) {
    return resolve_login_required(mode, listen, accept);
  };
  EXPECT_FALSE(*required(AuthMode::automatic, "127.0.0.1:4600"));
  EXPECT_FALSE(*required(AuthMode::automatic, "localhost:4600"));
  EXPECT_FALSE(*required(AuthMode::automatic, "[::1]:4600"));
  for (const char* open : {"0.0.0.0:4600", "[::]:4600", ":4600", "10.0.0.1:4600", "obs.example.org:80"}) {
    EXPECT_TRUE(*required(AuthMode::automatic, open)) << open;
    EXPECT_FALSE(required(AuthMode::off, open)) << open;
    EXPECT_FALSE(*required(AuthMode::off, open, true)) << open;
  }
  EXPECT_FALSE(*required(AuthMode::off, "127.0.0.1:4600"));
  EXPECT_TRUE(*required(AuthMode::required, "127.0.0.1:4600"));
  EXPECT_FALSE(parse_auth_mode("maybe"));
}

TEST(Areas, PathsBelongToScopes) {
  for (auto [path, area] : std::vector<std::pair<const char*, const char*>>{{"/api/v1/query", "metrics"},
                                                                            {"/api/v1/push", "metrics"},
                                                                            {"/prometheus/api/v1/query", "metrics"},
                                                                            {"/api/v1/rules", "rules"},
                                                                            {"/api/v1/rulesx", "metrics"},
                                                                            {"/loki/api/v1/push", "logs"},
                                                                            {"/lokix", ""},
                                                                            {"/otlp/v1/logs", "logs"},
                                                                            {"/otlp/v1/metrics", "metrics"},
                                                                            {"/events/api/v1/events", "events"},
                                                                            {"/tenancy/api/v1/users", ""},
                                                                            {"/", ""},
                                                                            {"/as/prometheus/api/v1/query", "metrics"},
                                                                            {"/as/loki", "logs"},
                                                                            {"/as/elasticsearch/_bulk", "logs"},
                                                                            {"/_bulk", "logs"},
                                                                            {"/app/_bulk", "logs"},
                                                                            {"/a/b/_bulk", ""},
                                                                            {"/upload", "logs"},
                                                                            {"/as/", ""}}) {
    EXPECT_EQ(area_of_path(path), area) << path;
  }
  EXPECT_TRUE(check_scope("metrics:write"));
  EXPECT_TRUE(check_scope("admin"));
  for (const char* bad : {"", "metrics", "metrics:", ":read", "metrics:admin", "everything:read", "read "})
    EXPECT_FALSE(check_scope(bad)) << bad;
}

TEST(InstanceKey, IsPrivateAndStable) {
  db::testing::TemporaryDirectory directory;
  auto file = directory.path() / "state/instance.key";
  auto key = load_instance_key(file);
  ASSERT_TRUE(key) << key.error().message;
  EXPECT_EQ(key->size(), 32u);
  EXPECT_EQ(*load_instance_key(file), *key);
  struct stat info;
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ::chmod(file.c_str(), 0644);
  auto loose = load_instance_key(file);
  ASSERT_FALSE(loose);
  EXPECT_NE(loose.error().message.find("chmod 600"), std::string::npos);
  ::chmod(file.c_str(), 0600);
  std::ofstream(file) << "tocayo-instance-key-v1 00";
  EXPECT_EQ(load_instance_key(file).error().kind, ErrorKind::internal);  // never silently replaced
}

}  // namespace
}  // namespace tocayo::tenancy
