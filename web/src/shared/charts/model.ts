// SPDX-License-Identifier: Apache-2.0
// What a chart draws: one time column shared by all series, and where it comes from.
import type { Labels, RangeFrame } from '../frames/matrix';
import { stepCount } from '../frames/matrix';
import type { Pyramid } from '../frames/pyramid';

export interface SeriesModel {
  /** Stable across refreshes: legend toggles and colours hang on it. */
  id: string;
  name: string;
  labels: Labels;
  /** One value per time; NaN is a gap. */
  values: Float64Array;
  /** Empty when the column is short enough to be drawn from its values. */
  pyramid: Pyramid;
  /** Position in the palette; -1 is drawn in grey. */
  slot: number;
  /** A series of another time, moved over this one: drawn dashed and faint, in its counterpart's colour. */
  ghost?: boolean;
}

export interface ChartModel {
  /** Milliseconds, ascending. */
  x: Float64Array;
  series: SeriesModel[];
}

export interface ChartSource {
  model(): ChartModel;
  /** The span to show, milliseconds. */
  window(): { min: number; max: number };
  subscribe(listener: () => void): () => void;
}

export const NO_MODEL: ChartModel = { x: new Float64Array(0), series: [] };

export function staticSource(model: ChartModel, min: number, max: number): ChartSource {
  return { model: () => model, window: () => ({ min, max }), subscribe: () => () => undefined };
}

export function labelsKey(labels: Labels): string {
  return Object.keys(labels)
    .sort()
    .map((key) => `${key}\u0001${labels[key]}`)
    .join('\u0002');
}

function fnv1a(text: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** Short stable name of a series within its panel, fit for a URL. */
export function seriesId(queryKey: string, labels: Labels): string {
  const text = `${queryKey}\u0003${labelsKey(labels)}`;
  return fnv1a(text, 0x811c9dc5).toString(36) + fnv1a(text, 0x2f0b4c47).toString(36).slice(0, 3);
}

export interface SeriesNaming {
  key: string;
  name: (labels: Labels) => string;
  rank?: (labels: Labels) => number;
  rest?: boolean;
}

export function timesOf({ startMs, endMs, stepMs }: Pick<RangeFrame, 'startMs' | 'endMs' | 'stepMs'>): Float64Array {
  const x = new Float64Array(stepCount({ startMs, endMs, stepMs }));
  for (let k = 0; k < x.length; k++) x[k] = startMs + k * stepMs;
  return x;
}

/** The columns of one range query as series, sorted by rank and name. The columns are not copied. */
export function fromFrame(frame: RangeFrame, query: SeriesNaming): ChartModel {
  const series = frame.columns.map(
    (c, index): SeriesModel => ({
      id: seriesId(query.key, c.labels),
      name: query.name(c.labels),
      labels: c.labels,
      values: c.values,
      pyramid: c.pyramid,
      slot: query.rest ? -1 : index,
    }),
  );
  return { x: timesOf(frame), series: series.sort((a, b) => inOrder(query, a, b)) };
}

export function inOrder(
  query: SeriesNaming,
  a: { labels: Labels; name: string },
  b: { labels: Labels; name: string },
): number {
  const byRank = query.rank ? query.rank(a.labels) - query.rank(b.labels) : 0;
  return byRank || a.name.localeCompare(b.name, 'en', { numeric: true });
}

/** Gives palette slots in order; what is drawn in grey takes none. */
export function assignSlots(series: readonly SeriesModel[]): SeriesModel[] {
  let next = 0;
  return series.map((s) => ({ ...s, slot: s.slot < 0 ? -1 : next++ }));
}

/** Joins models that share one grid. */
export function mergeModels(models: readonly ChartModel[]): ChartModel {
  const first = models[0];
  if (!first) return NO_MODEL;
  return { x: first.x, series: assignSlots(models.flatMap((m) => m.series)) };
}

/**
 * Puts series of an older time, `backMs` ago, over the ones they are compared with: same colour as the series of the same
 * labels of the same query, or a colour of their own when that one is gone. Both have the same number of steps.
 */
export function withComparison(
  now: ChartModel,
  past: readonly { key: string; model: ChartModel }[],
  backMs: number,
  name: (name: string) => string,
): ChartModel {
  let next = now.series.reduce((most, s) => Math.max(most, s.slot + 1), 0);
  const older = new Map(past.flatMap(({ key, model }) => model.series.map((s) => [s.id, { key, s }] as const)));
  const ghostOf = (id: string, slot: number): SeriesModel[] => {
    const found = older.get(id);
    if (!found) return [];
    older.delete(id);
    const { key, s } = found;
    return [{ ...s, id: seriesId(`${key}\u0004past`, s.labels), name: name(s.name), slot, ghost: true }];
  };
  // Each stands behind its counterpart; those without one come last.
  const series = now.series.flatMap((s) => [s, ...ghostOf(s.id, s.slot)]);
  for (const [id, { s }] of [...older]) series.push(...ghostOf(id, s.slot < 0 ? -1 : next++));
  const x = now.x.length > 0 ? now.x : (past[0]?.model.x.map((ms) => ms + backMs) ?? now.x);
  return { x, series };
}

export interface SeriesStats {
  last: number | null;
  min: number | null;
  max: number | null;
  mean: number | null;
}

export function statsOf(values: Float64Array): SeriesStats {
  let last: number | null = null;
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let sum = 0;
  let n = 0;
  for (let k = 0; k < values.length; k++) {
    const value = values[k] as number;
    if (Number.isNaN(value)) continue;
    last = value;
    if (value < min) min = value;
    if (value > max) max = value;
    sum += value;
    n += 1;
  }
  return n === 0 ? { last, min: null, max: null, mean: null } : { last, min, max, mean: sum / n };
}

/** The value at a step, null for a gap. */
export function valueAt(series: SeriesModel, index: number): number | null {
  const value = series.values[index];
  return value === undefined || Number.isNaN(value) ? null : value;
}

/** The highest point of all shown series: what the summary sentence names. */
export function peakOf(
  model: ChartModel,
  hidden: ReadonlySet<string>,
): { name: string; atMs: number; value: number } | null {
  let best: { name: string; atMs: number; value: number } | null = null;
  for (const series of model.series) {
    if (hidden.has(series.id)) continue;
    const { values } = series;
    for (let k = 0; k < values.length; k++) {
      const value = values[k] as number;
      if (value > (best?.value ?? Number.NEGATIVE_INFINITY)) best = { name: series.name, atMs: model.x[k] ?? 0, value };
    }
  }
  return best;
}

/** Index of the time nearest to `ms`; -1 when there is none. */
export function nearest(x: Float64Array, ms: number): number {
  if (x.length === 0) return -1;
  let low = 0;
  let high = x.length - 1;
  while (low < high) {
    const mid = (low + high) >> 1;
    if ((x[mid] as number) < ms) low = mid + 1;
    else high = mid;
  }
  return low > 0 && ms - (x[low - 1] as number) <= (x[low] as number) - ms ? low - 1 : low;
}
