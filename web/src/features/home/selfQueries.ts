// SPDX-License-Identifier: Apache-2.0
// Names under which Tocayo publishes itself, in one place.
import type { Unit } from '@/shared/units/format';

export interface SelfTile {
  id: 'ingest' | 'series' | 'lines' | 'rss' | 'cpu' | 'fsync' | 'query' | 'paint' | 'react';
  expr: string;
  unit: Unit;
}

const SELF = 'job="tocayo"';

/** What three of four browsers do not exceed, as they reported it. */
const vital = (sign: string) =>
  `histogram_quantile(0.75, sum by (le) (rate(tocayo_web_vital_seconds_bucket{sign="${sign}"}[1h])))`;

export const SELF_TILES: readonly SelfTile[] = [
  { id: 'ingest', expr: `sum(rate(tocayo_metrics_samples_appended_total[1m]))`, unit: 'perSecond' },
  { id: 'series', expr: 'sum(tocayo_metrics_active_series)', unit: 'count' },
  { id: 'lines', expr: 'sum(rate(tocayo_logs_lines_total[1m]))', unit: 'perSecond' },
  { id: 'rss', expr: `process_resident_memory_bytes{${SELF}}`, unit: 'bytes' },
  { id: 'cpu', expr: `rate(process_cpu_seconds_total{${SELF}}[1m])`, unit: 'percentunit' },
  {
    id: 'fsync',
    expr: 'histogram_quantile(0.99, sum by (le) (rate(tocayo_journal_fsync_seconds_bucket[1m])))',
    unit: 'seconds',
  },
  {
    id: 'query',
    expr: 'histogram_quantile(0.99, sum by (le) (rate(tocayo_promql_query_duration_seconds_bucket[1m])))',
    unit: 'seconds',
  },
  { id: 'paint', expr: vital('lcp'), unit: 'seconds' },
  { id: 'react', expr: vital('inp'), unit: 'seconds' },
];
