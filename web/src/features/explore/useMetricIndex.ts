// SPDX-License-Identifier: Apache-2.0
// All metric names live in a worker; this is what the page sees of them: how many there are and the rows in sight. With
// half a million of them the whole list takes a moment: until it is there the first rows stand for it.
import { useQuery } from '@tanstack/react-query';
import { useCallback, useEffect, useRef, useState } from 'react';
import { request } from '@/shared/api/request';
import { names } from '@/shared/frames/client';
import type { NameSlice } from '@/shared/frames/names';
import { fillHelp, fillNames } from './metricNames';

const PAGE = 64;
/** More than fit into the list. */
const FIRST = 40;

export interface MetricIndex {
  /** Null until the names are there. */
  total: number | null;
  /** How many the filter leaves, or how many of the first there are so far; null before the first answer. */
  count: number | null;
  /** Another one with every search: the rows at all places are other ones. */
  turn: number;
  /** The rest of the names is on its way. */
  partial: boolean;
  types: Record<string, number>;
  error: Error | null;
  reload: () => void;
  /** Undefined while that row is being fetched. */
  row: (index: number) => NameSlice | undefined;
  /** Tells which rows are seen, so that they are fetched. */
  show: (from: number, to: number) => void;
}

async function loadFirst(signal: AbortSignal): Promise<NameSlice[]> {
  const { data } = await request<{ data: string[] }>(`/api/v1/label/__name__/values?limit=${FIRST}`, { signal });
  return data.map((name) => ({ name, type: '', help: '', unit: '' }));
}

export function useMetricIndex(filter: string, type: string): MetricIndex {
  const first = useQuery({ queryKey: ['metric-first'], queryFn: ({ signal }) => loadFirst(signal), staleTime: 30_000 });
  const list = useQuery({ queryKey: ['metric-index'], queryFn: fillNames });
  const help = useQuery({ queryKey: ['metric-help'], queryFn: fillHelp });
  const [found, setFound] = useState<{ count: number; turn: number } | null>(null);
  const [, redraw] = useState(0);
  const pages = useRef(new Map<number, NameSlice[] | null>());
  const turn = useRef(0);
  const loadedAt = list.data?.at ?? 0;
  const describedAt = help.data?.at ?? 0;

  // biome-ignore lint/correctness/useExhaustiveDependencies: new names or descriptions are searched again
  useEffect(() => {
    if (loadedAt === 0) return;
    const mine = ++turn.current;
    const find = names.run({ kind: 'find', text: filter, types: type === '' ? [] : [type] });
    // The first rows come with the number: what is in sight is replaced, never blank.
    const begin = names.run({ kind: 'slice', from: 0, to: PAGE });
    void Promise.all([find, begin]).then(([count, rows]) => {
      // An answer to what was typed before is dropped.
      if (mine !== turn.current) return;
      pages.current = new Map([[0, rows]]);
      setFound({ count, turn: mine });
    });
  }, [filter, type, loadedAt, describedAt]);

  const show = useCallback((from: number, to: number) => {
    for (let page = Math.floor(from / PAGE); page <= Math.floor(to / PAGE); page++) {
      if (pages.current.has(page)) continue;
      pages.current.set(page, null);
      const mine = turn.current;
      void names.run({ kind: 'slice', from: page * PAGE, to: (page + 1) * PAGE }).then((rows) => {
        if (mine !== turn.current) return;
        pages.current.set(page, rows);
        redraw((n) => n + 1);
      });
    }
  }, []);

  const before = found === null && filter === '' && type === '' ? first.data : undefined;
  const partial = before !== undefined && before.length === FIRST;
  return {
    total: list.data?.value ?? null,
    count: partial ? before.length : (found?.count ?? null),
    turn: found?.turn ?? 0,
    partial,
    types: help.data?.value ?? {},
    error: list.error,
    reload: () => void list.refetch(),
    row: (index) => (partial ? before[index] : pages.current.get(Math.floor(index / PAGE))?.[index % PAGE]),
    show,
  };
}
