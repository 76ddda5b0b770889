// SPDX-License-Identifier: Apache-2.0
// Signing in and out, the own profile, the first admin.
#include <chrono>

#include "tenancy/credentials.h"
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

// Lambdas that are coroutines must not capture (the frame would outlive them); these are copied by value into free
// functions.
struct Ui {
  Service& service;
  ApiOptions options;
};
using UiRef = std::shared_ptr<const Ui>;  // shared by the handlers, which the router copies

void set_cookie(Response& response, const Ui& ui, const Request& request, std::string_view session,
                std::int64_t max_age) {
  CookieOptions cookie;
  cookie.path = ui.options.base_path.empty() ? "/" : ui.options.base_path;
  cookie.secure = request.tls || ui.options.external_https;
  cookie.max_age_seconds = max_age;
  response.headers.set("Set-Cookie", session_cookie(session, cookie));
}

object roles_json(const std::map<std::string, Role>& roles) {
  object out;
  for (auto& [tenant, role] : roles) out[tenant] = std::string(to_string(role));
  return out;
}

object signed_in_json(const User& user) {
  return {{"id", user.id},
          {"login", user.login},
          {"name", user.name},
          {"instanceAdmin", user.instance_admin},
          {"roles", roles_json(user.roles)}};
}

Response signed_in(const Ui& ui, const Request& request, const LoggedIn& done) {
  Response response = json::answer(200, object{{"user", signed_in_json(done.user)}});
  set_cookie(response, ui, request, done.session,
             std::chrono::duration_cast<std::chrono::seconds>(done.lifetime).count());
  return response;
}

std::string session_of(const Request& request) {
  return find_cookie(request.headers.get("Cookie"), kSessionCookie).value_or("");
}

// 429 with the seconds to wait, which the message ends with ("… in 4 s").
Response throttled(const Error& error) {
  std::int64_t seconds = 5;
  if (std::size_t at = error.message.rfind(" in "); at != std::string::npos)
    seconds = std::atoll(error.message.c_str() + at + 4);
  Response response = json::refusal(error, "too_many_attempts", {{"seconds", seconds}});
  response.headers.set("Retry-After", std::to_string(std::max<std::int64_t>(seconds, 1)));
  return response;
}

Response refused_login(const Error& error) {
  if (error.kind == ErrorKind::limit) return throttled(error);
  if (error.kind == ErrorKind::unauthorized) return json::refusal(error, "bad_credentials");
  return json::refusal(error);
}

Task<Response> login(UiRef ui, Request& request) {
  if (!ui->service.login_required()) {
    co_return json::refusal(Error{ErrorKind::conflict, "this server needs no login"}, "login_off");
  }
  LoginAttempt attempt{"", "", request.remote_address, std::string(request.headers.get("User-Agent"))};
  auto body = json::Body::parse(request.body);
  if (!body) co_return json::refusal(body.error());
  for (auto ok : {body->read("login", attempt.login), body->read("password", attempt.password)}) {
    if (!ok) co_return json::refusal(ok.error());
  }
  auto done = co_await ui->service.login(std::move(attempt));
  if (!done) co_return refused_login(done.error());
  co_return signed_in(*ui, request, *done);
}

Task<Response> logout(UiRef ui, Request& request) {
  if (std::string session = session_of(request); !session.empty()) {
    auto done = co_await ui->service.logout(std::move(session), actor_of(request));
    if (!done) co_return json::refusal(done.error());
  }
  Response response = Response::empty(204);
  set_cookie(response, *ui, request, "", 0);
  co_return response;
}

Task<Response> setup(UiRef ui, Request& request) {
  auto body = json::Body::parse(request.body);
  if (!body) co_return json::refusal(body.error());
  std::string token;
  NewUser user;
  for (auto ok : {body->read("token", token), body->read("login", user.login), body->read("name", user.name),
                  body->read("password", user.password)}) {
    if (!ok) co_return json::refusal(ok.error());
  }
  auto done = co_await ui->service.setup(std::move(token), std::move(user), request.remote_address,
                                         std::string(request.headers.get("User-Agent")));
  if (!done && done.error().kind == ErrorKind::limit) co_return throttled(done.error());
  if (!done && done.error().kind == ErrorKind::forbidden) co_return json::refusal(done.error(), "bad_setup_token");
  if (!done) co_return json::refusal(done.error());
  co_return signed_in(*ui, request, *done);
}

bool is_somebody(const Request& request) { return !request.identity.login.empty(); }

Response nobody() { return json::refusal(Error{ErrorKind::unauthorized, "sign in first"}); }

