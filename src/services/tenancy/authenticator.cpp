// SPDX-License-Identifier: Apache-2.0
#include "tenancy/authenticator.h"

#include <algorithm>
#include <array>

#include "core/text.h"
#include "tenancy/credentials.h"
#include "tenancy/tenant_id.h"

namespace tocayo::tenancy {

namespace {

using http::Access;
using http::Identity;
using http::Request;

Role role_in(const User& user, const std::string& tenant) {
  if (user.instance_admin) return Role::admin;
  auto found = user.roles.find(tenant);
  return found == user.roles.end() ? Role::none : found->second;
}

std::string default_tenant(const User& user) {
  if (user.instance_admin || user.roles.contains(std::string(kDefaultTenant))) return std::string(kDefaultTenant);
  return user.roles.empty() ? "" : user.roles.begin()->first;
}

// The least of the user's roles in the tenants.
Role role_in_all(const User& user, const std::vector<std::string>& tenants) {
  Role least = Role::admin;
  for (const auto& tenant : tenants) least = std::min(least, role_in(user, tenant));
  return tenants.empty() ? Role::none : least;
}

// The first of them in which the user has no role.
std::string denied(const User& user, const std::vector<std::string>& tenants) {
  for (const auto& tenant : tenants) {
    if (role_in(user, tenant) == Role::none) return tenant;
  }
  return default_tenant(user);
}

std::string join(const std::vector<std::string>& tenants) {
  std::string all;
  for (const auto& tenant : tenants) all += (all.empty() ? "" : "|") + tenant;
  return all;
}

// The tenants that the request names; none without a header. A page cannot give a WebSocket one: there its address may
// say it.
Result<std::vector<std::string>> asked_tenants(const Request& request, const http::RouteOptions& options) {
  const std::string_view header = request.headers.get(kTenantHeader);
  const std::string_view named = is_websocket(request) ? request.query.get_or("tenant", "") : "";
  if (!header.empty() && !named.empty() && header != named)
    return fail(ErrorKind::bad_input, "X-Scope-OrgID and the parameter tenant name different tenants");
  const std::string_view asked = header.empty() ? named : header;
  if (asked.empty()) return std::vector<std::string>{};
  auto tenants = TRY(parse_tenant_ids(asked));
  if (tenants.size() > 1 && !options.several_tenants) return fail(ErrorKind::bad_input, "multiple org IDs present");
  return tenants;
}

bool has_scope(const Identity& identity, std::string_view scope) {
  return std::find(identity.scopes.begin(), identity.scopes.end(), scope) != identity.scopes.end();
}

// The role that a token's scopes amount to, for handlers that look at roles.
Role role_of_scopes(const Identity& identity) {
  if (has_scope(identity, "instance:admin") || has_scope(identity, "admin")) return Role::admin;
  bool write = false, read = false;
  for (auto& scope : identity.scopes) {
    write |= scope == "write" || scope.ends_with(":write");
    read |= scope == "read" || scope.ends_with(":read");
  }
  return write ? Role::editor : read ? Role::viewer : Role::none;
}

Result<> check_scopes(const Identity& identity, Access access, std::string_view path) {
  if (identity.instance_admin || access == Access::open) return {};
  std::string_view area = area_of_path(path);
  auto granted = [&](std::string_view verb) {
    return has_scope(identity, "admin") || has_scope(identity, verb) ||
           (!area.empty() && has_scope(identity, std::string(area) + ":" + std::string(verb)));
  };
  bool ok = false;
  std::string needed = "instance:admin";
  switch (access) {
    case Access::open: return {};
    case Access::read: ok = granted("read"), needed = area.empty() ? "read" : std::string(area) + ":read"; break;
    case Access::write: ok = granted("write"), needed = area.empty() ? "write" : std::string(area) + ":write"; break;
    case Access::admin: ok = has_scope(identity, "admin"), needed = "admin"; break;
    case Access::instance_admin: break;
  }
  if (ok) return {};
  return fail(ErrorKind::forbidden, "the API token lacks the scope " + needed);
}

Result<> check_role(const Identity& identity, Access access) {
  Role needed = Role::none;
  switch (access) {
    case Access::open: return {};
    case Access::read: needed = Role::viewer; break;
    case Access::write: needed = Role::editor; break;
    case Access::admin: needed = Role::admin; break;
    case Access::instance_admin:
      if (identity.instance_admin) return {};
      return fail(ErrorKind::forbidden, "only an instance admin may do this");
  }
  if (identity.role >= needed) return {};
  return fail(ErrorKind::forbidden,
              "this needs the role " + std::string(to_string(needed)) + " in tenant '" + identity.tenant + "'");
}

class SessionAuthenticator final : public http::Authenticator {
 public:
  SessionAuthenticator(Service& service, OriginPolicy policy) : service_(service), policy_(std::move(policy)) {}

