// SPDX-License-Identifier: Apache-2.0
// The SQL of this room. Functions on a session or transaction; no rules here. Private to tenancy.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "db/database.h"
#include "tenancy/model.h"

namespace tocayo::tenancy::store {

using Read = db::Session;
using Write = db::Transaction;

Result<std::vector<Tenant>> tenants(Read& db);
Result<bool> tenant_exists(Read& db, std::string_view name);
Result<> add_tenant(Write& db, const Tenant& tenant);         // conflict when it exists
Result<bool> ensure_tenant(Write& db, const Tenant& tenant);  // false when it existed
Result<bool> remove_tenant(Write& db, std::string_view name);

Result<std::vector<User>> users(Read& db);
Result<std::optional<User>> user(Read& db, std::int64_t id);
Result<std::int64_t> add_user(Write& db, const User& user, std::string_view password_hash);
Result<> update_user(Write& db, const User& user);  // name, disabled, instance_admin, roles
Result<bool> remove_user(Write& db, std::int64_t id);
Result<std::int64_t> count_users(Read& db);
Result<std::int64_t> count_active_admins(Read& db);  // enabled instance admins
struct Password {
  std::int64_t user_id;
  std::string hash;
  bool disabled;
};
Result<std::optional<Password>> password_of_login(Read& db, std::string_view login);
Result<std::optional<Password>> password_of_user(Read& db, std::int64_t id);
Result<> set_password(Write& db, std::int64_t user_id, std::string_view hash);
Result<> note_login(Write& db, std::int64_t user_id, TimestampMs now);

Result<> add_session(Write& db, std::string_view digest, const Session& session, std::string_view address,
                     std::string_view agent);
Result<std::optional<Session>> session(Read& db, std::string_view digest);
Result<> touch_session(Write& db, std::string_view digest, TimestampMs now);
Result<bool> remove_session(Write& db, std::string_view digest);
Result<> remove_sessions_of(Write& db, std::int64_t user_id, std::string_view except_digest);
Result<> remove_expired_sessions(Write& db, TimestampMs now, TimestampMs idle_since);

Result<std::vector<Token>> tokens(Read& db, std::optional<std::string_view> tenant);
Result<std::optional<Token>> token(Read& db, std::int64_t id);
Result<std::optional<Token>> token_by_digest(Read& db, std::string_view digest);
Result<std::int64_t> add_token(Write& db, const Token& token, std::string_view digest);
Result<> touch_token(Write& db, std::int64_t id, TimestampMs now);
Result<bool> remove_token(Write& db, std::int64_t id);

Result<> set_setup_link(Write& db, std::string_view digest, TimestampMs now,
                        TimestampMs expires);  // replaces the former
Result<bool> take_setup_link(Write& db, std::string_view digest, TimestampMs now);

Result<UserSettings> settings(Read& db, std::int64_t user_id);
Result<> set_settings(Write& db, std::int64_t user_id, const UserSettings& settings);

Result<std::vector<Team>> teams(Read& db);
Result<std::optional<Team>> team(Read& db, std::int64_t id);
Result<std::int64_t> add_team(Write& db, const Team& team);
Result<> update_team(Write& db, const Team& team);
Result<bool> remove_team(Write& db, std::int64_t id);

Result<> put_secret(Write& db, std::string_view tenant, std::string_view name, std::string box, TimestampMs now);
Result<std::optional<std::string>> secret(Read& db, std::string_view tenant, std::string_view name);
Result<std::vector<std::string>> secret_names(Read& db, std::string_view tenant);
Result<bool> remove_secret(Write& db, std::string_view tenant, std::string_view name);

Result<> add_audit(Write& db, const AuditEntry& entry, std::int64_t keep_rows);
Result<std::vector<AuditEntry>> audit(Read& db, std::optional<std::string_view> tenant, std::int64_t before,
                                      std::int64_t limit);

}  // namespace tocayo::tenancy::store
