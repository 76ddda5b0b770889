// SPDX-License-Identifier: Apache-2.0
// Loki's HTTP API as Explore uses it.
import type { Labels, QueryData } from '@/shared/api/prom';
import { request, requestBytes } from '@/shared/api/request';
import { socketUrl } from '@/shared/api/socket';
import { charts } from '@/shared/frames/client';
import type { Grid } from '@/shared/frames/matrix';
import type { RangeAnswer } from '@/shared/frames/rangeQuery';
import { type LogLine, linesOf, type Stream } from './lines';

const PATH = '/loki/api/v1';
/** Stream labels, structured metadata and parsed labels come apart. */
const APART = { 'X-Loki-Response-Encoding-Flags': 'categorize-labels' };

interface Envelope<T> {
  data: T;
}

async function post<T>(path: string, form: Record<string, string>, signal?: AbortSignal): Promise<T> {
  const body = new URLSearchParams(form);
  return (await request<Envelope<T>>(`${PATH}/${path}`, { method: 'POST', form: body, signal, headers: APART })).data;
}

export const nsOf = (ms: number): string => String(BigInt(Math.round(ms)) * 1_000_000n);

export interface LinesAsked {
  query: string;
  /** Nanoseconds; the start belongs to it, the end does not. */
  startNs: string;
  endNs: string;
  limit: number;
  /** Which end of the range is taken when there are more. */
  oldest: boolean;
}

export interface LinesAnswer {
  /** Oldest first. */
  lines: LogLine[];
  /** True when the limit cut the answer. */
  more: boolean;
}

export async function queryLines(asked: LinesAsked, signal?: AbortSignal): Promise<LinesAnswer> {
  const { query, startNs, endNs, limit, oldest } = asked;
  const data = await post<{ resultType: string; result: Stream[] }>(
    'query_range',
    { query, start: startNs, end: endNs, limit: String(limit), direction: oldest ? 'forward' : 'backward' },
    signal,
  );
  if (data.resultType !== 'streams') throw new Error('The answer holds no lines.');
  const lines = linesOf(data.result);
  return { lines, more: lines.length >= limit };
}

/** A metric query as columns for a chart, decoded off the page's thread. */
export async function logColumns(query: string, grid: Grid, signal?: AbortSignal): Promise<RangeAnswer> {
  const started = performance.now();
  const form = new URLSearchParams({
    query,
    start: String(grid.startMs / 1000),
    end: String(grid.endMs / 1000),
    step: String(grid.stepMs / 1000),
  });
  const bytes = await requestBytes(`${PATH}/query_range`, { method: 'POST', form, signal });
  const frame = await charts.run({ kind: 'matrix', bytes, grid });
  return { ...frame, elapsedMs: performance.now() - started };
}

export function logInstant(query: string, atMs: number, signal?: AbortSignal): Promise<QueryData> {
  return post('query', { query, time: nsOf(atMs) }, signal);
}

export const formatLogQuery = (query: string): Promise<string> => post<string>('format_query', { query });

/** Around now unless a span is given, nanoseconds. */
export async function logLabels(span?: Span): Promise<string[]> {
  return (await post<string[] | null>('labels', span ? { start: span.startNs, end: span.endNs } : {})) ?? [];
}

export async function logLabelValues(label: string, query?: string): Promise<string[]> {
  const search = query ? `?query=${encodeURIComponent(query)}` : '';
  const path = `${PATH}/label/${encodeURIComponent(label)}/values${search}`;
  return (await request<Envelope<string[] | null>>(path)).data ?? [];
}

export interface Pattern {
  pattern: string;
  level: string;
  /** Seconds and count. */
  samples: [number, number][];
}

export async function logPatterns(query: string, startNs: string, endNs: string, signal?: AbortSignal) {
  return (await post<Pattern[] | null>('patterns', { query, start: startNs, end: endNs }, signal)) ?? [];
}

export interface DetectedField {
  label: string;
  type: string;
  cardinality: number;
  parsers: string[] | null;
}

/** Nanoseconds. */
export interface Span {
  startNs: string;
  endNs: string;
}

const LINES_LOOKED_AT = 1000;

/** Around now unless a span is given. */
export async function detectedFields(query: string, signal?: AbortSignal, span?: Span): Promise<DetectedField[]> {
  const form = new URLSearchParams({ query });
  if (span) {
    form.set('start', span.startNs);
    form.set('end', span.endNs);
    form.set('line_limit', String(LINES_LOOKED_AT));
  }
  const answer = await request<{ fields: DetectedField[] | null }>(`${PATH}/detected_fields`, {
    method: 'POST',
    form,
    signal,
  });
  return answer.fields ?? [];
}

export async function logSeries(match: string, signal?: AbortSignal, span?: Span): Promise<Labels[]> {
  const within: Record<string, string> = span ? { start: span.startNs, end: span.endNs } : {};
  return (await post<Labels[] | null>('series', { match, ...within }, signal)) ?? [];
}

export function tailUrl(query: string, startNs: string, limit: number): URL {
  return socketUrl(`${PATH}/tail`, { query, start: startNs, limit: String(limit) });
}
