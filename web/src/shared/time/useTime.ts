// SPDX-License-Identifier: Apache-2.0
// A page's time range, zone and refresh as the URL holds them, and the moves a person makes on them.
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback, useEffect, useMemo, useState } from 'react';
import { effectiveWeekStart, prefs } from '../prefs';
import { useStore } from '../store';
import { type TimeSearch, timeSearch } from '../url/search';
import type { MathContext } from './math';
import { endsNow, type Range, type RawRange, resolveRange } from './range';
import { rememberRange } from './recent';
import { isZone, type Zone } from './zone';

export const REFRESH_CHOICES = ['', 'auto', '5s', '10s', '30s', '1m', '5m', '15m', '30m', '1h', '2h', '1d'] as const;

export interface TimeControls {
  raw: RawRange;
  range: Range;
  zone: Zone;
  refresh: string;
  live: boolean;
  /** What in the URL could not be understood and was replaced by a default. */
  notices: ('range' | 'timezone' | 'refresh')[];
  context: () => MathContext;
  setRange: (next: RawRange) => void;
  setRefresh: (next: string) => void;
  setZone: (next: Zone) => void;
  refreshNow: () => void;
}

export function mathContext(zone: Zone, nowMs = Date.now()): MathContext {
  return { nowMs, zone, weekStart: effectiveWeekStart() };
}

const MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export function refreshMs(refresh: string, spanMs: number): number | null {
  if (refresh === 'auto') return Math.max(5000, Math.round(spanMs / 600));
  const match = /^(\d{1,4})(s|m|h|d)$/.exec(refresh);
  return match ? Math.max(1000, Number(match[1]) * (MS[match[2] ?? 's'] ?? 1000)) : null;
}

/** The instant that `now` means; moves on by the refresh interval while the tab is seen. */
export function useNow(intervalMs: number | null): [number, () => void] {
  const [now, setNow] = useState(() => Date.now());
  const bump = useCallback(() => setNow(Date.now()), []);
  useEffect(() => {
    if (intervalMs === null) return;
    let due = Date.now() + intervalMs;
    const check = () => {
      if (document.hidden || Date.now() < due) return;
      due = Date.now() + intervalMs;
      bump();
    };
    const timer = setInterval(check, Math.min(intervalMs, 1000));
    document.addEventListener('visibilitychange', check);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', check);
    };
  }, [intervalMs, bump]);
  return [now, bump];
}

export interface TimeValues {
  raw: RawRange;
  refresh: string;
  zone: string;
}

/** Shared by pages that keep the range in `from`/`to` and by Explore, which keeps it inside `panes`. */
export function useTimeValues(
  asked: { raw: RawRange; refresh: string; zone: string | undefined },
  fallback: RawRange,
): Pick<TimeControls, 'raw' | 'range' | 'zone' | 'refresh' | 'live' | 'notices' | 'context' | 'refreshNow'> {
  const { timezone } = useStore(prefs);
  const zoneOk = asked.zone === undefined || isZone(asked.zone);
  const zone = zoneOk ? (asked.zone ?? timezone) : timezone;
  const { from, to } = asked.raw;
  const probe = useMemo(() => resolveRange({ from, to }, mathContext(zone)), [from, to, zone]);
  const rawFrom = probe ? from : fallback.from;
  const rawTo = probe ? to : fallback.to;
  const live = asked.refresh === 'live' && endsNow({ from: rawFrom, to: rawTo });
  const span = probe ? probe.toMs - probe.fromMs : 3_600_000;
  const interval = live ? null : refreshMs(asked.refresh, span);
  const refreshOk = asked.refresh === '' || asked.refresh === 'live' || interval !== null;
  const [now, refreshNow] = useNow(interval);
  const range = useMemo(
    () => resolveRange({ from: rawFrom, to: rawTo }, mathContext(zone, now)) ?? { fromMs: now - 3_600_000, toMs: now },
    [rawFrom, rawTo, zone, now],
  );
  const raw = useMemo(() => ({ from: rawFrom, to: rawTo }), [rawFrom, rawTo]);
  const notices: TimeControls['notices'] = [];
  if (!probe) notices.push('range');
  if (!zoneOk) notices.push('timezone');
  if (!refreshOk) notices.push('refresh');
  return {
    raw,
    range,
    zone,
    refresh: refreshOk ? asked.refresh : '',
    live,
    notices,
    context: () => mathContext(zone),
    refreshNow,
  };
}

export function useUrlTime(defaults: { raw: RawRange; refresh: string }): TimeControls {
  const search = timeSearch(useSearch({ strict: false }) as Record<string, unknown>);
  const navigate = useNavigate();
  const values = useTimeValues(
    {
      raw: { from: search.from ?? defaults.raw.from, to: search.to ?? defaults.raw.to },
      refresh: search.refresh === 'off' ? '' : (search.refresh ?? defaults.refresh),
      zone: search.timezone,
    },
    defaults.raw,
  );
  const go = (change: TimeSearch) =>
    void navigate({ to: '.', search: ((previous: TimeSearch) => ({ ...previous, ...change })) as never });
  return {
    ...values,
    setRange: (next) => {
      rememberRange(next);
      // A fixed range cannot be live.
      go({ ...next, ...(endsNow(next) ? {} : { refresh: 'off' }) });
    },
    setRefresh: (next) => {
      const range = next === 'live' && !endsNow(values.raw) ? defaults.raw : {};
      go({ ...range, refresh: next === '' ? 'off' : next });
    },
    setZone: (next) => go({ timezone: next }),
  };
}