  Task<Result<>> authenticate(Request& request, const http::RouteOptions& options) override {
    bool login_required = service_.login_required();
    std::string_view authorization = request.headers.get("Authorization");
    bool by_header = login_required && !trim(authorization).empty();
    bool from_a_page = !request.headers.get("Origin").empty() || !request.headers.get("Sec-Fetch-Site").empty();
    if (!by_header || from_a_page) CO_TRY_VOID(policy_.check_host(request, login_required));
    CO_TRY_VOID(policy_.check_origin(request));
    auto cookie =
        login_required && !by_header ? find_cookie(request.headers.get("Cookie"), kSessionCookie) : std::nullopt;
    CO_TRY_VOID(check_csrf(request, options, cookie.has_value()));
    if (!login_required) co_return local_operator(request, options);

    auto principal = co_await find_principal(request, authorization, cookie);
    if (!principal && options.access == Access::open &&
        (principal.error().kind == ErrorKind::unauthorized || principal.error().kind == ErrorKind::limit)) {
      principal = PrincipalRef();
    }
    if (!principal) co_return std::unexpected(std::move(principal.error()));
    if (!*principal) {
      if (options.access == Access::open) {
        request.identity = Identity{};
        co_return Result<>();
      }
      co_return fail(ErrorKind::unauthorized, "sign in, or send an API token");
    }
    auto admitted = co_await admit(request, options, **principal);
    // Who has no business in the tenant is nobody on an open route.
    if (!admitted && options.access == Access::open) request.identity = Identity{};
    co_return options.access == Access::open ? Result<>() : std::move(admitted);
  }

 private:
  Result<> check_csrf(const Request& request, const http::RouteOptions& options, bool by_cookie) const {
    std::string_view origin = request.headers.get("Origin");
    if (is_websocket(request)) {
      if (by_cookie && origin.empty())
        return fail(ErrorKind::forbidden, "a WebSocket of a signed-in browser must name its Origin");
      return {};
    }
    if (!is_write(request) || options.csrf_exempt) return {};
    if (!by_cookie && (origin.empty() || policy_.is_configured_origin(origin))) return {};
    if (!request.headers.get(kCsrfHeader).empty()) return {};
    return fail(ErrorKind::forbidden, "writes from a browser need the header X-Tocayo-Csrf");
  }

  Result<> local_operator(Request& request, const http::RouteOptions& options) const {
    Identity identity;
    identity.tenant = std::string(kDefaultTenant);
    identity.login = "anonymous";
    identity.role = Role::admin;
    identity.instance_admin = true;
    if (const auto asked = TRY(asked_tenants(request, options)); !asked.empty()) identity.tenant = join(asked);
    request.identity = std::move(identity);
    return {};
  }

  // nullptr: no credential at all.
  Task<Result<PrincipalRef>> find_principal(Request& request, std::string_view authorization,
                                            std::optional<std::string> cookie) {
    CO_TRY(auto credentials, parse_authorization(authorization));
    if (credentials.kind == Credentials::Kind::none && cookie && !cookie->empty()) {
      credentials = {Credentials::Kind::session, std::move(*cookie), "", false};
    }
    switch (credentials.kind) {
      case Credentials::Kind::none: co_return PrincipalRef();
      case Credentials::Kind::session: co_return co_await service_.by_session(std::move(credentials.secret));
      case Credentials::Kind::password:
        co_return co_await service_.by_password(std::move(credentials.name), std::move(credentials.secret),
                                                request.remote_address);
      case Credentials::Kind::token: break;
    }
    CO_TRY(auto principal, co_await service_.by_token(std::move(credentials.secret)));
    // Basic with a token: Mimir's and Loki's clients put the tenant into the user name.
    if (credentials.named && !credentials.name.empty() && credentials.name != principal->token->tenant) {
      co_return fail(ErrorKind::unauthorized,
                     "the API token is not one of tenant '" + credentials.name.substr(0, 150) + "'");
    }
    co_return principal;
  }

  Task<Result<>> admit(Request& request, const http::RouteOptions& options, const Principal& principal) {
    Identity identity;
    CO_TRY(const std::vector<std::string> asked, asked_tenants(request, options));
    if (principal.token) {
      const Token& token = *principal.token;
      identity.login = "token:" + token.name;
      identity.scopes = token.scopes;
      identity.instance_admin = has_scope(identity, "instance:admin");
      identity.tenant = asked.empty() ? token.tenant : join(asked);
      identity.role = role_of_scopes(identity);
      for (const auto& tenant : asked) {
        if (tenant == token.tenant) continue;
        if (!identity.instance_admin)
          co_return fail(ErrorKind::forbidden, "the API token is not one of tenant '" + tenant + "'");
        CO_TRY_VOID(co_await must_exist(tenant));
      }
      CO_TRY_VOID(check_scopes(identity, options.access, request.path));
      request.identity = std::move(identity);
      co_return Result<>();
    }
    const User& user = *principal.user;
    identity.user_id = user.id;
    identity.login = user.login;
    identity.instance_admin = user.instance_admin;
    identity.tenant = asked.empty() ? default_tenant(user) : join(asked);
    identity.role = asked.empty() ? role_in(user, identity.tenant) : role_in_all(user, asked);
    if (options.access == Access::open && identity.role == Role::none) {
      // Signed in, but not there: the page may still know who it is.
      identity.tenant = default_tenant(user);
      identity.role = role_in(user, identity.tenant);
    } else if (identity.role == Role::none) {
      co_return fail(ErrorKind::forbidden, identity.tenant.empty()
                                               ? "you have no role in any tenant: ask an admin for one"
                                               : "you have no role in tenant '" + denied(user, asked) + "'");
    }
    if (user.instance_admin) {
      for (const auto& tenant : asked) CO_TRY_VOID(co_await must_exist(tenant));
    }
    CO_TRY_VOID(check_role(identity, options.access));
    request.identity = std::move(identity);
    co_return Result<>();
  }

