// SPDX-License-Identifier: Apache-2.0
#include "tenancy/model.h"

#include <algorithm>
#include <array>

namespace tocayo::tenancy {

std::string_view to_string(Role role) {
  switch (role) {
    case Role::none: return "none";
    case Role::viewer: return "viewer";
    case Role::editor: return "editor";
    case Role::admin: return "admin";
  }
  return "none";
}

Result<Role> parse_role(std::string_view text) {
  for (Role role : {Role::viewer, Role::editor, Role::admin}) {
    if (text == to_string(role)) return role;
  }
  return fail(ErrorKind::bad_input, "a role is viewer, editor or admin");
}

Actor actor_of(const http::Request& request) {
  return {request.identity.login, request.identity.user_id, request.identity.tenant, request.identity.instance_admin,
          request.remote_address};
}

Result<> check_scope(std::string_view scope) {
  static constexpr std::array<std::string_view, 4> kWhole = {"read", "write", "admin", "instance:admin"};
  static constexpr std::array<std::string_view, 6> kAreas = {"metrics",    "logs",   "rules",
                                                             "dashboards", "events", "fleet"};
  if (std::find(kWhole.begin(), kWhole.end(), scope) != kWhole.end()) return {};
  std::size_t colon = scope.find(':');
  if (colon != std::string_view::npos && (scope.substr(colon) == ":read" || scope.substr(colon) == ":write") &&
      std::find(kAreas.begin(), kAreas.end(), scope.substr(0, colon)) != kAreas.end()) {
    return {};
  }
  return fail(ErrorKind::bad_input,
              "unknown scope '" + std::string(scope.substr(0, 60)) +
                  "'; scopes are metrics:read, metrics:write (also logs, rules, dashboards, events, fleet), read, "
                  "write, admin, instance:admin");
}

}  // namespace tocayo::tenancy
