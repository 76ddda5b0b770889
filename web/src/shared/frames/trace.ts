// SPDX-License-Identifier: Apache-2.0
// What a line through a column looks like at some zoom: at most four points per pixel column, spikes kept.
import { levelFor, type Pyramid } from './pyramid';

/** Receives the line: `move` begins a part, `line` goes on. `x` is an index into the column, whole or not. */
export interface Pen {
  move(index: number, value: number): void;
  line(index: number, value: number): void;
}

/** A pixel column reads at most this many entries. */
const ENTRIES_PER_PIXEL = 4;

/** How gaps are drawn: never joined, always joined, or joined up to that many missing values. */
export type Connect = 'never' | 'always' | number;

function raw(values: Float64Array, from: number, to: number, connect: Connect, pen: Pen): void {
  const most = connect === 'never' ? 0 : connect === 'always' ? Number.POSITIVE_INFINITY : connect;
  let before = -1;
  for (let k = from; k <= to; k++) {
    const value = values[k] as number;
    if (Number.isNaN(value)) continue;
    if (before < 0 || k - before - 1 > most) pen.move(k, value);
    else pen.line(k, value);
    before = k;
  }
}

/**
 * Draws `from..to` (inclusive) of the column over `pixels` columns of the screen.
 * Returns how many entries were read: at most four per pixel, whatever the zoom.
 */
export function trace(
  values: Float64Array,
  pyramid: Pyramid,
  from: number,
  to: number,
  pixels: number,
  connect: Connect,
  pen: Pen,
): number {
  const [start, end] = [Math.max(0, from), Math.min(values.length - 1, to)];
  const count = end - start + 1;
  if (count <= 0) return 0;
  const level = levelFor(pyramid, count, Math.max(1, Math.floor(pixels)) * ENTRIES_PER_PIXEL);
  if (!level && count <= pixels * ENTRIES_PER_PIXEL) {
    raw(values, start, end, connect, pen);
    return count;
  }
  const size = level?.size ?? 1;
  const [first, min, max, last] = level
    ? [level.first, level.min, level.max, level.last]
    : [values, values, values, values];
  const [a, b] = [Math.floor(start / size), Math.floor(end / size)];
  const perPixel = count / size / pixels;
  const most = connect === 'always' ? Number.POSITIVE_INFINITY : connect === 'never' ? 0 : connect / size;
  let before = -1;
  let k = a;
  while (k <= b) {
    // One column of the screen: first, min, max and last of what falls into it.
    const until = Math.min(b, Math.max(k, Math.ceil(a + (Math.floor((k - a) / perPixel) + 1) * perPixel) - 1));
    let entry = -1;
    let low = Number.NaN;
    let high = Number.NaN;
    let leave = -1;
    for (let i = k; i <= until; i++) {
      const value = min[i] as number;
      if (Number.isNaN(value)) continue;
      if (entry < 0) {
        entry = i;
        low = value;
        high = max[i] as number;
      } else {
        if (value < low) low = value;
        if ((max[i] as number) > high) high = max[i] as number;
      }
      leave = i;
    }
    if (entry >= 0) {
      const at = ((k + until + 1) / 2) * size - 0.5;
      const value = first[entry] as number;
      if (before < 0 || entry - before - 1 > most) pen.move(at, value);
      else pen.line(at, value);
      if (low < high) {
        const out = last[leave] as number;
        if (low !== value) pen.line(at, low);
        if (high !== low) pen.line(at, high);
        if (out !== high) pen.line(at, out);
      }
      before = leave;
    }
    k = until + 1;
  }
  return b - a + 1;
}
