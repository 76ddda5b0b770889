// SPDX-License-Identifier: Apache-2.0
// /tenancy/api/v1: users, tenants, tokens, teams, audit.
#include <charconv>

#include "tenancy/detail/api_parts.h"
#include "tenancy/detail/json.h"
#include "tenancy/tenant_id.h"

namespace tocayo::tenancy {

namespace {

using boost::json::array;
using boost::json::object;
using http::Access;
using http::Request;
using http::Response;

Result<std::int64_t> id_of(const Request& request) {
  std::string_view text = request.param("id");
  std::int64_t id = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), id);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size())
    return fail(ErrorKind::not_found, "no such id");
  return id;
}

Result<std::int64_t> number_param(const Request& request, std::string_view name, std::int64_t otherwise) {
  auto text = request.query.get(name);
  if (!text || text->empty()) return otherwise;
  std::int64_t value = 0;
  auto parsed = std::from_chars(text->data(), text->data() + text->size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text->data() + text->size()) {
    return fail(ErrorKind::bad_input, "'" + std::string(name) + "' must be a whole number");
  }
  return value;
}

object to_json(const User& user) {
  object roles;
  for (auto& [tenant, role] : user.roles) roles[tenant] = std::string(to_string(role));
  return {{"id", user.id},
          {"login", user.login},
          {"name", user.name},
          {"disabled", user.disabled},
          {"instanceAdmin", user.instance_admin},
          {"roles", std::move(roles)},
          {"createdMs", user.created_ms},
          {"lastLoginMs", json::nullable(user.last_login_ms)}};
}

object to_json(const Tenant& tenant) {
  return {{"name", tenant.name}, {"displayName", tenant.display_name}, {"createdMs", tenant.created_ms}};
}

object to_json(const Token& token) {
  array scopes;
  for (auto& scope : token.scopes) scopes.emplace_back(scope);
  return {{"id", token.id},
          {"name", token.name},
          {"tenant", token.tenant},
          {"scopes", std::move(scopes)},
          {"createdBy", token.created_by},
          {"createdMs", token.created_ms},
          {"lastUsedMs", json::nullable(token.last_used_ms)},
          {"expiresMs", json::nullable(token.expires_ms)}};
}

object to_json(const Team& team) {
  array members;
  for (std::int64_t member : team.members) members.emplace_back(member);
  return {{"id", team.id}, {"name", team.name}, {"members", std::move(members)}};
}

object to_json(const AuditEntry& entry) {
  return {{"id", entry.id},         {"timeMs", entry.time_ms}, {"actor", entry.actor},   {"tenant", entry.tenant},
          {"action", entry.action}, {"target", entry.target},  {"detail", entry.detail}, {"address", entry.address}};
}

template <typename T>
Response list_or_refusal(const Result<std::vector<T>>& items) {
  if (!items) return json::refusal(items.error());
  array out;
  for (const T& item : *items) out.emplace_back(to_json(item));
  return json::answer(200, out);
}

template <typename T>
Response item_or_refusal(const Result<T>& item, int status) {
  if (!item) return json::refusal(item.error());
  return json::answer(status, to_json(*item));
}

Response done_or_refusal(const Result<>& done) { return done ? Response::empty(204) : json::refusal(done.error()); }

// Refusals whose reason the page words itself.
Response user_refusal(const Error& error) {
  if (error.kind == ErrorKind::conflict && error.message.find("last instance admin") != std::string::npos) {
    return json::refusal(error, "last_admin");
  }
  return json::refusal(error);
}

Result<std::optional<std::map<std::string, Role>>> read_roles(const json::Body& body) {
  const auto* value = body.object().if_contains("roles");
  if (!value || value->is_null()) return std::optional<std::map<std::string, Role>>();
  if (!value->is_object()) return body.wrong("roles", "an object of tenant: role");
  std::map<std::string, Role> roles;
  for (const auto& [tenant, role] : value->as_object()) {
    if (!role.is_string()) return body.wrong("roles", "an object of tenant: role");
    auto text = role.as_string();
    roles[std::string(tenant)] = TRY(parse_role(std::string_view(text.data(), text.size())));
  }
  return std::optional(std::move(roles));
}

