-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE tenant (
  name TEXT PRIMARY KEY,
  display_name TEXT NOT NULL,
  created_ms BIGINT NOT NULL
);
CREATE TABLE account (
  id {identity},
  login TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  disabled BIGINT NOT NULL DEFAULT 0,
  instance_admin BIGINT NOT NULL DEFAULT 0,
  created_ms BIGINT NOT NULL,
  last_login_ms BIGINT
);
CREATE TABLE membership (
  account_id BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  tenant TEXT NOT NULL REFERENCES tenant (name) ON DELETE CASCADE,
  role TEXT NOT NULL,
  PRIMARY KEY (account_id, tenant)
);
CREATE INDEX membership_tenant ON membership (tenant);
-- Only digests of what is secret: sessions, tokens, set-up links.
CREATE TABLE session (
  digest TEXT PRIMARY KEY,
  account_id BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  created_ms BIGINT NOT NULL,
  seen_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL,
  address TEXT NOT NULL,
  user_agent TEXT NOT NULL
);
CREATE INDEX session_account ON session (account_id);
CREATE TABLE api_token (
  id {identity},
  digest TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  tenant TEXT NOT NULL REFERENCES tenant (name) ON DELETE CASCADE,
  scopes TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  last_used_ms BIGINT,
  expires_ms BIGINT,
  UNIQUE (tenant, name)
);
CREATE TABLE setup_link (
  digest TEXT PRIMARY KEY,
  created_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL
);
-- account_id 0 is the local operator when login is off.
CREATE TABLE account_settings (
  account_id BIGINT PRIMARY KEY,
  language TEXT NOT NULL DEFAULT '',
  theme TEXT NOT NULL DEFAULT '',
  timezone TEXT NOT NULL DEFAULT '',
  hour12 BIGINT,
  week_start BIGINT
);
CREATE TABLE team (
  id {identity},
  name TEXT NOT NULL UNIQUE
);
CREATE TABLE team_member (
  team_id BIGINT NOT NULL REFERENCES team (id) ON DELETE CASCADE,
  account_id BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  PRIMARY KEY (team_id, account_id)
);
CREATE INDEX team_member_account ON team_member (account_id);
CREATE TABLE secret (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  box BYTEA NOT NULL,
  updated_ms BIGINT NOT NULL,
  PRIMARY KEY (tenant, name)
);
CREATE TABLE audit (
  id {identity},
  time_ms BIGINT NOT NULL,
  actor TEXT NOT NULL,
  tenant TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  detail TEXT NOT NULL,
  address TEXT NOT NULL
);
CREATE INDEX audit_tenant ON audit (tenant, id);
