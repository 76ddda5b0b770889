// SPDX-License-Identifier: Apache-2.0
// Date math: `now-1h/h`, `now/fQ`, `2026-11-20||+2d`. The grammar is the one that people know from Grafana.
import { addDays, addMonths, type Civil, fromCivil, toCivil, weekday, type Zone } from './zone';

export interface MathContext {
  nowMs: number;
  zone: Zone;
  /** 0 = Sunday, 1 = Monday, 6 = Saturday. */
  weekStart?: number;
  /** 0 = January. */
  fiscalStartMonth?: number;
}

type Unit = 's' | 'm' | 'h' | 'd' | 'w' | 'M' | 'Q' | 'y' | 'fQ' | 'fy';
interface Step {
  op: '+' | '-' | '/';
  count: number;
  unit: Unit;
}

const STEP = /^([+\-/])(\d{0,5})(fQ|fy|s|m|h|d|w|M|Q|y)(?![a-zA-Z])/;

function parseSteps(text: string): Step[] | null {
  const steps: Step[] = [];
  let rest = text;
  while (rest !== '') {
    const match = STEP.exec(rest);
    if (!match) return null;
    const [whole, op, digits, unit] = match;
    const count = digits === '' ? 1 : Number(digits);
    // Rounding takes one unit only.
    if (op === '/' && count !== 1) return null;
    // Fiscal units have no meaning as a distance.
    if (op !== '/' && (unit === 'fQ' || unit === 'fy')) return null;
    steps.push({ op: op as Step['op'], count, unit: unit as Unit });
    rest = rest.slice(whole.length);
  }
  return steps;
}

const FIXED: Partial<Record<Unit, number>> = { s: 1000, m: 60_000, h: 3_600_000 };

function shift(ms: number, sign: number, step: Step, ctx: MathContext): number {
  const fixed = FIXED[step.unit];
  const n = sign * step.count;
  if (fixed !== undefined) return ms + n * fixed;
  const civil = toCivil(ms, ctx.zone);
  const moved = (): Civil => {
    switch (step.unit) {
      case 'd':
        return addDays(civil, n);
      case 'w':
        return addDays(civil, 7 * n);
      case 'M':
        return addMonths(civil, n);
      case 'Q':
        return addMonths(civil, 3 * n);
      default:
        return addMonths(civil, 12 * n);
    }
  };
  return fromCivil(moved(), ctx.zone, 'back');
}

function floorCivil(civil: Civil, unit: Unit, ctx: MathContext): Civil {
  const day: Civil = { ...civil, hour: 0, minute: 0, second: 0, ms: 0 };
  const fiscal = ctx.fiscalStartMonth ?? 0;
  const month = civil.month - 1;
  switch (unit) {
    case 'd':
      return day;
    case 'w':
      return addDays(day, -((weekday(day) - (ctx.weekStart ?? 1) + 7) % 7));
    case 'M':
      return { ...day, day: 1 };
    case 'Q':
      return { ...day, day: 1, month: Math.floor(month / 3) * 3 + 1 };
    case 'y':
      return { ...day, day: 1, month: 1 };
    case 'fQ':
      return addMonths({ ...day, day: 1 }, -((((month - fiscal) % 3) + 3) % 3));
    default:
      return addMonths({ ...day, day: 1 }, -((((month - fiscal) % 12) + 12) % 12));
  }
}

function roundTo(ms: number, unit: Unit, up: boolean, ctx: MathContext): number {
  const fixed = FIXED[unit];
  if (fixed !== undefined) {
    // Hours and minutes follow the zone's wall clock: some zones are off by 30 or 45 minutes.
    const local = toCivil(ms, ctx.zone);
    const past =
      unit === 's'
        ? local.ms
        : unit === 'm'
          ? local.second * 1000 + local.ms
          : (local.minute * 60 + local.second) * 1000 + local.ms;
    return up ? ms - past + fixed - 1 : ms - past;
  }
  const start = floorCivil(toCivil(ms, ctx.zone), unit, ctx);
  if (!up) return fromCivil(start, ctx.zone);
  const next: Civil =
    unit === 'd'
      ? addDays(start, 1)
      : unit === 'w'
        ? addDays(start, 7)
        : addMonths(start, unit === 'M' ? 1 : unit === 'Q' || unit === 'fQ' ? 3 : 12);
  return fromCivil(next, ctx.zone) - 1;
}

const ISO =
  /^(\d{4})-(\d{2})(?:-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?)?(Z|[+-]\d{2}:?\d{2})?$/i;

/** ISO 8601 date or date-time; without an offset it is civil time in the zone. */
export function parseIso(text: string, zone: Zone, up = false): number | null {
  const match = ISO.exec(text.trim());
  if (!match) return null;
  const [, y, mo, d, h, mi, s, frac, offset] = match;
  const civil: Civil = {
    year: Number(y),
    month: Number(mo),
    day: Number(d ?? 1),
    hour: Number(h ?? 0),
    minute: Number(mi ?? 0),
    second: Number(s ?? 0),
    ms: frac ? Number(frac.padEnd(3, '0').slice(0, 3)) : 0,
  };
  if (civil.month < 1 || civil.month > 12 || civil.day < 1 || civil.hour > 23 || civil.minute > 59 || civil.second > 59)
    return null;
  const back = new Date(Date.UTC(civil.year, civil.month - 1, civil.day));
  if (back.getUTCDate() !== civil.day) return null;
  let ms: number;
  if (offset) {
    const sign = offset.startsWith('-') ? -1 : 1;
    const digits = offset.replace(/[^\d]/g, '');
    const shiftMs = /z/i.test(offset) ? 0 : sign * (Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2))) * 60_000;
    ms = fromCivil(civil, 'utc') - shiftMs;
  } else {
    ms = fromCivil(civil, zone);
  }
  if (up && h === undefined) return roundTo(ms, d === undefined ? 'M' : 'd', true, { nowMs: ms, zone });
  return ms;
}

/**
 * Instant of a range end, or null when the text is no valid expression.
 * `up` is true for the range's end: rounding then goes to the last millisecond of the unit.
 */
export function evaluate(text: string, up: boolean, ctx: MathContext): number | null {
  const compact = text.replace(/\s+/g, '');
  if (/^-?\d{9,14}$/.test(compact)) {
    const n = Number(compact);
    return compact.replace('-', '').length <= 10 ? n * 1000 : n;
  }
  let base: number;
  let math: string;
  if (compact.startsWith('now')) {
    base = ctx.nowMs;
    math = compact.slice(3);
  } else {
    const bar = text.indexOf('||');
    const anchor = parseIso(bar < 0 ? text : text.slice(0, bar), ctx.zone, bar < 0 && up);
    if (anchor === null) return null;
    base = anchor;
    math = bar < 0 ? '' : text.slice(bar + 2).replace(/\s+/g, '');
  }
  const steps = parseSteps(math);
  if (!steps) return null;
  for (const step of steps)
    base = step.op === '/' ? roundTo(base, step.unit, up, ctx) : shift(base, step.op === '+' ? 1 : -1, step, ctx);
  return Number.isFinite(base) ? base : null;
}

export function isRelative(text: string): boolean {
  return text.trim().startsWith('now');
}
