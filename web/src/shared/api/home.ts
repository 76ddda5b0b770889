// SPDX-License-Identifier: Apache-2.0
import { queryOptions } from '@tanstack/react-query';
import { request } from './request';

export interface HostSummary {
  instance: string;
  hostname: string;
  job: string;
  os: string;
  lastSeenMs: number;
  cpu: number | null;
  memory: number | null;
  disk: number | null;
}

export interface HealthItem {
  id: string;
  state: 'ok' | 'warning' | 'critical';
  message: string;
  value?: number;
}

export interface HomeData {
  nowMs: number;
  lastSampleMs: number | null;
  ingestRate: number;
  activeSeries: number;
  hosts: HostSummary[];
  targets: { up: number; down: { job: string; instance: string; lastError: string; sinceMs: number }[] };
  health: HealthItem[];
  events: { timeMs: number; kind: string; title: string; detail: string }[];
  self: { version: string; uptimeSeconds: number; rssBytes: number; cpuSecondsTotal: number };
}

/** One request for the whole page; asked again every few seconds, faster while nothing has arrived yet. */
export const homeQuery = queryOptions({
  queryKey: ['home'],
  queryFn: ({ signal }) => request<HomeData>('/api/ui/home', { signal }),
  refetchInterval: (query) => (query.state.data && hasData(query.state.data) ? 5000 : 1500),
  staleTime: 1000,
});

export function hasData(home: HomeData): boolean {
  return home.lastSampleMs !== null && home.lastSampleMs > 0;
}
