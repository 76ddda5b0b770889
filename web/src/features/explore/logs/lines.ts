// SPDX-License-Identifier: Apache-2.0
// Log lines as the page holds them, and what can be read in one without asking the server.
import type { Labels } from '@/shared/api/prom';

export const LEVELS = ['critical', 'error', 'warn', 'info', 'debug', 'trace', 'unknown'] as const;
export type Level = (typeof LEVELS)[number];

export interface LogLine {
  /** Stable name of the line within the page and in links: its time and what tells it from others of that time. */
  key: string;
  /** Nanoseconds since 1970, as the server wrote them: too long for a number. */
  ns: string;
  ms: number;
  text: string;
  stream: Labels;
  metadata: Labels;
  /** What the query's own parsers found. */
  parsed: Labels;
  level: Level;
}

const WORDS: Record<string, Level> = {
  fatal: 'critical',
  critical: 'critical',
  crit: 'critical',
  emerg: 'critical',
  alert: 'critical',
  panic: 'critical',
  error: 'error',
  err: 'error',
  eror: 'error',
  warn: 'warn',
  warning: 'warn',
  info: 'info',
  information: 'info',
  notice: 'info',
  debug: 'debug',
  dbg: 'debug',
  trace: 'trace',
};

export function levelOf(word: string | undefined): Level {
  return WORDS[(word ?? '').toLowerCase()] ?? 'unknown';
}

export type StreamValue = [string, string] | [string, string, { structuredMetadata?: Labels; parsed?: Labels }];

export interface Stream {
  stream: Labels;
  values: StreamValue[];
}

function hash(text: string): string {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return (h >>> 0).toString(36);
}

