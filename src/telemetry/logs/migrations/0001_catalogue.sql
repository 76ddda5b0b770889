-- SPDX-License-Identifier: Apache-2.0
-- Segments on disk: what is not here as 'live' does not exist.
CREATE TABLE log_segment (
  id BIGINT PRIMARY KEY,
  tenant TEXT NOT NULL,
  day BIGINT NOT NULL,
  group_hash BIGINT NOT NULL,
  level BIGINT NOT NULL,
  min_ts BIGINT NOT NULL,
  max_ts BIGINT NOT NULL,
  rows BIGINT NOT NULL,
  raw_bytes BIGINT NOT NULL,
  file_bytes BIGINT NOT NULL,
  journal_from BIGINT NOT NULL,
  journal_to BIGINT NOT NULL,
  path TEXT NOT NULL,
  state TEXT NOT NULL,
  tombstone BIGINT NOT NULL,
  rank BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX log_segment_tenant ON log_segment (tenant, day);

-- Journal records of the tenant before this position are in segments.
CREATE TABLE log_journal_cut (
  tenant TEXT PRIMARY KEY,
  position BIGINT NOT NULL
);

-- Delete requests. `sequence` orders them against segments: a segment holds no row of those up to its `tombstone`.
CREATE TABLE log_tombstone (
  sequence BIGINT PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  tenant TEXT NOT NULL,
  selector TEXT NOT NULL,
  from_ts BIGINT NOT NULL,
  to_ts BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  state TEXT NOT NULL,
  affected BIGINT NOT NULL
);
CREATE INDEX log_tombstone_tenant ON log_tombstone (tenant, sequence);
