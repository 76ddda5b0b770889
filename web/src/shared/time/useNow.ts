// SPDX-License-Identifier: Apache-2.0
import { type QueryClient, useQueryClient } from '@tanstack/react-query';
import { useCallback, useEffect, useState } from 'react';
import { stepFor } from './range';

const MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const AUTO_POINTS = 320;

export interface Refresh {
  everyMs: number;
  /** Falls on multiples of the interval, so that each refresh has exactly one new step. */
  aligned: boolean;
}

/** Null when the text is no interval. */
export function refreshOf(refresh: string, spanMs: number): Refresh | null {
  if (refresh === 'auto') return { everyMs: Math.max(5000, stepFor(spanMs, AUTO_POINTS)), aligned: true };
  const match = /^(\d{1,4})(s|m|h|d)$/.exec(refresh);
  if (!match) return null;
  return { everyMs: Math.max(1000, Number(match[1]) * (MS[match[2] ?? 's'] ?? 1000)), aligned: false };
}

export function nextDue(nowMs: number, { everyMs, aligned }: Refresh): number {
  return aligned ? (Math.floor(nowMs / everyMs) + 1) * everyMs : nowMs + everyMs;
}

/** Results of panels that are under way. */
function panelsBusy(client: QueryClient): boolean {
  return client.isFetching({ predicate: (query) => /^query/.test(String(query.queryKey[0])) }) > 0;
}

/**
 * The instant that `now` means; moves on by the refresh interval while the tab is seen. A refresh that is due while the
 * one before it still runs waits for it: requests never pile up.
 */
export function useNow(refresh: Refresh | null): [number, () => void] {
  const [now, setNow] = useState(() => Date.now());
  const client = useQueryClient();
  const bump = useCallback(() => setNow(Date.now()), []);
  const everyMs = refresh?.everyMs ?? null;
  const aligned = refresh?.aligned ?? false;
  useEffect(() => {
    if (everyMs === null) return;
    let due = nextDue(Date.now(), { everyMs, aligned });
    const check = () => {
      if (document.hidden || Date.now() < due || panelsBusy(client)) return;
      due = nextDue(Date.now(), { everyMs, aligned });
      bump();
    };
    const timer = setInterval(check, Math.min(everyMs, 500));
    document.addEventListener('visibilitychange', check);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', check);
    };
  }, [everyMs, aligned, client, bump]);
  return [now, bump];
}
