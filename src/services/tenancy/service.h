// SPDX-License-Identifier: Apache-2.0
// The rules of users, tenants, sessions, tokens, roles, secrets and the audit log. No HTTP and no SQL here: api.h and
// store.h.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/task.h"
#include "core/time.h"
#include "db/database.h"
#include "tenancy/model.h"
#include "tenancy/passwords.h"
#include "tenancy/throttle.h"

namespace tocayo::tenancy {

struct ServiceOptions {
  bool login_required = false;     // decided by resolve_login_required (authenticator.h)
  std::filesystem::path key_file;  // instance key (secrets); made at the first start, mode 0600
  std::chrono::milliseconds session_idle{7LL * 24 * 3'600'000};
  std::chrono::milliseconds session_lifetime{30LL * 24 * 3'600'000};
  std::chrono::milliseconds setup_link_lifetime{24LL * 3'600'000};
  std::int64_t audit_rows = 200'000;  // older ones are removed
  std::size_t password_threads = 1;   // one hash takes 32 MiB and about 60 ms
  PasswordCost password_cost;
  Clock* clock = &Clock::system();
};

// Who a credential belongs to. Immutable; shared by the cache and by requests in flight.
struct Principal {
  std::optional<User> user;  // of a session or a password
  std::optional<Token> token;
};
using PrincipalRef = std::shared_ptr<const Principal>;

struct LoginAttempt {
  std::string login;
  std::string password;
  std::string address;  // remote address with port
  std::string user_agent;
};
struct LoggedIn {
  User user;
  std::string session;  // the cookie's value; nowhere else in clear
  std::chrono::milliseconds lifetime;
};

struct NewUser {
  std::string login;
  std::string name;
  std::string password;
  bool instance_admin = false;
  std::map<std::string, Role> roles;
};
struct UserChange {  // absent: unchanged
  std::optional<std::string> name;
  std::optional<std::string> password;
  std::optional<bool> disabled;
  std::optional<bool> instance_admin;
  std::optional<std::map<std::string, Role>> roles;  // replaces all
};
struct NewToken {
  std::string name;
  std::string tenant;
  std::vector<std::string> scopes;
  std::optional<TimestampMs> expires_ms;
};
struct SettingsChange {
  std::optional<std::string> name;  // the user's; ignored for the local operator
  std::optional<std::string> language;
  std::optional<std::string> theme;
  std::optional<std::string> density;
  std::optional<std::string> timezone;
  std::optional<std::optional<bool>> hour12;
  std::optional<std::optional<int>> week_start;
};

// Thread-safe. Tasks resume on a database or password thread. Errors carry texts for the user.
class Service {
 public:
  // Applies the migrations, makes sure that tenant "anonymous" exists, loads or makes the instance key. Blocking.
  // `database` must outlive the service. With login required and no user yet, a set-up link is made: see
  // take_setup_token().
  static Result<std::unique_ptr<Service>> open(db::Database& database, ServiceOptions options);
  ~Service();

  bool login_required() const;
  // The token of the one-time link <external_url>/setup?token=…, once, when the first admin is still to be made. Print
  // it, keep it nowhere. Each start without a user makes a new one; the former becomes void.
  std::optional<std::string> take_setup_token();

  // ---- signing in ----
  // unauthorized with the same text and in the same time for an unknown login, a wrong password and a disabled user;
  // limit when attempts come too fast ("… try again in 4 s").
  Task<Result<LoggedIn>> login(LoginAttempt attempt);
  Task<Result<>> logout(std::string session, Actor actor);
  // Makes the first user, an instance admin. forbidden when the token is wrong, used, expired or any user exists.
  Task<Result<LoggedIn>> setup(std::string token, NewUser user, std::string address, std::string user_agent);
  // Ends the user's other sessions. `session` is the one that stays.
  Task<Result<>> change_password(Actor actor, std::string current, std::string next, std::string session);

  // ---- who is it (authenticator) ----
  // Answers from a cache for up to 10 s; a change made here empties it at once. unauthorized when unknown, expired or
  // revoked.
  PrincipalRef cached(std::string_view secret) const;  // without waiting; nullptr when not cached
  Task<Result<PrincipalRef>> by_session(std::string session);
  Task<Result<PrincipalRef>> by_token(std::string token);
  Task<Result<PrincipalRef>> by_password(std::string login, std::string password, std::string address);
  Task<Result<bool>> tenant_exists(std::string name);  // cached likewise

  // ---- administration ----
  Task<Result<std::vector<User>>> users();
  Task<Result<User>> create_user(Actor actor, NewUser user);
  Task<Result<User>> change_user(Actor actor, std::int64_t id, UserChange change);
  Task<Result<>> remove_user(Actor actor, std::int64_t id);

  Task<Result<std::vector<Tenant>>> tenants();
  Task<Result<Tenant>> create_tenant(Actor actor, std::string name, std::string display_name);
  // Removes its roles, tokens and secrets. The data of its series and logs is the stores' (retention).
  Task<Result<>> remove_tenant(Actor actor, std::string name);

  // Of the actor's tenant, or of all for an instance admin without `tenant`.
  Task<Result<std::vector<Token>>> tokens(Actor actor, std::optional<std::string> tenant);
  struct CreatedToken {
    Token token;
    std::string secret;  // "tcy_…", shown once
  };
  Task<Result<CreatedToken>> create_token(Actor actor, NewToken token);
  Task<Result<>> remove_token(Actor actor, std::int64_t id);

  Task<Result<std::vector<Team>>> teams();
  Task<Result<Team>> create_team(Actor actor, Team team);
  Task<Result<Team>> change_team(Actor actor, std::int64_t id, std::optional<std::string> name,
                                 std::optional<std::vector<std::int64_t>> members);
  Task<Result<>> remove_team(Actor actor, std::int64_t id);

  Task<Result<std::optional<User>>> user(std::int64_t id);
  Task<Result<UserSettings>> settings(std::int64_t user_id);
  Task<Result<UserSettings>> change_settings(Actor actor, SettingsChange change);

  // ---- audit ----
  // Newest first, ids below `before` (0: from the newest), at most 1000.
  Task<Result<std::vector<AuditEntry>>> audit(std::optional<std::string> tenant, std::int64_t before,
                                              std::int64_t limit);
  // For other rooms, in the transaction of the change.
  Result<> record(db::Transaction& transaction, const Actor& actor, std::string_view action, std::string_view target,
                  std::string_view detail = {});

  // ---- secrets (credentials of integrations), sealed with the instance key and bound to tenant and name ----
  Task<Result<>> put_secret(Actor actor, std::string tenant, std::string name, std::string value);
  // not_found; forbidden when the instance key is not the one it was sealed with.
  Task<Result<std::string>> secret(std::string tenant, std::string name);
  Task<Result<std::vector<std::string>>> secret_names(std::string tenant);
  Task<Result<>> remove_secret(Actor actor, std::string tenant, std::string name);

 private:
  struct Impl;
  explicit Service(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tocayo::tenancy
