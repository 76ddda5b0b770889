// SPDX-License-Identifier: Apache-2.0
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { compareLabel, parseCompare } from '../time/compare';
import { type TimeControls, useTimeValues } from '../time/useTime';
import type { PanelTime } from './usePanelSource';

/** A page's time as a panel needs it, with the names that older series get. */
export function usePanelTime(time: Pick<TimeControls, 'range' | 'live' | 'compare' | 'compareMs'>): PanelTime {
  const { t } = useTranslation();
  const { range, live, compare, compareMs } = time;
  return useMemo(() => {
    const ago = compareLabel(compare, t);
    const past =
      compareMs === null || live
        ? null
        : { shiftMs: compareMs, name: (name: string) => t('chart.past', { name, ago }) };
    return { range, live, compare: past };
  }, [range, live, compare, compareMs, t]);
}

/** A page's time with the comparison that one panel has of its own; without one the page's. */
export function useOwnComparison(time: TimeControls, compare: string): TimeControls {
  const chosen = parseCompare(compare) ?? '';
  // The past is not live: the panel is drawn by steps while the rest of the page goes on.
  const refresh = chosen === '' ? '' : time.live ? 'live' : time.refresh;
  const values = useTimeValues({ raw: time.raw, refresh, zone: time.zone, compare: chosen }, time.raw);
  if (chosen === '') return time;
  return { ...time, range: values.range, live: false, compare: chosen, compareMs: values.compareMs };
}
