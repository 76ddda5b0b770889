// SPDX-License-Identifier: Apache-2.0
#include "http/route_list.h"

#include <algorithm>
#include <tuple>

#include "http/detail/route_table.h"

namespace tocayo::http {

std::vector<ListedRoute> list_routes(const Router& router) {
  std::vector<ListedRoute> list;
  for (const auto& [pattern, route] : router.impl().patterns)
    list.push_back({route->method, pattern, route->options.access});
  std::sort(list.begin(), list.end(), [](const ListedRoute& a, const ListedRoute& b) {
    return std::tie(a.pattern, a.method) < std::tie(b.pattern, b.method);
  });
  return list;
}

std::string_view to_string(Access access) {
  switch (access) {
    case Access::open: return "open";
    case Access::read: return "read";
    case Access::write: return "write";
    case Access::admin: return "admin";
    case Access::instance_admin: return "instance_admin";
  }
  return "";
}

}  // namespace tocayo::http
