// SPDX-License-Identifier: Apache-2.0
// Running sums for stacked drawing, and the span of values that an axis must hold.
import { buildPyramid, extremes, PYRAMID_FROM, type Pyramid } from '../frames/pyramid';
import type { SeriesModel } from './model';

/** What is drawn of one series: its upper edge and, when stacked, its lower one. */
export interface Drawn {
  values: Float64Array;
  pyramid: Pyramid;
  base: { values: Float64Array; pyramid: Pyramid } | null;
}

const pyramidOf = (values: Float64Array): Pyramid => (values.length >= PYRAMID_FROM ? buildPyramid(values) : []);

/** Every series as it is. */
export function plain(series: readonly SeriesModel[]): Drawn[] {
  return series.map((s) => ({ values: s.values, pyramid: s.pyramid, base: null }));
}

/**
 * Sums over the shown series in their order; series of another time are summed among themselves. A gap of one series is
 * a gap in its band only. With `percent` every step adds up to 1.
 */
export function stacked(series: readonly SeriesModel[], hidden: ReadonlySet<string>, percent = false): Drawn[] {
  const length = series[0]?.values.length ?? 0;
  const sums = { now: new Float64Array(length), past: new Float64Array(length) };
  const totals = percent ? { now: totalsOf(series, hidden, false), past: totalsOf(series, hidden, true) } : null;
  return series.map((s) => {
    if (hidden.has(s.id)) return { values: s.values, pyramid: s.pyramid, base: null };
    const which = s.ghost ? 'past' : 'now';
    const sum = sums[which];
    const total = totals?.[which];
    const upper = new Float64Array(length).fill(Number.NaN);
    const lower = new Float64Array(length).fill(Number.NaN);
    for (let k = 0; k < length; k++) {
      const value = s.values[k] as number;
      if (Number.isNaN(value)) continue;
      lower[k] = sum[k] as number;
      const whole = total?.[k];
      sum[k] = (sum[k] as number) + (total ? (whole ? value / whole : 0) : value);
      upper[k] = sum[k] as number;
    }
    return {
      values: upper,
      pyramid: pyramidOf(upper),
      base: s.ghost ? null : { values: lower, pyramid: pyramidOf(lower) },
    };
  });
}

function totalsOf(series: readonly SeriesModel[], hidden: ReadonlySet<string>, ghost: boolean): Float64Array {
  const out = new Float64Array(series[0]?.values.length ?? 0);
  for (const s of series) {
    if (hidden.has(s.id) || (s.ghost ?? false) !== ghost) continue;
    for (let k = 0; k < out.length; k++) {
      const value = s.values[k] as number;
      if (!Number.isNaN(value)) out[k] = (out[k] as number) + value;
    }
  }
  return out;
}

/** Smallest and largest drawn value of steps `from..to`. */
export function spanOf(
  drawn: readonly Drawn[],
  shown: (index: number) => boolean,
  from: number,
  to: number,
): [number, number] | null {
  let out: [number, number] | null = null;
  const take = (values: Float64Array, pyramid: Pyramid) => {
    const found = extremes(values, pyramid, from, to);
    if (found) out = out ? [Math.min(out[0], found[0]), Math.max(out[1], found[1])] : found;
  };
  drawn.forEach((d, index) => {
    if (!shown(index)) return;
    take(d.values, d.pyramid);
    if (d.base) take(d.base.values, d.base.pyramid);
  });
  return out;
}
