// SPDX-License-Identifier: Apache-2.0
import type { QueryData } from '@/shared/api/prom';
import { request } from '@/shared/api/request';

/** The server's own account of a query, seconds and counts; null where it said nothing. */
export interface ServerStats {
  evalSeconds: number | null;
  queueSeconds: number | null;
  samples: number | null;
}

const number = (value: unknown): number | null => (typeof value === 'number' ? value : null);

/** Reads `data.stats` as Prometheus writes it. Total: anything else gives nulls. */
export function serverStats(stats: unknown): ServerStats {
  const { timings = {}, samples = {} } = (stats ?? {}) as Record<string, Record<string, unknown>>;
  return {
    evalSeconds: number(timings.evalTotalTime),
    queueSeconds: number(timings.execQueueTime),
    samples: number(samples.totalQueryableSamples),
  };
}

export interface InstantAnswer {
  data: QueryData;
  stats: ServerStats;
  elapsedMs: number;
}

export async function instantWithStats(query: string, timeMs: number, signal?: AbortSignal): Promise<InstantAnswer> {
  const started = performance.now();
  const form = new URLSearchParams({ query, time: String(timeMs / 1000), stats: 'true' });
  const answer = await request<{ data: QueryData & { stats?: unknown } }>('/api/v1/query', {
    method: 'POST',
    form,
    signal,
  });
  return { data: answer.data, stats: serverStats(answer.data.stats), elapsedMs: performance.now() - started };
}
