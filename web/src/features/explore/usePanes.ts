// SPDX-License-Identifier: Apache-2.0
// Explore's panes in the URL. Running and zooming push a history entry; view toggles replace it. All panes share one range
// but those that were given their own.
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useMemo } from 'react';
import { useStore } from '@/shared/store';
import { timeLock } from '@/shared/time/lock';
import { endsNow, type RawRange } from '@/shared/time/range';
import { rememberRange } from '@/shared/time/recent';
import { type TimeControls, useFollowLock, useTimeValues } from '@/shared/time/useTime';
import { emptyPane, exploreSearch, PANE_RANGE, type Pane, parsePanes } from '@/shared/url/panes';
import { text, timeSearch } from '@/shared/url/search';
import { explorePath, LONGEST_LINK, shortPath } from './shortLink';

export interface PanesState {
  panes: Pane[];
  broken: boolean;
  time: TimeControls;
  change: (panes: Pane[], options?: { replace?: boolean }) => void;
}

const LIVE_RANGE: RawRange = { from: 'now-5m', to: 'now' };

/** What else the URL carries stays, except the older spellings of the same state. */
function keep(search: Record<string, unknown>): Record<string, unknown> {
  const { left: _left, from: _from, to: _to, ...rest } = search;
  return rest;
}

export function usePanes(): PanesState {
  const search = useSearch({ strict: false }) as Record<string, unknown>;
  const navigate = useNavigate();
  const locked = useStore(timeLock);
  const [panesText, left] = [text(search.panes), text(search.left)];
  const parsed = useMemo(() => parsePanes({ panes: panesText, left }), [panesText, left]);
  const brought = panesText === undefined && left === undefined && locked !== null;
  const panes = useMemo(
    () => (brought && locked ? [{ ...emptyPane(), range: locked }] : parsed.panes),
    [parsed, brought, locked],
  );
  const { timezone, refresh } = timeSearch(search);
  const shared = panes.find((pane) => !pane.ownRange) ?? panes[0];
  const raw = shared?.range ?? PANE_RANGE;
  const values = useTimeValues(
    { raw, refresh: refresh === 'off' ? '' : (refresh ?? ''), zone: timezone, compare: shared?.compare },
    PANE_RANGE,
  );
  useFollowLock(values.raw);

  const go = (next: Pane[], extra: Record<string, string | undefined>, replace: boolean) => {
    const state = { ...keep(search), ...exploreSearch(next), ...extra };
    const move = (short: string | null) =>
      void navigate({
        to: '/explore',
        replace,
        resetScroll: false,
        search: state as never,
        ...(short ? { mask: { to: short, search: {} } as never } : {}),
      });
    if (explorePath(state).length <= LONGEST_LINK) move(null);
    // Without the server's help the long address has to do.
    else void shortPath(state).then(move, () => move(null));
  };
  // The URL says what is shown, also when the lock brought the range.
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when the page opens under a lock
  useEffect(() => {
    if (brought) go(panes, {}, true);
  }, [brought]);
  const all = (change: Partial<Pane>) => panes.map((pane) => (pane.ownRange ? pane : { ...pane, ...change }));

  return {
    panes,
    broken: parsed.broken,
    change: (next, options) => go(next, {}, options?.replace ?? false),
    time: {
      ...values,
      setRange: (range) => {
        rememberRange(range);
        go(all({ range }), endsNow(range) || !values.live ? {} : { refresh: undefined }, false);
      },
      setRefresh: (next) => {
        const toLive = next === 'live' ? { compare: '', ...(endsNow(raw) ? {} : { range: LIVE_RANGE }) } : {};
        go(all(toLive), { refresh: next || undefined }, false);
      },
      setZone: (zone) => go(panes, { timezone: zone === 'browser' ? undefined : zone }, false),
      setCompare: (compare) => go(all({ compare }), {}, false),
    },
  };
}

/** The time of one pane: the page's, or its own while it is unlocked. */
export function usePaneTime(pane: Pane, page: TimeControls, change: (pane: Pane) => void): TimeControls {
  const values = useTimeValues(
    { raw: pane.range, refresh: page.live ? 'auto' : page.refresh, zone: page.zone, compare: pane.compare },
    PANE_RANGE,
  );
  if (!pane.ownRange) return page;
  return {
    ...values,
    zone: page.zone,
    setRange: (range) => {
      rememberRange(range);
      change({ ...pane, range });
    },
    setCompare: (compare) => change({ ...pane, compare }),
    setRefresh: page.setRefresh,
    setZone: page.setZone,
    refreshNow: () => {
      values.refreshNow();
      page.refreshNow();
    },
  };
}
