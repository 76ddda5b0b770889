// SPDX-License-Identifier: Apache-2.0
#include "main/api_description.h"

#include <boost/json.hpp>
#include <charconv>

#include "core/log.h"
#include "core/yaml.h"
#include "http/route_list.h"

namespace tocayo {
namespace json = boost::json;

extern const char kOpenapiYaml[];
extern const unsigned long kOpenapiYamlSize;

namespace {

// YAML's core schema: what is not quoted may be null, a boolean or a number.
json::value plain_scalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null") return nullptr;
  if (text == "true" || text == "false") return text == "true";
  std::int64_t whole = 0;
  const char* end = text.data() + text.size();
  if (auto [at, error] = std::from_chars(text.data(), end, whole); error == std::errc() && at == end) return whole;
  double real = 0;
  if (auto [at, error] = std::from_chars(text.data(), end, real); error == std::errc() && at == end) return real;
  return json::value(text);
}

json::value to_json(const YAML::Node& node) {
  if (node.IsMap()) {
    json::object out;
    for (const auto& entry : node) out[entry.first.Scalar()] = to_json(entry.second);
    return out;
  }
  if (node.IsSequence()) {
    json::array out;
    for (const auto& item : node) out.push_back(to_json(item));
    return out;
  }
  if (!node.IsScalar()) return nullptr;
  if (node.Tag() == "!") return json::value(node.Scalar());  // quoted
  return plain_scalar(node.Scalar());
}

json::value routes_json(const http::Router& router) {
  json::array out;
  for (const auto& route : http::list_routes(router)) {
    out.push_back(
        json::object{{"method", route.method}, {"path", route.pattern}, {"access", http::to_string(route.access)}});
  }
  return out;
}

}  // namespace

std::string_view openapi_yaml() { return {kOpenapiYaml, kOpenapiYamlSize}; }

const std::string& openapi_json() {
  static const std::string text = [] {
    auto document = yaml::parse(openapi_yaml(), "openapi.yaml");
    if (!document) {
      log::error("main", "the description of the API cannot be read", {{"error", document.error()}});
      return std::string("{}");
    }
    return json::serialize(to_json(*document));
  }();
  return text;
}

void add_description_routes(http::Router& router) {
  const http::RouteOptions open{.access = http::Access::open};
  router.add(
      "GET", "/api/openapi.json",
      [](http::Request&) -> Task<http::Response> { co_return http::Response::json(200, openapi_json()); }, open);
  router.add(
      "GET", "/api/openapi.yaml",
      [](http::Request&) -> Task<http::Response> {
        co_return http::Response::text(200, std::string(openapi_yaml()), "application/yaml");
      },
      open);
  router.add("GET", "/api/routes",
             [&router](http::Request&) -> Task<http::Response> {
               co_return http::Response::json(200, json::serialize(routes_json(router)));
             },
             {.access = http::Access::instance_admin});
}

}  // namespace tocayo
