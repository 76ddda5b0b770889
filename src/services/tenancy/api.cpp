// SPDX-License-Identifier: Apache-2.0
#include "tenancy/api.h"

#include "tenancy/detail/api_parts.h"

namespace tocayo::tenancy {

std::vector<Route> routes(Service& service, LimitsService& limits, ApiOptions options) {
  std::vector<Route> out;
  append_ui_routes(out, service, std::move(options));
  append_admin_routes(out, service);
  append_limit_routes(out, limits);
  return out;
}

void add_routes(http::Router& router, Service& service, LimitsService& limits, ApiOptions options) {
  for (Route& route : routes(service, limits, std::move(options))) {
    router.add(route.method, route.pattern, std::move(route.handler), std::move(route.options));
  }
}

void append_limit_routes(std::vector<Route>& out, LimitsService& limits) {
  out.push_back({"GET",
                 "/api/v1/user_limits",
                 [&limits](http::Request& request) -> Task<http::Response> {
                   co_return http::Response::json(200, limits.user_limits(request.identity.tenant));
                 },
                 {.access = http::Access::read}});
  out.push_back({"GET",
                 "/runtime_config",
                 [&limits](http::Request& request) -> Task<http::Response> {
                   bool differences = request.query.get_or("mode", "") == "diff";
                   co_return http::Response::text(200, limits.runtime_config(differences), "text/plain; charset=utf-8");
                 },
                 {.access = http::Access::instance_admin}});
}

}  // namespace tocayo::tenancy
