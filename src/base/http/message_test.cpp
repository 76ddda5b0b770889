// SPDX-License-Identifier: Apache-2.0
#include "http/message.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "http/detail/address.h"
#include "http/detail/text.h"
#include "http/detail/uri.h"

namespace tocayo::http {
namespace {

TEST(Headers, CompareWithoutCaseAndKeepOrder) {
  Headers headers;
  headers.add("Set-Cookie", "a");
  headers.add("X", "1");
  headers.add("set-cookie", "b");
  EXPECT_EQ(headers.get("SET-COOKIE"), "a");
  headers.set("x", "2");
  headers.set("New", "3");
  EXPECT_EQ(headers.get("X"), "2");
  headers.set("Set-Cookie", "c");
  EXPECT_EQ(std::distance(headers.begin(), headers.end()), 3);
  headers.remove("SET-cookie");
  EXPECT_FALSE(headers.has("Set-Cookie"));
  EXPECT_EQ(headers.get("absent"), "");
}

TEST(Params, Decode) {
  auto params = Params::parse("a=1&b=x%20y+z&&a=2&flag&=v&bad=%zz%4&u=%C3%A9&e==");
  EXPECT_EQ(params.get("a"), "1");
  EXPECT_EQ(params.all("a"), (std::vector<std::string_view>{"1", "2"}));
  EXPECT_EQ(params.get("b"), "x y z");
  EXPECT_EQ(params.get("flag"), "");
  EXPECT_EQ(params.get(""), "v");
  EXPECT_EQ(params.get("bad"), "%zz%4");
  EXPECT_EQ(params.get("u"), "é");
  EXPECT_EQ(params.get("e"), "=");
  EXPECT_EQ(params.get("none"), std::nullopt);
  EXPECT_EQ(params.get_or("none", "else"), "else");
}

TEST(Target, Parse) {
  auto target = detail::parse_target("/a//b%2Fc/?x=1?y", "");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/a/b/c/");
  EXPECT_EQ(target->segments, (std::vector<std::string>{"a", "b/c", ""}));
  EXPECT_EQ(target->query, "x=1?y");
  EXPECT_EQ(detail::parse_target("http://host:1/p?q", "")->path, "/p");
  EXPECT_EQ(detail::parse_target("http://host?q", "")->query, "q");
  EXPECT_EQ(detail::parse_target("/", "")->segments.size(), 0U);
  EXPECT_TRUE(detail::parse_target("/base", "/base")->at_base);
  EXPECT_EQ(detail::parse_target("/base/x", "/base")->path, "/x");
  EXPECT_TRUE(detail::parse_target("/basex", "/base")->outside);
  EXPECT_TRUE(detail::parse_target("/...", ""));
  for (std::string_view bad :
       {"/..", "/a/./b", "/%2E%2e/a", "/a%", "/a%0", "/%00", "/a b", "/a#b", "relative", "", "/a\x7F"}) {
    EXPECT_FALSE(detail::parse_target(bad, "")) << bad;
  }
}

TEST(Errors, StatusAndJson) {
  EXPECT_EQ(status_of(ErrorKind::limit), 429);
  auto response = error_response({ErrorKind::unavailable, "dis\"k\n\xFF full\\"});
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.headers.get("Retry-After"), "5");
  EXPECT_EQ(response.body, "{\"code\":\"unavailable\",\"message\":\"dis\\\"k\\u000a\xEF\xBF\xBD full\\\\\"}");
}

TEST(Text, Lists) {
  EXPECT_TRUE(detail::has_token("keep-alive, Upgrade", "upgrade"));
  EXPECT_FALSE(detail::has_token("upgraded", "upgrade"));
  EXPECT_EQ(detail::media_type(" Text/HTML ; charset=x"), "text/html");
  EXPECT_TRUE(detail::valid_field("X-A", "a\tb"));
  EXPECT_FALSE(detail::valid_field("X A", "b"));
  EXPECT_FALSE(detail::valid_field("X", "a\nb"));
  EXPECT_EQ(detail::reason_phrase(404), "Not Found");
  EXPECT_EQ(detail::reason_phrase(299), "");
}

bool is_public(const char* text) {
  sockaddr_storage storage{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
  if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
    storage.ss_family = AF_INET;
  } else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
    storage.ss_family = AF_INET6;
  } else {
    ADD_FAILURE() << text;
  }
  return detail::is_public_address(reinterpret_cast<sockaddr&>(storage));
}

TEST(Address, OnlyPublicOnesPassTheGuard) {
  for (const char* open :
       {"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "192.167.1.1", "198.17.0.1",
        "198.20.0.0", "223.255.255.255", "2606:4700::1111", "2a00::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"}) {
    EXPECT_TRUE(is_public(open)) << open;
  }
  for (const char* closed : {"0.0.0.0",
                             "10.1.2.3",
                             "100.64.0.1",
                             "127.0.0.1",
                             "127.255.0.1",
                             "169.254.169.254",
                             "172.16.0.1",
                             "172.31.255.255",
                             "192.0.0.1",
                             "192.0.2.1",
                             "192.168.1.1",
                             "198.18.0.1",
                             "198.19.255.255",
                             "198.51.100.1",
                             "203.0.113.1",
                             "224.0.0.1",
                             "240.0.0.1",
                             "255.255.255.255",
                             "::",
                             "::1",
                             "fe80::1",
                             "fc00::1",
                             "fd00:ec2::254",
                             "ff02::1",
                             "2001:db8::1",
                             "2001::1",
                             "2002:7f00:1::",
                             "::ffff:127.0.0.1",
                             "::ffff:169.254.169.254",
                             "64:ff9b::10.0.0.1",
                             "3fff::1",
                             "::7f00:1",
                             "100::1"}) {
    EXPECT_FALSE(is_public(closed)) << closed;
  }
  sockaddr unix_socket{};
  unix_socket.sa_family = AF_UNIX;
  EXPECT_FALSE(detail::is_public_address(unix_socket));
}

}  // namespace
}  // namespace tocayo::http
