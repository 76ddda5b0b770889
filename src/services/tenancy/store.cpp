// SPDX-License-Identifier: Apache-2.0
#include "tenancy/store.h"

#include "core/text.h"

namespace tocayo::tenancy::store {

namespace {

using db::Args;
using OptionalMs = std::optional<std::int64_t>;

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (auto& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> out;
  for (auto word : split(text, ' ')) {
    if (!word.empty()) out.emplace_back(word);
  }
  return out;
}

Result<> none(Result<std::int64_t> changed) {
  if (!changed) return std::unexpected(std::move(changed.error()));
  return {};
}

Result<bool> any(Result<std::int64_t> changed) {
  if (!changed) return std::unexpected(std::move(changed.error()));
  return *changed > 0;
}

// A unique constraint said no: say it in the user's words.
template <typename T>
Result<T> or_taken(Result<T> result, std::string_view what) {
  if (!result && result.error().kind == ErrorKind::conflict) return fail(ErrorKind::conflict, std::string(what));
  return result;
}

// Users without roles, by a condition on table account.
Result<std::vector<User>> users_where(Read& db, std::string_view condition, const Args& args) {
  auto rows = TRY((db.query<std::int64_t, std::string, std::string, bool, bool, std::int64_t, OptionalMs>(
      "SELECT id, login, name, disabled, instance_admin, created_ms, last_login_ms FROM account WHERE " +
          std::string(condition) + " ORDER BY login",
      args)));
  std::vector<User> out;
  for (auto& [id, login, name, disabled, admin, created, last_login] : rows) {
    out.push_back({id, std::move(login), std::move(name), disabled, admin, {}, created, last_login});
  }
  return out;
}

Result<> set_roles(Write& db, std::int64_t user_id, const std::map<std::string, Role>& roles) {
  TRY(db.execute("DELETE FROM membership WHERE account_id = $1", {user_id}));
  for (auto& [tenant, role] : roles) {
    TRY(db.execute("INSERT INTO membership (account_id, tenant, role) VALUES ($1, $2, $3)",
                   {user_id, tenant, to_string(role)}));
  }
  return {};
}

Result<std::vector<Token>> tokens_where(Read& db, std::string_view condition, const Args& args) {
  auto rows = TRY(
      (db.query<std::int64_t, std::string, std::string, std::string, std::string, std::int64_t, OptionalMs, OptionalMs>(
          "SELECT id, name, tenant, scopes, created_by, created_ms, last_used_ms, expires_ms FROM api_token WHERE " +
              std::string(condition) + " ORDER BY tenant, name",
          args)));
  std::vector<Token> out;
  for (auto& [id, name, tenant, scopes, by, created, used, expires] : rows) {
    out.push_back({id, std::move(name), std::move(tenant), words_of(scopes), std::move(by), created, used, expires});
  }
  return out;
}

template <typename T>
std::optional<T> first(std::vector<T> rows) {
  if (rows.empty()) return std::nullopt;
  return std::move(rows.front());
}

Result<> set_members(Write& db, const Team& team) {
  TRY(db.execute("DELETE FROM team_member WHERE team_id = $1", {team.id}));
  for (std::int64_t member : team.members) {
    auto added = db.execute("INSERT INTO team_member (team_id, account_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                            {team.id, member});
    if (!added && added.error().kind == ErrorKind::conflict)
      return fail(ErrorKind::bad_input, "no user " + std::to_string(member));
    TRY(std::move(added));
  }
  return {};
}

Result<std::optional<Password>> password_where(Read& db, std::string_view condition, const Args& args) {
  auto row = TRY((db.query_one<std::int64_t, std::string, bool>(
      "SELECT id, password_hash, disabled FROM account WHERE " + std::string(condition), args)));
  if (!row) return std::optional<Password>();
  auto& [id, hash, disabled] = *row;
  return std::optional<Password>(Password{id, std::move(hash), disabled});
}

}  // namespace

Result<std::vector<Tenant>> tenants(Read& db) {
  auto rows = TRY((db.query<std::string, std::string, std::int64_t>(
      "SELECT name, display_name, created_ms FROM tenant ORDER BY name")));
  std::vector<Tenant> out;
  for (auto& [name, display, created] : rows) out.push_back({std::move(name), std::move(display), created});
  return out;
}

Result<bool> tenant_exists(Read& db, std::string_view name) {
  return TRY(db.query_value<std::int64_t>("SELECT 1 FROM tenant WHERE name = $1", {name})).has_value();
}

Result<> add_tenant(Write& db, const Tenant& tenant) {
  return none(or_taken(db.execute("INSERT INTO tenant (name, display_name, created_ms) VALUES ($1, $2, $3)",
                                  {tenant.name, tenant.display_name, tenant.created_ms}),
                       "a tenant with this name exists already"));
}

Result<bool> ensure_tenant(Write& db, const Tenant& tenant) {
  return any(db.execute(
      "INSERT INTO tenant (name, display_name, created_ms) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
      {tenant.name, tenant.display_name, tenant.created_ms}));
}

Result<bool> remove_tenant(Write& db, std::string_view name) {
  TRY(db.execute("DELETE FROM secret WHERE tenant = $1", {name}));
  return any(db.execute("DELETE FROM tenant WHERE name = $1", {name}));
}

Result<std::vector<User>> users(Read& db) {
  auto out = TRY(users_where(db, "1 = 1", {}));
  auto roles =
      TRY((db.query<std::int64_t, std::string, std::string>("SELECT account_id, tenant, role FROM membership")));
  std::map<std::int64_t, User*> by_id;
  for (User& user : out) by_id[user.id] = &user;
  for (auto& [id, tenant, role] : roles) {
    if (by_id.contains(id)) by_id[id]->roles[tenant] = TRY(parse_role(role));
  }
  return out;
}

Result<std::optional<User>> user(Read& db, std::int64_t id) {
  auto out = first(TRY(users_where(db, "id = $1", {id})));
  if (!out) return out;
  auto roles =
      TRY((db.query<std::string, std::string>("SELECT tenant, role FROM membership WHERE account_id = $1", {id})));
  for (auto& [tenant, role] : roles) out->roles[tenant] = TRY(parse_role(role));
  return out;
}

Result<std::int64_t> add_user(Write& db, const User& user, std::string_view password_hash) {
  auto id =
      TRY(or_taken(db.query_value<std::int64_t>(
                       "INSERT INTO account (login, name, password_hash, disabled, instance_admin, created_ms)"
                       " VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
                       {user.login, user.name, password_hash, user.disabled, user.instance_admin, user.created_ms}),
                   "a user with this login exists already"));
  if (!id) return fail(ErrorKind::internal, "the new user has no id");
  TRY(set_roles(db, *id, user.roles));
  return *id;
}

Result<> update_user(Write& db, const User& user) {
  TRY(db.execute("UPDATE account SET name = $1, disabled = $2, instance_admin = $3 WHERE id = $4",
                 {user.name, user.disabled, user.instance_admin, user.id}));
  return set_roles(db, user.id, user.roles);
}

Result<bool> remove_user(Write& db, std::int64_t id) {
  TRY(db.execute("DELETE FROM account_settings WHERE account_id = $1", {id}));
  return any(db.execute("DELETE FROM account WHERE id = $1", {id}));
}

Result<std::int64_t> count_users(Read& db) {
  return TRY(db.query_value<std::int64_t>("SELECT count(*) FROM account")).value_or(0);
}

Result<std::int64_t> count_active_admins(Read& db) {
  return TRY(db.query_value<std::int64_t>("SELECT count(*) FROM account WHERE instance_admin = 1 AND disabled = 0"))
      .value_or(0);
}

Result<std::optional<Password>> password_of_login(Read& db, std::string_view login) {
  return password_where(db, "login = $1", {login});
}
Result<std::optional<Password>> password_of_user(Read& db, std::int64_t id) {
  return password_where(db, "id = $1", {id});
}

Result<> set_password(Write& db, std::int64_t user_id, std::string_view hash) {
  return none(db.execute("UPDATE account SET password_hash = $1 WHERE id = $2", {hash, user_id}));
}

Result<> note_login(Write& db, std::int64_t user_id, TimestampMs now) {
  return none(db.execute("UPDATE account SET last_login_ms = $1 WHERE id = $2", {now, user_id}));
}

Result<> add_session(Write& db, std::string_view digest, const Session& session, std::string_view address,
                     std::string_view agent) {
  return none(
      db.execute("INSERT INTO session (digest, account_id, created_ms, seen_ms, expires_ms, address, user_agent)"
                 " VALUES ($1, $2, $3, $4, $5, $6, $7)",
                 {digest, session.user_id, session.created_ms, session.seen_ms, session.expires_ms, address, agent}));
}

Result<std::optional<Session>> session(Read& db, std::string_view digest) {
  auto row = TRY((db.query_one<std::int64_t, std::int64_t, std::int64_t, std::int64_t>(
      "SELECT account_id, created_ms, seen_ms, expires_ms FROM session WHERE digest = $1", {digest})));
  if (!row) return std::optional<Session>();
  auto [user_id, created, seen, expires] = *row;
  return std::optional<Session>(Session{user_id, created, seen, expires});
}

Result<> touch_session(Write& db, std::string_view digest, TimestampMs now) {
  return none(db.execute("UPDATE session SET seen_ms = $1 WHERE digest = $2 AND seen_ms < $1", {now, digest}));
}

Result<bool> remove_session(Write& db, std::string_view digest) {
  return any(db.execute("DELETE FROM session WHERE digest = $1", {digest}));
}

Result<> remove_sessions_of(Write& db, std::int64_t user_id, std::string_view except_digest) {
  return none(db.execute("DELETE FROM session WHERE account_id = $1 AND digest <> $2", {user_id, except_digest}));
}

Result<> remove_expired_sessions(Write& db, TimestampMs now, TimestampMs idle_since) {
  return none(db.execute("DELETE FROM session WHERE expires_ms <= $1 OR seen_ms <= $2", {now, idle_since}));
}

Result<std::vector<Token>> tokens(Read& db, std::optional<std::string_view> tenant) {
  return tenant ? tokens_where(db, "tenant = $1", {*tenant}) : tokens_where(db, "1 = 1", {});
}
Result<std::optional<Token>> token(Read& db, std::int64_t id) { return first(TRY(tokens_where(db, "id = $1", {id}))); }
Result<std::optional<Token>> token_by_digest(Read& db, std::string_view digest) {
  return first(TRY(tokens_where(db, "digest = $1", {digest})));
}

Result<std::int64_t> add_token(Write& db, const Token& token, std::string_view digest) {
  auto id = TRY(or_taken(
      db.query_value<std::int64_t>(
          "INSERT INTO api_token (digest, name, tenant, scopes, created_by, created_ms, expires_ms)"
          " VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
          {digest, token.name, token.tenant, join(token.scopes), token.created_by, token.created_ms, token.expires_ms}),
      "a token with this name exists already in the tenant"));
  return id.value_or(0);
}

Result<> touch_token(Write& db, std::int64_t id, TimestampMs now) {
  return none(db.execute("UPDATE api_token SET last_used_ms = $1 WHERE id = $2", {now, id}));
}
Result<bool> remove_token(Write& db, std::int64_t id) {
  return any(db.execute("DELETE FROM api_token WHERE id = $1", {id}));
}

Result<> set_setup_link(Write& db, std::string_view digest, TimestampMs now, TimestampMs expires) {
  TRY(db.execute("DELETE FROM setup_link"));
  return none(db.execute("INSERT INTO setup_link (digest, created_ms, expires_ms) VALUES ($1, $2, $3)",
                         {digest, now, expires}));
}

Result<bool> take_setup_link(Write& db, std::string_view digest, TimestampMs now) {
  return any(db.execute("DELETE FROM setup_link WHERE digest = $1 AND expires_ms > $2", {digest, now}));
}

Result<UserSettings> settings(Read& db, std::int64_t user_id) {
  auto row =
      TRY((db.query_one<std::string, std::string, std::string, std::string, std::optional<bool>, std::optional<int>>(
          "SELECT language, theme, density, timezone, hour12, week_start FROM account_settings WHERE account_id = $1",
          {user_id})));
  if (!row) return UserSettings{};
  auto& [language, theme, density, timezone, hour12, week_start] = *row;
  return UserSettings{std::move(language), std::move(theme), std::move(density),
                      std::move(timezone), hour12,           week_start};
}

Result<> set_settings(Write& db, std::int64_t user_id, const UserSettings& s) {
  return none(db.execute(
      "INSERT INTO account_settings (account_id, language, theme, density, timezone, hour12, week_start)"
      " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (account_id) DO UPDATE SET language = excluded.language,"
      " theme = excluded.theme, density = excluded.density, timezone = excluded.timezone, hour12 = excluded.hour12,"
      " week_start = excluded.week_start",
      {user_id, s.language, s.theme, s.density, s.timezone, s.hour12, s.week_start}));
}

Result<std::vector<Team>> teams(Read& db) {
  auto rows = TRY((db.query<std::int64_t, std::string>("SELECT id, name FROM team ORDER BY name")));
  auto members =
      TRY((db.query<std::int64_t, std::int64_t>("SELECT team_id, account_id FROM team_member ORDER BY account_id")));
  std::vector<Team> out;
  for (auto& [id, name] : rows) {
    Team& team = out.emplace_back(Team{id, std::move(name), {}});
    for (auto& [team_id, member] : members) {
      if (team_id == id) team.members.push_back(member);
    }
  }
  return out;
}

Result<std::optional<Team>> team(Read& db, std::int64_t id) {
  auto name = TRY(db.query_value<std::string>("SELECT name FROM team WHERE id = $1", {id}));
  if (!name) return std::optional<Team>();
  Team out{id, std::move(*name), {}};
  for (auto& [member] :
       TRY(db.query<std::int64_t>("SELECT account_id FROM team_member WHERE team_id = $1 ORDER BY account_id", {id}))) {
    out.members.push_back(member);
  }
  return std::optional<Team>(std::move(out));
}

Result<std::int64_t> add_team(Write& db, const Team& team) {
  auto id = TRY(or_taken(db.query_value<std::int64_t>("INSERT INTO team (name) VALUES ($1) RETURNING id", {team.name}),
                         "a team with this name exists already"));
  Team added = team;
  added.id = id.value_or(0);
  TRY(set_members(db, added));
  return added.id;
}

Result<> update_team(Write& db, const Team& team) {
  TRY(or_taken(db.execute("UPDATE team SET name = $1 WHERE id = $2", {team.name, team.id}),
               "a team with this name exists already"));
  return set_members(db, team);
}

Result<bool> remove_team(Write& db, std::int64_t id) { return any(db.execute("DELETE FROM team WHERE id = $1", {id})); }

Result<> put_secret(Write& db, std::string_view tenant, std::string_view name, std::string box, TimestampMs now) {
  return none(
      db.execute("INSERT INTO secret (tenant, name, box, updated_ms) VALUES ($1, $2, $3, $4)"
                 " ON CONFLICT (tenant, name) DO UPDATE SET box = excluded.box, updated_ms = excluded.updated_ms",
                 {tenant, name, db::Bytes{std::move(box)}, now}));
}

Result<std::optional<std::string>> secret(Read& db, std::string_view tenant, std::string_view name) {
  auto box = TRY(db.query_value<db::Bytes>("SELECT box FROM secret WHERE tenant = $1 AND name = $2", {tenant, name}));
  if (!box) return std::optional<std::string>();
  return std::optional<std::string>(std::move(box->data));
}

Result<std::vector<std::string>> secret_names(Read& db, std::string_view tenant) {
  std::vector<std::string> out;
  for (auto& [name] : TRY(db.query<std::string>("SELECT name FROM secret WHERE tenant = $1 ORDER BY name", {tenant}))) {
    out.push_back(std::move(name));
  }
  return out;
}

Result<bool> remove_secret(Write& db, std::string_view tenant, std::string_view name) {
  return any(db.execute("DELETE FROM secret WHERE tenant = $1 AND name = $2", {tenant, name}));
}

Result<> add_audit(Write& db, const AuditEntry& e, std::int64_t keep_rows) {
  auto id =
      TRY(db.query_value<std::int64_t>("INSERT INTO audit (time_ms, actor, tenant, action, target, detail, address)"
                                       " VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
                                       {e.time_ms, e.actor, e.tenant, e.action, e.target, e.detail, e.address}));
  // Ids are dense enough: every 256th row pays for the tidying.
  if (id && *id % 256 == 0) TRY(db.execute("DELETE FROM audit WHERE id <= $1", {*id - keep_rows}));
  return {};
}

Result<std::vector<AuditEntry>> audit(Read& db, std::optional<std::string_view> tenant, std::int64_t before,
                                      std::int64_t limit) {
  Args args = {before, limit};
  std::string condition = "id < $1";
  if (tenant) {
    condition += " AND tenant = $3";
    args.emplace_back(*tenant);
  }
  auto rows = TRY(
      (db.query<std::int64_t, std::int64_t, std::string, std::string, std::string, std::string, std::string,
                std::string>("SELECT id, time_ms, actor, tenant, action, target, detail, address FROM audit WHERE " +
                                 condition + " ORDER BY id DESC LIMIT $2",
                             args)));
  std::vector<AuditEntry> out;
  for (auto& [id, time, actor, of, action, target, detail, address] : rows) {
    out.push_back({id, time, std::move(actor), std::move(of), std::move(action), std::move(target), std::move(detail),
                   std::move(address)});
  }
  return out;
}

}  // namespace tocayo::tenancy::store
