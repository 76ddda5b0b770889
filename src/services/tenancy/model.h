// SPDX-License-Identifier: Apache-2.0
// Plain types of this room. Times are milliseconds since the epoch.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/time.h"
#include "http/message.h"

namespace tocayo::tenancy {

using http::Role;

std::string_view to_string(Role role);           // "none", "viewer", "editor", "admin"
Result<Role> parse_role(std::string_view text);  // viewer, editor, admin

struct Tenant {
  std::string name;  // the id of X-Scope-OrgID
  std::string display_name;
  TimestampMs created_ms = 0;
};

struct User {
  std::int64_t id = 0;
  std::string login;  // lower case
  std::string name;
  bool disabled = false;
  bool instance_admin = false;
  std::map<std::string, Role> roles;  // by tenant
  TimestampMs created_ms = 0;
  std::optional<TimestampMs> last_login_ms;
};

struct Token {
  std::int64_t id = 0;
  std::string name;
  std::string tenant;
  std::vector<std::string> scopes;
  std::string created_by;
  TimestampMs created_ms = 0;
  std::optional<TimestampMs> last_used_ms;
  std::optional<TimestampMs> expires_ms;
};

struct Session {
  std::int64_t user_id = 0;
  TimestampMs created_ms = 0;
  TimestampMs seen_ms = 0;
  TimestampMs expires_ms = 0;  // absolute
};

struct UserSettings {
  std::string language;  // "" (the browser's), "en", "es"
  std::string theme;     // "", "system", "dark", "light", "contrast"
  std::string density;   // "", "compact", "cosy"
  std::string timezone;  // "", "browser", "utc" or an IANA name
  std::optional<bool> hour12;
  std::optional<int> week_start;  // 0 Sunday … 6 Saturday
};

struct Team {
  std::int64_t id = 0;
  std::string name;
  std::vector<std::int64_t> members;  // user ids
};

struct AuditEntry {
  std::int64_t id = 0;
  TimestampMs time_ms = 0;
  std::string actor;  // login, "token:<name>", "anonymous" with login off
  std::string tenant;
  std::string action;  // "user.create", "login.failed"
  std::string target;
  std::string detail;
  std::string address;
};

// Who does something, for the audit log and for the rules that depend on it.
struct Actor {
  std::string login;
  std::int64_t user_id = 0;
  std::string tenant;
  bool instance_admin = false;
  std::string address;
};
Actor actor_of(const http::Request& request);

// Scopes of tokens: "<area>:read", "<area>:write" for the areas metrics, logs, rules, dashboards, events, fleet; "read"
// and "write" for all areas; "admin" (everything in the tenant); "instance:admin" (everything). Writing does not
// include reading.
Result<> check_scope(std::string_view scope);

}  // namespace tocayo::tenancy
