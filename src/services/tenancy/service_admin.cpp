// SPDX-License-Identifier: Apache-2.0
// Users, tenants, tokens, teams, settings.
#include <algorithm>
#include <cctype>

#include "core/text.h"
#include "tenancy/credentials.h"
#include "tenancy/detail/service_impl.h"
#include "tenancy/store.h"
#include "tenancy/tenant_id.h"

namespace tocayo::tenancy {

namespace {

constexpr std::size_t kMaxName = 200;

Result<> check_roles(db::Session& s, const std::map<std::string, Role>& roles) {
  for (auto& [tenant, role] : roles) {
    if (role == Role::none) return fail(ErrorKind::bad_input, "a role is viewer, editor or admin");
    if (!TRY(store::tenant_exists(s, tenant))) return fail(ErrorKind::bad_input, "there is no tenant '" + tenant + "'");
  }
  return {};
}

// Nobody may lock everybody out: whatever a change did, an enabled instance admin must be left.
Result<> check_admin_left(db::Session& s, bool was_active_admin) {
  if (was_active_admin && TRY(store::count_active_admins(s)) == 0) {
    return fail(ErrorKind::conflict, "this is the last instance admin: make another one first");
  }
  return {};
}

bool active_admin(const User& user) { return user.instance_admin && !user.disabled; }

std::string describe(const User& user) {
  std::string out = user.instance_admin ? "instance admin" : "";
  for (auto& [tenant, role] : user.roles)
    out += (out.empty() ? "" : ", ") + tenant + "=" + std::string(to_string(role));
  if (user.disabled) out += out.empty() ? "disabled" : ", disabled";
  return out;
}

Result<> check_team(const Team& team) {
  if (team.name.empty()) return fail(ErrorKind::bad_input, "a team needs a name");
  return check_display("the team's name", team.name, kMaxName);
}

}  // namespace

Task<Result<std::vector<User>>> Service::users() {
  co_return co_await impl_->database.read([](db::Session& s) { return store::users(s); });
}

Task<Result<std::optional<User>>> Service::user(std::int64_t id) {
  co_return co_await impl_->database.read([&](db::Session& s) { return store::user(s, id); });
}

Task<Result<User>> Service::create_user(Actor actor, NewUser wanted) {
  Impl& impl = *impl_;
  wanted.login = to_lower(trim(wanted.login));
  if (auto ok = check_login_name(wanted.login); !ok) co_return std::unexpected(std::move(ok.error()));
  if (auto ok = check_display("the name", wanted.name, kMaxName); !ok) co_return std::unexpected(std::move(ok.error()));
  if (auto ok = check_password_rules(wanted.login, wanted.password); !ok)
    co_return std::unexpected(std::move(ok.error()));
  co_await impl.passwords.schedule();
  std::string hash = hash_password(wanted.password, impl.options.password_cost);
  co_return co_await impl.database.write([&](db::Transaction& tx) -> Result<User> {
    TRY(check_roles(tx, wanted.roles));
    User user{0, wanted.login, wanted.name, false, wanted.instance_admin, wanted.roles, impl.now(), std::nullopt};
    user.id = TRY(store::add_user(tx, user, hash));
    TRY(impl.record(tx, actor, "user.create", user.login, describe(user), ""));
    impl.forget_principals(tx);
    return user;
  });
}

Task<Result<User>> Service::change_user(Actor actor, std::int64_t id, UserChange change) {
  Impl& impl = *impl_;
  if (change.name) {
    if (auto ok = check_display("the name", *change.name, kMaxName); !ok)
      co_return std::unexpected(std::move(ok.error()));
  }
  std::string hash;
  if (change.password) {
    CO_TRY(auto known, co_await user(id));
    if (!known) co_return fail(ErrorKind::not_found, "no user " + std::to_string(id));
    if (auto ok = check_password_rules(known->login, *change.password); !ok)
      co_return std::unexpected(std::move(ok.error()));
    co_await impl.passwords.schedule();
    hash = hash_password(*change.password, impl.options.password_cost);
  }
  co_return co_await impl.database.write([&](db::Transaction& tx) -> Result<User> {
    auto user = TRY(store::user(tx, id));
    if (!user) return fail(ErrorKind::not_found, "no user " + std::to_string(id));
    bool was_active_admin = active_admin(*user);
    if (change.name) user->name = *change.name;
    if (change.disabled) user->disabled = *change.disabled;
    if (change.instance_admin) user->instance_admin = *change.instance_admin;
    if (change.roles) {
      TRY(check_roles(tx, *change.roles));
      user->roles = *change.roles;
    }
    TRY(store::update_user(tx, *user));
    TRY(check_admin_left(tx, was_active_admin));
    if (change.password) TRY(store::set_password(tx, id, hash));
    if (change.password || user->disabled) TRY(store::remove_sessions_of(tx, id, ""));
    impl.forget_principals(tx);
    TRY(impl.record(tx, actor, "user.update", user->login, describe(*user) + (change.password ? ", new password" : ""),
                    ""));
    return std::move(*user);
  });
}

Task<Result<>> Service::remove_user(Actor actor, std::int64_t id) {
  Impl& impl = *impl_;
  co_return co_await impl.database.write([&](db::Transaction& tx) -> Result<> {
    auto user = TRY(store::user(tx, id));
    if (!user) return fail(ErrorKind::not_found, "no user " + std::to_string(id));
    TRY(store::remove_user(tx, id));
    TRY(check_admin_left(tx, active_admin(*user)));
    impl.forget_principals(tx);
    return impl.record(tx, actor, "user.delete", user->login, "", "");
  });
}

Task<Result<std::vector<Tenant>>> Service::tenants() {
  co_return co_await impl_->database.read([](db::Session& s) { return store::tenants(s); });
}

Task<Result<Tenant>> Service::create_tenant(Actor actor, std::string name, std::string display_name) {
  Impl& impl = *impl_;
  if (auto ok = check_tenant_id(name); !ok) co_return std::unexpected(std::move(ok.error()));
  if (auto ok = check_display("the display name", display_name, kMaxName); !ok)
    co_return std::unexpected(std::move(ok.error()));
  co_return co_await impl.database.write([&](db::Transaction& tx) -> Result<Tenant> {
    Tenant tenant{name, display_name, impl.now()};
    TRY(store::add_tenant(tx, tenant));
    impl.forget_principals(tx);
    TRY(impl.record(tx, actor, "tenant.create", name, display_name, name));
    return tenant;
  });
}

Task<Result<>> Service::remove_tenant(Actor actor, std::string name) {
  Impl& impl = *impl_;
  if (name == kDefaultTenant)
    co_return fail(ErrorKind::conflict,
                   "the tenant 'anonymous' cannot be removed: it is where data without a tenant goes");
  co_return co_await impl.database.write([&](db::Transaction& tx) -> Result<> {
    if (!TRY(store::remove_tenant(tx, name))) return fail(ErrorKind::not_found, "there is no tenant '" + name + "'");
    impl.forget_principals(tx);
    return impl.record(tx, actor, "tenant.delete", name, "", name);
  });
}

Task<Result<std::vector<Token>>> Service::tokens(Actor actor, std::optional<std::string> tenant) {
  if (!actor.instance_admin) {
    if (tenant && *tenant != actor.tenant)
      co_return fail(ErrorKind::forbidden, "tokens of other tenants are the instance admin's");
    tenant = actor.tenant;
  }
  co_return co_await impl_->database.read([&](db::Session& s) {
    return store::tokens(s, tenant ? std::optional<std::string_view>(*tenant) : std::nullopt);
  });
}

Task<Result<Service::CreatedToken>> Service::create_token(Actor actor, NewToken wanted) {
  Impl& impl = *impl_;
  if (wanted.tenant.empty()) wanted.tenant = actor.tenant;
  if (wanted.name.empty()) co_return fail(ErrorKind::bad_input, "a token needs a name");
  if (auto ok = check_display("the token's name", wanted.name, 100); !ok)
    co_return std::unexpected(std::move(ok.error()));
  if (wanted.scopes.empty()) co_return fail(ErrorKind::bad_input, "a token needs at least one scope");
  if (wanted.scopes.size() > 32) co_return fail(ErrorKind::bad_input, "a token has at most 32 scopes");
  for (auto& scope : wanted.scopes) {
    if (auto ok = check_scope(scope); !ok) co_return std::unexpected(std::move(ok.error()));
    if (scope == "instance:admin" && !actor.instance_admin) {
      co_return fail(ErrorKind::forbidden, "only an instance admin can give the scope instance:admin");
    }
  }
  if (wanted.tenant != actor.tenant && !actor.instance_admin) {
    co_return fail(ErrorKind::forbidden, "tokens of other tenants are the instance admin's");
  }
  if (wanted.expires_ms && *wanted.expires_ms <= impl.now())
    co_return fail(ErrorKind::bad_input, "the token would have expired already");
  std::string secret = std::string(kTokenPrefix) + new_secret();
  co_return co_await impl.database.write([&](db::Transaction& tx) -> Result<CreatedToken> {
    if (!TRY(store::tenant_exists(tx, wanted.tenant)))
      return fail(ErrorKind::bad_input, "there is no tenant '" + wanted.tenant + "'");
    Token token{0, wanted.name, wanted.tenant, wanted.scopes, actor.login, impl.now(), std::nullopt, wanted.expires_ms};
    token.id = TRY(store::add_token(tx, token, digest_of(secret)));
    std::string scopes;
    for (auto& scope : token.scopes) scopes += (scopes.empty() ? "" : " ") + scope;
    TRY(impl.record(tx, actor, "token.create", token.name, scopes, token.tenant));
    return CreatedToken{std::move(token), secret};
  });
}

Task<Result<>> Service::remove_token(Actor actor, std::int64_t id) {
  Impl& impl = *impl_;
  co_return co_await impl.database.write([&](db::Transaction& tx) -> Result<> {
    auto token = TRY(store::token(tx, id));
    // A token of another tenant is as good as none: ids must not tell what exists elsewhere.
    if (!token || (!actor.instance_admin && token->tenant != actor.tenant)) {
      return fail(ErrorKind::not_found, "no token " + std::to_string(id));
    }
    TRY(store::remove_token(tx, id));
    impl.forget_principals(tx);
    return impl.record(tx, actor, "token.delete", token->name, "", token->tenant);
  });
}

Task<Result<std::vector<Team>>> Service::teams() {
  co_return co_await impl_->database.read([](db::Session& s) { return store::teams(s); });
}

Task<Result<Team>> Service::create_team(Actor actor, Team wanted) {
  Impl& impl = *impl_;
  if (auto ok = check_team(wanted); !ok) co_return std::unexpected(std::move(ok.error()));
  co_return co_await impl.database.write([&](db::Transaction& tx) -> Result<Team> {
    std::int64_t id = TRY(store::add_team(tx, wanted));
    TRY(impl.record(tx, actor, "team.create", wanted.name, "", ""));
    return *TRY(store::team(tx, id));
  });
}

Task<Result<Team>> Service::change_team(Actor actor, std::int64_t id, std::optional<std::string> name,
                                        std::optional<std::vector<std::int64_t>> members) {
  Impl& impl = *impl_;
  co_return co_await impl.database.write([&](db::Transaction& tx) -> Result<Team> {
    auto team = TRY(store::team(tx, id));
    if (!team) return fail(ErrorKind::not_found, "no team " + std::to_string(id));
    if (name) team->name = *name;
    if (members) team->members = *members;
    TRY(check_team(*team));
    TRY(store::update_team(tx, *team));
    TRY(impl.record(tx, actor, "team.update", team->name, "", ""));
    return *TRY(store::team(tx, id));
  });
}

Task<Result<>> Service::remove_team(Actor actor, std::int64_t id) {
  Impl& impl = *impl_;
  co_return co_await impl.database.write([&](db::Transaction& tx) -> Result<> {
    auto team = TRY(store::team(tx, id));
    if (!team) return fail(ErrorKind::not_found, "no team " + std::to_string(id));
    TRY(store::remove_team(tx, id));
    return impl.record(tx, actor, "team.delete", team->name, "", "");
  });
}

Task<Result<UserSettings>> Service::settings(std::int64_t user_id) {
  co_return co_await impl_->database.read([&](db::Session& s) { return store::settings(s, user_id); });
}

Task<Result<UserSettings>> Service::change_settings(Actor actor, SettingsChange change) {
  Impl& impl = *impl_;
  auto one_of = [](const std::string& value, std::initializer_list<std::string_view> allowed) {
    return std::find(allowed.begin(), allowed.end(), value) != allowed.end();
  };
  if (change.language && !one_of(*change.language, {"", "en", "es"}))
    co_return fail(ErrorKind::bad_input, "language is en or es");
  if (change.theme && !one_of(*change.theme, {"", "system", "dark", "light", "contrast"})) {
    co_return fail(ErrorKind::bad_input, "theme is system, dark, light or contrast");
  }
  if (change.density && !one_of(*change.density, {"", "compact", "cosy"})) {
    co_return fail(ErrorKind::bad_input, "density is compact or cosy");
  }
  if (change.timezone) {
    bool plain = change.timezone->size() <= 64 &&
                 std::all_of(change.timezone->begin(), change.timezone->end(), [](unsigned char c) {
                   return std::isalnum(c) || c == '/' || c == '_' || c == '-' || c == '+';
                 });
    if (!plain) co_return fail(ErrorKind::bad_input, "timezone is browser, utc or an IANA name such as Europe/Madrid");
  }
  if (change.week_start && *change.week_start && (**change.week_start < 0 || **change.week_start > 6)) {
    co_return fail(ErrorKind::bad_input, "weekStart is 0 (Sunday) to 6 (Saturday) or null");
  }
  if (change.name) {
    if (auto ok = check_display("the name", *change.name, kMaxName); !ok)
      co_return std::unexpected(std::move(ok.error()));
  }
  co_return co_await impl.database.write([&](db::Transaction& tx) -> Result<UserSettings> {
    auto settings = TRY(store::settings(tx, actor.user_id));
    if (change.language) settings.language = *change.language;
    if (change.theme) settings.theme = *change.theme;
    if (change.density) settings.density = *change.density;
    if (change.timezone) settings.timezone = *change.timezone;
    if (change.hour12) settings.hour12 = *change.hour12;
    if (change.week_start) settings.week_start = *change.week_start;
    TRY(store::set_settings(tx, actor.user_id, settings));
    if (change.name && actor.user_id != 0) {
      auto user = TRY(store::user(tx, actor.user_id));
      if (user && user->name != *change.name) {
        user->name = *change.name;
        TRY(store::update_user(tx, *user));
        TRY(impl.record(tx, actor, "user.update", user->login, "own name", ""));
        impl.forget_principals(tx);
      }
    }
    return settings;
  });
}

}  // namespace tocayo::tenancy
