// SPDX-License-Identifier: Apache-2.0
// Free text to a range: `2h`, `last 3 days`, `10:00 to 11:30`, a date, an epoch, a log timestamp, a pasted link or JSON.
import { evaluate, type MathContext, parseIso } from './math';
import { absolute, type RawRange } from './range';
import { addDays, fromCivil, toCivil } from './zone';

const UNIT_WORDS: [RegExp, string][] = [
  [/^(s|secs?|seconds?|seg|segundos?)$/i, 's'],
  [/^(m|mins?|minutes?|minutos?)$/, 'm'],
  [/^(h|hrs?|hours?|horas?)$/i, 'h'],
  [/^(d|days?|d[ií]as?)$/i, 'd'],
  [/^(w|wks?|weeks?|semanas?)$/i, 'w'],
  [/^(M|months?|mes(es)?)$/, 'M'],
  [/^(Q|quarters?|trimestres?)$/i, 'Q'],
  [/^(y|yrs?|years?|años?)$/i, 'y'],
];

function unitOf(word: string): string | null {
  return UNIT_WORDS.find(([pattern]) => pattern.test(word))?.[1] ?? null;
}

const pad = (n: number) => String(n).padStart(2, '0');
const MONTHS = 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ');

/** Timestamps as logs write them: ISO with space or comma, nginx/CLF, syslog, klog-free forms. */
function logTimestamp(text: string, ctx: MathContext): number | null {
  const iso = parseIso(text.replace(/ (?=[+-]\d{2}:?\d{2}$|Z$)/, ''), ctx.zone);
  if (iso !== null) return iso;
  const clf = /^\[?(\d{2})\/([A-Z][a-z]{2})\/(\d{4}):(\d{2}:\d{2}:\d{2})(?: ([+-]\d{4}))?\]?$/.exec(text);
  if (clf) {
    const month = MONTHS.indexOf((clf[2] ?? '').toLowerCase()) + 1;
    return month === 0 ? null : parseIso(`${clf[3]}-${pad(month)}-${clf[1]}T${clf[4]}${clf[5] ?? ''}`, ctx.zone);
  }
  const syslog = /^([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d{2}:\d{2}:\d{2})$/.exec(text);
  if (syslog) {
    const month = MONTHS.indexOf((syslog[1] ?? '').toLowerCase()) + 1;
    const { year } = toCivil(ctx.nowMs, ctx.zone);
    return month === 0 ? null : parseIso(`${year}-${pad(month)}-${pad(Number(syslog[2]))}T${syslog[3]}`, ctx.zone);
  }
  return null;
}

function clock(text: string, ctx: MathContext): number | null {
  const match = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(text);
  if (!match) return null;
  const [hour, minute, second] = [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
  if (hour > 23 || minute > 59 || second > 59) return null;
  return fromCivil({ ...toCivil(ctx.nowMs, ctx.zone), hour, minute, second, ms: 0 }, ctx.zone);
}

function instant(text: string, up: boolean, ctx: MathContext): string | null {
  if (evaluate(text, up, ctx) !== null && !/^\d{9,14}$/.test(text)) {
    return text.startsWith('now') ? text.replace(/\s+/g, '') : String(evaluate(text, up, ctx));
  }
  const ms = epoch(text) ?? clock(text, ctx) ?? logTimestamp(text, ctx);
  return ms === null ? null : String(ms);
}

/** Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their length. */
function epoch(text: string): number | null {
  const match = /^(\d{9,19})(?:\.(\d{1,9}))?$/.exec(text);
  if (!match) return null;
  const digits = (match[1] ?? '').length;
  const n = Number(text);
  if (digits <= 10) return Math.round(n * 1000);
  if (digits <= 13) return Math.round(n);
  return Math.round(digits <= 16 ? n / 1000 : n / 1_000_000);
}

const around = (ms: number): RawRange => absolute({ fromMs: ms - 15 * 60_000, toMs: ms + 15 * 60_000 });

function fromLink(text: string): RawRange | null {
  let params: URLSearchParams;
  try {
    params = new URL(text, 'http://x').searchParams;
  } catch {
    return null;
  }
  const panes = params.get('panes');
  if (panes) {
    try {
      const first = Object.values(JSON.parse(panes) as Record<string, { range?: RawRange }>)[0];
      if (first?.range) return { from: String(first.range.from), to: String(first.range.to) };
    } catch {
      return null;
    }
  }
  const [from, to] = [params.get('from'), params.get('to')];
  return from && to ? { from, to } : null;
}

function fromJson(text: string): RawRange | null {
  try {
    const value = JSON.parse(text) as Partial<RawRange>;
    return value.from && value.to ? { from: String(value.from), to: String(value.to) } : null;
  } catch {
    return null;
  }
}

function distance(text: string): RawRange | null {
  const match = /^(?:last|past|[uú]ltim[oa]s?)?\s*(\d{1,5})?\s*([a-zA-Zíñ]+)$/i.exec(text);
  if (!match) return null;
  const unit = unitOf(match[2] ?? '');
  if (!unit || (match[1] === undefined && !/^(last|past|[uú]ltim)/i.test(text))) return null;
  return { from: `now-${match[1] ?? '1'}${unit}`, to: 'now' };
}

/** Null when the text means nothing to us. */
export function parseFreeText(input: string, ctx: MathContext): RawRange | null {
  const text = input.trim();
  if (text === '') return null;
  if (text.startsWith('{')) return fromJson(text);
  if (/^https?:\/\/|^\/?\w+.*[?&](from|panes)=/.test(text)) return fromLink(text);
  const near = distance(text);
  if (near) return near;
  if (/^(today|hoy)$/i.test(text)) return { from: 'now/d', to: 'now/d' };
  if (/^(yesterday|ayer)$/i.test(text)) return { from: 'now-1d/d', to: 'now-1d/d' };
  const parts = text.split(/\s+(?:to|until|a|hasta|–|—|-|→)\s+|\s*(?:–|—|→|\.\.)\s*/i);
  if (parts.length === 2) {
    const from = instant((parts[0] ?? '').trim(), false, ctx);
    let to = instant((parts[1] ?? '').trim(), true, ctx);
    // `23:00 to 01:00` means over midnight.
    const [a, b] = [clock((parts[0] ?? '').trim(), ctx), clock((parts[1] ?? '').trim(), ctx)];
    if (a !== null && b !== null && b <= a) to = String(fromCivil(addDays(toCivil(b, ctx.zone), 1), ctx.zone));
    return from && to ? { from, to } : null;
  }
  if (/^\d{4}-\d{2}(-\d{2})?$/.test(text)) {
    const [from, to] = [parseIso(text, ctx.zone), parseIso(text, ctx.zone, true)];
    return from !== null && to !== null ? absolute({ fromMs: from, toMs: to }) : null;
  }
  if (text.startsWith('now'))
    return evaluate(text, false, ctx) === null ? null : { from: text.replace(/\s+/g, ''), to: 'now' };
  const ms = epoch(text) ?? clock(text, ctx) ?? logTimestamp(text, ctx);
  return ms === null ? null : around(ms);
}
