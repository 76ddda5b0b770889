-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE ui_short_link (
  uid TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  path TEXT NOT NULL,
  created_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX ui_short_link_path ON ui_short_link (tenant, path);
