// SPDX-License-Identifier: Apache-2.0
// What a router answers, for descriptions of the API and their tests.
#pragma once

#include <string>
#include <vector>

#include "http/router.h"

namespace tocayo::http {

struct ListedRoute {
  std::string method;   // upper case; "WEBSOCKET" for WebSocket endpoints
  std::string pattern;  // as added: "/api/v1/label/{name}/values"
  Access access;
};
// Every route, aliases included, sorted by pattern and method; without the fallback.
std::vector<ListedRoute> list_routes(const Router& router);

// "open" "read" "write" "admin" "instance_admin".
std::string_view to_string(Access access);

}  // namespace tocayo::http
