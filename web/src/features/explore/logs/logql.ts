// SPDX-License-Identifier: Apache-2.0
// What the page reads in a LogQL query, and the changes that buttons make to it.
import { parser } from '@grafana/lezer-logql';

export interface Analysis {
  kind: 'empty' | 'logs' | 'metric';
  /** Selector and pipeline of the first log query in it, without `unwrap` and range. */
  logPart: string;
  /** The selector alone. */
  selector: string;
  /** The text of `|=` filters, to be marked in lines. */
  words: string[];
}

interface Edit {
  from: number;
  to: number;
  text: string;
}

const PLAIN = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** A string of LogQL: between backquotes where that needs no escapes. */
export function quoted(text: string): string {
  return /["\\]/.test(text) && !/[`\n\r]/.test(text) ? `\`${text}\`` : JSON.stringify(text);
}

function unquoted(text: string): string {
  if (text.startsWith('`')) return text.slice(1, -1);
  try {
    return JSON.parse(text) as string;
  } catch {
    return '';
  }
}

interface Part {
  selector: { from: number; to: number };
  /** Where a further stage can stand. */
  end: number;
  text: string;
}

/** Every selector of the query with its pipeline; null when the query cannot be read. */
function partsOf(expr: string): Part[] | null {
  const parts: Part[] = [];
  let broken = false;
  parser.parse(expr).iterate({
    enter(node) {
      if (node.type.isError && !/^(offset|[0-9.]+[a-zµ]*)/.test(expr.slice(node.from, node.to))) broken = true;
      if (node.name !== 'LogExpr' && node.name !== 'LogRangeExpr') return;
      const selector = node.node.getChild('Selector');
      if (!selector) return;
      const pipeline = node.node.getChild('PipelineExpr');
      const end = pipeline?.to ?? selector.to;
      const text = pipeline
        ? `${expr.slice(selector.from, selector.to)} ${expr.slice(pipeline.from, pipeline.to)}`
        : expr.slice(selector.from, selector.to);
      parts.push({ selector: { from: selector.from, to: selector.to }, end, text });
    },
  });
  return broken || parts.length === 0 ? null : parts;
}

export function analyse(expr: string): Analysis {
  if (expr.trim() === '') return { kind: 'empty', logPart: '', selector: '', words: [] };
  let kind: Analysis['kind'] | null = null;
  const words: string[] = [];
  parser.parse(expr).iterate({
    enter(node) {
      if (node.name === 'LogExpr') kind ??= 'logs';
      if (node.name === 'MetricExpr') kind ??= 'metric';
      if (node.name === 'LineFilter' && node.node.getChild('Filter')?.getChild('PipeExact')) {
        for (const found of [node.node, ...node.node.getChildren('OrFilter')])
          for (const text of found.getChildren('String')) words.push(unquoted(expr.slice(text.from, text.to)));
      }
    },
  });
  const part = partsOf(expr)?.[0];
  const logPart = part?.text ?? expr.trim();
  const selector = part ? expr.slice(part.selector.from, part.selector.to) : logPart;
  return { kind: kind ?? (expr.trim().startsWith('{') ? 'logs' : 'metric'), logPart, selector, words };
}

function applied(expr: string, edits: readonly Edit[]): string {
  return edits.reduceRight((text, e) => text.slice(0, e.from) + e.text + text.slice(e.to), expr);
}

/** Adds a stage at the end of every pipeline. A query that does not parse stays as it is. */
export function withStage(expr: string, stage: string): string {
  const parts = partsOf(expr);
  if (!parts) return expr;
  return applied(
    expr,
    parts.flatMap(({ end, text }) => (text.endsWith(stage) ? [] : [{ from: end, to: end, text: ` ${stage}` }])),
  );
}

/** Narrows every selector to (or away from) a stream label's value. */
export function withStreamLabel(expr: string, label: string, value: string, keep: boolean): string {
  const parts = partsOf(expr);
  if (!parts) return expr;
  const matcher = `${label}${keep ? '=' : '!='}${JSON.stringify(value)}`;
  const edits = parts.flatMap(({ selector }): Edit[] => {
    const inside = expr.slice(selector.from + 1, selector.to - 1);
    if (inside.split(/\s*,\s*/).some((m) => m.trim() === matcher)) return [];
    const same = new RegExp(`(^|,)(\\s*)${label}\\s*=\\s*("(?:[^"\\\\]|\\\\.)*"|\`[^\`]*\`)`);
    // An equal matcher of the same label is replaced, so that a second choice does not contradict the first.
    if (keep && same.test(inside)) {
      const text = inside.replace(same, (_all, comma: string, space: string) => `${comma}${space}${matcher}`);
      return [{ from: selector.from + 1, to: selector.to - 1, text }];
    }
    const comma = inside.trim() === '' || inside.trim().endsWith(',') ? '' : ', ';
    return [{ from: selector.to - 1, to: selector.to - 1, text: `${comma}${matcher}` }];
  });
  return applied(expr, edits);
}

/** `| name="value"`, after the parser that finds the field when the query has none yet. */
export function withField(
  expr: string,
  name: string,
  value: string,
  keep: boolean,
  fieldParser: 'json' | 'logfmt' | null,
): string {
  const filter = `| ${PLAIN.test(name) ? name : JSON.stringify(name)}${keep ? '=' : '!='}${quoted(value)}`;
  const parsed = fieldParser === null || new RegExp(`\\|\\s*${fieldParser}\\b`).test(expr);
  return withStage(parsed ? expr : withStage(expr, `| ${fieldParser}`), filter);
}

export interface FieldCounts {
  /** Lines per value, most frequent first. */
  top: string;
  /** Lines that have the field at all. */
  all: string;
}

/** Queries that count the values of a label or field over a range. A parser that fails on a line leaves the line out. */
export function fieldCounts(
  logPart: string,
  name: string,
  fieldParser: 'json' | 'logfmt' | null,
  seconds: number,
  most: number,
): FieldCounts {
  const parsed = fieldParser === null || new RegExp(`\\|\\s*${fieldParser}\\b`).test(logPart);
  const stages = `${parsed ? '' : ` | ${fieldParser}`}${fieldParser === null ? '' : ' | __error__=""'} | ${name}!=""`;
  const counted = `count_over_time(${logPart}${stages} [${seconds}s])`;
  return { top: `topk(${most}, sum by (${name}) (${counted}))`, all: `sum(${counted})` };
}

/** `|> "a <_>"` keeps the lines of a pattern, `!>` leaves them out. */
export function withPattern(expr: string, pattern: string, keep: boolean): string {
  return withStage(expr, `${keep ? '|>' : '!>'} ${quoted(pattern)}`);
}
