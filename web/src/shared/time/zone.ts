// SPDX-License-Identifier: Apache-2.0
// Civil time in any IANA zone on top of Intl. Instants are epoch milliseconds.

export type Zone = string; // 'browser', 'utc' or an IANA name

export interface Civil {
  year: number;
  month: number; // 1..12
  day: number;
  hour: number;
  minute: number;
  second: number;
  ms: number;
}

const formatters = new Map<string, Intl.DateTimeFormat>();

const ZONE_FOR_MS = 10_000;
let zoneOfBrowser = '';
let zoneAsked = 0;

/** Asked anew every ten seconds: a laptop may travel, but every line of a log asks. */
export function browserZone(): string {
  const now = performance.now();
  if (zoneOfBrowser === '' || now - zoneAsked > ZONE_FOR_MS) {
    zoneOfBrowser = new Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
    zoneAsked = now;
  }
  return zoneOfBrowser;
}

export function resolveZone(zone: Zone): string {
  if (zone === 'browser' || zone === '') return browserZone();
  return zone.toLowerCase() === 'utc' ? 'UTC' : zone;
}

export function isZone(zone: string): boolean {
  if (zone === 'browser' || zone.toLowerCase() === 'utc') return true;
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

export function allZones(): string[] {
  return Intl.supportedValuesOf('timeZone');
}

function formatter(iana: string): Intl.DateTimeFormat {
  let found = formatters.get(iana);
  if (!found) {
    found = new Intl.DateTimeFormat('en-US', {
      timeZone: iana,
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formatters.set(iana, found);
  }
  return found;
}

function civilAsUtc(c: Civil): number {
  const at = new Date(0);
  at.setUTCFullYear(c.year, c.month - 1, c.day);
  at.setUTCHours(c.hour, c.minute, c.second, c.ms);
  return at.getTime();
}

export function toCivil(ms: number, zone: Zone): Civil {
  const iana = resolveZone(zone);
  const sub = ((ms % 1000) + 1000) % 1000;
  if (iana === 'UTC') {
    const d = new Date(ms);
    return {
      year: d.getUTCFullYear(),
      month: d.getUTCMonth() + 1,
      day: d.getUTCDate(),
      hour: d.getUTCHours(),
      minute: d.getUTCMinutes(),
      second: d.getUTCSeconds(),
      ms: sub,
    };
  }
  const out: Record<string, number> = {};
  let bc = false;
  for (const part of formatter(iana).formatToParts(ms)) {
    if (part.type === 'era') bc = part.value === 'BC';
    else if (part.type !== 'literal') out[part.type] = Number(part.value);
  }
  const get = (key: string) => out[key] ?? 0;
  return {
    year: bc ? 1 - get('year') : get('year'),
    month: get('month'),
    day: get('day'),
    hour: get('hour'),
    minute: get('minute'),
    second: get('second'),
    ms: sub,
  };
}

/** Zone offset from UTC at an instant, milliseconds, positive east. */
export function offsetAt(ms: number, zone: Zone): number {
  return civilAsUtc(toCivil(ms, zone)) - ms;
}

/**
 * The instant of a civil time; one that happens twice means the earlier.
 * A time that a DST jump skips moves forward by the jump, or back with `skipped`: distances do that, as in Grafana.
 */
export function fromCivil(c: Civil, zone: Zone, skipped: 'forward' | 'back' = 'forward'): number {
  const wall = civilAsUtc(c);
  const before = offsetAt(wall - 86_400_000, zone);
  const after = offsetAt(wall + 86_400_000, zone);
  const candidates = [wall - before, wall - after].filter((t) => civilAsUtc(toCivil(t, zone)) === wall);
  if (candidates.length > 0) return Math.min(...candidates);
  return skipped === 'forward' ? wall - before : wall - after;
}

export function daysInMonth(year: number, month: number): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}

/** 0 = Sunday. */
export function weekday(c: Civil): number {
  return new Date(civilAsUtc({ ...c, hour: 12 })).getUTCDay();
}

/** Adds whole days to the date part, keeping the wall clock. */
export function addDays(c: Civil, days: number): Civil {
  const d = new Date(civilAsUtc({ ...c, hour: 12, minute: 0, second: 0, ms: 0 }) + days * 86_400_000);
  return { ...c, year: d.getUTCFullYear(), month: d.getUTCMonth() + 1, day: d.getUTCDate() };
}

/** Adds months, clamping the day to the month's end. */
export function addMonths(c: Civil, months: number): Civil {
  const index = c.year * 12 + (c.month - 1) + months;
  const year = Math.floor(index / 12);
  const month = (((index % 12) + 12) % 12) + 1;
  return { ...c, year, month, day: Math.min(c.day, daysInMonth(year, month)) };
}
