// SPDX-License-Identifier: Apache-2.0
// Explore's panes in the URL. Running and zooming push a history entry; view toggles replace it.
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo } from 'react';
import { endsNow, type RawRange } from '@/shared/time/range';
import { rememberRange } from '@/shared/time/recent';
import { type TimeControls, useTimeValues } from '@/shared/time/useTime';
import { exploreSearch, PANE_RANGE, type Pane, parsePanes } from '@/shared/url/panes';
import { text, timeSearch } from '@/shared/url/search';

export interface PanesState {
  panes: Pane[];
  broken: boolean;
  time: TimeControls;
  change: (panes: Pane[], options?: { replace?: boolean; refresh?: string }) => void;
}

export function usePanes(): PanesState {
  const search = useSearch({ strict: false }) as Record<string, unknown>;
  const navigate = useNavigate();
  const [panesText, left] = [text(search.panes), text(search.left)];
  const { panes, broken } = useMemo(() => parsePanes({ panes: panesText, left }), [panesText, left]);
  const { timezone, refresh } = timeSearch(search);
  const raw = panes[0]?.range ?? PANE_RANGE;
  const values = useTimeValues({ raw, refresh: refresh === 'off' ? '' : (refresh ?? ''), zone: timezone }, PANE_RANGE);

  const go = (next: Pane[], extra: Record<string, string | undefined>, replace: boolean) =>
    void navigate({
      to: '/explore',
      replace,
      resetScroll: false,
      search: { ...keep(search), ...exploreSearch(next), ...extra } as never,
    });
  const withRange = (range: RawRange) => panes.map((pane) => ({ ...pane, range }));

  return {
    panes,
    broken,
    change: (next, options) =>
      go(next, options?.refresh === undefined ? {} : { refresh: options.refresh }, options?.replace ?? false),
    time: {
      ...values,
      setRange: (range) => {
        rememberRange(range);
        go(withRange(range), endsNow(range) || !values.live ? {} : { refresh: undefined }, false);
      },
      setRefresh: (next) =>
        go(
          next === 'live' && !endsNow(raw) ? withRange({ from: 'now-5m', to: 'now' }) : panes,
          { refresh: next || undefined },
          false,
        ),
      setZone: (zone) => go(panes, { timezone: zone === 'browser' ? undefined : zone }, false),
    },
  };
}

/** What else the URL carries stays, except the older spellings of the same state. */
function keep(search: Record<string, unknown>): Record<string, unknown> {
  const { left: _left, from: _from, to: _to, ...rest } = search;
  return rest;
}
