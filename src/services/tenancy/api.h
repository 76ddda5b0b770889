// SPDX-License-Identifier: Apache-2.0
// Routes of this room: /api/ui/{login,logout,me,setup}, /tenancy/api/v1/*, /api/v1/user_limits, /runtime_config.
// Errors are {"code","message","params"}.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/router.h"
#include "tenancy/overrides.h"
#include "tenancy/service.h"

namespace tocayo::tenancy {

struct ApiOptions {
  std::string base_path;  // server.base_path: path of the session cookie
  bool external_https =
      false;  // server.external_url is https: the cookie is Secure although a proxy talks plainly to us
};

struct Route {
  std::string method;
  std::string pattern;
  http::Handler handler;
  http::RouteOptions options;
};
// Everything this room answers. `service` and `limits` must outlive the handlers.
std::vector<Route> routes(Service& service, LimitsService& limits, ApiOptions options);
// routes() into the router.
void add_routes(http::Router& router, Service& service, LimitsService& limits, ApiOptions options);

// What /api/ui/me answers and the page's boot data carries; role and tenant are the identity's. JSON.
Task<Result<std::string>> me_json(Service& service, http::Identity identity);

}  // namespace tocayo::tenancy
