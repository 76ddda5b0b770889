// SPDX-License-Identifier: Apache-2.0
// Queries of one panel to something a chart can draw: live over the socket, or a range over HTTP, decoded in a worker.
import { type UseQueryResult, useQueries } from '@tanstack/react-query';
import { useEffect, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type Grid, type Labels, onGrid, sameGrid } from '../frames/matrix';
import { queryColumns, type RangeAnswer } from '../frames/rangeQuery';
import { LiveFeed } from '../live/feed';
import { useStaleSeconds } from '../live/useLiveAge';
import { type Range, stepFor } from '../time/range';
import type { RegionState } from '../ui/DataRegion';
import { stateOfError } from '../ui/DataRegion';
import { type ChartSource, fromFrame, mergeModels, NO_MODEL, staticSource, withComparison } from './model';

export interface PanelQuery {
  key: string;
  expr: string;
  name: (labels: Labels) => string;
  /** Smaller comes first; series of equal rank are sorted by name. */
  rank?: (labels: Labels) => number;
  /** What is left over: drawn in grey, outside the palette. */
  rest?: boolean;
}

/** An older period to draw over this one. */
export interface Comparison {
  shiftMs: number;
  /** Name of the older series of a series. */
  name: (name: string) => string;
}

export interface PanelTime {
  range: Range;
  live: boolean;
  compare?: Comparison | null;
}

export interface QueryOutcome {
  error?: Error;
  warnings: string[];
  infos: string[];
  elapsedMs: number | null;
  /** What came back, for the inspector. Null while live or before the first answer. */
  answer: RangeAnswer | null;
}

export interface PanelSource {
  source: ChartSource;
  state: RegionState;
  busy: boolean;
  /** By query key. */
  outcomes: Record<string, QueryOutcome>;
}

/** Steps so that a panel has at most this many points; more are not seen at its width. */
const POINTS = 320;

export function usePanelSource(
  queries: readonly PanelQuery[],
  time: PanelTime,
  emptyWhy: string,
  points = POINTS,
): PanelSource {
  const liveSource = useLive(queries, time.range, time.live, emptyWhy);
  const rangeSource = useRange(queries, time, !time.live, emptyWhy, points);
  return time.live ? liveSource : rangeSource;
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
  const source = useMemo(
    () => feed ?? staticSource(NO_MODEL, range.fromMs, range.toMs),
    [feed, range.fromMs, range.toMs],
  );
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
      const none = { warnings: [], infos: [], elapsedMs: null, answer: null };
      return [q.key, { ...none, ...(message ? { error: new Error(message) } : {}) }];
    }),
  );
  return { source, state, busy: false, outcomes };
}

/** The step grid of a range: whole steps, so that a refresh asks for the same instants again. */
export function gridOf(range: Range, points: number): Grid {
  const stepMs = stepFor(range.toMs - range.fromMs, points);
  return {
    startMs: Math.floor(range.fromMs / stepMs) * stepMs,
    endMs: Math.floor(range.toMs / stepMs) * stepMs,
    stepMs,
  };
}

type Results = UseQueryResult<RangeAnswer, Error>[];

/** One answer per query on that grid; the answers before stay in sight while new ones are under way. */
function useFrames(queries: readonly PanelQuery[], { startMs, endMs, stepMs }: Grid, enabled: boolean): Results {
  return useQueries({
    queries: queries.map((q) => ({
      queryKey: ['query_range', q.expr, startMs, endMs, stepMs],
      queryFn: ({ signal }: { signal: AbortSignal }) => queryColumns(q.expr, { startMs, endMs, stepMs }, signal),
      enabled,
      placeholderData: (previous: RangeAnswer | undefined) => previous,
      staleTime: Number.POSITIVE_INFINITY,
      gcTime: 60_000,
      structuralSharing: false,
    })),
  });
}

/** Series of every answer on one grid: that of this range as soon as one answer has it, else that of the range before. */
function modelsOf(queries: readonly PanelQuery[], results: Results, grid: Grid) {
  const first = results.find((r) => r.data)?.data;
  const shared = !first || results.some((r) => r.data && sameGrid(r.data, grid)) ? grid : first;
  return results.flatMap((r, i) => {
    const query = queries[i];
    return r.data && query ? [{ key: query.key, model: fromFrame(onGrid(r.data, shared), query) }] : [];
  });
}

const NO_QUERIES: readonly PanelQuery[] = [];

function useRange(
  queries: readonly PanelQuery[],
  { range, compare }: PanelTime,
  enabled: boolean,
  emptyWhy: string,
  points: number,
): PanelSource {
  const { t } = useTranslation();
  const grid = gridOf(range, points);
  const { startMs, endMs, stepMs } = grid;
  const back = compare ? Math.max(1, Math.round(compare.shiftMs / stepMs)) * stepMs : 0;
  const results = useFrames(queries, grid, enabled);
  const pastGrid = { startMs: startMs - back, endMs: endMs - back, stepMs };
  const past = useFrames(back > 0 ? queries : NO_QUERIES, pastGrid, enabled);
  const stamp = [...results, ...past].map((r) => `${r.dataUpdatedAt}${r.isPlaceholderData ? 'p' : ''}`).join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the stamp says when any answer changed
  const model = useMemo(() => {
    const now = mergeModels(modelsOf(queries, results, grid).map((m) => m.model));
    // Older series are shown as soon as both are there for this very range.
    const ready = compare && results.every((r) => !r.isPlaceholderData) && past.every((r) => !r.isPlaceholderData);
    return ready ? withComparison(now, modelsOf(queries, past, pastGrid), back, compare.name) : now;
  }, [stamp, startMs, endMs, stepMs, back, queries]);
  const source = useMemo(() => staticSource(model, range.fromMs, range.toMs), [model, range.fromMs, range.toMs]);
  const errors = [...results, ...past].flatMap((r) => (r.error ? [r.error] : []));
  let state: RegionState = { kind: 'ready' };
  if (model.series.length === 0) {
    if (results.some((r) => r.isPending)) state = { kind: 'loading' };
    else if (errors[0]) state = stateOfError(errors[0], () => results.forEach((r) => void r.refetch()));
    else
      state = { kind: 'empty', why: results.some((r) => r.data?.histogramSeries) ? t('chart.histograms') : emptyWhy };
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
          answer: r?.data ?? null,
          ...(r?.error ? { error: r.error } : {}),
        },
      ];
    }),
  );
  return { source, state, busy: [...results, ...past].some((r) => r.isFetching), outcomes };
}
