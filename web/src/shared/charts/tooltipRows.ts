// SPDX-License-Identifier: Apache-2.0
import { type ChartModel, type SeriesModel, valueAt } from './model';
import type { TooltipPrefs } from './tooltipPrefs';

export interface TooltipRow {
  series: SeriesModel;
  index: number;
  value: number;
}

/** What the tooltip lists at a step. In `single` mode only the series under the pointer, if there is one. */
export function tooltipRows(
  model: ChartModel,
  hidden: ReadonlySet<string>,
  step: number,
  focused: number | null,
  { mode, sort }: TooltipPrefs,
): TooltipRow[] {
  if (mode === 'none') return [];
  const rows: TooltipRow[] = [];
  model.series.forEach((series, index) => {
    if (hidden.has(series.id) || (mode === 'single' && index !== focused)) return;
    const value = valueAt(series, step);
    if (value !== null) rows.push({ series, index, value });
  });
  if (sort === 'name') return rows.sort((a, b) => a.series.name.localeCompare(b.series.name, 'en', { numeric: true }));
  return rows.sort((a, b) => (sort === 'desc' ? b.value - a.value : a.value - b.value));
}
