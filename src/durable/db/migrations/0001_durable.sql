-- SPDX-License-Identifier: Apache-2.0
-- What every control room shares: things to deliver, things to do later, who may do them.
CREATE TABLE outbox (
  id {identity},
  room TEXT NOT NULL,
  channel TEXT NOT NULL,
  destination TEXT NOT NULL,
  ref TEXT NOT NULL,
  dedup_key TEXT NOT NULL,
  payload TEXT NOT NULL,
  policy TEXT NOT NULL,
  dead BIGINT NOT NULL DEFAULT 0,
  attempts BIGINT NOT NULL DEFAULT 0,
  created_ms BIGINT NOT NULL,
  next_try_ms BIGINT NOT NULL,
  lease_until_ms BIGINT NOT NULL DEFAULT 0,
  lease_token BIGINT NOT NULL DEFAULT 0,
  last_error TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX outbox_dedup ON outbox (channel, dedup_key) WHERE dedup_key <> '';
CREATE INDEX outbox_due ON outbox (channel, next_try_ms) WHERE dead = 0;
CREATE INDEX outbox_order ON outbox (channel, destination, id) WHERE dead = 0;

CREATE TABLE timer (
  id {identity},
  kind TEXT NOT NULL,
  aggregate TEXT NOT NULL,
  dedup TEXT NOT NULL,
  shard BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  due_ms BIGINT NOT NULL,
  next_try_ms BIGINT NOT NULL,
  attempts BIGINT NOT NULL DEFAULT 0,
  payload TEXT NOT NULL,
  UNIQUE (kind, aggregate, dedup)
);
CREATE INDEX timer_due ON timer (next_try_ms, id);

CREATE TABLE shard_epoch (
  kind TEXT NOT NULL,
  shard BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  owner TEXT NOT NULL,
  taken_ms BIGINT NOT NULL,
  PRIMARY KEY (kind, shard)
);
CREATE TABLE shard_member (
  kind TEXT NOT NULL,
  instance TEXT NOT NULL,
  seen_ms BIGINT NOT NULL,
  PRIMARY KEY (kind, instance)
);
