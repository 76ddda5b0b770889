// SPDX-License-Identifier: Apache-2.0
import { type ChartModel, type SeriesModel, type SeriesStats, statsOf } from './model';

/** Click shows one series alone, a second click shows all again; Ctrl-click or Shift-click toggles one. */
export function nextHidden(
  all: readonly string[],
  hidden: ReadonlySet<string>,
  id: string,
  toggle: boolean,
): ReadonlySet<string> {
  const next = new Set([...hidden].filter((h) => all.includes(h)));
  if (toggle) {
    if (!next.delete(id)) next.add(id);
    return next.size === all.length ? new Set() : next;
  }
  const alone = !next.has(id) && next.size === all.length - 1;
  return alone || all.length === 1 ? new Set() : new Set(all.filter((other) => other !== id));
}

export type Calc = keyof SeriesStats;
export interface Sort {
  by: Calc | 'name';
  down: boolean;
}

/** Numbers begin with the largest, names with A; a third click gives the order of the chart back. */
export function nextSort(sort: Sort | null, by: Sort['by']): Sort | null {
  const first = by !== 'name';
  if (sort?.by !== by) return { by, down: first };
  return sort.down === first ? { by, down: !first } : null;
}

const known = new WeakMap<SeriesModel, { values: Float64Array; stats: SeriesStats }>();

export function statsFor(series: SeriesModel): SeriesStats {
  const held = known.get(series);
  if (held?.values === series.values) return held.stats;
  const stats = statsOf(series.values);
  known.set(series, { values: series.values, stats });
  return stats;
}

/** Positions of the series in the order of the legend. Series without a value come last. */
export function legendOrder(model: ChartModel, sort: Sort | null): number[] {
  const order = model.series.map((_s, i) => i);
  if (!sort) return order;
  const { by } = sort;
  const sign = sort.down ? -1 : 1;
  if (by === 'name') {
    const name = (i: number) => model.series[i]?.name ?? '';
    return order.sort((a, b) => sign * name(a).localeCompare(name(b), 'en', { numeric: true }));
  }
  const values = model.series.map((s) => statsFor(s)[by]);
  return order.sort((a, b) => {
    const [x, y] = [values[a] ?? null, values[b] ?? null];
    if (x === null || y === null) return (x === null ? 1 : 0) - (y === null ? 1 : 0);
    return sign * (x - y);
  });
}