Result<NewUser> parse_new_user(std::string_view text) {
  json::Body body = TRY(json::Body::parse(text));
  NewUser user;
  TRY(body.read("login", user.login));
  TRY(body.read("name", user.name));
  TRY(body.read("password", user.password));
  TRY(body.read("instanceAdmin", user.instance_admin));
  user.roles = TRY(read_roles(body)).value_or(std::map<std::string, Role>());
  return user;
}

Result<UserChange> parse_user_change(std::string_view text) {
  json::Body body = TRY(json::Body::parse(text));
  UserChange change;
  TRY(body.read("name", change.name));
  TRY(body.read("password", change.password));
  TRY(body.read("disabled", change.disabled));
  TRY(body.read("instanceAdmin", change.instance_admin));
  change.roles = TRY(read_roles(body));
  return change;
}

Task<Response> list_users(Service& service, Request&) { co_return list_or_refusal(co_await service.users()); }

Task<Response> create_user(Service& service, Request& request) {
  auto wanted = parse_new_user(request.body);
  if (!wanted) co_return json::refusal(wanted.error());
  co_return item_or_refusal(co_await service.create_user(actor_of(request), std::move(*wanted)), 201);
}

Task<Response> change_user(Service& service, Request& request) {
  auto id = id_of(request);
  if (!id) co_return json::refusal(id.error());
  auto change = parse_user_change(request.body);
  if (!change) co_return json::refusal(change.error());
  auto done = co_await service.change_user(actor_of(request), *id, std::move(*change));
  if (!done) co_return user_refusal(done.error());
  co_return json::answer(200, to_json(*done));
}

Task<Response> remove_user(Service& service, Request& request) {
  auto id = id_of(request);
  if (!id) co_return json::refusal(id.error());
  auto done = co_await service.remove_user(actor_of(request), *id);
  if (!done) co_return user_refusal(done.error());
  co_return Response::empty(204);
}

Task<Response> list_tenants(Service& service, Request& request) {
  auto all = co_await service.tenants();
  if (!all) co_return json::refusal(all.error());
  if (!request.identity.instance_admin) {
    auto user = co_await service.user(request.identity.user_id);
    if (!user) co_return json::refusal(user.error());
    std::erase_if(*all, [&](const Tenant& tenant) {
      return *user ? !(*user)->roles.contains(tenant.name) : tenant.name != request.identity.tenant;
    });
  }
  co_return list_or_refusal(all);
}

Task<Response> create_tenant(Service& service, Request& request) {
  std::string name, display;
  auto body = json::Body::parse(request.body);
  if (!body) co_return json::refusal(body.error());
  for (auto ok : {body->read("name", name), body->read("displayName", display)}) {
    if (!ok) co_return json::refusal(ok.error());
  }
  co_return item_or_refusal(co_await service.create_tenant(actor_of(request), std::move(name), std::move(display)),
                            201);
}

Task<Response> remove_tenant(Service& service, Request& request) {
  co_return done_or_refusal(co_await service.remove_tenant(actor_of(request), std::string(request.param("name"))));
}

Task<Response> list_tokens(Service& service, Request& request) {
  std::optional<std::string> tenant;
  if (auto asked = request.query.get("tenant"); asked && !asked->empty()) tenant = std::string(*asked);
  co_return list_or_refusal(co_await service.tokens(actor_of(request), std::move(tenant)));
}

