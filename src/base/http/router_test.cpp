// SPDX-License-Identifier: Apache-2.0
#include "http/router.h"

#include <gtest/gtest.h>

#include "http/detail/route_table.h"
#include "http/detail/uri.h"

namespace tocayo::http {
namespace {

Task<Response> nothing(Request&) { co_return Response::empty(204); }

std::string find(const Router& router, std::string_view method, std::string_view path) {
  auto match = router.impl().match(method, detail::split_segments(path));
  if (match.route == nullptr) {
    std::string allowed = "-";
    for (auto m : match.allowed) allowed += " " + std::string(m);
    return allowed;
  }
  std::string found = match.route->pattern;
  for (const auto& [name, value] : match.params) found += " " + name + "=" + value;
  return found;
}

TEST(Router, LiteralsBeforeNamesBeforeRests) {
  Router router;
  router.add("GET", "/", nothing);
  router.add("GET", "/a/{x}/c", nothing);
  router.add("GET", "/a/b", nothing);
  router.add("GET", "/a/{x}", nothing);
  router.add("POST", "/a/b", nothing);
  router.add("GET", "/a/b/{rest...}", nothing);
  EXPECT_EQ(find(router, "GET", "/"), "/");
  EXPECT_EQ(find(router, "GET", "/a/b"), "/a/b");
  EXPECT_EQ(find(router, "GET", "/a/z"), "/a/{x} x=z");
  EXPECT_EQ(find(router, "GET", "/a/z/c"), "/a/{x}/c x=z");
  EXPECT_EQ(find(router, "GET", "/a/b/d/e"), "/a/b/{rest...} rest=d/e");
  EXPECT_EQ(find(router, "GET", "/a/b/"), "/a/b/{rest...} rest=");
  EXPECT_EQ(find(router, "GET", "/a/b/c"),
            "/a/b/{rest...} rest=c");  // the literal branch is taken while it leads anywhere
  EXPECT_EQ(find(router, "POST", "/a/b"), "/a/b");
  EXPECT_EQ(find(router, "HEAD", "/a/b"), "/a/b");
  EXPECT_EQ(find(router, "GET", "/nothing"), "-");
  EXPECT_EQ(find(router, "GET", "/a/z/"), "-");
  EXPECT_EQ(find(router, "DELETE", "/a/b"), "- GET POST");
}

TEST(Router, BacktracksWhenALiteralLacksTheMethod) {
  Router router;
  router.add("POST", "/a/b", nothing);
  router.add("GET", "/a/{x}", nothing);
  router.add("GET", "/{x}/b/c", nothing);
  EXPECT_EQ(find(router, "GET", "/a/b"), "/a/{x} x=b");
  EXPECT_EQ(find(router, "GET", "/a/b/c"), "/{x}/b/c x=a");
  EXPECT_EQ(find(router, "POST", "/a/b"), "/a/b");
}

TEST(Router, RestMayBeEmptyAndNamesMayNot) {
  Router router;
  router.add("GET", "/ui/{rest...}", nothing);
  router.add("GET", "/x/{name}", nothing);
  EXPECT_EQ(find(router, "GET", "/ui"), "/ui/{rest...} rest=");
  EXPECT_EQ(find(router, "GET", "/ui/"), "/ui/{rest...} rest=");
  EXPECT_EQ(find(router, "GET", "/x/"), "-");
}

TEST(Router, Aliases) {
  Router router;
  router.add("GET", "/api/v1/query", nothing);
  router.add("GET", "/api/v1/label/{name}/values", nothing);
  router.add("GET", "/api/v10/other", nothing);
  router.alias("/api/v1", "/prometheus/api/v1");
  EXPECT_EQ(find(router, "GET", "/prometheus/api/v1/query"), "/api/v1/query");
  EXPECT_EQ(find(router, "GET", "/prometheus/api/v1/label/x/values"), "/api/v1/label/{name}/values name=x");
  EXPECT_EQ(find(router, "GET", "/prometheus/api/v10/other"), "-");
  EXPECT_EQ(find(router, "GET", "/prometheus/api/v1"), "-");
}

TEST(RouterDeathTest, WiringMistakesEndTheProgram) {
  Router router;
  router.add("GET", "/a/{x}", nothing);
  EXPECT_DEATH(router.add("GET", "/a/{y}", nothing), "added twice");
  EXPECT_DEATH(router.add("GET", "a", nothing), "starts with");
  EXPECT_DEATH(router.add("GET", "/{x...}/b", nothing), "last segment");
}

TEST(Router, RefusalsOfTheLongestPrefix) {
  Router router;
  const auto say = [](int status) {
    return [status](const Request&, const Refusal&) { return Response::empty(status); };
  };
  router.set_refusals("/loki", say(1));
  router.set_refusals("/loki/api/v1", say(2));
  router.set_refusals("/x", say(3));
  const auto of = [&](std::string_view path) {
    const auto* shape = router.impl().refusal_of(path);
    return shape == nullptr ? 0 : (*shape)(Request(), Refusal()).status;
  };
  EXPECT_EQ(of("/loki"), 1);
  EXPECT_EQ(of("/loki/api"), 1);
  EXPECT_EQ(of("/loki/api/v1/push"), 2);
  EXPECT_EQ(of("/loki/api/v10"), 1);
  EXPECT_EQ(of("/lokix"), 0);
  EXPECT_EQ(of("/x/y"), 3);
  EXPECT_EQ(of(""), 0);
  router.set_refusals("", say(4));
  EXPECT_EQ(of("/lokix"), 4);
  EXPECT_EQ(of(""), 4);
  EXPECT_EQ(of("/x"), 3);
}

}  // namespace
}  // namespace tocayo::http
