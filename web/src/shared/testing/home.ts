// SPDX-License-Identifier: Apache-2.0
import type { HomeData, HostSummary } from '../api/home';

export const NOW = 1_795_516_320_000;

export const host = (name: string, change: Partial<HostSummary> = {}): HostSummary => ({
  instance: `${name}:9100`,
  hostname: name,
  job: 'node',
  os: 'Debian 12',
  lastSeenMs: Date.now() - 2000,
  cpu: 0.25,
  memory: 0.5,
  disk: 0.75,
  ...change,
});

/** What the server says of a quiet instance with one machine. */
export const quietHome = (change: Partial<HomeData> = {}): HomeData => ({
  nowMs: NOW,
  lastSampleMs: NOW - 2000,
  ingestRate: 123,
  activeSeries: 4567,
  hosts: [host('web-1')],
  targets: { up: 2, down: [] },
  health: [{ id: 'wal', state: 'ok', message: '' }],
  events: [],
  self: { version: '0.1.0', uptimeSeconds: 3600, rssBytes: 1, cpuSecondsTotal: 1 },
  warnings: [],
  ...change,
});