Task<Response> create_token(Service& service, Request& request) {
  NewToken wanted;
  auto body = json::Body::parse(request.body);
  if (!body) co_return json::refusal(body.error());
  for (auto ok : {body->read("name", wanted.name), body->read("tenant", wanted.tenant),
                  body->read("scopes", wanted.scopes), body->read("expiresMs", wanted.expires_ms)}) {
    if (!ok) co_return json::refusal(ok.error());
  }
  auto done = co_await service.create_token(actor_of(request), std::move(wanted));
  if (!done) co_return json::refusal(done.error());
  object out = to_json(done->token);
  out["token"] = done->secret;
  co_return json::answer(201, out);
}

Task<Response> remove_token(Service& service, Request& request) {
  auto id = id_of(request);
  if (!id) co_return json::refusal(id.error());
  co_return done_or_refusal(co_await service.remove_token(actor_of(request), *id));
}

Task<Response> list_teams(Service& service, Request&) { co_return list_or_refusal(co_await service.teams()); }

Task<Response> create_team(Service& service, Request& request) {
  Team team;
  auto body = json::Body::parse(request.body);
  if (!body) co_return json::refusal(body.error());
  for (auto ok : {body->read("name", team.name), body->read("members", team.members)}) {
    if (!ok) co_return json::refusal(ok.error());
  }
  co_return item_or_refusal(co_await service.create_team(actor_of(request), std::move(team)), 201);
}

Task<Response> change_team(Service& service, Request& request) {
  auto id = id_of(request);
  if (!id) co_return json::refusal(id.error());
  std::optional<std::string> name;
  std::optional<std::vector<std::int64_t>> members;
  auto body = json::Body::parse(request.body);
  if (!body) co_return json::refusal(body.error());
  for (auto ok : {body->read("name", name), body->read("members", members)}) {
    if (!ok) co_return json::refusal(ok.error());
  }
  co_return item_or_refusal(co_await service.change_team(actor_of(request), *id, std::move(name), std::move(members)),
                            200);
}

Task<Response> remove_team(Service& service, Request& request) {
  auto id = id_of(request);
  if (!id) co_return json::refusal(id.error());
  co_return done_or_refusal(co_await service.remove_team(actor_of(request), *id));
}

Task<Response> list_audit(Service& service, Request& request) {
  auto limit = number_param(request, "limit", 100);
  if (!limit) co_return json::refusal(limit.error());
  auto before = number_param(request, "before", 0);
  if (!before) co_return json::refusal(before.error());
  std::optional<std::string> tenant;
  if (auto asked = request.query.get("tenant"); asked && !asked->empty()) tenant = std::string(*asked);
  if (!request.identity.instance_admin) tenant = request.identity.tenant;
  co_return list_or_refusal(co_await service.audit(std::move(tenant), *before, *limit));
}

}  // namespace

void append_admin_routes(std::vector<Route>& out, Service& service) {
  auto add = [&](std::string method, std::string path, Access access, Task<Response> (*handler)(Service&, Request&)) {
    out.push_back({std::move(method),
                   "/tenancy/api/v1/" + path,
                   [&service, handler](Request& request) { return handler(service, request); },
                   {.access = access, .max_body = 256 << 10}});
  };
  add("GET", "users", Access::instance_admin, list_users);
  add("POST", "users", Access::instance_admin, create_user);
  add("PATCH", "users/{id}", Access::instance_admin, change_user);
  add("DELETE", "users/{id}", Access::instance_admin, remove_user);
  add("GET", "tenants", Access::read, list_tenants);
  add("POST", "tenants", Access::instance_admin, create_tenant);
  add("DELETE", "tenants/{name}", Access::instance_admin, remove_tenant);
  add("GET", "tokens", Access::admin, list_tokens);
  add("POST", "tokens", Access::admin, create_token);
  add("DELETE", "tokens/{id}", Access::admin, remove_token);
  add("GET", "teams", Access::read, list_teams);
  add("POST", "teams", Access::instance_admin, create_team);
  add("PATCH", "teams/{id}", Access::instance_admin, change_team);
  add("DELETE", "teams/{id}", Access::instance_admin, remove_team);
  add("GET", "audit", Access::admin, list_audit);
}

}  // namespace tocayo::tenancy
