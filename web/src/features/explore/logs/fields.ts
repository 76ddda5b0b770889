// SPDX-License-Identifier: Apache-2.0
// What the lines of a pane can be told apart by: labels and fields of all its queries, and how often their values come.
import type { Labels } from '@/shared/api/prom';
import type { Range } from '@/shared/time/range';
import { type DetectedField, detectedFields, logInstant, logSeries, nsOf } from './api';
import { fieldCounts } from './logql';
import type { Part } from './parts';

export type Parser = 'json' | 'logfmt' | null;

export interface Field {
  name: string;
  /** A label of streams, or a field that a parser finds in lines. */
  of: 'label' | 'line';
  type: string;
  /** How many values it has: exact for labels; of fields in lines what the query with the most has. */
  cardinality: number;
  /** Queries whose lines have it, each with the parser that finds it (null: none is needed). */
  queries: ReadonlyMap<string, Parser>;
}

/** What one query's streams and lines have. */
export interface Found {
  streams: Labels[];
  fields: DetectedField[];
}

const SECRET = /^__/;
const MOST_VALUES = 15;

export async function findFields(
  asked: { logPart: string; selector: string },
  range: Range,
  signal: AbortSignal,
): Promise<Found> {
  const span = { startNs: nsOf(range.fromMs), endNs: nsOf(range.toMs) };
  const [streams, fields] = await Promise.all([
    logSeries(asked.selector, signal, span),
    detectedFields(asked.logPart, signal, span),
  ]);
  return { streams, fields };
}

function parserOf({ parsers }: DetectedField): Parser {
  if (parsers?.includes('json')) return 'json';
  return parsers?.includes('logfmt') ? 'logfmt' : null;
}

/**
 * Labels first, then what is in the lines, each by name and once; a name that is a label anywhere is a label. Fields of a
 * single value come last: they tell no lines apart, and parsers find many where none were meant.
 */
export function joinFields(parts: readonly Part<Found>[]): Field[] {
  const labels = new Map<string, { values: Set<string>; queries: Map<string, Parser> }>();
  const fields = new Map<string, Field & { queries: Map<string, Parser> }>();
  for (const { refId, value } of parts)
    for (const stream of value?.streams ?? [])
      for (const [name, text] of Object.entries(stream)) {
        if (SECRET.test(name)) continue;
        const known = labels.get(name) ?? { values: new Set(), queries: new Map() };
        known.values.add(text);
        known.queries.set(refId, null);
        labels.set(name, known);
      }
  for (const { refId, value } of parts)
    for (const found of value?.fields ?? []) {
      const name = found.label;
      const label = labels.get(name);
      if (label) {
        // In one query a label, in another a field of the lines: both are counted, each its own way.
        if (!label.queries.has(refId)) label.queries.set(refId, parserOf(found));
        continue;
      }
      const known = fields.get(name);
      const queries = (known?.queries ?? new Map<string, Parser>()).set(refId, parserOf(found));
      const cardinality = Math.max(known?.cardinality ?? 0, found.cardinality);
      fields.set(name, { name, of: 'line', type: known?.type || found.type, cardinality, queries });
    }
  const byName = (a: Field, b: Field) => a.name.localeCompare(b.name);
  const all = [...labels].map(([name, { values, queries }]): Field => {
    return { name, of: 'label', type: 'string', cardinality: values.size, queries };
  });
  const single = ({ cardinality }: Field) => Number(cardinality <= 1);
  return [...all.sort(byName), ...[...fields.values()].sort((a, b) => single(a) - single(b) || byName(a, b))];
}

export interface Counts {
  values: { value: string; count: number }[];
  /** Lines that have the field at all. */
  total: number;
}

export async function countValues(
  logPart: string,
  name: string,
  parser: Parser,
  range: Range,
  signal: AbortSignal,
): Promise<Counts> {
  const seconds = Math.max(1, Math.ceil((range.toMs - range.fromMs) / 1000));
  const asked = fieldCounts(logPart, name, parser, seconds, MOST_VALUES);
  const [top, all] = await Promise.all([
    logInstant(asked.top, range.toMs, signal),
    logInstant(asked.all, range.toMs, signal),
  ]);
  const rows = top.resultType === 'vector' ? top.result : [];
  const total = all.resultType === 'vector' ? Number(all.result[0]?.value?.[1] ?? 0) : 0;
  const values = rows
    .map((row) => ({ value: row.metric[name] ?? '', count: Number(row.value?.[1] ?? 0) }))
    .sort((a, b) => b.count - a.count || a.value.localeCompare(b.value));
  return { values, total };
}