function compareNs(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

/** Every line of the streams, oldest first; lines of one instant keep the order of their stream. */
export function linesOf(streams: readonly Stream[]): LogLine[] {
  const out: LogLine[] = [];
  const seen = new Map<string, number>();
  for (const { stream, values } of streams) {
    const of = JSON.stringify(Object.entries(stream).sort());
    for (const [ns, text, extra] of values) {
      const metadata = extra?.structuredMetadata ?? {};
      const parsed = extra?.parsed ?? {};
      const name = `${ns}-${hash(`${of}\n${text}`)}`;
      // The same line twice in one nanosecond.
      const count = seen.get(name) ?? 0;
      seen.set(name, count + 1);
      out.push({
        key: count === 0 ? name : `${name}-${count}`,
        ns,
        // Not by division: a nanosecond time is too long for a number, and could end up in the millisecond before.
        ms: Number(ns.slice(0, -6)),
        text,
        stream,
        metadata,
        parsed,
        level: levelOf(metadata.detected_level ?? parsed.level ?? stream.detected_level ?? stream.level),
      });
    }
  }
  return out.sort((a, b) => compareNs(a.ns, b.ns));
}

/** Adds lines that were asked for with an overlap of one instant; oldest first, each once. */
export function joinLines(pages: readonly (readonly LogLine[])[]): LogLine[] {
  const byKey = new Map<string, LogLine>();
  for (const page of pages) for (const line of page) byKey.set(line.key, line);
  return [...byKey.values()].sort((a, b) => compareNs(a.ns, b.ns));
}

const joined = new WeakMap<readonly LogLine[], { before: readonly LogLine[] | undefined; own: readonly LogLine[] }>();

/**
 * Answers that follow each other in time, one after the other as they came, as one list, oldest first. Two neighbours have
 * an instant in common. What a page adds is worked out once, so that of a hundred thousand lines only the newest page costs.
 */
export function joinPages(pages: readonly (readonly LogLine[])[], oldestFirst: boolean): LogLine[] {
  const parts = pages.map((page, k) => {
    const before = pages[k - 1];
    const known = joined.get(page);
    if (known && known.before === before) return known.own;
    const keys = new Set(before?.map((line) => line.key));
    const own = page.filter((line) => !keys.has(line.key));
    joined.set(page, { before, own });
    return own;
  });
  return (oldestFirst ? parts : parts.reverse()).flat();
}

export const shiftNs = (ns: string, by: bigint): string => String(BigInt(ns) + by);

export interface Segment {
  text: string;
  colour?: string;
  bold?: boolean;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: terminals' own escape character
const ESCAPES = /\u001b\[([0-9;]*)([A-Za-z])/g;
const COLOURS = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'];

export function hasAnsi(text: string): boolean {
  return text.includes('\u001b[');
}

export function withoutAnsi(text: string): string {
  return text.replace(ESCAPES, '');
}

/** Text with the colours of a terminal told apart: 30–37 and 90–97, bold; any other escape is left out. */
export function ansiSegments(text: string): Segment[] {
  const out: Segment[] = [];
  let at = 0;
  let style: Omit<Segment, 'text'> = {};
  const add = (to: number) => {
    if (to > at) out.push({ text: text.slice(at, to), ...style });
  };
  for (const match of text.matchAll(ESCAPES)) {
    add(match.index);
    at = match.index + match[0].length;
    if (match[2] !== 'm') continue;
    for (const code of (match[1] || '0').split(';').map(Number)) {
      if (code === 0) style = {};
      else if (code === 1) style = { ...style, bold: true };
      else if (code === 22) style = { ...style, bold: false };
      else if (code === 39) style = style.bold ? { bold: true } : {};
      else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97))
        style = { ...style, colour: COLOURS[code % 10] ?? 'white' };
    }
  }
  add(text.length);
  return out;
}

/** Splits at every appearance of one of the words, which are the odd elements. Case matters, as in `|=`. */
export function splitAt(text: string, words: readonly string[]): string[] {
  const wanted = words.filter((word) => word !== '');
  if (wanted.length === 0) return [text];
  const escaped = wanted.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return text.split(new RegExp(`(${escaped.join('|')})`));
}

function jsonOf(text: string): unknown {
  const start = text.trimStart();
  if (!start.startsWith('{')) return undefined;
  try {
    return JSON.parse(start) as unknown;
  } catch {
    return undefined;
  }
}

/** A JSON object over several lines; null when the text is none. */
export function prettyJson(text: string): string | null {
  const value = jsonOf(text);
  return value === undefined ? null : JSON.stringify(value, null, 2);
}

export interface DetectedFields {
  parser: 'json' | 'logfmt';
  fields: Labels;
}

const MOST_FIELDS = 100;

function flatten(value: object, prefix: string, out: Labels): void {
  for (const [key, inner] of Object.entries(value)) {
    if (Object.keys(out).length >= MOST_FIELDS) return;
    // The names that `| json` gives.
    const name = `${prefix}${key}`.replace(/[^a-zA-Z0-9_]/g, '_').replace(/^(?=\d)/, '_');
    if (inner !== null && typeof inner === 'object') {
      if (!Array.isArray(inner)) flatten(inner, `${name}_`, out);
    } else if (inner !== null) out[name] = String(inner);
  }
}

const PAIR = /(?:^|\s)([^\s="]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))/g;

/** Fields that `| json` or `| logfmt` would find in this line; null when it is written in neither way. */
export function detectFields(text: string): DetectedFields | null {
  const value = jsonOf(text);
  if (value !== undefined && value !== null) {
    const fields: Labels = {};
    flatten(value as object, '', fields);
    return { parser: 'json', fields };
  }
  const plain = withoutAnsi(text);
  const fields: Labels = {};
  let count = 0;
  for (const [, key, quoted, bare] of plain.matchAll(PAIR)) {
    const name = (key as string).replace(/[^a-zA-Z0-9_]/g, '_').replace(/^(?=\d)/, '_');
    fields[name] ??= quoted !== undefined ? quoted.replace(/\\(["\\])/g, '$1') : (bare as string);
    count += 1;
    if (count >= MOST_FIELDS) break;
  }
  return count >= 2 ? { parser: 'logfmt', fields } : null;
}
