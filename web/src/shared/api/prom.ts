// SPDX-License-Identifier: Apache-2.0
// Prometheus' HTTP API as the page uses it. Sample values stay text until someone draws them.
import { request } from './request';

export type Labels = Record<string, string>;
export type SamplePair = [number, string];

export interface MatrixSeries {
  metric: Labels;
  values?: SamplePair[];
  histograms?: [number, unknown][];
}

export interface VectorSample {
  metric: Labels;
  value?: SamplePair;
  histogram?: [number, { count: string; sum: string }];
}

export type QueryData =
  | { resultType: 'matrix'; result: MatrixSeries[] }
  | { resultType: 'vector'; result: VectorSample[] }
  | { resultType: 'scalar'; result: SamplePair }
  | { resultType: 'string'; result: SamplePair };

export interface Answer<T> {
  data: T;
  warnings: string[];
  infos: string[];
  elapsedMs: number;
}

interface Envelope<T> {
  status: 'success' | 'error';
  data: T;
  warnings?: string[];
  infos?: string[];
}

async function call<T>(path: string, form: URLSearchParams | null, signal?: AbortSignal): Promise<Answer<T>> {
  const started = performance.now();
  const envelope = await request<Envelope<T>>(path, form ? { method: 'POST', form, signal } : { signal });
  return {
    data: envelope.data,
    warnings: envelope.warnings ?? [],
    infos: envelope.infos ?? [],
    elapsedMs: performance.now() - started,
  };
}

export function queryInstant(query: string, timeMs: number, signal?: AbortSignal): Promise<Answer<QueryData>> {
  return call('/api/v1/query', new URLSearchParams({ query, time: String(timeMs / 1000) }), signal);
}

export async function formatQuery(query: string): Promise<string> {
  return (await call<string>('/api/v1/format_query', new URLSearchParams({ query }))).data;
}

export async function parseQuery(query: string, signal?: AbortSignal): Promise<unknown> {
  return (await call<unknown>('/api/v1/parse_query', new URLSearchParams({ query }), signal)).data;
}

export async function labelNames(matcher?: string, signal?: AbortSignal): Promise<string[]> {
  const form = new URLSearchParams(matcher ? { 'match[]': matcher } : {});
  return (await call<string[]>('/api/v1/labels', form, signal)).data;
}

/** At most `limit` of them, in order. */
export async function labelValues(label: string, matcher: string | undefined, limit: number): Promise<string[]> {
  const query = new URLSearchParams({ ...(matcher ? { 'match[]': matcher } : {}), limit: String(limit) });
  return (await call<string[]>(`/api/v1/label/${encodeURIComponent(label)}/values?${query}`, null)).data;
}

export async function seriesOf(matcher: string, limit: number, signal?: AbortSignal): Promise<Labels[]> {
  return (
    await call<Labels[]>('/api/v1/series', new URLSearchParams({ 'match[]': matcher, limit: String(limit) }), signal)
  ).data;
}

export interface MetricMetadata {
  type: string;
  help: string;
  unit: string;
}

/** Of one metric: the descriptions of all are read by a worker (`shared/frames/loaded.ts`). */
export async function metadataOf(metric: string): Promise<MetricMetadata | undefined> {
  const path = `/api/v1/metadata?metric=${encodeURIComponent(metric)}`;
  return (await call<Record<string, MetricMetadata[]>>(path, null)).data[metric]?.[0];
}

export interface TsdbStatus {
  headStats?: { numSeries?: number; numLabelPairs?: number; chunkCount?: number; minTime?: number; maxTime?: number };
  seriesCountByMetricName?: { name: string; value: number }[];
}

export async function tsdbStatus(limit: number, signal?: AbortSignal): Promise<TsdbStatus> {
  return (await call<TsdbStatus>(`/api/v1/status/tsdb?limit=${limit}`, null, signal)).data;
}

export async function buildInfo(signal?: AbortSignal): Promise<Record<string, string>> {
  return (await call<Record<string, string>>('/api/v1/status/buildinfo', null, signal)).data;
}

export async function runtimeInfo(signal?: AbortSignal): Promise<Record<string, unknown>> {
  return (await call<Record<string, unknown>>('/api/v1/status/runtimeinfo', null, signal)).data;
}

/** `name{a="1", b="2"}` as Prometheus prints it. */
export function seriesName(labels: Labels): string {
  const { __name__: name = '', ...rest } = labels;
  const pairs = Object.keys(rest)
    .sort()
    .map((key) => `${key}=${JSON.stringify(rest[key])}`);
  return pairs.length === 0 ? name || '{}' : `${name}{${pairs.join(', ')}}`;
}

/** The shortest text that still tells these series apart: labels equal on all of them are left out. */
export function distinguishingNames(all: readonly Labels[]): string[] {
  if (all.length <= 1) return all.map(seriesName);
  const keys = new Set(all.flatMap((labels) => Object.keys(labels)));
  const varying = [...keys].filter((key) => all.some((labels) => labels[key] !== all[0]?.[key])).sort();
  return all.map((labels) => {
    const picked = Object.fromEntries(
      varying.filter((key) => key in labels).map((key) => [key, labels[key] as string]),
    );
    return seriesName(picked);
  });
}
