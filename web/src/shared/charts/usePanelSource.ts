// SPDX-License-Identifier: Apache-2.0
// Queries of one panel to something a chart can draw: live over the socket, or a range over HTTP.
import { useQueries } from '@tanstack/react-query';
import { useEffect, useMemo, useState } from 'react';
import { type Labels, queryRange } from '../api/prom';
import { LiveFeed } from '../live/feed';
import { useStaleSeconds } from '../live/useLiveAge';
import { type Range, stepFor } from '../time/range';
import type { RegionState } from '../ui/DataRegion';
import { stateOfError } from '../ui/DataRegion';
import { type ChartModel, type ChartSource, fromMatrix, mergeModels, staticSource } from './model';

export interface PanelQuery {
  key: string;
  expr: string;
  name: (labels: Labels) => string;
  /** Smaller comes first; series of equal rank are sorted by name. */
  rank?: (labels: Labels) => number;
  /** What is left over: drawn in grey, outside the palette. */
  rest?: boolean;
}

export interface QueryOutcome {
  error?: Error;
  warnings: string[];
  infos: string[];
  elapsedMs: number | null;
}

export interface PanelSource {
  source: ChartSource;
  state: RegionState;
  busy: boolean;
  /** By query key. */
  outcomes: Record<string, QueryOutcome>;
}

const EMPTY: ChartModel = { x: [], series: [] };

/** Steps so that a panel has at most this many points; more are not seen at its width. */
const POINTS = 320;

export function usePanelSource(
  queries: readonly PanelQuery[],
  range: Range,
  isLive: boolean,
  emptyWhy: string,
  points = POINTS,
): PanelSource {
  const liveSource = useLive(queries, range, isLive, emptyWhy);
  const rangeSource = useRange(queries, range, !isLive, emptyWhy, points);
  return isLive ? liveSource : rangeSource;
}

function useLive(queries: readonly PanelQuery[], range: Range, enabled: boolean, emptyWhy: string): PanelSource {
  const span = range.toMs - range.fromMs;
  const signature = queries.map((q) => `${q.key}=${q.expr}`).join('\n');
  // biome-ignore lint/correctness/useExhaustiveDependencies: names may be new functions at each render, the expressions decide
  const feed = useMemo(
    () => (enabled ? new LiveFeed(queries, span, stepFor(span, 600)) : null),
    [signature, span, enabled],
  );
  const [shape, setShape] = useState('');
  const stale = useStaleSeconds();
  useEffect(() => {
    if (!feed) return;
    const look = () => setShape(`${feed.ready()}|${feed.model().series.length}|${feed.failures().join('\u0001')}`);
    look();
    const off = feed.subscribe(look);
    feed.start();
    return () => {
      off();
      feed.stop();
    };
  }, [feed]);
  const source = useMemo(() => feed ?? staticSource(EMPTY, range.fromMs, range.toMs), [feed, range.fromMs, range.toMs]);
  const failures = feed?.failures() ?? [];
  const count = shape === '' ? 0 : (feed?.model().series.length ?? 0);
  let state: RegionState = { kind: 'ready' };
  if (!feed?.ready()) state = { kind: 'loading' };
  else if (count === 0 && failures.length > 0) state = { kind: 'error', error: new Error(failures[0]) };
  else if (count === 0) state = { kind: 'empty', why: emptyWhy };
  else if (failures.length > 0) state = { kind: 'partial', failures };
  else if (stale !== null) state = { kind: 'stale', ageSeconds: stale };
  const outcomes = Object.fromEntries(
    queries.map((q): [string, QueryOutcome] => {
      const message = feed?.failureOf(q.key);
      return [q.key, { warnings: [], infos: [], elapsedMs: null, ...(message ? { error: new Error(message) } : {}) }];
    }),
  );
  return { source, state, busy: false, outcomes };
}

function useRange(
  queries: readonly PanelQuery[],
  range: Range,
  enabled: boolean,
  emptyWhy: string,
  points: number,
): PanelSource {
  const step = stepFor(range.toMs - range.fromMs, points);
  const start = Math.floor(range.fromMs / step) * step;
  const end = Math.floor(range.toMs / step) * step;
  const results = useQueries({
    queries: queries.map((q) => ({
      queryKey: ['query_range', q.expr, start, end, step],
      queryFn: ({ signal }: { signal: AbortSignal }) => queryRange(q.expr, start, end, step, signal),
      enabled,
      placeholderData: (previous: Awaited<ReturnType<typeof queryRange>> | undefined) => previous,
      staleTime: Number.POSITIVE_INFINITY,
      gcTime: 60_000,
    })),
  });
  const stamp = results.map((r) => r.dataUpdatedAt).join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the stamp says when any answer changed
  const model = useMemo(
    () =>
      mergeModels(
        results.flatMap((r, i) => {
          const query = queries[i];
          return r.data && query ? [fromMatrix(r.data.data.result, start, end, step, query)] : [];
        }),
      ),
    [stamp, start, end, step, queries],
  );
  const source = useMemo(() => staticSource(model, range.fromMs, range.toMs), [model, range.fromMs, range.toMs]);
  const errors = results.flatMap((r) => (r.error ? [r.error] : []));
  let state: RegionState = { kind: 'ready' };
  if (model.series.length === 0) {
    if (results.some((r) => r.isPending)) state = { kind: 'loading' };
    else if (errors[0]) state = stateOfError(errors[0], () => results.forEach((r) => void r.refetch()));
    else state = { kind: 'empty', why: emptyWhy };
  } else if (errors.length > 0) state = { kind: 'partial', failures: errors.map((e) => e.message) };
  const outcomes = Object.fromEntries(
    queries.map((q, i): [string, QueryOutcome] => {
      const r = results[i];
      return [
        q.key,
        {
          warnings: r?.data?.warnings ?? [],
          infos: r?.data?.infos ?? [],
          elapsedMs: r?.data?.elapsedMs ?? null,
          ...(r?.error ? { error: r.error } : {}),
        },
      ];
    }),
  );
  return { source, state, busy: results.some((r) => r.isFetching), outcomes };
}
