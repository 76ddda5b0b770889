// SPDX-License-Identifier: Apache-2.0
// Min/max pyramid over a column of values (NaN is a gap). Each level covers eight entries of the one below and keeps
// first, min, max and last of them (M4), so that a drawing at any zoom reads few entries and loses no spike.

const FACTOR = 8;

/** Columns shorter than this are drawn from their raw values. */
export const PYRAMID_FROM = 4096;

export interface Level {
  /** Raw values behind one entry: 8, 64, 512… */
  size: number;
  first: Float64Array;
  min: Float64Array;
  max: Float64Array;
  last: Float64Array;
}

export type Pyramid = readonly Level[];

function reduce(below: Pick<Level, 'first' | 'min' | 'max' | 'last'>, size: number): Level {
  const count = Math.ceil(below.min.length / FACTOR);
  const level: Level = {
    size,
    first: new Float64Array(count),
    min: new Float64Array(count),
    max: new Float64Array(count),
    last: new Float64Array(count),
  };
  for (let k = 0; k < count; k++) {
    const end = Math.min(below.min.length, (k + 1) * FACTOR);
    let first = Number.NaN;
    let min = Number.NaN;
    let max = Number.NaN;
    let last = Number.NaN;
    for (let i = k * FACTOR; i < end; i++) {
      const low = below.min[i] as number;
      // A gap has NaN in all four columns.
      if (Number.isNaN(low)) continue;
      const high = below.max[i] as number;
      if (Number.isNaN(first)) {
        first = below.first[i] as number;
        min = low;
        max = high;
      } else {
        if (low < min) min = low;
        if (high > max) max = high;
      }
      last = below.last[i] as number;
    }
    level.first[k] = first;
    level.min[k] = min;
    level.max[k] = max;
    level.last[k] = last;
  }
  return level;
}

/** O(n); levels go up until one has at most `FACTOR` entries. Empty for a column of fewer entries than that. */
export function buildPyramid(values: Float64Array): Pyramid {
  const levels: Level[] = [];
  let below: Pick<Level, 'first' | 'min' | 'max' | 'last'> = { first: values, min: values, max: values, last: values };
  let size = 1;
  while (below.min.length > FACTOR) {
    size *= FACTOR;
    const level = reduce(below, size);
    levels.push(level);
    below = level;
  }
  return levels;
}

/** Every array of a pyramid, for a transfer between threads. */
export function buffersOf(pyramid: Pyramid): ArrayBuffer[] {
  return pyramid.flatMap((l) => [l.first, l.min, l.max, l.last].map((a) => a.buffer as ArrayBuffer));
}

/** The finest level that shows `count` raw values in at most `most` entries; null means the raw values themselves. */
export function levelFor(pyramid: Pyramid, count: number, most: number): Level | null {
  if (count <= most) return null;
  return pyramid.find((level) => Math.ceil(count / level.size) + 1 <= most) ?? pyramid.at(-1) ?? null;
}

/** Smallest and largest value of `from..to` (inclusive); null when there is none. Reads O(8 log n) entries. */
export function extremes(values: Float64Array, pyramid: Pyramid, from: number, to: number): [number, number] | null {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  const scan = (low: Float64Array, high: Float64Array, a: number, b: number) => {
    for (let i = a; i < b; i++) {
      if ((low[i] as number) < min) min = low[i] as number;
      if ((high[i] as number) > max) max = high[i] as number;
    }
  };
  /** Entries a..b (b excluded) of one level: its ragged ends here, the middle one level up. */
  const walk = (depth: number, a: number, b: number): void => {
    const level = depth < 0 ? null : pyramid[depth];
    const [low, high] = level ? [level.min, level.max] : [values, values];
    const above = pyramid[depth + 1];
    if (!above || b - a <= 2 * FACTOR) {
      scan(low, high, a, b);
      return;
    }
    const first = Math.ceil(a / FACTOR);
    const end = Math.floor(b / FACTOR);
    scan(low, high, a, first * FACTOR);
    scan(low, high, end * FACTOR, b);
    walk(depth + 1, first, end);
  };
  walk(-1, Math.max(0, from), Math.min(values.length, to + 1));
  return min > max ? null : [min, max];
}
