// SPDX-License-Identifier: Apache-2.0
// For tests: the routes behind the authenticator, without sockets.
#pragma once

#include <algorithm>
#include <boost/json.hpp>
#include <memory>
#include <string>
#include <vector>

#include "core/text.h"
#include "db/testing.h"
#include "tenancy/api.h"
#include "tenancy/authenticator.h"

namespace tocayo::tenancy::testing {

struct Answer {
  int status = 0;
  std::string body;
  std::string cookie;  // the session the answer set, "" when none
  http::Headers headers;
  boost::json::value json() const { return body.empty() ? boost::json::value() : boost::json::parse(body); }
};

struct Call {
  std::string method = "GET";
  std::string path;  // with ?query
  std::string body;
  std::string cookie;  // session
  std::string authorization;
  std::string tenant;
  std::string origin;
  std::string host = "127.0.0.1:4600";
  bool csrf = true;  // sends X-Tocayo-Csrf
  std::string address = "127.0.0.1:50000";
  bool websocket = false;
  bool tls = false;
};

class TestServer {
 public:
  explicit TestServer(bool login_required, std::string external_url = "", std::vector<std::string> cors = {}) {
    ServiceOptions options;
    options.login_required = login_required;
    options.key_file = directory.path() / "instance.key";
    options.password_cost = {64, 1};
    options.clock = &clock;
    service = std::move(*Service::open(*database, options));
    limits = std::move(*LimitsService::open({.login_required = login_required}));
    table = routes(*service, *limits, {.base_path = "", .external_https = external_url.starts_with("https://")});
    authenticator = std::move(
        *make_authenticator(*service, {.origin = {.external_url = external_url, .cors_origins = std::move(cors)}}));
  }

  // A route of another room, for what only access control decides: answers "<tenant>|<login>|<role>".
  void add_probe(std::string method, std::string path, http::RouteOptions options) {
    table.push_back({std::move(method), std::move(path),
                     [](http::Request& request) -> Task<http::Response> {
                       co_return http::Response::text(200, request.identity.tenant + "|" + request.identity.login +
                                                               "|" + std::string(to_string(request.identity.role)));
                     },
                     std::move(options)});
  }

  Answer send(const Call& call) {
    http::Request request;
    request.method = call.method;
    request.target = call.path;
    request.path = call.path.substr(0, call.path.find('?'));
    if (auto at = call.path.find('?'); at != std::string::npos)
      request.query = http::Params::parse(call.path.substr(at + 1));
    request.body = call.body;
    request.remote_address = call.address;
    request.tls = call.tls;
    if (!call.host.empty()) request.headers.add("Host", call.host);
    if (!call.cookie.empty()) request.headers.add("Cookie", "theme=dark; tocayo_session=" + call.cookie);
    if (!call.authorization.empty()) request.headers.add("Authorization", call.authorization);
    if (!call.tenant.empty()) request.headers.add("X-Scope-OrgID", call.tenant);
    if (!call.origin.empty()) request.headers.add("Origin", call.origin);
    if (call.csrf) request.headers.add("X-Tocayo-Csrf", "1");
    if (call.websocket) request.headers.add("Upgrade", "websocket");
    for (Route& route : table) {
      if (route.method != call.method || !match(route.pattern, request)) continue;
      auto admitted = sync_wait(authenticator->authenticate(request, route.options));
      if (!admitted) return {http::status_of(admitted.error().kind), admitted.error().message, "", {}};
      auto response = sync_wait(route.handler(request));
      Answer answer{response.status, response.body, "", response.headers};
      std::string_view set = response.headers.get("Set-Cookie");
      if (set.starts_with("tocayo_session=")) answer.cookie = std::string(set.substr(15, set.find(';') - 15));
      return answer;
    }
    return {404, "no route", "", {}};
  }

  // The first admin, "root" with this password; returns its session.
  std::string make_admin() {
    auto token = service->take_setup_token();
    auto answer = send({.method = "POST",
                        .path = "/api/ui/setup",
                        .body = R"({"token":")" + token.value_or("") +
                                R"(","login":"root","name":"Root","password":"root password"})"});
    return answer.cookie;
  }
  std::string log_in(const std::string& login, const std::string& password) {
    return send({.method = "POST",
                 .path = "/api/ui/login",
                 .body = R"({"login":")" + login + R"(","password":")" + password + "\"}"})
        .cookie;
  }
  // Returns the token's secret.
  std::string make_token(const std::string& cookie, const std::string& body) {
    auto answer = send({.method = "POST", .path = "/tenancy/api/v1/tokens", .body = body, .cookie = cookie});
    return answer.status == 201 ? std::string(answer.json().at("token").as_string()) : answer.body;
  }

  db::testing::TemporaryDirectory directory;
  db::testing::ManualClock clock;
  std::unique_ptr<db::Database> database = db::testing::open_database(directory.path() / "db");
  std::unique_ptr<Service> service;
  std::unique_ptr<LimitsService> limits;
  std::vector<Route> table;
  std::unique_ptr<http::Authenticator> authenticator;

 private:
  static bool match(const std::string& pattern, http::Request& request) {
    auto want = split(pattern, '/'), have = split(request.path, '/');
    if (want.size() != have.size()) return false;
    std::vector<std::pair<std::string, std::string>> params;
    for (std::size_t i = 0; i < want.size(); ++i) {
      if (want[i].starts_with('{'))
        params.emplace_back(want[i].substr(1, want[i].size() - 2), have[i]);
      else if (want[i] != have[i])
        return false;
    }
    request.path_params = std::move(params);
    return true;
  }
};

}  // namespace tocayo::tenancy::testing
