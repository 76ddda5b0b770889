// SPDX-License-Identifier: Apache-2.0
// Small charts, ages and sizes of the metrics in sight: three queries for all of them, once scrolling has come to rest.
import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { queryInstant } from '@/shared/api/prom';
import { queryColumns } from '@/shared/frames/rangeQuery';
import { ageQuery, selectorOf } from './metricHelp';

const STEP_MS = 60_000;
const HOUR_MS = 3_600_000;
const REST_MS = 200;

export interface Trends {
  /** By metric: one value a minute over the last hour, all series added up. */
  lines: ReadonlyMap<string, Float64Array>;
  /** By metric: seconds since its newest sample. */
  ages: ReadonlyMap<string, number>;
  /** By metric: how many series have a recent sample. */
  sizes: ReadonlyMap<string, number>;
  /** What was asked for: a metric in here without an age has no recent sample. */
  asked: ReadonlySet<string>;
}

const NONE: Trends = { lines: new Map(), ages: new Map(), sizes: new Map(), asked: new Set() };

async function load(metrics: readonly string[], signal: AbortSignal): Promise<Trends> {
  const endMs = Math.floor(Date.now() / STEP_MS) * STEP_MS;
  const nowMs = Date.now();
  const grid = { startMs: endMs - HOUR_MS, endMs, stepMs: STEP_MS };
  const [frame, ages, sizes] = await Promise.all([
    queryColumns(`sum by (__name__) (${selectorOf(metrics)})`, grid, signal),
    queryInstant(ageQuery(metrics), nowMs, signal),
    queryInstant(`count by (__name__) (${selectorOf(metrics)})`, nowMs, signal),
  ]);
  const rows = (answer: typeof ages) => (answer.data.resultType === 'vector' ? answer.data.result : []);
  return {
    lines: new Map(frame.columns.map((c) => [c.labels.__name__ ?? '', c.values])),
    ages: new Map(rows(ages).map((r) => [r.metric.metric ?? '', Math.max(0, nowMs / 1000 - Number(r.value?.[1]))])),
    sizes: new Map(rows(sizes).map((r) => [r.metric.__name__ ?? '', Number(r.value?.[1])])),
    asked: new Set(metrics),
  };
}

export function useTrends(metrics: readonly string[]): Trends {
  const wanted = metrics.join('\n');
  const [settled, setSettled] = useState('');
  useEffect(() => {
    const timer = setTimeout(() => setSettled(wanted), REST_MS);
    return () => clearTimeout(timer);
  }, [wanted]);
  const trends = useQuery<Trends>({
    queryKey: ['trends', settled],
    queryFn: ({ signal }) => load(settled.split('\n'), signal),
    enabled: settled !== '',
    placeholderData: (previous) => previous,
    staleTime: 60_000,
    gcTime: 60_000,
    structuralSharing: false,
  });
  return trends.data ?? NONE;
}
