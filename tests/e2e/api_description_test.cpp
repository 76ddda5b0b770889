// SPDX-License-Identifier: Apache-2.0
// docs/api/openapi.yaml says what the program serves: nothing more, nothing less.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <set>
#include <sstream>

#include "tests/support/server_process.h"

namespace tocayo::testing {
namespace {

namespace json = boost::json;

// "GET /api/v1/query read"; a parameter of a path by its bare name, WebSockets as GET.
std::string entry(std::string method, std::string path, std::string_view access) {
  for (char& c : method) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (method == "WEBSOCKET") method = "GET";
  if (auto dots = path.find("...}"); dots != std::string::npos) path.erase(dots, 3);
  return method + " " + path + " " + std::string(access);
}

std::set<std::string> described(const json::value& document) {
  std::set<std::string> out;
  for (const auto& [path, item] : document.at("paths").as_object()) {
    std::vector<std::string> prefixes;
    if (const auto* servers = item.as_object().if_contains("servers")) {
      for (const auto& server : servers->as_array()) {
        std::string url(server.at("url").as_string());
        prefixes.push_back(url == "/" ? "" : url);
      }
    } else {
      prefixes.emplace_back();
    }
    for (const auto& [method, operation] : item.as_object()) {
      if (method == "servers") continue;
      for (const std::string& prefix : prefixes)
        out.insert(entry(method, prefix + std::string(path), operation.at("x-access").as_string()));
    }
  }
  return out;
}

// Every "$ref" below `value` that leads nowhere.
void find_broken_references(const json::value& value, const json::value& root, std::set<std::string>& broken) {
  if (const auto* list = value.if_array()) {
    for (const auto& item : *list) find_broken_references(item, root, broken);
  }
  const auto* object = value.if_object();
  if (object == nullptr) return;
  for (const auto& [key, item] : *object) {
    if (key == "$ref") {
      boost::system::error_code failed;
      const std::string target(item.as_string());
      if (!target.starts_with("#/") || root.find_pointer(target.substr(1), failed) == nullptr) broken.insert(target);
    }
    find_broken_references(item, root, broken);
  }
}

TEST(ApiDescription, MatchesTheRoutes) {
  Server server;
  ASSERT_TRUE(server.start());
  const auto reply = http_get(server.url("/api/openapi.json"));
  ASSERT_EQ(reply.status, 200);
  EXPECT_TRUE(reply.headers.at("content-type").starts_with("application/json"));
  const json::value document = json::parse(reply.body);
  EXPECT_EQ(document.at("openapi").as_string(), "3.1.0");
  std::set<std::string> broken;
  find_broken_references(document, document, broken);
  EXPECT_EQ(broken, std::set<std::string>{});

  const auto routes = json::parse(http_get(server.url("/api/routes")).body);
  std::set<std::string> served;
  for (const auto& route : routes.as_array()) {
    served.insert(entry(std::string(route.at("method").as_string()), std::string(route.at("path").as_string()),
                        route.at("access").as_string()));
  }
  EXPECT_GT(served.size(), 100u);
  const std::set<std::string> told = described(document);
  for (const auto& one : served) EXPECT_TRUE(told.contains(one)) << "served but not in docs/api/openapi.yaml: " << one;
  for (const auto& one : told) EXPECT_TRUE(served.contains(one)) << "in docs/api/openapi.yaml but not served: " << one;
}

TEST(ApiDescription, ServedAsWritten) {
  std::ifstream file(std::string(TOCAYO_SOURCE_DIR) + "/docs/api/openapi.yaml");
  std::stringstream text;
  text << file.rdbuf();
  ASSERT_GT(text.str().size(), 1000u);
  Server server;
  ASSERT_TRUE(server.start());
  EXPECT_EQ(http_get(server.url("/api/openapi.yaml")).body, text.str());
}

// An answer must have what its schema requires, and nothing that the schema does not name.
void check(const json::value& value, const json::value& schema, const json::value& root, const std::string& where,
           std::vector<std::string>& problems) {
  const auto& object = schema.as_object();
  if (const auto* reference = object.if_contains("$ref")) {
    boost::system::error_code failed;
    const auto* target = root.find_pointer(std::string(reference->as_string()).substr(1), failed);
    if (target == nullptr) return problems.push_back(where + ": broken reference");
    return check(value, *target, root, where, problems);
  }
  if (const auto* choices = object.if_contains("enum")) {
    const auto& list = choices->as_array();
    if (std::find(list.begin(), list.end(), value) == list.end())
      problems.push_back(where + ": " + json::serialize(value) + " is no choice");
  }
  if (const auto* type = object.if_contains("type")) {
    const auto is = [&](const json::value& name) {
      if (name == "object") return value.is_object();
      if (name == "array") return value.is_array();
      if (name == "string") return value.is_string();
      if (name == "boolean") return value.is_bool();
      if (name == "integer") return value.is_int64() || value.is_uint64();
      if (name == "number") return value.is_number();
      return value.is_null();
    };
    const bool ok = type->is_array() ? std::any_of(type->as_array().begin(), type->as_array().end(), is) : is(*type);
    if (!ok) return problems.push_back(where + ": " + json::serialize(value) + " is not " + json::serialize(*type));
  }
  if (const auto* items = object.if_contains("items"); items && value.is_array()) {
    for (const auto& item : value.as_array()) check(item, *items, root, where + "[]", problems);
  }
  if (!value.is_object()) return;
  if (const auto* required = object.if_contains("required")) {
    for (const auto& name : required->as_array()) {
      if (!value.as_object().contains(name.as_string()))
        problems.push_back(where + ": lacks " + std::string(name.as_string()));
    }
  }
  const auto* properties = object.if_contains("properties");
  const auto* more = object.if_contains("additionalProperties");
  for (const auto& [name, item] : value.as_object()) {
    const auto* known = properties ? properties->as_object().if_contains(name) : nullptr;
    if (known) {
      check(item, *known, root, where + "." + std::string(name), problems);
    } else if (more && more->is_object()) {
      check(item, *more, root, where + "." + std::string(name), problems);
    } else if (!more) {
      problems.push_back(where + ": has " + std::string(name) + ", which the schema does not name");
    }
  }
}

// Our own areas, whose schemas the page's types are made from.
TEST(ApiDescription, AnswersFollowTheirSchemas) {
  Server server;
  ASSERT_TRUE(server.start());
  const json::value document = json::parse(http_get(server.url("/api/openapi.json")).body);
  const HttpHeaders write{{"Content-Type", "application/json"}, {"X-Tocayo-Csrf", "1"}};
  const auto follows = [&](const std::string& method, const std::string& path, const std::string& pattern,
                           const std::string& body, const std::string& status) {
    auto reply = http_request(method, server.url(path), body, write);
    ASSERT_EQ(std::to_string(reply.status), status) << method << " " << path << ": " << reply.body;
    std::string lower = method;
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const auto& answer =
        document.at("paths").at(pattern).at(lower).at("responses").at(status).at("content").at("application/json");
    std::vector<std::string> problems;
    check(json::parse(reply.body), answer.at("schema"), document, method + " " + path, problems);
    EXPECT_EQ(problems, std::vector<std::string>{}) << reply.body;
  };
  const std::string admin = "/tenancy/api/v1/";
  follows("POST", admin + "tenants", admin + "tenants", R"({"name":"team-a","displayName":"A"})", "201");
  follows("GET", admin + "tenants", admin + "tenants", "", "200");
  follows("POST", admin + "users", admin + "users",
          R"({"login":"ann","name":"Ann","password":"correct horse battery","roles":{"team-a":"editor"}})", "201");
  follows("GET", admin + "users", admin + "users", "", "200");
  follows("PATCH", admin + "users/1", admin + "users/{id}", R"({"name":"Anna"})", "200");
  follows("GET", admin + "teams", admin + "teams", "", "200");
  follows("POST", admin + "teams", admin + "teams", R"({"name":"ops","members":[1]})", "201");
  follows("PATCH", admin + "teams/1", admin + "teams/{id}", R"({"name":"ops2"})", "200");
  follows("GET", admin + "tokens", admin + "tokens", "", "200");
  follows("GET", admin + "audit", admin + "audit", "", "200");
  follows("GET", "/api/ui/me", "/api/ui/me", "", "200");
  follows("PUT", "/api/ui/me", "/api/ui/me", R"({"theme":"dark","hour12":null})", "200");
  follows("GET", "/api/ui/home", "/api/ui/home", "", "200");
  follows("GET", "/api/ui/search?q=a", "/api/ui/search", "", "200");
  follows("POST", "/api/short-urls", "/api/short-urls", R"({"path":"explore?x=1"})", "200");
  follows("GET", "/api/v1/user_limits", "/api/v1/user_limits", "", "200");
  follows("POST", "/events/api/v1/events", "/events/api/v1/events", R"({"title":"t","key":"k"})", "201");
  follows("POST", "/events/api/v1/events", "/events/api/v1/events", R"({"title":"t","key":"k"})", "200");
  follows("GET", "/events/api/v1/events", "/events/api/v1/events", "", "200");
  follows("GET", "/api/routes", "/api/routes", "", "200");
}

}  // namespace
}  // namespace tocayo::testing
