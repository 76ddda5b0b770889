// SPDX-License-Identifier: Apache-2.0
// Times and durations for people, in the chosen zone, language and clock.
import { prefs } from '../prefs';
import { number } from '../units/format';
import { resolveZone, toCivil, type Zone } from './zone';

const cache = new Map<string, Intl.DateTimeFormat>();

function intl(options: Intl.DateTimeFormatOptions, zone: Zone): Intl.DateTimeFormat {
  const { language, hour12 } = prefs.get();
  const key = `${language}|${hour12}|${zone}|${JSON.stringify(options)}`;
  let found = cache.get(key);
  if (!found) {
    const clock: Intl.DateTimeFormatOptions = options.hour ? (hour12 ? { hour12: true } : { hourCycle: 'h23' }) : {};
    found = new Intl.DateTimeFormat(language, { ...options, ...clock, timeZone: resolveZone(zone) });
    cache.set(key, found);
  }
  return found;
}

const pad = (n: number, width = 2) => String(n).padStart(width, '0');

/** `2026-11-24 10:32:05`, sortable and the same in both languages. */
export function formatStamp(ms: number, zone: Zone, withMs = false): string {
  const c = toCivil(ms, zone);
  const day = `${pad(c.year, 4)}-${pad(c.month)}-${pad(c.day)}`;
  return `${day} ${formatClock(ms, zone)}${withMs ? `.${pad(c.ms, 3)}` : ''}`;
}

export function formatClock(ms: number, zone: Zone, seconds = true): string {
  return intl({ hour: '2-digit', minute: '2-digit', ...(seconds ? { second: '2-digit' } : {}) }, zone).format(ms);
}

export function formatDay(ms: number, zone: Zone): string {
  return intl({ day: 'numeric', month: 'short' }, zone).format(ms);
}

export function formatDate(ms: number, zone: Zone): string {
  return intl({ dateStyle: 'medium' }, zone).format(ms);
}

/** Labels under the time axis: what changed since the label before, no more. */
export function axisLabels(ticksMs: readonly number[], stepMs: number, zone: Zone): string[] {
  let lastDay = '';
  return ticksMs.map((ms) => {
    const c = toCivil(ms, zone);
    const day = `${c.year}-${c.month}-${c.day}`;
    const midnight = c.hour === 0 && c.minute === 0 && c.second === 0;
    const first = lastDay === '';
    const changed = lastDay !== day;
    lastDay = day;
    if (stepMs >= 28 * 86_400_000) return intl({ month: 'short', year: 'numeric' }, zone).format(ms);
    if (stepMs >= 86_400_000 || (changed && (midnight || !first))) return formatDay(ms, zone);
    return formatClock(ms, zone, stepMs < 60_000);
  });
}

const PARTS: [string, number][] = [
  ['d', 86_400],
  ['h', 3600],
  ['min', 60],
  ['s', 1],
];

/** `2 d 3 h`, `4 min 5 s`, `0.4 s`: the two largest parts. The symbols are the same in English and Spanish. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–';
  if (Math.abs(seconds) < 1) return `${number(seconds, 1)} s`;
  let rest = Math.floor(Math.abs(seconds));
  const out: string[] = [];
  for (const [unit, size] of PARTS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) out.push(`${number(count, 0)} ${unit}`);
    else if (out.length > 0) break;
    if (out.length === 2) break;
  }
  return (seconds < 0 ? '−' : '') + out.join(' ');
}

/** `UTC+01:00` of the zone at that instant. */
export function formatOffset(offsetMs: number): string {
  const minutes = Math.round(Math.abs(offsetMs) / 60_000);
  return `UTC${offsetMs < 0 ? '−' : '+'}${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`;
}
