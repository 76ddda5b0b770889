// SPDX-License-Identifier: Apache-2.0
// What a chart draws: one time column shared by all series, and where it comes from.
import type { Labels, MatrixSeries } from '../api/prom';

export interface SeriesModel {
  /** Stable across refreshes: legend toggles and colours hang on it. */
  id: string;
  name: string;
  labels: Labels;
  values: (number | null)[];
  /** Position in the palette. */
  slot: number;
}

export interface ChartModel {
  /** Milliseconds, ascending. */
  x: number[];
  series: SeriesModel[];
}

export interface ChartSource {
  model(): ChartModel;
  /** The span to show, milliseconds. */
  window(): { min: number; max: number };
  subscribe(listener: () => void): () => void;
}

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

/** Text of a sample value to a number to draw; NaN and what is no number become gaps, infinities stay. */
export function drawable(text: string): number | null {
  if (text === '+Inf') return Number.POSITIVE_INFINITY;
  if (text === '-Inf') return Number.NEGATIVE_INFINITY;
  const value = Number(text);
  return Number.isNaN(value) ? null : value;
}

/** Puts results of one range query on its step grid; steps without a sample are gaps. */
export function fromMatrix(
  result: readonly MatrixSeries[],
  startMs: number,
  endMs: number,
  stepMs: number,
  query: SeriesNaming,
): ChartModel {
  const count = Math.max(0, Math.floor((endMs - startMs) / stepMs) + 1);
  const x = Array.from({ length: count }, (_, k) => startMs + k * stepMs);
  const series = result.map((row, index) => {
    const values = new Array<number | null>(count).fill(null);
    for (const [seconds, text] of row.values ?? []) {
      const k = Math.round((seconds * 1000 - startMs) / stepMs);
      if (k >= 0 && k < count) {
        const value = drawable(text);
        values[k] = value !== null && Number.isFinite(value) ? value : null;
      }
    }
    return {
      id: seriesId(query.key, row.metric),
      name: query.name(row.metric),
      labels: row.metric,
      values,
      slot: query.rest ? -1 : index,
    };
  });
  return { x, series: series.sort((a, b) => inOrder(query, a, b)) };
}

export interface SeriesNaming {
  key: string;
  name: (labels: Labels) => string;
  rank?: (labels: Labels) => number;
  rest?: boolean;
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
  if (!first) return { x: [], series: [] };
  return { x: first.x, series: assignSlots(models.flatMap((m) => m.series)) };
}

export interface SeriesStats {
  last: number | null;
  min: number | null;
  max: number | null;
  mean: number | null;
}

export function statsOf(values: readonly (number | null)[]): SeriesStats {
  let last: number | null = null;
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let sum = 0;
  let n = 0;
  for (const value of values) {
    if (value === null) continue;
    last = value;
    if (value < min) min = value;
    if (value > max) max = value;
    sum += value;
    n += 1;
  }
  return n === 0 ? { last, min: null, max: null, mean: null } : { last, min, max, mean: sum / n };
}

/** The highest point of all shown series: what the summary sentence names. */
export function peakOf(
  model: ChartModel,
  hidden: ReadonlySet<string>,
): { name: string; atMs: number; value: number } | null {
  let best: { name: string; atMs: number; value: number } | null = null;
  for (const series of model.series) {
    if (hidden.has(series.id)) continue;
    series.values.forEach((value, k) => {
      if (value !== null && (best === null || value > best.value))
        best = { name: series.name, atMs: model.x[k] ?? 0, value };
    });
  }
  return best;
}
