// SPDX-License-Identifier: Apache-2.0
// auth.mode and the authenticator that http only declares (http/server.h).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "http/server.h"
#include "tenancy/origin.h"
#include "tenancy/service.h"

namespace tocayo::tenancy {

enum class AuthMode : unsigned char { automatic, off, required };
Result<AuthMode> parse_auth_mode(std::string_view text);  // auto, off, required

// Whether people must sign in. auto: not on a loopback address, else yes. off on any other address is refused
// (bad_input), unless `accept_open_network` says in words that everybody who can reach the port may read and change
// everything.
Result<bool> resolve_login_required(AuthMode mode, std::string_view listen, bool accept_open_network);

struct AuthenticatorOptions {
  OriginPolicy::Options origin;  // listen, external_url, CORS origins, machine name
};

// For every request, in this order:
//   1. Host and Origin (origin.h). Programs (no Origin, no Sec-Fetch-Site) that send a token or password with login on
//   may use any
//      Host: agents reach the server under names that it does not know, and rebinding needs a browser.
//   2. Who: Authorization (token, Basic) or the session cookie; with login off, the local operator (`anonymous`, admin
//   of all).
//      An `open` route is served to anybody; a credential that does not fit is ignored there.
//   3. Writes of browsers (a cookie was the credential, or Origin is present) need the header X-Tocayo-Csrf, unless the
//   route is
//      csrf_exempt or the origin is configured for CORS. A WebSocket that a cookie opens needs an Origin.
//   4. Tenant: X-Scope-OrgID. Login off: believed when well-formed. Login on: it must exist and the identity must have
//   a role in it
//      (a token only in its own; an instance admin in all). Absent: the token's, else "anonymous" if the user is in it,
//      else the user's first. Several (`a|b`) only on routes that say so (RouteOptions::several_tenants); all of the
//      above holds for each of them. WebSockets may name it in the parameter `tenant`: pages cannot give them headers.
//   5. What: the route's Access against the role, or the token's scopes (area_of_path says which area a path belongs
//   to).
// Errors: unauthorized, forbidden, limit, bad_input (tenant id), unavailable.
Result<std::unique_ptr<http::Authenticator>> make_authenticator(Service& service, AuthenticatorOptions options);

// "metrics", "logs", "rules", "dashboards", "events", "fleet" or "" (no scope of an area covers it, only
// read/write/admin).
std::string_view area_of_path(std::string_view path);

inline constexpr std::string_view kCsrfHeader = "X-Tocayo-Csrf";

}  // namespace tocayo::tenancy
