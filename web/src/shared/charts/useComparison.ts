// SPDX-License-Identifier: Apache-2.0
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { compareLabel } from '../time/compare';
import type { TimeControls } from '../time/useTime';
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
