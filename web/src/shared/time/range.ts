// SPDX-License-Identifier: Apache-2.0
// A range as the URL keeps it, its instants, and the moves on it.
import { evaluate, isRelative, type MathContext } from './math';

export interface RawRange {
  from: string;
  to: string;
}

export interface Range {
  fromMs: number;
  toMs: number;
}

export const DEFAULT_RANGE: RawRange = { from: 'now-1h', to: 'now' };

/** Null when either end is invalid or they are reversed. */
export function resolveRange(raw: RawRange, ctx: MathContext): Range | null {
  const fromMs = evaluate(raw.from, false, ctx);
  const toMs = evaluate(raw.to, true, ctx);
  if (fromMs === null || toMs === null || toMs <= fromMs) return null;
  return { fromMs, toMs };
}

export function absolute(range: Range): RawRange {
  return { from: String(Math.round(range.fromMs)), to: String(Math.round(range.toMs)) };
}

/** Doubles the span about its centre; the end does not pass `now` by more than the range already did. */
export function zoomOut(range: Range): Range {
  const span = range.toMs - range.fromMs;
  const centre = range.fromMs + span / 2;
  return { fromMs: Math.round(centre - span), toMs: Math.round(centre + span) };
}

/** Moves by half the span; direction -1 is into the past. */
export function shiftRange(range: Range, direction: -1 | 1): Range {
  const half = Math.round((range.toMs - range.fromMs) / 2);
  return { fromMs: range.fromMs + direction * half, toMs: range.toMs + direction * half };
}

export function endsNow(raw: RawRange): boolean {
  return raw.to.replace(/\s+/g, '') === 'now';
}

export function isRelativeRange(raw: RawRange): boolean {
  return isRelative(raw.from) || isRelative(raw.to);
}

const NICE_STEPS = [
  1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800,
  604_800,
];

/** Query step for about `points` values over the span: a round number of seconds, never under `minSeconds`. */
export function stepFor(spanMs: number, points: number, minSeconds = 1): number {
  const wanted = Math.max(minSeconds, spanMs / 1000 / Math.max(1, points));
  const found = NICE_STEPS.find((s) => s >= wanted) ?? Math.ceil(wanted / 86_400) * 86_400;
  return found * 1000;
}

/** `rate()` window that always covers at least two samples: four scrape intervals or one step and a scrape. */
export function rateInterval(stepMs: number, scrapeMs: number): string {
  const seconds = Math.ceil(Math.max(4 * scrapeMs, stepMs + scrapeMs) / 1000);
  return `${seconds}s`;
}
