// SPDX-License-Identifier: Apache-2.0
// A page's time range, zone, refresh and comparison as the URL holds them, and the moves a person makes on them.
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useMemo } from 'react';
import { effectiveWeekStart, prefs } from '../prefs';
import { useStore } from '../store';
import { type TimeSearch, timeSearch } from '../url/search';
import { type Compare, compareShift, parseCompare } from './compare';
import { lockRange, timeLock } from './lock';
import type { MathContext } from './math';
import { endsNow, type Range, type RawRange, resolveRange } from './range';
import { rememberRange } from './recent';
import { refreshOf, useNow } from './useNow';
import { isZone, type Zone } from './zone';

export const REFRESH_CHOICES = ['', 'auto', '5s', '10s', '30s', '1m', '5m', '15m', '30m', '1h', '2h', '1d'] as const;

export interface TimeControls {
  raw: RawRange;
  range: Range;
  zone: Zone;
  refresh: string;
  live: boolean;
  compare: Compare;
  /** How far back the comparison is, milliseconds; null without one. */
  compareMs: number | null;
  /** What in the URL could not be understood and was replaced by a default. */
  notices: ('range' | 'timezone' | 'refresh' | 'compare')[];
  context: () => MathContext;
  setRange: (next: RawRange) => void;
  setRefresh: (next: string) => void;
  setZone: (next: Zone) => void;
  setCompare: (next: Compare) => void;
  refreshNow: () => void;
}

export function mathContext(zone: Zone, nowMs = Date.now()): MathContext {
  return { nowMs, zone, weekStart: effectiveWeekStart() };
}

export interface AskedTime {
  raw: RawRange;
  refresh: string;
  zone: string | undefined;
  compare: string | undefined;
}

export type TimeValues = Omit<TimeControls, 'setRange' | 'setRefresh' | 'setZone' | 'setCompare'>;

/** Shared by pages that keep the range in `from`/`to` and by Explore, which keeps it inside `panes`. */
export function useTimeValues(asked: AskedTime, fallback: RawRange): TimeValues {
  const { timezone } = useStore(prefs);
  const zoneOk = asked.zone === undefined || isZone(asked.zone);
  const zone = zoneOk ? (asked.zone ?? timezone) : timezone;
  const { from, to } = asked.raw;
  const probe = useMemo(() => resolveRange({ from, to }, mathContext(zone)), [from, to, zone]);
  const rawFrom = probe ? from : fallback.from;
  const rawTo = probe ? to : fallback.to;
  const parsed = parseCompare(asked.compare ?? '');
  const compare = parsed ?? '';
  // Live data has no counterpart in the past: a comparison refreshes by steps instead.
  const wanted = asked.refresh === 'live' && compare !== '' ? 'auto' : asked.refresh;
  const live = wanted === 'live' && endsNow({ from: rawFrom, to: rawTo });
  const span = probe ? probe.toMs - probe.fromMs : 3_600_000;
  const refresh = live ? null : refreshOf(wanted, span);
  const refreshOk = wanted === '' || wanted === 'live' || refresh !== null;
  const [now, refreshNow] = useNow(refresh);
  const range = useMemo(
    () => resolveRange({ from: rawFrom, to: rawTo }, mathContext(zone, now)) ?? { fromMs: now - 3_600_000, toMs: now },
    [rawFrom, rawTo, zone, now],
  );
  const raw = useMemo(() => ({ from: rawFrom, to: rawTo }), [rawFrom, rawTo]);
  const notices: TimeControls['notices'] = [];
  if (!probe) notices.push('range');
  if (!zoneOk) notices.push('timezone');
  if (!refreshOk) notices.push('refresh');
  if (parsed === null) notices.push('compare');
  return {
    raw,
    range,
    zone,
    refresh: refreshOk ? wanted : '',
    live,
    compare,
    compareMs: compareShift(compare, range, zone),
    notices,
    context: () => mathContext(zone),
    refreshNow,
  };
}

/** While the range is locked, what this page shows is what the next page shows. */
export function useFollowLock(raw: RawRange): void {
  const locked = useStore(timeLock) !== null;
  const { from, to } = raw;
  useEffect(() => {
    if (locked) lockRange({ from, to });
  }, [locked, from, to]);
}

export function useUrlTime(defaults: { raw: RawRange; refresh: string }): TimeControls {
  const search = timeSearch(useSearch({ strict: false }) as Record<string, unknown>);
  const navigate = useNavigate();
  const locked = useStore(timeLock);
  const open = search.from === undefined && search.to === undefined;
  const fallback = open && locked ? locked : defaults.raw;
  const values = useTimeValues(
    {
      raw: { from: search.from ?? fallback.from, to: search.to ?? fallback.to },
      refresh: search.refresh === 'off' ? '' : (search.refresh ?? defaults.refresh),
      zone: search.timezone,
      compare: search.compare,
    },
    defaults.raw,
  );
  const go = (change: TimeSearch, replace = false) =>
    void navigate({
      to: '.',
      replace,
      resetScroll: false,
      search: ((previous: TimeSearch) => ({ ...previous, ...change })) as never,
    });
  // The URL says what is shown, also when the lock brought it.
  const brought = open && locked !== null;
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when a page opens under a lock
  useEffect(() => {
    if (brought && locked) go({ from: locked.from, to: locked.to }, true);
  }, [brought]);
  useFollowLock(values.raw);
  return {
    ...values,
    setRange: (next) => {
      rememberRange(next);
      // A fixed range cannot be live.
      go({ ...next, ...(endsNow(next) ? {} : { refresh: 'off' }) });
    },
    setRefresh: (next) => {
      const range = next === 'live' && !endsNow(values.raw) ? defaults.raw : {};
      go({ ...range, refresh: next === '' ? 'off' : next, ...(next === 'live' ? { compare: undefined } : {}) });
    },
    setZone: (next) => go({ timezone: next }),
    setCompare: (next) => go({ compare: next === '' ? undefined : next }),
  };
}