  Task<Result<>> must_exist(std::string tenant) {
    CO_TRY(bool exists, co_await service_.tenant_exists(tenant));
    if (!exists) co_return fail(ErrorKind::forbidden, "there is no tenant '" + tenant + "'");
    co_return Result<>();
  }

  Service& service_;
  OriginPolicy policy_;
};

}  // namespace

Result<AuthMode> parse_auth_mode(std::string_view text) {
  if (text == "auto") return AuthMode::automatic;
  if (text == "off") return AuthMode::off;
  if (text == "required") return AuthMode::required;
  return fail(ErrorKind::bad_input, "auth.mode is auto, off or required");
}

Result<bool> resolve_login_required(AuthMode mode, std::string_view listen, bool accept_open_network) {
  if (mode == AuthMode::required) return true;
  auto at = parse_host_port(listen);
  bool loopback = at && is_loopback_host(at->host);
  if (mode == AuthMode::automatic) return !loopback;
  if (loopback || accept_open_network) return false;
  return fail(ErrorKind::bad_input,
              "auth.mode is off, but server.listen " + std::string(listen) +
                  " can be reached from other machines: everybody there could read and change everything. Listen on "
                  "127.0.0.1, set "
                  "auth.mode to auto, or say in the configuration file that this network may do so");
}

Result<std::unique_ptr<http::Authenticator>> make_authenticator(Service& service, AuthenticatorOptions options) {
  OriginPolicy policy = TRY(OriginPolicy::create(options.origin));
  return std::unique_ptr<http::Authenticator>(std::make_unique<SessionAuthenticator>(service, std::move(policy)));
}

std::string_view area_of_path(std::string_view path) {
  // /as/<peer>/… is the whole API of a peer.
  if (path.starts_with("/as/")) {
    std::string_view peer =
        path.substr(4, path.find('/', 4) == std::string_view::npos ? std::string_view::npos : path.find('/', 4) - 4);
    if (peer == "prometheus" || peer == "mimir") return "metrics";
    if (peer == "loki" || peer == "elasticsearch") return "logs";
    if (peer == "alertmanager") return "rules";
    if (peer == "grafana") return "dashboards";
    return "";
  }
  // Elasticsearch's paths: what begins with an underscore, and /{index}/_bulk.
  if (path.starts_with("/_") || (path.ends_with("/_bulk") && path.find('/', 1) == path.size() - 6)) return "logs";
  struct Prefix {
    std::string_view path;
    std::string_view area;
  };
  // Longest first where one continues another.
  static constexpr std::array<Prefix, 27> kPrefixes = {{
      {"/prometheus/api/v1/rules", "rules"},
      {"/prometheus/api/v1/alerts", "rules"},
      {"/prometheus/config", "rules"},
      {"/prometheus", "metrics"},
      {"/api/v1/rules", "rules"},
      {"/api/v1/alerts", "rules"},
      {"/api/v1/alertmanagers", "rules"},
      {"/alertmanager", "rules"},
      {"/alerting", "rules"},
      {"/loki", "logs"},
      {"/otlp/v1/logs", "logs"},
      {"/v1/logs", "logs"},
      {"/logs", "logs"},
      {"/upload", "logs"},
      {"/otlp/v1/metrics", "metrics"},
      {"/v1/metrics", "metrics"},
      {"/federate", "metrics"},
      {"/metrics", "metrics"},
      {"/api/v1", "metrics"},
      {"/api/query", "metrics"},
      {"/api/live", "metrics"},
      {"/api/dashboards", "dashboards"},
      {"/api/folders", "dashboards"},
      {"/api/search", "dashboards"},
      {"/events", "events"},
      {"/fleet", "fleet"},
      {"/agents", "fleet"},
  }};
  for (const Prefix& prefix : kPrefixes) {
    if (path.starts_with(prefix.path) && (path.size() == prefix.path.size() || path[prefix.path.size()] == '/'))
      return prefix.area;
  }
  return "";
}

}  // namespace tocayo::tenancy
