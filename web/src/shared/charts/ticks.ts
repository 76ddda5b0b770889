// SPDX-License-Identifier: Apache-2.0
// Time ticks on round civil times of the chosen zone, also across DST jumps; byte ticks on powers of two.
import { addDays, addMonths, fromCivil, offsetAt, toCivil, type Zone } from '../time/zone';

const S = 1000;
const M = 60 * S;
const H = 60 * M;
const D = 24 * H;
const FIXED = [
  S,
  2 * S,
  5 * S,
  10 * S,
  15 * S,
  30 * S,
  M,
  2 * M,
  5 * M,
  10 * M,
  15 * M,
  30 * M,
  H,
  2 * H,
  3 * H,
  6 * H,
  12 * H,
];
const DAYS = [1, 2, 4, 7, 14];
const MONTHS = [1, 2, 3, 6, 12, 24, 60, 120];

export interface Ticks {
  at: number[];
  stepMs: number;
}

export function timeTicks(minMs: number, maxMs: number, maxTicks: number, zone: Zone): Ticks {
  const wanted = (maxMs - minMs) / Math.max(1, maxTicks);
  const fixed = FIXED.find((step) => step >= wanted);
  const at: number[] = [];
  if (fixed !== undefined) {
    let tick = Math.ceil((minMs + offsetAt(minMs, zone)) / fixed) * fixed - offsetAt(minMs, zone);
    while (tick <= maxMs) {
      // After a DST jump the wall clock is no longer on the step: move onto it again.
      const off = (tick + offsetAt(tick, zone)) % fixed;
      if (off !== 0) tick -= off;
      if (tick >= minMs && tick !== at.at(-1)) at.push(tick);
      tick += fixed;
    }
    return { at, stepMs: fixed };
  }
  const start = { ...toCivil(minMs, zone), hour: 0, minute: 0, second: 0, ms: 0 };
  const days = DAYS.find((n) => n * D >= wanted);
  if (days !== undefined) {
    for (let civil = start; ; civil = addDays(civil, days)) {
      const tick = fromCivil(civil, zone);
      if (tick > maxMs) break;
      if (tick >= minMs) at.push(tick);
    }
    return { at, stepMs: days * D };
  }
  const months = MONTHS.find((n) => n * 30 * D >= wanted) ?? 120;
  const month = {
    ...start,
    day: 1,
    month: Math.floor((start.month - 1) / Math.min(12, months)) * Math.min(12, months) + 1,
  };
  for (let civil = month; ; civil = addMonths(civil, months)) {
    const tick = fromCivil(civil, zone);
    if (tick > maxMs) break;
    if (tick >= minMs) at.push(tick);
  }
  return { at, stepMs: months * 30 * D };
}

/** Increments for axes in bytes: 1, 2, 4 … 512 of each binary prefix. */
export const BYTE_STEPS: number[] = Array.from({ length: 62 }, (_, k) => 2 ** k);
