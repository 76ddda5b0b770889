-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE event (
  id {identity},
  tenant TEXT NOT NULL,
  time_ms BIGINT NOT NULL,
  recorded_ms BIGINT NOT NULL,
  kind TEXT NOT NULL,
  source TEXT NOT NULL,
  actor TEXT NOT NULL,
  title TEXT NOT NULL,
  detail TEXT NOT NULL,
  url TEXT NOT NULL,
  labels TEXT NOT NULL,
  dedup_key TEXT NOT NULL
);
CREATE INDEX event_time ON event (tenant, time_ms, id);
CREATE INDEX event_order ON event (tenant, id);
CREATE UNIQUE INDEX event_dedup ON event (tenant, dedup_key) WHERE dedup_key <> '';
-- The labels once more, for filters.
CREATE TABLE event_label (
  event_id BIGINT NOT NULL REFERENCES event (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (event_id, name)
);
CREATE INDEX event_label_value ON event_label (name, value, event_id);