Task<Response> get_me(UiRef ui, Request& request) {
  if (!is_somebody(request)) co_return nobody();
  auto text = co_await me_json(ui->service, request.identity);
  if (!text) co_return json::refusal(text.error());
  Response response = Response::json(200, std::move(*text));
  response.headers.set("Cache-Control", "no-store");
  co_return response;
}

Result<SettingsChange> parse_settings(std::string_view text) {
  json::Body body = TRY(json::Body::parse(text));
  SettingsChange change;
  TRY(body.read("name", change.name));
  TRY(body.read("language", change.language));
  TRY(body.read("theme", change.theme));
  TRY(body.read("density", change.density));
  TRY(body.read("timezone", change.timezone));
  // null is a value here: "as the locale does".
  if (body.has("hour12")) TRY(body.read("hour12", change.hour12.emplace()));
  if (body.has("weekStart")) {
    std::optional<std::int64_t> day;
    TRY(body.read("weekStart", day));
    if (day && (*day < 0 || *day > 6)) return body.wrong("weekStart", "0 (Sunday) to 6 (Saturday) or null");
    change.week_start.emplace(day ? std::optional<int>(static_cast<int>(*day)) : std::nullopt);
  }
  return change;
}

Task<Response> put_me(UiRef ui, Request& request) {
  if (!is_somebody(request)) co_return nobody();
  if (ui->service.login_required() && request.identity.user_id == 0) {
    co_return json::refusal(Error{ErrorKind::forbidden, "an API token has no profile"});
  }
  auto change = parse_settings(request.body);
  if (!change) co_return json::refusal(change.error());
  auto done = co_await ui->service.change_settings(actor_of(request), std::move(*change));
  if (!done) co_return json::refusal(done.error());
  co_return co_await get_me(ui, request);
}

Task<Response> change_password(UiRef ui, Request& request) {
  if (!is_somebody(request)) co_return nobody();
  auto body = json::Body::parse(request.body);
  if (!body) co_return json::refusal(body.error());
  std::string current, next;
  for (auto ok : {body->read("current", current), body->read("new", next)}) {
    if (!ok) co_return json::refusal(ok.error());
  }
  auto done =
      co_await ui->service.change_password(actor_of(request), std::move(current), std::move(next), session_of(request));
  if (!done && done.error().kind == ErrorKind::limit) co_return throttled(done.error());
  if (!done && done.error().kind == ErrorKind::forbidden) co_return json::refusal(done.error(), "bad_password");
  if (!done) co_return json::refusal(done.error());
  co_return Response::empty(204);
}

}  // namespace

Task<Result<std::string>> me_json(Service& service, http::Identity identity) {
  CO_TRY(auto user, co_await service.user(identity.user_id));
  CO_TRY(auto settings, co_await service.settings(identity.user_id));
  CO_TRY(auto all, co_await service.tenants());
  array tenants;
  for (const Tenant& tenant : all) {
    bool may = identity.instance_admin || (user && user->roles.contains(tenant.name)) ||
               (!user && tenant.name == identity.tenant);
    if (may) tenants.emplace_back(tenant.name);
  }
  object out{
      {"id", identity.user_id},
      {"login", identity.login},
      {"name", user ? user->name : std::string()},
      {"role", std::string(to_string(identity.role))},
      {"instanceAdmin", identity.instance_admin},
      {"tenant", identity.tenant},
      {"tenants", std::move(tenants)},
      {"roles", user ? roles_json(user->roles) : object()},
      {"authMode", service.login_required() ? "required" : "off"},
      {"language", settings.language},
      {"theme", settings.theme},
      {"density", settings.density},
      {"timezone", settings.timezone},
      {"hour12", settings.hour12 ? boost::json::value(*settings.hour12) : boost::json::value(nullptr)},
      {"weekStart", settings.week_start ? boost::json::value(*settings.week_start) : boost::json::value(nullptr)}};
  co_return boost::json::serialize(out);
}

void append_ui_routes(std::vector<Route>& out, Service& service, ApiOptions options) {
  auto ui = std::make_shared<const Ui>(Ui{service, std::move(options)});
  auto add = [&](std::string method, std::string pattern, Task<Response> (*handler)(UiRef, Request&)) {
    out.push_back({std::move(method),
                   std::move(pattern),
                   [ui, handler](Request& request) { return handler(ui, request); },
                   {.access = Access::open, .max_body = 64 << 10}});
  };
  add("POST", "/api/ui/login", login);
  add("POST", "/api/ui/logout", logout);
  add("POST", "/api/ui/setup", setup);
  add("GET", "/api/ui/me", get_me);
  add("PUT", "/api/ui/me", put_me);
  add("POST", "/api/ui/me/password", change_password);
}

}  // namespace tocayo::tenancy
